//! A request that says which one it is, by the header `Idempotency-Key`, is done once: who asks again, since the answer was lost on the
//! way, gets the first one's answer.

use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::call::{Answer, Caller};
use super::problem::Problem;
use super::route::{Given, Route};
use super::tokens::{Remembered, TokenId, TokensFault};
use crate::control::Control;

/// Tells an answer that was given before.
const REPLAYED: header::HeaderName = header::HeaderName::from_static("idempotent-replayed");

pub(super) async fn once(
    control: &Control,
    token: TokenId,
    key: &str,
    route: &Route,
    caller: Caller,
    given: Given,
) -> Result<Answer, Problem> {
    let tokens = &control.api.tokens;
    let cannot = |error: TokensFault| caller_fault(&error);
    match tokens.begin(token, key, &asked(route, &given), control.clock.now()).map_err(cannot)? {
        Remembered::Begun => {}
        Remembered::Answered { status, answer } => {
            let headers = vec![(REPLAYED, HeaderValue::from_static("true"))];
            return Ok(Answer { status: StatusCode::from_u16(status).unwrap_or(route.status), body: answer, headers });
        }
        Remembered::Unfinished => {
            let problem =
                Problem::new(StatusCode::CONFLICT, "unfinished", "this request was begun, and its end is not known");
            return Err(problem.hint("look at the deployments whether it is among them; another key asks anew"));
        }
        Remembered::Other => {
            let problem = Problem::new(StatusCode::CONFLICT, "key-reused", "this key was sent with another request");
            return Err(problem.hint("take another `Idempotency-Key` for each request"));
        }
    }
    match route.run(caller, given).await {
        Ok(body) => {
            tokens.end(token, key, route.status.as_u16(), &body).map_err(cannot)?;
            Ok(Answer { status: route.status, body, headers: Vec::new() })
        }
        // It was refused: nothing was done, and it may be tried again.
        Err(problem) => {
            tokens.forget(token, key).map_err(cannot)?;
            Err(problem)
        }
    }
}

fn caller_fault(error: &TokensFault) -> Problem {
    tracing::error!(%error, "cannot use the book of tokens");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-now", "control cannot note that this was asked for")
        .hint("see whether the disk is full")
}

fn asked(route: &Route, given: &Given) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(route.path.as_bytes());
    hash.update([0]);
    hash.update(&given.body);
    hash.finalize().into()
}
