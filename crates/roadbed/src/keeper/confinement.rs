//! How units are kept to their own business: what this keeper can do on this machine, and what comes of it for one unit.
//!
//! ```text
//!   means (tried once) ─┐
//!   specification ──────┼─► decided: user, view, group, and for each safeguard that is missing the reason
//!   users (on disk) ────┘                         │
//!                                                 └─► the child takes it on; `observed` looks at what came of it
//! ```

pub mod users;
mod plan;
mod observed;
mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use host::confine::group::{self, Group, Groups};
use host::confine::ownership::{self, Gift};
use host::confine::{Confine, Manner, User, view};
use host::files::{self, Access};
use reconcile::ports::{Confinement, Limits, Safeguard};
use reconcile::{Fault, Root};
use sha2::{Digest, Sha256};

pub(super) use observed::{Seen, bytes, observe};
use users::Users;
pub use users::users_of;

/// For each safeguard that is missing, why.
pub(super) type Missing = BTreeMap<Safeguard, String>;

/// What this keeper can do for its units here.
#[derive(Debug)]
pub(super) struct Means {
    users: Result<Users, String>,
    /// Views of their own.
    views: Result<(), String>,
    /// The name of this root's own group.
    groups: Result<String, String>,
    /// What all units together may use; `None` until control has told this keeper.
    ceiling: Mutex<Option<Limits>>,
}

/// What one unit starts with.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) confine: Option<Confine>,
    pub(super) group: Option<Group>,
    /// For its environment, in place of what was specified.
    pub(super) env: Vec<(&'static str, String)>,
    pub(super) missing: Missing,
}

impl Means {
    /// Tries what can be done. `kept` are the groups of units that live on; all others of ours are swept away.
    pub(super) fn find(root: &Root, kept: &BTreeSet<PathBuf>) -> Self {
        let lacking = ownership::missing_capabilities();
        let users = match (host::own::is_root(), lacking.is_empty()) {
            (true, true) => Users::open(root),
            (true, false) => Err(format!("this root may not act for other users: it lacks {}", lacking.join(", "))),
            (false, _) => Err("only a keeper that is root can start processes as another user".to_owned()),
        };
        let views = match &users {
            Ok(_) => view::is_possible().map_err(|error| format!("this machine allows no mounts of its own: {error}")),
            Err(why) => Err(why.clone()),
        };
        for gone in users::forget_gone() {
            group::sweep_named(&group_name(&gone));
        }
        let name = group_name(root.path());
        let made = Groups::make(&name);
        let groups = made.as_ref().map(|_| name).map_err(|fault| told(fault));
        let means = Self { users, views, groups, ceiling: Mutex::default() };
        // Ours too, as long as nobody is in it: it is made again for the first who needs it.
        let ours = made.iter().flat_map(Groups::folders).cloned();
        let of_kept = kept.iter().filter_map(|group| group.parent()).map(Path::to_owned);
        group::sweep(&ours.chain(of_kept).collect(), kept);
        means
    }

    /// Removes all groups of this root that nobody is in.
    pub(super) fn sweep(&self) {
        self.groups.iter().for_each(|name| group::sweep_named(name));
    }

    /// The safeguards that nothing can have in force here.
    pub(super) fn missing(&self) -> Missing {
        let mut missing = Missing::new();
        let mut note = |safeguard, why: Option<&String>| why.map(|why| missing.insert(safeguard, why.clone()));
        note(Safeguard::OwnUser, self.users.as_ref().err());
        note(Safeguard::Cgroup, self.groups.as_ref().err());
        note(Safeguard::PrivateTmp, self.views.as_ref().err());
        // Without a view the release is still another user's.
        note(Safeguard::ReadOnlyRelease, self.users.as_ref().err());
        missing
    }

    /// Decides for one start of a unit, and prepares the folders that it needs.
    pub(super) fn decide(&self, root: &Root, unit: &Subject<'_>) -> Result<Decided, Fault> {
        let headline = || format!("cannot start unit {:?}", unit.name);
        let file = |fault: files::FileFault| Fault::because(headline(), &fault);
        let Some(wanted) = unit.confinement else {
            return Ok(Decided { confine: None, group: None, env: Vec::new(), missing: Missing::new() });
        };
        let mut missing = self.missing();
        let group = self.groups.as_ref().ok().and_then(|name| {
            let group = self
                .groups_of(name)
                .and_then(|groups| groups.group(unit.name, &group_limits(&unit.limits)).map_err(|fault| told(&fault)));
            group.map_err(|why| missing.insert(Safeguard::Cgroup, why)).ok()
        });
        let tmp = empty_tmp(root, unit.name).map_err(file)?;
        let shown_tmp =
            |path: &Path| ["TMPDIR", "HOME"].map(|name| (name, path.to_string_lossy().into_owned())).to_vec();
        let mut decided = Decided { confine: None, group, env: shown_tmp(&tmp), missing };
        if let Ok(users) = &self.users {
            let user = users.of(unit.name)?;
            self.become_user(&mut decided, root, unit, wanted, user, &tmp).map_err(file)?;
        }
        match decided.missing.iter().find(|(safeguard, _)| wanted.require.contains(safeguard)) {
            Some((safeguard, why)) => Err(refusal(headline(), *safeguard, why)),
            None => Ok(decided),
        }
    }

