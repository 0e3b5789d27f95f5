//! Control groups, v1 and v2: how much a process and all that it starts may use.
//!
//! Where the machine has v2, a group is one folder; with v1 it is one per controller. What a folder can do is seen by the files
//! in it, so that most of what follows need not know which of the two it is.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::{self, FileFault};

/// What we want of control groups.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The CPU limit is counted over this long: the kernel's own default.
const CPU_PERIOD: Duration = Duration::from_millis(100);

/// Which kind of control groups a folder belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V1,
    V2,
}

/// What a group may use; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Thousandths of one CPU.
    pub cpu: Option<u64>,
}

/// The folder, for some controllers, below which groups of ours may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub version: Version,
    pub folder: PathBuf,
    pub controllers: BTreeSet<String>,
}

/// A mounted hierarchy, as far as we are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// Which part of the hierarchy is mounted.
    root: String,
    at: PathBuf,
    /// v1 only; those of v2 are in a file.
    controllers: BTreeSet<String>,
}

/// Where this process stands in each hierarchy, and so where groups below it would be. Nothing is tried.
pub fn places() -> Vec<Place> {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    places_of(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

fn places_of(mounts: &str, own: &str) -> Vec<Place> {
    let mounts: Vec<Mount> = mounts.lines().filter_map(mount).collect();
    let mut places: Vec<Place> = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (parts.next(), parts.next()) else { continue };
        let version = if names.is_empty() { Version::V2 } else { Version::V1 };
        let controllers: BTreeSet<String> =
            names.split(',').filter(|name| CONTROLLERS.contains(name)).map(str::to_owned).collect();
        if version == Version::V1 && controllers.is_empty() {
            continue;
        }
        let Some(mount) =
            mounts.iter().find(|mount| mount.version == version && mount.controllers.is_superset(&controllers))
        else {
            continue;
        };
        // In a container only a part is mounted, and the path may be told from the top all the same.
        let below = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or("");
        let folder = mount.at.join(below.trim_start_matches('/'));
        places.push(Place { version, folder, controllers });
    }
    let taken: BTreeSet<String> = places.iter().flat_map(|place| place.controllers.clone()).collect();
    for place in places.iter_mut().filter(|place| place.version == Version::V2) {
        // A controller serves one hierarchy; on a machine with both, those of v1 are not to be had here.
        place.controllers =
            CONTROLLERS.iter().map(|name| (*name).to_owned()).filter(|name| !taken.contains(name)).collect();
    }
    places.retain(|place| !place.controllers.is_empty());
    places
}

/// `36 35 98:0 /root /at options - type source super-options`
fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, at) = (unescaped(left.next()?), PathBuf::from(unescaped(left.next()?)));
    let mut right = right.split(' ');
    let version = match right.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let options = right.nth(1).unwrap_or("");
    let controllers = match version {
        Version::V1 => options.split(',').filter(|name| CONTROLLERS.contains(name)).map(str::to_owned).collect(),
        Version::V2 => BTreeSet::new(),
    };
    Some(Mount { version, root, at, controllers })
}

/// The kernel writes blanks in paths as `\040`.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// Why there are no groups.
#[derive(Debug, thiserror::Error)]
pub enum NoGroups {
    #[error("no control groups for memory and processes are mounted here")]
    NotMounted,
    #[error("control groups cannot be made below {}", folder.display())]
    NotOurs {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// One group per hierarchy that belongs to us, below which each process gets its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    folders: Vec<PathBuf>,
}

impl Groups {
    /// Makes our group under `name`, or finds it. Memory and processes must be there; CPU may be missing.
    pub fn make(name: &str) -> Result<Self, NoGroups> {
        Self::make_at(&places(), name)
    }

    fn make_at(places: &[Place], name: &str) -> Result<Self, NoGroups> {
        let mut folders = Vec::new();
        let mut have: BTreeSet<String> = BTreeSet::new();
        for place in places {
            let made = match place.version {
                Version::V1 => make_folder(&place.folder.join(name)).map(|folder| (folder, place.controllers.clone())),
                Version::V2 => make_v2(place, name),
            };
            match made {
                Ok((folder, controllers)) => {
                    have.extend(controllers);
                    folders.push(folder);
                }
                // Whoever has no CPU controller goes without; the others are looked at below.
                Err(_) if !place.controllers.contains("memory") && !place.controllers.contains("pids") => {}
                Err(source) => return Err(NoGroups::NotOurs { folder: place.folder.clone(), source }),
            }
        }
        let is_enough = have.contains("memory") && have.contains("pids");
        if is_enough { Ok(Self { folders }) } else { Err(NoGroups::NotMounted) }
    }

    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Ours as a whole: whatever is in a group below it counts.
    pub fn whole(&self) -> Group {
        Group { folders: self.folders.clone() }
    }

