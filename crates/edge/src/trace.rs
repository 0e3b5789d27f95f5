//! The trace that a request belongs to: what joins a page's call, what each app does about it, and the errors that come of it.
//!
//! Told in two notations at once, `traceparent` of the W3C and `sentry-trace`: SDKs of the latter kind do not hear the former.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const SENTRY_TRACE: HeaderName = HeaderName::from_static("sentry-trace");

/// Whether those before us record this trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampled {
    Yes,
    No,
    /// Nobody has said so yet: the app decides.
    Open,
}

/// A trace, and our own span in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 of them: the parent of what the app does.
    pub span_id: String,
    /// The span that this is a part of, where somebody before us has one.
    pub parent_id: Option<String>,
    sampled: Sampled,
}

/// The trace that came with the request if it is a valid one, else a new one. Visitors' are taken too: a page's call belongs to the
/// page's trace, and all that a stranger wins is to be found by an id of his choice.
pub fn accept_or_make(headers: &HeaderMap) -> Trace {
    let found =
        only(headers, &TRACEPARENT).and_then(of_w3c).or_else(|| only(headers, &SENTRY_TRACE).and_then(of_sentry));
    let (trace_id, parent_id, sampled) = match found {
        Some((trace_id, parent_id, sampled)) => (trace_id, Some(parent_id), sampled),
        None => (Uuid::new_v4().simple().to_string(), None, Sampled::Open),
    };
    // Half of a random id; never zero, because the version is in it.
    let mut span_id = Uuid::new_v4().simple().to_string();
    span_id.truncate(16);
    Trace { trace_id, span_id, parent_id, sampled }
}

impl Trace {
    /// Says it to the app, in place of what the visitor said.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let value = |text: String| HeaderValue::from_str(&text).expect("hexadecimal digits are a header value");
        let Self { trace_id, span_id, .. } = self;
        let flags = if self.sampled == Sampled::No { "00" } else { "01" };
        // Without an end where nobody has decided: with one, the rate that an app has set would count for nothing.
        let decided = match self.sampled {
            Sampled::Yes => "-1",
            Sampled::No => "-0",
            Sampled::Open => "",
        };
        headers.insert(TRACEPARENT, value(format!("00-{trace_id}-{span_id}-{flags}")));
        headers.insert(SENTRY_TRACE, value(format!("{trace_id}-{span_id}{decided}")));
        if self.parent_id.is_none() {
            headers.remove(TRACESTATE);
        }
    }
}

/// Two are none: nobody knows which the next one would believe.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut sent = headers.get_all(name).iter();
    match (sent.next(), sent.next()) {
        (Some(one), None) => one.to_str().ok(),
        _ => None,
    }
}

/// `00-TRACE-SPAN-FLAGS`; later versions may say more behind that.
fn of_w3c(text: &str) -> Option<(String, String, Sampled)> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = version == "00" && parts.next().is_none();
    let is_later = is_hex(version, 2) && version != "00" && version != "ff";
    if !(is_known || is_later) || !is_id(trace, 32) || !is_id(span, 16) || !is_hex(flags, 2) {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace.to_owned(), span.to_owned(), if flags & 1 == 1 { Sampled::Yes } else { Sampled::No }))
}

/// `TRACE-SPAN`, and `-1` or `-0` where it is decided.
fn of_sentry(text: &str) -> Option<(String, String, Sampled)> {
    let mut parts = text.trim().split('-');
    let (trace, span) = (parts.next()?, parts.next()?);
    let sampled = match parts.next() {
        None => Sampled::Open,
        Some("1") => Sampled::Yes,
        Some("0") => Sampled::No,
        Some(_) => return None,
    };
    (is_id(trace, 32) && is_id(span, 16) && parts.next().is_none())
        .then(|| (trace.to_owned(), span.to_owned(), sampled))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_id(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn told(sent: &[(&'static str, &str)]) -> (Trace, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let trace = accept_or_make(&headers);
        trace.tell(&mut headers);
        (trace, headers)
    }

    #[test]
    fn a_valid_trace_goes_on_with_a_span_of_ours() {
        let (trace, headers) =
            told(&[("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-00")), ("tracestate", "a=b")]);
        assert_eq!(trace.trace_id, TRACE);
        assert_ne!(trace.span_id, "b7ad6b7169203331");
        assert_eq!(headers["traceparent"], format!("00-{TRACE}-{}-00", trace.span_id).as_str());
        assert_eq!(headers["sentry-trace"], format!("{TRACE}-{}-0", trace.span_id).as_str());
        assert_eq!(headers["tracestate"], "a=b");
        let (trace, headers) = told(&[("sentry-trace", &format!("{TRACE}-b7ad6b7169203331"))]);
        assert_eq!(headers["sentry-trace"], format!("{TRACE}-{}", trace.span_id).as_str());
        assert_eq!(headers["traceparent"], format!("00-{TRACE}-{}-01", trace.span_id).as_str());
    }

    #[test]
    fn what_is_no_trace_is_replaced() {
        let zero = "0".repeat(32);
        for sent in [
            format!("00-{zero}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            "00-x-y-z".into(),
            String::new(),
        ] {
            let (trace, headers) = told(&[("traceparent", &sent), ("tracestate", "a=b")]);
            assert!(
                !sent.contains(&trace.trace_id) && is_id(&trace.trace_id, 32) && is_id(&trace.span_id, 16),
                "{sent}"
            );
            assert!(!headers.contains_key("tracestate"));
            assert_eq!(headers.get_all("traceparent").iter().count(), 1);
        }
        let one = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_ne!(told(&[("traceparent", &one), ("traceparent", &one)]).0.trace_id, TRACE);
        assert_eq!(told(&[("traceparent", &format!("01-{TRACE}-b7ad6b7169203331-01-later"))]).0.trace_id, TRACE);
    }
}
