//! `roadbed edge cache`, `roadbed edge purge`: what the edge keeps of apps' answers, and what it gives up.

use edge::client::EdgeClient;
use edge::{Counted, Purge, Selector};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::edge_args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::render::span;
use crate::render::table::Table;

/// What `edge purge --json` prints.
#[derive(Debug, Serialize)]
struct Purged {
    /// Addresses whose answers are gone.
    addresses: usize,
}

pub(super) async fn show(session: &Session) -> Result<Exit, Failure> {
    let caches = EdgeClient::new(session.root.clone()).caches().await?;
    if session.output.is_json() {
        session.output.json(&caches)?;
        return Ok(Exit::Done);
    }
    if caches.is_empty() {
        session.output.note("no app keeps answers here: `cache` of [apps.NAME] in the manifest");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["APP", "GIVEN", "ASKED OF THE APP", "STILL RIGHT", "PASSED BY", "ADDRESSES", "MEMORY"]);
    for (app, counted) in &caches {
        let Counted { hits, misses, validated, kept, .. } = counted;
        let passed: u64 = counted.bypassed.values().sum();
        let numbers = [hits, misses, validated, &passed, kept].map(ToString::to_string);
        table.row([app.clone()].into_iter().chain(numbers).chain([span::bytes(counted.bytes)]).collect());
    }
    table.lines().iter().try_for_each(|line| session.output.line(line))?;
    for (app, counted) in &caches {
        for (what, reasons) in [("passed by", &counted.bypassed), ("not kept", &counted.refused)] {
            let mut reasons: Vec<_> = reasons.iter().collect();
            reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (why, count) in reasons {
                session.output.line(format!("{app}: {what}, {why}: {count}"))?;
            }
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn purge(session: &Session, args: &edge_args::Purge) -> Result<Exit, Failure> {
    let edge = EdgeClient::new(session.root.clone());
    let caches = edge.caches().await?;
    if let Some(app) = args.app.as_ref().filter(|app| !caches.contains_key(*app)) {
        let known: Vec<&str> = caches.keys().map(String::as_str).collect();
        let hint = match known.as_slice() {
            [] => "no app keeps answers here: `cache` of [apps.NAME] in the manifest".to_owned(),
            known => format!("answers are kept for {}", known.join(", ")),
        };
        return Err(Failure::Work(Fault::new(format!("cannot take answers of {app} back: none are kept")).hint(hint)));
    }
    if caches.is_empty() {
        return Err(Failure::Work(
            Fault::new("cannot take answers back: no app keeps any")
                .hint("`cache` of [apps.NAME] in the manifest says which app does"),
        ));
    }
    let selector = match (&args.url, args.prefix) {
        (None, _) => Selector::All,
        (Some(url), false) => Selector::Url(url.as_str().to_owned()),
        (Some(url), true) => Selector::Prefix(url.as_str().to_owned()),
    };
    let addresses = edge.purge(&Purge { app: args.app.clone(), selector }).await?;
    if session.output.is_json() {
        session.output.json(&Purged { addresses })?;
    } else {
        let of = if addresses == 1 { "1 address" } else { &format!("{addresses} addresses") };
        session.output.line(format!("taken back: answers of {of}"))?;
    }
    Ok(Exit::Done)
}