    /// A group for one unit, empty limits set anew.
    pub fn group(&self, name: &str, limits: &Limits) -> files::Result<Group> {
        let folders = self.folders.iter().map(|folder| folder.join(name));
        let group = Group { folders: folders.map(|folder| made(&folder)).collect::<files::Result<_>>()? };
        group.limit(limits)?;
        Ok(group)
    }
}

fn make_folder(folder: &Path) -> io::Result<PathBuf> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder.to_owned()),
    }
}

fn made(folder: &Path) -> files::Result<PathBuf> {
    make_folder(folder).map_err(|source| FileFault::new("make the control group", folder, source))
}

/// In v2 a group that hands controllers down may hold no process itself, but for the topmost: so the place is the nearest group
/// above us that hands down what we want, or can be made to.
fn make_v2(place: &Place, name: &str) -> io::Result<(PathBuf, BTreeSet<String>)> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for above in place.folder.ancestors().take_while(|folder| folder.join("cgroup.controllers").exists()) {
        let made = hand_down(above, &place.controllers).and_then(|_| {
            let folder = make_folder(&above.join(name))?;
            let controllers = hand_down(&folder, &place.controllers)?;
            Ok((folder, controllers))
        });
        match made {
            Ok(made) => return Ok(made),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Makes a group of v2 hand controllers down to those below it; returns which it does.
fn hand_down(folder: &Path, wanted: &BTreeSet<String>) -> io::Result<BTreeSet<String>> {
    let control = folder.join("cgroup.subtree_control");
    let words = |text: String| -> BTreeSet<String> { text.split_ascii_whitespace().map(str::to_owned).collect() };
    let available = words(fs::read_to_string(folder.join("cgroup.controllers"))?);
    let mut down = words(fs::read_to_string(&control)?);
    for controller in wanted.iter().filter(|name| available.contains(*name)) {
        if !down.contains(controller) {
            write(&control, &format!("+{controller}"))?;
            down.insert(controller.clone());
        }
    }
    let missing = ["memory", "pids"].into_iter().find(|name| wanted.contains(*name) && !down.contains(*name));
    match missing {
        Some(name) => {
            Err(io::Error::new(io::ErrorKind::Unsupported, format!("the controller {name} is not to be had here")))
        }
        None => Ok(down.intersection(wanted).cloned().collect()),
    }
}

/// One group, in every hierarchy in which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    folders: Vec<PathBuf>,
}

/// What a group may use and uses, as the kernel tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    pub limits: Limits,
    /// Bytes.
    pub memory: Option<u64>,
    pub processes: Option<u64>,
    /// Processes that were killed for memory since the group was made.
    pub killed_for_memory: u64,
}

impl Group {
    /// A group that was made before.
    pub fn known(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Sets its limits anew, also those that are none.
    pub fn limit(&self, limits: &Limits) -> files::Result<()> {
        let text = |limit: Option<u64>, none: &str| limit.map_or_else(|| none.to_owned(), |limit| limit.to_string());
        let period = CPU_PERIOD.as_micros();
        let quota = limits.cpu.map(|thousandths| u128::from(thousandths) * period / 1000);
        let quota = |none: &str| quota.map_or_else(|| none.to_owned(), |quota| quota.to_string());
        for folder in &self.folders {
            // Swap and memory together must not be less than memory alone: out of the way first.
            set_if_there(folder, "memory.memsw.limit_in_bytes", "-1")?;
            set_if_there(folder, "memory.limit_in_bytes", &text(limits.memory, "-1"))?;
            set_if_there(folder, "memory.memsw.limit_in_bytes", &text(limits.memory, "-1"))?;
            set_if_there(folder, "memory.max", &text(limits.memory, "max"))?;
            set_if_there(folder, "memory.swap.max", if limits.memory.is_some() { "0" } else { "max" })?;
            set_if_there(folder, "pids.max", &text(limits.processes, "max"))?;
            set_if_there(folder, "cpu.cfs_period_us", &period.to_string())?;
            set_if_there(folder, "cpu.cfs_quota_us", &quota("-1"))?;
            set_if_there(folder, "cpu.max", &format!("{} {period}", quota("max")))?;
        }
        Ok(())
    }

    /// Moves a process in. What it starts from then on is in it too.
    pub fn join(&self, pid: u32) -> files::Result<()> {
        for folder in &self.folders {
            let file = folder.join("cgroup.procs");
            write(&file, &pid.to_string())
                .map_err(|source| FileFault::new("join the control group", folder, source))?;
        }
        Ok(())
    }

    /// The processes in it.
    pub fn members(&self) -> BTreeSet<u32> {
        let lists = self.folders.iter().filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok());
        lists.flat_map(|list| list.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>()).collect()
    }

