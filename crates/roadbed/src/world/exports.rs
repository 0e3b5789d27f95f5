//! What leaves an environment for services elsewhere, as telemetry is told it. What opens them is told by control, into memory.

use manifest::ExportType;
use telemetry::{Export, ExportKind};

pub(super) fn told(export: &manifest::Export) -> Export {
    Export {
        name: export.name.to_string(),
        kind: match export.kind {
            ExportType::Sentry => ExportKind::Sentry,
            ExportType::Loki => ExportKind::Loki,
            ExportType::Otlp => ExportKind::Otlp,
            ExportType::RemoteWrite => ExportKind::RemoteWrite,
        },
        url: export.url.clone(),
        user: export.user.clone(),
        tenant: export.tenant.clone(),
        apps: export.apps.iter().map(ToString::to_string).collect(),
        every_ms: u64::try_from(export.every.as_millis()).unwrap_or(u64::MAX),
    }
}
