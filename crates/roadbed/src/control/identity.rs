//! What a root folder is: which environment of which product, where it is at home, since when, and what of it must exist.

use std::collections::BTreeSet;

use host::clock::{Clock, Timestamp};
use host::database::Presence;
use host::files::{self, Access};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use super::home::{self, Home};
use crate::roots::Roots;

/// Layout of the root folder that this Roadbed reads and writes.
const FORMAT: u32 = 1;

/// `environment.json` of a root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub format: u32,
    pub id: String,
    pub environment: String,
    /// Empty in a root that was made before roots noted it.
    #[serde(default)]
    pub product: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
    pub created: Timestamp,
    /// Set once the state files were made: from then on a missing one is a loss and not a beginning.
    pub has_state: bool,
    /// The same of the secret store.
    #[serde(default)]
    pub has_secrets: bool,
    /// The same of the certificate authority, which may be missing, but not unnoticed.
    #[serde(default)]
    pub has_authority: bool,
    /// The same of the port book.
    #[serde(default)]
    pub has_ports: bool,
    /// The same of the book of deployments.
    #[serde(default)]
    pub has_deliveries: bool,
    /// Services that have data.
    #[serde(default)]
    pub has_data: BTreeSet<String>,
}

/// What a root shall be for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    pub product: &'a str,
    pub environment: &'a str,
}

impl Identity {
    pub fn presence(&self) -> Presence {
        if self.has_state { Presence::MustExist } else { Presence::MayBeNew }
    }
}

/// Reads the identity of a root, `None` if the root was never used.
pub fn read(root: &Root) -> Result<Option<Identity>, Fault> {
    let path = root.identity();
    let bytes = files::read_if_exists(&path).map_err(|fault| {
        Fault::because(format!("cannot use the root {}", root.path().display()), &fault)
            .hint("see whether the folder is yours to read, or give another with --root")
    })?;
    let Some(bytes) = bytes else { return Ok(None) };
    let identity: Identity = serde_json::from_slice(&bytes).map_err(|error| {
        Fault::because(format!("cannot use the root {}: {} is damaged", root.path().display(), path.display()), &error)
            .hint("restore the file from a backup of the root; the data below it is untouched")
    })?;
    if identity.format != FORMAT {
        let found = identity.format;
        return Err(Fault::new(format!("cannot use the root {}", root.path().display()))
            .cause(format!("it has layout {found}, this Roadbed knows layout {FORMAT}"))
            .hint("use the Roadbed that made it"));
    }
    Ok(Some(identity))
}

/// Makes the root's folders and identity at first use; refuses a root that belongs to another environment, and a copy.
pub fn ensure(root: &Root, purpose: Purpose<'_>, roots: &Roots, clock: &dyn Clock) -> Result<Identity, Fault> {
    let cannot = |fault: &files::FileFault| {
        Fault::because(format!("cannot make the root {}", root.path().display()), fault)
            .hint("see whether the disk is full and the folder is yours, or give another with --root")
    };
    for folder in
        [root.path().to_owned(), root.run(), root.state(), root.secrets(), root.tls(), root.routes(), root.logs()]
            .into_iter()
            .chain([root.conf(), root.builds()])
    {
        files::create_dir(&folder, Access::Owner).map_err(|fault| cannot(&fault))?;
    }
    if let Some(identity) = read(root)? {
        refuse_other_purpose(root, &identity, purpose)?;
        home::refuse_copy(root, &identity, roots)?;
        let here = Home::here(root, roots)?;
        let identity = Identity { product: purpose.product.to_owned(), home: Some(here), ..identity };
        // It may have been moved, or be older than what it now notes.
        if read(root)?.as_ref() != Some(&identity) {
            write(root, &identity)?;
        }
        roots.note(root, &identity)?;
        return Ok(identity);
    }
    refuse_what_was_used(root)?;
    let identity = Identity {
        format: FORMAT,
        id: uuid::Uuid::new_v4().to_string(),
        environment: purpose.environment.to_owned(),
        product: purpose.product.to_owned(),
        home: Some(Home::here(root, roots)?),
        created: clock.now(),
        has_state: false,
        has_secrets: false,
        has_authority: false,
        has_ports: false,
        has_deliveries: false,
        has_data: BTreeSet::new(),
    };
    write(root, &identity)?;
    roots.note(root, &identity)?;
    Ok(identity)
}

