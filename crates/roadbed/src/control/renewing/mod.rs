//! Certificates that renew themselves, where the manifest names authorities: looks when one is due, orders it, shows it, looks at
//! our own door whether it is there, and only then lets go of the one before.
//!
//! No resource, on purpose: an authority that is away must fail no `up`, and an order takes longer than anybody should hold the turn.
//! Until there is a certificate, and whenever none is whole, the edge serves the environment's own.

pub(crate) mod door;
mod keys;
pub(crate) mod on_demand;
mod ordering;
mod permission;
mod register;
mod told;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use acme::book::{Book, Setback};
use acme::{Next, Situation, Trust, renewal};
use edge::client::EdgeClient;
use edge::tls::issued::{Held, Store};
use host::clock::{Clock, Timestamp};
use manifest::environment::Environment;
use manifest::{AcmeAuthority, ChallengeKind};
use reconcile::Fault;
use reconcile::ports::{Certificates, Routes};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{Control, convergence};
use crate::seats;
use crate::wanted;
use crate::world;

pub(crate) use keys::ZONE_KEY;
pub use told::{CertificateStatus, HostStatus, Standing, Trouble, of_others, status};

/// Between two looks, at most: a clock may jump meanwhile, and a deployment may bring hosts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// And at least.
const PAUSE: Duration = Duration::from_millis(500);

/// What wakes the loop, and what cannot be written down.
#[derive(Debug, Default)]
pub struct Renewing {
    something_changed: Notify,
    /// Why nothing can be ordered from this machine, such as a full disk.
    trouble: Mutex<Option<String>>,
    /// Hosts of others that were permitted.
    others: on_demand::Others,
}

impl Renewing {
    /// Says that hosts or the manifest may be others now.
    pub(super) fn look_again(&self) {
        self.something_changed.notify_one();
    }

