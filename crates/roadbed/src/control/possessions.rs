//! What belongs to a root beside its state files: the data of its stores. Each data folder names its root, so that the data of
//! another environment is not served by accident, and data that was there and is gone is not taken for a beginning.

use std::path::PathBuf;

use host::files::{self, Access, FileFault};
use reconcile::{Fault, Root};
use secrets::Store;
use stores::mongo::members::{is_member, unit_of};
use stores::redis::Purpose;

use super::identity::{self, Identity};
use crate::roots::Roots;
use crate::seats;
use crate::world::ports::PortBook;

/// In each data folder: the id of the root that it belongs to.
const MARK: &str = ".roadbed-root";

fn mark_of(root: &Root, service: &str) -> PathBuf {
    root.data(service).join(MARK)
}

fn cannot(fault: &FileFault) -> Fault {
    Fault::because("cannot tell whose data this is", fault).hint("see whether the folder is yours to read and write")
}

/// The folders that data services of this environment write to: each member of a replica set has its own.
pub fn data_folders(environment: &manifest::Environment) -> Vec<String> {
    let ours =
        |settings: &manifest::environment::MongoDb| if settings.external.is_some() { 0 } else { settings.members };
    let members = environment.mongodb.as_ref().map_or(1, ours);
    (1..=members).map(unit_of).chain([Purpose::Durable.unit().to_owned()]).collect()
}

/// Marks the data of these services as this root's, where there is some. Of members of a replica set, those that are no longer
/// wanted are no longer missed.
fn note_data(root: &Root, services: &[String]) -> Result<(), Fault> {
    let Some(mut identity) = identity::read(root)? else { return Ok(()) };
    let before = identity.has_data.len();
    identity.has_data.retain(|service| !is_member(service) || services.contains(service));
    let mut is_new = identity.has_data.len() != before;
    for service in services {
        if files::list(&root.data(service)).map_err(|fault| cannot(&fault))?.is_empty() {
            continue;
        }
        files::write_if_changed(&mark_of(root, service), identity.id.as_bytes(), Access::Owner)
            .map_err(|fault| cannot(&fault))?;
        is_new |= identity.has_data.insert(service.clone());
    }
    if is_new { identity::write(root, &identity) } else { Ok(()) }
}

/// Notes what there is by now, of data in these folders.
pub fn note(root: &Root, folders: &[String]) -> Result<(), Fault> {
    note_data(root, folders)?;
    let Some(identity) = identity::read(root)? else { return Ok(()) };
    let has_authority = identity.has_authority || files::exists(&root.ca_certificate());
    let has_ports = identity.has_ports || files::exists(&PortBook::path(root));
    if (has_authority, has_ports) == (identity.has_authority, identity.has_ports) {
        return Ok(());
    }
    identity::write(root, &Identity { has_authority, has_ports, ..identity })
}

/// What was there, is gone, and is made anew: who relied on it is to know.
pub fn lost(root: &Root, identity: &Identity) -> Vec<String> {
    let mut lost = Vec::new();
    if identity.has_authority
        && !files::exists(&root.ca_certificate())
        && files::list(&root.tls()).is_ok_and(|files| files.is_empty())
    {
        lost.push("the certificate authority was missing; another one is made, and has to be trusted anew".to_owned());
    }
    if identity.has_ports && !files::exists(&PortBook::path(root)) {
        lost.push("the port book was missing; ports are chosen anew, and addresses may change".to_owned());
    }
    lost
}

/// Refuses a secret store that is another root's, or cannot be read: before anything is begun with it.
pub fn refuse_strange_secrets(root: &Root, identity: &Identity, roots: &Roots) -> Result<(), Fault> {
    Store::new(seats::of_root(root, identity, roots))
        .judge()
        .map_err(|fault| Fault::because("cannot use the secrets of this environment", &fault).hint(fault.hint()))
}

/// Refuses data of another root, and refuses to go on without data that was there.
pub fn refuse_strange_data(root: &Root, identity: &Identity) -> Result<(), Fault> {
    for folder in files::list(&root.path().join("data")).map_err(|fault| cannot(&fault))? {
        let Some(mark) = files::read_if_exists(&folder.join(MARK)).map_err(|fault| cannot(&fault))? else { continue };
        if mark != identity.id.as_bytes() {
            return Err(Fault::new(format!("cannot use the data in {}", folder.display()))
                .cause("it belongs to another environment's root")
                .hint("put back the data that belongs here; `roadbed up --adopt` takes over what lies in this root"));
        }
    }
    let is_missing = |service: &&String| !files::exists(&mark_of(root, service));
    let (missing, present): (Vec<&String>, Vec<&String>) = identity.has_data.iter().partition(is_missing);
    let members = |services: &[&String]| services.iter().filter(|service| is_member(service)).count();
    // What one member of a replica set has lost it copies from the others, while they are a majority.
    let is_copied = members(&present) > members(&missing);
    for service in missing {
        let folder = root.data(service);
        if !(is_member(service) && is_copied) {
            return Err(Fault::new(format!("the data of {service} is missing: it was in {}", folder.display()))
                .cause("going on would begin with none, and nobody would notice")
                .hint(
                    "restore the folder from a backup; `roadbed up --adopt` goes on with what is there, be it nothing",
                ));
        }
    }
    Ok(())
}

