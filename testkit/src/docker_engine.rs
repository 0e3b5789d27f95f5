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
        let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
        let libraries =
            ["usr/lib", "lib"].map(|lib| self.programs.join(lib).join(&triple).to_str().unwrap().to_owned()).join(":");
        command
            .args(["dockerd", "--bridge=none", "--host", &format!("unix://{}", self.socket().display())])
            .arg(format!("--data-root={}", kept.join("data").display()))
            .arg(format!("--exec-root={}", kept.join("run").display()))
            .arg(format!("--pidfile={}", kept.join("pid").display()))
            .arg(format!("--cgroup-parent=/{}", self.name()))
            .arg(format!("--init-path={}", self.programs.join("usr/bin/tini-static").display()))
            .env_clear()
            .env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"))
            .env("LD_LIBRARY_PATH", libraries)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        // The pid file of one that was killed names a number that another process may have by now.
        let _ = self.within().args(["rm", "-f"]).arg(kept.join("pid")).status();
        let mut child = command.spawn().unwrap();
        wait_until("the Docker Engine answers", START_LIMIT, || {
            use std::io::{Read, Write};
            // On a busy machine it gives up waiting for its own containerd; what starts it elsewhere starts it again.
            if child.try_wait().unwrap().is_some() {
                child = command.spawn().unwrap();
            }
            let mut stream =
                std::os::unix::net::UnixStream::connect(self.socket()).map_err(|error| self.said(&error))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").map_err(|error| self.said(&error))?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map_err(|error| self.said(&error))?;
            if answer.contains(" 200 ") { Ok(()) } else { Err(answer) }
        });
        *self.daemon.lock().unwrap() = Some(child);
    }

    /// A command in its name spaces, up to what is run there.
    pub fn within(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first.to_string(), "--mount", "--net", "--pid", "--"]);
        command
    }

    /// Of its folder and its control group.
    fn name(&self) -> String {
        self.folder.file_name().unwrap().to_str().unwrap().to_owned()
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
        for group in groups().filter(|group| group.ends_with(self.name())) {
            // Killed together with all else, its last processes are still going.
            wait_until("the control groups of the engine are empty", START_LIMIT, || remove_group(&group));
        }
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
    let is_abandoned = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok());
        pid.is_some_and(|pid| host::process::table::entry(pid).is_none())
    };
    let folders = fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path());
    for folder in folders.filter(|folder| is_abandoned(folder)) {
        let _ = fs::remove_dir_all(&folder);
    }
    for group in groups().filter(|group| is_abandoned(group)) {
        let _ = remove_group(&group);
    }
}

/// Our control groups: of each hierarchy of the first version, and of the second.
fn groups() -> impl Iterator<Item = PathBuf> {
    let within = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let top: Vec<PathBuf> = within("/sys/fs/cgroup".into()).filter(|path| path.is_dir()).collect();
    let all = top.clone().into_iter().flat_map(within).chain(top);
    all.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)))
}

/// What the kernel keeps of the groups of containers.
fn remove_group(group: &Path) -> std::io::Result<()> {
    for inner in fs::read_dir(group)?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        remove_group(&inner)?;
    }
    fs::remove_dir(group)
}
