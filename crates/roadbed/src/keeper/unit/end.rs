//! What comes after a unit's process, and what there is to see of it before.

use host::confine::group::Group;
use host::process::{Exit, Signal};

use super::Unit;
use crate::keeper::confinement::{self, Seen};
use crate::keeper::orphan;

impl Unit {
    /// The process is dead: nothing of it stays.
    pub(super) fn bury(&mut self) {
        let Some(process) = self.process.take() else { return };
        // While the zombie is there its number, and so its group's, cannot belong to anybody else.
        if let Err(error) = process.signal_group(Signal::KILL) {
            tracing::error!(unit = self.name, %error, "cannot kill what is left of the group");
        }
        if let Some(recorded) = &self.record.process {
            orphan::kill_rest(&recorded.spawn);
            orphan::kill_group(&self.group());
        }
        if let Some(output) = &self.output {
            output.drain();
        }
        let exit = process.reap().ok().flatten().unwrap_or(Exit::Unseen);
        let how = self.killed_for_memory(exit).unwrap_or_else(|| exit.to_string());
        self.house.children().remove(&process.pid());
        self.house.reap_strangers();
        tracing::info!(unit = self.name, pid = process.pid(), how, "ended");
        self.record.last_exit = Some(how);
        self.clear_dead_process();
    }

    pub(super) fn clear_dead_process(&mut self) {
        // What is killed may take a moment to be gone: then the group is the next start's, or is swept later.
        let _ = self.group().remove();
        if self.record.process.take().is_some() {
            self.write_record();
        }
    }

    /// The control group of its process.
    fn group(&self) -> Group {
        Group::known(self.record.process.as_ref().map_or_else(Vec::new, |recorded| recorded.groups.clone()))
    }

    /// The kernel kills without a word; its group knows why.
    fn killed_for_memory(&self, exit: Exit) -> Option<String> {
        let before = self.record.process.as_ref()?.killed_before;
        let used = self.group().used();
        let was_killed = matches!(exit, Exit::Signal(9) | Exit::Unseen) && used.killed_for_memory > before;
        let limit = used.limits.memory.filter(|_| was_killed)?;
        Some(format!("killed: over its memory limit of {}", confinement::bytes(limit)))
    }

    /// What there is to look at, if it runs.
    pub(super) fn seen(&self) -> Option<Seen> {
        let spec = &self.record.spec;
        let recorded = self.record.process.as_ref();
        let release =
            spec.confinement.as_ref().map(|wanted| wanted.release.clone()).filter(|release| !release.is_empty());
        Some(Seen {
            pid: self.process.as_ref()?.pid(),
            kind: spec.kind,
            is_confined: spec.confinement.is_some(),
            groups: self.group().folders().to_vec(),
            missing: recorded.map(|recorded| recorded.missing.clone()).unwrap_or_default(),
            tmp: self.house.root.tmp_of(&self.name),
            release: release.unwrap_or_else(|| vec![spec.cwd.clone()]),
        })
    }
}
