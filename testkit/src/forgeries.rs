//! Tokens that nobody may accept, each with the reason that must be given for it. Where two reasons would do, a row proves neither.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::ci::{Issuer, Key, encoded, now};

/// A token that is not to be accepted.
#[derive(Clone, Debug)]
pub struct Forgery {
    pub name: String,
    pub token: String,
    /// What the reason that is noted says.
    pub why: String,
}

/// A good token of the audience with one thing changed, of every kind.
pub fn all(issuer: &Issuer, audience: &str) -> Vec<Forgery> {
    let mut all = forms(issuer, audience);
    all.extend(headers(issuer, audience));
    all.extend(keys(issuer, audience));
    all.extend(times(issuer, audience));
    all.extend(claims(issuer, audience));
    all
}

fn row(name: &str, token: String, why: &str) -> Forgery {
    Forgery { name: name.to_owned(), token, why: why.to_owned() }
}

/// What is no token.
fn forms(issuer: &Issuer, audience: &str) -> Vec<Forgery> {
    let good = issuer.token(audience);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let padded = format!("{good}==");
    vec![
        row("empty", String::new(), "not three parts"),
        row("one part", "e30".to_owned(), "not three parts"),
        row("two parts", message.to_owned(), "not three parts"),
        row("four parts", format!("{good}.e30"), "not three parts"),
        row("five parts, as of an encrypted one", format!("{good}.e30.e30"), "not three parts"),
        row("padded base64", padded, "not three parts"),
        row("base64 that is not for URLs", format!("{message}.+/{}", &signature[2..]), "not three parts"),
        row("a line break in it", format!("{message}.\n{signature}"), "not three parts"),
        row("longer than one is", format!("{good}{}", "A".repeat(20_000)), "longer than a token"),
        row("a header that is no JSON", format!("{}.e30.{signature}", encoded("alg")), "its header is not one"),
    ]
}

fn with_header(issuer: &Issuer, audience: &str, change: impl FnOnce(&mut Value)) -> String {
    let claims = issuer.claims(audience).to_string();
    issuer.with_key(|key| {
        let mut header = key.header();
        change(&mut header);
        key.sign_texts(&header.to_string(), &claims)
    })
}

/// Headers that say what is not believed.
fn headers(issuer: &Issuer, audience: &str) -> Vec<Forgery> {
    let set = |name: &'static str, value: Value| with_header(issuer, audience, move |header| header[name] = value);
    let without = |name: &'static str| {
        with_header(issuer, audience, move |header| {
            header.as_object_mut().unwrap().remove(name);
        })
    };
    let claims = issuer.claims(audience).to_string();
    let twice = issuer.with_key(|key| {
        key.sign_texts(&format!("{{\"alg\":\"RS256\",\"kid\":\"{}\",\"alg\":\"none\"}}", key.kid), &claims)
    });
    // The key that everybody knows, taken for a secret that two share.
    let by_hmac = issuer.with_key(|key| {
        let header = json!({ "typ": "JWT", "alg": "HS256", "kid": key.kid }).to_string();
        let message = format!("{}.{}", encoded(header), encoded(&claims));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &key.public_der());
        format!("{message}.{}", encoded(hmac::sign(&secret, message.as_bytes())))
    });
    let unsigned = |algorithm: &str| {
        let header = json!({ "typ": "JWT", "alg": algorithm, "kid": "one" }).to_string();
        format!("{}.{}.", encoded(header), encoded(&claims))
    };
    vec![
        row("signed by nobody", unsigned("none"), "signed by \"none\""),
        row("signed by nobody, in capitals", unsigned("NONE"), "signed by \"NONE\""),
        row("HMAC with the public key", by_hmac, "signed by \"HS256\""),
        row("RSA with SHA-1", set("alg", json!("RS1")), "signed by \"RS1\""),
        row("another algorithm of the same key", set("alg", json!("RS512")), "signed by \"RS512\""),
        row("an algorithm in small letters", set("alg", json!("rs256")), "signed by \"rs256\""),
        row("no algorithm", without("alg"), "signed by \"\""),
        row("an algorithm twice", twice, "its header is not one"),
        row("no name of a key", without("kid"), "which key signed it"),
        row("an empty name of a key", set("kid", json!("")), "which key signed it"),
        row("a key's name that is no text", set("kid", json!(["one"])), "its header is not one"),
        row("keys from an address of its own", set("jku", json!("https://evil.example/jwks")), "has `jku`"),
        row("a key that it brings along", set("jwk", Key::rsa("mine").jwk()), "has `jwk`"),
        row("certificates from an address of its own", set("x5u", json!("https://evil.example/c")), "has `x5u`"),
        row("certificates that it brings along", set("x5c", json!(["MIIB"])), "has `x5c`"),
        row("something that must be understood", set("crit", json!(["exp"])), "has `crit`"),
        row("a body that is not encoded", set("b64", json!(false)), "has `b64`"),
        row("another kind of token", set("typ", json!("at+jwt")), "no JWT"),
    ]
}

