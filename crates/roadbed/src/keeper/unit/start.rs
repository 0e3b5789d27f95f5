//! How a unit's process comes to be.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::files::FileFault;
use host::process::spawn::FIRST_INHERITED;
use host::process::{self, Process, Spawn, find_in_path};
use host::sealed_file;
use reconcile::Fault;
use reconcile::ports::{Confinement, Safeguard};

use super::Unit;
use crate::keeper::confinement::Subject;
use crate::keeper::output::{self, Output, Redaction};
use crate::keeper::record::{RecordedProcess, Wanted};
use crate::keeper::{SPAWN_MARK, UNIT_MARK, orphan};

impl Unit {
    pub(super) fn try_start(&mut self) -> Result<Process, Fault> {
        let headline = format!("cannot start unit {:?}", self.name);
        let spec = &self.record.spec;
        let mut env = self.env.clone().ok_or_else(|| self.refusal())?;
        let program = find_program(&spec.program, &env)
            .ok_or_else(|| Fault::new(&headline).cause(format!("there is no program {}", spec.program.display())))?;
        let sockets = self.house.sockets().handout(&spec.sockets)?;
        let files = hand_over_in_files(&mut env, &spec.in_files, sockets.len())
            .map_err(|error| Fault::because(&headline, &error).cause("a file in memory could not be made"))?;
        let inherited: Vec<_> = sockets.iter().map(AsFd::as_fd).chain(files.iter().map(AsFd::as_fd)).collect();
        let spawn_id = self.house.spawn_id();
        env.insert(UNIT_MARK.to_owned(), orphan::mark(&self.house.root, &self.name));
        env.insert(SPAWN_MARK.to_owned(), spawn_id.clone());
        if !sockets.is_empty() {
            env.insert("LISTEN_FDS".to_owned(), sockets.len().to_string());
            env.insert("LISTEN_FDNAMES".to_owned(), spec.sockets.join(":"));
        }
        let (args, cwd, limits) = (spec.args.clone(), spec.cwd.clone(), spec.limits);
        let confinement = spec.confinement.clone();
        let subject =
            Subject { name: &self.name, program: &program, cwd: &cwd, limits, confinement: confinement.as_ref() };
        let mut decided = self.house.means.decide(&self.house.root, &subject)?;
        env.extend(decided.env.drain(..).map(|(name, value)| (name.to_owned(), value)));
        self.open_output()?;
        let (stdout, stderr) = match &self.output {
            Some(output) => output.ends().map_err(|fault| Fault::because(&headline, &fault))?,
            None => return Err(Fault::new(&headline).cause("its output has nowhere to go")),
        };
        let spawn = Spawn {
            program: &program,
            args: &args,
            cwd: &cwd,
            env: &env,
            stdout,
            stderr,
            inherited: &inherited,
            limits: process::Limits {
                open_files: limits.open_files,
                address_space: limits.address_space,
                // The kernel counts per user: without one of its own, others' processes would count.
                processes: limits.processes.filter(|_| decided.confine.is_some()),
            },
            confine: decided.confine.as_ref(),
        };
        if let Some(confine) = &decided.confine {
            output::give(&self.house.root, &self.name, confine.user)
                .map_err(|fault| Fault::because(&headline, &fault))?;
        }
        let (house, record, is_on_trial) = (&self.house, &mut self.record, self.is_on_trial);
        let started = process::spawn(spawn, &mut |process| {
            house.children().insert(process.pid());
            let (identity, boot_id) = (process.identity(), house.boot_id.clone());
            let mut recorded = RecordedProcess::new(identity, boot_id, spawn_id.clone());
            recorded.is_redacted = house.redaction.subscribe().borrow().is_some();
            recorded.loaded = Some(record.spec.loaded.clone());
            if let Some(group) = &decided.group {
                recorded.killed_before = group.used().killed_for_memory;
                match group.join(process.pid()) {
                    Ok(()) => recorded.groups = group.folders().to_vec(),
                    Err(fault) if is_required(confinement.as_ref()) => return Err(std::io::Error::other(fault)),
                    Err(fault) => {
                        decided.missing.insert(Safeguard::Cgroup, format!("{fault}: {}", fault.source));
                    }
                }
            }
            recorded.missing = std::mem::take(&mut decided.missing);
            record.process = Some(recorded);
            record.restarts = self.life.restarts;
            record.wanted = Wanted::Running;
            if is_on_trial {
                return Ok(());
            }
            match record.write(&house.root) {
                // Rather an unrecorded process than none on a full disk: the next keeper finds it by its mark and replaces it.
                Err(fault) if is_disk_full(&fault) => {
                    tracing::error!(unit = record.spec.name, error = %fault.source, "{fault}; starting it all the same");
                    Ok(())
                }
                written => written.map_err(std::io::Error::other),
            }
        });
        started.map_err(|fault| {
            if let Some(recorded) = &self.record.process {
                self.house.children().remove(&recorded.identity.pid);
            }
            Fault::because(&headline, &fault)
        })
    }

    pub(super) fn open_output(&mut self) -> Result<(), Fault> {
        if self.output.is_none() {
            let is_redacted = self.record.process.as_ref().is_some_and(|process| process.is_redacted);
            let redaction = Redaction { known: self.house.redaction.subscribe(), is_redacted };
            let opened = Output::open(&self.house.root, &self.name, Arc::clone(&self.house.clock), redaction);
            let headline = || format!("cannot take the output of unit {:?}", self.name);
            self.output = Some(opened.map_err(|fault| Fault::because(headline(), &fault))?);
        }
        Ok(())
    }
}

/// Takes what is delivered by file out of the environment, and says in it where each file will be: behind the sockets.
fn hand_over_in_files(
    env: &mut BTreeMap<String, String>,
    names: &[String],
    sockets: usize,
) -> std::io::Result<Vec<OwnedFd>> {
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let Some(value) = env.remove(name) else { continue };
        let number = FIRST_INHERITED + RawFd::try_from(sockets + files.len()).map_err(std::io::Error::other)?;
        env.insert(format!("{name}_FILE"), sealed_file::path_of(number));
        files.push(sealed_file::sealed_file(value.as_bytes())?);
    }
    Ok(files)
}

fn is_required(confinement: Option<&Confinement>) -> bool {
    confinement.is_some_and(|wanted| wanted.require.contains(&Safeguard::Cgroup))
}

fn is_disk_full(fault: &FileFault) -> bool {
    matches!(fault.source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn find_program(program: &Path, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    if program.is_absolute() {
        // Whether it can be run is told best by the attempt.
        return Some(program.to_owned());
    }
    find_in_path(program.to_str()?, env.get("PATH").map_or("", String::as_str))
}
