//! Variables' values: how they are written, who may read them and when, and that none is a secret by accident.

use super::no_repetition;
use crate::environment::{Class, Delivery, Phase, Reach};
use crate::findings::Findings;
use crate::id::VarName;
use crate::source::At;
use crate::tables::{Document, Kind};
use crate::template::{Chunk, Text};
use crate::value::ValueType;
use crate::variable_tables::{Origin, VariableTable};

/// What build tools put into pages that visitors load.
pub(crate) const PUBLIC_PREFIXES: [&str; 5] = ["NEXT_PUBLIC_", "VITE_", "REACT_APP_", "GATSBY_", "EXPO_PUBLIC_"];

pub(super) fn check(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    choices(name, variable, findings);
    reach(name, variable, document, findings);
    phase(name, variable, findings);
    delivery(name, variable, document, findings);
    examples(name, variable, findings);
    for (environment, text) in texts(variable) {
        if let Some(text_itself) = plain(text) {
            let rule = variable.rule_in(environment);
            if let Err(wrong) = rule.check(text_itself) {
                let place = environment.map(|environment| format!(" in {environment}")).unwrap_or_default();
                findings
                    .error(text.span, format!("the value of {}{place} {wrong}", name.value))
                    .hint(format!("its type is \"{}\"; change the value, or type and match", rule.value_type));
            }
            let kind = looks_like(text_itself).filter(|_| !variable.class.value.is_sensitive());
            if let Some(kind) = kind {
                findings
                    .error(text.span, format!("{} is {}, but its value looks like {kind}", name.value, variable.class.value))
                    .hint("set source = \"store\" and class = \"secret\", and have the value replaced where it came from: whoever reads this file has it");
            }
        }
    }
}

/// Every value that the manifest holds, and the environment that it is for.
fn texts(variable: &VariableTable) -> impl Iterator<Item = (Option<&crate::EnvName>, &At<Text>)> {
    let general = variable.value.iter().map(|text| (None, text));
    let own = variable.r#in.iter().filter_map(|(name, own)| Some((Some(&name.value), own.value.as_ref()?)));
    general.chain(own)
}

/// The text of a value without references.
fn plain(text: &Text) -> Option<&str> {
    match text.0.as_slice() {
        [Chunk::Plain(plain)] => Some(plain),
        _ => None,
    }
}

