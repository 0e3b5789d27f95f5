//! Runs of a CI at real control: forged tokens and why they are refused, the good one once, and what it opens.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::ci::{self, Issuer};
use testkit::forgeries::Forgery;
use testkit::{Answer, Client, forgeries, wait_until};

use crate::api::Api;
use crate::deployments::says;
use crate::stage::Stage;

const AUDIENCE: &str = "roadbed://tiny/local";

/// So many refusals are explained at once; after them control is killed, which forgets them.
const EXPLAINED: usize = 18;

fn table(issuer: &Issuer) -> String {
    format!("rollout = {{ verify = \"3s\" }}\n\n[environments.local.oidc]\n{}", issuer.table("ci.pem"))
}

fn listening(issuer: &Issuer) -> Api {
    let api = Api::with(&table(issuer));
    issuer.write_ca(&api.stage.project.join("ci.pem"));
    api
}

fn shown(client: &Client, url: &str, token: &str) -> Result<Answer, String> {
    let body = json!({ "token": token }).to_string();
    client.request("POST", &format!("{url}/v1/token/exchange"), &[("content-type", "application/json")], &body)
}

impl Api {
    fn shows(&self, token: &str) -> Result<Answer, String> {
        shown(&self.client, &self.url, token)
    }

    /// Kills control, and waits for the next one.
    fn starts_again(&self) {
        let before = self.stage.pid_of("control");
        self.stage.kill("control");
        self.stage.until("another control is there", || {
            let now = self.stage.pid_of("control");
            now.is_some() && now != before
        });
        wait_until("the API answers again", Duration::from_secs(30), || {
            self.client.get(&format!("{}/openapi.json", self.url))
        });
    }

    /// What is noted of runs of the CI: what, and the details of it.
    fn noted(&self) -> Vec<(String, String)> {
        let rows: Vec<Value> = serde_json::from_str(&self.audit()).unwrap();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let of_ci = rows.iter().filter(|row| row["via"] == "oidc");
        of_ci.map(|row| (text(row, "action"), text(row, "details"))).collect()
    }
}

/// A good token, as soon as one is accepted: those of the second in which control began are not.
fn accepted(api: &Api, issuer: &Issuer) -> (String, Value) {
    wait_until("a good token is accepted", Duration::from_secs(30), || {
        let token = issuer.token(AUDIENCE);
        let answer = api.shows(&token)?;
        if answer.status == 200 { Ok((token, answer.json())) } else { Err(format!("{answer:?}")) }
    })
}

