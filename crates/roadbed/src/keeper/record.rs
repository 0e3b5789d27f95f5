//! What is known of a unit, on disk: enough for the next keeper to find its process, and never a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::files::{self, Access, FileFault};
use host::process::{Identity, Process};
use manifest::AppName;
use reconcile::Root;
use reconcile::loaded::Loaded;
use reconcile::ports::{Confinement, Limits, RestartPolicy, StopPolicy, UnitKind, UnitSpec};
use serde::{Deserialize, Serialize};

use super::confinement::Missing;
use super::records_folder;

/// Raised when a field changes its meaning. A record of another version is not guessed at.
const VERSION: u32 = 1;

/// One unit on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    pub(super) spec: RecordedSpec,
    pub(super) wanted: Wanted,
    /// The process that runs, or ran last.
    pub(super) process: Option<RecordedProcess>,
    /// Processes before it that were followed by another, and finish what they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) leaving: Vec<RecordedProcess>,
    pub(super) restarts: u32,
    pub(super) last_exit: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wanted {
    Running,
    Held,
}

/// A process, named so that no later one with the same number is taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordedProcess {
    #[serde(flatten)]
    pub(super) identity: Identity,
    pub(super) boot_id: String,
    /// Value of [`super::SPAWN_MARK`].
    pub(super) spawn: String,
    /// The control groups that it was put into.
    #[serde(default)]
    pub(super) groups: Vec<PathBuf>,
    /// How often its group had killed for memory before it began: a group outlives a process.
    #[serde(default)]
    pub(super) killed_before: u64,
    /// Safeguards that could not be had for it, and why.
    #[serde(default)]
    pub(super) missing: Missing,
    /// The keeper that began it knew what must not be in its log; so must whoever reads its output.
    #[serde(default)]
    pub(super) is_redacted: bool,
    /// The secrets that it was started with. Absent in records of keepers that kept no such note.
    #[serde(default)]
    pub(super) loaded: Option<Loaded>,
}

impl RecordedProcess {
    /// A process of which nothing more is known yet.
    pub(super) fn new(identity: Identity, boot_id: String, spawn: String) -> Self {
        Self {
            identity,
            boot_id,
            spawn,
            groups: Vec::new(),
            killed_before: 0,
            missing: Missing::new(),
            is_redacted: false,
            loaded: None,
        }
    }
}

impl RecordedProcess {
    /// The process, if it lives and this is the boot that it was started in.
    pub(super) fn living(&self, boot_id: &str) -> Option<Process> {
        Process::find((self.boot_id == boot_id).then_some(self.identity)?)
    }
}

/// A specification as far as it may lie on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordedSpec {
    pub(super) name: String,
    pub(super) kind: UnitKind,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) cwd: PathBuf,
    /// `None`: not on disk, since it may hold secrets. Only our own roles' environments hold none.
    pub(super) env: Option<BTreeMap<String, String>>,
    /// Absent in records of keepers that knew no such thing.
    #[serde(default)]
    pub(super) in_files: Vec<String>,
    pub(super) revision: String,
    /// For the next start; what the living process has is in its own record.
    #[serde(default)]
    pub(super) loaded: Loaded,
    pub(super) sockets: Vec<String>,
    pub(super) restart: RestartPolicy,
    pub(super) stop: StopPolicy,
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) confinement: Option<Confinement>,
}

impl RecordedSpec {
    /// The recordable part of a specification, and its environment.
    pub(super) fn divide(spec: UnitSpec) -> (Self, BTreeMap<String, String>) {
        let is_own_role = matches!(spec.kind, UnitKind::Edge | UnitKind::Telemetry | UnitKind::Control);
        let recorded = Self {
            name: spec.name,
            kind: spec.kind,
            program: spec.program,
            args: spec.args,
            cwd: spec.cwd,
            env: is_own_role.then(|| spec.env.clone()),
            in_files: spec.in_files,
            revision: spec.revision,
            loaded: spec.loaded,
            sockets: spec.sockets,
            restart: spec.restart,
            stop: spec.stop,
            limits: spec.limits,
            confinement: spec.confinement,
        };
        (recorded, spec.env)
    }

    /// Stands for a unit of which nothing but its name is known.
    pub(super) fn unspecified(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: UnitKind::App,
            program: PathBuf::new(),
            args: Vec::new(),
            cwd: PathBuf::new(),
            env: None,
            revision: String::new(),
            loaded: Loaded::new(),
            in_files: Vec::new(),
            sockets: Vec::new(),
            restart: RestartPolicy::default(),
            stop: StopPolicy::default(),
            limits: Limits::default(),
            confinement: None,
        }
    }
}

/// As it is on disk: a record that was copied here from another root would start that root's control a second time.
#[derive(Serialize)]
struct OnDisk<'a> {
    root: &'a Path,
    #[serde(flatten)]
    record: &'a Record,
}

impl Record {
    pub(super) fn new(spec: RecordedSpec) -> Self {
        let (process, last_exit, leaving) = (None, None, Vec::new());
        Self { version: VERSION, spec, wanted: Wanted::Running, process, leaving, restarts: 0, last_exit }
    }

    pub(super) fn write(&self, root: &Root) -> Result<(), FileFault> {
        let disk = OnDisk { root: root.path(), record: self };
        let text = serde_json::to_vec_pretty(&disk).expect("a record is plain data");
        files::write_durable(&path(root, &self.spec.name), &text, Access::Owner)
    }
}

