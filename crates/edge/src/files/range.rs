//! The one part of a file that a visitor asks for.

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, Method};
// One reading of a range for files and for answers that are kept.
pub use response_cache::range::{Part, part as parse};

use crate::files::freshness::{Validators, seconds};

/// A range is a wish: what is odd about it (several parts, another unit, an older copy) is answered with the whole.
pub fn wanted(method: &Method, headers: &HeaderMap, validators: &Validators<'_>, length: u64) -> Part {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Part::Whole };
    if *method != Method::GET || !is_of_this(headers, validators) {
        return Part::Whole;
    }
    range.to_str().map_or(Part::Whole, |range| parse(range, length))
}

/// `If-Range`: a part of another version is worse than the whole of this one. Only a strong tag or the exact date will do.
fn is_of_this(headers: &HeaderMap, validators: &Validators<'_>) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else { return true };
    let Ok(condition) = condition.to_str() else { return false };
    match httpdate::parse_http_date(condition) {
        Ok(date) => seconds(date) == seconds(validators.modified),
        Err(_) => condition == validators.etag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_is_cut_to_the_file() {
        for (range, part) in [
            ("bytes=0-0", Part::Bytes { first: 0, last: 0 }),
            ("bytes=2-5", Part::Bytes { first: 2, last: 5 }),
            ("bytes=2-500", Part::Bytes { first: 2, last: 9 }),
            ("bytes=9-", Part::Bytes { first: 9, last: 9 }),
            ("bytes=-3", Part::Bytes { first: 7, last: 9 }),
            ("bytes=-30", Part::Bytes { first: 0, last: 9 }),
            ("bytes=10-", Part::None),
            ("bytes=10-11", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
        ] {
            assert_eq!(parse(range, 10), part, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Part::None);
        assert_eq!(parse("bytes=-1", 0), Part::None);
    }

    #[test]
    fn whatever_is_asked_the_part_lies_inside_the_file() {
        let alphabet = b"bytes=0123456789-, x";
        let mut random = 7_u64;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(random >> 33).unwrap()
        };
        for _ in 0..100_000 {
            let mut range = b"bytes=1-20".to_vec();
            for _ in 0..next() % 4 {
                let at = next() % range.len();
                range[at] = alphabet[next() % alphabet.len()];
            }
            let length = u64::try_from(next() % 30).unwrap();
            if let Part::Bytes { first, last } = parse(std::str::from_utf8(&range).unwrap(), length) {
                assert!(first <= last && last < length, "{} of {length}", String::from_utf8_lossy(&range));
            }
        }
    }
}
