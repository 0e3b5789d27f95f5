//! A disk from which the power can be taken: a file system of its own in a file, which has what was synced and not what the kernel still holds.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where a worker works, and where it says what it did; set for worker processes alone.
const PLACE: &str = "ROADBED_TEST_DISK";
const SAID: &str = "ROADBED_TEST_SAID";

pub(crate) struct Disk {
    folder: TempDir,
}

fn run(program: &str, args: &[&str], path: &Path, more: Option<&Path>) {
    let ran = Command::new(program).args(args).arg(path).args(more).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {args:?} {}: {said} (loop devices want root)", path.display());
}

impl Disk {
    pub(crate) fn new(mebibytes: u64) -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        let image = std::fs::File::create(disk.image()).unwrap();
        image.set_len(mebibytes << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F"], &disk.image(), None);
        disk.mount();
        disk
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk.ext4")
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    /// Nothing is written but what somebody syncs: the file system's own rounds are further apart than a test is long.
    fn mount(&self) {
        std::fs::create_dir(self.place()).unwrap();
        run("mount", &["-o", "loop,commit=300"], &self.image(), Some(&self.place()));
    }

    /// The disk as it is found when the power goes now. What works on it must stand still.
    fn without_power(&self) -> Self {
        // Nobody synced this one yet: where it is found again the test takes away nothing.
        let cut = tempfile::tempdir().unwrap();
        let unsynced = cut.path().file_name().unwrap().to_owned();
        std::fs::write(self.place().join(&unsynced), "held by the kernel").unwrap();
        let cut = Self { folder: cut };
        run("cp", &["--sparse=always"], &self.image(), Some(&cut.image()));
        cut.mount();
        assert!(!cut.place().join(unsynced).exists(), "what was not synced is on the disk");
        cut
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.place()).status();
    }
}

/// The test itself in a process of its own, which works on a disk and says what it has acknowledged.
pub(crate) struct Worker {
    child: Child,
    said: PathBuf,
    _folder: TempDir,
}

impl Worker {
    /// Runs the test of this name, in which [`work`] answers.
    pub(crate) fn begin(test: &str, disk: &Disk, variables: &[(&str, &Path)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        std::fs::write(&said, "").unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(PLACE, disk.place())
            .env(SAID, &said)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, said, _folder: folder }
    }

    /// All lines that it said up to now.
    fn said(&self) -> Vec<String> {
        let said = std::fs::read_to_string(&self.said).unwrap();
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    pub(crate) fn wait_for(&mut self, lines: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.said().len() < lines {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none_or(|status| status.success()), "it failed after {:?}", self.said());
            assert!(Instant::now() < deadline, "it only said {:?}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes the power away: what it had said by then, and the disk as it is found.
    pub(crate) fn cut(&mut self, disk: &Disk) -> (Vec<String>, Disk) {
        let pid = self.child.id();
        run("kill", &["-STOP"], Path::new(&pid.to_string()), None);
        let deadline = Instant::now() + Duration::from_secs(20);
        // One that waits for the disk stands still when it has its answer.
        while !stands_still(pid) {
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
        (self.said(), disk.without_power())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether each of its threads is stopped or over.
fn stands_still(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let about = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        about.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
    })
}

/// In a worker: where it works, and how it says what it did. `None` in the test run itself.
pub(crate) fn work() -> Option<(PathBuf, impl FnMut(String))> {
    let (place, said) = (std::env::var_os(PLACE)?, std::env::var_os(SAID)?);
    let mut said = std::fs::OpenOptions::new().append(true).open(said).unwrap();
    let say = move |line: String| std::io::Write::write_all(&mut said, format!("{line}\n").as_bytes()).unwrap();
    Some((place.into(), say))
}

/// Milliseconds below `below`, others each time.
pub(crate) fn any_moment(below: u64) -> Duration {
    Duration::from_millis(RandomState::new().build_hasher().finish() % below)
}
