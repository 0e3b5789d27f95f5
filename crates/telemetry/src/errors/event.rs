//! What is read of an event: the dozen fields that say what failed, where, in which release and for which request. Everything else
//! stays as it came.

use std::borrow::Cow;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lenient::{List, Pairs, Part, Text};

/// An event of a client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Event<'e> {
    #[serde(borrow)]
    pub(crate) event_id: Text<'e>,
    #[serde(borrow)]
    pub(crate) timestamp: Text<'e>,
    #[serde(borrow)]
    pub(crate) platform: Text<'e>,
    #[serde(borrow)]
    pub(crate) level: Text<'e>,
    #[serde(borrow)]
    pub(crate) transaction: Text<'e>,
    #[serde(borrow)]
    pub(crate) release: Text<'e>,
    #[serde(borrow)]
    pub(crate) message: Message<'e>,
    #[serde(borrow)]
    pub(crate) logentry: Message<'e>,
    #[serde(borrow)]
    pub(crate) exception: List<Part<Exception<'e>>>,
    #[serde(borrow)]
    pub(crate) stacktrace: Part<Stack<'e>>,
    #[serde(borrow)]
    pub(crate) fingerprint: List<Text<'e>>,
    #[serde(borrow)]
    pub(crate) tags: Pairs<'e>,
    #[serde(borrow)]
    pub(crate) contexts: Part<Contexts<'e>>,
    #[serde(borrow)]
    pub(crate) request: Part<Request<'e>>,
    #[serde(borrow)]
    pub(crate) debug_meta: Part<DebugMeta<'e>>,
}

/// One of a chain of causes; the last was thrown last.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Exception<'e> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Text<'e>,
    #[serde(borrow)]
    pub(crate) value: Text<'e>,
    #[serde(borrow)]
    pub(crate) stacktrace: Part<Stack<'e>>,
    #[serde(borrow)]
    pub(crate) mechanism: Part<Mechanism<'e>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mechanism<'e> {
    #[serde(borrow)]
    pub(crate) synthetic: Text<'e>,
    #[serde(borrow)]
    pub(crate) handled: Text<'e>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stack<'e> {
    /// The innermost is the last.
    #[serde(borrow)]
    pub(crate) frames: List<Part<Frame<'e>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Frame<'e> {
    #[serde(borrow)]
    pub(crate) filename: Text<'e>,
    #[serde(borrow)]
    pub(crate) abs_path: Text<'e>,
    #[serde(borrow)]
    pub(crate) function: Text<'e>,
    #[serde(borrow)]
    pub(crate) module: Text<'e>,
    #[serde(borrow)]
    pub(crate) lineno: Text<'e>,
    #[serde(borrow)]
    pub(crate) colno: Text<'e>,
    #[serde(borrow)]
    pub(crate) in_app: Text<'e>,
    #[serde(borrow)]
    pub(crate) context_line: Text<'e>,
}

impl Frame<'_> {
    pub(crate) fn is_in_app(&self) -> bool {
        self.in_app.get() == Some("true")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Contexts<'e> {
    #[serde(borrow)]
    pub(crate) trace: Part<Trace<'e>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Trace<'e> {
    #[serde(borrow)]
    pub(crate) trace_id: Text<'e>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request<'e> {
    #[serde(borrow)]
    pub(crate) headers: Pairs<'e>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DebugMeta<'e> {
    #[serde(borrow)]
    pub(crate) images: List<Part<Image<'e>>>,
}

/// A file of code and the id by which its source map is found.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Image<'e> {
    #[serde(borrow)]
    pub(crate) code_file: Text<'e>,
    #[serde(borrow)]
    pub(crate) debug_id: Text<'e>,
}

/// A message: a text, or an object with its parts.
#[derive(Debug, Default)]
pub(crate) struct Message<'e> {
    pub(crate) text: Option<Cow<'e, str>>,
    /// The text before values were put into it.
    pub(crate) template: Option<Cow<'e, str>>,
}

impl<'e, 'de: 'e> Deserialize<'de> for Message<'e> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::lenient::text_or_pairs(deserializer).map(|(text, pairs)| {
            let Some(mut pairs) = pairs else { return Self { text: text.0, template: None } };
            let mut take = |name: &str| {
                let at = pairs.0.iter().position(|(known, _)| known == name)?;
                pairs.0.swap_remove(at).1.0.filter(|text| !text.is_empty())
            };
            let (formatted, template) = (take("formatted"), take("message"));
            Self { text: formatted.or_else(|| template.clone()), template }
        })
    }
}

impl Event<'_> {
    /// What was said, where nothing was thrown.
    pub(crate) fn message(&self) -> Option<&Message<'_>> {
        [&self.logentry, &self.message].into_iter().find(|message| message.text.is_some())
    }

    /// By which request it is found in all apps' logs.
    pub(crate) fn request_id(&self) -> Option<&str> {
        let tag = self.tags.get("request_id").or_else(|| self.tags.get("requestId"));
        tag.or_else(|| self.request.0.headers.get("x-request-id")).filter(|id| id.len() <= 128)
    }

    pub(crate) fn trace_id(&self) -> Option<&str> {
        self.contexts.0.trace.0.trace_id.get().filter(|id| id.len() == 32)
    }

    /// Whether it ended what ran: nobody caught it.
    pub(crate) fn is_unhandled(&self) -> bool {
        let unhandled = |exception: &Part<Exception<'_>>| exception.0.mechanism.0.handled.get() == Some("false");
        self.exception.0.iter().any(unhandled)
    }

    /// When it happened, by the client's clock where that is believable.
    pub(crate) fn at(&self, received: i64) -> i64 {
        const AHEAD: i64 = 60_000;
        // Sentry's own bound: a laptop that was closed for a month still reports.
        const BEHIND: i64 = 30 * 24 * 3_600_000;
        let said = self.timestamp.get().and_then(millis);
        said.filter(|said| (received - BEHIND..=received + AHEAD).contains(said)).unwrap_or(received)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a float beyond what fits is cut off, and is no time")]
fn millis(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then_some((seconds * 1000.0) as i64);
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}