#[test]
fn forged_tokens_are_refused_each_for_its_own_reason_and_a_good_one_is_accepted_once() {
    let issuer = Issuer::start();
    let api = listening(&issuer);
    let (good, got) = accepted(&api, &issuer);
    let expected =
        json!(["pipeline", "ci:urbancart/shop@0123456789abcdef0123456789abcdef01234567", "local", ci::COMMIT]);
    assert_eq!(json!([got["role"], got["name"], got["environment"], got["commit"]]), expected);

    // What it opens, and what it does not.
    let token = got["token"].as_str().unwrap();
    assert_eq!(api.get("status", token)["environment"], "local");
    let none = json!({});
    for (method, path, body) in [
        ("POST", "rollback", &none),
        ("POST", "gate", &none),
        ("POST", "deployments/d1/cancel", &none),
        ("POST", "deployments/d1/approve", &json!({ "digest": "0".repeat(64) })),
        ("GET", "/v1/environments/production/status", &Value::Null),
    ] {
        let answer = api.ask(method, path, Some(token), body);
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
    }
    api.stage
        .roadbed("token create --role pipeline --for ci --expires 1h")
        .refuses(1, &["comes of one that the CI signed"]);

    // A key that somebody would keep at the CI all the same is seen, and gone when it is revoked.
    let check = "ready --only no-deploy-key-is-kept";
    api.stage.roadbed(check).exits(0);
    let kept = api.stage.roadbed("token create --role deployer --for ci --expires 30d --json").exits(0);
    let kept: Value = serde_json::from_str(&kept.out.join("\n")).unwrap();
    let id = kept["id"].as_str().unwrap();
    api.stage
        .roadbed(check)
        .exits(1)
        .says(&[&format!("{id} (deployer for ci): holds until"), "names nobody whose it is"]);
    api.stage.roadbed(&format!("token revoke {id}")).exits(0);
    api.stage.roadbed(check).exits(0);

    let before = api.noted();
    // Every second: each row is a look at the disk here, and all of them are in the tests of `crates/oidc`.
    let all: Vec<Forgery> = forgeries::all(&issuer, AUDIENCE).into_iter().step_by(2).collect();
    assert!(all.len() > 45);
    for some in all.chunks(EXPLAINED) {
        api.starts_again();
        for forgery in some {
            let answer = api.shows(&forgery.token).unwrap();
            assert_eq!(answer.status, 401, "{}: {answer:?}", forgery.name);
            assert!(!answer.body.contains(&forgery.why), "{}: strangers are told no reason: {answer:?}", forgery.name);
        }
    }
    let noted = api.noted();
    let refused = &noted[before.len()..];
    assert_eq!(refused.len(), all.len());
    for (forgery, (action, why)) in all.iter().zip(refused) {
        assert!(action == "refused" && why.contains(&forgery.why), "{}: {why}, and not {}", forgery.name, forgery.why);
    }

    // The one that was accepted is not accepted again, also by a control that was started since.
    let why = |token: &str| {
        let answer = api.shows(token).unwrap();
        assert_eq!(answer.status, 401, "{answer:?}");
        api.noted().pop().unwrap().1
    };
    assert!(why(&good).contains("it was accepted before"), "{:?}", api.noted().pop());

    // Control is killed when it has accepted one and before it has answered: it waits for the audit log, which somebody holds.
    api.starts_again();
    let token = issuer.token(AUDIENCE);
    let (api_client, api_url) = (api.client.clone(), api.url.clone());
    let tokens_made = || api.stage.roadbed("token list").exits(0).out.len();
    let (made, answered) = (
        tokens_made(),
        thread::scope(|scope| {
            let holder = Connection::open(api.stage.root.join("secrets/store.db")).unwrap();
            holder.execute_batch("BEGIN IMMEDIATE").unwrap();
            let made = tokens_made();
            let asking = scope.spawn(|| shown(&api_client, &api_url, &token));
            api.stage.until("it is accepted", || tokens_made() > made);
            api.stage.kill("control");
            let answer = asking.join().unwrap();
            holder.execute_batch("ROLLBACK").unwrap();
            answer
        }),
    );
    assert!(answered.is_err(), "{answered:?}");
    api.starts_again();
    assert!(why(&token).contains("it was accepted before"));
    assert_eq!(tokens_made(), made + 1, "one token was made of it");

    // Where control cannot ask the issuer, nobody gets in, and is told that another time may do.
    issuer.answers(ci::Answering::Down);
    api.starts_again();
    let answer = api.shows(&issuer.token(AUDIENCE)).unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(api.noted().pop().unwrap().1.contains("answered 503"));

    // No token is anywhere but with its bearer, and nobody's that was shown.
    for secret in [got["token"].as_str().unwrap(), good.as_str(), token.as_str()] {
        nowhere(&api.stage.root, secret);
    }
}

/// Nothing in the folder holds it.
#[track_caller]
fn nowhere(folder: &Path, secret: &str) {
    let found = Command::new("grep").args(["-rlaF", secret]).arg(folder).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "a token is on disk");
}

