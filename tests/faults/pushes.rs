//! The whole way of a change: pushed to a bare repository, deployed by its branch, refused with a picture, approved, rolled back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Client, processes_of};

use crate::stage::{Stage, signals};

/// A repository that people push to, a clone that somebody works in, and the checkout with the roots of environments.
struct Shop {
    /// Its project, folders and variables; its own root is not used.
    stage: Stage,
    bare: PathBuf,
    checkout: PathBuf,
    env: Vec<(String, String)>,
}

const PAGE: &str = r#"
const page = (script) => `<!doctype html><link rel=icon href=data:,><h1>tiny VERSION</h1><script>${script}</script>`;
const server = require("node:http").createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(page("SCRIPT"));
});
server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log(`release ${process.env.ROADBED_RELEASE}`));
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"#;

fn page(version: &str, script: &str) -> String {
    PAGE.replace("VERSION", version).replace("SCRIPT", script)
}

impl Shop {
    fn new() -> Self {
        let stage = Stage::new();
        let base = stage.project.parent().unwrap().to_owned();
        let (bare, checkout) = (base.join("shop.git"), base.join("served"));
        let programs = Path::new(env!("CARGO_BIN_EXE_roadbed")).parent().unwrap().to_owned();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let env = [
            ("PATH", path.as_str()),
            ("HOME", stage.home.to_str().unwrap()),
            ("TERM", "dumb"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "Ann"),
            ("GIT_AUTHOR_EMAIL", "ann@tiny.example"),
            ("GIT_COMMITTER_NAME", "Ann"),
            ("GIT_COMMITTER_EMAIL", "ann@tiny.example"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let shop = Self { stage, bare, checkout, env };
        fs::create_dir(&shop.bare).unwrap();
        shop.git(&shop.bare, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        shop.git(&shop.stage.project, &["init", "--quiet", "--initial-branch=develop"]);
        shop.git(&shop.stage.project, &["remote", "add", "origin", shop.bare.to_str().unwrap()]);
        shop
    }

    fn run(&self, program: &str, folder: &Path, words: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(words).current_dir(folder).env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    fn git(&self, folder: &Path, words: &[&str]) -> String {
        let ran = self.run("git", folder, words);
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "git {words:?}: {said}");
        said
    }

    /// Commits what is in the project, and pushes it; returns what was said to who pushed.
    fn push(&self, branch: &str, message: &str) -> String {
        let project = &self.stage.project;
        self.git(project, &["add", "--all"]);
        self.git(project, &["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(project, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")])
    }

    fn roadbed(&self, env: &str, words: &[&str]) -> (i32, String) {
        let words = [words, &["--env", env]].concat();
        let ran = self.run(env!("CARGO_BIN_EXE_roadbed"), &self.checkout, &words);
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        (ran.status.code().unwrap(), said)
    }

    fn root(&self, env: &str) -> PathBuf {
        self.checkout.join(".roadbed-envs").join(env)
    }

    /// What visitors get.
    fn visit(&self, env: &str) -> String {
        let (code, said) = self.roadbed(env, &["status", "--json"]);
        assert_eq!(code, 0, "{said}");
        let status: Value = serde_json::from_str(&said).unwrap();
        let client = Client::trusting(&self.root(env).join("tls/ca.pem"));
        let answer = client.get(status["urls"]["web"].as_str().unwrap()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for env in ["staging", "production"] {
            if self.root(env).exists() {
                self.roadbed(env, &["down"]);
                let left: Vec<u32> = processes_of(&self.root(env)).into_iter().map(|(pid, _)| pid).collect();
                if !left.is_empty() {
                    signals(&left, "KILL");
                }
            }
        }
    }
}

#[test]
fn a_push_goes_where_its_branch_goes_and_production_waits_for_somebody() {
    let shop = Shop::new();
    let stage = &shop.stage;
    let key = stage.home.join("bob");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "bob", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    stage.edit("main = \"production\"\n", "main = \"production\"\ndevelop = \"staging\"\n");
    stage.edit(
        "[environments.production]\ndomain = \"tiny.example\"\n",
        &format!(
            "[people.bob]\nssh = [\"{}\"]\n\n[environments.staging]\ndomain = \"staging.tiny.example\"\n\
             rollout = {{ verify = \"1s\" }}\n\n[environments.production]\ndomain = \"tiny.example\"\n\
             rollout = {{ verify = \"1s\", approvals = 1 }}\n",
            public.trim()
        ),
    );
    stage.edit(
        r#"smoke = [{ path = "/", contains = "tiny" }]"#,
        r#"smoke = [{ path = "/", contains = "tiny", render = true, text = ["tiny"] }]"#,
    );
    let installed = shop.run(
        env!("CARGO_BIN_EXE_roadbed"),
        &shop.bare,
        &["receive", "--install", "--checkout", shop.checkout.to_str().unwrap()],
    );
    assert!(installed.status.success(), "{installed:?}");

    // A branch that goes nowhere is taken in, and that is all.
    stage.server(&page("one", ""));
    assert!(shop.push("idea", "an idea").contains("idea is deployed nowhere"));

    let said = shop.push("develop", "the first page");
    assert!(said.contains("develop goes to staging") && said.contains("is live"), "{said}");
    assert!(shop.visit("staging").contains("tiny one"));

    // It answers 200 with the right text, and a browser sees that it is broken.
    stage.server(&page("two", "basket.add()"));
    let said = shop.push("develop", "a broken page");
    assert!(said.contains("threw an error that nothing caught") && said.contains("was aborted"), "{said}");
    let picture = fs::read(shop.root("staging").join("deployments/d2/00-web.png")).unwrap();
    assert_eq!(&picture[1..4], b"PNG");
    assert!(shop.visit("staging").contains("tiny one"));

    stage.server(&page("three", ""));
    let said = shop.push("develop", "mended");
    assert!(said.contains("is live"), "{said}");

    // The same commit on main waits.
    let said = shop.push("main", "ready for everybody");
    assert!(said.contains("main goes to production") && said.contains("waits for approval"), "{said}");
    let (code, said) = shop.roadbed("production", &["deploy", "approve"]);
    assert!(code == 1 && said.contains("who are you?"), "{said}");
    let (code, said) = shop.roadbed("production", &["login", "--key", key.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = shop.roadbed("production", &["deploy", "approve"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = shop.roadbed("production", &["deploy", "follow"]);
    assert!(code == 0 && said.contains("approved by bob") && said.contains("is live"), "{said}");
    assert!(shop.visit("production").contains("tiny three"));
    // What staging tried is what production runs, to the byte.
    let live = |env: &str| {
        let (_, said) = shop.roadbed(env, &["releases", "--json"]);
        let document: Value = serde_json::from_str(&said).unwrap();
        document["releases"].as_array().unwrap().iter().find(|release| release["role"] == "live").unwrap().clone()
    };
    let (staging, production) = (live("staging"), live("production"));
    assert_eq!(staging["artifacts"], production["artifacts"]);
    assert_eq!((production["author"].as_str(), production["origin"]["branch"].as_str()), (Some("Ann"), Some("main")));
    assert!(staging["origin"]["changes"].to_string().contains("mended"), "{staging}");

    // Logs and answers say which commit.
    let commit = shop.git(&stage.project, &["rev-parse", "HEAD"]);
    let name = format!("r1-{}", &commit[..12]);
    let (_, log) = shop.roadbed("production", &["logs", "web"]);
    assert!(log.contains(&format!("release {name}")), "{log}");

    stage.server(&page("four", ""));
    shop.push("develop", "and on");
    assert!(shop.visit("staging").contains("tiny four"));
    let (code, said) = shop.roadbed("staging", &["rollback"]);
    assert_eq!(code, 0, "{said}");
    assert!(shop.visit("staging").contains("tiny three"));
    assert!(shop.visit("production").contains("tiny three"));
    ["staging", "production"].iter().for_each(|env| stage.learn(&shop.root(env)));
}