    /// Whether a process is in it, in all hierarchies.
    pub fn has(&self, pid: u32) -> bool {
        let is_in = |folder: &PathBuf| {
            let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            list.lines().any(|line| line.parse() == Ok(pid))
        };
        !self.folders.is_empty() && self.folders.iter().all(is_in)
    }

    /// Removes it, if nobody is in it any more.
    pub fn remove(&self) -> files::Result<()> {
        self.folders.iter().try_for_each(|folder| remove(folder))
    }

    pub fn used(&self) -> Use {
        let mut used = Use::default();
        for folder in &self.folders {
            let number =
                |name: &str| -> Option<u64> { fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok() };
            // v1 says "no limit" by a number that no machine has.
            let sensible = |bytes: &u64| *bytes < 1 << 62;
            let memory = number("memory.max").or_else(|| number("memory.limit_in_bytes").filter(sensible));
            used.limits.memory = used.limits.memory.or(memory);
            used.limits.processes = used.limits.processes.or_else(|| number("pids.max"));
            used.limits.cpu = used.limits.cpu.or_else(|| cpu(folder));
            used.memory = used.memory.or_else(|| number("memory.current").or_else(|| number("memory.usage_in_bytes")));
            used.processes = used.processes.or_else(|| number("pids.current"));
            used.killed_for_memory += killed(folder).unwrap_or(0);
        }
        used
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        f.write_str(&shown.join(", "))
    }
}

fn cpu(folder: &Path) -> Option<u64> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let (quota, period) = match text("cpu.max") {
        Some(both) => {
            let (quota, period) = both.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
        None => (text("cpu.cfs_quota_us")?, text("cpu.cfs_period_us")?),
    };
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota * 1000 / period)
}

fn killed(folder: &Path) -> Option<u64> {
    let events = fs::read_to_string(folder.join("memory.events"))
        .or_else(|_| fs::read_to_string(folder.join("memory.oom_control")))
        .ok()?;
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// Groups of ours that were left behind in these folders: every one that is empty and not among `kept` is removed, and so is
/// the folder itself once nothing is in it.
pub fn sweep(folders: &BTreeSet<PathBuf>, kept: &BTreeSet<PathBuf>) {
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let groups = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for group in groups.map(|entry| entry.path()).filter(|group| !kept.contains(group)) {
            // One that is not empty stays, with whoever is in it: it is no child of ours.
            let _ = remove(&group);
        }
        let _ = remove(folder);
    }
}

/// [`sweep`], of all that is left of the groups made under a name, from where this process stands.
pub fn sweep_named(name: &str) {
    let folders = places().into_iter().flat_map(|place| match place.version {
        Version::V1 => vec![place.folder.join(name)],
        Version::V2 => place.folder.ancestors().map(|above| above.join(name)).collect(),
    });
    sweep(&folders.collect(), &BTreeSet::new());
}

fn remove(folder: &Path) -> files::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileFault::new("remove the control group", folder, error))
        }
        _ => Ok(()),
    }
}

fn set_if_there(folder: &Path, name: &str, value: &str) -> files::Result<()> {
    let file = folder.join(name);
    match write(&file, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A machine that does not count swap refuses to limit it.
        Err(_) if name.contains("swap") || name.contains("memsw") => Ok(()),
        written => written.map_err(|source| FileFault::new("set the limit", file, source)),
    }
}

/// Never creates: the kernel made all the files that there are.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
