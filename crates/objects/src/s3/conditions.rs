//! Under which conditions a request is done, and which bytes it wants.

use std::time::{Duration, SystemTime};

use host::clock::Timestamp;
use http::HeaderMap;

use super::authenticate::one;
use super::fault::Refusal;
use crate::store::{Expect, Head};

/// What conditions of a read say about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wanted,
    NotModified,
    Failed,
}

/// A moment as HTTP has it: to the second.
pub(crate) fn system_time(moment: Timestamp) -> SystemTime {
    let seconds = u64::try_from(moment.unix_millis()).unwrap_or(0) / 1000;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// Whether one of a list of ETags is this one. `*` is any.
fn names(list: &str, etag: &str) -> bool {
    list.trim() == "*"
        || list.split(',').any(|one| {
            let one = one.trim();
            let one = one.strip_prefix("W/").unwrap_or(one);
            one.strip_prefix('"').and_then(|one| one.strip_suffix('"')).unwrap_or(one) == etag
        })
}

/// Judges the conditions of a read in the order of RFC 9110, section 13.2.2. `before` is in front of the names of headers: nothing, or
/// `x-amz-copy-source-`.
pub(crate) fn judge(headers: &HeaderMap, before: &str, head: &Head) -> Result<Verdict, Refusal> {
    let header = |name: &str| one(headers, &format!("{before}{name}"));
    let modified = system_time(head.modified);
    if let Some(list) = header("if-match")? {
        if !names(list, &head.etag) {
            return Ok(Verdict::Failed);
        }
    } else if let Some(since) = header("if-unmodified-since")?.and_then(date)
        && modified > since
    {
        return Ok(Verdict::Failed);
    }
    if let Some(list) = header("if-none-match")? {
        if names(list, &head.etag) {
            return Ok(Verdict::NotModified);
        }
    } else if let Some(since) = header("if-modified-since")?.and_then(date)
        && modified <= since
    {
        return Ok(Verdict::NotModified);
    }
    Ok(Verdict::Wanted)
}

/// The conditions of a write.
pub(crate) fn expect(headers: &HeaderMap) -> Result<Expect, Refusal> {
    let (is, is_not) = (one(headers, "if-match")?, one(headers, "if-none-match")?);
    match (is, is_not) {
        (None, None) => Ok(Expect::Anything),
        (None, Some("*")) => Ok(Expect::Absent),
        (Some("*"), None) => Ok(Expect::Etag(None)),
        (Some(etag), None) if !etag.contains(',') => Ok(Expect::Etag(Some(etag.trim().trim_matches('"').to_owned()))),
        _ => Err(Refusal::unknown("this condition of a write")),
    }
}

/// Which bytes of how many are wanted: the first, and how many. `None` for all.
///
/// # Errors
/// Where none of them is there.
pub fn range(text: Option<&str>, size: u64) -> Result<Option<(u64, u64)>, Refusal> {
    // Of several ranges, or what is none, S3 gives all.
    let Some((first, last)) = text.and_then(|text| text.strip_prefix("bytes=")).and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (from, length) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, (last - first).saturating_add(1)),
        (Some(first), None) if last.is_empty() => (first, u64::MAX),
        (None, Some(last)) if first.is_empty() => {
            let length = last.min(size);
            (size - length, length)
        }
        _ => return Ok(None),
    };
    if from >= size || length == 0 {
        let mut refusal =
            Refusal::new(http::StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", "no byte of this range is there");
        refusal.size = Some(size);
        return Err(refusal);
    }
    Ok(Some((from, length.min(size - from))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_is_never_beyond_the_object(text in "bytes=[0-9]{0,21}-[0-9]{0,21}", size in any::<u64>()) {
            if let Ok(Some((from, length))) = range(Some(&text), size) {
                prop_assert!(length > 0 && from.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    }

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let of = |text| range(Some(text), 10);
        assert_eq!(of("bytes=0-0"), Ok(Some((0, 1))));
        assert_eq!(of("bytes=2-"), Ok(Some((2, 8))));
        assert_eq!(of("bytes=-3"), Ok(Some((7, 3))));
        assert_eq!(of("bytes=-30"), Ok(Some((0, 10))));
        assert_eq!(of("bytes=8-99999999999999999999999"), Ok(Some((8, 2))));
        for all in ["bytes=0-1,3-4", "bytes=3-1", "lines=0-1", "bytes=-", "bytes=a-"] {
            assert_eq!(of(all), Ok(None), "{all}");
        }
        for none in ["bytes=10-", "bytes=-0"] {
            assert_eq!(of(none).unwrap_err().status, 416, "{none}");
        }
    }

    #[test]
    fn etags_are_compared_whole() {
        assert!(names("\"a\", W/\"b\"", "b") && names("*", "x") && names("a", "a"));
        assert!(!names("\"ab\"", "a"));
    }
}