pub(super) fn remove(root: &Root, name: &str) -> Result<(), FileFault> {
    files::remove(&path(root, name))
}

/// A record that cannot be trusted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged {
    /// Stands in for the unit, so that it is shown until it is specified again.
    pub(super) stand_in: Record,
    /// A sentence for people.
    pub(super) fault: String,
}

/// Reads all records. Damaged ones are moved aside, to be looked at, and returned as such: never taken for absent.
pub(super) fn read_all(root: &Root) -> Result<(Vec<Record>, Vec<Damaged>), FileFault> {
    let mut records = Vec::new();
    let mut damaged = Vec::new();
    for file in files::list(&records_folder(root))? {
        let Some(name) = unit_of(&file) else { continue };
        let bytes = files::read(&file)?;
        match parse(root, &name, &bytes) {
            Ok(record) => records.push(record),
            Err(why) => {
                let aside = file.with_extension("json.damaged");
                files::rename(&file, &aside)?;
                let fault =
                    format!("the record of unit {name:?} is damaged ({why}); it was kept as {}", aside.display());
                let mut stand_in = Record::new(RecordedSpec::unspecified(&name));
                stand_in.last_exit = Some(fault.clone());
                damaged.push(Damaged { stand_in, fault });
            }
        }
    }
    Ok((records, damaged))
}

fn parse(root: &Root, name: &str, bytes: &[u8]) -> Result<Record, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
        root: Option<PathBuf>,
    }
    let Versioned { version, root: written_for } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("its format has version {version}, this program knows {VERSION}"));
    }
    if let Some(other) = written_for.filter(|written_for| written_for != root.path()) {
        return Err(format!("it is of the root {}", other.display()));
    }
    let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if record.spec.name == name { Ok(record) } else { Err(format!("it names unit {:?}", record.spec.name)) }
}

fn path(root: &Root, name: &str) -> PathBuf {
    records_folder(root).join(format!("{name}.json"))
}

/// `None` for what is no record: files moved aside, temporary files of a keeper that was killed while writing.
fn unit_of(file: &std::path::Path) -> Option<String> {
    let name = file.file_name()?.to_str()?.strip_suffix(".json")?;
    is_unit_name(name).then(|| name.to_owned())
}

/// One grammar for all names; whoever has such a name may be part of a path.
pub(super) fn is_unit_name(name: &str) -> bool {
    AppName::new(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        files::create_dir(&records_folder(&root), Access::Owner).unwrap();
        (folder, root)
    }

    fn spec(kind: UnitKind) -> UnitSpec {
        UnitSpec {
            name: "api-1".to_owned(),
            kind,
            program: PathBuf::from("/bin/true"),
            args: Vec::new(),
            cwd: PathBuf::from("/"),
            env: BTreeMap::from([("TOKEN".to_owned(), "s3cret".to_owned())]),
            revision: "1".to_owned(),
            in_files: Vec::new(),
            loaded: BTreeMap::new(),
            sockets: Vec::new(),
            restart: RestartPolicy::default(),
            stop: StopPolicy::default(),
            limits: Limits::default(),
            confinement: None,
        }
    }

    #[test]
    fn an_app_s_environment_is_not_recorded() {
        let (_folder, root) = root();
        for (kind, recorded) in [
            (UnitKind::App, false),
            (UnitKind::Store, false),
            (UnitKind::Edge, true),
            (UnitKind::Telemetry, true),
            (UnitKind::Control, true),
        ] {
            let (spec, env) = RecordedSpec::divide(spec(kind));
            assert_eq!(env["TOKEN"], "s3cret");
            Record::new(spec).write(&root).unwrap();
            let text = files::read_string(&path(&root, "api-1")).unwrap();
            assert_eq!(text.contains("s3cret"), recorded, "{kind:?}");
        }
    }

    #[test]
    fn damage_of_any_kind_is_told_and_kept() {
        let (_folder, root) = root();
        let mut record = Record::new(RecordedSpec::divide(spec(UnitKind::Edge)).0);
        let identity = Identity { pid: 77, start_time: 5 };
        record.process = Some(RecordedProcess::new(identity, "b".to_owned(), "s".to_owned()));
        record.write(&root).unwrap();
        assert_eq!(read_all(&root).unwrap(), (vec![record], vec![]));
        let good = files::read(&path(&root, "api-1")).unwrap();

        let other_version = String::from_utf8(good.clone()).unwrap().replacen("\"version\": 1", "\"version\": 2", 1);
        let other_name = String::from_utf8(good.clone()).unwrap().replacen("api-1", "api-2", 1);
        let other_root = String::from_utf8(good.clone()).unwrap().replacen(root.path().to_str().unwrap(), "/other", 1);
        for bad in [
            other_root.as_bytes(),
            b"",
            &good[..good.len() / 2],
            b"{}",
            other_version.as_bytes(),
            other_name.as_bytes(),
        ] {
            files::write_durable(&path(&root, "api-1"), bad, Access::Owner).unwrap();
            let (records, damaged) = read_all(&root).unwrap();
            assert!(records.is_empty());
            assert!(damaged[0].fault.contains("\"api-1\" is damaged"), "{}", damaged[0].fault);
            assert!(files::exists(&records_folder(&root).join("api-1.json.damaged")));
            assert_eq!(read_all(&root).unwrap(), (vec![], vec![]), "moved aside once");
        }
    }
}