fn git(folder: &Path, words: &[&str]) -> String {
    let identity = ["-c", "user.name=Ann", "-c", "user.email=ann@tiny.example", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(identity).args(words).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A machine of the CI: a checkout, and a home that knows nothing of the environment.
fn runner(api: &Api, issuer: &Issuer) -> Stage {
    let mut runner = Stage::new();
    for file in ["roadbed.toml", "ci.pem"] {
        fs::copy(api.stage.project.join(file), runner.project.join(file)).unwrap();
    }
    runner.server(&says("of the CI"));
    runner.write(".gitignore", "node_modules\ndist\n");
    git(&runner.project, &["init", "--quiet"]);
    git(&runner.project, &["add", "--all"]);
    git(&runner.project, &["commit", "--quiet", "--message", "Says where it comes from"]);
    let ca = runner.project.join("ci.pem").display().to_string();
    for (name, value) in [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", issuer.request_url()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ci::REQUEST_TOKEN.to_owned()),
        ("SSL_CERT_FILE", ca),
        ("ROADBED_REMOTE", api.url.clone()),
        ("ROADBED_CA_FILE", api.stage.root.join("tls/ca.pem").display().to_string()),
    ] {
        runner.env.insert(name.to_owned(), value);
    }
    runner
}

#[test]
fn a_job_deploys_what_it_built_from_its_commit_and_no_key_is_kept_for_that() {
    let issuer = Issuer::start();
    let api = listening(&issuer);
    let runner = runner(&api, &issuer);
    let commit = git(&runner.project, &["rev-parse", "HEAD"]);
    accepted(&api, &issuer);
    assert_eq!(api.stage.visit().0, "tiny one");

    runner.roadbed("status --oidc").exits(0).says(&["environment local"]);
    assert_eq!(issuer.audience().as_deref(), Some(AUDIENCE));
    runner.roadbed("rollback --oidc").exits(1).says(&["the role pipeline may not roll-back"]);
    // The job is of another commit than what is checked out.
    runner.roadbed("deploy --oidc").exits(1).says(&["may not deploy the commit"]);
    issuer.runs(&commit);
    runner.roadbed("deploy --oidc --from staging").refuses(2, &["--from does not work from elsewhere"]);

    // A token that ends while its deployment goes on is followed by another.
    let deploying = runner.begin("deploy --oidc");
    let deployments = || api.stage.roadbed("deploy list --json").out.join("");
    api.stage.until("it was asked for", || deployments().contains("\"d1\""));
    let listed = api.stage.roadbed("token list --json").exits(0);
    let listed: Value = serde_json::from_str(&listed.out.join("\n")).unwrap();
    let id = listed["tokens"][0]["id"].as_str().unwrap().to_owned();
    api.stage.roadbed(&format!("token revoke {id}")).exits(0);
    deploying.end().exits(0).says(&["d1: r1 is live"]);
    assert_eq!(api.stage.visit().0, "tiny of the CI");
    let release = &api.stage.json("releases --json")["releases"][0];
    assert_eq!(release["origin"]["commit"], json!(commit), "{release}");
    let deployment = &api.stage.json("deploy list --json")["deployments"][0];
    assert_eq!(deployment["asked_by"], json!(format!("ci:urbancart/shop@{commit}")));
    let audit = api.audit();
    assert!(audit.contains("bring-artifact") && audit.contains("run 812734 attempt 1 of repository 74001"), "{audit}");

    // What was not committed is of no commit.
    runner.server(&says("of nobody knows what"));
    runner.roadbed("deploy --oidc").refuses(2, &["were changed since the commit"]);

    // An artifact is brought by runs alone, as what its digest says.
    let got = accepted(&api, &issuer).1;
    let bring = |token: &str, digest: &str, app: &str, body: &str| {
        let path = format!("{}/v1/environments/local/artifacts/{digest}?app={app}&inputs={}", api.url, "0".repeat(64));
        let authorization = format!("Bearer {token}");
        api.client.request("PUT", &path, &[("authorization", &authorization)], body).unwrap().status
    };
    let (run, none) = (got["token"].as_str().unwrap(), "0".repeat(64));
    assert_eq!(bring(run, &none, "web", "no archive"), 400);
    assert_eq!(bring(run, &none, "nobody", "no archive"), 404);
    assert_eq!(bring(run, "no-digest", "web", "no archive"), 404);
    assert_eq!(bring(&api.of_role("deployer"), &none, "web", "no archive"), 403);
    assert_eq!(bring(&api.of_role("operator"), &none, "web", "no archive"), 403);

    // Nothing that opens anything stayed with the CI.
    for (folder, beginning) in [&runner.home, &runner.project, &runner.root]
        .into_iter()
        .flat_map(|folder| [(folder, "rbtk_"), (folder, "eyJ0eXAiOiJKV1Qi")])
    {
        nowhere(folder, beginning);
    }
    runner
        .env_without("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
        .refuses(2, &["this is no job of a CI that signs tokens", "id-token: write"]);
}

impl Stage {
    fn env_without(&self, name: &str) -> crate::command::Answer {
        self.roadbed_with("status --oidc", &[(name, "")])
    }
}
