//! The API over HTTPS: real control, real TLS, the smallest product. Who may, who may not, and what strangers send.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Answer as Response, Client, tools, wait_until};

use crate::deployments::{key, says};
use crate::stage::Stage;

/// The version that these tests were written with: another one may find more.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// An environment that is asked from elsewhere.
pub(crate) struct Api {
    pub(crate) stage: Stage,
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl Api {
    /// `settings` go into the environment's table beside `api`.
    pub(crate) fn with(settings: &str) -> Self {
        let stage = Stage::new();
        let ((_, ann), (_, bob)) = (key(&stage, "ann"), key(&stage, "bob"));
        stage.edit(
            "[branches]",
            &format!("[people.ann]\nssh = [\"{ann}\"]\n\n[people.bob]\nssh = [\"{bob}\"]\n\n[branches]"),
        );
        let domain = "domain = \"tiny.localhost\"\n";
        stage.edit(domain, &format!("{domain}api = {{}}\n{settings}\n"));
        stage.server(&says("one"));
        Self::up(stage)
    }

    fn new() -> Self {
        Self::with("")
    }

    fn up(stage: Stage) -> Self {
        stage.roadbed("up --detach --no-gate").exits(0);
        let url = wait_until("the API listens", Duration::from_secs(30), || {
            let status = stage.status();
            let api = &status["api"];
            match api["url"].as_str().filter(|_| api["trouble"].is_null()) {
                Some(url) => Ok(url.to_owned()),
                None => Err(api.to_string()),
            }
        });
        let client = stage.client();
        let api = Self { stage, url, client };
        // The certificate is made a moment after the port is taken.
        wait_until("the API answers", Duration::from_secs(30), || api.client.get(&format!("{}/openapi.json", api.url)));
        api
    }

    /// Makes a token and keeps it in a file.
    fn token(&self, words: &str) -> (String, PathBuf) {
        let answer = self.stage.roadbed(&format!("token create {words} --json")).exits(0);
        let made: Value = serde_json::from_str(&answer.out.join("\n")).unwrap();
        let token = made["token"].as_str().unwrap().to_owned();
        let file = self.stage.home.join(format!("{}.token", made["id"].as_str().unwrap()));
        fs::write(&file, &token).unwrap();
        (token, file)
    }

    pub(crate) fn of_role(&self, role: &str) -> String {
        let person = if role == "approver" { " --person bob" } else { "" };
        self.token(&format!("--role {role} --for test --expires 1h{person}")).0
    }

    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Response {
        self.ask_with(method, path, token, body, &[])
    }

    #[track_caller]
    fn ask_with(&self, method: &str, path: &str, token: Option<&str>, body: &Value, more: &[(&str, &str)]) -> Response {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        headers.extend_from_slice(more);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = path.strip_prefix('/').map_or_else(|| format!("v1/environments/local/{path}"), str::to_owned);
        self.client.request(method, &format!("{}/{path}", self.url), &headers, &body).unwrap()
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str, token: &str) -> Value {
        let answer = self.ask("GET", path, Some(token), &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The command line as from another machine: it knows the address, the authority and the token's file.
    fn elsewhere(&self, words: &str, token: &Path) -> crate::command::Answer {
        let (url, ca) = (&self.url, self.stage.root.join("tls/ca.pem"));
        let flags = format!("--remote {url} --ca-file {} --token-file {}", ca.display(), token.display());
        self.stage.roadbed(&format!("{words} {flags}"))
    }

    fn state_of(&self, deployment: &str, token: &str) -> String {
        self.get(&format!("deployments/{deployment}"), token)["state"].as_str().unwrap().to_owned()
    }

    pub(crate) fn audit(&self) -> String {
        self.stage.roadbed("secrets audit --json").exits(0).out.join("\n")
    }
}

#[test]
fn nobody_listens_unless_the_manifest_says_so() {
    let stage = Stage::new();
    stage.up();
    assert_eq!(stage.status()["api"], Value::Null);
    let refused = "token create --role viewer --for me --expires 1h";
    stage.roadbed(refused).refuses(1, &["is not asked from elsewhere", "add `api = {}`"]);
    let domain = "domain = \"tiny.localhost\"\n";
    stage.edit(domain, &format!("{domain}api = {{}}\n"));
    let api = Api::up(stage);
    let described = api.client.get(&format!("{}/openapi.json", api.url)).unwrap();
    assert_eq!(described.json()["info"]["title"], "Roadbed");
    // Visitors' certificate and this one are of one authority, and not for the same names.
    let elsewhere = api.url.replace("localhost", "www.tiny.localhost");
    let error = api.client.get(&elsewhere).unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    api.stage.roadbed("status").exits(0).says(&[&format!("api: {}", api.url)]);
    // Where it listens is remembered over a restart of control.
    api.stage.kill("control");
    wait_until("the API is back at the same address", Duration::from_secs(30), || {
        api.client.get(&format!("{}/openapi.json", api.url))
    });
    api.stage.edit("api = {}\n", "");
    api.stage.up();
    api.stage.until("nobody listens any more", || api.client.get(&api.url).is_err());
}

#[test]
fn a_token_opens_what_its_role_may_until_it_ends() {
    let api = Api::new();
    let tokens = ["viewer", "deployer", "approver", "operator"].map(|role| (role, api.of_role(role)));
    // Paths, and who gets past the door; what is behind it has tests of its own.
    let none = json!({});
    let approval = json!({ "digest": "0".repeat(64) });
    let routes = [
        ("GET", "status", &Value::Null, [true, true, true, true]),
        ("GET", "releases", &Value::Null, [true, true, true, true]),
        ("GET", "deployments", &Value::Null, [true, true, true, true]),
        ("GET", "gate", &Value::Null, [true, true, true, true]),
        ("POST", "deployments/d9/cancel", &none, [false, true, true, true]),
        ("POST", "deployments/d9/approve", &approval, [false, false, true, false]),
        ("POST", "rollback", &none, [false, true, false, true]),
    ];
    for (method, path, body, may) in routes {
        for ((role, token), may) in tokens.iter().zip(may) {
            let answer = api.ask(method, path, Some(token), body);
            let is_past = !matches!(answer.status, 401 | 403 | 429);
            assert_eq!(is_past, may, "{role} {method} {path}: {answer:?}");
            let other = api.ask(method, &format!("/v1/environments/production/{path}"), Some(token), body);
            assert!(matches!(other.status, 403 | 429), "{role} elsewhere: {other:?}");
        }
        let answer = api.ask(method, path, None, body);
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.headers["www-authenticate"].starts_with("Bearer"), "{answer:?}");
    }
    let viewer = &tokens[0].1;
    assert_eq!(api.get("/v1/token", viewer)["role"], "viewer");
    let status = api.get("status", viewer);
    assert_eq!(status["environment"], "local");
    assert!(!status.to_string().contains(api.stage.root.to_str().unwrap()), "{status}");

    let (short, _) = api.token("--role viewer --for short --expires 2s");
    assert_eq!(api.ask("GET", "status", Some(&short), &Value::Null).status, 200);
    let expired = || api.ask("GET", "status", Some(&short), &Value::Null);
    api.stage.until("it expires", || expired().status == 401);
    assert!(expired().body.contains("is expired"));

    api.stage.roadbed("token revoke t1").exits(0).says(&["t1: revoked"]);
    assert!(api.ask("GET", "status", Some(viewer), &Value::Null).body.contains("t1 was revoked"));
    api.stage.roadbed("token revoke t99").refuses(1, &["there is no token t99"]);
    api.stage.roadbed("token list").exits(0).says(&["revoked", "expired", "holds"]);
    // Control that starts again knows tokens, and what was revoked.
    api.stage.kill("control");
    let deployer = &tokens[1].1;
    let client = &api.client;
    let path = format!("{}/v1/token", api.url);
    let header = format!("Bearer {deployer}");
    wait_until("control is back", Duration::from_secs(30), || {
        client
            .request("GET", &path, &[("authorization", header.as_str())], "")
            .map(|answer| assert_eq!(answer.status, 200))
    });
    assert_eq!(api.ask("GET", "status", Some(viewer), &Value::Null).status, 401);

    let audit = api.audit();
    for row in ["token-made", "token-revoked", "asked-for", "refused"] {
        assert!(audit.contains(&format!("\"{row}\"")), "{row} is missing in\n{audit}");
    }
    // No token is anywhere but with its bearer.
    let found = Command::new("grep").args(["-rlaF", deployer]).arg(&api.stage.root).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the token is on disk");
    assert!(!audit.contains(deployer.as_str()));
}

#[test]
fn what_cannot_be_a_token_is_not_made() {
    let api = Api::with("rollout = { verify = \"1s\" }");
    for (words, code, why) in [
        ("--role king --for x --expires 1h", 2, "is no role"),
        ("--role viewer --for x --expires soon", 2, "is no time"),
        ("--role viewer --for x --expires 91d", 1, "at most"),
        ("--role approver --for x --expires 1h", 1, "an approval is a person's"),
        ("--role approver --for x --expires 1h --person eve", 1, "eve is nobody"),
    ] {
        let answer = api.stage.roadbed(&format!("token create {words}")).exits(code);
        assert!(answer.err.iter().any(|line| line.contains(why)), "{answer}");
    }
    let (_, file) = api.token("--role viewer --for x --expires 1h");
    api.elsewhere("rollback", &file).exits(1).says(&["the role viewer may not"]);
    api.elsewhere("up", &file).refuses(2, &["does not work from elsewhere"]);
    fs::write(&file, "rbtk_nonsense").unwrap();
    api.elsewhere("status", &file).exits(2).says(&["is no token"]);
    let plain = format!("status --remote {} --token-file {}", api.url.replace("https", "http"), file.display());
    api.stage.roadbed(&plain).exits(2).says(&["begins with https://"]);
}

#[test]
fn a_release_is_approved_deployed_and_taken_back_from_elsewhere() {
    let api = Api::with("rollout = { verify = \"1s\", keep_warm = \"1h\" }");
    api.stage.roadbed("deploy").exits(0).says(&["d1: r1 is live"]);
    api.stage.server(&says("two"));
    api.stage.roadbed("deploy").exits(0).says(&["d2: r2 is live"]);
    // From now on somebody has to be asked, also for a release of before.
    api.stage.edit("rollout = { ", "rollout = { approvals = 1, ");
    api.stage.up();
    let (ci, of_ci) = api.token("--role deployer --for ci --expires 30d");
    let (of_ann, _) = api.token("--role approver --for ann-laptop --person ann --expires 12h");
    let (_, of_bob) = api.token("--role approver --for bob-laptop --person bob --expires 12h");
    let (ann_deploys, _) = api.token("--role deployer --for ann-laptop --person ann --expires 12h");

    // However often it is sent, it is one deployment.
    let once = |key: &str, body: &Value| {
        api.ask_with("POST", "deployments", Some(&ann_deploys), body, &[("idempotency-key", key)])
    };
    let first = once("k1", &json!({ "release": "r1" }));
    assert_eq!(first.status, 202, "{first:?}");
    let again = once("k1", &json!({ "release": "r1" }));
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = once("k1", &json!({ "release": "r2" }));
    assert_eq!(other.status, 409, "{other:?}");
    let all = api.get("deployments", &ci);
    assert_eq!(all["deployments"].as_array().unwrap().len(), 3, "{all}");
    let deployment = first.json();
    let (id, digest) = (deployment["id"].as_str().unwrap(), deployment["digest"].as_str().unwrap());
    assert_eq!((id, &deployment["asked_by"]), ("d3", &json!("ann")));
    api.stage.until("it waits for approval", || api.state_of(id, &ci) == "awaiting-approval");

    // Ann asked for it, so it is not hers to approve of; nor is a yes to something else one to this.
    let word = |token: &str, digest: &str| {
        api.ask("POST", &format!("deployments/{id}/approve"), Some(token), &json!({ "digest": digest }))
    };
    let own = word(&of_ann, digest);
    assert!(own.status == 409 && own.body.contains("nobody approves of their own"), "{own:?}");
    let (bob, _) = api.token("--role approver --for bob-phone --person bob --expires 1h");
    assert!(word(&bob, &"0".repeat(64)).body.contains("another release by now"));
    assert_eq!(word(&ci, digest).status, 403);
    api.elsewhere(&format!("deploy approve {id}"), &of_bob).exits(0).says(&["d3: approved, 1 of 1"]);
    api.elsewhere(&format!("deploy follow {id}"), &of_ci).exits(0).says(&["approved by bob", "is live"]);
    let (served, _) = api.stage.visit();
    assert_eq!(served, "tiny one");

    // Back again: said, then done.
    let list = api.elsewhere("deploy list --json", &of_ci).exits(0);
    assert!(list.out.join("").contains("\"d3\""), "{list}");
    api.elsewhere("rollback --to r2 --across-contract", &of_ci).exits(2).says(&["say it on the machine"]);
    api.elsewhere("rollback --to r2 --dry-run", &of_ci).exits(0).says(&["to r2: it stands ready"]);
    assert_eq!(api.stage.visit().0, "tiny one");
    api.elsewhere("rollback --to r2", &of_ci).exits(0).says(&["r2 is live"]);
    assert_eq!(api.stage.visit().0, "tiny two");
    api.elsewhere("status", &of_ci).exits(0).says(&["environment local", "web-"]);
    api.elsewhere("releases", &of_ci).exits(0).says(&["r1", "r2"]);

    // A promise is looked at, and how it stands is asked for later.
    let operator = api.of_role("operator");
    let look = |only: &str| {
        let begun = api.ask("POST", "gate", Some(&operator), &json!({ "only": [only] }));
        assert_eq!(begun.status, 202, "{begun:?}");
        wait_until("the gate was run", Duration::from_secs(60), || {
            let gate = api.get("gate", &ci);
            if gate["is_running"] == false { Ok(gate) } else { Err(gate) }
        })
    };
    let gate = look("visitors-get-what-was-looked-at");
    assert_eq!((&gate["holds"], &gate["checks"][0]["verdict"]), (&json!(true), &json!("holds")), "{gate}");
    assert!(look("nonsense")["trouble"]["message"].as_str().unwrap().contains("there is no check"));

    // Called off, before anybody saw it.
    let asked = api.ask("POST", "deployments", Some(&ci), &json!({ "release": "r1" })).json();
    let id = asked["id"].as_str().unwrap();
    assert!(asked["asked_by"].as_str().unwrap().starts_with("token t"), "{asked}");
    api.elsewhere(&format!("deploy cancel {id}"), &of_ci).exits(0);
    assert_eq!(api.state_of(id, &ci), "cancelled");
    // An artifact that is not on the shelf is none.
    let artifact = json!({ "artifacts": [{ "app": "web", "digest": "0".repeat(64) }] });
    let missing = api.ask("POST", "deployments", Some(&ci), &artifact);
    assert!(missing.status == 409 && missing.body.contains("is not here"), "{missing:?}");
    assert_eq!(api.ask("POST", "deployments", Some(&ci), &json!({ "release": "r99" })).status, 404);
}

#[test]
fn strangers_are_not_listened_to_for_long_and_lock_nobody_out() {
    let api = Api::new();
    let viewer = api.of_role("viewer");
    let (deployer, _) = api.token("--role deployer --for ci --expires 1h");
    let wrong = format!("rbtk_{}", "0".repeat(72));
    let refused = |token: &str| api.ask("GET", "status", Some(token), &Value::Null);
    let statuses: Vec<u16> = (0..30).map(|_| refused(&wrong).status).collect();
    assert!(statuses[0] == 401 && statuses[29] == 429, "{statuses:?}");
    assert!(refused("nonsense").headers.contains_key("retry-after"));
    // From the same address, whoever has a token that holds is answered.
    assert_eq!(refused(&viewer).status, 200);
    // What is refused so often is not noted so often.
    assert!(api.audit().matches("\"refused\"").count() <= 24);
    // Showing nothing is no try.
    assert_eq!(api.ask("GET", "status", None, &Value::Null).status, 401);

    let post = |body: &str, kind: &str| {
        let authorization = format!("Bearer {deployer}");
        let headers = [("content-type", kind), ("authorization", authorization.as_str())];
        api.client.request("POST", &format!("{}/v1/environments/local/deployments", api.url), &headers, body).unwrap()
    };
    assert_eq!(post("{", "application/json").status, 400);
    assert_eq!(post("{}", "text/plain").status, 415);
    assert_eq!(post(&"x".repeat(70_000), "application/json").status, 413);
    let nowhere = api.ask("GET", "/v2/nothing", Some(&viewer), &Value::Null);
    assert_eq!((nowhere.status, nowhere.headers["content-type"].as_str()), (404, "application/problem+json"));
    let method = api.ask("DELETE", "status", Some(&viewer), &Value::Null);
    assert_eq!(method.status, 405);
    assert!(method.headers["allow"].contains("GET"), "{method:?}");
    // A head that does not end is not waited for with memory.
    let long = "x".repeat(40_000);
    let answer = api.client.request("GET", &format!("{}/openapi.json", api.url), &[("x-long", &long)], "");
    assert!(answer.as_ref().map_or(true, |answer| answer.status == 431), "{answer:?}");
}

impl Api {
    /// Lets schemathesis ask; what it says, and whether it is content.
    fn fuzzed(&self, schema: &str, token: Option<&str>, more: &[&str]) -> (bool, String) {
        let tool = tools::of_python(SCHEMATHESIS);
        let folder = self.stage.home.join("fuzz");
        fs::create_dir_all(&folder).unwrap();
        // Not in an argument: whoever lists processes would read it.
        let config = folder.join("schemathesis.toml");
        let authorization =
            token.map(|_| "headers = { Authorization = \"Bearer ${API_TOKEN}\" }\n").unwrap_or_default();
        // An environment and a deployment that are there: made-up ones end at the door.
        let pinned = "[parameters]\n\"path.environment\" = \"local\"\n\"path.deployment\" = \"d1\"\n";
        fs::write(&config, format!("{authorization}{pinned}")).unwrap();
        let ca = self.stage.root.join("tls/ca.pem");
        let output = Command::new("python3")
            .arg(tool.join("bin/schemathesis"))
            .arg("--config-file")
            .arg(&config)
            .args(["run", schema, "--url", &self.url, "--tls-verify"])
            .arg(&ca)
            .args([
                "--max-examples",
                "6",
                "--seed",
                "7",
                "--no-shrink",
                "--request-timeout",
                "120",
                "--suppress-health-check",
                "all",
            ])
            .args(more)
            .current_dir(&folder)
            .env("PYTHONPATH", &tool)
            .env("API_TOKEN", token.unwrap_or_default())
            .env_remove("HTTPS_PROXY")
            .env_remove("https_proxy")
            .env("NO_PROXY", "localhost")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
        (output.status.success(), said)
    }
}

#[test]
fn whatever_schemathesis_sends_the_api_keeps_its_word() {
    let api = Api::with("rollout = { verify = \"1s\" }");
    api.stage.roadbed("deploy").exits(0);
    let schema = format!("{}/openapi.json", api.url);
    let operator = api.of_role("operator");
    // The gate kills control to see it come back, which is no answer to a request; it has a test of its own.
    let no_gate = ["--exclude-operation-id", "post-gate"];
    let most = ["--phases", "examples,coverage,fuzzing"];
    let (is_content, said) = api.fuzzed(&schema, Some(&operator), &[no_gate.as_slice(), &most].concat());
    assert!(is_content, "{said}");
    // An approver's way is another one's closed door.
    let approver = api.of_role("approver");
    let only = ["--include-operation-id", "post-deployments-deployment-approve"];
    let (is_content, said) = api.fuzzed(&schema, Some(&approver), &[only.as_slice(), &most].concat());
    assert!(is_content, "{said}");
    let (is_content, said) = api.fuzzed(&schema, None, &[no_gate.as_slice(), &["--phases", "fuzzing"]].concat());
    assert!(is_content, "{said}");
    // It would notice: a description that promises something else is found out.
    let mut described = api.client.get(&schema).unwrap().json();
    described["components"]["schemas"]["StatusAnswer"]["properties"]["environment"] = json!({ "type": "integer" });
    let wrong = api.stage.home.join("wrong.json");
    fs::write(&wrong, described.to_string()).unwrap();
    let only = ["--phases", "fuzzing", "--include-path-regex", "/status$"];
    let (is_content, said) = api.fuzzed(wrong.to_str().unwrap(), Some(&operator), &only);
    assert!(!is_content && said.contains("schema"), "{said}");
    // Control lived through all of it.
    assert_eq!(api.get("status", &operator)["environment"], "local");
    let log = fs::read_to_string(api.stage.root.join("logs/control.log")).unwrap_or_default();
    assert!(!log.contains("panicked"), "{log}");
}
