//! What came in, without what is nobody's business here, and bounded: one pass from JSON to JSON, with no tree in between.
//!
//! It runs before anything is on a disk, and shows by the way that the item is JSON. What is in it is masked by the name that it
//! has (`password`, `Cookie`, `email`) and by what it looks like (addresses with passwords, keys of providers, e-mail addresses,
//! card numbers).

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;
use secrets::redact::Needles;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::lenient::Text;

/// What stands in the place of what was taken out: the word that clients use for the same.
pub(crate) const FILTERED: &str = "[Filtered]";

/// Deeper things are not looked at by anybody. Stack frames with variables are at 8.
const MAX_DEPTH: u8 = 20;

/// Entries of one object: more tags than this are a flood.
const MAX_ENTRIES: usize = 200;

/// Members of one list: stacks of deep recursion, breadcrumbs.
const MAX_MEMBERS: usize = 500;

/// Bytes of one text.
const MAX_TEXT: usize = 8 * 1024;

/// Names whose values are masked, wherever in a name they stand and however it is written.
const SECRET_NAMES: [&str; 22] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "cookie",
    "credential",
    "csrf",
    "xsrf",
    "private_key",
    "privatekey",
    "card_number",
    "cardnumber",
    "forwarded",
    "x-real-ip",
    "remote_addr",
    "ip_address",
    "session_id",
];

/// Names that are masked where they are the whole name.
const WHOLE_NAMES: [&str; 12] =
    ["pwd", "auth", "dsn", "email", "username", "phone", "ip", "cvv", "cvc", "iban", "ssn", "x-api-key"];

static SECRET_NAME: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(SECRET_NAMES).expect("they are few"));
static E_MAIL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}").expect("the pattern is tested"));
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    let names = "[Pp]assword|[Pp]asswd|[Ss]ecret|[Tt]oken|[Aa]pi[_-]?[Kk]ey|[Ss]ession_id";
    Regex::new(&format!(r"((?:{names})[A-Za-z0-9_-]*=)[^&\s;,'\x22]+").replace(r"\s", " \\t\\r\\n"))
        .expect("the pattern is tested")
});
static BEARER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"([Bb]earer|[Bb]asic) [A-Za-z0-9._~+/=-]{8,}").expect("the pattern is tested"));
static CARD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("{CARD_IN_GROUPS}|[0-9]{{13,19}}")).expect("the pattern is tested"));

/// As it is embossed, and as one with fifteen digits is.
const CARD_IN_GROUPS: &str = "[0-9]{4}(?:[ -][0-9]{4}){2}[ -][0-9]{1,7}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{5}";

/// Names of ids that clients draw, by which everything else is found again: one of six hundred looks like a number of a card.
const ID_NAMES: [&str; 6] = ["event_id", "trace_id", "span_id", "parent_span_id", "debug_id", "sid"];

/// Takes out what is to stay with whom it came from.
pub(crate) struct Scrubber {
    guesses: Needles,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrubber")
    }
}

impl Scrubber {
    pub(crate) fn new() -> Self {
        Self { guesses: Needles::none() }
    }