fn refuse_other_purpose(root: &Root, identity: &Identity, purpose: Purpose<'_>) -> Result<(), Fault> {
    let Purpose { product, environment } = purpose;
    if identity.environment != environment {
        return Err(Fault::new(format!("cannot use the root {} for {environment}", root.path().display()))
            .cause(format!("it belongs to the environment {}", identity.environment))
            .hint("give each environment a root of its own with --root"));
    }
    if !identity.product.is_empty() && identity.product != product {
        return Err(Fault::new(format!("cannot use the root {} for {product}", root.path().display()))
            .cause(format!("it belongs to the product {}", identity.product))
            .hint("give each product a root of its own with --root"));
    }
    Ok(())
}

/// Notes that the state files exist.
pub fn note_state(root: &Root, identity: &Identity) -> Result<(), Fault> {
    if identity.has_state {
        return Ok(());
    }
    write(root, &Identity { has_state: true, ..identity.clone() })
}

/// Notes that the state files were lost, and that this is accepted.
pub fn expect_no_state(root: &Root, identity: &Identity) -> Result<(), Fault> {
    write(root, &Identity { has_state: false, ..identity.clone() })
}

/// Notes that there is a book of deployments, or that it was lost and this is accepted.
pub fn note_deliveries(root: &Root, has_deliveries: bool) -> Result<(), Fault> {
    match read(root)? {
        Some(identity) if identity.has_deliveries != has_deliveries => {
            write(root, &Identity { has_deliveries, ..identity })
        }
        _ => Ok(()),
    }
}

/// Notes that there are secrets, once there are.
pub fn note_secrets(root: &Root) -> Result<(), Fault> {
    match read(root)? {
        Some(identity) if !identity.has_secrets && has_store(root) => {
            write(root, &Identity { has_secrets: true, ..identity })
        }
        _ => Ok(()),
    }
}

/// A store of before is one too: it is taken in when it is first opened.
fn has_store(root: &Root) -> bool {
    files::exists(&root.secret_store()) || files::exists(&root.secrets_before())
}

/// Refuses to go on without secrets that were there: new ones would lock the apps out of their data.
pub fn refuse_lost_secrets(root: &Root) -> Result<(), Fault> {
    let store = root.secret_store();
    match read(root)? {
        Some(identity) if identity.has_secrets && !has_store(root) => {
            Err(Fault::new(format!("the secret store {} is missing", store.display()))
                .cause("new credentials would lock the apps out of their data")
                .hint("restore the file from a backup of the root"))
        }
        _ => Ok(()),
    }
}

/// A root without identity that holds state has lost it: it is not known what it is for.
fn refuse_what_was_used(root: &Root) -> Result<(), Fault> {
    let traces = [root.state().join("journal.db"), root.secret_store(), root.secrets_before()];
    let Some(trace) = traces.iter().find(|path| files::exists(path)) else { return Ok(()) };
    Err(Fault::new(format!("cannot use the root {}: its environment.json is missing", root.path().display()))
        .cause(format!("it was used before, since there is {}", trace.display()))
        .hint("restore environment.json from a backup of the root, or move the folder away to begin anew"))
}

pub(crate) fn write(root: &Root, identity: &Identity) -> Result<(), Fault> {
    let json = serde_json::to_vec_pretty(identity).expect("an identity is plain data");
    files::write_durable(&root.identity(), &json, Access::Owner)
        .map_err(|fault| Fault::because("cannot note what the root is for", &fault))
}