/// Takes over what data there is, and expects no other.
pub(super) fn take_over(root: &Root, identity: &mut Identity) -> Result<(), Fault> {
    let mut left = std::collections::BTreeSet::new();
    let known: Vec<String> = identity.has_data.iter().filter(|service| is_member(service)).cloned().collect();
    let services = [stores::mongo::UNIT, Purpose::Durable.unit()].map(str::to_owned).into_iter().chain(known);
    for service in services.collect::<std::collections::BTreeSet<String>>() {
        let service = service.as_str();
        let files = files::list(&root.data(service)).map_err(|fault| cannot(&fault))?;
        if files.iter().any(|file| !file.ends_with(MARK)) {
            files::write_if_changed(&mark_of(root, service), identity.id.as_bytes(), Access::Owner)
                .map_err(|fault| cannot(&fault))?;
            left.insert(service.to_owned());
        } else if service == stores::mongo::UNIT {
            // Without data there is no administrator.
            stores::mongo::expect_no_data(root).map_err(|fault| cannot(&fault))?;
        }
    }
    identity.has_data = left;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::identity::{Purpose, ensure};
    use host::clock::SystemClock;

    fn folders(members: u32) -> Vec<String> {
        (1..=members).map(unit_of).chain(["redis".to_owned()]).collect()
    }

    fn root(folder: &std::path::Path, name: &str) -> (Root, Identity) {
        let root = Root::new(folder.join(name));
        let purpose = Purpose { product: "shop", environment: name };
        let identity = ensure(&root, purpose, &Roots::new(Some(folder.join("state")), None), &SystemClock).unwrap();
        let data = root.data("mongodb");
        files::create_dir(&data, Access::Owner).unwrap();
        files::write(&data.join("collection.wt"), name.as_bytes(), Access::Owner).unwrap();
        note(&root, &folders(1)).unwrap();
        (root, identity)
    }

    fn refused(root: &Root) -> String {
        let identity = identity::read(root).unwrap().unwrap();
        refuse_strange_data(root, &identity)
            .map_or_else(|fault| format!("{fault}: {}", fault.causes.join(": ")), |()| String::new())
    }

    #[test]
    fn data_that_was_there_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (root, _) = root(folder.path(), "staging");
        assert_eq!(refused(&root), "");
        files::remove_dir(&root.data("mongodb")).unwrap();
        assert!(refused(&root).starts_with("the data of mongodb is missing"), "{}", refused(&root));
        files::create_dir(&root.data("mongodb"), Access::Owner).unwrap();
        assert!(refused(&root).starts_with("the data of mongodb is missing"), "an empty folder is no data");
        // Nothing is put in its place by looking.
        note(&root, &folders(1)).unwrap();
        assert!(refused(&root).starts_with("the data of mongodb is missing"));
    }

    #[test]
    fn data_of_another_root_is_refused_until_it_is_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, _) = root(folder.path(), "staging");
        let (production, _) = root(folder.path(), "production");
        files::remove_dir(&staging.data("mongodb")).unwrap();
        files::rename(&production.data("mongodb"), &staging.data("mongodb")).unwrap();
        assert!(refused(&staging).contains("belongs to another environment's root"), "{}", refused(&staging));
        assert!(refused(&production).starts_with("the data of mongodb is missing"));
        for root in [&staging, &production] {
            let mut identity = identity::read(root).unwrap().unwrap();
            take_over(root, &mut identity).unwrap();
            identity::write(root, &identity).unwrap();
            assert_eq!(refused(root), "");
        }
        assert!(files::exists(&staging.data("mongodb").join("collection.wt")));
    }

    #[test]
    fn what_a_member_lost_is_missed_unless_a_majority_of_the_others_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, _) = root(folder.path(), "production");
        for service in ["mongodb-2", "mongodb-3"] {
            files::create_dir(&root.data(service), Access::Owner).unwrap();
            files::write(&root.data(service).join("collection.wt"), b"", Access::Owner).unwrap();
        }
        note(&root, &folders(3)).unwrap();
        files::remove_dir(&root.data("mongodb")).unwrap();
        assert_eq!(refused(&root), "", "the others have it");
        files::remove_dir(&root.data("mongodb-3")).unwrap();
        assert!(refused(&root).starts_with("the data of mongodb is missing"), "{}", refused(&root));
        // Where one member is wanted, the others may be thrown away.
        files::create_dir(&root.data("mongodb"), Access::Owner).unwrap();
        files::write(&root.data("mongodb").join("collection.wt"), b"", Access::Owner).unwrap();
        note(&root, &folders(1)).unwrap();
        files::remove_dir(&root.data("mongodb-2")).unwrap();
        assert_eq!(refused(&root), "");
    }
}
