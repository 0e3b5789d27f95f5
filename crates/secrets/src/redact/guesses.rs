//! Secrets that are not ours, by what they look like: passwords in addresses, and keys of providers whose form leaves no doubt.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::{Captures, Regex};

/// The password of an address: between the name before it and the `@` behind it. Spaces are written out: the classes of the
/// library's tables are not in every build of it.
const USER_INFO: &str = r"(?P<before>[a-zA-Z][a-zA-Z0-9+.-]*://[^ \t\r\n/:@'\x22<>]*:)[^ \t\r\n/@'\x22<>]+@";

/// What begins and is long enough like this is a key, whatever it stands in.
const KEYS: [&str; 17] = [
    r"rbtk_[0-9a-f]{72}",
    r"(?:sk|rk)_live_[A-Za-z0-9]{16,}",
    r"whsec_[A-Za-z0-9+/=]{24,}",
    r"AKIA[A-Z2-7]{16}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"gh[pousr]_[A-Za-z0-9]{36,}",
    r"github_pat_[A-Za-z0-9_]{60,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{20,}",
    r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    r"sk-(?:proj|ant)-[A-Za-z0-9_-]{32,}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
    r"dop_v1_[a-f0-9]{64}",
    r"hvs\.[A-Za-z0-9_-]{24,}",
];

/// How those begin: to look for these first spares nearly every line the patterns.
const BEGINNINGS: [&str; 21] = [
    "rbtk_",
    "sk_live_",
    "rk_live_",
    "whsec_",
    "AKIA",
    "AIza",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "npm_",
    "pypi-AgE",
    "xox",
    "SG.",
    "sk-",
    "shp",
    "AGE-SECRET-KEY-1",
    "dop_v1_",
];

static BEGINNING: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::new(BEGINNINGS.iter().copied().chain(["hvs."])).expect("they are few"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(USER_INFO).expect("the pattern is tested"));
static KEY: LazyLock<Regex> = LazyLock::new(|| Regex::new(&KEYS.join("|")).expect("the patterns are tested"));

/// A text without them.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    // Most lines have no address in them, and the question is cheaper than the pattern.
    let addresses = if memchr::memmem::find(text.as_bytes(), b"://").is_some() {
        ADDRESS.replace_all(text, |found: &Captures<'_>| {
            let (all, before) = (&found[0], &found["before"]);
            // Ours was taken out by its name already, which says more.
            if all[before.len()..].starts_with('‹') { all.to_owned() } else { format!("{before}‹password›@") }
        })
    } else {
        Cow::Borrowed(text)
    };
    if !BEGINNING.is_match(addresses.as_ref()) {
        return addresses;
    }
    match addresses {
        Cow::Borrowed(text) => KEY.replace_all(text, "‹key›"),
        Cow::Owned(text) => Cow::Owned(KEY.replace_all(&text, "‹key›").into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_addresses_go_and_everything_else_stays() {
        for (text, expected) in [
            ("mongodb://api:hunter2@127.0.0.1/x", "mongodb://api:‹password›@127.0.0.1/x"),
            ("redis://:hunter2@cache, again", "redis://:‹password›@cache, again"),
            ("https://shop.example:8443/@me", "https://shop.example:8443/@me"),
            ("https://shop.example/a:b@c", "https://shop.example/a:b@c"),
            ("mongodb://api:‹mongodb/app-api@1›@127.0.0.1", "mongodb://api:‹mongodb/app-api@1›@127.0.0.1"),
            ("12:30 anna@shop.example", "12:30 anna@shop.example"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn keys_of_providers_go() {
        let long = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0";
        let text = format!("key={} id=7", ["ghp", long].join("_"));
        assert_eq!(redact(&text), "key=‹key› id=7");
        // One of each, so that no pattern waits behind a beginning that is not looked for.
        for (beginning, letters, length) in [
            ("sk_live_", "a1", 24),
            ("rk_live_", "a1", 24),
            ("whsec_", "a1", 32),
            ("AKIA", "A2", 16),
            ("AIza", "a1", 35),
            ("gho_", "a1", 36),
            ("ghu_", "a1", 36),
            ("ghs_", "a1", 36),
            ("ghr_", "a1", 36),
            ("github_pat_", "a1", 82),
            ("glpat-", "a1", 20),
            ("npm_", "a1", 36),
            ("pypi-AgE", "a1", 60),
            ("xoxb-", "a1", 30),
            ("sk-proj-", "a1", 40),
            ("sk-ant-", "a1", 40),
            ("shpat_", "a1", 32),
            ("AGE-SECRET-KEY-1", "A2", 58),
            ("dop_v1_", "a1", 64),
            ("hvs.", "a1", 24),
            ("rbtk_", "a1", 72),
        ] {
            let key = format!("{beginning}{}", &letters.repeat(50)[..length]);
            assert_eq!(redact(&format!("<{key}>")), "<‹key›>", "{beginning}");
        }
        assert_eq!(redact(&format!("SG.{}.{}", "a1".repeat(11), "b".repeat(43))), "‹key›");
        assert_eq!(redact("sk_test_12345678901234567890"), "sk_test_12345678901234567890");
    }
}
