//! Moments as signatures write them: `20261127T021500Z`.

use host::clock::Timestamp;

/// A moment to the second, and its day in the first eight digits.
pub fn stamp(now: Timestamp) -> String {
    let date = now.calendar();
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour(),
        date.minute(),
        date.second()
    )
}

/// Reads what [`stamp`] writes; `None` where it is none.
pub fn read_stamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, until: usize| {
        let digits = &bytes[from..until];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |sum, &digit| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 || year < 1970
    {
        return None;
    }
    // Days since 1970 in the calendar of Gregory, counted from March so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let millis = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000;
    let read = Timestamp::from_unix_millis(millis);
    // The 31st of a shorter month is none.
    (stamp(read) == text).then_some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_i64..253_402_300_800) {
            let moment = Timestamp::from_unix_millis(seconds * 1000);
            prop_assert_eq!(read_stamp(&stamp(moment)), Some(moment));
        }

        #[test]
        fn nothing_makes_the_reader_panic(text in ".{0,20}") {
            let _ = read_stamp(&text);
        }
    }

    #[test]
    fn a_day_that_is_none_is_none() {
        for text in
            ["20260231T000000Z", "20260101T240000Z", "2026010100000000", "20260101t000000Z", "", "20261301T000000Z"]
        {
            assert_eq!(read_stamp(text), None, "{text}");
        }
    }
}