fn choices(name: &At<VarName>, variable: &VariableTable, findings: &mut Findings) {
    no_repetition(&variable.choices, findings);
    match (variable.r#type.value, variable.choices.is_empty()) {
        (ValueType::Enum, true) => findings
            .error(variable.r#type.span, format!("{} is one of several values, but they are not named", name.value))
            .hint("add choices = [\"…\", \"…\"]"),
        (other, false) if other != ValueType::Enum => findings
            .error(variable.choices.span, format!("{} has choices, but its type is \"{other}\"", name.value))
            .hint("set type = \"enum\""),
        _ => {}
    }
}

fn reach(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    let class = variable.class.value;
    if let Some(reach) = &variable.reach {
        if reach.value == Reach::Client && class != Class::Public {
            findings
                .error(reach.span, format!("{} is {class}, so code in visitors' browsers must not read it", name.value))
                .hint("set class = \"public\" if every visitor may see it, or reach = \"server\"");
        }
        let is_static =
            |app: &&At<crate::AppName>| document.apps.get(&app.value).is_some_and(|app| app.kind == Kind::Static);
        if reach.value != Reach::Client
            && let Some(app) = variable.apps.iter().find(is_static)
        {
            findings
                .error(reach.span, format!("\"{}\" is static: what it reads, visitors' browsers read", app.value))
                .hint("set reach = \"client\", or leave the key out");
        }
    }
    let Some(prefix) = PUBLIC_PREFIXES.iter().find(|prefix| name.value.as_str().starts_with(**prefix)) else { return };
    if class != Class::Public {
        findings
            .error(
                name.span,
                format!("{} is {class}, but build tools show visitors whatever begins with {prefix}", name.value),
            )
            .hint("give it a name without that beginning");
    } else if !variable.phase.value.is_at_build() {
        findings
            .error(
                name.span,
                format!("{} would be frozen while the app is built, since its name begins with {prefix}", name.value),
            )
            .hint("give it a name without that beginning and read it at run time, or set phase = \"build\"");
    }
}

/// One build is promoted from environment to environment, so what it freezes must be the same in all of them.
fn phase(name: &At<VarName>, variable: &VariableTable, findings: &mut Findings) {
    let ci = |source: &&At<Origin>| source.value == Origin::Ci;
    let own_sources = variable.r#in.iter().filter_map(|(_, own)| own.source.as_ref());
    if variable.phase.value == Phase::Build {
        let kept = variable.source.iter().chain(own_sources).find(|source| !ci(source));
        if let Some(source) = kept {
            findings
                .error(
                    source.span,
                    format!("{} is read while the app is built, where there is no secret store", name.value),
                )
                .hint("set source = \"ci\", or phase = \"runtime\"");
        }
    } else if let Some(source) = variable.source.iter().chain(own_sources).find(ci) {
        findings
            .error(source.span, format!("{} is known only where it is built, but is read at run time", name.value))
            .hint("set phase = \"build\", or source = \"store\"");
    }
    if !variable.phase.value.is_at_build() {
        return;
    }
    let differing = texts(variable).find(|(environment, text)| environment.is_some() || plain(text).is_none());
    if let Some((_, text)) = differing {
        findings
            .error(
                text.span,
                format!("{} is frozen while the app is built, but differs between environments", name.value),
            )
            .hint("one build serves every environment: read it at run time (phase = \"runtime\"), or give it one plain value");
    }
}

fn delivery(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    if variable.deliver.value == Delivery::Env {
        return;
    }
    if variable.phase.value.is_at_build() {
        findings
            .error(
                variable.deliver.span,
                format!("{} is read while the app is built, where it cannot be a file", name.value),
            )
            .hint("set deliver = \"env\"");
    }
    for app in &variable.apps.value {
        if document.apps.get(&app.value).is_some_and(|app| app.kind == Kind::Static) {
            findings
                .error(
                    variable.deliver.span,
                    format!("\"{}\" is static: it has no process that could read a file", app.value),
                )
                .hint("set deliver = \"env\"");
        }
    }
}

fn examples(name: &At<VarName>, variable: &VariableTable, findings: &mut Findings) {
    let Some(example) = &variable.example else { return };
    // A fake need not match: that is how a scanner tells it from a real one.
    let rule = variable.rule_in(None);
    let checked = if variable.class.value.is_sensitive() { rule.check_type(example) } else { rule.check(example) };
    if let Err(wrong) = checked {
        findings
            .error(example.span, format!("the example of {} {wrong}", name.value))
            .hint("people copy it: show a value that would do");
    }
}

/// What a text looks like, if it looks like something that opens a door. A net for accidents: whoever wants to hide a secret
/// here can.
fn looks_like(text: &str) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 11] = [
        ("sk_live_", "a payment provider's key"),
        ("rk_live_", "a payment provider's key"),
        ("sk_test_", "a payment provider's key"),
        ("whsec_", "a webhook's secret"),
        ("ghp_", "a token of a code host"),
        ("github_pat_", "a token of a code host"),
        ("glpat-", "a token of a code host"),
        ("xoxb-", "a chat bot's token"),
        ("AKIA", "a cloud's access key"),
        ("AIza", "a cloud's access key"),
        ("eyJ", "a signed token"),
    ];
    if text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let authority = text.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    if authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':')) {
        return Some("an address with a password in it");
    }
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_+-".contains(c)));
    words
        .filter_map(|word| {
            let known = BEGINNINGS
                .iter()
                .find(|(beginning, _)| word.strip_prefix(beginning).is_some_and(|rest| rest.len() >= 12));
            known.map(|(_, kind)| *kind).or_else(|| is_random(word).then_some("a random key"))
        })
        .next()
}

/// 32 letters and digits without a pause, mixed as no word and no name is.
fn is_random(word: &str) -> bool {
    let longest = word.split(['-', '_']).max_by_key(|part| part.len()).unwrap_or_default();
    if longest.len() < 32 {
        return false;
    }
    let digits = longest.bytes().filter(u8::is_ascii_digit).count();
    let share = |byte: u8| {
        let count = longest.bytes().filter(|other| *other == byte).count();
        #[expect(clippy::cast_precision_loss, reason = "a word is short")]
        let share = count as f64 / longest.len() as f64;
        share
    };
    let distinct: std::collections::BTreeSet<u8> = longest.bytes().collect();
    let entropy: f64 = distinct.into_iter().map(|byte| -share(byte) * share(byte).log2()).sum();
    // 32 random hexadecimal digits have 3.6 bits each on average; English has no digits inside its words.
    entropy > 3.0 && digits * 10 >= longest.len()
}

#[cfg(test)]
mod tests {
    use super::looks_like;

    #[test]
    fn what_looks_like_a_secret_and_what_does_not() {
        // Put together here, so that no scanner takes this file for a leak.
        let made = |beginning: &str| format!("{beginning}{}", "Ab3dEf6hIj9kLm2nOp5q");
        for beginning in ["sk_live_", "sk_test_", "ghp_", "glpat-", "AKIA", "eyJ"] {
            assert!(looks_like(&made(beginning)).is_some(), "{beginning}");
        }
        assert!(looks_like(&format!("key={}", "0f1e2d3c4b5a69788796a5b4c3d2e1f0")).is_some());
        assert!(looks_like("redis://app:hunter2@host:6379").is_some());
        assert!(looks_like(concat!("-----BEGIN RSA ", "PRIVATE KEY-----\n…")).is_some());
        for harmless in [
            "info",
            "https://www.urbancart.localhost:8443/a/very/long/path/that/goes/on/and/on/and/on",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "averylongwordthatnobodywouldeverwritebutwhoknows",
            "sk_test_",
            "mongodb://127.0.0.1:27017/shop",
            "eyJump",
        ] {
            assert_eq!(looks_like(harmless), None, "{harmless}");
        }
    }
}
