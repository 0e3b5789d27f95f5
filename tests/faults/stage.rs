//! A copy of the project with a root and a home of its own, and an end that leaves no process behind.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use host::process::table::command_line;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use testkit::marker::{self, Left};
use testkit::{Client, copy_folder, processes_of, repository, vault, wait_until};

use crate::command::{self, Answer, Collected, Running};

/// What is waited for comes within seconds; a machine that is busy elsewhere gets more.
const PATIENCE: Duration = Duration::from_secs(30);

/// One environment and the product that it runs.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Removed at the end; first, so that every path below is dropped before.
    folder: TempDir,
    pub(crate) project: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
    /// Given to every command.
    pub(crate) flags: Vec<String>,
    /// Roadbed.
    pub(crate) program: PathBuf,
    /// What the program is started by, if not directly.
    pub(crate) before: Vec<String>,
    /// All that commands said.
    said: Collected,
    /// Secrets that the environment made, which must come up nowhere. Learnt at its first `up` or `deploy`: a test may break the store after.
    secrets: RefCell<Vec<(String, String)>>,
}

/// A process of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ours {
    pub(crate) pid: u32,
    /// `keeper`, or the name of the unit.
    pub(crate) unit: String,
}

impl Stage {
    /// A project whose packages, all none of them, were installed before: npm takes longer than everything else together.
    pub(crate) fn new() -> Self {
        let stage = Self::fresh();
        let lock = fs::read(stage.project.join("package-lock.json")).unwrap();
        let digest: String = Sha256::digest(lock).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::create_dir(stage.project.join("node_modules")).unwrap();
        stage.write("node_modules/.roadbed-lock-digest", &digest);
        stage
    }

    /// A project as it comes from a clone.
    pub(crate) fn fresh() -> Self {
        let folder = tempfile::Builder::new().prefix("rb-").tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (project, root, home) = (base.join("project"), base.join("root"), base.join("home"));
        copy_folder(&repository().join("tests/faults/project"), &project);
        fs::create_dir(&home).unwrap();
        let env = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", home.display().to_string()),
            ("TERM", "dumb".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).into();
        let (said, secrets) = (Collected::default(), RefCell::default());
        let program = PathBuf::from(env!("CARGO_BIN_EXE_roadbed"));
        Self { folder, project, root, home, env, flags: Vec::new(), program, before: Vec::new(), said, secrets }
    }

    /// Everything of this stage is below it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command to its end.
    pub(crate) fn roadbed(&self, words: &str) -> Answer {
        let answer = self.begin(words).end();
        if ["up", "deploy"].iter().any(|verb| words.starts_with(verb)) && self.secrets.borrow().is_empty() {
            self.learn(&self.root);
        }
        answer
    }

    /// From now on the secrets of this root must come up nowhere.
    pub(crate) fn learn(&self, root: &Path) {
        let [state, config] = [".local/state/roadbed", ".config/roadbed"].map(|folder| self.home.join(folder));
        self.secrets.borrow_mut().extend(vault::secret_variables(root, state, config));
    }

    /// As [`Stage::roadbed`], from a shell that has these variables as well.
    pub(crate) fn roadbed_with(&self, words: &str, variables: &[(&str, &str)]) -> Answer {
        let mut command = self.command(words);
        command.envs(variables.iter().copied());
        command::begin_collected(format!("roadbed {words}"), command, &self.said).end()
    }

    /// As [`Stage::roadbed`], with something to read.
    pub(crate) fn roadbed_reading(&self, words: &str, text: &str) -> Answer {
        let file = self.home.join("typed");
        fs::write(&file, text).unwrap();
        let from = fs::File::open(&file).unwrap();
        fs::remove_file(&file).unwrap();
        command::begin_reading(format!("roadbed {words}"), self.command(words), from.into(), &self.said).end()
    }

    pub(crate) fn begin(&self, words: &str) -> Running {
        command::begin_collected(format!("roadbed {words}"), self.command(words), &self.said)
    }

    fn command(&self, words: &str) -> Command {
        let mut line = self.before.clone();
        line.push(self.program.display().to_string());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(words.split(' ')).arg("--root").arg(&self.root).args(&self.flags);
        command.current_dir(&self.project).env_clear().envs(&self.env);
        command
    }

