//! A stand-in for GitHub: it keeps what it is told, and takes nothing that the published description does not.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::SecretKey;
use github::{Client, Way};
use secrets::Secret;
use serde_json::{Value, json};

use crate::description::published;

pub(crate) const TOKEN: &str = "ghp_thisIsTheTokenOfTheTests0000";

/// A secret as GitHub has it: opened, as only GitHub can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) value: String,
    pub(crate) updated: String,
}

/// The two halves of the key of a repository or an environment; each has its own.
fn key_of(environment: &str) -> SecretKey {
    let mut bytes = [7; 32];
    bytes.iter_mut().zip(environment.bytes()).for_each(|(byte, letter)| *byte ^= letter);
    SecretKey::from(bytes)
}

/// What is there.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) rulesets: Vec<Value>,
    pub(crate) environments: BTreeMap<String, Value>,
    pub(crate) policies: BTreeMap<String, Vec<Value>>,
    pub(crate) variables: Vec<Value>,
    pub(crate) variables_of: BTreeMap<String, Vec<Value>>,
    /// By environment; `""` is the repository.
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, Kept>>,
    /// `METHOD PATH`, in order.
    pub(crate) asked: Vec<String>,
    /// All that was sent.
    pub(crate) sent: Vec<String>,
    /// Requests that GitHub would not take.
    pub(crate) wrong: Vec<String>,
    /// For the next requests whose path ends so: code, headers, body.
    pub(crate) script: VecDeque<(&'static str, u16, String, &'static str)>,
    next: u64,
}

pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
}

impl StandIn {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(Mutex::new(State { next: 100, ..State::default() }));
        let stand_in = Self { address: listener.local_addr().unwrap(), state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &state);
            }
        });
        stand_in
    }

    pub(crate) fn way(&self) -> Way {
        Way { api: format!("http://{}", self.address), authorities: Vec::new(), deadline: Duration::from_secs(5) }
    }

    /// Works with a client; returns how long it would have waited.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Client<'_>) -> T) -> (T, Vec<u64>) {
        let waited = std::cell::RefCell::new(Vec::new());
        let pause = |time: Duration| waited.borrow_mut().push(time.as_secs());
        let token = Secret::new(TOKEN.to_owned());
        let client = Client::new(&self.way(), "us/shop", &token, &pause).unwrap();
        let done = work(&client);
        drop(client);
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        drop(state);
        (done, waited.into_inner())
    }

    pub(crate) fn changes(&self) -> Vec<String> {
        let asked = self.state.lock().unwrap().asked.clone();
        asked.into_iter().filter(|one| !one.starts_with("GET ")).collect()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let (code, more, text) = answer(&mut state.lock().unwrap(), words[0], words[1], &headers, &body);
    let head = format!(
        "HTTP/1.1 {code} Said\r\ncontent-length: {}\r\nconnection: close\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n{more}\r\n",
        text.len()
    );
    let _ = (&stream).write_all(format!("{head}{text}").as_bytes());
}

fn answer(
    state: &mut State,
    method: &str,
    target: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> (u16, String, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    state.asked.push(format!("{method} {path}"));
    state.sent.push(format!("{target} {headers:?} {}", String::from_utf8_lossy(body)));
    if headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {TOKEN}")) {
        return (401, String::new(), r#"{"message": "Bad credentials"}"#.to_owned());
    }
    let description = published();
    let known = match description.operation(method, path) {
        Ok(known) => known,
        Err(why) => {
            state.wrong.push(why);
            return (404, String::new(), "{}".to_owned());
        }
    };
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() };
    if let Some(why) = description.wrong(&known, query, &body) {
        state.wrong.push(why);
        return (422, String::new(), "{}".to_owned());
    }
    for name in ["accept", "x-github-api-version", "user-agent"] {
        if !headers.contains_key(name) {
            state.wrong.push(format!("{target} without {name}"));
        }
    }
    if state.script.front().is_some_and(|(end, ..)| format!("{method} {path}").ends_with(end)) {
        let (_, code, more, text) = state.script.pop_front().unwrap();
        return (code, more, text.to_owned());
    }
    let (code, said, more) = done(state, known.id, &known.parts[..], query, body);
    assert!(matches!(code, 404 | 422) || description.answers(&known, code), "{} does not answer {code}", known.id);
    (code, more, if said.is_null() { String::new() } else { said.to_string() })
}

