//! A disk from which the power can be taken: a file system of its own in a file, which has what was synced and not what the kernel still holds.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where a worker works, and where it says what it did; set for worker processes alone.
const PLACE: &str = "ROADBED_TEST_DISK";
const SAID: &str = "ROADBED_TEST_SAID";

/// For whoever is to stand still, or to die.
const PATIENCE: Duration = Duration::from_secs(20);

/// It goes, with all that is on it, when it is dropped.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    /// Where it is mounted.
    place: PathBuf,
}

fn run(program: &str, args: &[&str], path: &Path, more: Option<&Path>) {
    let ran = Command::new(program).args(args).arg(path).args(more).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {args:?} {}: {said} (loop devices want root)", path.display());
}

impl Disk {
    pub fn new(mebibytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("mounted");
        std::fs::create_dir(&place).unwrap();
        Self { folder, place }.formatted(mebibytes)
    }

    /// One that is mounted over this folder, and hides what is in it.
    pub fn over(place: &Path, mebibytes: u64) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), place: place.to_owned() }.formatted(mebibytes)
    }

    fn formatted(self, mebibytes: u64) -> Self {
        let image = std::fs::File::create(self.image()).unwrap();
        image.set_len(mebibytes << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F"], &self.image(), None);
        self.mount();
        self
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk.ext4")
    }

    pub fn place(&self) -> PathBuf {
        self.place.clone()
    }

    /// Nothing is written but what somebody syncs: the file system's own rounds are further apart than a test is long.
    fn mount(&self) {
        run("mount", &["-o", "loop,commit=300"], &self.image(), Some(&self.place));
    }

    /// The disk as it is found when the power goes now. What works on it must stand still.
    fn without_power(&self) -> Self {
        let (cut, unsynced) = (tempfile::tempdir().unwrap(), self.write_unsynced());
        let place = cut.path().join("mounted");
        std::fs::create_dir(&place).unwrap();
        let cut = Self { folder: cut, place };
        self.copy_as_it_is(&cut.image());
        cut.mount();
        assert!(!cut.place.join(unsynced).exists(), "what was not synced is on the disk");
        cut
    }

    /// Copies the disk as it is at one moment. The kernel may go on to write what was synced before: a copy that took longer than that
    /// would have parts of before beside parts of after, as no disk has. One that equals the disk when it is whole has it as it was then.
    fn copy_as_it_is(&self, to: &Path) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            run("cp", &["--sparse=always"], &self.image(), Some(to));
            let same = Command::new("cmp").arg("--silent").arg(self.image()).arg(to).status().unwrap();
            if same.success() {
                return;
            }
            assert!(Instant::now() < deadline, "the disk does not come to rest");
        }
    }

    /// Nobody synced this file yet: where it is found again a test takes away nothing. Returns its name.
    fn write_unsynced(&self) -> PathBuf {
        let unsynced = tempfile::NamedTempFile::new_in(&self.place).unwrap();
        std::fs::write(unsynced.path(), "held by the kernel").unwrap();
        unsynced.keep().unwrap().1.file_name().unwrap().into()
    }

    /// Takes the power away from the machine whose disk it is, and gives it back: nothing runs, and the disk has what was synced, in the
    /// same place. `running` tells what runs on it.
    pub fn lose_power(&self, running: impl Fn() -> Vec<u32>) {
        // What stands still starts nothing more.
        while running().into_iter().filter(|pid| !stands_still(*pid)).map(stop).count() > 0 {}
        let unsynced = self.write_unsynced();
        let found = self.folder.path().join("found.ext4");
        self.copy_as_it_is(&found);
        let deadline = Instant::now() + PATIENCE;
        while !running().is_empty() {
            assert!(Instant::now() < deadline, "it does not die");
            for pid in running() {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        run("umount", &["-l"], &self.place, None);
        std::fs::rename(found, self.image()).unwrap();
        self.mount();
        assert!(!self.place.join(unsynced).exists(), "what was not synced is on the disk");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

/// The test itself in a process of its own, which works on a disk and says what it has acknowledged.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    said: PathBuf,
    _folder: TempDir,
}

impl Worker {
    /// Runs the test of this name, in which [`work`] answers.
    pub fn begin(test: &str, disk: &Disk, variables: &[(&str, &Path)]) -> Self {
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

    pub fn wait_for(&mut self, lines: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.said().len() < lines {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none_or(|status| status.success()), "it failed after {:?}", self.said());
            assert!(Instant::now() < deadline, "it only said {:?}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes the power away: what it had said by then, and the disk as it is found.
    pub fn cut(&mut self, disk: &Disk) -> (Vec<String>, Disk) {
        stop(self.child.id());
        (self.said(), disk.without_power())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stops a process, if there is one, and waits until it stands still.
fn stop(pid: u32) {
    let _ = Command::new("kill").args(["-STOP", &pid.to_string()]).status();
    let deadline = Instant::now() + PATIENCE;
    // One that waits for the disk stands still when it has its answer.
    while !stands_still(pid) {
        assert!(Instant::now() < deadline, "{pid} does not stop");
        std::thread::sleep(Duration::from_millis(1));
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
pub fn work() -> Option<(PathBuf, impl FnMut(String))> {
    let (place, said) = (std::env::var_os(PLACE)?, std::env::var_os(SAID)?);
    let mut said = std::fs::OpenOptions::new().append(true).open(said).unwrap();
    let say = move |line: String| std::io::Write::write_all(&mut said, format!("{line}\n").as_bytes()).unwrap();
    Some((place.into(), say))
}

/// Milliseconds below `below`, others each time.
pub fn any_moment(below: u64) -> Duration {
    Duration::from_millis(RandomState::new().build_hasher().finish() % below)
}