    /// Up and quick about it: without the gate.
    #[track_caller]
    pub(crate) fn up(&self) -> Answer {
        self.roadbed("up --detach --no-gate").exits(0)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.project.join(file), text).unwrap();
    }

    /// What the app does.
    pub(crate) fn server(&self, source: &str) {
        self.write("web/server.js", source);
    }

    /// Changes the manifest.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.project.join("roadbed.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "the manifest has no {from:?}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn status(&self) -> Value {
        let answer = self.roadbed("status --json").exits(0);
        serde_json::from_str(&answer.out.join("\n")).unwrap()
    }

    /// A unit as `status` tells it.
    pub(crate) fn unit(&self, name: &str) -> Option<Value> {
        self.status()["units"].as_array().unwrap().iter().find(|unit| unit["name"] == name).cloned()
    }

    pub(crate) fn url(&self) -> String {
        self.status()["urls"]["web"].as_str().unwrap_or_default().to_owned()
    }

    /// Every living process of this root.
    pub(crate) fn processes(&self) -> Vec<Ours> {
        processes_of(&self.root).into_iter().map(|(pid, unit)| Ours { pid, unit }).collect()
    }

    pub(crate) fn pid_of(&self, unit: &str) -> Option<u32> {
        let mut of_unit = self.processes().into_iter().filter(|ours| ours.unit == unit).map(|ours| ours.pid);
        match unit {
            // Builds carry the mark of the control that began them.
            "control" => of_unit.find(|pid| command_line(*pid).contains(" control --root ")),
            _ => of_unit.next(),
        }
    }

    /// Kills a unit as a crash would; it may be gone already, or not be there yet.
    pub(crate) fn kill(&self, unit: &str) {
        if let Some(pid) = self.pid_of(unit) {
            signal(pid, "KILL");
        }
    }

    /// Kills everything at once.
    pub(crate) fn kill_all(&self) {
        let all: Vec<u32> = self.processes().iter().map(|ours| ours.pid).collect();
        // Frozen first: whoever dies a moment later would revive the others.
        signals(&all, "STOP");
        signals(&all, "KILL");
        self.is_empty();
    }

    /// What runs in the project and is no unit: builds and installs.
    pub(crate) fn strays(&self) -> Vec<u32> {
        let ours = self.processes();
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| {
                fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder.starts_with(&self.project))
            })
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| ours.iter().all(|ours| ours.pid != *pid))
            .collect()
    }

    /// Nothing of the environment is left.
    #[track_caller]
    pub(crate) fn is_empty(&self) {
        self.until("every process has gone", || self.processes().is_empty());
    }

    /// Names of what runs, sorted; a unit that runs twice is named twice.
    pub(crate) fn units(&self) -> Vec<String> {
        let mut units: Vec<String> = self.processes().into_iter().map(|ours| ours.unit).collect();
        units.sort();
        units
    }

    /// Each unit runs once, and the app answers.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        assert_eq!(self.units(), ["control", "edge", "keeper", "telemetry", "web-1"]);
        self.answers();
    }

    pub(crate) fn client(&self) -> Client {
        Client::trusting(&self.root.join("tls/ca.pem"))
    }

    /// The app answers over HTTPS.
    #[track_caller]
    pub(crate) fn answers(&self) {
        self.serves(&self.url());
    }

    /// The app answers at this address.
    #[track_caller]
    pub(crate) fn serves(&self, url: &str) {
        let answer = self.client().get(url).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "tiny\n"));
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        wait_until(what, PATIENCE, || if holds() { Ok(()) } else { Err(format!("{:?}", self.processes())) });
    }
}

impl Stage {
    /// Ends whatever of it still runs, and nothing else.
    pub(crate) fn end(&self) {
        // Keeper, control and edge revive each other: those who could go first, and again until none is left.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut ours = self.processes();
            if ours.is_empty() || Instant::now() > deadline {
                return;
            }
            ours.sort_by_key(|ours| !matches!(ours.unit.as_str(), "keeper" | "control" | "edge"));
            signals(&ours.iter().map(|ours| ours.pid).collect::<Vec<_>>(), "KILL");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            return;
        }
        let said = self.said.lock().unwrap();
        let left = Left { folder: self.folder.path(), built: &[], begun: SystemTime::now(), said: &said };
        let found = marker::found(&self.secrets.borrow(), &left);
        assert!(found.is_empty(), "a secret came up:\n{}", found.join("\n"));
    }
}

pub(crate) fn signal(pid: u32, signal: &str) {
    signals(&[pid], signal);
}

pub(crate) fn signals(pids: &[u32], signal: &str) {
    // Some may be gone by now; who asks for the effect waits for it.
    let pids = pids.iter().map(ToString::to_string);
    let _ = Command::new("kill").args(["-s", signal]).args(pids).stderr(std::process::Stdio::null()).status();
}
