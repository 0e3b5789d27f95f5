//! A Docker Engine of the tests' own, in a network, mounts and process numbers of its own: the machine's is never asked.
//!
//! Its programs are Debian's, unpacked into the cache. What it keeps is in memory that only it sees, so all of it goes when it goes, and
//! it goes with this process, however that ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::{tools, wait_until};

/// How their folders and control groups begin; the number of the process that they belong to follows.
const PREFIX: &str = "roadbed-docker-";

/// Dozens of tests may wait for the machine's processors meanwhile.
const START_LIMIT: Duration = Duration::from_secs(90);

/// What the daemon's programs are, and libraries that no other program of a small machine needs.
const PACKAGES: [&str; 5] = ["docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1"];

#[derive(Debug)]
pub struct DockerEngine {
    folder: PathBuf,
    /// The first process of its name spaces, as this machine numbers it.
    first: u32,
    programs: PathBuf,
    daemon: Mutex<Option<Child>>,
}

impl DockerEngine {
    /// Name spaces and a daemon in them. Only root can.
    ///
    /// # Panics
    /// Where one of them cannot be had.
    pub fn start(name: &str) -> Self {
        assert!(host::own::is_root(), "a Docker Engine of the tests' own needs root");
        sweep();
        let programs = tools::of_debian(&PACKAGES);
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("kept")).unwrap();
        let engine = Self { first: name_spaces(&programs, &folder), folder, programs, daemon: Mutex::new(None) };
        engine.start_daemon();
        engine
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// A process in its network, for [`host::network_namespace::work_in`].
    pub fn pid(&self) -> u32 {
        self.first
    }

    /// Ends the daemon as a crash would, and all that it ran.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill_daemon(&self) {
        let mut child = self.daemon.lock().unwrap().take().unwrap();
        host::drill::kill(daemon_of(&child)).unwrap();
        child.wait().unwrap();
    }

    /// Starts it again.
    ///
    /// # Panics
    /// It does not answer.
    pub fn start_daemon(&self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let kept = self.folder.join("kept");
        let mut command = self.within();
        let path = ["usr/sbin", "usr/bin"].map(|bin| self.programs.join(bin).to_str().unwrap().to_owned()).join(":");
        command
            .args(["dockerd", "--bridge=none", "--host", &format!("unix://{}", self.socket().display())])
            .arg(format!("--data-root={}", kept.join("data").display()))
            .arg(format!("--exec-root={}", kept.join("run").display()))
            .arg(format!("--pidfile={}", kept.join("pid").display()))
            .arg(format!("--cgroup-parent=/{PREFIX}{}", std::process::id()))
            .arg(format!("--init-path={}", self.programs.join("usr/bin/tini-static").display()))
            .env_clear()
            .env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"))
            .env("LD_LIBRARY_PATH", self.programs.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        // The pid file of one that was killed names a number that another process may have by now.
        let _ = self.within().args(["rm", "-f"]).arg(kept.join("pid")).status();
        *self.daemon.lock().unwrap() = Some(command.spawn().unwrap());
        wait_until("the Docker Engine answers", START_LIMIT, || {
            use std::io::{Read, Write};
            let mut stream =
                std::os::unix::net::UnixStream::connect(self.socket()).map_err(|error| self.said(&error))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").map_err(|error| self.said(&error))?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map_err(|error| self.said(&error))?;
            if answer.contains(" 200 ") { Ok(()) } else { Err(answer) }
        });
    }

    /// A command in its name spaces, up to what is run there.
    pub fn within(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first.to_string(), "--mount", "--net", "--pid", "--"]);
        command
    }

    fn said(&self, error: &dyn std::fmt::Display) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(6).collect();
        format!("{error}: {}", last.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        let _ = host::drill::kill(self.first);
        if let Some(mut child) = self.daemon.get_mut().unwrap().take() {
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
        remove_groups(std::process::id());
    }
}

/// Makes name spaces with a process that reaps in them, and memory for what the daemon keeps.
fn name_spaces(programs: &Path, folder: &Path) -> u32 {
    let mut unshare = Command::new("setpriv");
    unshare
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ])
        .arg(programs.join("usr/bin/tini-static"))
        .args(["--", "sleep", "infinity"])
        .stdin(Stdio::null());
    // The kernel ends it with the thread that started it, so that one lives as long as the process.
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("docker-engine".to_owned())
        .spawn(move || {
            let mut child = unshare.spawn().unwrap();
            tell.send(child.id()).unwrap();
            let _ = child.wait();
        })
        .unwrap();
    let unshare = told.recv().unwrap();
    let first = wait_until("the name spaces are there", START_LIMIT, || {
        let first = child_of(unshare).ok_or("no child yet")?;
        let program = fs::read_to_string(format!("/proc/{first}/comm")).map_err(|_| "it is gone")?;
        if program.starts_with("tini") { Ok(first) } else { Err("it is on its way") }
    });
    let target = first.to_string();
    let kept = folder.join("kept");
    for does in [vec!["ip", "link", "set", "lo", "up"], vec!["mount", "-t", "tmpfs", "none", kept.to_str().unwrap()]] {
        let done = Command::new("nsenter").args(["--target", &target, "--mount", "--net", "--"]).args(&does).status();
        assert!(done.unwrap().success(), "{does:?}");
    }
    first
}

fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// `nsenter` stays before what it started in other process numbers.
fn daemon_of(nsenter: &Child) -> u32 {
    child_of(nsenter.id()).unwrap()
}

/// Folders and control groups whose process is gone.
fn sweep() {
    for folder in fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok());
        let Some(pid) = pid else { continue };
        if host::process::table::entry(pid).is_none() {
            let _ = fs::remove_dir_all(&folder);
            remove_groups(pid);
        }
    }
}

/// What the kernel keeps of the groups of containers that were killed with everything else.
fn remove_groups(pid: u32) {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        for group in [hierarchy.path().join(format!("{PREFIX}{pid}")), hierarchy.path()] {
            let is_ours = group.file_name().is_some_and(|name| name.to_string_lossy() == format!("{PREFIX}{pid}"));
            if !is_ours {
                continue;
            }
            for inner in fs::read_dir(&group).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(inner.path());
            }
            let _ = fs::remove_dir(&group);
        }
    }
}
