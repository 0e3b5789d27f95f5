//! Visitors who are up to no good: networks that are kept out, paths that only scanners ask for, crawlers that are not who they say,
//! and pages that take a proof of work.
//!
//! ```text
//!   client ─► lists (operators') ─► crawler? ─► traps ─► limits ─► … ─► challenge ─► app
//!               block, allow        verified in the     N hits: out for a while
//!                                   background
//! ```
//!
//! Everything here has a bound that is written beside it. What the edge concludes by itself begins in shadow: the access log says what
//! would have been done. Nothing of it is ever concluded about this machine itself, and about apps that call each other.

pub mod challenge;
pub mod crawlers;
pub mod fingerprint;
pub mod lists;
pub mod robots;
pub mod rules;
pub mod top;
pub mod traps;

use std::net::IpAddr;

use http::header::USER_AGENT;
use http::request::Parts;

use crate::connection::{Door, Visitor};
use crate::edge::Edge;
use crate::guard::Asked;
use crate::log::{Entry, Judged};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use challenge::Challenges;
use crawlers::{Crawlers, Identity};
use lists::Verdict;
use traps::Traps;

/// What one edge remembers of visitors.
#[derive(Debug)]
pub struct Memory {
    pub traps: Traps,
    pub crawlers: Crawlers,
    pub challenges: Challenges,
}

impl Memory {
    pub fn new() -> Self {
        Self { traps: Traps::default(), crawlers: Crawlers::default(), challenges: Challenges::new() }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// As whom a visitor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This machine itself, or whom an operator allows: nothing is concluded.
    Trusted,
    Usual,
    /// A search engine, as the name service confirms.
    Crawler,
}

/// Lets a visitor in, or says why not. Waits for nobody.
pub fn enter(
    edge: &Edge,
    visitor: &Visitor,
    snapshot: &Snapshot,
    (parts, asked): (&Parts, &Asked),
    entry: &mut Entry,
) -> Result<Standing, Refusal> {
    if !is_judged(visitor, asked.client) {
        return Ok(Standing::Trusted);
    }
    let note = |entry: &mut Entry, rule, is_refused: bool, about: Option<String>| {
        entry.judged(Judged { rule, outcome: if is_refused { "refused" } else { "would-refuse" }, about });
    };
    let now = edge.clock.now();
    if let Some(listed) = edge.admissions.now_of(|admitted| admitted.lists.of_client(asked.client, now).cloned()) {
        let is_refused = listed.verdict == Verdict::Block;
        if listed.verdict == Verdict::Allow {
            return Ok(Standing::Trusted);
        }
        note(entry, "listed", is_refused, Some(format!("{}: {}", listed.network, listed.reason)));
        if is_refused {
            return Err(Refusal::Blocked);
        }
    }
    let Some(rules) = &snapshot.abuse else { return Ok(Standing::Usual) };
    if rules.fingerprints {
        entry.fingerprint(fingerprint::of(parts));
    }
    let instant = edge.clock.instant();
    let crawler = parts.headers.get(USER_AGENT).filter(|_| rules.crawlers).and_then(crawlers::claimed);
    let identity = crawler.map(|crawler| edge.abuse.crawlers.look(asked.client, crawler, instant));
    if identity == Some(Identity::Verified) {
        return Ok(Standing::Crawler);
    }
    let Some(scanners) = &rules.scanners else { return Ok(Standing::Usual) };
    let hit = match identity {
        Some(Identity::Fake) => Some("fake-crawler"),
        _ => scanners.trap(asked.target.path()),
    };
    let traps = &edge.abuse.traps;
    if traps.is_kept_out(asked.client, instant) {
        note(entry, "kept-out", rules.enforce, None);
        return if rules.enforce { Err(Refusal::Scanner) } else { Ok(Standing::Usual) };
    }
    if let Some(rule) = hit {
        let is_last = traps.hit(asked.client, instant, scanners.after, scanners.keep_out);
        note(entry, rule, is_last && rules.enforce, None);
        if is_last && rules.enforce {
            return Err(Refusal::Scanner);
        }
    }
    Ok(Standing::Usual)
}

/// Apps among themselves, who looks at a candidate, and this machine: they are not visitors.
fn is_judged(visitor: &Visitor, client: IpAddr) -> bool {
    matches!(visitor.door, Door::Https | Door::Http) && !client.to_canonical().is_loopback()
}
