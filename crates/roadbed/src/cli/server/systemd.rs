//! What systemd is asked to do, by its own commands, and what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files;
use host::process::{self, Run, Stream, find_in_path};
use reconcile::Fault;
use serde::Serialize;

use crate::server::made::Record;
use crate::server::unit::Subject;

/// The unit's own patience with a start that builds, and some more.
const DEADLINE: Duration = Duration::from_secs(35 * 60);

/// Where systemd's own programs are, whatever the caller's PATH is.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command(Vec<String>);

impl Command {
    fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// Returns what it said.
    pub(super) async fn run(&self) -> Result<Vec<String>, Fault> {
        let cannot = || Fault::new(format!("`{self}` failed"));
        let program = find_in_path(&self.0[0], PATH)
            .ok_or_else(|| cannot().cause(format!("there is no program {}", self.0[0])).hint("install systemd"))?;
        let run = Run {
            program,
            args: self.0[1..].to_vec(),
            cwd: PathBuf::from("/"),
            env: BTreeMap::from([("PATH".to_owned(), PATH.to_owned()), ("LANG".to_owned(), "C.UTF-8".to_owned())]),
            deadline: DEADLINE,
        };
        let mut said = Vec::new();
        let ran = process::run(&run, &mut |stream, line| {
            if stream == Stream::Out {
                said.push(line.to_owned());
            }
        })
        .await
        .map_err(|fault| Fault::because(cannot().message, &fault))?;
        if ran.success() {
            return Ok(said);
        }
        Err(cannot().cause(ran.describe()).output(ran.tail).hint("`journalctl -xe` shows what systemd says of it"))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Whether this machine is run by systemd: as `sd_booted(3)` looks.
pub(super) fn is_running() -> bool {
    files::is_dir(Path::new("/run/systemd/system"))
}

pub(super) fn steps_of_install(subject: &Subject<'_>, prefix: &Path, now: bool) -> Vec<Command> {
    // Below a prefix lies another machine's.
    if prefix != Path::new("/") {
        return Vec::new();
    }
    let name = subject.name();
    let mut steps = Vec::new();
    if subject.user.is_some() {
        steps.push(Command::new(&["systemd-sysusers", &format!("/etc/sysusers.d/{name}.conf")]));
    }
    steps.push(Command::new(&["systemd-tmpfiles", "--create", &format!("/etc/tmpfiles.d/{name}.conf")]));
    steps.push(Command::new(&["systemctl", "daemon-reload"]));
    if now {
        steps.push(Command::new(&["systemctl", "start", &format!("{name}.service")]));
    }
    steps
}

/// Before the files go, and after.
pub(super) fn steps_of_uninstall(record: &Record) -> (Vec<Command>, Vec<Command>) {
    if record.prefix != Path::new("/") {
        return (Vec::new(), Vec::new());
    }
    let stop = Command::new(&["systemctl", "stop", &record.service()]);
    (vec![stop], vec![Command::new(&["systemctl", "daemon-reload"])])
}

/// What systemd says of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    active: String,
    sub: String,
    enabled: String,
    /// Since when it is active; empty while it is not.
    since: String,
    main_pid: u32,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}), {}", self.active, self.sub, self.enabled)?;
        if self.main_pid != 0 {
            write!(f, ", process {} since {}", self.main_pid, self.since)?;
        }
        Ok(())
    }
}

pub(super) async fn told_of(service: &str) -> Result<Told, Fault> {
    let properties = "--property=ActiveState,SubState,UnitFileState,ActiveEnterTimestamp,MainPID";
    let said = Command::new(&["systemctl", "show", properties, service]).run().await?;
    let of = |name: &str| {
        let value = said.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().to_owned()
    };
    Ok(Told {
        active: of("ActiveState"),
        sub: of("SubState"),
        enabled: of("UnitFileState"),
        since: of("ActiveEnterTimestamp"),
        main_pid: of("MainPID").parse().unwrap_or(0),
    })
}
