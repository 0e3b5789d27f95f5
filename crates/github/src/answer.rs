//! What an answer means: done, nothing there, come back later, or refused with a reason.

use std::time::Duration;

use reconcile::Fault;
use serde_json::Value;
use ureq::http::{HeaderMap, Method, StatusCode};

/// GitHub's own advice where it does not say how long.
const MINUTE: Duration = Duration::from_secs(60);

/// What GitHub said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// There is another page.
    pub(crate) has_more: bool,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// 404, which GitHub also says of what a token may not see.
    Nothing,
    Limited {
        again: Duration,
        fault: Fault,
    },
    /// It may work a moment later.
    Broken(Fault),
    Refused(Fault),
}

pub(crate) fn outcome(method: &Method, path: &str, status: StatusCode, headers: &HeaderMap, text: &[u8]) -> Outcome {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let fault = || {
        let doing = if *method == Method::GET { "ask GitHub for" } else { "change on GitHub" };
        Fault::new(format!("cannot {doing} {path}: it answers {status}")).cause(said(text))
    };
    if let Some(again) = limited(status, &header, text) {
        let hint = format!("its limit is reached: run this again in {} s", again.as_secs());
        return Outcome::Limited { again, fault: fault().hint(hint) };
    }
    match status.as_u16() {
        200..=299 if text.is_empty() => Outcome::Answered(Answer { body: Value::Null, has_more: false }),
        200..=299 => match serde_json::from_slice(text) {
            Ok(body) => {
                let has_more = header("link").is_some_and(|link| link.contains("rel=\"next\""));
                Outcome::Answered(Answer { body, has_more })
            }
            Err(error) => Outcome::Refused(
                Fault::because(format!("cannot understand what GitHub says of {path}"), &error)
                    .hint("see whether the address of the API is right"),
            ),
        },
        300..=399 => Outcome::Refused(fault().hint(
            "the repository has moved: correct `repository` in [ci.github]. No redirect is followed, for the token would go with it",
        )),
        401 => Outcome::Refused(fault().hint("the token is wrong or over: make another")),
        403 => Outcome::Refused(
            fault().hint("the token needs `administration`, `environments`, `variables` and `secrets` (write), and `actions` (read)"),
        ),
        404 => Outcome::Nothing,
        409 => Outcome::Refused(fault().hint("somebody else changed it at the same time: run this again")),
        500..=599 => Outcome::Broken(fault().hint("GitHub has trouble: run this again")),
        _ => Outcome::Refused(fault().hint("the plan of the organisation may not have this: see GitHub's documentation")),
    }
}

/// How long to wait, if that is what it says.
fn limited<'h>(status: StatusCode, header: &dyn Fn(&str) -> Option<&'h str>, text: &[u8]) -> Option<Duration> {
    let number = |name: &str| header(name).and_then(|value| value.trim().parse::<u64>().ok());
    let is_limit = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::FORBIDDEN
            && (number("retry-after").is_some()
                || number("x-ratelimit-remaining") == Some(0)
                || String::from_utf8_lossy(text).contains("secondary rate limit")));
    if !is_limit {
        return None;
    }
    // The end of the hour is told as a time; the answer's own date is the clock that it is of.
    let until_reset = || {
        let reset = number("x-ratelimit-reset")?;
        let now = header("date").and_then(seconds)?;
        Some(Duration::from_secs(reset.saturating_sub(now) + 1))
    };
    Some(number("retry-after").map(Duration::from_secs).or_else(until_reset).unwrap_or(MINUTE))
}

/// An HTTP date as seconds since 1970.
fn seconds(date: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(date).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// GitHub's own words, and which fields it means.
fn said(text: &[u8]) -> String {
    let body: Value = serde_json::from_slice(text).unwrap_or_default();
    let mut words = vec![body.get("message").and_then(Value::as_str).unwrap_or("it does not say why").to_owned()];
    for error in body.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let told = |name: &str| error.get(name).and_then(Value::as_str);
        words.extend(match (error.as_str(), told("field"), told("message").or_else(|| told("code"))) {
            (Some(text), ..) => Some(text.to_owned()),
            (None, Some(field), Some(why)) => Some(format!("{field}: {why}")),
            (None, None, Some(why)) => Some(why.to_owned()),
            _ => None,
        });
    }
    words.join("; ").chars().filter(|c| !c.is_control()).take(500).collect()
}
