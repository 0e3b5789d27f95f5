//! One root folder with a keeper, and what a test does to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files;
use host::process::{Process, Signal, table};
use reconcile::Root;
use reconcile::ports::{Limits, RestartPolicy, StopPolicy, UnitKind, UnitSpec, UnitState, UnitStatus, Units};
use roadbed::keeper::client::KeeperClient;
use roadbed::keeper::{self, UNIT_MARK};

/// Longest wait for a state that should come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_roadbed"))
}

/// A root of its own. Whatever still runs there when the test ends is killed.
pub(crate) struct Environment {
    pub(crate) root: Root,
    pub(crate) client: KeeperClient,
    _folder: tempfile::TempDir,
}

impl Environment {
    pub(crate) async fn start() -> Self {
        let environment = Self::new();
        environment.launch().await;
        environment
    }

    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Longer than a socket address can say, as a checkout deep in somebody's home may be.
        let deep = ["a folder with blanks", "and-a-rather-long-name-of-a-folder", "one-more-of-them-to-be-really-sure"];
        let path = deep.iter().fold(folder.path().to_owned(), |path, part| path.join(part)).join(".roadbed");
        assert!(path.as_os_str().len() > 108);
        let root = Root::new(path);
        Self { client: KeeperClient::new(root.clone()), root, _folder: folder }
    }

    pub(crate) async fn launch(&self) {
        keeper::launch_program(&self.root, program()).await.unwrap();
    }

    /// The keeper that answers, waiting for one that is being revived.
    pub(crate) async fn keeper_pid(&self) -> u32 {
        eventually("a keeper answers", async || self.client.health().await.ok()).await.pid
    }

    /// Ends the keeper as a crash would, and returns when it is dead.
    pub(crate) async fn kill_keeper(&self) -> u32 {
        let keeper = Process::open(self.keeper_pid().await).unwrap();
        keeper.signal(Signal::KILL).unwrap();
        keeper.ended().await.unwrap();
        keeper.pid()
    }

    pub(crate) async fn status(&self, unit: &str) -> Option<UnitStatus> {
        self.client.list().await.unwrap().into_iter().find(|status| status.name == unit)
    }

    /// Waits until a unit runs, with another process than `before`.
    pub(crate) async fn running_again(&self, unit: &str, before: Option<u32>) -> u32 {
        let what = format!("{unit} runs with another process than {before:?}");
        eventually(&what, async || {
            let units = self.client.list().await.ok()?;
            let status = units.into_iter().find(|status| status.name == unit)?;
            (status.state == UnitState::Running && status.pid != before).then_some(status.pid?)
        })
        .await
    }

    pub(crate) async fn in_state(&self, unit: &str, state: UnitState) -> UnitStatus {
        let what = format!("{unit} is {state:?}");
        eventually(&what, async || {
            let units = self.client.list().await.ok()?;
            units.into_iter().find(|status| status.name == unit && status.state == state)
        })
        .await
    }

    /// Processes that lead a session and carry the mark of a unit of this root.
    pub(crate) fn instances(&self, unit: &str) -> Vec<u32> {
        let mark = format!("{}/{unit}", self.root.path().display());
        self.marked()
            .filter(|(entry, found)| *found == mark && entry.session == entry.pid)
            .map(|(entry, _)| entry.pid)
            .collect()
    }

    fn marked(&self) -> impl Iterator<Item = (table::Entry, String)> {
        let prefix = format!("{}/", self.root.path().display());
        table::entries().into_iter().filter(|entry| !entry.is_dead()).filter_map(move |entry| {
            let mark = table::environment(entry.pid).remove(UNIT_MARK)?;
            mark.starts_with(&prefix).then_some((entry, mark))
        })
    }

    pub(crate) fn log(&self, unit: &str) -> String {
        files::read_string(&self.root.log_of(unit)).unwrap_or_default()
    }

    pub(crate) async fn tail(&self, unit: &str) -> Vec<String> {
        self.client.tail(unit, 1_000_000).await.unwrap()
    }

    pub(crate) fn record(&self, unit: &str) -> PathBuf {
        self.root.run().join("units").join(format!("{unit}.json"))
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // First the marker, so that no role revives the keeper; then the keeper, so that it restarts no unit.
        let _ = files::create_dir(&self.root.run(), files::Access::Owner);
        let _ = files::write_durable(&self.root.run().join("down"), b"the test is over", files::Access::Owner);
        for _ in 0..20 {
            let root = self.root.path().to_string_lossy().into_owned();
            let keepers = table::entries()
                .into_iter()
                .filter(|entry| {
                    !entry.is_dead() && table::command_line(entry.pid).ends_with(&format!("keeper --root {root}"))
                })
                .map(|entry| entry.pid);
            let left: Vec<u32> = keepers.chain(self.marked().map(|(entry, _)| entry.pid)).collect();
            if left.is_empty() {
                return;
            }
            for pid in left {
                if let Ok(process) = Process::open(pid) {
                    let _ = process.signal(Signal::KILL);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An app that is a shell script.
pub(crate) fn app(name: &str, script: &str) -> UnitSpec {
    UnitSpec {
        name: name.to_owned(),
        kind: UnitKind::App,
        program: PathBuf::from("sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
        cwd: PathBuf::from("/"),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        revision: "1".to_owned(),
        in_files: Vec::new(),
        loaded: BTreeMap::new(),
        sockets: Vec::new(),
        restart: RestartPolicy { first_delay: Duration::from_millis(20), ..RestartPolicy::default() },
        stop: StopPolicy { grace: Duration::from_secs(10) },
        limits: Limits::default(),
        confinement: None,
    }
}

/// Nothing to do but to live.
pub(crate) const LIVE: &str = "exec sleep 100000";

/// Waits until `look` sees something; says what it waited for if it never comes.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not seen in {PATIENCE:?}: {what}"))
}

pub(crate) fn is_dead(pid: u32) -> bool {
    table::entry(pid).is_none_or(|entry| entry.is_dead())
}
