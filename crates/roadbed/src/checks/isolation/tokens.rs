//! Tokens of the gateway before Redis, tried for real: at our own gateway, and at every other environment's.

use std::time::Duration;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Impact};
use manifest::AppName;
use reconcile::Fault;
use secrets::{Secret, Versioned};
use serde_json::{Value, json};
use stores::redis::{Purpose, rest};

use super::{Cells, Here, Ours, unseen};
use crate::loopback;
use crate::world::rest::{REST, token};

pub(crate) const CLAIM: Claim = Claim {
    task: "T4",
    id: "upstash-tokens-open-their-own",
    claim: "A token of the gateway before Redis opens the keys of its own app, a read-only one writes none, and no other token \
            opens any",
    hint: "the observations name the token and what it could do; `roadbed up` sets users and rights again",
    impact: Impact::Observes,
};

/// The gateway itself waits five seconds for a turn, and three for Redis.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a key of ours lives where it is not taken away, in seconds.
const LIFE: &str = "60";

/// A key that is nobody's.
const ELSEWHERE: &str = "somebody-else:roadbed-probe";

/// Tries tokens.
#[derive(Debug)]
pub struct TokensOpenTheirOwn {
    pub here: Here,
    /// Where the gateway listens.
    pub port: u16,
}

impl Check for TokensOpenTheirOwn {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async { self.look().await.map_or_else(|fault| unseen(&fault), Cells::outcome) })
    }
}

/// What a request must get.
#[derive(Clone, Copy)]
enum Must<'e> {
    Get(&'e str),
    /// By Redis, for want of a right.
    BeForbidden,
    /// By its token.
    BeRefused,
}

/// One app's tokens.
struct Tokens {
    app: AppName,
    full: Secret,
    read_only: Secret,
}

impl TokensOpenTheirOwn {
    async fn look(&self) -> Result<Cells, Fault> {
        let mut cells = Cells::default();
        let Some(redis) = &self.here.environment.redis else { return Ok(cells) };
        let mut all = Vec::new();
        for app in &redis.apps {
            let Some(password) = self.password(app)? else {
                cells.untried(format!("{app} has no password in Redis yet"));
                continue;
            };
            let ((user, own), (reader, derived)) = (rest::app(app, &password), rest::reader(app, &password));
            all.push(Tokens { app: app.clone(), full: token(&user, &own)?, read_only: token(&reader, &derived)? });
            let guess = Secret::new(format!("{}x", own.expose()));
            let wrong = format!("a token of {user} with a wrong password");
            self.expect(&mut cells, (&wrong, Some(&token(&user, &guess)?)), &["PING"], Must::BeRefused).await;
        }
        self.expect(&mut cells, ("no token", None), &["PING"], Must::BeRefused).await;
        for tokens in &all {
            self.at_home(&mut cells, tokens, &redis.key_prefix).await;
        }
        self.abroad(&mut cells, &all).await?;
        Ok(cells)
    }

    fn password(&self, app: &AppName) -> Result<Option<Versioned>, Fault> {
        let name = Purpose::Durable.app_secret(app);
        self.here.secrets.get(&name).map_err(|fault| Fault::because(format!("cannot read {name}"), &fault))
    }

    async fn at_home(&self, cells: &mut Cells, tokens: &Tokens, prefix: &str) {
        let key = format!("{prefix}roadbed-probe-{}", std::process::id());
        let app = &tokens.app;
        let (full, read_only) = (format!("the token of {app}"), format!("the read-only token of {app}"));
        let (full, read_only) = ((full.as_str(), Some(&tokens.full)), (read_only.as_str(), Some(&tokens.read_only)));
        let tries: [(_, &[&str], Must<'_>); 8] = [
            (full, &["SET", &key, "probe", "EX", LIFE], Must::Get("OK")),
            (read_only, &["GET", &key], Must::Get("probe")),
            (read_only, &["SET", &key, "written", "EX", LIFE], Must::BeForbidden),
            (read_only, &["DEL", &key], Must::BeForbidden),
            (read_only, &["SCAN", "0"], Must::BeForbidden),
            (read_only, &["GET", ELSEWHERE], Must::BeForbidden),
            (full, &["GET", ELSEWHERE], Must::BeForbidden),
            (full, &["SET", ELSEWHERE, "x", "EX", LIFE], Must::BeForbidden),
        ];
        for (who, command, must) in tries {
            self.expect(cells, who, command, must).await;
        }
        // It lives for a minute at most.
        let _ = ask(self.port, Some(&tokens.full), &["DEL", &key]).await;
    }

    /// Our tokens at the gateways of others.
    async fn abroad(&self, cells: &mut Cells, all: &[Tokens]) -> Result<(), Fault> {
        let ours = Ours::see(&self.here).await?;
        for neighbour in ours.neighbours(cells).await? {
            cells.about(format!("{} → {}", ours.name, neighbour.name));
            let Some(port) = neighbour.up.as_ref().and_then(|up| up.port_of(REST)) else {
                cells.good("it has no gateway that runs");
                continue;
            };
            for tokens in all {
                for (what, token) in [("token", &tokens.full), ("read-only token", &tokens.read_only)] {
                    let who = format!("the {what} of {}", tokens.app);
                    match ask(port, Some(token), &["PING"]).await {
                        Ok((status, answer)) => judge(cells, &who, "PING", (status, &answer), Must::BeRefused),
                        // In a network of its own it is not reached from here, which is what is promised.
                        Err(why) => cells.good(format!("no address of ours leads to its gateway ({why})")),
                    }
                }
            }
        }
        Ok(())
    }

    async fn expect(&self, cells: &mut Cells, who: (&str, Option<&Secret>), command: &[&str], must: Must<'_>) {
        // The key has our process id in it, which says nothing to anybody.
        let asked = command[0];
        match ask(self.port, who.1, command).await {
            Ok((status, answer)) => judge(cells, who.0, asked, (status, &answer), must),
            Err(why) => cells.untried(format!("{asked} with {}: the gateway does not answer: {why}", who.0)),
        }
    }
}

fn judge(cells: &mut Cells, who: &str, asked: &str, (status, answer): (u16, &Value), must: Must<'_>) {
    let said = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    let got = match status {
        200 => "allowed".to_owned(),
        401 => "refused".to_owned(),
        _ if said.starts_with("NOPERM") => "forbidden".to_owned(),
        _ => format!("{status} {said}"),
    };
    let is_right = match must {
        Must::Get(result) => status == 200 && answer.get("result").and_then(Value::as_str) == Some(result),
        Must::BeForbidden => got == "forbidden",
        Must::BeRefused => got == "refused",
    };
    let sentence = format!("{asked} with {who}: {got}");
    match (is_right, status) {
        (true, _) => cells.good(sentence),
        // Redis is away, or the gateway has too much to do: nothing is known of the token.
        (false, 429 | 500..) => cells.untried(sentence),
        (false, _) => cells.bad(sentence),
    }
}

/// Asks a gateway: its status, and what it says.
async fn ask(port: u16, token: Option<&Secret>, command: &[&str]) -> std::io::Result<(u16, Value)> {
    let body = json!(command).to_string();
    let authorization = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose()));
    let head = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
        body.len(),
        authorization.unwrap_or_default()
    );
    let (status, said) = loopback::ask(port, &head, body.as_bytes(), PATIENCE).await?;
    let said = serde_json::from_slice(&said).map_err(|_| std::io::Error::other("what came is no answer"))?;
    Ok((status, said))
}
