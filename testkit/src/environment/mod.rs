//! One running environment of a test, and its end.

mod secrecy;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{self, Ran};
use crate::{Client, abandoned, leftovers, processes_of, wait_until};
use secrecy::Marking;

/// Enough for a first `up` that fetches engines, installs packages and builds three apps on a busy machine.
const UP_DEADLINE: Duration = Duration::from_secs(20 * 60);

/// Whatever does not build anything.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a command needs to find programs, caches, proxies and certificates. Nothing else of the caller's environment reaches
/// the product.
const PASSED_ON: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
];
const PASSED_ON_BEGINNINGS: [&str; 2] = ["npm_config_", "PIP_"];

/// Names another build of the program, for instance an optimised one.
const OTHER_PROGRAM: &str = "ROADBED_PROGRAM";

/// Set to keep the folders of a test that failed.
const KEEP: &str = "ROADBED_TEST_KEEP";

/// A project, a root of its own and the program. When it is dropped, nothing of it runs any more.
#[derive(Debug)]
pub struct Environment {
    program: PathBuf,
    project: PathBuf,
    root: PathBuf,
    variables: BTreeMap<String, String>,
    /// Given to every command, for instance `--manifest FILE`.
    flags: Vec<String>,
    /// Whether a secret of its own is set before the first `up`.
    marking: Mutex<Marking>,
    /// Secrets that were set, by name, which must come up nowhere.
    secrets: Mutex<Vec<(String, String)>>,
    /// Names of secrets that the test itself shows.
    shown: Mutex<Vec<String>>,
    /// What was written in shared folders before is not this environment's.
    begun: SystemTime,
    /// What commands said.
    said: Mutex<String>,
    /// Last, so that it goes when nothing uses it any more.
    folder: TempDir,
}

/// A process that the keeper keeps, as `status --json` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    pub kind: String,
    pub state: String,
    pub pid: Option<u32>,
    pub restarts: u64,
}

impl Environment {
    /// `program` is the caller's `env!("CARGO_BIN_EXE_roadbed")`; `project` is the folder that holds `roadbed.toml`.
    pub fn new(program: &str, project: &Path) -> Self {
        abandoned::sweep();
        let folder = tempfile::Builder::new().prefix(abandoned::PREFIX).tempdir_in(abandoned::PLACE).unwrap();
        abandoned::claim(folder.path());
        let mut variables: BTreeMap<String, String> = std::env::vars()
            .filter(|(name, _)| {
                PASSED_ON.contains(&name.as_str())
                    || PASSED_ON_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
                    || name.to_ascii_lowercase().ends_with("_proxy")
            })
            .collect();
        // Other tests' environments are no neighbours of this one: some of them are broken on purpose.
        variables.insert("XDG_STATE_HOME".to_owned(), folder.path().join("state").display().to_string());
        // Nor has the user who runs the tests anything to do with their secrets.
        variables.insert("XDG_CONFIG_HOME".to_owned(), folder.path().join("config").display().to_string());
        Self {
            program: std::env::var_os(OTHER_PROGRAM).map_or_else(|| program.into(), PathBuf::from),
            project: fs::canonicalize(project).unwrap(),
            root: fs::canonicalize(folder.path()).unwrap().join("root"),
            variables,
            flags: Vec::new(),
            marking: Mutex::new(Marking::Due),
            secrets: Mutex::default(),
            shown: Mutex::default(),
            begun: SystemTime::now(),
            said: Mutex::default(),
            folder,
        }
    }

    /// Gives this to every command.
    pub fn with_flags(mut self, flags: &[&str]) -> Self {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self
    }

    /// Sets no secret of its own: for tests of what happens without.
    pub fn unmarked(self) -> Self {
        *self.marking.lock().unwrap() = Marking::Over;
        self
    }

    /// This test shows the value of a variable on purpose, so it may come up.
    pub fn shows(&self, name: &str) {
        self.shown.lock().unwrap().push(name.to_owned());
    }

