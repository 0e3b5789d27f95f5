//! Who may see what is protected, with the smallest product and the real program: links, a provider, and what is ended.

use std::collections::BTreeMap;
use std::fs;

use edge::client::EdgeClient;
use reconcile::Root;
use reconcile::ports::{RouteTable, Routes, SiteAccess};
use serde_json::{Value, json};
use testkit::Answer;
use testkit::ci::{Key, encoded_json, now};
use testkit::provider::{self, Provider, decoded};
use tokio::runtime::Runtime;

use crate::stage::Stage;

/// Says what it was told of the visitor.
const ECHO: &str = r#"
const server = require("node:http").createServer((request, answer) => {
  answer.setHeader("content-type", "application/json");
  answer.end(JSON.stringify(request.headers));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
exports.secret = process.env.SESSION_SECRET;
"#;

const CHECK: &str = "protected-refuses-strangers";

fn protected(more: &str) -> Stage {
    let stage = Stage::new();
    stage.edit("hosts = [\"www\"]\n", "hosts = [\"www\"]\naccess = \"protected\"\n");
    stage.edit("smoke = [{ path = \"/\", contains = \"tiny\" }]\n", "");
    let manifest = fs::read_to_string(stage.project.join("roadbed.toml")).unwrap();
    stage.write("roadbed.toml", &format!("{manifest}{more}"));
    stage.server(ECHO);
    stage
}

/// A browser, as far as cookies go.
struct Browser<'s> {
    stage: &'s Stage,
    home: String,
    cookies: BTreeMap<String, String>,
}

impl<'s> Browser<'s> {
    fn new(stage: &'s Stage) -> Self {
        let home = stage.url().trim_end_matches('/').to_owned();
        Self { stage, home, cookies: BTreeMap::new() }
    }

    fn ask(&mut self, method: &str, url: &str, form: &str) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![("accept", "text/html"), ("content-type", "application/x-www-form-urlencoded")];
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let answer = self.stage.client().request(method, url, &headers, form).unwrap();
        if let Some(cookie) = answer.headers.get("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    fn see(&mut self) -> Answer {
        self.ask("GET", &self.home.clone(), "")
    }

    /// Opens a link and presses its button.
    fn enter(&mut self, link: &str) -> Answer {
        let page = self.ask("GET", link, "");
        assert_eq!(page.status, 200, "{page:?}");
        let token = link.split("token=").nth(1).unwrap();
        let form = format!("token={token}&form={}", self.cookies["__Host-roadbed-form"]);
        self.ask("POST", &format!("{}/.roadbed/enter", self.home), &form)
    }

    fn user(&mut self) -> Option<String> {
        let answer = self.see();
        (answer.status == 200).then(|| answer.json()["x-roadbed-user"].as_str().unwrap_or_default().to_owned())
    }
}

impl Stage {
    fn link(&self, words: &str) -> String {
        self.roadbed(&format!("access link {words}")).exits(0).out.join("")
    }

    fn noted_of(&self, action: &str) -> Vec<String> {
        let rows = self.roadbed("secrets audit --json").exits(0).out.join("\n");
        let rows: Value = serde_json::from_str(&rows).unwrap();
        let rows = rows.as_array().cloned().unwrap_or_default().into_iter().filter(|row| row["action"] == action);
        rows.map(|row| row.to_string()).collect()
    }
}

#[test]
fn a_link_signs_in_once_and_what_is_ended_is_ended() {
    let stage = protected("");
    stage.up();
    let mut anna = Browser::new(&stage);
    assert_eq!(anna.see().status, 401);
    let link = stage.link("--for anna");
    assert!(link.starts_with(&format!("{}/.roadbed/enter?token=rbln_", anna.home)), "{link}");
    // A preview in a chat looks, also twice.
    for _ in 0..2 {
        assert_eq!(stage.client().get(&link).unwrap().status, 200);
    }
    let entered = anna.enter(&link);
    assert_eq!((entered.status, entered.headers["location"].as_str()), (303, format!("{}/", anna.home).as_str()));
    let told = anna.see().json();
    assert_eq!(
        (&told["x-roadbed-user"], &told["cookie"].as_str().unwrap_or("").contains("__Host-roadbed=")),
        (&json!("anna"), &false)
    );

    // Whoever has the link after her gets in no more; nor does a browser with what she has of it.
    let used = Browser::new(&stage).enter(&link);
    assert!(used.status == 403 && used.body.contains("used before"), "{used:?}");
    // An edge and a control that are started anew know all of it.
    stage.kill("edge");
    stage.until("she is let in by the next edge", || stage.client().get(&anna.home).is_ok());
    assert_eq!(anna.user().as_deref(), Some("anna"));
    let before = stage.pid_of("control");
    stage.kill("control");
    assert_eq!(anna.user().as_deref(), Some("anna"), "whatever control does");
    stage.until("another control is there", || stage.pid_of("control").is_some_and(|pid| Some(pid) != before));
    stage.until("control answers", || stage.roadbed("access list").code == Some(0));
    assert_eq!(Browser::new(&stage).enter(&link).status, 403);

    // Links that are over, revoked, or wrong.
    stage.roadbed("access link --for ben --usable 25h").refuses(1, &["--usable"]);
    stage.roadbed("access link --for ben --app nobody").refuses(1, &["no protected app", "web"]);
    let over = stage.link("--for ben --usable 1s");
    stage.until("its time is over", || stage.json("access list --json")["links"][0]["standing"] == "over");
    assert!(Browser::new(&stage).enter(&over).body.contains("expired"));
    let revoked = stage.link("--for ben");
    let id = stage.json("access list --json")["links"][0]["id"].as_str().unwrap().to_owned();
    stage.roadbed(&format!("access revoke {id}")).exits(0);
    assert_eq!(Browser::new(&stage).enter(&revoked).status, 403);
    stage.roadbed("access revoke s99").refuses(1, &["no session or link"]);

    // The gate sees that strangers are refused, and that somebody gets in.
    let ready = stage.roadbed(&format!("ready --only {CHECK} --verbose"));
    ready.exits(0);
    // A session that is ended is refused at once, and by the next edge.
    let listed = stage.json("access list --json");
    let session = &listed["sessions"][0];
    assert_eq!((&session["user"], &session["standing"]), (&json!("anna"), &json!("holds")));
    stage.roadbed(&format!("access revoke {}", session["id"].as_str().unwrap())).exits(0);
    assert_eq!(anna.user(), None);
    stage.kill("edge");
    stage.until("the next edge answers", || stage.client().get(&anna.home).is_ok());
    assert_eq!(anna.user(), None);
    // Whoever signs out is out, also with a copy of the cookie.
    let mut ben = Browser::new(&stage);
    assert_eq!(ben.enter(&stage.link("--for ben@tiny.example --ttl 5m")).status, 303);
    let copy = ben.cookies.clone();
    assert_eq!(ben.ask("GET", &format!("{}/.roadbed/sign-out", ben.home), "").status, 200);
    let form = format!("form={}", ben.cookies["__Host-roadbed-form"]);
    assert_eq!(ben.ask("POST", &format!("{}/.roadbed/sign-out", ben.home), &form).status, 200);
    ben.cookies = copy;
    assert_eq!(ben.user(), None);

    for (action, count) in [("link-made", 4), ("signed-in", 2), ("session-ended", 3)] {
        assert_eq!(stage.noted_of(action).len(), count, "{action}: {:?}", stage.noted_of(action));
    }
    // Neither link nor session is on disk.
    for secret in [link.split("token=").nth(1).unwrap(), &anna.cookies["__Host-roadbed"]] {
        let found = std::process::Command::new("grep").args(["-rlaF", secret]).arg(&stage.root).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    }

    // An edge that lets everybody in is found out.
    let (runtime, edge) = (Runtime::new().unwrap(), EdgeClient::new(Root::new(stage.root.clone())));
    let mut table: RouteTable = runtime.block_on(edge.current()).unwrap().unwrap();
    table.sites.iter_mut().for_each(|site| site.access = SiteAccess::Public);
    runtime.block_on(edge.publish(table)).unwrap();
    stage.roadbed(&format!("ready --only {CHECK}")).exits(1).says(&["answered 200 to who showed nothing"]);
}

/// What a sign-in that was begun says in its address.
struct Begun {
    state: String,
    nonce: String,
    challenge: String,
    back: String,
}

impl Browser<'_> {
    fn begin(&mut self) -> Begun {
        let page = self.see();
        assert!(page.status == 401 && page.body.contains("Sign in with localhost"), "{page:?}");
        let form = format!("to=%2Forders%3Fpage%3D2&form={}", self.cookies["__Host-roadbed-form"]);
        let begun = self.ask("POST", &format!("{}/.roadbed/begin", self.home), &form);
        assert_eq!(begun.status, 303, "{begun:?}");
        let location = &begun.headers["location"];
        let field = |name: &str| {
            let found = location.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            decoded(found.unwrap_or_else(|| panic!("no {name}: {location}")))
        };
        assert_eq!(
            (field("code_challenge_method"), field("client_id")),
            ("S256".to_owned(), provider::CLIENT.to_owned())
        );
        Begun {
            state: field("state"),
            nonce: field("nonce"),
            challenge: field("code_challenge"),
            back: field("redirect_uri"),
        }
    }

    fn back(&mut self, query: &str) -> Answer {
        self.ask("GET", &format!("{}/.roadbed/callback?{query}", self.home), "")
    }
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut other = claims.clone();
    other[name] = value;
    other
}

