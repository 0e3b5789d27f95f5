//! Whatever the chunks, no secret is in what comes out, and nothing else is missing.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use std::sync::Arc;

use proptest::prelude::*;
use secrets::Secret;
use secrets::redact::{Needles, Redactor, encodings};

fn needles(values: &[&str]) -> Arc<Needles> {
    let secrets: Vec<Secret> = values.iter().map(|value| Secret::new((*value).to_owned())).collect();
    Arc::new(Needles::new(secrets.iter().enumerate().map(|(at, secret)| (format!("S{at}@1"), secret))).unwrap())
}

fn whole(needles: &Arc<Needles>, text: &[u8]) -> Vec<u8> {
    in_chunks(needles, text, &[text.len().max(1)])
}

/// Chunks of these lengths, again and again.
fn in_chunks(needles: &Arc<Needles>, text: &[u8], lengths: &[usize]) -> Vec<u8> {
    let mut redactor = Redactor::new(Arc::clone(needles));
    let (mut out, mut rest, mut lengths) = (Vec::new(), text, lengths.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        redactor.push(chunk, &mut out);
        rest = after;
    }
    redactor.flush(&mut out);
    assert!(!redactor.is_holding());
    out
}

fn shown(values: &[&str], text: &str) -> String {
    String::from_utf8(whole(&needles(values), text.as_bytes())).unwrap()
}

#[test]
fn a_secret_that_begins_like_another_leaves_nothing_behind() {
    let values = ["hunter22", "hunter22-prod-XYZ"];
    assert_eq!(shown(&values, "pw=hunter22-prod-XYZ!"), "pw=‹S1@1›!");
    assert_eq!(shown(&values, "pw=hunter22-prod-XY"), "pw=‹S0@1›-prod-XY");
    for length in 1..20 {
        let text = in_chunks(&needles(&values), b"pw=hunter22-prod-XYZ!", &[length]);
        assert_eq!(String::from_utf8(text).unwrap(), "pw=‹S1@1›!", "chunks of {length}");
    }
}

#[test]
fn secrets_that_overlap_are_one_and_neighbours_are_two() {
    assert_eq!(shown(&["abcdefgh", "efghijkl"], "<abcdefghijkl>"), "<‹S0@1›>");
    assert_eq!(shown(&["abcdefgh", "ijklmnop"], "<abcdefghijklmnop>"), "<‹S0@1›‹S1@1›>");
    assert_eq!(shown(&["aaaaaaaa"], &"a".repeat(100)), "‹S0@1›");
}

#[test]
fn texts_lose_what_is_known_and_what_can_only_be_a_password() {
    let needles = needles(&["correct horse"]);
    assert_eq!(needles.redact("nothing here"), "nothing here");
    assert_eq!(
        needles.redact("a correct horse at redis://u:correct%20horse@c, then redis://u:battery@c"),
        "a ‹S0@1› at redis://u:‹S0@1›@c, then redis://u:‹password›@c"
    );
    assert_eq!(needles.found().collect::<Vec<_>>(), [("S0@1", 2)]);
}

#[test]
fn what_is_too_short_is_named_and_not_looked_for() {
    let needles = needles(&["docker", "correct horse"]);
    assert_eq!(needles.too_short(), ["S0@1"]);
    assert_eq!(needles.redact("docker run"), "docker run");
}

#[test]
fn other_needles_in_the_middle_find_what_was_held_back() {
    let (before, after) = (needles(&["correct horse"]), needles(&["correct battery"]));
    let mut redactor = Redactor::new(before);
    let mut out = Vec::new();
    redactor.push(b"a correct ", &mut out);
    assert_eq!(out, b"a ");
    redactor.look_for(after);
    redactor.push(b"battery staple", &mut out);
    redactor.flush(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "a ‹S0@1› staple");
}

#[test]
fn only_what_may_be_a_secret_is_held_back() {
    let mut redactor = Redactor::new(needles(&["correct horse"]));
    let mut out = Vec::new();
    redactor.push(b"a line without any secret\n", &mut out);
    assert_eq!(out, b"a line without any secret\n");
    assert!(!redactor.is_holding());
    redactor.push(b"corr", &mut out);
    assert!(redactor.is_holding());
    redactor.flush(&mut out);
    assert!(out.ends_with(b"corr"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Few letters, so that secrets begin and end like each other and overlap.
    #[test]
    fn chunks_change_nothing(
        values in prop::collection::vec("[ab]{8,14}", 1..6),
        text in "[abc]{0,200}",
        lengths in prop::collection::vec(1_usize..18, 1..20),
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let needles = needles(&values);
        let at_once = whole(&needles, text.as_bytes());
        prop_assert_eq!(&in_chunks(&needles, text.as_bytes(), &lengths), &at_once);
        // Between what was replaced the text is as it was, in its order.
        let mut rest = text.as_str();
        let at_once = String::from_utf8(at_once).unwrap();
        for piece in at_once.split(['‹', '›']).step_by(2) {
            let at = rest.find(piece);
            prop_assert!(at.is_some());
            rest = &rest[at.unwrap() + piece.len()..];
            prop_assert!(!values.iter().any(|value| piece.contains(value)));
        }
    }

    /// Strangers' bytes around secrets in every encoding.
    #[test]
    fn no_needle_comes_out(
        value in "[!-~]{12,40}",
        which in any::<prop::sample::Index>(),
        // Bytes that are in no needle, so that it is known where the needle begins.
        before in prop::collection::vec(prop_oneof![0_u8..32, 200_u8..], 0..40),
        behind in prop::collection::vec(prop_oneof![0_u8..32, 200_u8..], 0..40),
        lengths in prop::collection::vec(1_usize..18, 1..20),
    ) {
        let secret = Secret::new(value.clone());
        let all = encodings(&secret);
        let text = [before.as_slice(), which.get(&all).as_slice(), behind.as_slice()].concat();
        let out = in_chunks(&needles(&[&value]), &text, &lengths);
        for needle in &all {
            prop_assert!(!out.windows(needle.len()).any(|window| window == needle.as_slice()));
        }
        prop_assert!(out.starts_with(&before) && out.ends_with(&behind));
    }
}
