//! Certificates for hosts of others that lead here: ordered when one is first asked for and an app permits it, renewed like our own,
//! and no longer when permission ends.
//!
//! ```text
//!   edge ─ wish ─► permitted lately? else the app is asked ─► register ─► loop: permitted still? is there room? ─► one order at a time
//! ```
//!
//! **Invariant:** nothing is ordered for a host that an app has not permitted within the hour before.

use std::collections::BTreeMap;
use std::time::Duration;

use acme::{Next, Proof};
use edge::client::EdgeClient;
use edge::tls::issued::Store;
use edge::tls::on_demand::{Granted, Wish};
use host::clock::Timestamp;
use host::files;
use manifest::OnDemand;
use reconcile::ports::{Certificates, RouteTable, Routes};
use reconcile::{Fault, Root};
use tokio::sync::{Mutex, MutexGuard};

use super::permission::{self, Answer};
use super::register::{Entry, Register, later};
use super::{Desk, LONGEST_WAIT, PAUSE, Ready, folder, ordering, ready};
use crate::control::Control;
use crate::{wanted, world};

/// The app that permits is asked again after this, where it did not answer.
const UNANSWERED: Duration = Duration::from_secs(60);

/// So many hosts are looked at before our own have their turn again.
const AT_ONCE: usize = 64;

/// An order that is due later than this does not come while somebody waits for a handshake.
const SOON: Duration = Duration::from_secs(10);

/// Who is permitted, read once.
#[derive(Debug, Default)]
pub(crate) struct Others(Mutex<Option<Register>>);

/// By which rule hosts are permitted, and what is served now.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) root: Root,
    pub(super) wanted: OnDemand,
    pub(super) table: RouteTable,
}

impl Others {
    pub(super) async fn register(&self, root: &Root, now: Timestamp) -> Result<Held<'_>, Fault> {
        let mut register = self.0.lock().await;
        if register.is_none() {
            let shelf = Store::hosts(root);
            let shelf = shelf.map_err(|fault| Fault::because("cannot read which hosts have a certificate", &fault))?;
            *register = Some(Register::read(&folder(root), &shelf, now)?);
        }
        Ok(Held(register))
    }
}

/// The register, for as long as nobody else may change it.
pub(super) struct Held<'a>(MutexGuard<'a, Option<Register>>);

impl std::ops::Deref for Held<'_> {
    type Target = Register;

    fn deref(&self) -> &Register {
        self.0.as_ref().expect("it was read before it was given out")
    }
}

impl std::ops::DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Register {
        self.0.as_mut().expect("it was read before it was given out")
    }
}

/// What the edge is told of a host that somebody asks for.
pub(crate) async fn wish(control: &Control, wish: &Wish) -> Result<Granted, Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(Granted::Refused) };
    let environment = wanted::resolve(&want)?;
    let host = wish.host.as_str();
    let is_ours = environment.apps.iter().flat_map(|app| &app.hosts).any(|own| own == host);
    let Some(wanted) = environment.tls.on_demand.as_ref().filter(|_| !is_ours) else { return Ok(Granted::Refused) };
    if world::certificates_of(&environment, &want) == Certificates::Local {
        return Ok(Granted::Refused);
    }
    let Some(table) = EdgeClient::new(control.root.clone()).current().await? else { return Ok(Granted::Unanswered) };
    let rule = Rule { root: control.root.clone(), wanted: wanted.clone(), table };
    let granted = grant(&control.renewing.others, &rule, host, control.clock.now()).await?;
    if granted == Granted::Coming {
        control.renewing.look_again();
    }
    Ok(granted)
}

pub(super) async fn grant(others: &Others, rule: &Rule, host: &str, now: Timestamp) -> Result<Granted, Fault> {
    let is_permitted = others.register(&rule.root, now).await?.is_permitted(host, now);
    // Not while the register is held: an app that is slow would hold up those that are permitted.
    let answer = if is_permitted { Answer::Permitted } else { permission::ask(&rule.table, &rule.wanted, host).await };
    match answer {
        Answer::Permitted => {}
        Answer::Refused => return Ok(Granted::Refused),
        Answer::None(why) => {
            tracing::warn!(host, why, "a host is not served: nobody says whether it is permitted");
            return Ok(Granted::Unanswered);
        }
    }
    let mut register = others.register(&rule.root, now).await?;
    if !is_permitted {
        if !register.permits(host, rule.wanted.most, now) {
            tracing::warn!(host, most = rule.wanted.most, "a host is permitted, and there are as many as there may be");
            return Ok(Granted::Later);
        }
        register.write(&folder(&rule.root))?;
    }
    let is_new = register.hosts.get(host).is_some_and(|entry| entry.ordered_at.is_none());
    let is_soon = register.hosts.get(host).is_some_and(|entry| entry.look_at <= later(now, SOON));
    let is_full = is_new && register.full_until(host, now).is_some();
    Ok(if is_soon && !is_full { Granted::Coming } else { Granted::Later })
}

/// Sees to those that are due; returns for how long there is nothing to do for any.
pub(super) async fn see_to_all(others: &Others, desk: &Desk, rule: &Rule) -> Result<Duration, Fault> {
    for _ in 0..AT_ONCE {
        let now = desk.clock.now();
        let (host, entry, limits) = {
            let register = others.register(&rule.root, now).await?;
            let Some((host, at)) = register.next() else { return Ok(LONGEST_WAIT) };
            if at > now {
                return Ok(at.since(now));
            }
            (host.clone(), register.hosts[host].clone(), register.limits.clone())
        };
        let one = One { others, desk: of_one(desk, rule, &host), rule, host: &host };
        let seen = match one.see_to(&entry, &limits).await {
            Ok(seen) => seen,
            Err(fault) => {
                tracing::warn!(host, causes = ?fault.causes, "cannot see to the certificate of a host: {fault}");
                Seen { wait: UNANSWERED, has_ordered: false }
            }
        };
        let now = desk.clock.now();
        if let Some(entry) = others.register(&rule.root, now).await?.hosts.get_mut(&host) {
            entry.look_at = later(now, seen.wait);
        }
        if seen.has_ordered {
            break;
        }
    }
    Ok(PAUSE)
}