#[test]
fn people_sign_in_at_the_provider_and_every_forgery_is_refused() {
    let provider = Provider::start();
    let more = format!(
        "\n[environments.local.sign_in]\nissuer = \"{}\"\nclient_id = \"{}\"\nca = \"provider.pem\"\ndomains = [\"tiny.example\"]\nlasts = \"1h\"\n",
        provider.url,
        provider::CLIENT
    );
    let stage = protected(&more);
    provider.write_ca(&stage.project.join("provider.pem"));
    stage.up();
    let iss = format!("&iss={}", provider.url);

    // Without the client's secret nobody gets in, and the operator is told why.
    let mut anna = Browser::new(&stage);
    let begun = anna.begin();
    assert_eq!(anna.back(&format!("code=c&state={}{iss}", begun.state)).status, 503);
    stage.roadbed_reading("secrets set sign-in/client", &format!("{}\n", provider::SECRET)).exits(0);

    let begun = anna.begin();
    let token = provider.sign(&provider.claims(&begun.nonce));
    provider.grant("good", &begun.challenge, &begun.back, token.clone());
    let query = format!("code=good&state={}{iss}", begun.state);
    // Whoever took the address from her has not her browser, and takes nothing away.
    assert_eq!(Browser::new(&stage).back(&query).status, 403);
    let inside = anna.back(&query);
    assert_eq!(
        (inside.status, inside.headers["location"].as_str()),
        (303, format!("{}/orders?page=2", anna.home).as_str()),
        "{inside:?}"
    );
    let told = anna.see().json();
    assert_eq!(
        (&told["x-roadbed-user"], &told["x-roadbed-email"]),
        (&json!("anna@tiny.example"), &json!("anna@tiny.example"))
    );
    assert_eq!(anna.back(&query).status, 403, "an answer comes once");

    // What a token says that is signed by the provider's key, and by others.
    let good = |nonce: &str| provider.claims(nonce);
    let stranger = Key::rsa("one");
    type Forged<'a> = (&'static str, Box<dyn Fn(&str) -> String + 'a>);
    let said = |name: &'static str, value: Value| -> Box<dyn Fn(&str) -> String + '_> {
        let provider = &provider;
        Box::new(move |nonce: &str| provider.sign(&with(&provider.claims(nonce), name, value.clone())))
    };
    let forged: Vec<Forged<'_>> = vec![
        ("another issuer", said("iss", json!("https://evil.example"))),
        ("another audience", said("aud", json!("other"))),
        ("several audiences", said("aud", json!([provider::CLIENT, "other"]))),
        ("made for another client", said("azp", json!("other"))),
        ("over", said("exp", json!(now() - 100))),
        ("of tomorrow", said("iat", json!(now() + 86_400))),
        ("old", said("iat", json!(now() - 3600))),
        ("another sign-in's", said("nonce", json!("x".repeat(64)))),
        ("without a nonce", said("nonce", Value::Null)),
        ("an address that nobody verified", said("email_verified", json!(false))),
        ("another domain", said("email", json!("anna@evil.example"))),
        ("replayed", Box::new(|_| token.clone())),
        ("signed by another key of that name", Box::new(|nonce| stranger.sign(&good(nonce)))),
        (
            "signed by nobody",
            Box::new(|nonce| {
                format!("{}.{}.", encoded_json(&json!({ "alg": "none", "kid": "one" })), encoded_json(&good(nonce)))
            }),
        ),
        ("no token", Box::new(|_| "nonsense".to_owned())),
    ];
    for (what, forge) in &forged {
        let mut mallory = Browser::new(&stage);
        let begun = mallory.begin();
        provider.grant("forged", &begun.challenge, &begun.back, forge(&begun.nonce));
        let answer = mallory.back(&format!("code=forged&state={}{iss}", begun.state));
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        assert_eq!(mallory.user(), None, "{what}");
    }
    assert_eq!(provider.refused(), Vec::<String>::new(), "each got as far as the token");

    // What comes back without one.
    let mut mallory = Browser::new(&stage);
    for (what, query) in [
        ("another provider's answer", "code=good&state={state}&iss=https://evil.example"),
        ("an answer of nobody", "code=good&state={state}"),
        ("an error", "error=access_denied&state={state}{iss}"),
        ("no code", "state={state}{iss}"),
        ("a code that nobody gave", "code=invented&state={state}{iss}"),
        ("a state that nobody made", "code=good&state=0123456789abcdef{iss}"),
        ("no state", "code=good{iss}"),
        ("two states", "code=good&state={state}&state={state}{iss}"),
    ] {
        let begun = mallory.begin();
        let query = query.replace("{state}", &begun.state).replace("{iss}", &iss);
        assert_eq!(mallory.back(&query).status, 403, "{what}");
    }
    // A code that was stolen is of no use without the verifier.
    let begun = mallory.begin();
    provider.grant("stolen", "of another browser", &begun.back, provider.sign(&good(&begun.nonce)));
    assert_eq!(mallory.back(&format!("code=stolen&state={}{iss}", begun.state)).status, 403);
    assert_eq!(provider.refused(), ["no such code, or one that was used", "a wrong verifier"]);
    assert_eq!(mallory.user(), None);

    // While the provider is away nobody new comes in, and Anna stays.
    let begun = mallory.begin();
    provider.is_down(true);
    assert_eq!(mallory.back(&format!("code=x&state={}{iss}", begun.state)).status, 503);
    assert_eq!(anna.user().as_deref(), Some("anna@tiny.example"));
    assert_eq!(stage.noted_of("signed-in").len(), 1);
    let refused = stage.noted_of("refused");
    assert!(refused.len() > 20 && refused.iter().any(|row| row.contains("nonce")), "{refused:?}");
}
