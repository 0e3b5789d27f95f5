//! The workflows that deploy, run against environments that are really up: what was built is sent, looked at, and live, or not.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::ci::{self, Issuer, Job};
use testkit::wait_until;

use crate::runner::Runner;
use crate::stage::Stage;

/// An environment that is asked from elsewhere; it is stopped with the test.
struct Live<'s> {
    stage: &'s Stage,
    name: &'static str,
    url: String,
    issuer: &'s Issuer,
}

impl<'s> Live<'s> {
    fn up(stage: &'s Stage, name: &'static str, issuer: &'s Issuer) -> Self {
        let mut live = Self { stage, name, url: String::new(), issuer };
        let up = live.roadbed(&["up", "--free-ports", "--detach", "--no-gate"]);
        assert_eq!(up.0, 0, "{up:?}");
        live.url = wait_until("its API listens", Duration::from_secs(30), || {
            let status = live.json(&["status"]);
            match status["api"]["url"].as_str().filter(|_| status["api"]["trouble"].is_null()) {
                Some(url) => Ok(url.to_owned()),
                None => Err(status["api"].to_string()),
            }
        });
        live
    }

    /// Its code, and all that it said.
    fn roadbed(&self, words: &[&str]) -> (i32, String, String) {
        let root = self.stage.path(&format!("roots/{}", self.name)).display().to_string();
        let mut all = words.to_vec();
        all.extend(["--env", self.name, "--root", &root]);
        let answer = self.stage.run(&all);
        (answer.code, answer.out, answer.err)
    }

    fn json(&self, words: &[&str]) -> Value {
        let (code, out, err) = self.roadbed(&[words, &["--json"]].concat());
        assert_eq!(code, 0, "{words:?}: {out}\n{err}");
        serde_json::from_str(out.trim()).unwrap()
    }

    /// Commit of the release that visitors get.
    fn commit(&self) -> Option<String> {
        let releases = self.json(&["releases"]);
        let live =
            releases["releases"].as_array().unwrap().iter().find(|release| release["role"] == "live").cloned()?;
        find(&live, "commit")
    }

    /// State of the newest deployment.
    fn newest(&self) -> String {
        self.json(&["deploy", "list"])["deployments"][0]["state"].as_str().unwrap_or("none").to_owned()
    }

    fn ca(&self) -> String {
        fs::read_to_string(self.stage.path(&format!("roots/{}/tls/ca.pem", self.name))).unwrap()
    }

    /// A runner whose jobs are for this environment, and are told by the issuer who they are. No key of ours lies with it.
    fn runner(&self) -> Runner<'s> {
        let branch = if self.name == "staging" { "develop" } else { "main" };
        self.issuer.runs_job(&Job::deploying(branch, self.name));
        Runner::new(self.stage)
            .with_environment("ACTIONS_ID_TOKEN_REQUEST_URL", &self.issuer.request_url())
            .with_environment("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ci::REQUEST_TOKEN)
            .with_environment("SSL_CERT_FILE", &self.stage.path("shop/ci.pem").display().to_string())
            .with_variable("ROADBED_CONTROL", &self.url)
            .with_variable("ROADBED_CA", &self.ca())
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.roadbed(&["down"]);
    }
}

