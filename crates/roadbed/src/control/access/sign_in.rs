//! Sign-in at a provider: what was begun, in which browser, and what comes back.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acme::Trust;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use edge::access::door::WhyNot;
use host::clock::Timestamp;
use host::files;
use manifest::{Environment, SignIn};
use oidc::sign_in::{Begun, NotSignedIn, Person, PersonClaims, Provider, discovery_url, judge, of_provider};
use oidc::{Issuer, Refusal, https};
use reconcile::Fault;
use rustls::ClientConfig;
use secrets::{Secret, SecretName, generate};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::control::Control;
use crate::control::rotating::store;
use crate::wanted::Wanted;

/// Under which name the client's secret lies.
pub(crate) const CLIENT_SECRET: &str = "sign-in/client";

/// Who has not come back by then begins again.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// Sign-ins under way, of all visitors: some 3 kilobytes each with the longest path. The oldest gives way.
const MOST: usize = 1000;
/// Refusals that are noted in a minute.
const NOTED: u32 = 60;
/// A provider is asked anew about itself after this.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    begun: Mutex<HashMap<[u8; 32], Pending>>,
    /// Refusals that were noted in a minute.
    noted: Mutex<(i64, u32)>,
    known: tokio::sync::Mutex<Option<Known>>,
}

struct Pending {
    /// Of what the browser keeps.
    browser: [u8; 32],
    nonce: String,
    verifier: String,
    host: String,
    to: String,
    at: Timestamp,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("host", &self.host).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Known {
    rules: SignIn,
    ca: Option<Vec<u8>>,
    tls: Arc<ClientConfig>,
    provider: Arc<Provider>,
    issuer: Arc<Issuer>,
    at: Timestamp,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("nobody signs in at a provider here")]
    NotOffered,
    #[error("it was not begun here in this browser, or too long ago")]
    NotBegun,
    #[error("the provider cannot be asked: {0}")]
    Away(String),
    #[error("{0}")]
    NotBelieved(NotSignedIn),
}

impl Failed {
    pub(super) fn why(&self) -> WhyNot {
        match self {
            Self::NotOffered => WhyNot::NotOffered,
            Self::NotBegun => WhyNot::NotBegun,
            Self::NotBelieved(NotSignedIn::Stranger(_)) => WhyNot::NotAllowed,
            Self::NotBelieved(NotSignedIn::Token(refusal)) if refusal.is_passing() => WhyNot::ProviderAway,
            Self::Away(_) => WhyNot::ProviderAway,
            Self::NotBelieved(_) => WhyNot::NotBelieved,
        }
    }
}

impl From<NotSignedIn> for Failed {
    fn from(why: NotSignedIn) -> Self {
        Self::NotBelieved(why)
    }
}

impl From<Refusal> for Failed {
    fn from(why: Refusal) -> Self {
        Self::NotBelieved(why.into())
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Away(format!("{fault}: {}", fault.causes.join(": ")))
    }
}

/// Where the browser goes, and what it keeps meanwhile.
pub(super) async fn begin(
    control: &Control,
    want: &Wanted,
    environment: &Environment,
    (host, origin, to): (&str, &str, &str),
) -> Result<(String, String), Failed> {
    let known = known(control, want, environment).await?;
    let random = || generate::credential().map_err(|error| Failed::Away(error.to_string()));
    let (state, browser, nonce, verifier) = (random()?, random()?, random()?, random()?);
    let back = back(origin);
    let begun = Begun { state: state.expose(), nonce: nonce.expose(), verifier: verifier.expose(), back: &back };
    let location = known.provider.address(&known.rules, &begun)?;
    let now = control.clock.now();
    let mut pending = control.access.desk.begun();
    pending.retain(|_, pending| is_within(pending.at, LASTS, now));
    if pending.len() >= MOST
        && let Some(oldest) = pending.iter().min_by_key(|(_, pending)| pending.at).map(|(state, _)| *state)
    {
        pending.remove(&oldest);
    }
    let one = Pending {
        browser: digest(browser.expose()),
        nonce: nonce.expose().to_owned(),
        verifier: verifier.expose().to_owned(),
        host: host.to_owned(),
        to: to.to_owned(),
        at: now,
    };
    pending.insert(digest(state.expose()), one);
    Ok((location, browser.expose().to_owned()))
}

/// Who came back, and what they wanted to see.
pub(super) async fn finish(
    control: &Control,
    want: &Wanted,
    environment: &Environment,
    (host, origin): (&str, &str),
    said: &BTreeMap<String, String>,
    browser: Option<&str>,
) -> Result<(Person, String), Failed> {
    let pending = control.access.desk.take(said.get("state"), browser, host, control.clock.now())?;
    let known = known(control, want, environment).await?;
    // Before anything else of it is believed: an answer of another provider must not have its code sent to this one.
    of_provider(&known.provider, said.get("iss").map(String::as_str))?;
    if let Some(error) = said.get("error") {
        return Err(NotSignedIn::Provider(error.chars().filter(|c| !c.is_control()).take(80).collect()).into());
    }
    let code = said.get("code").filter(|code| (1..=2048).contains(&code.len()));
    let code = code.ok_or(Failed::NotBelieved(Refusal::Missing("code").into()))?;
    let secret = client_secret(control, want, &known.rules)?;
    let back = back(origin);
    let begun = Begun { state: "", nonce: &pending.nonce, verifier: &pending.verifier, back: &back };
    let exchange = known.provider.exchange(&known.rules, &begun, code, secret.as_ref().map(Secret::expose));
    let basic = exchange.basic.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
    let answer = https::post(&known.provider.token_endpoint, &known.tls, exchange.form, basic).await;
    let answer = match answer {
        Ok(answer) => answer,
        // What the provider says to a wrong code or verifier.
        Err(https::AskFault::Status { status: status @ (400 | 401), .. }) => {
            return Err(NotSignedIn::Provider(format!("status {status} for the code")).into());
        }
        Err(fault) => return Err(Failed::Away(fault.to_string())),
    };
    #[derive(Deserialize)]
    struct Answer {
        id_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| Refusal::Claims(error.to_string()))?;
    let token = answer.id_token.ok_or(Refusal::Missing("id_token"))?;
    let now = control.clock.now();
    let claims: PersonClaims = known.issuer.verified(&token, &known.rules.algorithms, now).await?;
    let person = judge(&claims, &known.rules, &pending.nonce, now)?;
    Ok((person, pending.to))
}

