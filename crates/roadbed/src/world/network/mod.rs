//! The network rules of one environment, held by the machine's packet filter where that is allowed.
//!
//! Bind addresses and passwords hold everywhere. The filter adds that a process of another app, or of another environment on
//! the same machine, is refused before it can try a password at all.

mod nft;
mod rules;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use host::files;
use manifest::network::Enforce;
use reconcile::ports::Observed;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId, Root};

pub use nft::{Nft, Table};
pub use rules::{Guarded, Rules, table_of};

use crate::keeper;

/// What `nft` is handed.
const SCRIPT: &str = "network.nft";

/// Asked at each look: units get their users when they first start.
pub type RulesOf = Box<dyn Fn() -> Result<Rules, Fault> + Send + Sync>;

/// The packet filter's table of one root.
pub struct NetworkRules {
    id: ResourceId,
    needs: Vec<ResourceId>,
    root: Root,
    rules: RulesOf,
    enforce: Enforce,
    /// Where `nft` is looked for.
    path: String,
}

impl fmt::Debug for NetworkRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkRules").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the packet filter has.
#[derive(Debug)]
pub enum Seen {
    /// It may not be used, which the manifest allows.
    Unavailable,
    Tables {
        wanted: Rules,
        /// `None`: our root has no table.
        ours: Option<Table>,
    },
}

/// What there is to do.
#[derive(Debug)]
pub enum Step {
    Load { rules: Rules },
    Remove { table: String },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { .. } => f.write_str("let only those reach a port who need it"),
            Self::Remove { table } => write!(f, "remove the rules {table}, which nobody needs any more"),
        }
    }
}

impl NetworkRules {
    /// Before anything listens: whether the filter can be used at all, and the rules for users that are known from before.
    pub fn before_units(root: Root, rules: RulesOf, enforce: Enforce, path: String) -> Self {
        Self { id: ResourceId::new("network"), needs: Vec::new(), root, rules, enforce, path }
    }

    /// Once `units` have started, and with that have users.
    pub fn after_units(units: Vec<ResourceId>, root: Root, rules: RulesOf, enforce: Enforce, path: String) -> Self {
        Self { id: ResourceId::new("network/users"), needs: units, root, rules, enforce, path }
    }

    /// Removes the rules of environments that are no more: they would refuse whoever gets their ports next. It comes with a load,
    /// and is no step of its own: whether others left something behind is not a matter of this environment.
    async fn sweep(&self, nft: &Nft) -> Result<(), Fault> {
        let own = table_of(self.root.path());
        for table in nft.tables().await?.into_iter().filter(|table| table.name != own) {
            if table.root.is_some_and(|root| !is_meant_to_be_up(&root)) {
                nft.remove(&self.file(), &table.name).await?;
            }
        }
        Ok(())
    }

    fn file(&self) -> PathBuf {
        self.root.run().join(SCRIPT)
    }
}

impl Resource for NetworkRules {
    type Observed = Seen;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    fn can_drift(&self) -> bool {
        true
    }

    async fn observe(&self) -> Result<Seen, Fault> {
        let ours = match own_table(&self.root, &self.path).await {
            Ok(ours) => ours,
            Err(fault) if self.enforce == Enforce::Required => return Err(fault),
            Err(_) => return Ok(Seen::Unavailable),
        };
        Ok(Seen::Tables { wanted: (self.rules)()?, ours })
    }

    fn plan(&self, seen: &Seen) -> Vec<Step> {
        let Seen::Tables { wanted: rules, ours } = seen else { return Vec::new() };
        let is_wanted = self.enforce != Enforce::Off && !rules.is_empty();
        let wanted = rules.comments(self.root.path());
        match ours {
            Some(table) if is_wanted && table.comments == wanted => Vec::new(),
            _ if is_wanted => vec![Step::Load { rules: rules.clone() }],
            Some(table) => vec![Step::Remove { table: table.name.clone() }],
            None => Vec::new(),
        }
    }

    async fn apply(&self, step: &Step, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        let nft = Nft::find(&self.path)?;
        match step {
            Step::Load { rules } => {
                nft.load(&self.file(), &rules.script(self.root.path())).await?;
                self.sweep(&nft).await
            }
            Step::Remove { table } => nft.remove(&self.file(), table).await,
        }
    }
}

/// A root whose keeper was just killed is meant to be up, and is again in a moment: its rules are no leftovers.
fn is_meant_to_be_up(root: &Path) -> bool {
    let root = Root::new(root.to_owned());
    files::exists(&root.keeper_socket()) && !files::exists(&keeper::down_marker(&root))
}

/// The table of a root. `Err` says why the packet filter cannot be used.
async fn own_table(root: &Root, path: &str) -> Result<Option<Table>, Fault> {
    Nft::find(path)?.table(&table_of(root.path())).await
}

/// What the packet filter holds of a root right now.
pub async fn observe(root: &Root) -> Observed {
    match own_table(root, "").await {
        Ok(Some(table)) => {
            // One rule only says whose table it is.
            let detail = format!("{} rules of the packet filter", table.comments.len().saturating_sub(1));
            Observed { in_force: true, detail }
        }
        Ok(None) => Observed {
            in_force: false,
            detail: "bind addresses and passwords only: there are no rules to hold".to_owned(),
        },
        Err(fault) => {
            let why = fault.causes.into_iter().next().unwrap_or(fault.message);
            Observed { in_force: false, detail: format!("bind addresses and passwords only: {why}") }
        }
    }
}

/// What of a root the packet filter guards right now, by the names that its ports have. Empty where it may not be asked.
pub async fn guarded(root: &Root) -> BTreeSet<String> {
    let own = own_table(root, "").await.ok().flatten().into_iter();
    let names = own.flat_map(|table| table.comments).filter_map(|comment| Some(comment.split_once(' ')?.0.to_owned()));
    names.collect()
}

/// Takes back the rules of a root whose processes are gone. Where there is no packet filter there is nothing to take back.
pub async fn lift(root: &Root) -> Result<(), Fault> {
    match (Nft::find(""), own_table(root, "").await) {
        (Ok(nft), Ok(Some(own))) => nft.remove(&root.run().join(SCRIPT), &own.name).await,
        _ => Ok(()),
    }
}
