//! What `server install` makes, what it noted of it, and what there is.

use std::path::{Path, PathBuf};

use host::files::{self, Access};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::unit::{MARK, Subject};

const VERSION: u32 = 1;

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub path: PathBuf,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(String),
    LeadsTo(PathBuf),
}

impl Content {
    fn digest(&self) -> String {
        let bytes = match self {
            Self::Text(text) => text.as_bytes(),
            Self::LeadsTo(target) => target.as_os_str().as_encoded_bytes(),
        };
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// All that is to be made, in order.
pub fn pieces(subject: &Subject<'_>, prefix: &Path) -> Vec<Piece> {
    let name = subject.name();
    let below = |folder: &str, file: String| prefix.join(folder).join(file);
    let mut pieces = Vec::new();
    if let Some(text) = subject.sysusers() {
        pieces.push(Piece { path: below("etc/sysusers.d", format!("{name}.conf")), content: Content::Text(text) });
    }
    pieces.push(Piece {
        path: below("etc/tmpfiles.d", format!("{name}.conf")),
        content: Content::Text(subject.tmpfiles()),
    });
    let service = format!("{name}.service");
    pieces
        .push(Piece { path: below("etc/systemd/system", service.clone()), content: Content::Text(subject.service()) });
    // What `systemctl enable` makes of [Install].
    pieces.push(Piece {
        path: below("etc/systemd/system/multi-user.target.wants", service.clone()),
        content: Content::LeadsTo(Path::new("..").join(service)),
    });
    pieces
}

/// What was made, on disk before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// Name of the service, without its ending.
    pub name: String,
    pub user: Option<String>,
    pub prefix: PathBuf,
    pub files: Vec<Made>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub path: PathBuf,
    sha256: String,
}

impl Record {
    pub fn new(subject: &Subject<'_>, prefix: &Path, pieces: &[Piece]) -> Self {
        let made = |piece: &Piece| Made { path: piece.path.clone(), sha256: piece.content.digest() };
        Self {
            version: VERSION,
            name: subject.name(),
            user: subject.user.map(str::to_owned),
            prefix: prefix.to_owned(),
            files: pieces.iter().map(made).collect(),
        }
    }

    pub fn service(&self) -> String {
        format!("{}.service", self.name)
    }
}

/// `None`: nothing was installed.
pub fn read(root: &Root) -> Result<Option<Record>, Fault> {
    let path = path(root);
    let cannot =
        |error: &(dyn std::error::Error + 'static)| Fault::because(format!("cannot read {}", path.display()), error);
    let Some(bytes) = files::read_if_exists(&path).map_err(|fault| cannot(&fault))? else { return Ok(None) };
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| cannot(&error))?;
    if record.version == VERSION {
        return Ok(Some(record));
    }
    Err(Fault::new(format!("cannot read {}: its format has version {}", path.display(), record.version))
        .hint("use the Roadbed that wrote it, or a later one"))
}

pub fn write(root: &Root, record: &Record) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(record).expect("a record is plain data");
    files::write_durable(&path(root), &text, Access::Owner)
        .map_err(|fault| Fault::because("cannot note what is installed", &fault))
}

pub fn forget(root: &Root) -> Result<(), Fault> {
    files::remove(&path(root)).map_err(|fault| Fault::because("cannot forget what was installed", &fault))
}

fn path(root: &Root) -> PathBuf {
    root.state().join("server.json")
}

/// What there is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum There {
    AsItShouldBe,
    Missing,
    /// As an earlier install wrote it; this one would write something else.
    Outdated,
    /// Somebody changed it since.
    Changed,
    /// Not ours.
    Strangers,
}

/// Looks at the place of a piece. `noted`: what an earlier install wrote there.
pub fn look(piece: &Piece, noted: Option<&Made>, root: &Root) -> Result<There, Fault> {
    let cannot = |fault: files::FileFault| Fault::because("cannot look at what is installed", &fault);
    let found = found(&piece.path).map_err(cannot)?;
    Ok(match found {
        None => There::Missing,
        Some(found) if found == piece.content => There::AsItShouldBe,
        Some(found) if noted.is_some_and(|made| made.sha256 == found.digest()) => There::Outdated,
        Some(_) if noted.is_some() => There::Changed,
        // The note was lost, and the file says whose it is.
        Some(Content::Text(text)) if text.starts_with(&format!("{MARK}{}\n", root.path().display())) => There::Changed,
        Some(_) => There::Strangers,
    })
}

/// What is to be taken away: what is still as it was made. The second: what somebody changed, which stays.
pub fn still_ours(record: &Record) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Fault> {
    let cannot = |fault: files::FileFault| Fault::because("cannot look at what is installed", &fault);
    let (mut ours, mut changed) = (Vec::new(), Vec::new());
    for made in &record.files {
        match found(&made.path).map_err(cannot)? {
            None => {}
            Some(found) if found.digest() == made.sha256 => ours.push(made.path.clone()),
            Some(_) => changed.push(made.path.clone()),
        }
    }
    Ok((ours, changed))
}

fn found(path: &Path) -> files::Result<Option<Content>> {
    if let Some(target) = if files::is_link(path) { files::link_target(path)? } else { None } {
        return Ok(Some(Content::LeadsTo(target)));
    }
    let bytes = files::read_if_exists(path)?;
    Ok(bytes.map(|bytes| Content::Text(String::from_utf8_lossy(&bytes).into_owned())))
}

/// Makes one piece.
pub fn make(piece: &Piece) -> Result<(), Fault> {
    let cannot = |fault: files::FileFault| {
        Fault::because(format!("cannot write {}", piece.path.display()), &fault)
            .hint("run it with `sudo`, or write below a folder of your own with --prefix")
    };
    if let Some(folder) = piece.path.parent() {
        files::create_dir(folder, Access::Everyone).map_err(cannot)?;
    }
    match &piece.content {
        Content::Text(text) => files::write_durable(&piece.path, text.as_bytes(), Access::Everyone).map_err(cannot),
        Content::LeadsTo(target) => {
            files::remove(&piece.path).map_err(cannot)?;
            files::symlink(target, &piece.path).map_err(cannot)
        }
    }
}