    /// Another environment of the same user: the two know of each other.
    pub fn neighbour_of(self, other: &Self) -> Self {
        let [state, config] = ["XDG_STATE_HOME", "XDG_CONFIG_HOME"].map(|name| other.variables[name].clone());
        self.with_variable("XDG_STATE_HOME", &state).with_variable("XDG_CONFIG_HOME", &config)
    }

    /// The environment of a checkout that somebody else makes: a push, for instance.
    pub fn of_checkout(mut self, checkout: &Path, environment: &str) -> Self {
        checkout.clone_into(&mut self.project);
        self.root = checkout.join(".roadbed-envs").join(environment);
        self.with_flags(&["--env", environment])
    }

    /// Gives every command this variable too.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What every command is given.
    pub fn flags(&self) -> &[String] {
        &self.flags
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn project(&self) -> &Path {
        &self.project
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A folder for whatever a test needs beside the root; it goes with the environment.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// What commands of this environment are started with, without the root.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Runs `roadbed ARGS` in the project.
    #[track_caller]
    #[must_use = "a command that failed must not pass unseen"]
    pub fn roadbed(&self, args: &[&str]) -> Ran {
        self.roadbed_within(DEADLINE, args)
    }

    #[track_caller]
    #[must_use = "a command that failed must not pass unseen"]
    pub fn roadbed_within(&self, deadline: Duration, args: &[&str]) -> Ran {
        self.roadbed_with(deadline, args, "")
    }

    /// Runs `roadbed ARGS` in the project, with `input` on its stdin.
    #[track_caller]
    #[must_use = "a command that failed must not pass unseen"]
    pub fn roadbed_with(&self, deadline: Duration, args: &[&str], input: &str) -> Ran {
        if args.first() == Some(&"up") {
            self.mark(args);
        }
        let root = self.root.display().to_string();
        let mut all = args.to_vec();
        all.extend(["--root", &root]);
        all.extend(self.flags.iter().map(String::as_str));
        let ran = command::run_with(&self.program, &all, &self.project, &self.variables, deadline, input);
        let mut said = self.said.lock().unwrap();
        [&ran.stdout, &ran.stderr].into_iter().for_each(|text| said.push_str(text));
        ran
    }

    /// Sets a secret of this environment. At the end of the test its value must be in no byte that was written or said.
    #[track_caller]
    pub fn set_secret(&self, name: &str, value: &str) {
        let _ = self.roadbed_with(DEADLINE, &["secrets", "set", name], value).expect(0);
        self.remember(name, value);
    }

    /// Somebody else's secret, which must come up here as little as one's own.
    pub fn must_not_show(&self, name: &str, value: &str) {
        self.remember(name, value);
    }

    /// `up --detach`, which must end with a gate that holds.
    #[track_caller]
    pub fn up(&self) -> Ran {
        self.up_with(&[])
    }

    #[track_caller]
    pub fn up_with(&self, args: &[&str]) -> Ran {
        let mut all = vec!["up", "--detach"];
        all.extend(args);
        self.roadbed_within(UP_DEADLINE, &all).expect(0)
    }

    #[track_caller]
    pub fn down(&self) -> Ran {
        self.roadbed(&["down"]).expect(0)
    }

    /// The document of `status --json`.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.roadbed(&["status", "--json"]).expect(0).json()
    }

    /// The document of `ready --json`, of these checks or of all; the exit code must agree with it.
    #[track_caller]
    pub fn ready(&self, only: &[&str]) -> Value {
        let only = only.join(",");
        let mut args = vec!["ready", "--json"];
        if !only.is_empty() {
            args.extend(["--only", &only]);
        }
        let ran = self.roadbed(&args);
        let report = ran.json();
        let code = if report["holds"] == Value::Bool(true) { 0 } else { 1 };
        let _ = ran.expect(code);
        report
    }

    #[track_caller]
    pub fn units(&self) -> Vec<Unit> {
        units_in(&self.status())
    }

    #[track_caller]
    pub fn unit(&self, name: &str) -> Option<Unit> {
        self.units().into_iter().find(|unit| unit.name == name)
    }

    /// The process of a unit that runs.
    #[track_caller]
    pub fn pid_of(&self, unit: &str) -> u32 {
        wait_until(&format!("{unit} has a process"), Duration::from_secs(30), || {
            let units = self.units();
            let found = units.iter().find(|found| found.name == unit && found.state == "running");
            found.and_then(|found| found.pid).ok_or_else(|| format!("{units:?}"))
        })
    }

    /// The keeper of this root, if one lives.
    pub fn keeper_pid(&self) -> Option<u32> {
        processes_of(&self.root).into_iter().find(|(_, unit)| unit == "keeper").map(|(pid, _)| pid)
    }

    /// Kills a unit, or the keeper, as a crash would. Returns which process that was.
    #[track_caller]
    pub fn kill9(&self, unit: &str) -> u32 {
        let pid = if unit == "keeper" { self.keeper_pid().expect("a keeper lives") } else { self.pid_of(unit) };
        host::drill::kill(pid).unwrap_or_else(|error| panic!("cannot kill {unit} with pid {pid}: {error}"));
        pid
    }

    /// Another process than `before` runs for this unit. Whoever killed one asks this before he asks how things are: they
    /// may look well in the moment in which nobody has noticed yet.
    pub fn runs_anew(&self, unit: &str, before: u32) -> Result<(), String> {
        if unit == "keeper" {
            return match self.keeper_pid() {
                Some(now) if now != before => Ok(()),
                other => Err(format!("keeper: {other:?}")),
            };
        }
        match self.unit(unit) {
            Some(Unit { pid: Some(now), state, .. }) if now != before && state == "running" => Ok(()),
            other => Err(format!("{unit}: {other:?}")),
        }
    }

    /// The public address of an app, without a slash at its end.
    #[track_caller]
    pub fn url(&self, app: &str) -> String {
        let status = self.status();
        let url = status["urls"][app].as_str().unwrap_or_else(|| panic!("{app} has no address: {status:#}"));
        url.trim_end_matches('/').to_owned()
    }

    /// A visitor who trusts this environment's authority and nobody else.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::trusting(&self.root.join("tls/ca.pem"))
    }

