//! The last line of defence: what came in is known, and what is about to leave is searched for it.

use std::collections::BTreeSet;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};
use manifest::Mask;
use mongodb::bson::{Bson, Document};
use regex::Regex;

/// Shorter values tell nobody: they are in every second word.
const LEAST: usize = 4;
/// The same of texts, which may well be one common word.
const LEAST_TEXT: usize = 8;
/// The same of numbers that are identifiers.
const LEAST_DIGITS: usize = 6;

/// Something of what came in was found in what is about to leave. The value is not told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    pub collection: String,
    /// The way to the field that has it.
    pub field: String,
    pub what: What,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Value(Mask),
    Email,
    Card,
    Phone,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(mask) => write!(f, "a value that is masked elsewhere by \"{mask}\""),
            Self::Email => f.write_str("an e-mail address"),
            Self::Card => f.write_str("the number of a card"),
            Self::Phone => f.write_str("a telephone number"),
        }
    }
}

/// Collects what comes in.
#[derive(Debug, Default)]
pub(super) struct Originals {
    values: BTreeSet<(String, Mask)>,
    patterns: BTreeSet<(What, String)>,
}

/// Knows what came in.
#[derive(Debug)]
pub struct Proof {
    search: Option<AhoCorasick>,
    masks: Vec<Mask>,
    patterns: BTreeSet<(What, String)>,
    finders: Finders,
}

impl Originals {
    /// A value that is to be masked.
    pub(super) fn masked(&mut self, mask: Mask, value: &Bson) {
        let (Some(text), false) = (text_of(value), matches!(mask, Mask::Keep | Mask::NumberNoise)) else { return };
        let least = match (value, mask) {
            (Bson::Int32(_) | Bson::Int64(_), _) => LEAST_DIGITS,
            (_, Mask::Text) => LEAST_TEXT,
            _ => LEAST,
        };
        let text = text.trim();
        if text.chars().filter(|letter| letter.is_alphanumeric()).count() >= least {
            self.values.insert((text.to_lowercase(), mask));
        }
    }

    /// Whatever else is in a document that comes in.
    pub(super) fn seen(&mut self, document: &Document, finders: &Finders) {
        for (_, value) in document {
            self.seen_value(value, finders);
        }
    }

    fn seen_value(&mut self, value: &Bson, finders: &Finders) {
        match value {
            Bson::Document(document) => self.seen(document, finders),
            Bson::Array(items) => items.iter().for_each(|item| self.seen_value(item, finders)),
            value => {
                if let Some(text) = text_of(value) {
                    finders.find(&text, |what, found| {
                        self.patterns.insert((what, found));
                    });
                }
            }
        }
    }

    pub(super) fn proof(self, finders: Finders) -> Proof {
        let (texts, masks): (Vec<String>, Vec<Mask>) = self.values.into_iter().unzip();
        let search = (!texts.is_empty()).then(|| {
            let builder = AhoCorasick::builder().match_kind(MatchKind::Standard).build(texts);
            builder.expect("a search that fits into memory, as the values did")
        });
        Proof { search, masks, patterns: self.patterns, finders }
    }
}

impl Proof {
    /// Everything in a document about to leave that came in.
    pub(super) fn leaks(&self, collection: &str, document: &Document) -> BTreeSet<Leak> {
        let mut leaks = BTreeSet::new();
        self.below("", document, &mut |field, what| {
            leaks.insert(Leak { collection: collection.to_owned(), field: field.to_owned(), what });
        });
        leaks
    }

    /// Whether a value that was made up is one that came in.
    pub(super) fn finds(&self, value: &Bson) -> bool {
        let mut found = false;
        self.value("", value, &mut |_, _| found = true);
        found
    }

    fn below(&self, above: &str, document: &Document, tell: &mut dyn FnMut(&str, What)) {
        for (name, value) in document {
            let way = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            self.value(&way, value, tell);
        }
    }

    fn value(&self, way: &str, value: &Bson, tell: &mut dyn FnMut(&str, What)) {
        match value {
            Bson::Document(document) => self.below(way, document, tell),
            Bson::Array(items) => items.iter().for_each(|item| self.value(way, item, tell)),
            value => {
                let Some(text) = text_of(value) else { return };
                self.values(&text.to_lowercase(), |mask| tell(way, What::Value(mask)));
                self.finders.find(&text, |what, found| {
                    if self.patterns.contains(&(what, found)) {
                        tell(way, what);
                    }
                });
            }
        }
    }

    /// As whole words: `anna` is not in `savannah`.
    fn values(&self, text: &str, mut tell: impl FnMut(Mask)) {
        let Some(search) = &self.search else { return };
        for found in search.find_overlapping_iter(text) {
            let before = text[..found.start()].chars().next_back();
            let after = text[found.end()..].chars().next();
            if [before, after].into_iter().flatten().all(|letter| !letter.is_alphanumeric()) {
                tell(self.masks[found.pattern().as_usize()]);
            }
        }
    }
}

