//! `roadbed explain`: what became of one request, by the number that its visitor was shown.

use clap::Args;
use edge::access::door::WhyNot;
use edge::log::lines_of;
use edge::refusal::Refusal;
use reconcile::Fault;
use serde_json::Value;
use telemetry::logs::{ACCESS, Filter};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::logs_search;
use crate::cli::session::Session;
use crate::render::log;

/// A request says less than that.
const MOST_LINES: usize = 1000;

/// Say what became of one request, and why it was refused
///
/// Every answer has a number, in `X-Request-Id` and on every page of ours that says that something went wrong. The access log has what
/// the edge decided about it: which app it went to, what answered, which limit it met. What apps wrote with the same number stands below.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed explain 01a05c3e-7b1e-7000-8000-2f6d3c1f0a55
  roadbed explain 01a05c3e-7b1e-7000-8000-2f6d3c1f0a55 --env production --json | jq '.[0].limit'

Exit codes:
  0  it was found
  1  no log has it (any more)")]
pub struct Explain {
    /// The request's number
    #[arg(value_name = "REQUEST-ID")]
    pub id: String,
}

pub async fn run(session: &Session, args: &Explain) -> Result<Exit, Failure> {
    let lines = lines_of(&session.root.access_log(), &args.id);
    let lines = lines.map_err(|fault| Failure::Work(Fault::because("cannot read the access log", &fault)))?;
    let filter = Filter { request: Some(args.id.clone()), ..Filter::default() };
    let found = logs_search::find(session, &filter, MOST_LINES).await?.lines;
    let (access, said): (Vec<_>, Vec<_>) = found.iter().partition(|record| record.source.unit == ACCESS);
    // What the edge has moved aside and removed, telemetry has still.
    let kept = access.iter().rev().filter_map(|record| serde_json::from_str(&record.line).ok());
    let mut lines = if lines.is_empty() { kept.collect() } else { lines };
    let output = &session.output;
    if output.is_json() {
        if let Some(first) = lines.first_mut() {
            first["lines"] = said.iter().map(|record| logs_search::document(record)).collect();
        }
        output.json(&lines)?;
    } else {
        for line in &lines {
            output.line(told(line))?;
        }
        let units: Vec<String> = said.iter().map(|record| record.source.unit.clone()).collect();
        let view = log::View::new(&units, output.data);
        for record in &said {
            output.line(view.line(&logs_search::entry(record)))?;
        }
        if lines.is_empty() {
            output.complain(format!("no log has a request {:?}", args.id));
        }
    }
    Ok(if lines.is_empty() { Exit::Failed } else { Exit::Done })
}

fn told(line: &Value) -> String {
    let word = |name: &str| line[name].as_str().unwrap_or("-");
    let mut text = format!(
        "{}  {} {}://{}{} from {} was answered {}",
        word("time"),
        word("method"),
        word("scheme"),
        word("host"),
        word("path"),
        word("client"),
        line["status"]
    );
    match (line["upstream"].as_str(), line["app"].as_str()) {
        (Some(instance), _) => text += &format!(", by {instance}"),
        (None, Some(app)) => text += &format!(", by the edge for {app}"),
        (None, None) => text += ", by the edge",
    }
    if let Some(code) = line["error"].as_str() {
        let refusal = Refusal::ALL.into_iter().find(|refusal| refusal.code() == code).map(Refusal::sentence);
        let at_door = || WhyNot::ALL.into_iter().find(|why| why.code() == code).map(WhyNot::sentence);
        text += &format!("\n  {code}: {}", refusal.or_else(at_door).unwrap_or("The connection ended early."));
    }
    if let Some(user) = line["user"].as_str() {
        text += &format!("\n  signed in as {user}");
    }
    if let Some(abuse) = line["abuse"].as_object() {
        let of = |name: &str| abuse.get(name).and_then(Value::as_str);
        text += &format!("\n  {}", judged(of("rule").unwrap_or("-")));
        if let Some(about) = of("about") {
            text += &format!(" ({about})");
        }
        text += match of("outcome") {
            Some("refused") => "; it was refused",
            _ => "; it was let in, since that is only looked at",
        };
    }
    if let Some(limit) = line["limit"].as_object() {
        let of = |name: &str| limit.get(name).and_then(Value::as_str).unwrap_or("-");
        text += &format!("\n  limit {}: {}; {}", of("class"), because(of("rule")), outcome(of("outcome")));
    }
    text
}

fn judged(rule: &str) -> &'static str {
    match rule {
        "listed" => "its network is listed, see `roadbed edge list`",
        "scanner-path" => "only scanners ask for this path",
        "honeypot" => "robots.txt forbids this path and no page links it",
        "fake-crawler" => "it names itself after a search engine, and the name service says it is none",
        "kept-out" => "its network asked for what only scanners ask for, too often",
        "challenge" => "the page takes a proof of work, and it has none",
        _ => "a rule that this version does not know",
    }
}

fn because(rule: &str) -> &'static str {
    match rule {
        "own" => "the bucket of its key, see [rate_limits] in the manifest",
        "ceiling" => "what all of one network, or all that one client says to be, may together",
        "failures" => "too many failed logins for one account from one client",
        _ => "a rule that this version does not know",
    }
}

fn outcome(outcome: &str) -> &'static str {
    match outcome {
        "refused" => "it was refused",
        "would-refuse" => "the class only looks on, so it was let in",
        "fell-back" => "Redis was away, so this edge alone let it in",
        _ => "what came of it this version does not know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_kept_out_is_told_with_its_reason() {
        let line = serde_json::json!({
            "time": "2026-01-01T00:00:00Z", "request_id": "id-12345678", "method": "GET", "scheme": "https",
            "host": "www.shop.example", "path": "/", "status": 403, "client": "203.0.113.7", "error": "blocked",
            "abuse": { "rule": "listed", "outcome": "refused", "about": "203.0.113.0/24: credential stuffing" },
        });
        assert_eq!(
            told(&line),
            "2026-01-01T00:00:00Z  GET https://www.shop.example/ from 203.0.113.7 was answered 403, by the edge\n  \
             blocked: Your network is not let in here.\n  \
             its network is listed, see `roadbed edge list` (203.0.113.0/24: credential stuffing); it was refused"
        );
    }

    #[test]
    fn a_refused_login_is_told_with_its_limit() {
        let line = serde_json::json!({
            "time": "2026-01-01T00:00:00Z", "request_id": "id-12345678", "method": "POST", "scheme": "https",
            "host": "api.shop.example", "path": "/auth/login", "status": 429, "client": "192.0.2.1", "app": "api",
            "error": "asked-too-often", "limit": { "class": "auth", "rule": "own", "outcome": "refused" },
        });
        assert_eq!(
            told(&line),
            "2026-01-01T00:00:00Z  POST https://api.shop.example/auth/login from 192.0.2.1 was answered 429, by the edge for api\n  \
             asked-too-often: This was asked too often. Please try again later.\n  \
             limit auth: the bucket of its key, see [rate_limits] in the manifest; it was refused"
        );
    }
}
