//! What a worker gives up before it reads a picture.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::set_no_new_privs;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of the processor for one picture.
    pub seconds: u64,
    /// 0 to 19: how far others go first.
    pub niceness: i32,
}

/// For good: hard limits are lowered too, and no program that it could start would get more.
pub(super) fn enter(allowance: Allowance) -> io::Result<()> {
    host::own::keep_only_standard_streams();
    set_no_new_privs(true)?;
    // A crash is an everyday event here and its image would hold a stranger's picture.
    host::own::leave_no_core_dump()?;
    lower(Resource::As, allowance.memory)?;
    // No descriptor beside those that are open: no file, no socket, no pipe.
    lower(Resource::Nofile, 0)?;
    lower(Resource::Fsize, 0)?;
    // No process and no thread more. Root is not bound by it, and bound by the rest.
    lower(Resource::Nproc, 0)?;
    // It may be less urgent already, and then it stays so.
    let _ = rustix::process::nice(allowance.niceness);
    // Where the kernel has no such filter, the limits have to do.
    host::confine::calls::only_compute()?;
    Ok(())
}

/// The processor's time is counted anew for each picture. Whoever started us looks at the clock too; this is for when it is gone.
pub(super) fn begin_picture(allowance: Allowance) -> io::Result<()> {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let hard = getrlimit(Resource::Cpu).maximum;
    let until = used.saturating_add(allowance.seconds).saturating_add(1);
    let current = Some(hard.map_or(until, |hard| hard.min(until)));
    Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum: hard })?)
}

fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let to = getrlimit(resource).maximum.map_or(to, |hard| hard.min(to));
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })?)
}
