//! One order: written down, rehearsed, placed, judged, kept, shown, seen.

use acme::book::Book;
use acme::order::{self, Customer, Place, Wish};
use acme::{Failure, Trust};
use certificates::Issued;
use edge::tls::issued::{Chain, Held};
use host::clock::Timestamp;
use manifest::AcmeAuthority;
use reconcile::Fault;
use reconcile::ports::Routes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Desk, door};

/// Orders from one authority, and sees to it that the certificate is shown. What goes wrong there is noted and no fault; a fault is
/// that of this machine.
pub(super) async fn order(desk: &Desk, book: &mut Book, at: usize, held: Option<&Held>) -> Result<(), Fault> {
    let authority = &desk.authorities[at];
    let directory = &authority.directory;
    let roots = desk.trust(authority.roots.as_ref())?;
    let trust = desk.trust(authority.ca.as_ref())?;
    let customer = desk.customers[at].as_ref();
    desk.store
        .reserve()
        .map_err(|fault| Fault::because("cannot order a certificate: there is no room for it", &fault))?;
    book.begins(directory);
    desk.write(book)?;
    tracing::info!(directory, names = ?desk.names, "ordering a certificate");
    let outcome = place(desk, book, authority, (&trust, customer), &roots, held).await;
    // Time has passed.
    let now = desk.clock.now();
    match outcome {
        Ok(fresh) => {
            tracing::info!(directory, until = %fresh.issued.life.end, "a new certificate is served");
            book.succeeded(fresh.generation, now);
            desk.write(book)?;
            // What is older than the one before is needed no more.
            desk.store.settle(fresh.generation).map_err(|fault| Fault::because("cannot tidy certificates up", &fault))
        }
        Err(failure) => {
            book.failed(directory, &failure, held.map(|held| &held.issued), now);
            tracing::warn!(directory, "no certificate: {failure}");
            desk.write(book)
        }
    }
}

async fn place(
    desk: &Desk,
    book: &mut Book,
    authority: &AcmeAuthority,
    (trust, customer): (&Trust, Option<&Customer>),
    roots: &Trust,
    held: Option<&Held>,
) -> Result<Held, Failure> {
    let directory = authority.directory.as_str();
    let mut proofs = desk.proofs.clone();
    // What failed is not tried again in the same way where there is another.
    let failures = usize::try_from(book.standing_of(directory).failures).unwrap_or(0);
    let turns = failures % proofs.len().max(1);
    proofs.rotate_left(turns);
    let ours = held.filter(|held| held.directory == directory && held.issued.is_for(&desk.names));
    let wish = Wish { hosts: &desk.names, proofs: &proofs, replaces: None, zone: desk.zone.as_ref() };
    let place = Place { directory, contact: &authority.contact, trust, accounts: &desk.folder, customer };
    if let Some(staging) = authority.staging.as_deref()
        && ours.is_none()
        && !book.is_rehearsed(directory, &desk.names)
    {
        order::issue(&Place { directory: staging, ..place }, &wish, &desk.edge).await?;
        book.rehearsal_succeeded(directory, &desk.names);
    }
    let replaces = ours.and_then(|held| held.issued.known_as.as_ref());
    let came = order::issue(&place, &Wish { replaces, ..wish }, &desk.edge).await?;
    let chain = Chain { directory: directory.to_owned(), chain_pem: came.chain_pem, key_pem: came.key_pem };
    judge(&chain, desk, roots, desk.clock.now())?;
    let kept = desk.store.add(&chain).map_err(|fault| Failure::here("the certificate cannot be kept", &fault))?;
    match show(desk, &kept, roots).await {
        Ok(()) => Ok(kept),
        Err(why) => {
            take_back(desk, kept.generation).await;
            Err(Failure {
                why: format!("the new certificate was not seen at our own door: {why}"),
                class: None,
                wait: None,
            })
        }
    }
}

