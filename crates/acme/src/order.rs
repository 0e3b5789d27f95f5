//! One order, from the account to the certificate.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use certificates::Request;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use reconcile::ports::{Challenges, Routes};
use zeroize::Zeroizing;

use crate::Trust;
use crate::account;
use crate::dns::{self, Zone};
use crate::wire::{AskedToWait, Wire};

/// How a name is proved to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A file on port 80.
    Http,
    /// A certificate on port 443.
    Tls,
    /// A record in the name service; the only way to a wildcard.
    Dns,
}

impl Proof {
    fn kind(self) -> ChallengeType {
        match self {
            Self::Http => ChallengeType::Http01,
            Self::Tls => ChallengeType::TlsAlpn01,
            Self::Dns => ChallengeType::Dns01,
        }
    }
}

/// Where an order is placed.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub directory: &'a str,
    pub contact: &'a [String],
    /// By whom the directory is recognised.
    pub trust: &'a Trust,
    /// Folder of the accounts.
    pub accounts: &'a Path,
    /// Whose customer we are there, where it takes none by itself.
    pub customer: Option<&'a Customer>,
}

/// An account that was opened by other means, which ours there is bound to (RFC 8555, section 7.3.4).
#[derive(Debug)]
pub struct Customer {
    pub key_id: String,
    pub key: dns::Secret,
}

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub hosts: &'a [String],
    /// The preferred first; what the authority does not offer is passed over.
    pub proofs: &'a [Proof],
    /// As its authority knows the certificate that is replaced: what it asked to be renewed counts against no limit.
    pub replaces: Option<&'a (Vec<u8>, Vec<u8>)>,
    /// Where records are put for [`Proof::Dns`].
    pub zone: Option<&'a Zone>,
}

/// What came back.
pub struct Certificate {
    pub chain_pem: String,
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    pub why: String,
    /// How the authority classifies it: `urn:ietf:params:acme:error:rateLimited`.
    pub class: Option<String>,
    /// For how long the authority wants not to be asked.
    pub wait: Option<Duration>,
}

impl Failure {
    /// On this machine.
    pub fn here(what: &str, error: &dyn std::error::Error) -> Self {
        Self { why: format!("{what}: {error}"), class: None, wait: None }
    }

    pub(crate) fn of(what: &str, error: &Error, waits: &AskedToWait) -> Self {
        let class = match error {
            Error::Api(problem) => problem.r#type.clone(),
            _ => None,
        };
        Self { why: format!("{what}: {error}"), class, wait: waits.get() }
    }

    /// Whether the authority says that it was asked too often.
    pub fn is_limited(&self) -> bool {
        self.is("rateLimited") || self.wait.is_some()
    }

    fn is(&self, class: &str) -> bool {
        self.class.as_deref().and_then(|class| class.rsplit(':').next()) == Some(class)
    }
}

/// How often an order is begun anew because its numbers were refused: the client tries each question three times by itself.
const NONCE_ATTEMPTS: u32 = 5;

/// Authorities look from several places, and are slow under load.
const VALIDATION: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

