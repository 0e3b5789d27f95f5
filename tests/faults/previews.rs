//! Pull requests and their previews, from a push to a bare repository to nothing: nothing of a stranger's commit is run before somebody
//! whom the manifest names said so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, processes_of, wait_until};

use crate::stage::{Stage, signals};

/// A repository that people push to, the checkout that it is deployed from, and a clone in which somebody works.
struct Shop {
    stage: Stage,
    bare: PathBuf,
    served: PathBuf,
    env: Vec<(String, String)>,
}

/// What `ready --for TEAM --preview` makes.
const TRIAL: u32 = 4_000_000_000;

/// Whatever is run of a commit leaves a mark: its install and its build.
fn marks(shop: &Shop, name: &str) -> PathBuf {
    shop.stage.home.join(format!("{name}.ran"))
}

impl Shop {
    fn new() -> Self {
        let stage = Stage::new();
        let base = stage.project.parent().unwrap().to_owned();
        let (bare, served) = (base.join("shop.git"), base.join("served"));
        let programs = Path::new(env!("CARGO_BIN_EXE_roadbed")).parent().unwrap().to_owned();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let env = [
            ("PATH", path.as_str()),
            ("HOME", stage.home.to_str().unwrap()),
            ("TERM", "dumb"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "Eve"),
            ("GIT_AUTHOR_EMAIL", "eve@tiny.example"),
            ("GIT_COMMITTER_NAME", "Eve"),
            ("GIT_COMMITTER_EMAIL", "eve@tiny.example"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let shop = Self { stage, bare, served, env };
        let [ann, bob] = ["ann", "bob"].map(|name| shop.key(name));
        shop.stage.edit("[branches]\nmain = \"production\"\n", "");
        shop.stage.edit(
            "[environments.production]\ndomain = \"tiny.example\"\n",
            &format!(
                "[people.ann]\nssh = [\"{ann}\"]\n\n[people.bob]\nssh = [\"{bob}\"]\n\n\
                 [environments.preview]\ndomain = \"pr-{{pr}}.tiny.localhost\"\nper = \"pull-request\"\nttl = \"7d\"\n\
                 builders = [\"bob\"]\nlimits = {{ memory = \"512 MiB\", processes = 300 }}\nrollout = {{ verify = \"1s\" }}\n"
            ),
        );
        fs::create_dir(&shop.bare).unwrap();
        shop.git(&shop.bare, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        shop.git(&shop.stage.project, &["init", "--quiet", "--initial-branch=main"]);
        shop.git(&shop.stage.project, &["remote", "add", "origin", shop.bare.to_str().unwrap()]);
        let checkout = shop.served.display().to_string();
        let installed =
            shop.run(env!("CARGO_BIN_EXE_roadbed"), &shop.bare, &["receive", "--install", "--checkout", &checkout]);
        assert!(installed.status.success(), "{installed:?}");
        shop.commit("the shop");
        let said = shop.push("refs/heads/main", &[]);
        assert!(said.contains("main is deployed nowhere"), "{said}");
        shop
    }

    /// Somebody's key; returns its public half.
    fn key(&self, name: &str) -> String {
        let file = self.stage.home.join(name);
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).status();
        assert!(made.unwrap().success());
        fs::read_to_string(file.with_extension("pub")).unwrap().trim().to_owned()
    }

    fn run_with(&self, program: &str, folder: &Path, words: &[&str], more: &[(&str, &str)]) -> Output {
        let mut command = Command::new(program);
        command.args(words).current_dir(folder).env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value))).envs(more.iter().copied());
        command.output().unwrap()
    }

    fn run(&self, program: &str, folder: &Path, words: &[&str]) -> Output {
        self.run_with(program, folder, words, &[])
    }

    fn git(&self, folder: &Path, words: &[&str]) -> String {
        said(&self.run("git", folder, words), words)
    }

    fn commit(&self, message: &str) -> String {
        let project = &self.stage.project;
        self.git(project, &["add", "--all"]);
        self.git(project, &["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(project, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// A commit whose install and whose build each leave a mark.
    fn stranger(&self, name: &str) -> String {
        let mark = marks(self, name).display().to_string();
        self.stage.write(
            "package.json",
            &format!(
                r#"{{ "name": "tiny", "version": "1.0.0", "private": true, "scripts": {{ "preinstall": "touch {mark}" }} }}"#
            ),
        );
        self.stage.edit(r#"build = { command = ["sh", "build.sh"] }"#, r#"build = { command = ["sh", "marked.sh"] }"#);
        self.stage.write("web/marked.sh", &format!("touch {mark}\nexec sh build.sh\n"));
        let commit = self.commit(name);
        self.stage.edit(r#"["sh", "marked.sh"]"#, r#"["sh", "build.sh"]"#);
        commit
    }

    /// Pushes HEAD; returns what was said to who pushed.
    fn push(&self, reference: &str, more: &[(&str, &str)]) -> String {
        let words = ["push", "--quiet", "--force", "origin", &format!("HEAD:{reference}")];
        said(&self.run_with("git", &self.stage.project, &words, more), &words)
    }

    fn roadbed(&self, words: &[&str]) -> (i32, String) {
        let ran = self.run(env!("CARGO_BIN_EXE_roadbed"), &self.served, words);
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        (ran.status.code().unwrap(), said)
    }

    fn json(&self, words: &[&str]) -> Value {
        let ran = self.run(env!("CARGO_BIN_EXE_roadbed"), &self.served, words);
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
    }

    fn root(&self, number: u32) -> PathBuf {
        self.served.join(format!(".roadbed-envs/preview/pr-{number}"))
    }

    fn checkouts(&self) -> Vec<String> {
        let folder = self.stage.home.join(".cache/roadbed/previews");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn listed(&self) -> Vec<Value> {
        self.json(&["preview", "list", "--json"])["previews"].as_array().unwrap().clone()
    }

    fn allow(&self, number: u32, commit: &str, who: &str) -> (i32, String) {
        let key = self.stage.home.join(who).display().to_string();
        self.roadbed(&["preview", "allow", &number.to_string(), "--commit", commit, "--key", &key])
    }

    /// Nothing was run of it, and there is no preview of it.
    #[track_caller]
    fn was_left_alone(&self, number: u32, name: &str) {
        assert!(!marks(self, name).exists(), "something of {name} was run");
        assert!(!self.root(number).exists());
        assert_eq!(self.checkouts(), [""; 0]);
    }
}

#[track_caller]
fn said(ran: &Output, words: &[&str]) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "git {words:?}: {said}");
    said
}

impl Drop for Shop {
    fn drop(&mut self) {
        for number in [7, 8, TRIAL] {
            if self.root(number).exists() {
                self.roadbed(&["preview", "down", &number.to_string()]);
                let left: Vec<u32> = processes_of(&self.root(number)).into_iter().map(|(pid, _)| pid).collect();
                if !left.is_empty() {
                    signals(&left, "KILL");
                }
            }
        }
    }
}

#[test]
fn nothing_of_a_strangers_commit_is_run_before_a_maintainer_allowed_that_very_commit() {
    let shop = Shop::new();
    let first = shop.stranger("first");
    let pushed = shop.push("refs/pull/7/head", &[]);
    assert!(pushed.contains("nothing of") && pushed.contains("preview allow 7"), "{pushed}");
    shop.was_left_alone(7, "first");
    // Who says nothing, says a name that may not, or comes by the mirror of forks is a stranger too.
    let pushed = shop.push("refs/heads/pr/7", &[("ROADBED_PUSHED_BY", "ann")]);
    assert!(pushed.contains("ann brings it, who may not"), "{pushed}");
    let mirrored = format!("#!/bin/sh\nexec roadbed receive --checkout '{}' --fork\n", shop.served.display());
    let hook = shop.bare.join("hooks/post-receive");
    let own = fs::read_to_string(&hook).unwrap();
    fs::write(&hook, mirrored).unwrap();
    shop.git(&shop.stage.project, &["push", "--quiet", "origin", ":refs/heads/pr/7"]);
    let pushed = shop.push("refs/heads/pr/7", &[("ROADBED_PUSHED_BY", "bob")]);
    assert!(pushed.contains("it comes from a fork"), "{pushed}");
    fs::write(&hook, own).unwrap();
    let (code, said) = shop.roadbed(&["preview", "up", "7"]);
    assert!(code == 1 && said.contains("nobody allowed that commit"), "{said}");
    shop.was_left_alone(7, "first");

    let (code, said) = shop.allow(7, &first[..12], "bob");
    assert!(code == 2 && said.contains("all 40 digits"), "{said}");
    let (code, said) = shop.allow(7, &"1".repeat(40), "bob");
    assert!(code == 2 && said.contains("not the newest commit"), "{said}");
    let (code, said) = shop.allow(7, &first, "ann");
    assert!(code == 1 && said.contains("you may not allow") && said.contains("bob may"), "{said}");
    let (code, said) = shop.roadbed(&["preview", "up", "7"]);
    assert!(code == 1 && said.contains("nobody allowed that commit"), "{said}");
    shop.was_left_alone(7, "first");

    let (code, said) = shop.allow(7, &first, "bob");
    assert!(code == 0 && said.contains("bob lets this commit be built"), "{said}");
    let (code, said) = shop.roadbed(&["preview", "up", "7"]);
    assert!(code == 0 && said.contains("it is gone in"), "{said}");
    assert!(marks(&shop, "first").exists(), "the mark is left by whatever is run");
    let list = shop.json(&["deploy", "list", "--json", "--env", "preview/pr-7"]);
    assert_eq!(list["deployments"][0]["asked_by"], "bob", "{list:#}");
    let row = &shop.listed()[0];
    assert_eq!((&row["commit"], &row["state"], &row["pull_request"]), (&json!(first), &json!("awake"), &json!(7)));
    let client = Client::trusting(&shop.root(7).join("tls/ca.pem"));
    assert_eq!(client.get(row["urls"]["web"].as_str().unwrap()).unwrap().body, "tiny\n");

    // The next push takes another word; the preview stays as it is.
    let second = shop.stranger("second");
    let pushed = shop.push("refs/pull/7/head", &[]);
    assert!(pushed.contains("nobody allowed that commit"), "{pushed}");
    // A line that somebody copies for another commit is signed by nobody.
    let book = shop.served.join(".roadbed-envs/allowed.jsonl");
    let words = fs::read_to_string(&book).unwrap();
    fs::write(&book, format!("{words}{}", words.replace(&first, &second))).unwrap();
    let (code, said) = shop.roadbed(&["preview", "up", "7"]);
    assert!(code == 1 && said.contains("nobody allowed that commit"), "{said}");
    assert!(!marks(&shop, "second").exists());
    assert_eq!(shop.listed()[0]["commit"], json!(first));
    // Neither is the word good for another pull request.
    shop.git(&shop.stage.project, &["push", "--quiet", "origin", &format!("{first}:refs/pull/8/head")]);
    assert!(!shop.root(8).exists());
    shop.stage.learn(&shop.root(7));
}

#[test]
fn a_push_to_a_pull_request_moves_its_preview_and_its_end_takes_it_away() {
    let shop = Shop::new();
    let bobs = [("ROADBED_PUSHED_BY", "bob")];
    let first = shop.commit("one");
    let pushed = shop.push("refs/pull/7/head", &bobs);
    assert!(pushed.contains("pull request 7 goes to preview/pr-7") && pushed.contains("is live"), "{pushed}");
    let row = &shop.listed()[0];
    assert_eq!(row["commit"], json!(first));
    assert!(row["memory"].as_u64().unwrap() > 1 << 20 && row["ends"].as_i64().is_some(), "{row:#}");
    let url = row["urls"]["web"].as_str().unwrap().to_owned();
    let client = Client::trusting(&shop.root(7).join("tls/ca.pem"));
    shop.stage.server(
        &fs::read_to_string(shop.stage.project.join("web/server.js")).unwrap().replace("tiny\\n", "tiny moved\\n"),
    );
    let second = shop.commit("two");
    // As a branch it is the same preview.
    let pushed = shop.push("refs/heads/pr/7", &bobs);
    assert!(pushed.contains("is live"), "{pushed}");
    assert_eq!(shop.listed()[0]["commit"], json!(second));
    assert_eq!(client.get(&url).unwrap().body, "tiny moved\n", "at the same address");
    assert!(shop.listed()[0]["ends"].as_i64() > row["ends"].as_i64(), "it lives longer");
    let (code, said) = shop.roadbed(&["preview", "list"]);
    assert!(code == 0 && said.contains("awake") && said.contains(&second[..12]) && said.contains(&url), "{said}");

    // What it may use as a whole is in force where the machine has control groups, and told where not.
    let status = shop.json(&["status", "--json", "--env", "preview/pr-7"]);
    let together = &status["together"];
    let has_groups =
        status["units"].as_array().unwrap().iter().any(|unit| unit["confinement"]["cgroup"]["in_force"] == true);
    assert_eq!(together["in_force"], json!(has_groups), "{together:#}");
    if has_groups {
        let detail = together["detail"].as_str().unwrap();
        assert!(detail.contains("of 512 MiB") && detail.contains("of 300"), "{detail}");
    }
    shop.stage.learn(&shop.root(7));
    assert_eq!(shop.checkouts().iter().filter(|name| !name.ends_with(".lock")).count(), 1);

    let closed = shop.git(&shop.stage.project, &["push", "origin", ":refs/pull/7/head"]);
    assert!(closed.contains("pull request 7 is closed") && closed.contains("preview/pr-7 is gone"), "{closed}");
    assert!(!shop.root(7).exists());
    assert_eq!(shop.checkouts(), [""; 0]);
    assert_eq!(shop.listed(), [json!(null); 0]);
    wait_until("no process is left", Duration::from_secs(10), || match processes_of(&shop.root(7)) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    let (code, said) = shop.roadbed(&["preview", "down", "7"]);
    assert!(code == 0 && said.contains("nothing to purge"), "{said}");
}

#[test]
fn a_team_may_try_a_preview_which_is_deployed_and_gone_again() {
    let shop = Shop::new();
    let (exit, said) = shop.roadbed(&["up", "--detach", "--no-gate", "--free-ports"]);
    assert_eq!(exit, 0, "{said}");
    let (exit, said) = shop.roadbed(&["ready", "--for", "frontend", "--preview"]);
    let down = shop.roadbed(&["down"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("frontend-can-work") && said.contains("was deployed, served, and is gone"), "{said}");
    assert!(!shop.root(TRIAL).exists());
    assert_eq!(shop.checkouts(), [""; 0]);
    assert_eq!(down.0, 0, "{}", down.1);
}
