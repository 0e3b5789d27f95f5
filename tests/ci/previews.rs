//! `preview.yml`: a pull request has its preview while it is open, and nothing of a stranger's commit is run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::{Client, processes_of};

use crate::runner::{PullRequest, Runner};
use crate::stage::{Stage, wait_until};

/// The checkout on the machine of the previews; what is up is taken away with the test.
struct Machine<'s> {
    stage: &'s Stage,
    checkout: PathBuf,
}

impl<'s> Machine<'s> {
    /// Of what is on `main`.
    fn of(stage: &'s Stage) -> Self {
        let checkout = stage.path("previews");
        let path = checkout.display().to_string();
        stage.git(&["clone", "--quiet", ".", &path]);
        Self { stage, checkout }
    }

    fn roadbed(&self, words: &[&str]) -> (i32, String) {
        let mut command = self.stage.command(words);
        // Runs of the workflow have this home.
        command.current_dir(&self.checkout).env("HOME", self.stage.path("runner"));
        let answer = crate::stage::answer(&command.output().unwrap());
        (answer.code, answer.out)
    }

    fn root(&self) -> PathBuf {
        self.checkout.join(".roadbed-envs/preview/pr-7")
    }

    fn listed(&self) -> Vec<Value> {
        let (code, out) = self.roadbed(&["preview", "list", "--json"]);
        assert_eq!(code, 0, "{out}");
        let list: Value = serde_json::from_str(out.trim()).unwrap();
        list["previews"].as_array().unwrap().clone()
    }

    /// What visitors of it see.
    fn page(&self, url: &str) -> String {
        Client::trusting(&self.root().join("tls/ca.pem")).get(url).unwrap().body
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if self.root().exists() {
            self.roadbed(&["preview", "down", "7"]);
        }
    }
}

/// `ann` may have commits built; GitHub has the repository as `us/shop`.
fn staged() -> Stage {
    let stage = Stage::deployable();
    let key = stage.path("ann");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "ann", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let ann = fs::read_to_string(key.with_extension("pub")).unwrap();
    let manifest = stage.read("shop/roadbed.toml").replace("[branches]\nmain = \"production\"\n", "").replace(
        "[environments.production]\ndomain = \"tiny.example\"\n",
        &format!(
            "[people.ann]\nssh = [\"{}\"]\n\n\
             [environments.preview]\ndomain = \"pr-{{pr}}.tiny.localhost\"\nper = \"pull-request\"\nttl = \"7d\"\n\
             builders = [\"ann\"]\nrollout = {{ verify = \"1s\" }}\n\n\
             [ci.workflows]\npreviews = [\"self-hosted\"]\n",
            ann.trim()
        ),
    );
    stage.write("shop/roadbed.toml", &manifest);
    let generated = stage.run(&["generate"]);
    assert_eq!(generated.code, 0, "{generated:?}");
    stage.commit();
    stage.git(&["remote", "add", "origin", "https://github.com/us/shop.git"]);
    stage
}

/// A page of the pull request, as its newest commit.
fn pushed(stage: &Stage, says: &str) -> String {
    let server = stage.read("shop/web/server.js");
    assert!(server.contains("tiny"));
    let line = server.lines().find(|line| line.contains("tiny")).unwrap().to_owned();
    let start = line.find("tiny").unwrap();
    let end = line[start..].find(['\\', '"', '`']).unwrap() + start;
    stage.write("shop/web/server.js", &server.replace(&line[start..end], says));
    stage.commit();
    let head = stage.revision("HEAD");
    stage.git(&["update-ref", "refs/pull/7/head", &head]);
    head
}

#[test]
fn a_pull_request_has_its_preview_while_it_is_open_and_a_strangers_commit_waits_for_a_word() {
    let stage = staged();
    let machine = Machine::of(&stage);
    stage.git(&["checkout", "--quiet", "-b", "change"]);
    let runner = Runner::new(&stage).with_variable("ROADBED_PREVIEWS", &machine.checkout.display().to_string());
    // What a job adds to its summary is shown at its end.
    let program = env!("CARGO_BIN_EXE_roadbed");
    runner.program(
        "roadbed",
        &format!("#!/bin/bash\n{program} \"$@\"\ncode=$?\nsed 's/^/summary: /' \"$GITHUB_STEP_SUMMARY\"\nexit $code\n"),
    );
    let of = |action: &'static str| PullRequest { action, from: "us/shop", by: "ann" };

    // A fork's is not made, and it is said what it waits for. Nor is what somebody pushes who may not have commits built.
    let strange = pushed(&stage, "tiny of a stranger");
    let fork = runner.preview(&PullRequest { from: "them/shop", ..of("opened") });
    assert!(fork.is_green(), "{fork:?}");
    assert_eq!((fork.job("Up"), fork.job("Not made"), fork.job("Down")), (None, Some(true), None), "{fork:?}");
    fork.says(&format!("roadbed preview allow 7 --commit {strange}"));
    let eve = runner.preview(&PullRequest { by: "eve", ..of("opened") });
    assert!(!eve.is_green() && eve.job("Up") == Some(false), "{eve:?}");
    eve.says("nobody allowed that commit of pull request 7");
    assert!(!machine.root().exists() && machine.listed().is_empty(), "nothing of it was run");

    let first = pushed(&stage, "tiny of seven");
    let opened = runner.preview(&of("opened"));
    assert!(opened.is_green(), "{opened:?}");
    assert_eq!((opened.job("Up"), opened.job("Not made"), opened.job("Down")), (Some(true), None, None), "{opened:?}");
    let row = &machine.listed()[0];
    let url = row["urls"]["web"].as_str().unwrap().to_owned();
    assert_eq!(row["commit"], first.as_str());
    opened.says(&format!("summary: - web: {url}"));
    opened.says("summary: It is gone in 6 d");
    assert!(machine.page(&url).contains("tiny of seven"));

    // A stranger's push leaves it as it is; the next one of somebody who may moves it.
    pushed(&stage, "tiny of eve");
    assert!(!runner.preview(&PullRequest { by: "eve", ..of("synchronize") }).is_green());
    assert!(machine.page(&url).contains("tiny of seven"));
    let second = pushed(&stage, "tiny that moved");
    let moved = runner.preview(&of("synchronize"));
    assert!(moved.is_green(), "{moved:?}");
    assert!(machine.page(&url).contains("tiny that moved"));
    assert_eq!(machine.listed()[0]["commit"], second.as_str());

    let closed = runner.preview(&of("closed"));
    assert!(closed.is_green(), "{closed:?}");
    assert_eq!((closed.job("Up"), closed.job("Not made"), closed.job("Down")), (None, None, Some(true)), "{closed:?}");
    assert!(!machine.root().exists() && machine.listed().is_empty());
    wait_until("the end of its processes", || processes_of(&machine.root()).is_empty());
}
