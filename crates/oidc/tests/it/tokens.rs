//! Which tokens are accepted, and why others are not.

use std::collections::BTreeSet;

use manifest::{Algorithm, CiEvent, Runner};
use oidc::{Keys, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::ci::{Issuer, Key};
use testkit::forgeries;

use crate::{AUDIENCE, after, rules, verifier, wait};

#[test]
fn every_forged_token_is_refused_for_its_own_reason_and_the_good_one_is_accepted() {
    let issuer = Issuer::start();
    let (verifier, rules) = (verifier(&issuer), rules(&issuer));
    let all = forgeries::all(&issuer, AUDIENCE);
    let names: BTreeSet<&str> = all.iter().map(|forgery| forgery.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "no row stands twice");
    assert!(all.len() >= 90, "{}", all.len());
    for forgery in &all {
        let refusal = wait(verifier.accept(&forgery.token, &rules, after(0))).unwrap_err();
        assert!(refusal.to_string().contains(&forgery.why), "{}: {refusal}, and not {}", forgery.name, forgery.why);
        assert!(!refusal.is_passing(), "{}", forgery.name);
        let lines = refusal.to_string();
        assert!(lines.len() < 400 && !lines.contains('\n'), "{lines:?} goes into a log");
    }
    let good = issuer.token(AUDIENCE);
    let accepted = wait(verifier.accept(&good, &rules, after(0))).unwrap();
    assert_eq!(accepted.called(), "ci:urbancart/shop@0123456789abcdef0123456789abcdef01234567");
    assert_eq!(issuer.asked(), 1, "keys are kept, whoever invents names of others");
}

#[test]
fn an_audience_may_be_a_list_of_one_and_a_job_need_not_name_a_reusable_workflow() {
    let issuer = Issuer::start();
    let (verifier, rules) = (verifier(&issuer), rules(&issuer));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = issuer.claims(AUDIENCE);
        change(&mut claims);
        wait(verifier.accept(&issuer.sign(&claims), &rules, after(0)))
    };
    with(&|claims| claims["aud"] = json!([AUDIENCE])).unwrap();
    with(&|claims| {
        claims.as_object_mut().unwrap().remove("job_workflow_ref");
    })
    .unwrap();
    // Of what it is named after nothing counts.
    with(&|claims| {
        claims["sub"] = json!("repo:evil/shop:ref:refs/heads/x");
        claims["repository"] = json!("urbancart/renamed");
        claims["email"] = json!("ann@urbancart.example");
    })
    .unwrap();
}

#[test]
fn what_the_manifest_does_not_ask_for_is_not_asked_for_and_what_it_does_is() {
    let issuer = Issuer::start();
    let verifier = verifier(&issuer);
    let mut rules = rules(&issuer);
    let reusable = "urbancart/ci/.github/workflows/deploy.yml@refs/tags/v1";
    let mut claims = issuer.claims(AUDIENCE);
    let object = claims.as_object_mut().unwrap();
    object.remove("environment");
    object.insert("runner_environment".to_owned(), "self-hosted".into());
    object.insert("job_workflow_ref".to_owned(), reusable.into());
    let token = issuer.sign(&claims);
    wait(verifier.accept(&token, &rules, after(0))).unwrap_err();
    (rules.environment, rules.runner, rules.job_workflow) = (None, Runner::Any, Some(reusable.to_owned()));
    wait(verifier.accept(&token, &rules, after(0))).unwrap();
    // One that is wanted and not said is not there.
    claims.as_object_mut().unwrap().remove("job_workflow_ref");
    let refusal = wait(verifier.accept(&issuer.sign(&claims), &rules, after(0))).unwrap_err();
    assert_eq!(refusal, Refusal::Missing("job_workflow_ref"));
}

#[test]
fn a_pull_request_gets_into_its_own_preview_and_no_other() {
    let issuer = Issuer::start();
    let verifier = verifier(&issuer);
    let mut rules = rules(&issuer);
    rules.events = vec![CiEvent::PullRequest];
    rules.git_ref = "refs/pull/7/merge".to_owned();
    rules.workflow = "urbancart/shop/.github/workflows/preview.yml@refs/pull/7/merge".to_owned();
    let of = |number: u32| {
        let workflow = format!("urbancart/shop/.github/workflows/preview.yml@refs/pull/{number}/merge");
        let mut claims = issuer.claims(AUDIENCE);
        claims["ref"] = format!("refs/pull/{number}/merge").into();
        (claims["workflow_ref"], claims["job_workflow_ref"]) = (workflow.clone().into(), workflow.into());
        claims["event_name"] = "pull_request".into();
        issuer.sign(&claims)
    };
    wait(verifier.accept(&of(7), &rules, after(0))).unwrap();
    let refusal = wait(verifier.accept(&of(8), &rules, after(0))).unwrap_err();
    assert_eq!(refusal, Refusal::Other { claim: "ref", found: "refs/pull/8/merge".to_owned() });
}