/// A value as somebody would read it.
fn text_of(value: &Bson) -> Option<String> {
    Some(match value {
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => text.clone(),
        Bson::JavaScriptCodeWithScope(code) => format!("{} {}", code.code, code.scope),
        Bson::RegularExpression(regex) => regex.pattern.to_string(),
        Bson::ObjectId(id) => id.to_hex(),
        Bson::Int32(number) => number.to_string(),
        Bson::Int64(number) => number.to_string(),
        Bson::Double(number) => number.to_string(),
        Bson::Decimal128(number) => number.to_string(),
        Bson::Binary(binary) if binary.bytes.len() == 16 => binary.bytes.iter().map(|b| format!("{b:02x}")).collect(),
        Bson::Binary(binary) => String::from_utf8_lossy(&binary.bytes).into_owned(),
        _ => return None,
    })
}

/// Finds addresses and numbers that belong to somebody.
#[derive(Clone, Debug)]
pub(super) struct Finders {
    email: Regex,
    digits: Regex,
}

impl Finders {
    pub(super) fn new() -> Self {
        let regex = |pattern: &str| Regex::new(pattern).expect("the pattern is a constant");
        Self {
            email: regex(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"),
            digits: regex(r"\+?\(?[0-9](?:[ ()-]{0,2}[0-9]){7,18}"),
        }
    }

    fn find(&self, text: &str, mut tell: impl FnMut(What, String)) {
        for found in self.email.find_iter(text) {
            tell(What::Email, found.as_str().to_lowercase());
        }
        for found in self.digits.find_iter(text) {
            // A part of something longer, such as an identifier, is no number of its own.
            let before = text[..found.start()].chars().next_back();
            let after = text[found.end()..].chars().next();
            let goes_on = |letter: char| letter.is_alphanumeric() || letter == '-';
            if [before, after].into_iter().flatten().any(goes_on) {
                continue;
            }
            let digits: String = found.as_str().chars().filter(char::is_ascii_digit).collect();
            // Some numbers could be either; whoever is right, the other notations of both are then known.
            if let Some(number) = phone(found.as_str(), &digits) {
                tell(What::Phone, number);
            }
            if is_card(&digits) && !found.as_str().starts_with('+') {
                tell(What::Card, digits);
            }
        }
    }
}

/// With the beginning and the length that issuers give, and a check digit that is right. Times in milliseconds are not.
fn is_card(digits: &str) -> bool {
    let starts = |from: u32, to: u32, length: usize| {
        let start = digits.get(..length).and_then(|start| start.parse::<u32>().ok());
        start.is_some_and(|start| (from..=to).contains(&start))
    };
    let is_issued = match digits.len() {
        13 | 19 => starts(4, 4, 1) || starts(6, 6, 1),
        14 => starts(30, 30, 2) || starts(36, 36, 2) || starts(38, 39, 2),
        15 => starts(34, 34, 2) || starts(37, 37, 2),
        16 => starts(4, 4, 1) || starts(51, 55, 2) || starts(22, 27, 2) || starts(6, 6, 1) || starts(35, 35, 2),
        17 | 18 => starts(6, 6, 1),
        _ => false,
    };
    is_issued && has_check_digit(digits)
}

/// Luhn's sum.
fn has_check_digit(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (u32::from(digit - b'0'), at % 2) {
            (digit, 0) => digit,
            (digit, _) if digit > 4 => 2 * digit - 9,
            (digit, _) => 2 * digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Begins as telephone numbers do; dates and prices do not. However it is written, its last nine digits are the same.
fn phone(written: &str, digits: &str) -> Option<String> {
    const TOLD_APART_BY: usize = 9;
    let is_one = written.starts_with('+') || written.starts_with('(') || written.starts_with('0');
    let is_long = digits.len() >= TOLD_APART_BY && digits.len() <= 15;
    (is_one && is_long).then(|| digits[digits.len() - TOLD_APART_BY..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(What, String)> {
        let mut all = Vec::new();
        Finders::new().find(text, |what, found| all.push((what, found)));
        all
    }

    #[test]
    fn what_belongs_to_somebody_is_found_however_it_is_written() {
        let card = (What::Card, "4111111111111111".to_owned());
        for text in ["4111111111111111", "card 4111 1111 1111 1111.", "4111-1111-1111-1111"] {
            assert_eq!(found(text), std::slice::from_ref(&card), "{text}");
        }
        assert_eq!(found("write to Anna.Muster@Shop.example!"), [(What::Email, "anna.muster@shop.example".to_owned())]);
        let phone = (What::Phone, "301234567".to_owned());
        for text in ["+49 30 1234567", "(030) 1234567", "0049-30-1234567", "030 1234567"] {
            assert_eq!(found(text), std::slice::from_ref(&phone), "{text}");
        }
        // Its check digit happens to be that of a card: it stays a telephone number, in every notation.
        let phone = (What::Phone, "204521086".to_owned());
        for text in ["+49 30 204521086", "+49-30-204521086", "030 204521086"] {
            assert_eq!(found(text), std::slice::from_ref(&phone), "{text}");
        }
        let either = [(What::Phone, "246310005".to_owned()), (What::Card, "378282246310005".to_owned())];
        assert_eq!(found("(378282246310005)"), either);
    }

    #[test]
    fn dates_prices_times_and_identifiers_are_nobody_s() {
        for text in [
            "2026-11-26T08:15:30.123Z",
            "01.02.2026",
            "1999",
            "1795680000000",
            "4111111111111112",
            "0b54c2f8-9b1e-4a3c-8d5e-000012345678",
            "a4111111111111111",
            "@home",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