    /// What a unit, the keeper or the edge's access log wrote.
    pub fn log(&self, name: &str) -> String {
        let bytes = fs::read(self.root.join("logs").join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The units of a status document.
#[track_caller]
fn units_in(status: &Value) -> Vec<Unit> {
    let units = status["units"].as_array().unwrap_or_else(|| panic!("a status without units: {status:#}"));
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {status:#}")).to_owned();
    units
        .iter()
        .map(|unit| Unit {
            name: text(&unit["name"]),
            kind: text(&unit["kind"]),
            state: text(&unit["state"]),
            pid: unit["pid"].as_u64().map(|pid| u32::try_from(pid).unwrap()),
            restarts: unit["restarts"].as_u64().unwrap_or_else(|| panic!("no count: {status:#}")),
        })
        .collect()
}

impl Drop for Environment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_what_was();
            if std::env::var_os(KEEP).is_some() {
                abandoned::keep(self.folder.path());
                self.folder.disable_cleanup(true);
                eprintln!("kept: {}", self.folder.path().display());
            }
        }
        if !processes_of(&self.root).is_empty() {
            // A test that failed may have left a root that cannot be stopped in order.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _ = self.roadbed_within(Duration::from_secs(60), &["down"]);
            }));
            leftovers::kill_all(&self.root);
        }
        self.secrets_stayed_secret();
    }
}

impl Environment {
    /// For whoever reads the failure: the last lines of everybody.
    fn tell_what_was(&self) {
        const LINES: usize = 10;
        eprintln!("---- processes of {}: {:?}", self.root.display(), processes_of(&self.root));
        let logs = fs::read_dir(self.root.join("logs")).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
            let bytes = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("---- {}", path.display());
            lines[lines.len().saturating_sub(LINES)..]
                .iter()
                .for_each(|line| eprintln!("{}", &line[..line.floor_char_boundary(260)]));
        }
    }
}
