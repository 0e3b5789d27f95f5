//! What all units of a root may use together: limits of the group in which each of them has its own.

use std::sync::PoisonError;

use host::confine::group::{self, Groups, Use};
use reconcile::ports::{Limits, Observed};
use reconcile::{Fault, Root};

use super::{Means, bytes, group_limits, told};
use crate::keeper::wire::Together;

impl Means {
    /// From here on all units together may use no more than that. Kept for the next group, since one that is empty goes away.
    pub(in crate::keeper) fn cap(&self, root: &Root, limits: Limits) -> Result<(), Fault> {
        *self.ceiling.lock().unwrap_or_else(PoisonError::into_inner) = Some(limits);
        // Where there are no groups nothing is in force, and `status` says so.
        let Ok(name) = &self.groups else { return Ok(()) };
        let Ok(groups) = Groups::make(name) else { return Ok(()) };
        limit(&groups, limits).map_err(|why| {
            Fault::new("cannot cap the environment as a whole").cause(why).hint(format!(
                "see whether an app of it may use more than all of it, in `limits` of the manifest; the group is of {}",
                root.path().display()
            ))
        })
    }

    /// The group that units get theirs in, with the limits that were set last.
    pub(super) fn groups_of(&self, name: &str) -> Result<Groups, String> {
        let groups = Groups::make(name).map_err(|fault| told(&fault))?;
        let ceiling = *self.ceiling.lock().unwrap_or_else(PoisonError::into_inner);
        ceiling.map_or(Ok(()), |limits| limit(&groups, limits))?;
        Ok(groups)
    }

    /// What was set, and what is in force as the kernel tells it.
    pub(in crate::keeper) fn together(&self) -> Together {
        let wanted = *self.ceiling.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = match &self.groups {
            Err(why) => Observed { in_force: false, detail: why.clone() },
            Ok(name) => match self.groups_of(name) {
                Err(detail) => Observed { in_force: false, detail },
                Ok(groups) => seen(&groups.whole().used(), wanted.unwrap_or_default()),
            },
        };
        Together { wanted, observed }
    }
}

fn limit(groups: &Groups, limits: Limits) -> Result<(), String> {
    groups.whole().limit(&group_limits(&limits)).map_err(|fault| told(&fault))
}

fn seen(used: &Use, wanted: Limits) -> Observed {
    let group::Limits { memory, processes, cpu } = group_limits(&wanted);
    let of = |used: Option<String>, limit: Option<String>, what: &str| {
        let limit = limit?;
        Some(match used {
            Some(used) => format!("{what} {used} of {limit}"),
            None => format!("{what} at most {limit}"),
        })
    };
    let parts = [
        of(used.memory.map(bytes), used.limits.memory.map(bytes), "memory"),
        of(used.processes.map(|n| n.to_string()), used.limits.processes.map(|n| n.to_string()), "processes"),
        of(None, used.limits.cpu.map(|n| format!("{}.{:03}", n / 1000, n % 1000)), "CPUs"),
        (used.killed_for_memory > 0).then(|| format!("{} killed for memory", used.killed_for_memory)),
    ];
    let detail: Vec<String> = parts.into_iter().flatten().collect();
    let holds =
        |wanted: Option<u64>, found: Option<u64>| wanted.is_none_or(|most| found.is_some_and(|found| found <= most));
    let in_force =
        holds(memory, used.limits.memory) && holds(processes, used.limits.processes) && holds(cpu, used.limits.cpu);
    let detail = if detail.is_empty() { "no limit".to_owned() } else { detail.join(", ") };
    Observed { in_force, detail }
}