    /// The same JSON in one line, scrubbed and bounded.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub(crate) fn scrub(&self, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = Vec::with_capacity(json.len());
        let mut reader = serde_json::Deserializer::from_slice(json);
        let walk = Walk { scrubber: self, out: &mut out, depth: 0, masked: false, named_id: false };
        walk.deserialize(&mut reader)?;
        reader.end()?;
        Ok(out)
    }

    fn write(&self, text: &str, out: &mut Vec<u8>) {
        let (mut at, mut equals, mut space, mut digits) = (false, false, false, 0_usize);
        for byte in text.bytes() {
            match byte {
                b'@' => at = true,
                b'=' => equals = true,
                b' ' => space = true,
                b'0'..=b'9' => digits += 1,
                _ => {}
            }
        }
        let mut clean = self.guesses.redact(cut(text));
        // Most texts have none of these in them, and the question is cheaper than the pattern.
        let mut change = |pattern: &Regex, with: &str| {
            if pattern.is_match(&clean) {
                clean = pattern.replace_all(&clean, with).into_owned().into();
            }
        };
        if at {
            change(&E_MAIL, "[e-mail]");
        }
        if equals {
            change(&ASSIGNED, "${1}[Filtered]");
        }
        if space {
            change(&BEARER, "$1 [Filtered]");
        }
        if digits >= 13 {
            clean = without_cards(clean);
        }
        quote(&clean, out);
        if text.len() > MAX_TEXT {
            out.pop();
            out.extend_from_slice("…\"".as_bytes());
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn quote(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text can be written to memory");
}

/// A number of a card stands alone: digits in the midst of a longer word are of an id.
fn without_cards(text: Cow<'_, str>) -> Cow<'_, str> {
    let stands_alone = |found: &regex::Match<'_>| {
        let before = text[..found.start()].chars().next_back();
        let after = text[found.end()..].chars().next();
        !before.into_iter().chain(after).any(|letter| letter.is_ascii_alphanumeric())
    };
    let cards: Vec<_> = CARD.find_iter(&text).filter(|found| stands_alone(found) && is_card(found.as_str())).collect();
    if cards.is_empty() {
        return text;
    }
    let (mut clean, mut from) = (String::with_capacity(text.len()), 0);
    for card in cards {
        clean.push_str(&text[from..card.start()]);
        clean.push_str("[card]");
        from = card.end();
    }
    clean.push_str(&text[from..]);
    clean.into()
}

/// Hexadecimal, with or without the hyphens of a UUID, of the lengths that ids have.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 16 | 32 | 36) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Luhn's sum, so that order numbers and times stay.
fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

fn is_masked(name: &str) -> bool {
    WHOLE_NAMES.iter().any(|whole| whole.eq_ignore_ascii_case(name)) || SECRET_NAME.is_match(name)
}

struct Walk<'w> {
    scrubber: &'w Scrubber,
    out: &'w mut Vec<u8>,
    depth: u8,
    /// Its name says that it is not for us.
    masked: bool,
    /// Its name says that it is an id.
    named_id: bool,
}

impl<'w> Walk<'w> {
    fn below<'b>(&'b mut self, masked: bool) -> Walk<'b> {
        let (depth, masked) = (self.depth + 1, self.masked || masked);
        Walk { scrubber: self.scrubber, out: self.out, depth, masked, named_id: false }
    }

    fn plain(&mut self, value: impl serde::Serialize) {
        if self.masked {
            quote(FILTERED, self.out);
        } else if serde_json::to_writer(&mut *self.out, &value).is_err() {
            self.out.extend_from_slice(b"null");
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        if self.depth >= MAX_DEPTH {
            // Without recursion, however deep it goes on.
            deserializer.deserialize_ignored_any(IgnoredAny)?;
            quote("…", self.out);
            return Ok(Kind::Other);
        }
        deserializer.deserialize_any(self)
    }
}

