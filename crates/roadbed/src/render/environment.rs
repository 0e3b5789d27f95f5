//! An environment as a person sees it: addresses and processes.

use std::collections::BTreeMap;

use reconcile::ports::{Confined, Observed, UnitKind, UnitState};
use stores::mongo::members::MemberReport;

use crate::control::renewing::{CertificateStatus, HostStatus, Standing, Trouble};
use crate::control::wire::{Drift, Role, Scaled, Status, Unit};
use crate::render::paint::Paint;
use crate::render::table::Table;

/// One line per app: name and address.
pub fn urls(urls: &BTreeMap<String, String>, paint: Paint) -> Vec<String> {
    let width = urls.keys().map(|app| app.chars().count()).max().unwrap_or(0);
    urls.iter().map(|(app, url)| format!("{app:<width$}  {}", paint.strong(url))).collect()
}

/// The table of processes.
pub fn units(units: &[Unit], paint: Paint) -> Vec<String> {
    let mut table = Table::new(["UNIT", "KIND", "STATE", "PID", "RESTARTS", "KEPT BY"]);
    for unit in units {
        let pid = unit.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        table.row(vec![
            unit.name.clone(),
            match unit.role {
                Some(Role::Primary) => format!("{}, primary", kind(unit.kind)),
                Some(Role::Replica) => format!("{}, replica", kind(unit.kind)),
                None => kind(unit.kind).to_owned(),
            },
            state(unit.state).into(),
            pid,
            unit.restarts.to_string(),
            unit.confinement.as_ref().map_or_else(|| "-".to_owned(), kept_by),
        ]);
    }
    let colour = |(line, unit): (String, Option<&Unit>)| match unit.map(|unit| unit.state) {
        None => paint.faint(line),
        Some(UnitState::Running | UnitState::Adopted) => line,
        Some(UnitState::CrashLoop | UnitState::Lost) => paint.bad(line),
        Some(_) => paint.caution(line),
    };
    let of_line = std::iter::once(None).chain(units.iter().map(Some));
    table.lines().into_iter().zip(of_line).map(colour).collect()
}

/// What keeps a process to its own business, by name.
fn safeguards(confined: &Confined) -> [(&'static str, &Observed); 6] {
    [
        ("user", &confined.user),
        ("no-new-privs", &confined.no_new_privs),
        ("cgroup", &confined.cgroup),
        ("limits", &confined.limits),
        ("tmp", &confined.private_tmp),
        ("release", &confined.read_only_release),
    ]
}

fn kept_by(confined: &Confined) -> String {
    let in_force: Vec<&str> =
        safeguards(confined).into_iter().filter(|(_, observed)| observed.in_force).map(|(name, _)| name).collect();
    if in_force.is_empty() { "nothing".to_owned() } else { in_force.join(" ") }
}

/// What is not in force, with the reason: one line for all units that share it.
fn not_in_force(units: &[Unit], paint: Paint) -> Vec<String> {
    let mut shared: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for unit in units {
        let Some(confined) = &unit.confinement else { continue };
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, observed) in safeguards(confined).into_iter().filter(|(_, observed)| !observed.in_force) {
            reasons.entry(&observed.detail).or_default().push(name);
        }
        for (why, names) in reasons {
            shared.entry((names.join(", "), why)).or_default().push(&unit.name);
        }
    }
    let line = |((names, why), units): ((String, &str), Vec<&str>)| {
        paint.faint(format!("not in force for {}: {names} ({why})", units.join(", ")))
    };
    shared.into_iter().map(line).collect()
}

/// Who is primary of MongoDB's replica set, and what the other members are.
fn set(members: &[MemberReport], paint: Paint) -> Option<String> {
    if members.is_empty() {
        return None;
    }
    let of = |state: &str| -> Vec<&str> {
        members.iter().filter(|one| one.state == state).map(|one| one.unit.as_str()).collect()
    };
    let mut parts = vec![match of("primary").first() {
        Some(unit) => format!("{unit} is primary"),
        None => paint.bad("no member is primary"),
    }];
    let states = [
        ("secondary", "secondary"),
        ("joining", "copying or catching up"),
        ("outside", "not in the set"),
        ("silent", "silent"),
    ];
    for (state, told) in states {
        let units = of(state);
        if !units.is_empty() {
            parts.push(format!("{}: {told}", units.join(", ")));
        }
    }
    Some(format!("mongodb: {}", parts.join("; ")))
}

/// How many instances of an app there are, and between what bounds.
fn scale(scaled: &Scaled, paint: Paint) -> String {
    let Scaled { app, routed, wanted, min, max, in_flight, .. } = scaled;
    let now = if routed == wanted { routed.to_string() } else { format!("{routed}, soon {wanted}") };
    format!(
        "{app}: {} instances {}",
        now,
        paint.faint(format!("of {min} to {max}, by {in_flight} requests under way each"))
    )
}