/// Orders a certificate. Visitors notice nothing: while the authority looks, the edge answers it and nobody else differently.
pub async fn issue(place: &Place<'_>, wish: &Wish<'_>, edge: &dyn Routes) -> Result<Certificate, Failure> {
    let mut attempt = 1;
    loop {
        let outcome = once(place, wish, edge).await;
        // Left there they would do no harm, and no good.
        if let Err(fault) = edge.prove(Challenges::default()).await {
            tracing::warn!(%fault, "cannot take back the proofs of an order");
        }
        if let Some(zone) = wish.zone
            && let Err(fault) = zone.take_back().await
        {
            tracing::warn!(%fault, "cannot take back the records of an order: it is tried again with the next look");
        }
        match outcome {
            Err(failure) if failure.is("badNonce") && attempt < NONCE_ATTEMPTS => attempt += 1,
            Err(failure) if failure.is("accountDoesNotExist") && attempt < NONCE_ATTEMPTS => {
                tracing::warn!(directory = place.directory, "the authority does not know our account: making another");
                let forgotten = account::forget(place.accounts, place.directory);
                forgotten.map_err(|fault| Failure::here("the account cannot be replaced", &fault))?;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

async fn once(place: &Place<'_>, wish: &Wish<'_>, edge: &dyn Routes) -> Result<Certificate, Failure> {
    let directory = place.directory;
    let wire = wire_to(place)?;
    let account = account::open(place, &wire).await?;
    let failed = |what: &str, error: &Error| Failure::of(&format!("{directory}: {what}"), error, &wire.waits);

    let mut order = begin(&account, wish).await.map_err(|error| failed("the order was refused", &error))?;
    if order.state().status == OrderStatus::Pending {
        let challenges = proofs(&mut order, wish, edge).await;
        challenges.map_err(|error| failed("the names could not be proved", &error))?;
        let ready = order.poll_ready(&VALIDATION).await;
        match ready {
            Ok(OrderStatus::Ready) => {}
            Ok(_) | Err(Error::Api(_)) => {
                let told = told(&mut order).await;
                let error = ready.err().unwrap_or(Error::Str("the order is invalid"));
                let failure = failed("the names were not proved", &error);
                return Err(match told {
                    Some((host, problem)) => {
                        let class = problem.r#type.clone().or(failure.class);
                        Failure { why: format!("{directory}: {host} was not proved: {problem}"), class, ..failure }
                    }
                    None => failure,
                });
            }
            Err(error) => return Err(failed("the names were not proved in time", &error)),
        }
    }
    let request = Request::make(wish.hosts).map_err(|fault| Failure::here("there is no key", &fault))?;
    let signed = async {
        order.finalize_csr(&request.der).await?;
        order.poll_certificate(&VALIDATION).await
    };
    let chain_pem = signed.await.map_err(|error| failed("it was not signed", &error))?;
    Ok(Certificate { chain_pem, key_pem: request.key_pem })
}

fn wire_to(place: &Place<'_>) -> Result<Wire, Failure> {
    Ok(Wire::new(place.trust.client().map_err(|error| Failure::here("TLS cannot be set up", &error))?))
}

async fn begin(account: &Account, wish: &Wish<'_>) -> Result<Order, Error> {
    let names: Vec<Identifier> = wish.hosts.iter().map(|host| Identifier::Dns(host.clone())).collect();
    if let Some((key, serial)) = wish.replaces {
        let replaced = CertificateIdentifier::new(key.as_slice().into(), serial.as_slice().into());
        match account.new_order(&NewOrder::new(&names).replaces(replaced)).await {
            // It is not of this authority, or was replaced already: an order like any other.
            Err(Error::Unsupported(_)) => {}
            Err(Error::Api(problem)) if !is_of_limits(problem.r#type.as_deref()) => {
                tracing::info!(%problem, "ordering without saying what is replaced");
            }
            outcome => return outcome,
        }
    }
    account.new_order(&NewOrder::new(&names)).await
}

fn is_of_limits(class: Option<&str>) -> bool {
    class.is_some_and(|class| class.ends_with(":rateLimited") || class.ends_with(":badNonce"))
}

/// Lets the edge answer for every name that is not proved yet, then says so.
async fn proofs(order: &mut Order, wish: &Wish<'_>, edge: &dyn Routes) -> Result<(), Error> {
    let mut challenges = Challenges::default();
    let mut records = BTreeSet::new();
    let mut chosen: Vec<Option<Proof>> = Vec::new();
    let mut names = order.authorizations();
    while let Some(name) = names.next().await {
        let mut name = name?;
        if name.status != AuthorizationStatus::Pending {
            chosen.push(None);
            continue;
        }
        let offered: Vec<ChallengeType> = name.challenges.iter().map(|challenge| challenge.r#type.clone()).collect();
        let can = |proof: &Proof| offered.contains(&proof.kind()) && (*proof != Proof::Dns || wish.zone.is_some());
        let proof = wish.proofs.iter().copied().find(can);
        let proof = proof.ok_or(Error::Str("the authority offers none of the challenges of the manifest"))?;
        let challenge = name.challenge(proof.kind()).ok_or(Error::Str("the challenge is gone"))?;
        let key = challenge.key_authorization();
        let Identifier::Dns(host) = challenge.identifier().identifier else {
            return Err(Error::Str("the authority asks for more than host names"));
        };
        match proof {
            Proof::Http => {
                challenges.http.insert(challenge.token.clone(), key.as_str().to_owned());
            }
            Proof::Tls => {
                let digest = key.digest();
                let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                challenges.tls.insert(host.clone(), hex);
            }
            Proof::Dns => {
                records.insert(dns::Proof { name: dns::place_of(host), value: key.dns_value() });
            }
        }
        chosen.push(Some(proof));
    }
    edge.prove(challenges).await.map_err(|fault| {
        Error::Other(fault.causes.iter().fold(fault.message.clone(), |text, cause| text + ": " + cause).into())
    })?;
    if let Some(zone) = wish.zone.filter(|_| !records.is_empty()) {
        zone.put(&records).await.map_err(|fault| Error::Other(fault.to_string().into()))?;
    }
    let mut names = order.authorizations();
    for proof in chosen {
        let Some(name) = names.next().await else { break };
        let mut name = name?;
        let Some(proof) = proof else { continue };
        let mut challenge = name.challenge(proof.kind()).ok_or(Error::Str("the challenge is gone"))?;
        challenge.set_ready().await?;
    }
    Ok(())
}

/// What the authority says of the first name that it could not prove.
async fn told(order: &mut Order) -> Option<(String, instant_acme::Problem)> {
    let mut names = order.authorizations();
    while let Some(Ok(mut name)) = names.next().await {
        name.refresh().await.ok()?;
        let host = name.identifier().to_string();
        if let Some(problem) = name.challenges.iter().find_map(|challenge| challenge.error.clone()) {
            return Some((host, problem));
        }
    }
    None
}

/// When the authority would renew a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advised {
    pub begin: host::clock::Timestamp,
    pub end: host::clock::Timestamp,
    /// For how long it need not be asked again.
    pub ask_again: Duration,
}

/// Asks the authority when it would renew this certificate (RFC 9773); `None` where it does not say such things.
pub async fn advice(place: &Place<'_>, known_as: &(Vec<u8>, Vec<u8>)) -> Result<Option<Advised>, Failure> {
    let wire = wire_to(place)?;
    let account = account::open(place, &wire).await?;
    let id = CertificateIdentifier::new(known_as.0.as_slice().into(), known_as.1.as_slice().into());
    match account.renewal_info(&id).await {
        Ok((info, ask_again)) => {
            let time = |time: i64| host::clock::Timestamp::from_unix_millis(time.saturating_mul(1000));
            let window = info.suggested_window;
            if let Some(url) = info.explanation_url {
                tracing::info!(url, "the authority explains when it would renew");
            }
            let (begin, end) = (time(window.start.unix_timestamp()), time(window.end.unix_timestamp()));
            Ok(Some(Advised { begin, end, ask_again }))
        }
        Err(Error::Unsupported(_)) => Ok(None),
        Err(error) => {
            Err(Failure::of(&format!("{}: it does not say when to renew", place.directory), &error, &wire.waits))
        }
    }
}
