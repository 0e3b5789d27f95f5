//! Exports that go nowhere, and addresses that would be in every copy of the manifest.

use std::time::Duration;

use url::Url;

use super::{known_app, known_environments};
use crate::exports::{ExportTable, ExportType};
use crate::findings::Findings;
use crate::source::At;
use crate::tables::Document;

/// More often than this nobody's dashboard shows it.
const SHORTEST: Duration = Duration::from_secs(1);

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.exports.in_order() {
        export(name.value.as_str(), name.span, table, findings);
        for app in &table.apps {
            known_app(&app.value, app.span, document, findings);
        }
        known_environments(table.environments.iter().flat_map(|all| &all.value), &document.environments, findings);
    }
}

fn export(name: &str, span: crate::Span, table: &ExportTable, findings: &mut Findings) {
    let kind = table.r#type.value;
    match &table.url {
        Some(url) => address(name, url, kind, findings),
        None if kind != ExportType::Sentry => {
            findings
                .error(span, format!("the export \"{name}\" has no `url`, and {} goes nowhere without", kind.as_str()))
                .hint("add url = \"https://…\"");
        }
        None => {}
    }
    for text in [&table.user, &table.tenant].into_iter().flatten() {
        if kind == ExportType::Sentry {
            findings.error(text.span, "errors are sent by a DSN, which says all of it").hint("take it out");
        } else if !text.value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b':') {
            findings
                .error(text.span, "this cannot be said in a request's header")
                .hint("letters, digits and signs of ASCII, without a colon");
        }
    }
    if kind == ExportType::RemoteWrite && !table.apps.is_empty() {
        findings.error(table.apps[0].span, "numbers are those of the whole environment").hint("take `apps` out");
    }
    if let Some(every) = &table.every {
        if kind != ExportType::RemoteWrite {
            findings.error(every.span, "errors and lines are sent as they come").hint("take `every` out");
        } else if every.value < SHORTEST {
            findings.error(every.span, "this is more often than anybody looks").hint("write \"15s\"");
        }
    }
}

/// A secret in an address is in every copy of the manifest.
fn address(name: &str, url: &At<String>, kind: ExportType, findings: &mut Findings) {
    if kind == ExportType::Sentry {
        findings
            .error(url.span, "who has this address can write there: it is a secret")
            .hint(format!("take it out, and keep it with `roadbed secrets set exports/{name}`"));
        return;
    }
    match Url::parse(&url.value) {
        Ok(read) if !matches!(read.scheme(), "http" | "https") => {
            findings.error(url.span, "this is no address of HTTP").hint("write \"https://…\"");
        }
        Ok(read) if !read.username().is_empty() || read.password().is_some() => {
            findings
                .error(url.span, "there is a user or a password in this address")
                .hint(format!("write user = \"…\", and keep the password with `roadbed secrets set exports/{name}`"));
        }
        Ok(_) => {}
        Err(_) => {
            findings.error(url.span, "this is no address of HTTP").hint("write \"https://…\"");
        }
    }
}
