//! Looks at the smoke pages of what runs.

use std::sync::Arc;

use host::files;
use reconcile::Fault;
use smoke::Redact;

use super::wire::{Message, SmokeRequest};
use super::{Control, convergence, sleeping};
use crate::wanted;
use crate::world::Ports;
use crate::world::smoking::Means;

/// Looks at the pages that are asked for, by the public way in, and keeps what they look like until the next time.
pub(super) async fn run(control: &Control, request: &SmokeRequest) -> Result<Message, Fault> {
    sleeping::ensure_awake(control).await?;
    let _turn = control.turn.lock().await;
    let want = wanted::read(&control.root)?.ok_or_else(|| {
        Fault::new("there is nothing to look at: no environment is wanted").hint("`roadbed up` first")
    })?;
    let world = convergence::world(control, &want, Ports::Stay).await?;
    let evidence = request.keep.clone().unwrap_or_else(|| control.root.smoke());
    if request.keep.is_none() {
        files::remove_dir(&evidence)
            .map_err(|fault| Fault::because("cannot take away the pictures of last time", &fault))?;
    }
    let redactions = Arc::new(control.redactions(&want));
    let means = Means {
        browser: request.browser.clone(),
        evidence: Some(evidence),
        redact: Redact::new(move |text| redactions.redact(text).into_owned()),
    };
    let plan = world.smoke_plan(&request.apps, means)?;
    let report = smoke::run(&plan, control.clock.as_ref()).await;
    let report = report.map_err(|fault| Fault::because("cannot look at the pages", &fault).hint(fault.hint()))?;
    Ok(Message::Smoked { environment: want.environment, report })
}