/// Everything of `roadbed status`.
pub fn status(status: &Status, paint: Paint) -> Vec<String> {
    let mut lines =
        vec![format!("environment {}  {}", paint.strong(&status.environment), paint.faint(status.root.display()))];
    let network = status.network.iter().map(|network| {
        let sign = if network.in_force { "network" } else { "network not guarded" };
        paint.faint(format!("{sign}: {}", network.detail))
    });
    let together = status.together.iter().map(|together| match together.in_force {
        true => paint.faint(format!("all units together: {}", together.detail)),
        false => paint.caution(format!("what all units may use together is not in force: {}", together.detail)),
    });
    let set = set(&status.mongodb, paint);
    let blocks = [
        urls(&status.urls, paint),
        units(&status.units, paint),
        set.into_iter()
            .chain(status.scaled.iter().map(|scaled| scale(scaled, paint)))
            .chain(not_in_force(&status.units, paint))
            .chain(network)
            .chain(together)
            .chain(api(status, paint))
            .collect(),
    ];
    for block in blocks.into_iter().filter(|block| !block.is_empty()) {
        lines.push(String::new());
        lines.extend(block);
    }
    lines
}

/// Where it is asked from elsewhere.
fn api(status: &Status, paint: Paint) -> Option<String> {
    let api = status.api.as_ref()?;
    Some(match &api.trouble {
        None => paint.faint(format!("api: {}", api.url)),
        Some(trouble) => paint.bad(format!("api: {} does not answer: {trouble}", api.url)),
    })
}

/// What others changed at one resource, and what becomes of it.
pub fn drift(drift: &Drift, paint: Paint) -> Vec<String> {
    let resource = &drift.resource;
    let headline = format!("{} {resource} was changed behind our back", paint.caution("!"));
    let would = drift.would.iter().map(|step| paint.faint(format!("  the next `roadbed up` does: {step}")));
    let left = drift.left.iter().map(|left| paint.faint(format!("  stays until you say otherwise: {left}")));
    std::iter::once(headline).chain(would).chain(left).collect()
}

/// The certificate that an authority issued.
pub fn certificate(certificate: &CertificateStatus) -> Option<String> {
    let (issuer, end) = (certificate.issuer.as_ref()?, certificate.not_after?);
    let renews = certificate.renews_at.map(|renews| format!(", renewed at {renews}")).unwrap_or_default();
    Some(format!("its certificate is signed by {issuer}, until {end}{renews}"))
}

/// A host of somebody else.
pub fn host_of_others(other: &HostStatus, paint: Paint) -> Vec<String> {
    let until = other.not_after.map(|end| format!(" until {end}")).unwrap_or_default();
    let (mark, said) = match other.standing {
        Standing::Served => (paint.good("✓"), format!("served{until}")),
        Standing::Waiting => (paint.caution("!"), "waits for its certificate".to_owned()),
        Standing::Ending => (paint.caution("!"), format!("permitted no more, served{until}")),
    };
    let headline = format!("{mark} {}: {said}", other.host);
    let trouble = other.trouble.iter().flat_map(|of_host| trouble(of_host, paint));
    let damaged = other.damaged.iter().map(|damaged| format!("{} damaged: {damaged}", paint.caution("!")));
    let details = trouble.chain(damaged).map(|line| format!("  {line}"));
    std::iter::once(headline).chain(details).collect()
}

/// What is in the way of the next certificate.
pub fn trouble(trouble: &Trouble, paint: Paint) -> Vec<String> {
    let again = trouble.again.map(|again| format!(", tried again at {again}")).unwrap_or_default();
    let headline =
        format!("{} no new certificate, {} failed attempts in a row{again}", paint.caution("!"), trouble.failures);
    vec![headline, paint.faint(format!("  {}", trouble.why))]
}

pub fn kind(kind: UnitKind) -> &'static str {
    match kind {
        UnitKind::App => "app",
        UnitKind::Edge => "edge",
        UnitKind::Store => "store",
        UnitKind::Telemetry => "telemetry",
        UnitKind::Control => "control",
    }
}

pub fn state(state: UnitState) -> &'static str {
    match state {
        UnitState::Running => "running",
        UnitState::Adopted => "adopted",
        UnitState::Backoff => "backoff",
        UnitState::CrashLoop => "crash-loop",
        UnitState::Stopping => "stopping",
        UnitState::Held => "held",
        UnitState::Lost => "lost",
    }
}