/// What was passed on, for lists of pairs.
enum Kind {
    /// A text that is the name of something secret.
    SecretName,
    Other,
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<Kind, E> {
        self.plain(value);
        Ok(Kind::Other)
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<Kind, E> {
        self.plain(value);
        Ok(Kind::Other)
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<Kind, E> {
        self.plain(value);
        Ok(Kind::Other)
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Kind, E> {
        self.plain(value);
        Ok(Kind::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Kind, E> {
        self.out.extend_from_slice(b"null");
        Ok(Kind::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Kind, E> {
        if self.masked {
            quote(if text.is_empty() { "" } else { FILTERED }, self.out);
            return Ok(Kind::Other);
        }
        if self.named_id && is_id(text) {
            quote(text, self.out);
            return Ok(Kind::Other);
        }
        self.scrubber.write(text, self.out);
        Ok(if text.len() <= 64 && is_masked(text) { Kind::SecretName } else { Kind::Other })
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut members: A) -> Result<Kind, A::Error> {
        self.out.push(b'[');
        let mut count = 0;
        // `[["Cookie", "…"], …]`, as some clients send headers.
        let mut masked = false;
        loop {
            if count == MAX_MEMBERS {
                while members.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            let before = self.out.len();
            if count > 0 {
                self.out.push(b',');
            }
            let Some(kind) = members.next_element_seed(self.below(masked))? else {
                self.out.truncate(before);
                break;
            };
            masked |= count == 0 && matches!(kind, Kind::SecretName);
            count += 1;
        }
        self.out.push(b']');
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Kind, A::Error> {
        self.out.push(b'{');
        // A name that comes twice is read differently by different readers: the first counts.
        let mut known: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Text(name)) = entries.next_key::<Text<'de>>()? {
            let name = name.unwrap_or_default();
            if known.len() == MAX_ENTRIES || known.contains(&name) {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            if !known.is_empty() {
                self.out.push(b',');
            }
            quote(cut(&name), self.out);
            self.out.push(b':');
            let named_id = ID_NAMES.contains(&&*name);
            entries.next_value_seed(Walk { named_id, ..self.below(is_masked(&name)) })?;
            known.push(name);
        }
        self.out.push(b'}');
        Ok(Kind::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(json: &str) -> String {
        String::from_utf8(Scrubber::new().scrub(json.as_bytes()).unwrap()).unwrap()
    }

    /// A number as issuers of cards give it out: the last digit makes the sum right.
    fn card(digits: &str) -> String {
        (0..10).map(|last| format!("{digits}{last}")).find(|number| is_card(number)).unwrap()
    }

    #[test]
    fn numbers_of_cards_go_wherever_they_stand_alone() {
        let (long, amex) = (card("411111111111111"), card("37828224631000"));
        let groups = format!("{}-{}-{}-{}", &long[..4], &long[4..8], &long[8..12], &long[12..]);
        let spaced = format!("{} {} {}", &amex[..4], &amex[4..10], &amex[10..]);
        for text in [long.clone(), amex, groups, spaced] {
            for around in ["{}", "paid with {}.", "card={},", "ä{}ä", "({})"] {
                let json = format!("{{\"message\":\"{}\"}}", around.replace("{}", &text));
                let said = scrubbed(&json);
                assert!(said.contains("[card]") && !said.contains(&text), "{json} is {said}");
            }
        }
        let two = scrubbed(&format!("[\"{long} and {long}\"]"));
        assert_eq!(two, "[\"[card] and [card]\"]");
    }

    #[test]
    fn ids_are_never_taken_for_cards() {
        let number = card("411111111111111");
        // In the midst of other digits and letters, as they are in one id of some hundreds.
        for id in [format!("00{number}00000000000018"), format!("ab{number}ffffffffffffff"), format!("{number}a")] {
            let json = format!("{{\"message\":\"at {id}\"}}");
            assert_eq!(scrubbed(&json), json);
        }
        for name in ID_NAMES {
            let json = format!("{{\"{name}\":\"{number}\"}}");
            assert_eq!(scrubbed(&json), json);
            // The name alone opens nothing.
            let said = scrubbed(&format!("{{\"{name}\":\"of {number}\"}}"));
            assert!(said.contains("[card]"), "{said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn an_id_that_a_client_draws_comes_through(id: u128) {
            for text in [format!("{id:032x}"), uuid::Uuid::from_u128(id).to_string()] {
                let json = format!("{{\"event_id\":\"{text}\",\"contexts\":{{\"trace\":{{\"trace_id\":\"{text}\"}}}}}}");
                proptest::prop_assert_eq!(scrubbed(&json), json);
            }
        }
    }
}
