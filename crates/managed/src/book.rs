//! What was ordered, written before it is: so that whoever goes on knows what is ours and orders nothing twice.

use std::collections::BTreeMap;
use std::path::Path;

use host::files::{self, Access};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

/// What was ordered for a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ordered {
    /// Of this form.
    version: u32,
    /// Under which name. It stays when the manifest names it otherwise.
    pub(crate) name: String,
    /// What the provider calls it; `None`: nobody has said yet that it is there.
    pub(crate) id: Option<String>,
    /// What was seen inside of it, such as a cluster in a project. If it goes, no empty one takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inside: Option<String>,
    /// Versions of passwords that users were given there, by their names: no provider shows a password.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) passwords: BTreeMap<String, u32>,
}

const VERSION: u32 = 1;

impl Ordered {
    pub(crate) fn new(name: &str, id: Option<&str>) -> Self {
        Self {
            version: VERSION,
            name: name.to_owned(),
            id: id.map(str::to_owned),
            inside: None,
            passwords: BTreeMap::new(),
        }
    }
}

pub(crate) fn read(file: &Path) -> Result<Option<Ordered>, Fault> {
    let cannot = |cause: String| {
        Fault::new(format!("cannot read {}, which says what is ordered at a provider", file.display()))
            .cause(cause)
            .hint("bring it back from a backup; without it Roadbed does not know what is its own there")
    };
    let Some(text) = files::read_if_exists(file).map_err(|fault| cannot(fault.to_string()))? else {
        return Ok(None);
    };
    let ordered: Ordered = serde_json::from_slice(&text).map_err(|error| cannot(error.to_string()))?;
    if ordered.version > VERSION {
        return Err(cannot(format!("it is of version {}, and this Roadbed knows {VERSION}", ordered.version)));
    }
    Ok(Some(ordered))
}

pub(crate) fn write(file: &Path, ordered: &Ordered) -> Result<(), Fault> {
    let mut text = serde_json::to_vec_pretty(ordered).expect("texts and numbers are JSON");
    text.push(b'\n');
    let folder = file.parent().unwrap_or(file);
    files::create_dir(folder, Access::Owner)
        .and_then(|()| files::write_durable(file, &text, Access::Owner))
        .map_err(|fault| Fault::because(format!("cannot write down in {} what is ordered", file.display()), &fault))
}
