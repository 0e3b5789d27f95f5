//! One command at a time changes an environment; the second one learns who is at it.

use std::fmt;

use host::clock::Clock;
use host::files::{self, Access, FileFault};
use host::lock::{self, Held, Lock};
use reconcile::{Fault, Root};

use crate::cli::failure::Failure;

/// Who holds a root: what a command writes into the lock file about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: String,
    pub command: String,
    pub since: String,
}

impl Holder {
    /// What the lock file holds: three lines.
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.pid, self.command, self.since)
    }

    fn read(text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        Self { pid: next(), command: next(), since: next() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The holder writes the file right after it got the lock: in between the file is empty.
        if self.since.is_empty() {
            return f.write_str("another command");
        }
        write!(f, "process {}, `{}`, since {}", self.pid, self.command, self.since)
    }
}

/// Takes the root for this command, until the value is dropped. Makes the root's folder at first use.
pub fn take(root: &Root, command_line: &str, clock: &dyn Clock) -> Result<Held, Failure> {
    let cannot = |fault: FileFault| {
        Fault::because(format!("cannot take the root {}", root.path().display()), &fault)
            .hint("see whether the disk is full and the folder is yours, or give another with --root")
    };
    files::create_dir(root.path(), Access::Owner).map_err(cannot)?;
    let us = Holder {
        pid: std::process::id().to_string(),
        command: command_line.lines().collect::<Vec<_>>().join(" "),
        since: clock.now().to_string(),
    };
    match lock::try_lock(&root.command_lock(), &us.text()).map_err(cannot)? {
        Lock::Ours(held) => Ok(held),
        Lock::HeldBy(text) => {
            Err(Failure::Held { root: root.path().display().to_string(), holder: Holder::read(&text) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::clock::SystemClock;

    #[test]
    fn the_second_command_learns_who_holds_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().join("root"));
        let held = take(&root, "roadbed up\n--detach", &SystemClock).unwrap();
        let Err(Failure::Held { holder, .. }) = take(&root, "roadbed down", &SystemClock) else { panic!("was free") };
        assert_eq!(holder.command, "roadbed up --detach");
        assert_eq!(holder.pid, std::process::id().to_string());
        drop(held);
        take(&root, "roadbed down", &SystemClock).unwrap();
    }

    #[test]
    fn an_unwritten_holder_is_told_as_such() {
        assert_eq!(Holder::read("").to_string(), "another command");
    }
}
