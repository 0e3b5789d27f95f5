//! A workspace in a repository of its own, a cache of its own, and the program.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

pub(crate) struct Stage {
    folder: tempfile::TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.out.trim()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `package task` → outcome, in order.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let jobs = self.json()["jobs"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut all: Vec<String> = jobs
            .iter()
            .map(|job| format!("{} {} {}", text(&job["package"]), text(&job["task"]), text(&job["outcome"])))
            .collect();
        all.sort();
        all
    }
}

impl Stage {
    /// What every project here has.
    pub(crate) const MANIFEST: &str = r#"
[product]
name = "shop"
[owners.team]
description = "All"
contact = "team@shop.example"
[branches]
main = "production"
[environments.local]
domain = "shop.localhost"
[environments.production]
domain = "shop.example"
[apps.web]
owner = "team"
path = "apps/web"
kind = "static"
hosts = ["www"]
[apps.api]
owner = "team"
path = "apps/api"
kind = "static"
hosts = ["api"]
"#;

    /// Two apps; `web` depends on the package `ui`. Their tasks are what `tasks` says in the manifest.
    pub(crate) fn new(tasks: &str) -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        stage.write("shop/roadbed.toml", &format!("{}{tasks}", Self::MANIFEST));
        stage.write("shop/package.json", r#"{"name": "shop", "workspaces": ["apps/*", "packages/*"]}"#);
        stage.write("shop/.gitignore", "dist/\nran\n");
        stage.write("shop/apps/web/package.json", r#"{"name": "web", "dependencies": {"ui": "*"}}"#);
        stage.write("shop/apps/api/package.json", r#"{"name": "api"}"#);
        stage.write("shop/packages/ui/package.json", r#"{"name": "ui"}"#);
        for folder in ["apps/web", "apps/api", "packages/ui"] {
            stage.write(&format!("shop/{folder}/index.js"), "1\n");
        }
        stage.git(&["init", "--quiet", "--initial-branch=main"]);
        stage.commit();
        stage.git(&["checkout", "--quiet", "-b", "change"]);
        stage
    }

    /// The smallest product that can be deployed, on `main`.
    pub(crate) fn deployable() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        testkit::copy_folder(&testkit::repository().join("tests/faults/project"), &stage.path("shop"));
        stage.write("shop/.gitignore", "dist/\nnode_modules/\n.roadbed*\nrelease/\njunit.xml\nci.sarif\n");
        stage.git(&["init", "--quiet", "--initial-branch=main"]);
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn git(&self, words: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@shop.example", "-c", "commit.gpgsign=false"]);
        assert!(git.args(words).current_dir(self.path("shop")).status().unwrap().success());
    }

    /// What git says, in a line.
    pub(crate) fn said(&self, words: &[&str]) -> String {
        let done = Command::new("git").args(words).current_dir(self.path("shop")).output().unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn revision(&self, name: &str) -> String {
        self.said(&["rev-parse", "--verify", name])
    }

    /// A line with the signature of one of the keys of `keys/`, as a result has it.
    pub(crate) fn signed(&self, key: &str, line: &str) -> String {
        self.write("signing", line);
        let _ = fs::remove_file(self.path("signing.sig"));
        let mut openssh = Command::new("ssh-keygen");
        openssh.args(["-Y", "sign", "-q", "-n", "roadbed-check", "-f"]).arg(self.path("keys").join(key));
        assert!(openssh.arg(self.path("signing")).status().unwrap().success());
        format!("{line}\n{}\n", self.read("signing.sig").trim())
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roadbed"));
        command.args(words).current_dir(self.path("shop")).env_clear().stdin(Stdio::null());
        command.env("HOME", self.path("home")).env("PATH", std::env::var("PATH").unwrap());
        command
    }

    pub(crate) fn run_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Answer {
        answer(&self.command(words).envs(variables.iter().copied()).output().unwrap())
    }

    /// With something to read.
    pub(crate) fn run_fed(&self, words: &[&str], variables: &[(&str, &str)], input: &str) -> Answer {
        let mut command = self.command(words);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Whoever wants nothing has closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        answer(&child.wait_with_output().unwrap())
    }

    pub(crate) fn run(&self, words: &[&str]) -> Answer {
        self.run_with(words, &[])
    }

    /// Folders of kept results.
    pub(crate) fn kept(&self, scope: &str) -> Vec<PathBuf> {
        let folders = |path: PathBuf| {
            fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        folders(self.path("home/.cache/roadbed/ci").join(scope)).into_iter().flat_map(folders).collect()
    }

    /// Every byte of every kept result.
    pub(crate) fn cached_bytes(&self) -> Vec<u8> {
        let files = self
            .kept("trusted")
            .into_iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap())
            .map(|file| file.unwrap().path());
        files
            .flat_map(|file| {
                let bytes = fs::read(&file).unwrap();
                if file.extension().is_some_and(|end| end == "zst") {
                    zstd::decode_all(bytes.as_slice()).unwrap()
                } else {
                    bytes
                }
            })
            .collect()
    }
}

/// What a program came to.
pub(crate) fn answer(done: &std::process::Output) -> Answer {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed().as_secs() < 30, "{what} did not come to be");
        std::thread::yield_now();
    }
}
