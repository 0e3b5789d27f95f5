//! The one part of an answer that a visitor asks for (RFC 9110, section 14).

/// How much to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// Both ends included.
    Bytes {
        first: u64,
        last: u64,
    },
    /// Nothing of what was asked for is there.
    None,
}

/// A range is a wish: one that is odd (several parts, another unit) gets the whole.
pub fn part(range: &str, length: u64) -> Part {
    let Some(range) = range.strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(first), Some(last)) if first < length => Part::Bytes { first, last: last.min(length - 1) },
        (Some(first), None) if last.is_empty() && first < length => Part::Bytes { first, last: length - 1 },
        (None, Some(suffix)) if first.is_empty() && suffix > 0 && length > 0 => {
            Part::Bytes { first: length.saturating_sub(suffix), last: length - 1 }
        }
        (Some(_), Some(_)) => Part::None,
        (Some(_), None) if last.is_empty() => Part::None,
        (None, Some(_)) if first.is_empty() => Part::None,
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_is_cut_to_the_answer() {
        for (range, expected) in [
            ("bytes=0-0", Part::Bytes { first: 0, last: 0 }),
            ("bytes=2-500", Part::Bytes { first: 2, last: 9 }),
            ("bytes=9-", Part::Bytes { first: 9, last: 9 }),
            ("bytes=-30", Part::Bytes { first: 0, last: 9 }),
            ("bytes=10-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!((part("bytes=0-", 0), part("bytes=-1", 0)), (Part::None, Part::None));
    }
}