/// The value of a key, wherever it stands.
fn find(value: &Value, key: &str) -> Option<String> {
    match value {
        Value::Object(map) => {
            let here = map.get(key).and_then(Value::as_str).map(str::to_owned);
            here.or_else(|| map.values().find_map(|value| find(value, key)))
        }
        Value::Array(list) => list.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

fn server(says: &str) -> String {
    format!(
        "const server = require(\"node:http\").createServer((request, answer) => answer.end(\"{says}\\n\"));\n\
         server.keepAliveTimeout = Number(process.env.ROADBED_KEEP_ALIVE_MS);\n\
         server.listen(Number(process.env.PORT), \"127.0.0.1\");\n\
         process.on(\"SIGTERM\", () => {{ server.close(() => process.exit(0)); server.closeIdleConnections(); }});\n"
    )
}

fn staged(issuer: &Issuer) -> Stage {
    let stage = Stage::deployable();
    let key = stage.path("ann");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "ann", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let ann = fs::read_to_string(key.with_extension("pub")).unwrap();
    issuer.write_ca(&stage.path("shop/ci.pem"));
    let oidc = |name: &str, branch: &str| {
        let table = issuer.table_of("ci.pem", &Job::deploying(branch, name));
        format!("\n[environments.{name}.oidc]\n{table}")
    };
    let manifest = stage.read("shop/roadbed.toml");
    let manifest = manifest
        .replace(
            "[branches]\n",
            &format!("[people.ann]\nssh = [\"{}\"]\n\n[branches]\ndevelop = \"staging\"\n", ann.trim()),
        )
        .replace(
            "domain = \"tiny.example\"\n",
            "domain = \"tiny-live.localhost\"\napi = {}\nrollout = { approvals = 1, verify = \"1s\" }\n",
        )
        + &oidc("production", "main")
        + &oidc("staging", "develop")
        + "\n[environments.staging]\ndomain = \"tiny-staging.localhost\"\napi = {}\nrollout = { verify = \"1s\" }\n\
           [ci.workflows]\npromote.production = \"staging\"\n\
           [ci.tasks.lint]\ncommand = [\"node\", \"--check\", \"server.js\"]\n";
    stage.write("shop/roadbed.toml", &manifest);
    stage.write("shop/web/server.js", &server("tiny one"));
    let generated = stage.run(&["generate"]);
    assert_eq!(generated.code, 0, "{generated:?}");
    stage.commit();
    stage.git(&["checkout", "--quiet", "-b", "develop"]);
    stage
}

#[test]
fn staging_gets_what_passed_and_what_looks_bad_fails_the_job() {
    let issuer = Issuer::start();
    let stage = staged(&issuer);
    issuer.runs(&stage.revision("HEAD"));
    let staging = Live::up(&stage, "staging", &issuer);
    let runner = staging.runner();

    let good = runner.push("ci");
    assert!(good.is_green(), "{good:?}");
    assert_eq!(
        (good.job("required"), good.job("Deploy"), good.job("Live")),
        (Some(true), Some(true), Some(true)),
        "{good:?}"
    );
    good.says("web: ");
    let head = stage.revision("HEAD");
    assert_eq!(staging.commit(), Some(head.clone()), "what is live is what was pushed");
    good.says(&head);
    // The bill of materials and the provenance go with it, and it is kept for production by its content.
    let tree = stage.revision("HEAD^{tree}");
    let kept = runner.artifacts().join(format!("staging-{tree}"));
    let mut ends: Vec<String> = fs::read_dir(&kept)
        .unwrap()
        .map(|file| file.unwrap().file_name().to_string_lossy().split_once('.').unwrap().1.to_owned())
        .collect();
    ends.sort();
    assert_eq!(ends, ["cdx.json", "intoto.jsonl", "json", "tar.zst"]);

    stage.write("shop/web/server.js", &server("something else"));
    stage.commit();
    issuer.runs(&stage.revision("HEAD"));
    let bad = runner.push("ci");
    assert!(!bad.is_green(), "{bad:?}");
    assert_eq!((bad.job("required"), bad.job("Deploy"), bad.job("Live")), (Some(true), Some(false), None), "{bad:?}");
    assert_eq!(
        (staging.newest().as_str(), staging.commit()),
        ("aborted", Some(head.clone())),
        "visitors saw nothing of it"
    );

    // What does not pass is not deployed at all.
    stage.write("shop/web/server.js", "this is no program (\n");
    stage.commit();
    let broken = runner.push("ci");
    assert!(
        !broken.is_green() && broken.job("required") == Some(false) && broken.job("Deploy").is_none(),
        "{broken:?}"
    );
    assert_eq!(staging.json(&["deploy", "list"])["deployments"].as_array().unwrap().len(), 2);

    // Production takes what staging had, and nothing else.
    stage.git(&["checkout", "--quiet", "main"]);
    stage.git(&["merge", "--quiet", "--ff-only", &head]);
    let production = Live::up(&stage, "production", &issuer);
    issuer.runs(&head);
    let runner = production.runner();
    runner.program(
        "gh",
        "#!/bin/bash\nname=${2#*name=}; name=${name%%&*}\nif [ -d \"$TEST_ARTIFACTS/$name\" ]; then echo 7; fi\n",
    );
    let promoted = runner.push("deploy-production");
    assert!(promoted.is_green(), "{promoted:?}");
    assert_eq!((promoted.job("Deploy"), promoted.job("Live")), (Some(true), None), "nobody approved: {promoted:?}");
    promoted.says("waits for approval");
    promoted.says(&head);
    assert_eq!((production.newest().as_str(), production.commit()), ("awaiting-approval", None));
    stage.write("shop/web/server.js", &server("tiny, and never staged"));
    stage.commit();
    let unstaged = runner.push("deploy-production");
    assert!(!unstaged.is_green() && unstaged.job("Deploy").is_none(), "{unstaged:?}");
    unstaged.says("staging never had exactly this content");
}
