//! What a receiver's answer means for what was sent.

use std::time::Duration;

use monitors::Reply;
use prost::Message;
use secrets::Secret;

use super::ExportKind;

/// Between two tries; doubled with each up to the latter.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// A receiver that asks for more is asked after this: somebody may have mended it.
const MOST_ASKED: Duration = Duration::from_mins(10);

/// What a receiver says is told in so many letters.
const MOST_TOLD: usize = 200;

/// What becomes of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All but `rejected` of its things; the next one not before `pause`.
    Taken {
        rejected: u64,
        pause: Duration,
    },
    /// Again, not before `after`.
    Later {
        after: Duration,
        why: String,
    },
    TooLarge {
        why: String,
    },
    /// It will never be taken.
    Refused {
        why: String,
    },
}

/// A part of a secret that is shorter is a word that anybody may say.
const SHORTEST: usize = 8;

impl Outcome {
    /// Receivers repeat what they were shown, and what they say is told to people.
    pub(super) fn without(mut self, secret: Option<&Secret>) -> Self {
        let (Self::Later { why, .. } | Self::TooLarge { why } | Self::Refused { why }) = &mut self else { return self };
        let secret = secret.map_or("", Secret::expose);
        // A DSN is an address, whose parts are said alone.
        let parts = secret.split(['/', ':', '@', '?', '&', '=']);
        for part in parts.chain([secret]).filter(|part| part.len() >= SHORTEST) {
            *why = why.replace(part, "[secret]");
        }
        self
    }
}

/// Judges an answer.
pub(super) fn judge(kind: ExportKind, reply: &Reply) -> Outcome {
    let limited = if kind == ExportKind::Sentry { limited(reply) } else { Duration::ZERO };
    let why = || {
        let said = String::from_utf8_lossy(&reply.body);
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_TOLD).collect();
        if said.is_empty() {
            format!("it answers {}", reply.status)
        } else {
            format!("it answers {}: {said}", reply.status)
        }
    };
    match reply.status {
        200..=299 => {
            let rejected = if kind == ExportKind::Otlp { rejected(&reply.body) } else { 0 };
            Outcome::Taken { rejected, pause: limited.min(MOST_ASKED) }
        }
        413 => Outcome::TooLarge { why: why() },
        // Remote-write 1.0: what is refused so must not be sent again.
        400..=499 if kind == ExportKind::RemoteWrite && reply.status != 429 => Outcome::Refused { why: why() },
        // A key that is wrong, an address that is: somebody mends it, and until then nothing is lost.
        300..=399 | 401 | 402 | 403 | 404 | 408 | 429 | 500.. => {
            let after = limited.max(retry_after(reply)).min(MOST_ASKED);
            Outcome::Later { after, why: why() }
        }
        _ => Outcome::Refused { why: why() },
    }
}

/// `Retry-After` in seconds. As a date it is as if it were not there: our own pause does.
fn retry_after(reply: &Reply) -> Duration {
    let said = reply.headers.get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    said.map_or(Duration::ZERO, Duration::from_secs)
}

/// How long Sentry wants no errors: `60:error;default:organization, 2700::key`.
fn limited(reply: &Reply) -> Duration {
    let said = reply.headers.get("x-sentry-rate-limits").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let longest = said.split(',').filter_map(|limit| {
        let mut parts = limit.trim().split(':');
        let seconds = parts.next()?.parse::<u64>().ok()?;
        let categories = parts.next().unwrap_or_default();
        let is_ours = categories.is_empty() || categories.split(';').any(|one| matches!(one, "error" | "session"));
        is_ours.then_some(seconds)
    });
    Duration::from_secs(longest.max().unwrap_or(0))
}

/// One message in field 1, whose field 1 is the count.
#[derive(Clone, PartialEq, Message)]
struct LogsResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
}

fn rejected(body: &[u8]) -> u64 {
    let partial = LogsResponse::decode(body).ok().and_then(|response| response.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected).ok()).unwrap_or(0)
}

/// The pause before a try, by how many failed before it. `share` of 0 to 1 keeps several from coming back at once.
pub(super) fn pause(failed: u32, share: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST);
    doubled.mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::HeaderMap;

    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Reply {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Reply { status, headers, body: Bytes::copy_from_slice(body) }
    }

    #[test]
    fn what_is_answered_decides_what_is_sent_again() {
        let of = |kind, status| match judge(kind, &reply(status, &[], b"")) {
            Outcome::Taken { .. } => "taken",
            Outcome::Later { .. } => "later",
            Outcome::TooLarge { .. } => "too large",
            Outcome::Refused { .. } => "refused",
        };
        let all = [200, 204, 302, 400, 401, 404, 413, 429, 500, 503];
        let loki: Vec<_> = all.iter().map(|status| of(ExportKind::Loki, *status)).collect();
        let later = "later";
        assert_eq!(loki, ["taken", "taken", later, "refused", later, later, "too large", later, later, later]);
        // The protocol says so.
        assert_eq!(of(ExportKind::RemoteWrite, 401), "refused");
        assert_eq!(of(ExportKind::RemoteWrite, 429), "later");
    }

    #[test]
    fn a_receiver_is_believed_how_long_it_wants_nothing() {
        let said = |headers: &[(&'static str, &str)]| match judge(ExportKind::Sentry, &reply(429, headers, b"")) {
            Outcome::Later { after, .. } => after.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(said(&[("retry-after", "7")]), 7);
        assert_eq!(said(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), 0);
        assert_eq!(said(&[("x-sentry-rate-limits", "60:transaction;span:organization, 30:error:key")]), 30);
        assert_eq!(said(&[("x-sentry-rate-limits", "86400::organization")]), 600);
        let fine = judge(ExportKind::Sentry, &reply(200, &[("x-sentry-rate-limits", "60:span:key")], b"{}"));
        assert_eq!(fine, Outcome::Taken { rejected: 0, pause: Duration::ZERO });
    }

    #[test]
    fn a_receiver_of_lines_says_how_many_it_did_not_take() {
        let body = LogsResponse { partial_success: Some(PartialSuccess { rejected: 3 }) }.encode_to_vec();
        let taken = judge(ExportKind::Otlp, &reply(200, &[], &body));
        assert_eq!(taken, Outcome::Taken { rejected: 3, pause: Duration::ZERO });
    }

    #[test]
    fn what_a_receiver_repeats_of_a_secret_is_told_to_nobody() {
        let key = "0a".repeat(16);
        let dsn = Secret::new(format!("https://{key}@sentry.example/7"));
        let said = reply(403, &[], format!("no key {key} here").as_bytes());
        let Outcome::Later { why, .. } = judge(ExportKind::Sentry, &said).without(Some(&dsn)) else { panic!() };
        assert_eq!(why, "it answers 403: no key [secret] here");
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let full: Vec<u64> = (1..9).map(|failed| pause(failed, 1.0).as_secs()).collect();
        assert_eq!(full, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(1, 0.0), Duration::from_millis(500));
        assert_eq!(pause(u32::MAX, 1.0), LONGEST);
    }
}