/// Whether visitors would take it, before any is shown it.
fn judge(chain: &Chain, desk: &Desk, roots: &Trust, now: Timestamp) -> Result<(), Failure> {
    let refused = |why: String| Failure { why, class: None, wait: None };
    let issued = Issued::read(&chain.chain_pem).map_err(|error| refused(format!("what came is refused: {error}")))?;
    if !issued.is_for(&desk.names) {
        return Err(refused(format!("what came is refused: it is for {}", issued.hosts.join(", "))));
    }
    if !issued.holds(now) {
        let life = issued.life;
        return Err(refused(format!(
            "what came is refused: it holds from {} to {}, and the clock of this machine says {now}",
            life.begin, life.end
        )));
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.chain_pem.as_bytes()).collect();
    let certificates = certificates.map_err(|error| refused(format!("what came is refused: {error}")))?;
    let verdict = roots.accepts(&certificates, &desk.hosts, now);
    verdict.map_err(|why| refused(format!("what came is refused: visitors would not take it: {why}")))
}

async fn show(desk: &Desk, held: &Held, roots: &Trust) -> Result<(), String> {
    // An edge that is away reads them at its start.
    if let Err(fault) = desk.edge.take_up_certificates().await {
        tracing::warn!(%fault, "the edge does not take the certificate up yet");
    }
    let certificate = held.chain.first().ok_or("there is no certificate")?;
    door::shows(desk.door, &desk.hosts, certificate, roots).await
}

async fn take_back(desk: &Desk, generation: u64) {
    if let Err(fault) = desk.store.withdraw(generation) {
        tracing::error!(%fault, "cannot take a certificate back");
    }
    if let Err(fault) = desk.edge.take_up_certificates().await {
        tracing::warn!(%fault, "the edge does not go back to the certificate before");
    }
}

/// Goes on where a crash cut an order off after its certificate was kept; or has the one before shown, where the newest is damaged.
pub(super) async fn settle(desk: &Desk, book: &mut Book, newest: &Held, now: Timestamp) -> Result<(), Fault> {
    let authority = desk.authorities.iter().find(|authority| authority.directory == newest.directory);
    let roots = desk.trust(authority.and_then(|authority| authority.roots.as_ref()))?;
    let is_newer = newest.generation > book.settled;
    match show(desk, newest, &roots).await {
        Ok(()) => {
            tracing::info!(generation = newest.generation, "the certificate is served");
            if is_newer {
                book.succeeded(newest.generation, now);
            }
        }
        // It may have ended, and nothing better is whole: the next order is due anyway.
        Err(why) if !is_newer => tracing::error!(why, "an earlier certificate serves, the newest is damaged"),
        // For other hosts than are served by now: no fault of it, and no use.
        Err(why) if newest.issued.is_for(&desk.names) => {
            take_back(desk, newest.generation).await;
            let why = format!("the new certificate was not seen at our own door: {why}");
            book.failed(&newest.directory, &Failure { why, class: None, wait: None }, Some(&newest.issued), now);
            return desk.write(book);
        }
        Err(why) => tracing::info!(why, "the certificate is not for all hosts"),
    }
    book.settled = newest.generation;
    desk.write(book)
}

/// Asks whoever issued the certificate when to renew it.
pub(super) async fn take_advice(desk: &Desk, book: &mut Book, held: &Held, now: Timestamp) -> Result<(), Fault> {
    let Some(at) = desk.directories.iter().position(|directory| *directory == held.directory) else {
        book.advised(&held.issued, Ok(None), now);
        return desk.write(book);
    };
    let Some(known_as) = &held.issued.known_as else { return Ok(()) };
    let authority = &desk.authorities[at];
    let trust = desk.trust(authority.ca.as_ref())?;
    let place = Place {
        directory: &authority.directory,
        contact: &authority.contact,
        trust: &trust,
        accounts: &desk.folder,
        customer: desk.customers[at].as_ref(),
    };
    book.advised(&held.issued, order::advice(&place, known_as).await, now);
    desk.write(book)
}
