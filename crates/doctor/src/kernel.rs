//! What the kernel lets this user do: ports, files, mounts, control groups, and whether the clock is kept right.

use std::path::Path;

use host::confine::{group, view};
use host::{files, own, socket};

use crate::{Finding, Machine};

/// The edge takes a file for each visitor and one for each app that it asks; below this, busy hours are refused.
const ENOUGH_FILES: u64 = 4096;
/// Development servers watch every source; each editor takes its own.
const ENOUGH_WATCHES: u64 = 65_536;
/// Where programs that keep clocks right say that they do.
const CLOCK_KEEPERS: [&str; 5] = [
    "/run/systemd/timesync/synchronized",
    "/run/chrony/chronyd.pid",
    "/run/chronyd.pid",
    "/run/ntpd.pid",
    "/run/openntpd.pid",
];

pub(crate) fn look(machine: &Machine) -> Vec<Finding> {
    let mut all = vec![user(), mounts(), namespaces(), groups(), open_files(), watches(), clock()];
    all.extend(machine.ports.iter().map(|port| listening(*port)));
    all
}

fn user() -> Finding {
    if own::is_root() {
        return Finding::good("user", "root: every app and data service gets a user of its own");
    }
    Finding::less(
        "user",
        format!("{}: apps and data services run as this user", own::user_name()),
        "as root each gets a user of its own, which gets at no other's files",
    )
}

fn mounts() -> Finding {
    match view::is_possible() {
        Ok(()) => Finding::good("mounts", "apps can have a view of files of their own"),
        Err(why) => Finding::less(
            "mounts",
            format!("nothing can be mounted: {why}"),
            "apps see files that are not theirs; `roadbed status` says which. Root, outside of a plain container, may mount",
        ),
    }
}

fn namespaces() -> Finding {
    let number = |path: &str| files::read_string(Path::new(path)).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let forbidden = number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0)
        || number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    match number("/proc/sys/user/max_user_namespaces") {
        Some(0) | None => Finding::less(
            "user-namespaces",
            "the kernel has none for this user",
            "browsers that are not root's need them for their sandbox: `sysctl user.max_user_namespaces`",
        ),
        Some(_) if forbidden && !own::is_root() => Finding::less(
            "user-namespaces",
            "only root may make them",
            "a browser's sandbox needs them: `sysctl kernel.unprivileged_userns_clone=1`, or an AppArmor profile for it",
        ),
        Some(most) => Finding::good("user-namespaces", format!("at most {most}")),
    }
}

fn groups() -> Finding {
    match group::places().len() {
        0 => Finding::less(
            "control-groups",
            "there is no control group that this user may divide",
            "limits of memory, processes and CPU are not in force; run as root, or as a service with `Delegate=yes`",
        ),
        _ => Finding::good("control-groups", "limits of memory, processes and CPU are kept"),
    }
}

fn open_files() -> Finding {
    match own::most_open_files() {
        Some(most) if most < ENOUGH_FILES => Finding::less(
            "open-files",
            format!("at most {most} files and sockets at once"),
            format!("`ulimit -n {ENOUGH_FILES}` or LimitNOFILE in a unit; a busy edge takes one for each visitor"),
        ),
        Some(most) => Finding::good("open-files", format!("at most {most} at once")),
        None => Finding::good("open-files", "as many as there is memory for"),
    }
}

fn watches() -> Finding {
    let path = Path::new("/proc/sys/fs/inotify/max_user_watches");
    match files::read_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(most) if most < ENOUGH_WATCHES => Finding::less(
            "file-watches",
            format!("at most {most} watched files"),
            format!(
                "development servers (`up --dev`) may miss changes: `sysctl fs.inotify.max_user_watches={ENOUGH_WATCHES}`"
            ),
        ),
        Some(most) => Finding::good("file-watches", format!("at most {most} watched files")),
        None => Finding::less(
            "file-watches",
            "the kernel does not say how many files may be watched",
            "development servers (`up --dev`) may miss changes",
        ),
    }
}

fn clock() -> Finding {
    match CLOCK_KEEPERS.iter().find(|path| files::exists(Path::new(path))) {
        Some(sign) => Finding::good("clock", format!("somebody keeps it right: {sign}")),
        None => Finding::less(
            "clock",
            "nothing seen here says that it is kept right",
            "on a server install systemd-timesyncd or chrony: certificates, tokens and logins go by the time. In a container the host sees to it",
        ),
    }
}

fn listening(port: u16) -> Finding {
    match socket::listen(([0, 0, 0, 0], port).into()) {
        Ok(_) => Finding::good("port", format!("{port} is free")),
        Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => Finding::missing(
            "port",
            format!("this user may not listen on {port}"),
            "run as root, or `sysctl net.ipv4.ip_unprivileged_port_start=80`; `roadbed up --free-ports` takes others",
        ),
        Err(why) => Finding::missing(
            "port",
            format!("nobody can listen on {port}: {why}"),
            format!(
                "see who does with `ss -ltnp 'sport = :{port}'` and end it, or choose another in the manifest; `roadbed up --free-ports` takes others"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    #[test]
    fn a_port_that_is_taken_is_missing_and_one_that_is_free_is_given_back() {
        let taken = socket::listen(([0, 0, 0, 0], 0).into()).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(listening(port).verdict, Verdict::Missing);
        let free = socket::free_port().unwrap();
        assert_eq!([listening(free).verdict, listening(free).verdict], [Verdict::Good, Verdict::Good]);
    }
}
