//! What is asked for: which values, whether they can be rotated at all, and what is overdue.

use std::collections::BTreeSet;

use host::clock::Timestamp;
use manifest::RotatedBy;
use reconcile::Fault;
use secrets::{VersionRow, VersionState};

use super::holders::Everybody;
use super::rotating::{Look, look};
use super::wire::{Overdue, RotateRequest, Which};
use super::{Control, fresh_value, state_fault};
use crate::rotation::{Due, Subject, due, next};

/// The names that are meant; every one that cannot be rotated is told at once.
pub(super) fn chosen(control: &Control, request: &RotateRequest) -> Result<BTreeSet<String>, Fault> {
    let look = look(control)?;
    let names = match &request.which {
        Which::Due => {
            let now = control.no_earlier_than_now(&look.rows)?;
            let is_due = |subject: &&Subject| matches!(due(subject, &look.rows, now), Due::Overdue { .. });
            let may = |subject: &&Subject| fresh_value::refusal(subject).is_none() && !subject.is_under_way(&look.rows);
            return Ok(look.subjects.iter().filter(is_due).filter(may).map(|one| one.name().to_string()).collect());
        }
        Which::Named(names) => names,
    };
    let mut causes = Vec::new();
    for name in names {
        let subject = look.subjects.iter().find(|subject| subject.name() == name);
        match subject {
            Some(subject) => causes
                .extend(fresh_value::refusal(subject).map(|fault| {
                    fault.hint.map_or(fault.message.clone(), |hint| format!("{}: {hint}", fault.message))
                })),
            None if look.environment.variables.iter().any(|variable| variable.name.as_str() == name) => {
                causes.push(format!("{name} is no secret that Roadbed keeps"));
            }
            None => causes.push(format!("there is no variable {name}")),
        }
    }
    if causes.is_empty() {
        return Ok(names.iter().cloned().collect());
    }
    let known: Vec<&str> =
        look.subjects.iter().filter(|one| fresh_value::refusal(one).is_none()).map(|one| one.name()).collect();
    let fault = Fault::new("cannot rotate what was named").hint(format!("what can be rotated: {}", known.join(", ")));
    Err(Fault { causes, ..fault })
}

/// What the environment rotates without being asked: what is overdue and takes nobody, where the manifest says so.
pub(super) fn rotated_by_itself(control: &Control, look: &Look) -> BTreeSet<String> {
    if look.environment.rotation.by == RotatedBy::People {
        return BTreeSet::new();
    }
    // Where the time of before cannot be told, nothing is begun: a clock that was set back must not make anything due.
    let Ok(now) = control.no_earlier_than_now(&look.rows) else { return BTreeSet::new() };
    let is_due = |subject: &&Subject| matches!(due(subject, &look.rows, now), Due::Overdue { .. });
    let takes_nobody = |subject: &&Subject| {
        subject.takes_nobody() && fresh_value::refusal(subject).is_none() && !subject.is_under_way(&look.rows)
    };
    let subjects = look.subjects.iter().filter(takes_nobody).filter(is_due);
    subjects.map(|subject| subject.name().to_string()).collect()
}

/// Which of them get a new value: those of which none is pending. Refused if one still has a previous value: who makes a third
/// one, takes the first from those who hold it.
pub(super) async fn refuse_within_overlap(
    control: &Control,
    request: &RotateRequest,
    names: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Fault> {
    let look = look(control)?;
    let everybody = Everybody::look(control).await?;
    let mut asked = BTreeSet::new();
    let mut causes = Vec::new();
    for subject in look.named(names) {
        if subject.has(&look.rows, VersionState::Pending) {
            continue;
        }
        match subject.since(&look.rows, VersionState::Previous) {
            Some(since) => {
                let (name, until) = (subject.name(), next::later(since, subject.rotation.overlap));
                let holders = everybody.with_previous(subject, &look.rows);
                let before = format!("{name}: its value before was replaced at {since}");
                causes.push(if control.clock.now() < until || holders.is_empty() {
                    format!("{before} and holds until {until}")
                } else {
                    format!("{before} and is held by {}", holders.join(", "))
                });
            }
            None => drop(asked.insert(subject.name().to_string())),
        }
    }
    if causes.is_empty() || request.which == Which::Due {
        return Ok(asked);
    }
    let fault = Fault::new("cannot rotate twice within the overlap").hint("try again when the value before is retired");
    Err(Fault { causes, ..fault })
}

/// What is older than the manifest lets it be.
pub fn overdue(control: &Control) -> Result<Vec<Overdue>, Fault> {
    let look = look(control)?;
    let now = control.no_earlier_than_now(&look.rows)?;
    let overdue = |subject: &Subject| match due(subject, &look.rows, now) {
        Due::Overdue { since } => Some(Overdue { name: subject.name().to_string(), since }),
        Due::NoValue | Due::Later { .. } => None,
    };
    Ok(look.subjects.iter().filter_map(overdue).collect())
}

impl Control {
    /// The newest time that this environment has written down.
    pub fn newest_noted(&self) -> Result<Option<Timestamp>, Fault> {
        let of_ledger = self.ledger.newest().map_err(|fault| state_fault(&fault))?;
        let of_journal = self.journal.latest(1).map_err(|fault| state_fault(&fault))?;
        Ok(of_journal.first().map(|entry| entry.begun_at).into_iter().chain(of_ledger).max())
    }

    fn no_earlier_than_now(&self, rows: &[VersionRow]) -> Result<Timestamp, Fault> {
        Ok(due::no_earlier_than(self.newest_noted()?, rows, self.clock.now()))
    }
}
