//! An environment begins anew on an empty machine, with what a backup has of it.
//!
//! ```text
//!   repository + recovery key ─► ROOT.restoring: secrets, state, certificates, Redis's log, objects, the note ─► made one's own ─► ROOT
//!                             └► the shelf of artifacts: what releases are run from
//!   ROOT with the note ─► up ─► MongoDB put back by control ─► the note goes ─► backups go on
//! ```
//!
//! Until it is whole and sealed to this machine's keys it is no root, so a crash leaves nothing that anybody could take for one: the same
//! command begins it again. After that the note says what is still missing, and the same command goes on.

mod releases;

use std::path::PathBuf;
use std::sync::Arc;

use backup::{ClusterTime, Contents, Reader, files_of, log_of, put_log, put_telemetry, restore_store};
use engine::artifact::shelf::Shelf;
use host::clock::Clock;
use host::files::{self, Access, FileFault};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use crate::control::identity::{self, Identity};
use crate::control::{adoption, delivering};
use crate::roots::Roots;
pub use releases::ReleasesBack;

/// Raised when a field changes its meaning.
const FORMAT: u32 = 1;

/// What of the state is worth keeping: proof, tokens, who may enter, incidents, and ports, so that addresses stay. What ran, was
/// lent or was wanted is gone with the machine.
const STATE: [&str; 6] = ["journal.db", "evidence.db", "tokens.db", "access.db", "incidents.db", "ports.json"];

/// The book of deployments, which is worth it where the backup has what it speaks of.
const BOOK: &str = "delivery.db";

/// What is still to be put back: in the root until it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoring {
    format: u32,
    /// Name of the base.
    pub base: String,
    /// The moment that MongoDB is put back to; absent where the environment has none.
    pub until: Option<ClusterTime>,
    /// How many objects were put back, and of how many bytes; absent where the backup has none.
    #[serde(default)]
    pub objects: Option<(u64, u64)>,
    /// What came back of releases; absent where the backup has none.
    #[serde(default)]
    pub releases: Option<ReleasesBack>,
}

fn note_of(root: &Root) -> PathBuf {
    root.state().join("restoring.json")
}

fn cannot(fault: &FileFault) -> Fault {
    Fault::because("cannot begin the environment anew", fault)
        .hint("see whether the disk is full and the folder is yours")
}

/// What is still to be put back, if a restore was begun here and has not ended.
///
/// # Errors
/// Where it cannot be told.
pub fn begun(root: &Root) -> Result<Option<Restoring>, Fault> {
    let path = note_of(root);
    let unreadable = |why: String| {
        Fault::new(format!("cannot tell what is being restored: {} cannot be read", path.display())).cause(why)
    };
    let bytes = files::read_if_exists(&path).map_err(|fault| unreadable(fault.source.to_string()))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let note: Restoring = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if note.format == FORMAT {
        Ok(Some(note))
    } else {
        Err(unreadable(format!("its format is {}, this Roadbed knows {FORMAT}", note.format)))
    }
}

/// Everything is back.
///
/// # Errors
/// Where the note cannot be taken away.
pub fn end(root: &Root) -> Result<(), Fault> {
    files::remove(&note_of(root)).map_err(|fault| cannot(&fault))
}

/// Where a root is prepared: beside its place, on the same disk.
pub fn prepared_in(root: &Root) -> Root {
    let mut name = root.path().file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    Root::new(root.path().with_file_name(name))
}

/// Refuses to begin anew where something is.
///
/// # Errors
/// Where the root has data, secrets or state, or is being restored to another moment.
pub fn refuse_used(root: &Root) -> Result<(), Fault> {
    let has = |folder: PathBuf| !files::list(&folder).unwrap_or_default().is_empty();
    let is_used = identity::read(root)?.is_some()
        || [root.state(), root.secrets(), root.path().join("data")].into_iter().any(has);
    if is_used {
        return Err(Fault::new(format!("cannot begin anew in {}: there is an environment", root.path().display()))
            .cause("a restore from a repository begins where nothing is, so that nothing is lost by it")
            .hint("`roadbed restore --in-place` replaces what lives; --root names another folder"));
    }
    Ok(())
}

/// What a root is begun with.
#[derive(Clone, Copy, Debug)]
pub struct What<'w> {
    pub reader: &'w Arc<Reader>,
    pub contents: &'w Contents,
    /// Name of the base.
    pub base: &'w str,
    /// The moment that MongoDB is put back to.
    pub until: ClusterTime,
    /// Where this machine keeps artifacts.
    pub shelf: &'w Shelf,
}