/// As for our own hosts, for this one alone. It is in nobody's zone of ours; and what a rehearsal would show, ours has shown.
fn of_one(desk: &Desk, rule: &Rule, host: &str) -> Desk {
    let names = vec![host.to_owned()];
    let mut authorities = desk.authorities.clone();
    authorities.iter_mut().for_each(|authority| authority.staging = None);
    Desk {
        store: Store::of(&rule.root, &names),
        folder: desk.folder.clone(),
        books: desk.folder.join("hosts").join(host),
        authorities,
        directories: desk.directories.clone(),
        proofs: desk.proofs.iter().copied().filter(|proof| *proof != Proof::Dns).collect(),
        project: desk.project.clone(),
        hosts: names.clone(),
        names,
        zone: None,
        customers: desk.customers.clone(),
        clock: desk.clock.clone(),
        edge: desk.edge.clone(),
        door: desk.door,
    }
}

struct One<'a> {
    others: &'a Others,
    desk: Desk,
    rule: &'a Rule,
    host: &'a str,
}

struct Seen {
    wait: Duration,
    has_ordered: bool,
}

impl Seen {
    fn nothing_for(wait: Duration) -> Self {
        Self { wait, has_ordered: false }
    }
}

impl One<'_> {
    async fn see_to(&self, entry: &Entry, limits: &BTreeMap<String, acme::book::Setback>) -> Result<Seen, Fault> {
        let Ready { mut book, held, next, wait } = ready(&self.desk, limits).await?;
        let now = self.desk.clock.now();
        let is_over = held.as_ref().is_none_or(|held| held.issued.life.end <= now);
        if is_over && Register::is_given_up(entry, now) {
            self.forget().await?;
            return Ok(Seen::nothing_for(PAUSE));
        }
        // What it has is served to its end.
        if let (Some(_), Some(held)) = (entry.ended_at, &held) {
            return Ok(Seen::nothing_for(held.issued.life.end.since(now)));
        }
        let Next::Order { authority } = next else { return Ok(Seen::nothing_for(wait)) };
        if !self.others.register(&self.rule.root, now).await?.is_permitted(self.host, now) {
            match permission::ask(&self.rule.table, &self.rule.wanted, self.host).await {
                Answer::Permitted => {}
                Answer::Refused => return self.ends(now).await,
                Answer::None(why) => {
                    tracing::warn!(
                        host = self.host,
                        why,
                        "a certificate is not renewed: nobody says whether the host is permitted"
                    );
                    return Ok(Seen::nothing_for(UNANSWERED));
                }
            }
        }
        {
            let mut register = self.others.register(&self.rule.root, now).await?;
            if entry.ordered_at.is_none()
                && let Some(until) = register.full_until(self.host, now)
            {
                tracing::warn!(host = self.host, %until, "a host waits for its certificate: there were many orders");
                return Ok(Seen::nothing_for(until.since(now)));
            }
            // It was there before, so there is room.
            register.permits(self.host, usize::MAX, now);
            if let Some(entry) = register.hosts.get_mut(self.host) {
                entry.ordered_at.get_or_insert(now);
            }
            register.write(&folder(&self.rule.root))?;
        }
        ordering::order(&self.desk, &mut book, authority, held.as_ref()).await?;
        let now = self.desk.clock.now();
        let mut register = self.others.register(&self.rule.root, now).await?;
        let before = register.limits.clone();
        register.limits.retain(|_, limit| limit.over(now).is_some());
        register.limits.extend(book.limits().map(|(directory, limit)| (directory.clone(), limit.clone())));
        if register.limits != before {
            register.write(&folder(&self.rule.root))?;
        }
        Ok(Seen { wait: PAUSE, has_ordered: true })
    }

    /// It is permitted no more.
    async fn ends(&self, now: Timestamp) -> Result<Seen, Fault> {
        tracing::info!(host = self.host, "a host is permitted no more: its certificate is not renewed");
        let mut register = self.others.register(&self.rule.root, now).await?;
        if let Some(entry) = register.hosts.get_mut(self.host) {
            entry.ended_at = Some(now);
        }
        register.write(&folder(&self.rule.root))?;
        Ok(Seen::nothing_for(PAUSE))
    }

    async fn forget(&self) -> Result<(), Fault> {
        tracing::info!(host = self.host, "a host without permission or certificate is forgotten");
        let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot forget a host", error);
        let had_one = files::is_dir(self.desk.store.folder());
        self.desk.store.forget().map_err(|fault| cannot(&fault))?;
        if files::is_dir(&self.desk.books) {
            files::remove_dir(&self.desk.books).map_err(|fault| cannot(&fault))?;
        }
        let mut register = self.others.register(&self.rule.root, self.desk.clock.now()).await?;
        register.hosts.remove(self.host);
        register.write(&folder(&self.rule.root))?;
        drop(register);
        // An edge that is away reads them at its start.
        if had_one && let Err(fault) = self.desk.edge.take_up_certificates().await {
            tracing::warn!(%fault, "the edge does not forget the certificate of a host yet");
        }
        Ok(())
    }
}
