//! People who sign in at a provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207, RFC 9700).
//! What is pure of it; who asks over the network is the caller.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::clock::Timestamp;
use manifest::SignIn;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use crate::claims::Audience;
use crate::judge::SKEW;
use crate::refusal::Refusal;
use crate::token::shortened;

/// A person signs in within minutes, and the token is made at the end of that.
const OLDEST: Duration = Duration::from_secs(10 * 60);

/// Characters of the longest name by which a provider knows somebody (OpenID Connect Core, section 2).
const LONGEST_SUBJECT: usize = 255;

/// Groups that are looked at.
const MOST_GROUPS: usize = 1000;

/// What a provider says of itself, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Provider {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether it says who it is with what it sends back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Where a provider says it.
pub fn discovery_url(issuer: &str) -> String {
    format!("{issuer}/.well-known/openid-configuration")
}

impl Provider {
    /// Reads what a provider says. It must be the one that was asked, and everything over TLS.
    pub fn read(bytes: &[u8], issuer: &str) -> Result<Self, Refusal> {
        let provider: Self =
            serde_json::from_slice(bytes).map_err(|error| Refusal::Claims(shortened(&error.to_string())))?;
        if provider.issuer != issuer {
            return Err(Refusal::OtherIssuer(shortened(&provider.issuer)));
        }
        for (claim, url) in [
            ("authorization_endpoint", &provider.authorization_endpoint),
            ("token_endpoint", &provider.token_endpoint),
            ("jwks_uri", &provider.jwks_uri),
        ] {
            let is_one = Url::parse(url).is_ok_and(|url| {
                url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.fragment().is_none()
            });
            if !is_one {
                return Err(Refusal::Form(claim));
            }
        }
        Ok(provider)
    }

    /// Where the browser goes.
    pub fn address(&self, rules: &SignIn, begun: &Begun<'_>) -> Result<String, Refusal> {
        let mut url = Url::parse(&self.authorization_endpoint).map_err(|_| Refusal::Form("authorization_endpoint"))?;
        let scope = if rules.groups.is_empty() { "openid email" } else { "openid email groups" };
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &rules.client_id)
            .append_pair("redirect_uri", begun.back)
            .append_pair("scope", scope)
            .append_pair("state", begun.state)
            .append_pair("nonce", begun.nonce)
            .append_pair("code_challenge", &challenge(begun.verifier))
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// The form that asks for a token in exchange for a code, and whether the client's secret goes into the header.
    pub fn exchange(&self, rules: &SignIn, begun: &Begun<'_>, code: &str, secret: Option<&str>) -> Exchange {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", begun.back)
            .append_pair("code_verifier", begun.verifier)
            .append_pair("client_id", &rules.client_id);
        // The header is what every provider has to take that says nothing.
        let says = self.token_endpoint_auth_methods_supported.as_ref();
        let takes_header = says.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        let basic = match secret {
            Some(secret) if takes_header => Some((encoded(&rules.client_id), encoded(secret))),
            Some(secret) => {
                form.append_pair("client_secret", secret);
                None
            }
            None => None,
        };
        Exchange { form: form.finish(), basic }
    }
}

/// What is sent for a token. Its `Debug` shows nothing of it.
pub struct Exchange {
    pub form: String,
    pub basic: Option<(String, String)>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchange(..)")
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What one sign-in is told by. Each is random, and of this one alone.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    pub state: &'a str,
    pub nonce: &'a str,
    pub verifier: &'a str,
    /// Where the provider sends the browser back to.
    pub back: &'a str,
}

/// By which the provider sees at the end that it is us who began.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// What the provider's token says of a person. Everything may be missing here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PersonClaims {
    pub iss: Option<String>,
    pub aud: Option<Audience>,
    pub azp: Option<String>,
    pub sub: Option<String>,
    pub exp: Option<i64>,
    pub iat: Option<i64>,
    pub nbf: Option<i64>,
    pub nonce: Option<String>,
    pub email: Option<String>,
    pub email_verified: Option<bool>,
    pub groups: Option<Vec<String>>,
}

