//! There is no way back across a change of data that took something away, unless somebody says that there is.

use delivery::ReleaseId;
use delivery::migrations::Made;
use manifest::Environment;
use reconcile::Fault;

use super::told;
use crate::control::Control;

/// Changes that took away what a release may need: it was made without knowing of them.
fn crossed<'a>(made: &'a [Made], environment: &Environment) -> Vec<&'a Made> {
    let knows = |made: &Made| {
        let app = environment.apps.iter().find(|app| app.name.as_str() == made.app);
        // An app that the release does not have needs nothing.
        app.is_none_or(|app| app.migrations.iter().any(|migration| migration.name.as_str() == made.name))
    };
    made.iter().filter(|made| made.contracts && !knows(made)).collect()
}

/// Refuses a release that data has gone past. `environment` is as its own manifest has it.
pub(super) fn refuse(
    control: &Control,
    release: Option<ReleaseId>,
    environment: &Environment,
    across_contract: bool,
) -> Result<(), Fault> {
    if across_contract {
        return Ok(());
    }
    let made = control.delivering.book.migrations().map_err(|fault| told(&fault))?;
    let crossed = crossed(&made, environment);
    if crossed.is_empty() {
        return Ok(());
    }
    let what = release.map_or_else(|| "this release".to_owned(), |release| release.to_string());
    let mut fault = Fault::new(format!("cannot run {what}: data has gone past it")).hint(
        "deploy a release that knows of the change; if this one can do without what was taken away, say `--across-contract`",
    );
    fault.causes = crossed
        .iter()
        .map(|made| format!("{} of {}, made {}, took something away", made.name, made.app, made.at))
        .collect();
    Err(fault)
}
