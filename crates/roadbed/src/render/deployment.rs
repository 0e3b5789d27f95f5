//! Deployments and releases, for people.

use delivery::deployment::Happened;
use delivery::{Deployment, Kind, Release, Role, State};

use crate::control::delivering::{AppChange, Changes, Listed, Rehearsal};
use crate::render::paint::Paint;
use crate::render::table::Table;

/// What happened, as one line: a new state stands out, what was done for it is below.
pub fn line(happened: &Happened, paint: Paint) -> String {
    let state = happened.state.as_str();
    match happened.what.as_str() {
        "" => match happened.state {
            State::Live => paint.good(format!("● {state}")),
            State::Aborted | State::RolledBack | State::Frozen => paint.bad(format!("● {state}")),
            _ => paint.strong(format!("● {state}")),
        },
        what => paint.faint(format!("  {what}")),
    }
}

/// What a deployment came to.
pub fn ending(deployment: &Deployment, release: &Release, paint: Paint) -> String {
    let (id, name) = (deployment.id, release.name());
    match deployment.state {
        State::Live if deployment.kind == Kind::Rollback => paint.good(format!("{id}: back at {name}")),
        State::Live => paint.good(format!("{id}: {name} is live")),
        State::Aborted => paint.bad(format!("{id}: {name} was aborted; visitors saw nothing of it")),
        State::RolledBack => {
            let back = deployment.previous.map_or_else(|| "what was there before".to_owned(), |id| id.to_string());
            paint.bad(format!("{id}: {name} was rolled back; visitors are back at {back}"))
        }
        State::Frozen => paint.bad(format!("{id}: {name} is frozen; `roadbed status` shows what runs")),
        state => format!("{id}: {name} is {state}"),
    }
}

/// What a rollback would do.
pub fn rehearsed(course: &Rehearsal) -> Vec<String> {
    let states: Vec<&str> = course.states.iter().map(|state| state.as_str()).collect();
    let mut lines = vec![states.join(" → ")];
    let short = |digest: &Option<String>| {
        digest.as_deref().map_or("nothing", |digest| digest.get(..12).unwrap_or(digest)).to_owned()
    };
    let mut table = Table::new(["APP", "NOW", "THEN", "VARIABLES"]);
    for change in &course.apps {
        let AppChange { app, from, to, settings } = change;
        let then = if change.changes() { short(to) } else { "the same".to_owned() };
        table.row(vec![app.clone(), short(from), then, settings.join(", ")]);
    }
    lines.extend(table.lines());
    if course.manifest_changes {
        lines.push("the manifest of that release is in force then; data and secrets stay as they are".to_owned());
    }
    lines.extend(course.waits_for.map(|id| format!("{id} is under way: it is waited for")));
    lines
}

/// The newest deployments first.
pub fn table(deployments: &[Deployment]) -> Vec<String> {
    let mut table = Table::new(["DEPLOYMENT", "RELEASE", "STATE", "ASKED", "BY"]);
    for deployment in deployments {
        let kind = if deployment.kind == Kind::Rollback { " (rollback)" } else { "" };
        table.row(vec![
            deployment.id.to_string(),
            format!("{}{kind}", deployment.release),
            deployment.state.to_string(),
            deployment.asked_at.to_string(),
            deployment.asked_by.clone(),
        ]);
    }
    table.lines()
}

/// The newest releases first.
pub fn releases(releases: &[Listed]) -> Vec<String> {
    let mut table = Table::new(["RELEASE", "STATE", "MADE", "AUTHOR", "COMMIT"]);
    for Listed { release, role } in releases {
        let state = match role {
            Some(Role::Live) => "live",
            Some(Role::Warm) => "warm",
            Some(Role::Candidate | Role::Leaving) => "candidate",
            None if release.stable => "served",
            None => "",
        };
        let origin = &release.contents.origin;
        let commit = origin.commit.as_deref().map(|commit| commit.get(..12).unwrap_or(commit)).unwrap_or_default();
        table.row(vec![
            release.id.to_string(),
            state.to_owned(),
            release.made_at.to_string(),
            release.contents.author.clone(),
            format!("{commit}{}", if origin.changed { " and changes" } else { "" }),
        ]);
    }
    table.lines()
}

/// Changes of data, in their order.
pub fn changes(changes: &Changes) -> Vec<String> {
    let mut table = Table::new(["APP", "CHANGE", "HALF", "MADE"]);
    for change in &changes.changes {
        let made = match &change.made {
            Some(made) => format!("{}, in {} ms", made.at, made.took_ms),
            None if change.contracts => "not yet: waits until no earlier release is kept ready".to_owned(),
            None => "not yet".to_owned(),
        };
        let half = if change.contracts { "contract" } else { "expand" };
        table.row(vec![change.app.clone(), change.name.clone(), half.to_owned(), made]);
    }
    table.lines()
}