    fn note(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks until the task is aborted.
pub(super) async fn carry_on(control: Arc<Control>) {
    loop {
        let wait = match look(&control).await {
            Ok(wait) => {
                control.renewing.note(None);
                wait
            }
            Err(fault) => {
                tracing::warn!(causes = ?fault.causes, "cannot see to the certificate: {fault}");
                control.renewing.note(Some(fault.causes.iter().fold(fault.message, |text, cause| text + ": " + cause)));
                LONGEST_WAIT
            }
        };
        tokio::select! {
            () = sleep(wait.clamp(PAUSE, LONGEST_WAIT)) => {}
            () = control.renewing.something_changed.notified() => {}
        }
    }
}

/// What one look works with.
struct Desk {
    store: Store,
    /// Where accounts and records lie.
    folder: std::path::PathBuf,
    /// Where the book lies.
    books: std::path::PathBuf,
    authorities: Vec<AcmeAuthority>,
    directories: Vec<String>,
    proofs: Vec<acme::order::Proof>,
    /// What the manifest's paths are relative to.
    project: std::path::PathBuf,
    /// Lower case, in order.
    hosts: Vec<String>,
    /// What is ordered for them.
    names: Vec<String>,
    /// Where records are put.
    zone: Option<acme::dns::Zone>,
    /// Whose customers we are, beside `authorities`.
    customers: Arc<Vec<Option<acme::order::Customer>>>,
    clock: Arc<dyn Clock>,
    edge: EdgeClient,
    door: std::net::SocketAddr,
}

impl Desk {
    fn trust(&self, file: Option<&String>) -> Result<Trust, Fault> {
        Trust::read(file.map(|file| self.project.join(file)).as_deref())
    }

    fn situation<'a>(&'a self, held: Option<&'a Held>, now: Timestamp) -> Situation<'a> {
        Situation { directories: &self.directories, hosts: &self.names, held: held.map(|held| &held.issued), now }
    }

    fn write(&self, book: &Book) -> Result<(), Fault> {
        book.write(&self.books).map_err(|fault| Fault::because("cannot write down what was ordered", &fault))
    }

    fn newest(&self) -> Result<Option<Held>, Fault> {
        self.store.newest().map_err(|fault| Fault::because("cannot read the certificate", &fault))
    }
}

/// Does what is due; returns for how long there is nothing to do.
async fn look(control: &Control) -> Result<Duration, Fault> {
    let Some((desk, rule)) = desk(control).await? else { return Ok(LONGEST_WAIT) };
    // Our own hosts first; what is wrong with theirs stops nobody else's, and the other way round.
    let ours = see_to(&desk).await;
    let theirs = match &rule {
        Some(rule) => on_demand::see_to_all(&control.renewing.others, &desk, rule).await,
        None => Ok(LONGEST_WAIT),
    };
    Ok(ours?.min(theirs?))
}

async fn see_to(desk: &Desk) -> Result<Duration, Fault> {
    let Ready { mut book, held, next, wait } = ready(desk, &BTreeMap::new()).await?;
    if let Next::Order { authority } = next {
        ordering::order(desk, &mut book, authority, held.as_ref()).await?;
    }
    Ok(wait)
}

/// What is known, and what is to be done by it.
struct Ready {
    book: Book,
    held: Option<Held>,
    next: Next,
    wait: Duration,
}

/// Looks, and sees to all but orders. `limits` are authorities that said that they are asked too often, for whatever.
async fn ready(desk: &Desk, limits: &BTreeMap<String, Setback>) -> Result<Ready, Fault> {
    let now = desk.clock.now();
    if let Some(zone) = &desk.zone
        && let Err(fault) = zone.take_back().await
    {
        // They harm nobody, and the next look tries again.
        tracing::warn!(%fault, "records of an order that was cut off are still there");
    }
    let read = Book::read(&desk.books, &desk.directories, now);
    let mut book = read.map_err(|fault| Fault::because("cannot read what was ordered", &fault))?;
    let mut held = desk.newest()?;
    book.takes_up(held.as_ref().map(|held| &held.issued), now);
    if let Some(newest) = held.as_ref().filter(|held| held.generation != book.settled) {
        ordering::settle(desk, &mut book, newest, now).await?;
        held = desk.newest()?;
    }
    let advice_due = renewal::advice_due(&desk.situation(held.as_ref(), now), &book);
    if let (Some(held), Some(due)) = (&held, advice_due)
        && due <= now
    {
        ordering::take_advice(desk, &mut book, held, now).await?;
    }
    for (directory, limit) in limits {
        if limit.over(now).is_some() {
            book.heeds(directory, limit);
        }
    }
    let situation = desk.situation(held.as_ref(), now);
    let next = acme::next(&situation, &book);
    let wait = match next {
        Next::Order { .. } => PAUSE,
        Next::Wait { until } => {
            let until = renewal::advice_due(&situation, &book).map_or(until, |advice| advice.min(until));
            until.since(now)
        }
    };
    Ok(Ready { book, held, next, wait })
}

/// What there is to see to; `None` where certificates are the environment's own, or nothing is served yet.
async fn desk(control: &Control) -> Result<Option<(Desk, Option<on_demand::Rule>)>, Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(None) };
    let environment = wanted::resolve(&want)?;
    if world::certificates_of(&environment, &want) == Certificates::Local {
        return Ok(None);
    }
    if convergence::refuse_while_stopping(control).await.is_err() {
        return Ok(None);
    }
    let edge = EdgeClient::new(control.root.clone());
    let edge = match control.delivering.delivered()?.epoch {
        Some(epoch) => edge.of_epoch(epoch),
        None => edge,
    };
    // An edge that is away is on its way back.
    let Ok(Some(table)) = edge.current().await else { return Ok(None) };
    if table.certificates == Certificates::Local {
        return Ok(None);
    }
    let mut hosts: Vec<String> =
        table.sites.iter().chain(&table.candidate).flat_map(|site| site.hosts.clone()).collect();
    hosts.iter_mut().for_each(|host| host.make_ascii_lowercase());
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() {
        return Ok(None);
    }
    let Environment { tls, network, domain, .. } = environment;
    let secrets = secrets::Store::new(seats::of_control(&control.root, &control.id, &control.clock, &want));
    let folder = folder(&control.root);
    let https_port = table.https_port;
    let rule = tls.on_demand.clone().filter(|_| table.on_demand.is_some());
    let rule = rule.map(|wanted| on_demand::Rule { root: control.root.clone(), wanted, table });
    let desk = Desk {
        names: tls.names(&hosts, &domain),
        zone: tls.dns.as_ref().map(|dns| keys::zone(dns, &secrets, &folder)).transpose()?,
        customers: Arc::new(
            tls.authorities.iter().map(|authority| keys::customer(authority, &secrets)).collect::<Result<_, _>>()?,
        ),
        clock: Arc::clone(&control.clock),
        store: Store::new(&control.root),
        books: folder.clone(),
        folder,
        directories: tls.authorities.iter().map(|authority| authority.directory.clone()).collect(),
        authorities: tls.authorities,
        proofs: tls.challenges.iter().map(|kind| proof(*kind)).collect(),
        project: world::project(&want.manifest).to_owned(),
        hosts,
        edge,
        door: door::address(network.bind, https_port),
    };
    Ok(Some((desk, rule)))
}

fn folder(root: &reconcile::Root) -> std::path::PathBuf {
    root.tls().join("acme")
}

fn proof(kind: ChallengeKind) -> acme::order::Proof {
    match kind {
        ChallengeKind::Http01 => acme::order::Proof::Http,
        ChallengeKind::TlsAlpn01 => acme::order::Proof::Tls,
        ChallengeKind::Dns01 => acme::order::Proof::Dns,
    }
}

#[cfg(test)]
mod tests;
