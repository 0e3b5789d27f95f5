//! What an answer means: done, nothing there, there already, come back later, or refused with a reason.

use std::time::Duration;

use reconcile::Fault;
use serde_json::Value;
use ureq::http::{HeaderMap, Method, StatusCode};

use crate::exchange::{Order, Reply};

/// Where nobody says how long.
const A_WHILE: Duration = Duration::from_secs(20);

/// Headers by which a provider finds a request again.
const REQUEST_IDS: [&str; 3] = ["x-request-id", "x-mongodb-service-request-id", "cf-ray"];

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Said(Reply),
    Limited {
        again: Duration,
        fault: Fault,
    },
    /// It may work a moment later, and may have worked already.
    Broken(Fault),
    Refused(Fault),
}

pub(crate) fn outcome(
    provider: &str,
    order: &Order<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    text: &[u8],
) -> Outcome {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (method, path) = (&order.method, order.path);
    let fault = || {
        let doing = if *method == Method::GET { "ask" } else { "change at" };
        let id = REQUEST_IDS.iter().find_map(|name| header(name));
        let id = id.map(|id| format!(", request {}", plain(id, 100))).unwrap_or_default();
        let preposition = if *method == Method::GET { " for" } else { "" };
        Fault::new(format!("cannot {doing} {provider}{preposition} {path}: it answers {status}{id}"))
            .cause(why(text, order))
    };
    match status.as_u16() {
        200..=299 if text.iter().all(u8::is_ascii_whitespace) => Outcome::Said(Reply::Done(Value::Null)),
        // Not quite JSON, and said by servers that promise JSON.
        200..=299 if text.trim_ascii() == b"OK" => Outcome::Said(Reply::Done(Value::String("OK".to_owned()))),
        200..=299 => match serde_json::from_slice(text) {
            Ok(body) => Outcome::Said(Reply::Done(body)),
            Err(error) => Outcome::Refused(
                Fault::because(format!("cannot understand what {provider} says of {path}"), &error)
                    .hint("see whether `api` in roadbed.toml is right"),
            ),
        },
        300..=399 => Outcome::Refused(fault().hint(
            "no redirect is followed, for what opens the account would go with it: see whether `api` in roadbed.toml is right",
        )),
        401 => Outcome::Said(Reply::Locked(
            fault().hint("what opens the account is wrong or over: make another there, and set it with `roadbed secrets set`"),
        )),
        402 => Outcome::Refused(fault().hint("the account has no way to pay for this: give it one")),
        403 => Outcome::Refused(fault().hint("what opens the account may not do this, or not from this machine: see its rights there")),
        404 => Outcome::Said(Reply::Nothing),
        409 => Outcome::Said(Reply::Conflict(fault().hint("it is there already, or is being changed: run this again").retry_safe())),
        429 => {
            let seconds = header("retry-after").and_then(|value| value.trim().parse::<u64>().ok());
            let again = seconds.map_or(A_WHILE, Duration::from_secs);
            let hint = format!("its limit is reached: run this again in {} s", again.as_secs());
            Outcome::Limited { again, fault: fault().hint(hint).retry_safe() }
        }
        500..=599 => Outcome::Broken(fault().hint(format!("{provider} has trouble: run this again")).retry_safe()),
        _ => Outcome::Refused(fault().hint("correct what roadbed.toml orders there")),
    }
}

/// The provider's own words, without anything that was sent in secret.
fn why(text: &[u8], order: &Order<'_>) -> String {
    let body: Value = serde_json::from_slice(text).unwrap_or_default();
    let told = |name: &str| body.get(name).and_then(Value::as_str);
    let words = match (&body, told("detail"), told("errorCode")) {
        (Value::String(text), ..) => text.clone(),
        (_, Some(detail), Some(code)) => format!("{code}: {detail}"),
        (_, Some(detail), None) => detail.to_owned(),
        _ => told("error_description").or(told("error")).or(told("reason")).unwrap_or("it does not say why").to_owned(),
    };
    let hidden = order.hidden.iter().chain([&order.authorization]);
    let words = hidden.fold(words, |words, secret| words.replace(secret.expose(), "…"));
    plain(&words, 500)
}

fn plain(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect()
}