fn back(origin: &str) -> String {
    format!("{origin}/.roadbed/callback")
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn is_within(at: Timestamp, span: Duration, now: Timestamp) -> bool {
    at <= now && now.since(at) < span
}

impl Desk {
    /// Whether one more refusal is noted: past the limit it is noise, and the log is for people.
    pub(super) fn may_note(&self, now: Timestamp) -> bool {
        let minute = now.unix_millis().div_euclid(60_000);
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.0 != minute {
            *noted = (minute, 0);
        }
        noted.1 += 1;
        noted.1 <= NOTED
    }

    /// What was begun with this state in this browser for this host. It is taken: nothing comes back twice. Whoever has only the state
    /// takes nothing away.
    fn take(
        &self,
        state: Option<&String>,
        browser: Option<&str>,
        host: &str,
        now: Timestamp,
    ) -> Result<Pending, Failed> {
        let (Some(state), Some(browser)) = (state, browser) else { return Err(Failed::NotBegun) };
        let state = digest(state);
        let mut begun = self.begun();
        let is_same = begun.get(&state).is_some_and(|pending| {
            verify_slices_are_equal(&pending.browser, &digest(browser)).is_ok()
                && pending.host == host
                && is_within(pending.at, LASTS, now)
        });
        if !is_same {
            return Err(Failed::NotBegun);
        }
        begun.remove(&state).ok_or(Failed::NotBegun)
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<[u8; 32], Pending>> {
        // What is in it is whole at any time.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The provider of the manifest, asked about itself where that is not known, or the manifest says another.
async fn known(control: &Control, want: &Wanted, environment: &Environment) -> Result<Known, Failed> {
    let rules = environment.sign_in.as_ref().ok_or(Failed::NotOffered)?;
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Fault::because("cannot tell whom the provider is recognised by", error)
            .hint("`ca` of [environments.E.sign_in] in roadbed.toml names the file")
    };
    let project = crate::world::project(&want.manifest);
    let file = rules.ca.as_ref().map(|file| Path::new(project).join(file));
    let ca = file.as_deref().map(files::read).transpose().map_err(|fault| cannot(&fault))?;
    let mut kept = control.access.desk.known.lock().await;
    let now = control.clock.now();
    if let Some(known) = kept.as_ref()
        && known.rules == *rules
        && known.ca == ca
        && is_within(known.at, FRESH, now)
    {
        return Ok(known.clone());
    }
    let tls = Trust::read(file.as_deref())?.client().map_err(|error| cannot(&error))?;
    let told = https::get(&discovery_url(&rules.issuer), &tls, None).await;
    let told = told.map_err(|fault| Failed::Away(fault.to_string()))?;
    let provider = Arc::new(Provider::read(&told, &rules.issuer)?);
    let issuer = match kept.take().filter(|known| known.ca == ca && known.provider.jwks_uri == provider.jwks_uri) {
        Some(known) => known.issuer,
        None => Arc::new(Issuer::new(provider.jwks_uri.clone(), tls.clone())),
    };
    let known = Known { rules: rules.clone(), ca, tls, provider, issuer, at: now };
    *kept = Some(known.clone());
    Ok(known)
}

fn client_secret(control: &Control, want: &Wanted, rules: &SignIn) -> Result<Option<Secret>, Failed> {
    if !rules.has_secret {
        return Ok(None);
    }
    let found = store(control, want).get(&SecretName::new(CLIENT_SECRET));
    let found = found.map_err(|fault| Failed::Away(format!("cannot read {CLIENT_SECRET}: {fault}")))?;
    let found = found.ok_or_else(|| {
        Failed::Away(format!("there is no {CLIENT_SECRET}: `roadbed secrets set {CLIENT_SECRET}` takes it"))
    })?;
    Ok(Some(found.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000)
    }

    #[test]
    fn what_was_begun_comes_back_once_in_its_browser_to_its_host_in_time() {
        let desk = Desk::default();
        let begin = |state: &str| {
            let pending = Pending {
                browser: digest("browser"),
                nonce: "n".into(),
                verifier: "v".into(),
                host: "admin.shop.example".into(),
                to: "/".into(),
                at: at(0),
            };
            desk.begun().insert(digest(state), pending);
        };
        let take = |state: &str, browser: Option<&str>, host: &str, seconds: i64| {
            desk.take(Some(&state.to_owned()), browser, host, at(seconds)).is_ok()
        };
        begin("state");
        let (ours, browser) = ("admin.shop.example", Some("browser"));
        assert!(!take("another", browser, ours, 1));
        assert!(!take("state", None, ours, 1), "another browser");
        assert!(!take("state", Some("mine"), ours, 1), "another browser");
        assert!(!take("state", browser, "ops.shop.example", 1), "another host");
        assert!(!take("state", browser, ours, 600), "too late");
        assert!(take("state", browser, ours, 1), "whoever tried in vain took nothing away");
        assert!(!take("state", browser, ours, 1), "twice");
        assert!(desk.take(None, browser, ours, at(1)).is_err());
    }
}