#[test]
fn a_key_is_for_one_algorithm_and_only_those_of_the_manifest_are_taken() {
    let issuer = Issuer::start();
    let verifier = verifier(&issuer);
    let (rsa, ec, ed) = (Key::rsa("rsa"), Key::ec("ec"), Key::ed("ed"));
    let named = |key: &Key, kid: &str, algorithm: &str| {
        let mut jwk = key.jwk();
        (jwk["kid"], jwk["alg"]) = (kid.into(), algorithm.into());
        jwk
    };
    let mut for_encryption = named(&rsa, "for-encryption", "RS256");
    for_encryption["use"] = "enc".into();
    let weak = json!({ "kty": "RSA", "kid": "weak", "n": "A".repeat(171), "e": "AQAB" });
    let shared = json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0" });
    issuer.shows(json!([
        rsa.jwk(),
        ec.jwk(),
        ed.jwk(),
        named(&rsa, "for-ps", "PS256"),
        for_encryption,
        weak,
        shared,
        rsa.jwk(),
        named(&rsa, "good", "RS256"),
        json!({ "kty": "unheard-of", "kid": "x" }),
        json!(7),
    ]));
    let claims = issuer.claims(AUDIENCE).to_string();
    let signed = |key: &Key, kid: &str, algorithm: &str| {
        key.sign_texts(&json!({ "alg": algorithm, "kid": kid }).to_string(), &claims)
    };
    let mut rules = rules(&issuer);
    let accept = |token: &str, rules: &manifest::Oidc| wait(verifier.accept(token, rules, after(0)));
    accept(&signed(&rsa, "good", "RS256"), &rules).unwrap();
    assert_eq!(accept(&signed(&ec, "ec", "ES256"), &rules), Err(Refusal::Algorithm("ES256".to_owned())));
    rules.algorithms = Algorithm::ALL.to_vec();
    accept(&signed(&ec, "ec", "ES256"), &rules).unwrap();
    accept(&signed(&ed, "ed", "EdDSA"), &rules).unwrap();
    for (kid, algorithm) in
        [("good", "PS256"), ("for-ps", "RS256"), ("ec", "RS256"), ("good", "ES256"), ("good", "EdDSA"), ("ed", "ES256")]
    {
        let refusal = accept(&signed(&rsa, kid, algorithm), &rules).unwrap_err();
        assert!(matches!(refusal, Refusal::OtherKey { .. }), "{kid} {algorithm}: {refusal}");
    }
    // A key that stands twice, and those that are not for signatures, weak, or known to two, are none.
    for kid in ["rsa", "for-encryption", "weak", "shared", "x"] {
        assert_eq!(accept(&signed(&rsa, kid, "RS256"), &rules), Err(Refusal::UnknownKey(kid.to_owned())));
    }
}

#[test]
fn clocks_may_be_a_minute_apart_and_no_more() {
    let issuer = Issuer::start();
    let (verifier, rules) = (verifier(&issuer), rules(&issuer));
    // Made now, holds for 300 s from 5 s ago on.
    let token = issuer.token(AUDIENCE);
    for (seconds, is_accepted) in [(-62, false), (-58, true), (0, true), (299, true), (358, true), (361, false)] {
        let answer = wait(verifier.accept(&token, &rules, after(seconds)));
        assert_eq!(answer.is_ok(), is_accepted, "at {seconds} s: {answer:?}");
    }
}

proptest! {
    #[test]
    fn nothing_that_somebody_sends_makes_the_reader_panic_or_is_accepted(
        header in ".{0,60}", claims in ".{0,120}", signature in proptest::collection::vec(any::<u8>(), 0..64), text in ".{0,200}",
    ) {
        use base64::Engine as _;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let token = format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(&signature));
        prop_assert!(oidc::read(&token, Algorithm::ALL).is_err());
        prop_assert!(oidc::read(&text, Algorithm::ALL).is_err());
        let _ = Keys::read(text.as_bytes());
        let _ = Keys::read(format!("{{\"keys\":[{claims}]}}").as_bytes());
    }

    #[test]
    fn a_good_token_with_a_byte_changed_is_not_accepted(at in 0_usize..2000, with in 0_u8..128) {
        let token = GOOD.with(|(issuer, _)| issuer.clone());
        let (text, keys, issuer) = &*token;
        let mut bytes = text.as_bytes().to_vec();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        let Ok(changed) = std::str::from_utf8(&bytes) else { return Ok(()) };
        let answer = oidc::read(changed, &[Algorithm::Rs256]).and_then(|token| token.verified(keys));
        let answer = answer.and_then(|claims| oidc::judge(&claims, issuer, after(0)));
        prop_assert!(answer.is_err());
    }

    #[test]
    fn whatever_a_signed_token_says_is_judged_and_nothing_panics(
        name in "(iss|aud|exp|nbf|iat|jti|sha|ref|run_id|repository|workflow_ref)", number in any::<i64>(), text in ".{0,40}", kind in 0..4,
    ) {
        let token = GOOD.with(|(issuer, _)| issuer.clone());
        let (_, _, rules) = &*token;
        let value = match kind {
            0 => json!(number),
            1 => json!(text),
            2 => json!([text]),
            _ => json!({ "x": number }),
        };
        let mut claims = json!({ "iss": rules.issuer, "aud": AUDIENCE, "exp": 1, "nbf": 1, "iat": 1 });
        claims[&name] = value;
        if let Ok(claims) = serde_json::from_value::<oidc::Claims>(claims) {
            prop_assert!(oidc::judge(&claims, rules, after(0)).is_err());
        }
    }
}

type Good = std::rc::Rc<(String, Keys, manifest::Oidc)>;

thread_local! {
    static GOOD: (Good, ()) = {
        let issuer = Issuer::start();
        let keys = Keys::read(json!({ "keys": [issuer.with_key(Key::jwk)] }).to_string().as_bytes()).unwrap();
        (std::rc::Rc::new((issuer.token(AUDIENCE), keys, rules(&issuer))), ())
    };
}