/// Keys that are not the issuer's, and signatures that are not theirs.
fn keys(issuer: &Issuer, audience: &str) -> Vec<Forgery> {
    let claims = issuer.claims(audience);
    let good = issuer.sign(&claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let header = message.split('.').next().unwrap();
    let mut other = claims.clone();
    other["repository_id"] = "1".into();
    let swapped = format!("{header}.{}.{signature}", encoded(other.to_string()));
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    vec![
        row("a key that nobody has", Key::rsa("unknown").sign(&claims), "no key \"unknown\""),
        row("another key by the same name", Key::rsa("one").sign(&claims), "its signature is wrong"),
        row("what it says was changed", swapped, "its signature is wrong"),
        row(
            "a signature that was changed",
            format!("{message}.{flipped}{}", &signature[1..]),
            "its signature is wrong",
        ),
        row(
            "half a signature",
            format!("{message}.{}", &signature[..signature.len() / 2 / 4 * 4]),
            "its signature is wrong",
        ),
        row("no signature", format!("{message}."), "its signature is wrong"),
    ]
}

fn changed(issuer: &Issuer, audience: &str, name: &str, value: Value) -> String {
    let mut claims = issuer.claims(audience);
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    issuer.sign(&claims)
}

/// Tokens of another time. An hour is far beyond any skew.
fn times(issuer: &Issuer, audience: &str) -> Vec<Forgery> {
    let at = |iat: i64, nbf: i64, exp: i64| {
        let mut claims = issuer.claims(audience);
        (claims["iat"], claims["nbf"], claims["exp"]) = (iat.into(), nbf.into(), exp.into());
        issuer.sign(&claims)
    };
    let set = |name: &str, value: Value| changed(issuer, audience, name, value);
    let now = now();
    vec![
        row("over since an hour", at(now - 3900, now - 3900, now - 3600), "it is over since"),
        row("over since a moment more than the skew", at(now - 400, now - 400, now - 62), "it is over since"),
        row("not before an hour from now", at(now, now + 3600, now + 3500), "does not hold before"),
        row("made an hour from now", at(now + 3600, now, now + 3900), "which is to come"),
        row("made an hour ago, and holds", at(now - 3500, now - 3500, now + 60), "longer ago than one is taken for"),
        row("holds for a day", at(now, now, now + 86_400), "no token of a job"),
        row("over before it was made", at(now + 30, now, now - 10), "no token of a job"),
        row("a time beyond all times", set("exp", json!(i64::MAX)), "its `exp` is not of the form"),
        row("a time before all times", set("iat", json!(-1)), "its `iat` is not of the form"),
        row("a time that is a text", set("exp", json!((now + 300).to_string())), "cannot be read"),
        row("a time that is a fraction", set("exp", json!(1e300)), "cannot be read"),
        row("no end", set("exp", Value::Null), "does not say `exp`"),
        row("no beginning", set("nbf", Value::Null), "does not say `nbf`"),
        row("no time of making", set("iat", Value::Null), "does not say `iat`"),
    ]
}

/// Tokens that the issuer signed, for somebody else.
fn claims(issuer: &Issuer, audience: &str) -> Vec<Forgery> {
    let set = |name: &str, value: Value| changed(issuer, audience, name, value);
    let url = issuer.url.as_str();
    let twice = {
        let claims = issuer.claims(audience).to_string();
        let claims = claims.replacen('{', "{\"repository_id\":\"1\",", 1);
        issuer.with_key(|key| key.sign_texts(&key.header().to_string(), &claims))
    };
    let array = issuer.with_key(|key| key.sign_texts(&key.header().to_string(), "[]"));
    let workflow = "urbancart/shop/.github/workflows/";
    vec![
        row("another issuer", set("iss", json!("https://token.evil.example")), "it is of the issuer"),
        row("the issuer with a slash", set("iss", json!(format!("{url}/"))), "it is of the issuer"),
        row("the issuer in capitals", set("iss", json!(url.to_uppercase())), "it is of the issuer"),
        row("the issuer with a path", set("iss", json!(format!("{url}/other"))), "it is of the issuer"),
        row("no issuer", set("iss", Value::Null), "does not say `iss`"),
        row(
            "another environment's audience",
            set("aud", json!("roadbed://tiny/production")),
            "not for this environment",
        ),
        row("the CI's common audience", set("aud", json!("https://github.com/urbancart")), "not for this environment"),
        row("the audience with a slash", set("aud", json!(format!("{audience}/"))), "not for this environment"),
        row("two audiences", set("aud", json!([audience, "sts.example"])), "not for this environment"),
        row("the audience twice", set("aud", json!([audience, audience])), "not for this environment"),
        row("no audience in a list", set("aud", json!([])), "not for this environment"),
        row("no audience", set("aud", Value::Null), "does not say `aud`"),
        row("an audience that is a number", set("aud", json!(7)), "cannot be read"),
        row("another repository of that name", set("repository_id", json!("74002")), "its `repository_id` is"),
        row("a repository's number as a number", set("repository_id", json!(74001)), "cannot be read"),
        row("a repository's number with a zero", set("repository_id", json!("074001")), "its `repository_id` is"),
        row("no number of a repository", set("repository_id", Value::Null), "does not say `repository_id`"),
        row("an empty number of a repository", set("repository_id", json!("")), "does not say `repository_id`"),
        row("another owner of that name", set("repository_owner_id", json!("9018")), "its `repository_owner_id` is"),
        row("no owner", set("repository_owner_id", Value::Null), "does not say `repository_owner_id`"),
        row("two repositories in one token", twice, "duplicate field `repository_id`"),
        row("another branch", set("ref", json!("refs/heads/feature")), "its `ref` is"),
        row("a branch that begins like it", set("ref", json!("refs/heads/main-2")), "its `ref` is"),
        row("a tag of the branch's name", set("ref", json!("refs/tags/main")), "its `ref` is"),
        row("a tag that says it is the branch", set("ref_type", json!("tag")), "its `ref_type` is"),
        row("no kind of ref", set("ref_type", Value::Null), "does not say `ref_type`"),
        row("no ref", set("ref", Value::Null), "does not say `ref`"),
        row("a pull request", set("event_name", json!("pull_request")), "its `event_name` is"),
        row("a stranger's pull request", set("event_name", json!("pull_request_target")), "its `event_name` is"),
        row("after a stranger's workflow", set("event_name", json!("workflow_run")), "its `event_name` is"),
        row("a comment", set("event_name", json!("issue_comment")), "its `event_name` is"),
        row("no event", set("event_name", Value::Null), "does not say `event_name`"),
        row(
            "another workflow",
            set("workflow_ref", json!(format!("{workflow}ci.yml@refs/heads/main"))),
            "its `workflow_ref` is",
        ),
        row(
            "the workflow of another branch",
            set("workflow_ref", json!(format!("{workflow}deploy-staging.yml@refs/heads/feature"))),
            "its `workflow_ref` is",
        ),
        row(
            "the workflow after a rename of the repository",
            set("workflow_ref", json!("urbancart/store/.github/workflows/deploy-staging.yml@refs/heads/main")),
            "its `workflow_ref` is",
        ),
        row("no workflow", set("workflow_ref", Value::Null), "does not say `workflow_ref`"),
        row(
            "a stranger's reusable workflow",
            set("job_workflow_ref", json!("evil/tools/.github/workflows/x.yml@refs/heads/main")),
            "its `job_workflow_ref` is",
        ),
        row("another environment of the CI", set("environment", json!("production")), "its `environment` is"),
        row("the environment in capitals", set("environment", json!("Staging")), "its `environment` is"),
        row("no environment", set("environment", Value::Null), "does not say `environment`"),
        row("somebody's own machine", set("runner_environment", json!("self-hosted")), "its `runner_environment` is"),
        row("no machine", set("runner_environment", Value::Null), "does not say `runner_environment`"),
        row("no name of its own", set("jti", Value::Null), "does not say `jti`"),
        row("an empty name of its own", set("jti", json!("")), "does not say `jti`"),
        row("a name that is too long", set("jti", json!("x".repeat(129))), "its `jti` is not of the form"),
        row("a name with a line break", set("jti", json!("a\nb")), "its `jti` is not of the form"),
        row("no commit", set("sha", Value::Null), "does not say `sha`"),
        row("a commit that is none", set("sha", json!("HEAD")), "its `sha` is not of the form"),
        row(
            "a repository with a line break",
            set("repository", json!("a/b\nc")),
            "its `repository` is not of the form",
        ),
        row("a run that is none", set("run_id", json!("../7")), "its `run_id` is not of the form"),
        row("claims that are a list", array, "cannot be read"),
    ]
}