    /// What a unit needs of all that is not everybody's to read.
    fn needed(&self, unit: &Subject<'_>, wanted: &Confinement, user: User) -> files::Result<Vec<(PathBuf, Manner)>> {
        let mut needed = Vec::new();
        for path in &wanted.release {
            // Of a folder that is private as a whole, what lies in it and is not.
            let parts = if user.may_read(path) { vec![path.clone()] } else { files::list(path)? };
            for part in parts.iter().filter(|part| user.may_read(part)) {
                needed.extend(both_names(part)?.map(|path| (path, Manner::ReadOnly)));
            }
        }
        let own = wanted.configuration.iter().map(|path| (path, Manner::ReadOnly));
        for (path, manner) in own.chain(wanted.data.iter().map(|path| (path, Manner::Writable))) {
            needed.extend(both_names(path)?.map(|path| (path, manner)));
        }
        let passes = |folder: &Path| user.may_pass(folder);
        for also in [unit.cwd, unit.program] {
            let names = both_names(also)?;
            let is_everybodys =
                |name: &Path| plan::is_reached(name, &passes) && !(self.views.is_ok() && plan::is_shared(name));
            let is_needed = |name: &Path| needed.iter().any(|(shown, _)| name.starts_with(shown));
            if !names.iter().all(|name| is_everybodys(name) || is_needed(name)) {
                needed.extend(names.map(|path| (path, Manner::ReadOnly)));
            }
        }
        Ok(needed)
    }

    /// Why a unit cannot be another user: the way to what it needs is closed, and cannot be opened.
    fn blocked(
        &self,
        root: &Root,
        unit: &Subject<'_>,
        needed: &[(PathBuf, Manner)],
        user: User,
        tmp: &Path,
    ) -> files::Result<Option<String>> {
        let is_of_root = |path: &Path| path.starts_with(root.path());
        let to_read = needed.iter().map(|(path, _)| path.as_path()).chain([unit.cwd, unit.program]);
        if let Some(path) = to_read.filter(|path| !is_of_root(path)).find(|path| !user.may_read(path)) {
            return Ok(Some(format!("other users may not read {}", path.display())));
        }
        if self.views.is_ok() {
            return Ok(None);
        }
        let ways = needed.iter().map(|(path, _)| path.as_path()).chain([tmp]).filter(|path| is_of_root(path));
        ways.flat_map(|path| path.ancestors().skip(1).take_while(|above| is_of_root(above)))
            .try_for_each(ownership::let_pass)?;
        let passes = |folder: &Path| user.may_pass(folder);
        let closed = needed.iter().find(|(path, _)| !plan::is_reached(path, &passes));
        Ok(closed.map(|(path, _)| format!("other users cannot get to {}", path.display())))
    }

    fn become_user(
        &self,
        decided: &mut Decided,
        root: &Root,
        unit: &Subject<'_>,
        wanted: &Confinement,
        user: User,
        tmp: &Path,
    ) -> files::Result<()> {
        let needed = self.needed(unit, wanted, user)?;
        let blocked = self.blocked(root, unit, &needed, user, tmp)?;
        if let Some(why) = blocked {
            for safeguard in [Safeguard::OwnUser, Safeguard::PrivateTmp, Safeguard::ReadOnlyRelease] {
                decided.missing.insert(safeguard, why.clone());
            }
            return Ok(());
        }
        for path in &wanted.configuration {
            ownership::give(path, user, Gift::ToRead)?;
        }
        for path in wanted.data.iter().map(PathBuf::as_path).chain([tmp]) {
            ownership::give(path, user, Gift::Whole)?;
        }
        let view = self.views.is_ok().then(|| plan::view(&needed, tmp, &|folder| user.may_pass(folder)));
        if view.is_some() {
            decided.env.iter_mut().for_each(|(_, value)| "/tmp".clone_into(value));
        }
        decided.confine = Some(Confine { user, view });
        Ok(())
    }
}

/// What is decided about.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) program: &'a Path,
    pub(super) cwd: &'a Path,
    pub(super) limits: Limits,
    pub(super) confinement: Option<&'a Confinement>,
}

pub(super) fn refusal(headline: String, safeguard: Safeguard, why: &str) -> Fault {
    Fault::new(headline).cause(format!("the manifest requires {safeguard}, which is not to be had: {why}")).hint(
        format!("run Roadbed on a machine that allows it, or take \"{safeguard}\" out of `require` of the environment"),
    )
}

/// A path as it was named and as it is: a program may go by the name of a link, and a link may lead to where nobody else goes.
fn both_names(path: &Path) -> files::Result<[PathBuf; 2]> {
    Ok([path.to_owned(), files::canonical(path)?])
}

/// Takes away what a root whose processes have ended leaves on the machine: its control groups, and the claim of its users' ids.
pub fn forget(root: &Root) -> files::Result<()> {
    group::sweep_named(&group_name(root.path()));
    users::forget(root.path())
}

fn group_limits(limits: &Limits) -> group::Limits {
    group::Limits { memory: limits.memory, processes: limits.processes, cpu: limits.cpu }
}

/// A folder of the unit's own, empty again at each start.
fn empty_tmp(root: &Root, unit: &str) -> files::Result<PathBuf> {
    let tmp = root.tmp_of(unit);
    files::remove_dir(&tmp)?;
    files::create_dir(&tmp, Access::Owner)?;
    Ok(tmp)
}

/// The same for one root for as long as it lies where it does, and another for any other.
pub fn group_name(root: &Path) -> String {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("roadbed-{hex}")
}

fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[path = "confinement/tests.rs"]
mod tests;
