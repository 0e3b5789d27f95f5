//! Who is called when something is wrong, and who answers for which promise of the gate.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Manifest;
use crate::environment::{Access, Serves};
use crate::id::{AppName, EnvName, OwnerName};
use crate::record::record;
use crate::shape::{self, Table, text_shape};
use crate::source::At;
use crate::target::EnvRef;
use crate::workflows::HttpsUrl;

record! {
    /// Who is called when something is wrong. The runbook, the gate and `roadbed incident` go by it.
    pub(crate) struct IncidentsTable {
        /// Who is called first, and leads until somebody else says so. Default: the owner, where there is but one.
        lead: Option<At<OwnerName>>,
        /// Who is called next, in this order, when nobody answered.
        escalation: Vec<At<OwnerName>> = [],
        /// How long each has to answer.
        answer_within: Duration = "15m",
        /// Where customers read how things stand.
        status_page: Option<At<HttpsUrl>>,
        /// Who answers for promises of the gate, where it is not who leads: by task, such as `T12`, or by check.
        promises: Table<PromiseName, At<OwnerName>>,
    }
}

/// `T12`, `mongodb-guards-its-door`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PromiseName(pub(crate) String);

impl shape::Text for PromiseName {
    const WANTS: &'static str = "a task or a check of the gate";
    const PATTERN: Option<&'static str> = Some("^(T[1-9][0-9]?|[a-z][a-z0-9-]{0,62})$");
    const EXAMPLES: &'static [&'static str] = &["T12", "mongodb-guards-its-door"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_task = text.strip_prefix('T').is_some_and(|rest| {
            (1..=2).contains(&rest.len()) && !rest.starts_with('0') && rest.bytes().all(|byte| byte.is_ascii_digit())
        });
        let is_check = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= 63
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if is_task || is_check {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("`roadbed ready --json` shows both: \"T12\", \"mongodb-guards-its-door\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(PromiseName);

/// A team, by what it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Team {
    /// Apps that serve data.
    Backend,
    /// Apps that serve pages to everybody.
    Frontend,
    /// Apps that serve pages and are protected somewhere.
    Admin,
}

impl Team {
    pub const ALL: [Self; 3] = [Self::Backend, Self::Frontend, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Frontend => "frontend",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who answers for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub name: OwnerName,
    pub description: String,
    pub contact: String,
}

/// Who is called, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incidents {
    /// Everybody, in the order of the manifest.
    pub owners: Vec<Owner>,
    /// `None`: there are several owners, and the manifest does not say which.
    pub lead: Option<OwnerName>,
    /// Who is called next.
    pub escalation: Vec<OwnerName>,
    pub answer_within: Duration,
    pub status_page: Option<String>,
    /// By task or check.
    pub promises: BTreeMap<String, OwnerName>,
    /// Who answers for each app, in the order of the manifest.
    pub apps: Vec<(AppName, OwnerName)>,
}

impl Incidents {
    pub fn owner(&self, name: &OwnerName) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.name == *name)
    }

    /// Who answers for a promise: who is named for the check, else for its task, else who leads.
    pub fn answers_for(&self, task: &str, check: &str) -> Option<&Owner> {
        let named = self.promises.get(check).or_else(|| self.promises.get(task));
        self.owner(named.or(self.lead.as_ref())?)
    }

    /// Who answers for an app.
    pub fn answers_for_app(&self, app: &str) -> Option<&Owner> {
        let (_, owner) = self.apps.iter().find(|(name, _)| name.as_str() == app)?;
        self.owner(owner)
    }
}

impl Manifest {
    /// Which team works on each app, in the order of the manifest.
    pub fn teams(&self) -> Vec<(AppName, Team)> {
        let team = |app: &crate::tables::AppTable| {
            let mut elsewhere = app.r#in.iter().filter_map(|(_, own)| own.access);
            match app.serves {
                Serves::Data => Team::Backend,
                Serves::Pages | Serves::Other
                    if app.access == Access::Protected || elsewhere.any(|access| access == Access::Protected) =>
                {
                    Team::Admin
                }
                Serves::Pages | Serves::Other => Team::Frontend,
            }
        };
        self.document.apps.in_order().into_iter().map(|(name, app)| (name.value.clone(), team(app))).collect()
    }

    /// Who is called when something is wrong.
    pub fn incidents(&self) -> Incidents {
        let table = &self.document.incidents;
        let owners: Vec<Owner> = self.document.owners.in_order().into_iter().map(owner).collect();
        let only = match owners.as_slice() {
            [one] => Some(one.name.clone()),
            _ => None,
        };
        let apps = self.document.apps.in_order().into_iter();
        Incidents {
            lead: table.lead.as_ref().map(|lead| lead.value.clone()).or(only),
            owners,
            escalation: table.escalation.iter().map(|name| name.value.clone()).collect(),
            answer_within: table.answer_within,
            status_page: table.status_page.as_ref().map(|url| url.0.clone()),
            promises: table.promises.iter().map(|(name, owner)| (name.value.0.clone(), owner.value.clone())).collect(),
            apps: apps.map(|(name, app)| (name.value.clone(), app.owner.value.clone())).collect(),
        }
    }

    /// Environments that are deployed to by a branch, in the order of the manifest's branches.
    pub fn served_environments(&self) -> Vec<ServedEnvironment> {
        let served = |(branch, name): (String, EnvName)| {
            let environment = self.resolve(&EnvRef::new(name.clone())).ok()?;
            let control = environment.api.as_ref().and_then(|api| {
                let host = api.hosts.first()?;
                Some(format!("https://{host}:{}", api.listen.port()))
            });
            let workflows = self.document.ci.workflows.as_ref();
            let from = workflows.and_then(|table| table.value.promote.get(&name)).map(|from| from.value.clone());
            let approvals = environment.rollout.approvals;
            Some(ServedEnvironment { name, branch, domain: environment.domain, control, from, approvals })
        };
        self.branches().into_iter().filter_map(served).collect()
    }
}

fn owner((name, table): (&At<OwnerName>, &crate::tables::Owner)) -> Owner {
    Owner { name: name.value.clone(), description: table.description.clone(), contact: table.contact.clone() }
}

/// An environment that visitors have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedEnvironment {
    pub name: EnvName,
    pub branch: String,
    pub domain: String,
    /// Where its API is asked from elsewhere.
    pub control: Option<String>,
    /// What it deploys was deployed there first.
    pub from: Option<EnvName>,
    /// How many people have to say yes to a deployment.
    pub approvals: u32,
}