/// Somebody whom the provider knows, and the manifest lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub subject: String,
    /// In lower case; verified by the provider.
    pub email: Option<String>,
}

/// Why somebody is not signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSignedIn {
    #[error(transparent)]
    Token(#[from] Refusal),
    #[error("the provider sent back the error {0:?}")]
    Provider(String),
    #[error("what came back names the issuer {0:?}")]
    AnswerOfAnother(String),
    #[error("what came back does not say which issuer it is of, which this one always does")]
    AnswerOfNobody,
    #[error("the manifest lets in neither {0} nor any group of theirs")]
    Stranger(String),
}

/// Whether what came back with a browser is of this provider: one that was asked at another's place answers with a code of the other's.
pub fn of_provider(provider: &Provider, said: Option<&str>) -> Result<(), NotSignedIn> {
    match said {
        Some(said) if said == provider.issuer => Ok(()),
        Some(said) => Err(NotSignedIn::AnswerOfAnother(shortened(said))),
        None if provider.authorization_response_iss_parameter_supported => Err(NotSignedIn::AnswerOfNobody),
        None => Ok(()),
    }
}

/// Judges what a signed token says of a person who began with this nonce.
pub fn judge(claims: &PersonClaims, rules: &SignIn, nonce: &str, now: Timestamp) -> Result<Person, NotSignedIn> {
    let said = |claim: &Option<String>, name: &'static str| {
        claim.clone().filter(|text| !text.is_empty()).ok_or(Refusal::Missing(name))
    };
    let issuer = said(&claims.iss, "iss")?;
    if issuer != rules.issuer {
        return Err(Refusal::OtherIssuer(shortened(&issuer)).into());
    }
    let audience = claims.aud.as_ref().ok_or(Refusal::Missing("aud"))?;
    let is_only = audience.only() == Some(rules.client_id.as_str());
    let is_among = matches!(audience, Audience::Many(many) if many.contains(&rules.client_id));
    match &claims.azp {
        Some(azp) if *azp != rules.client_id => {
            return Err(Refusal::Other { claim: "azp", found: shortened(azp) }.into());
        }
        // One of several: then it says for whom it was made.
        Some(_) if is_only || is_among => {}
        None if is_only => {}
        _ => return Err(Refusal::OtherAudience(shortened(&audience.told())).into()),
    }
    times(claims, now)?;
    let found = said(&claims.nonce, "nonce")?;
    if aws_lc_rs::constant_time::verify_slices_are_equal(found.as_bytes(), nonce.as_bytes()).is_err() {
        return Err(Refusal::Other { claim: "nonce", found: "of another sign-in".to_owned() }.into());
    }
    let subject = said(&claims.sub, "sub")?;
    if subject.chars().count() > LONGEST_SUBJECT || !subject.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    {
        return Err(Refusal::Form("sub").into());
    }
    // An address that anybody could have written there is nobody's.
    let email = claims.email.as_ref().filter(|email| claims.email_verified == Some(true) && is_address(email));
    let email = email.map(|email| email.to_lowercase());
    let by_email = email.as_ref().is_some_and(|email| {
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        rules.emails.contains(email) || rules.domains.iter().any(|known| known == domain)
    });
    let groups = claims.groups.as_deref().unwrap_or_default();
    let by_group = groups.iter().take(MOST_GROUPS).any(|group| rules.groups.contains(group));
    if !by_email && !by_group {
        return Err(NotSignedIn::Stranger(shortened(email.as_deref().unwrap_or(&subject))));
    }
    Ok(Person { subject, email })
}

fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('@').collect();
    let is_plain =
        text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic() && !b",;<>\"\\()".contains(&byte));
    is_plain && matches!(parts.as_slice(), [who, domain] if !who.is_empty() && !domain.is_empty())
}

