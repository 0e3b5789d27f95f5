//! `roadbed preview list`: every preview of this checkout, whether it runs or not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use delivery::Role;
use host::clock::Timestamp;
use host::{files, resident};
use manifest::{Change, EnvRef, Instance};
use reconcile::Root;
use serde::Serialize;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::live::Live;
use crate::cli::place;
use crate::cli::preview::Ground;
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::control::identity;
use crate::control::sleeping::SleepState;
use crate::keeper::client::KeeperClient;
use crate::render::span;
use crate::render::table::Table;
use crate::wanted;

/// What `--json` prints: a contract.
#[derive(Debug, Serialize)]
struct Document {
    previews: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Awake,
    Asleep,
    Waking,
    Down,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Asleep => "asleep",
            Self::Waking => "waking",
            Self::Down => "down",
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    pull_request: u32,
    environment: String,
    root: PathBuf,
    state: State,
    /// Less than a tenth of its time is left.
    gone_soon: bool,
    urls: BTreeMap<String, String>,
    /// Of the release that is live, or absent while there is none or nobody can tell.
    commit: Option<String>,
    created: Timestamp,
    /// When it is purged.
    ends: Option<Timestamp>,
    /// Bytes that its processes occupy; absent while it is down.
    memory: Option<u64>,
}

pub async fn run(session: &Session) -> Result<Exit, Failure> {
    let ground = Ground::here(session)?;
    let mut previews = Vec::new();
    for (number, environment, root) in roots(&ground)? {
        if let Some(row) = row(session, number, &environment, root).await? {
            previews.push(row);
        }
    }
    if session.output.is_json() {
        session.output.json(&Document { previews })?;
        return Ok(Exit::Done);
    }
    if previews.is_empty() {
        session.output.note("there is no preview of this checkout: `roadbed preview up PR` makes one");
        return Ok(Exit::Done);
    }
    let now = session.clock.now();
    let mut table = Table::new(["PR", "STATE", "COMMIT", "AGE", "GONE IN", "MEMORY", "ADDRESS"]);
    for row in &previews {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let soon = if row.gone_soon { ", gone soon" } else { "" };
        table.row(vec![
            row.pull_request.to_string(),
            format!("{}{soon}", row.state.word()),
            or_dash(row.commit.as_ref().map(|commit| commit.get(..12).unwrap_or(commit).to_owned())),
            roughly(now.since(row.created)),
            or_dash(row.ends.map(|ends| roughly(ends.since(now)))),
            or_dash(row.memory.map(span::bytes)),
            or_dash(row.urls.values().next_back().cloned()),
        ]);
    }
    for line in table.lines() {
        session.output.line(line)?;
    }
    Ok(Exit::Done)
}

/// Where previews of this checkout may be.
fn roots(ground: &Ground<'_>) -> Result<Vec<(u32, EnvRef, Root)>, Failure> {
    let Some(any) = ground.manifest.target(&Change::PullRequest(1)) else { return Ok(Vec::new()) };
    let folder = ground.project.join(place::OTHERS).join(any.name.as_str());
    if !files::is_dir(&folder) {
        return Ok(Vec::new());
    }
    let found = files::list(&folder)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let environment: EnvRef = format!("{}/{name}", any.name).parse().ok()?;
        match environment.instance {
            Some(Instance::PullRequest(number)) => Some((number, environment, Root::new(path))),
            _ => None,
        }
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(number, ..)| *number);
    Ok(found)
}

async fn row(session: &Session, number: u32, environment: &EnvRef, root: Root) -> Result<Option<Row>, Failure> {
    // What was begun and never became a root is none.
    let Ok(Some(identity)) = identity::read(&root) else { return Ok(None) };
    let live = Live::new(root.clone());
    let status = if live.is_meant_to_be_up() { live.status().await.ok() } else { None };
    let state = match status.as_ref().map(|status| status.sleep.as_ref().map(|sleep| sleep.state)) {
        None => State::Down,
        Some(None) => State::Awake,
        Some(Some(SleepState::Asleep)) => State::Asleep,
        Some(Some(SleepState::Waking)) => State::Waking,
    };
    let want = wanted::read(&root).ok().flatten();
    let ttl = want.as_ref().and_then(|want| wanted::resolve(want).ok()?.preview.ttl);
    let ends = want.as_ref().and_then(|want| crate::expiry::of(want).ok().flatten());
    let left = want.as_ref().and_then(|want| crate::expiry::left(want, &session.clock.moment()).ok().flatten());
    let releases = if status.is_some() { ControlClient::new(root.clone()).releases().await.ok() } else { None };
    let release = releases.and_then(|all| all.into_iter().find(|listed| listed.role == Some(Role::Live)));
    let memory = match &status {
        Some(status) => {
            let units = status.units.iter().filter_map(|unit| unit.pid);
            let keeper = KeeperClient::new(root.clone()).health().await.ok().map(|health| health.pid);
            Some(units.chain(keeper).filter_map(|pid| resident::of(pid).ok()).sum())
        }
        None => None,
    };
    Ok(Some(Row {
        pull_request: number,
        environment: environment.to_string(),
        root: root.path().to_owned(),
        state,
        gone_soon: ttl.zip(left).is_some_and(|(ttl, left)| left < ttl / 10),
        urls: status.map(|status| status.urls).unwrap_or_default(),
        commit: release.and_then(|listed| listed.release.contents.origin.commit),
        created: identity.created,
        ends,
        memory,
    }))
}

/// `45 s`, `12 min`, `3 h`, `6 d`: as much as one wants to know.
pub(super) fn roughly(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_one_unit() {
        let of = |seconds| roughly(Duration::from_secs(seconds));
        assert_eq!([of(0), of(119), of(125), of(7_300), of(604_800)], ["0 s", "119 s", "2 min", "2 h", "7 d"]);
    }
}
