//! An issuer that is away, slow, or not itself.

use oidc::Refusal;
use testkit::ci::{Answering, Issuer, Key};

use crate::{AUDIENCE, after, rules, verifier, wait};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// A token that is good at that moment.
fn token_at(issuer: &Issuer, seconds: i64) -> String {
    let mut claims = issuer.claims(AUDIENCE);
    for name in ["iat", "nbf", "exp"] {
        claims[name] = (claims[name].as_i64().unwrap() + seconds).into();
    }
    issuer.sign(&claims)
}

#[test]
fn keys_that_are_known_are_believed_for_a_day_while_the_issuer_is_away() {
    let issuer = Issuer::start();
    let (verifier, rules) = (verifier(&issuer), rules(&issuer));
    let accepted = |seconds: i64| wait(verifier.accept(&token_at(&issuer, seconds), &rules, after(seconds)));
    accepted(0).unwrap();
    issuer.answers(Answering::Down);
    accepted(30 * MINUTE).unwrap();
    accepted(DAY - MINUTE).unwrap();
    let refusal = accepted(DAY + MINUTE).unwrap_err();
    assert!(refusal.is_passing(), "{refusal}");
    issuer.answers(Answering::Keys);
    accepted(DAY + 2 * MINUTE).unwrap();
}

#[test]
fn an_issuer_that_does_not_answer_as_it_should_is_away() {
    for (answering, why) in [
        (Answering::Down, "answered 503"),
        (Answering::Never, "did not answer within 5 s"),
        (Answering::Huge, "longer than"),
        (Answering::Elsewhere, "answered 302"),
        (Answering::Nonsense, "no set of keys"),
    ] {
        let issuer = Issuer::start();
        let (verifier, rules) = (verifier(&issuer), rules(&issuer));
        issuer.answers(answering.clone());
        // The question itself takes time in the clock of this test, and none in that which it is given.
        let (start, token) = (testkit::ci::now(), issuer.token(AUDIENCE));
        let at = |seconds: i64| host::clock::Timestamp::from_unix_millis((start + seconds) * 1000);
        let Refusal::NoKeys(no_keys) = wait(verifier.accept(&token, &rules, at(0))).unwrap_err() else {
            panic!("{answering:?} gave keys")
        };
        assert!(no_keys.to_string().contains(why), "{answering:?}: {no_keys}");
        // It is not asked again for each token.
        let asked = issuer.asked();
        let refusal = wait(verifier.accept(&token, &rules, at(5))).unwrap_err();
        assert!(refusal.is_passing() && issuer.asked() == asked, "{refusal}");
        issuer.answers(Answering::Keys);
        wait(verifier.accept(&token, &rules, at(11))).unwrap();
    }
}

#[test]
fn whoever_cannot_prove_to_be_the_issuer_is_not_asked() {
    let (issuer, other) = (Issuer::start(), Issuer::start());
    let rules = rules(&issuer);
    let (trusting_the_other, token) = (verifier(&other), issuer.token(AUDIENCE));
    // Its address, by an authority that does not know it.
    let refusal = wait(trusting_the_other.accept(&token, &rules, after(0))).unwrap_err();
    assert_eq!(refusal, Refusal::Signature, "another's key has the same name");
    assert_eq!(issuer.asked(), 0);
}

#[test]
fn a_new_key_is_found_and_one_that_was_withdrawn_is_not_believed_for_long() {
    let issuer = Issuer::start();
    let (verifier, rules) = (verifier(&issuer), rules(&issuer));
    let old = token_at(&issuer, 15 * MINUTE);
    wait(verifier.accept(&issuer.token(AUDIENCE), &rules, after(0))).unwrap();
    issuer.rotate(Key::rsa("two"));
    let new = |seconds: i64| wait(verifier.accept(&token_at(&issuer, seconds), &rules, after(seconds)));
    assert_eq!(new(30), Err(Refusal::UnknownKey("two".to_owned())), "it was asked a moment ago");
    new(MINUTE).unwrap();
    assert_eq!(issuer.asked(), 2);
    let refusal = wait(verifier.accept(&old, &rules, after(15 * MINUTE))).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownKey("one".to_owned()));
}