fn times(claims: &PersonClaims, now: Timestamp) -> Result<(), Refusal> {
    let time = |value: Option<i64>, name: &'static str| {
        let seconds = value.ok_or(Refusal::Missing(name))?;
        (0..=253_402_300_799).contains(&seconds).then_some(seconds).ok_or(Refusal::Form(name))
    };
    let (exp, iat) = (time(claims.exp, "exp")?, time(claims.iat, "iat")?);
    let at = |seconds: i64| Timestamp::from_unix_millis(seconds * 1000);
    let (skew, now_is) = (millis(SKEW), now.unix_millis());
    if now_is >= exp * 1000 + skew {
        return Err(Refusal::Over(at(exp)));
    }
    if iat * 1000 > now_is + skew {
        return Err(Refusal::FromTheFuture(at(iat)));
    }
    if let Some(nbf) = claims.nbf
        && time(Some(nbf), "nbf")? * 1000 > now_is + skew
    {
        return Err(Refusal::NotYet(at(nbf)));
    }
    if now_is - iat * 1000 > millis(OLDEST) + skew {
        return Err(Refusal::TooOld(at(iat)));
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> SignIn {
        SignIn {
            issuer: "https://id.example".into(),
            client_id: "roadbed".into(),
            has_secret: true,
            ca: None,
            algorithms: vec![manifest::Algorithm::Rs256],
            emails: vec!["anna@elsewhere.example".into()],
            domains: vec!["shop.example".into()],
            groups: vec!["operators".into()],
            lasts: Duration::from_secs(3600),
        }
    }

    fn good() -> PersonClaims {
        PersonClaims {
            iss: Some("https://id.example".into()),
            aud: Some(Audience::One("roadbed".into())),
            azp: None,
            sub: Some("user-1".into()),
            exp: Some(NOW + 300),
            iat: Some(NOW),
            nbf: None,
            nonce: Some("n".into()),
            email: Some("Ben@Shop.example".into()),
            email_verified: Some(true),
            groups: None,
        }
    }

    fn judged(claims: &PersonClaims) -> Result<Person, NotSignedIn> {
        judge(claims, &rules(), "n", Timestamp::from_unix_millis(NOW * 1000))
    }

    #[test]
    fn whom_the_manifest_names_is_let_in() {
        assert_eq!(judged(&good()).unwrap().email.as_deref(), Some("ben@shop.example"));
        let by_address = PersonClaims { email: Some("anna@elsewhere.example".into()), ..good() };
        assert!(judged(&by_address).is_ok());
        let by_group = PersonClaims { email: None, groups: Some(vec!["x".into(), "operators".into()]), ..good() };
        assert_eq!(judged(&by_group).unwrap(), Person { subject: "user-1".into(), email: None });
        let of_many = PersonClaims {
            aud: Some(Audience::Many(vec!["other".into(), "roadbed".into()])),
            azp: Some("roadbed".into()),
            ..good()
        };
        assert!(judged(&of_many).is_ok());
    }

    #[test]
    fn whatever_is_wrong_with_a_token_nobody_is_signed_in_by_it() {
        let wrong: Vec<(&str, PersonClaims)> = vec![
            ("no issuer", PersonClaims { iss: None, ..good() }),
            ("another issuer", PersonClaims { iss: Some("https://id.example/".into()), ..good() }),
            ("no audience", PersonClaims { aud: None, ..good() }),
            ("another audience", PersonClaims { aud: Some(Audience::One("other".into())), ..good() }),
            (
                "several, and nobody says for whom",
                PersonClaims { aud: Some(Audience::Many(vec!["other".into(), "roadbed".into()])), ..good() },
            ),
            ("made for somebody else", PersonClaims { azp: Some("other".into()), ..good() }),
            ("no end", PersonClaims { exp: None, ..good() }),
            ("over", PersonClaims { exp: Some(NOW - 61), ..good() }),
            ("no beginning", PersonClaims { iat: None, ..good() }),
            ("to come", PersonClaims { iat: Some(NOW + 61), ..good() }),
            ("not yet", PersonClaims { nbf: Some(NOW + 61), ..good() }),
            ("old", PersonClaims { iat: Some(NOW - 700), ..good() }),
            ("a time that is none", PersonClaims { exp: Some(i64::MAX), ..good() }),
            ("no nonce", PersonClaims { nonce: None, ..good() }),
            ("another sign-in's", PersonClaims { nonce: Some("m".into()), ..good() }),
            ("nobody", PersonClaims { sub: None, ..good() }),
            ("a name that is none", PersonClaims { sub: Some("a\r\nX: y".into()), ..good() }),
            ("an address that nobody verified", PersonClaims { email_verified: Some(false), ..good() }),
            ("an address of which nothing is said", PersonClaims { email_verified: None, ..good() }),
            ("another domain", PersonClaims { email: Some("ben@notshop.example".into()), ..good() }),
            ("a domain below", PersonClaims { email: Some("ben@x.shop.example".into()), ..good() }),
            ("two addresses", PersonClaims { email: Some("evil@x.example,ben@shop.example".into()), ..good() }),
            ("two signs", PersonClaims { email: Some("a@evil.example@shop.example".into()), ..good() }),
            ("another group", PersonClaims { email: None, groups: Some(vec!["Operators".into()]), ..good() }),
        ];
        for (what, claims) in wrong {
            assert!(judged(&claims).is_err(), "{what}");
        }
    }

    fn provider() -> serde_json::Value {
        serde_json::json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/authorize?tenant=1",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/keys",
        })
    }

    #[test]
    fn a_provider_is_the_one_that_was_asked_and_speaks_tls() {
        let read = |value: &serde_json::Value| Provider::read(value.to_string().as_bytes(), "https://id.example");
        assert!(read(&provider()).is_ok());
        for (name, value) in [
            ("issuer", "https://other.example"),
            ("token_endpoint", "http://id.example/token"),
            ("authorization_endpoint", "javascript:alert(1)"),
            ("jwks_uri", "https://a@id.example/keys"),
        ] {
            let mut other = provider();
            other[name] = value.into();
            assert!(read(&other).is_err(), "{name}");
        }
        assert!(Provider::read(b"nonsense", "https://id.example").is_err());
    }

    #[test]
    fn an_answer_of_another_provider_is_not_taken() {
        let quiet = Provider::read(provider().to_string().as_bytes(), "https://id.example").unwrap();
        assert_eq!(of_provider(&quiet, None), Ok(()));
        assert_eq!(of_provider(&quiet, Some("https://id.example")), Ok(()));
        assert!(of_provider(&quiet, Some("https://evil.example")).is_err());
        let says = Provider { authorization_response_iss_parameter_supported: true, ..quiet };
        assert_eq!(of_provider(&says, None), Err(NotSignedIn::AnswerOfNobody));
    }

    #[test]
    fn the_browser_carries_a_challenge_and_the_verifier_stays_here() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        let provider = Provider::read(provider().to_string().as_bytes(), "https://id.example").unwrap();
        let begun =
            Begun { state: "s", nonce: "n", verifier: "v", back: "https://admin.shop.example/.roadbed/callback" };
        let address = provider.address(&rules(), &begun).unwrap();
        assert!(address.starts_with("https://id.example/authorize?tenant=1&response_type=code&client_id=roadbed&"));
        assert!(address.contains("code_challenge_method=S256") && !address.contains("verifier"), "{address}");
        let exchange = provider.exchange(&rules(), &begun, "c", Some("s:cret"));
        assert_eq!(exchange.basic, Some(("roadbed".to_owned(), "s%3Acret".to_owned())));
        assert!(exchange.form.contains("code_verifier=v") && !exchange.form.contains("cret"), "{}", exchange.form);
        let posts =
            Provider { token_endpoint_auth_methods_supported: Some(vec!["client_secret_post".into()]), ..provider };
        let exchange = posts.exchange(&rules(), &begun, "c", Some("s"));
        assert!(exchange.basic.is_none() && exchange.form.ends_with("client_secret=s"));
    }
}