/// What changed between two looks, one sentence each: who died, who came back.
pub fn changes(before: &[Unit], now: &[Unit], paint: Paint) -> Vec<String> {
    let old: BTreeMap<&str, &Unit> = before.iter().map(|unit| (unit.name.as_str(), unit)).collect();
    let mut lines = Vec::new();
    for unit in now {
        let name = paint.strong(&unit.name);
        let Some(was) = old.get(unit.name.as_str()) else {
            lines.push(format!("+ {name} is {}", state(unit.state)));
            continue;
        };
        let pid = unit.pid.map_or_else(String::new, |pid| format!(" as process {pid}"));
        match (was.state, unit.state) {
            (_, UnitState::Running) if unit.pid != was.pid || was.state != UnitState::Running => {
                let nth =
                    if unit.restarts == was.restarts { String::new() } else { format!(", restart {}", unit.restarts) };
                lines.push(format!("{} {name} runs again{pid}{nth}", paint.good("✓")));
            }
            (was, is) if was != is => lines.push(turned(is, &unit.name, paint)),
            _ => {}
        }
    }
    let gone = before.iter().filter(|unit| now.iter().all(|other| other.name != unit.name));
    lines.extend(gone.map(|unit| format!("- {} is stopped", paint.strong(&unit.name))));
    lines
}

/// What it means that a unit came into this state.
fn turned(state: UnitState, unit: &str, paint: Paint) -> String {
    let name = paint.strong(unit);
    match state {
        UnitState::Running => format!("{} {name} runs", paint.good("✓")),
        UnitState::Adopted => format!("{} {name} runs on under a new keeper", paint.good("✓")),
        UnitState::Backoff => format!("{} {name} died; it is started again", paint.bad("✗")),
        UnitState::CrashLoop => {
            format!("{} {name} dies again and again; `roadbed logs {unit}` shows why", paint.bad("✗"))
        }
        UnitState::Stopping => format!("- {name} is stopping"),
        UnitState::Held => format!("- {name} is held; it does not start by itself"),
        UnitState::Lost => format!("{} {name} is lost; control specifies it anew", paint.bad("✗")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, state: UnitState, pid: u32, restarts: u32) -> Unit {
        Unit {
            name: name.into(),
            kind: UnitKind::App,
            state,
            pid: Some(pid),
            restarts,
            role: None,
            loaded: None,
            confinement: None,
        }
    }

    #[test]
    fn what_is_not_in_force_is_told_once_with_its_reason() {
        let seen = |in_force, detail: &str| Observed { in_force, detail: detail.into() };
        let confined = Confined {
            user: seen(false, "the keeper is not root"),
            no_new_privs: seen(true, ""),
            cgroup: seen(false, "no control groups"),
            limits: seen(true, ""),
            private_tmp: seen(false, "the keeper is not root"),
            read_only_release: seen(true, ""),
        };
        let unit = |name| Unit { confinement: Some(confined.clone()), ..unit(name, UnitState::Running, 1, 0) };
        let all = [unit("api-1"), unit("api-2")];
        assert!(units(&all, Paint::Plain)[1].ends_with("no-new-privs limits release"));
        assert_eq!(
            not_in_force(&all, Paint::Plain),
            [
                "not in force for api-1, api-2: cgroup (no control groups)",
                "not in force for api-1, api-2: user, tmp (the keeper is not root)",
            ]
        );
    }

    #[test]
    fn who_is_primary_is_told_where_there_is_a_choice() {
        let member = |unit: &str, state: &str| MemberReport { unit: unit.into(), port: 1, state: state.into() };
        assert_eq!(set(&[], Paint::Plain), None);
        let all = [member("mongodb", "silent"), member("mongodb-2", "primary"), member("mongodb-3", "secondary")];
        assert_eq!(
            set(&all, Paint::Plain).unwrap(),
            "mongodb: mongodb-2 is primary; mongodb-3: secondary; mongodb: silent"
        );
        assert_eq!(set(&all[..1], Paint::Plain).unwrap(), "mongodb: no member is primary; mongodb: silent");
    }

    #[test]
    fn a_death_and_a_return_are_told_and_nothing_else() {
        let calm = [unit("api-1", UnitState::Running, 1, 0), unit("api-2", UnitState::Running, 2, 0)];
        let dead = [unit("api-1", UnitState::Backoff, 1, 0), unit("api-2", UnitState::Running, 2, 0)];
        let back = [unit("api-1", UnitState::Running, 3, 1), unit("api-2", UnitState::Running, 2, 0)];
        assert!(changes(&calm, &calm, Paint::Plain).is_empty());
        assert_eq!(changes(&calm, &dead, Paint::Plain), ["✗ api-1 died; it is started again"]);
        assert_eq!(changes(&dead, &back, Paint::Plain), ["✓ api-1 runs again as process 3, restart 1"]);
        // Faster than we look: the death itself was missed, its trace was not.
        assert_eq!(changes(&calm, &back, Paint::Plain), ["✓ api-1 runs again as process 3, restart 1"]);
        assert_eq!(changes(&calm, &calm[..1], Paint::Plain), ["- api-2 is stopped"]);
    }
}
