//! `Cache-Control`, of requests and of answers (RFC 9111, section 5.2).

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// Longer times are this long (RFC 9111, section 1.2.2).
const LONGEST: u64 = 1 << 31;

/// What the fields say together. Times are in seconds; one that cannot be read is 0, which keeps nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
    pub min_fresh: Option<u64>,
    /// Without a value, any time.
    pub max_stale: Option<u64>,
}

impl Directives {
    /// Names of any case, values quoted or not, commas inside of quotes. A field that is not made of text, or whose quotes do not end,
    /// forbids keeping: nobody knows what it forbids.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            match value.to_str().ok().and_then(members) {
                Some(members) => members.into_iter().for_each(|member| read.take(member)),
                None => read.no_store = true,
            }
        }
        read
    }

    fn take(&mut self, member: &str) {
        let (name, value) = match member.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (member, None),
        };
        // A blank before the sign is no directive of ours; what forbids holds however it is written.
        let (exact, name) = (name == name.trim(), name.trim().to_ascii_lowercase());
        match name.as_str() {
            "no-store" => self.no_store = true,
            // Some hold for named fields alone, if they say so. For all is what many caches make of it, and it is never too little.
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "public" if exact => self.public = true,
            "only-if-cached" if exact => self.only_if_cached = true,
            _ if !exact => {}
            // Of several the first one counts (section 4.2.1).
            "max-age" => drop(self.max_age.get_or_insert(seconds(value))),
            "s-maxage" => drop(self.s_maxage.get_or_insert(seconds(value))),
            "stale-while-revalidate" => drop(self.stale_while_revalidate.get_or_insert(seconds(value))),
            "stale-if-error" => drop(self.stale_if_error.get_or_insert(seconds(value))),
            "min-fresh" => drop(self.min_fresh.get_or_insert(seconds(value))),
            "max-stale" => drop(self.max_stale.get_or_insert(value.map_or(LONGEST, |value| seconds(Some(value))))),
            _ => {}
        }
    }
}

/// The members of a list, without the blanks around them. `None`: a quote has no end.
pub(crate) fn members(list: &str) -> Option<Vec<&str>> {
    let (mut members, mut from, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                members.push(list[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    members.push(list[from..].trim());
    members.retain(|member| !member.is_empty());
    (!is_quoted).then_some(members)
}

/// Digits, bare or in quotes. What is too long to count is long.
fn seconds(value: Option<&str>) -> u64 {
    let Some(value) = value else { return 0 };
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    delta(bare).unwrap_or(0)
}

/// A time as `delta-seconds` are written.
pub(crate) fn delta(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(LONGEST).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Directives {
        let line = |line: &&str| (CACHE_CONTROL, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        Directives::read(&lines.iter().map(line).collect())
    }

    #[test]
    fn names_have_any_case_and_what_is_in_quotes_is_no_directive() {
        let read = read(&["No-StOrE , MAX-AGE=5", r#"x="private, max-age=9", s-maxage="7""#]);
        assert!(read.no_store && !read.private);
        assert_eq!((read.max_age, read.s_maxage), (Some(5), Some(7)));
    }

    #[test]
    fn a_time_that_is_none_is_over() {
        for text in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age='60'", "max-age= 60", "max-age=6 0"] {
            assert_eq!(read(&[text]).max_age, Some(0), "{text}");
        }
        assert_eq!(read(&["max-age =60"]).max_age, None);
        assert_eq!(read(&["max-age=007"]).max_age, Some(7));
        assert_eq!(read(&["max-age=99999999999999999999999"]).max_age, Some(LONGEST));
        assert_eq!(read(&["max-age=60, max-age=1"]).max_age, Some(60));
        assert_eq!(read(&["max-stale"]).max_stale, Some(LONGEST));
    }

    #[test]
    fn what_forbids_holds_however_it_is_written() {
        assert!(read(&["no-store =x"]).no_store && read(&["private=\"set-cookie\""]).private);
        assert!(read(&["no-cache=\"a, b\""]).no_cache);
        // Nobody knows what these say.
        assert!(read(&["max-age=60, x=\"no end"]).no_store && read(&["max-age=60, \u{e9}"]).no_store);
        assert!(!read(&["public =x"]).public);
    }
}