fn done(state: &mut State, id: &str, parts: &[String], query: &str, body: Value) -> (u16, Value, String) {
    state.next += 1;
    let new = state.next;
    let ok = |value: Value| (200, value, String::new());
    let none = || (404, json!({"message": "Not Found"}), String::new());
    let page = |all: Vec<Value>, key: &str| {
        let asked = |name: &str, or: usize| {
            let found = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
            found.map_or(or, |(_, value)| value.parse().unwrap())
        };
        let (size, number) = (asked("per_page", 30), asked("page", 1));
        let items: Vec<Value> = all.iter().skip((number - 1) * size).take(size).cloned().collect();
        let more = if number * size < all.len() { "link: <http://elsewhere.example/x>; rel=\"next\"\r\n" } else { "" };
        let said = if key.is_empty() { json!(items) } else { json!({"total_count": all.len(), key: items}) };
        (200, said, more.to_owned())
    };
    let last = parts.last().cloned().unwrap_or_default();
    match id {
        "repos/get" if parts == ["us", "shop"] => ok(json!({"full_name": "us/shop"})),
        "users/get-by-username" if last == "ann" => ok(json!({"id": 11, "login": "ann"})),
        "teams/get-by-name" if parts == ["us", "platform"] => ok(json!({"id": 22})),
        "repos/get-repo-rulesets" => page(state.rulesets.clone(), ""),
        "repos/create-repo-ruleset" => {
            let mut made = body;
            made["id"] = json!(new);
            made["source_type"] = json!("Repository");
            state.rulesets.push(made.clone());
            (201, made, String::new())
        }
        "repos/get-repo-ruleset" | "repos/update-repo-ruleset" => {
            let Some(found) = state.rulesets.iter_mut().find(|one| one["id"].as_u64() == last.parse().ok()) else {
                return none();
            };
            for (key, value) in body.as_object().cloned().unwrap_or_default() {
                found[key] = value;
            }
            ok(found.clone())
        }
        "repos/get-environment" => state.environments.get(&last).cloned().map_or_else(none, ok),
        "repos/create-or-update-environment" => {
            let mut rules = Vec::new();
            if body["wait_timer"].as_u64().is_some_and(|wait| wait > 0) {
                rules.push(json!({"id": 1, "type": "wait_timer", "wait_timer": body["wait_timer"]}));
            }
            let all = body["reviewers"].as_array().cloned().unwrap_or_default();
            if !all.is_empty() {
                let all: Vec<Value> =
                    all.iter().map(|one| json!({"type": one["type"], "reviewer": {"id": one["id"]}})).collect();
                rules.push(json!({"type": "required_reviewers", "prevent_self_review": body["prevent_self_review"], "reviewers": all}));
            }
            let made = json!({"name": last, "protection_rules": rules, "deployment_branch_policy": body["deployment_branch_policy"]});
            state.environments.insert(last, made.clone());
            ok(made)
        }
        "repos/list-deployment-branch-policies" => {
            page(state.policies.get(&last).cloned().unwrap_or_default(), "branch_policies")
        }
        "repos/create-deployment-branch-policy" if !state.environments.contains_key(&last) => none(),
        "repos/create-deployment-branch-policy" => {
            let made = json!({"id": new, "name": body["name"], "type": body["type"]});
            state.policies.entry(last).or_default().push(made.clone());
            ok(made)
        }
        "repos/delete-deployment-branch-policy" => {
            state.policies.entry(parts[2].clone()).or_default().retain(|one| one["id"].as_u64() != last.parse().ok());
            (204, Value::Null, String::new())
        }
        "actions/list-repo-variables" => page(state.variables.clone(), "variables"),
        "actions/create-repo-variable" if state.variables.iter().any(|one| one["name"] == body["name"]) => {
            (409, json!({"message": "Already exists"}), String::new())
        }
        "actions/create-repo-variable" => {
            state.variables.push(body);
            (201, json!({}), String::new())
        }
        "actions/update-repo-variable" => {
            let Some(found) = state.variables.iter_mut().find(|one| one["name"] == last) else { return none() };
            found["value"] = body["value"].clone();
            (204, Value::Null, String::new())
        }
        "repos/get-all-environments" => page(state.environments.values().cloned().collect(), "environments"),
        "actions/list-environment-variables" => {
            page(state.variables_of.get(&last).cloned().unwrap_or_default(), "variables")
        }
        "actions/create-environment-variable" | "actions/update-environment-variable"
            if !state.environments.contains_key(&parts[2]) =>
        {
            none()
        }
        "actions/create-environment-variable" => {
            state.variables_of.entry(last).or_default().push(body);
            (201, json!({}), String::new())
        }
        "actions/update-environment-variable" => {
            let of = state.variables_of.entry(parts[2].clone()).or_default();
            let Some(found) = of.iter_mut().find(|one| one["name"] == last) else { return none() };
            found["value"] = body["value"].clone();
            (204, Value::Null, String::new())
        }
        "actions/list-repo-secrets" | "actions/list-environment-secrets" => {
            let of = parts.get(2).map_or("", String::as_str);
            let all = state.secrets.get(of).cloned().unwrap_or_default();
            page(all.into_iter().map(|(name, kept)| shown(&name, &kept)).collect(), "secrets")
        }
        "actions/get-repo-public-key" | "actions/get-environment-public-key" => {
            let of = parts.get(2).map_or("", String::as_str);
            ok(json!({"key_id": format!("key of {of}"), "key": STANDARD.encode(key_of(of).public_key().as_bytes())}))
        }
        "actions/get-repo-secret" | "actions/get-environment-secret" => {
            let of = if parts.len() == 4 { parts[2].as_str() } else { "" };
            match state.secrets.get(of).and_then(|all| all.get(&last)) {
                Some(kept) => ok(shown(&last, kept)),
                None => none(),
            }
        }
        "actions/create-or-update-repo-secret" | "actions/create-or-update-environment-secret" => {
            let of = if parts.len() == 4 { parts[2].clone() } else { String::new() };
            if !of.is_empty() && !state.environments.contains_key(&of) {
                return none();
            }
            let sealed = STANDARD.decode(body["encrypted_value"].as_str().unwrap()).unwrap();
            // Sealed for another key it says nothing to GitHub either.
            let opened = key_of(&of).unseal(&sealed).ok().filter(|_| body["key_id"] == format!("key of {of}"));
            let Some(opened) = opened else { return (422, json!({"message": "Bad key"}), String::new()) };
            let kept = Kept { value: String::from_utf8(opened).unwrap(), updated: format!("2026-01-01T00:00:{new}Z") };
            let before = state.secrets.entry(of).or_default().insert(last, kept);
            (
                if before.is_some() { 204 } else { 201 },
                if before.is_some() { Value::Null } else { json!({}) },
                String::new(),
            )
        }
        _ => none(),
    }
}

fn shown(name: &str, kept: &Kept) -> Value {
    json!({"name": name, "created_at": "2026-01-01T00:00:00Z", "updated_at": kept.updated})
}
