//! The changes of data of what is live: made, or still to be made.

use delivery::migrations::Made;
use delivery::{ReleaseId, Role};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use super::told;
use crate::control::Control;
use crate::wanted::{self, Wanted};

/// One change of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub app: String,
    pub name: String,
    /// It takes away what earlier releases need.
    pub contracts: bool,
    /// `None`: not made yet.
    pub made: Option<Made>,
}

/// Those that the live release knows in their order, then those that only earlier releases knew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changes {
    /// `None`: what was built in the project is live.
    pub release: Option<ReleaseId>,
    pub changes: Vec<Change>,
}

pub fn changes(control: &Control) -> Result<Changes, Fault> {
    let book = &control.delivering.book;
    let mut made = book.migrations().map_err(|fault| told(&fault))?;
    let slots = book.slots().map_err(|fault| told(&fault))?;
    let release = slots.into_iter().find(|slot| slot.role == Role::Live).and_then(|slot| slot.release);
    let want = wanted::read(&control.root)?.ok_or_else(|| Fault::new("nothing is wanted of this environment"))?;
    let text = match release {
        Some(id) => book.release(id).map_err(|fault| told(&fault))?.contents.manifest,
        None => want.text.clone(),
    };
    let environment = wanted::resolve(&Wanted { text, ..want })?;
    let mut changes = Vec::new();
    for app in &environment.apps {
        for migration in &app.migrations {
            let (app, name) = (app.name.to_string(), migration.name.to_string());
            let at = made.iter().position(|made| made.app == app && made.name == name);
            let contracts = migration.half == manifest::Half::Contract;
            changes.push(Change { app, name, contracts, made: at.map(|at| made.remove(at)) });
        }
    }
    changes.extend(made.into_iter().map(|made| Change {
        app: made.app.clone(),
        name: made.name.clone(),
        contracts: made.contracts,
        made: Some(made),
    }));
    Ok(Changes { release, changes })
}
