//! Workflows, run as a code host would, on this machine: by `act`, without containers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::stage::{Answer, Stage};
use crate::tools;

/// What stands in for actions: they are not fetched, and nothing leaves this machine.
const ACTIONS: [(&str, &str); 3] =
    [("actions/upload-artifact", "upload"), ("actions/download-artifact", "download"), ("actions/cache", "cache")];

/// A runner with a home of its own.
pub(crate) struct Runner<'s> {
    stage: &'s Stage,
    home: PathBuf,
    environment: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run(Answer);

/// What happens to pull request 7 of `us/shop`.
pub(crate) struct PullRequest<'p> {
    pub(crate) action: &'p str,
    /// The repository that its branch is in.
    pub(crate) from: &'p str,
    /// Who does it.
    pub(crate) by: &'p str,
}

impl<'s> Runner<'s> {
    /// `roadbed` on it is what is tested.
    pub(crate) fn new(stage: &'s Stage) -> Self {
        let home = stage.path("runner");
        fs::create_dir_all(home.join("bin")).unwrap();
        let program = env!("CARGO_BIN_EXE_roadbed");
        let runner = Self { stage, home, environment: Vec::new(), variables: Vec::new() };
        runner.program("roadbed", &format!("#!/bin/bash\nexec {program} \"$@\"\n"));
        runner
    }

    /// A program that jobs find.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.home.join("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A variable of the repository.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a code host tells each job.
    pub(crate) fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.home.join("artifacts")
    }

    /// A pull request whose branch is checked out, onto `main`.
    pub(crate) fn pull_request(&self) -> Run {
        let base = self.stage.revision("main");
        let event = json!({
            "action": "synchronize", "number": 7,
            "pull_request": {
                "number": 7,
                "base": {"ref": "main", "sha": base, "repo": {"full_name": "us/shop"}},
                "head": {"ref": "change", "sha": self.stage.revision("HEAD"), "repo": {"full_name": "us/shop"}},
            },
        });
        self.run("pull_request", "ci", &event, "ann")
    }

    /// Something happens to a pull request whose branch is checked out.
    pub(crate) fn preview(&self, of: &PullRequest<'_>) -> Run {
        let head = json!({"ref": "change", "sha": self.stage.revision("HEAD"), "repo": {"full_name": of.from}});
        let base = json!({"ref": "main", "sha": self.stage.revision("main"), "repo": {"full_name": "us/shop"}});
        let event =
            json!({"action": of.action, "number": 7, "pull_request": {"number": 7, "base": base, "head": head}});
        self.run("pull_request", "preview", &event, of.by)
    }

    /// A push of the branch that is checked out.
    pub(crate) fn push(&self, workflow: &str) -> Run {
        let branch = self.stage.said(&["symbolic-ref", "--short", "HEAD"]);
        self.run(
            "push",
            workflow,
            &json!({"ref": format!("refs/heads/{branch}"), "after": self.stage.revision("HEAD")}),
            "ann",
        )
    }

    fn run(&self, event: &str, workflow: &str, payload: &Value, actor: &str) -> Run {
        let file = self.home.join("event.json");
        fs::write(&file, payload.to_string()).unwrap();
        let path = format!("{}:{}", self.home.join("bin").display(), std::env::var("PATH").unwrap());
        let mut act = Command::new(tools::act());
        act.arg(event).arg("--workflows").arg(self.stage.path(&format!("shop/.github/workflows/{workflow}.yml")));
        act.arg("--eventpath").arg(&file);
        for runner in ["ubuntu-24.04", "self-hosted"] {
            act.arg("--platform").arg(format!("{runner}=-self-hosted"));
        }
        act.args(["--pull=false", "--actor", actor]);
        // It would listen for the whole network.
        act.args(["--no-cache-server", "--artifact-server-addr", "127.0.0.1"]);
        for (action, folder) in ACTIONS {
            for pin in self.pins(action) {
                act.arg("--local-repository").arg(format!("{action}@{pin}={}", stand_in(folder).display()));
            }
        }
        let artifacts = self.artifacts().display().to_string();
        let given = [("HOME", self.home.display().to_string()), ("PATH", path.clone()), ("TEST_ARTIFACTS", artifacts)];
        for (name, value) in &given {
            act.arg("--env").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.environment {
            act.arg("--env").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.variables {
            act.arg("--var").arg(format!("{name}={value}"));
        }
        act.current_dir(self.stage.path("shop")).env_clear().envs(given).stdin(Stdio::null());
        let done = act.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Run(Answer { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) })
    }

    /// The commits to which the workflows pin an action.
    fn pins(&self, action: &str) -> Vec<String> {
        let mut pins = Vec::new();
        for file in fs::read_dir(self.stage.path("shop/.github/workflows")).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            for line in text.lines() {
                if let Some((_, pin)) = line.split_once(&format!("{action}@")) {
                    pins.push(pin.split(' ').next().unwrap().to_owned());
                }
            }
        }
        pins.sort();
        pins.dedup();
        pins
    }
}

fn stand_in(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ci/actions").join(folder).canonicalize().unwrap()
}

impl Run {
    pub(crate) fn is_green(&self) -> bool {
        self.0.code == 0
    }

    /// How the job of a name ended, if it ran: `None` if it was skipped.
    pub(crate) fn job(&self, name: &str) -> Option<bool> {
        let line = |mark: &str| {
            self.0.out.lines().any(|line| {
                line.split_once(']').is_some_and(|(head, rest)| {
                    let job = head.trim_start_matches('[').rsplit('/').next().unwrap_or_default().trim();
                    job == name && rest.contains(mark)
                })
            })
        };
        match (line("Job succeeded"), line("Job failed")) {
            (_, true) => Some(false),
            (true, false) => Some(true),
            (false, false) => None,
        }
    }

    #[track_caller]
    pub(crate) fn says(&self, what: &str) {
        assert!(self.0.out.contains(what), "it does not say {what:?}:\n{}\n{}", self.0.out, self.0.err);
    }
}