/// Prepares a root with everything of a backup but MongoDB's documents, makes it this machine's own, and puts it in its place. Returns what
/// is still to be put back.
///
/// # Errors
/// Where something of the backup is damaged, or none of the keys opens its secrets. Then nothing is in its place.
pub async fn plant(
    root: &Root,
    what: &What<'_>,
    (roots, identities): (&Roots, Vec<PathBuf>),
    clock: &Arc<dyn Clock>,
) -> Result<Restoring, Fault> {
    let (prepared, What { reader, contents, base, until, shelf }) = (prepared_in(root), *what);
    let files = files_of(reader, contents).await?;
    let mut logs = Vec::new();
    for of in &contents.redis {
        logs.push((of.unit.clone(), log_of(reader, of).await?));
    }
    // What a crash left of the attempt before, but for the lock that is held.
    for left in files::list(prepared.path()).map_err(|fault| cannot(&fault))? {
        if left == prepared.command_lock() {
            continue;
        }
        let gone = if files::is_dir(&left) { files::remove_dir(&left) } else { files::remove(&left) };
        gone.map_err(|fault| cannot(&fault))?;
    }
    let found = put_files(&prepared, &files, contents.releases.is_some())?;
    let releases = match &contents.releases {
        Some(of) => Some(releases::bring_back(reader, of, shelf, delivering::path(&prepared), clock).await?),
        None => None,
    };
    let has = |name: &str| files::exists(&prepared.state().join(name));
    let has_state = has("journal.db") && has("evidence.db");
    let found = Identity { has_deliveries: has(BOOK), has_state, ..found };
    for (unit, log) in &logs {
        let data = prepared.data(unit);
        files::create_dir(&data, Access::Owner).map_err(|fault| cannot(&fault))?;
        put_log(&data, log)?;
    }
    if let Some(of) = &contents.objects {
        restore_store(reader, of, &prepared.data(stores::objects::UNIT)).await?;
    }
    if let Some(of) = &contents.telemetry {
        let (reader, of, folder) = (reader.clone(), of.clone(), prepared.telemetry());
        let putting = tokio::task::spawn_blocking(move || put_telemetry(&reader, &of, &folder)).await;
        putting.map_err(|error| Fault::because("cannot put telemetry of the backup in place", &error))??;
    }
    let until = contents.mongodb.as_ref().map(|_| until);
    let objects = contents.objects.as_ref().map(|of| (of.objects(), of.bytes()));
    let note = Restoring { format: FORMAT, base: base.to_owned(), until, objects, releases };
    let text = serde_json::to_vec_pretty(&note).expect("plain data");
    files::write_durable(&note_of(&prepared), &text, Access::Owner).map_err(|fault| cannot(&fault))?;
    identity::write(&prepared, &found)?;
    adoption::adopt_with(&prepared, roots, clock, identities)?;
    // An empty folder may lie there, with the lock of a command that came to nothing.
    files::remove_dir(root.path()).map_err(|fault| cannot(&fault))?;
    files::place_folder(prepared.path(), root.path()).map_err(|fault| cannot(&fault))?;
    Ok(note)
}

/// Writes what is worth keeping into the root that is prepared. Returns whose it was.
fn put_files(prepared: &Root, files: &[(String, Vec<u8>)], with_book: bool) -> Result<Identity, Fault> {
    let folders = [prepared.state(), prepared.secrets(), prepared.tls()];
    for folder in &folders {
        files::create_dir(folder, Access::Owner).map_err(|fault| cannot(&fault))?;
    }
    let mut found: Option<Identity> = None;
    for (path, content) in files {
        let place = prepared.path().join(path);
        if place == prepared.identity() {
            found = Some(
                serde_json::from_slice(content)
                    .map_err(|error| Fault::because("cannot use what the backup says of its environment", &error))?,
            );
            continue;
        }
        let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let of_state = place.parent() == Some(prepared.state().as_path());
        let is_kept = (of_state && (STATE.contains(&name) || (with_book && name == BOOK)))
            || place.starts_with(prepared.secrets())
            || place.starts_with(prepared.tls());
        if !is_kept || path.split('/').any(|part| part == "..") {
            continue;
        }
        if let Some(folder) = place.parent() {
            files::create_dir(folder, Access::Owner).map_err(|fault| cannot(&fault))?;
        }
        let access = if place == prepared.ca_certificate() { Access::Everyone } else { Access::Owner };
        files::write(&place, content, access).map_err(|fault| cannot(&fault))?;
    }
    found.ok_or_else(|| Fault::new("the backup does not say whose it is"))
}
