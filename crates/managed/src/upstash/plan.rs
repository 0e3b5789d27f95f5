//! From what was seen to what is to be done.

use std::fmt;

use manifest::Upstash;

use super::api::{Database, State};

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing of this name, and nothing was ordered.
    Nothing,
    /// It was ordered, and an order that was killed said no more.
    Ordered,
    /// It is there and ours, and its id is not written down: after an order that was killed, or since it is adopted.
    NotNoted {
        id: String,
    },
    There {
        database: Database,
        address_is_kept: bool,
    },
}

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Order { name: String, terms: String },
    Take { id: String },
    EnableTls,
    SetEviction { drops: bool },
    SetBudget { dollars: u32 },
    EnableDailyBackup,
    KeepAddress,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order { name, terms } => write!(
                f,
                "order the Redis {name} at Upstash ({terms}); it costs what its plan says until you delete it there, which Roadbed never does"
            ),
            Self::Take { id } => write!(f, "write down that the database {id} at Upstash is ours"),
            Self::EnableTls => f.write_str("let it speak TLS alone, for which there is no way back"),
            Self::SetEviction { drops: true } => f.write_str("let it drop keys when it is full"),
            Self::SetEviction { drops: false } => f.write_str("let it refuse writes when it is full"),
            Self::SetBudget { dollars } => write!(f, "let it cost at most {dollars} $ a month"),
            Self::EnableDailyBackup => f.write_str("have a backup taken each day"),
            Self::KeepAddress => f.write_str("keep its address and its administrator's login in the secret store"),
        }
    }
}

/// Pure.
pub(super) fn plan(wanted: &Upstash, seen: &Observed) -> Vec<Step> {
    let daily = wanted.daily_backup.then_some(Step::EnableDailyBackup);
    match seen {
        Observed::Nothing | Observed::Ordered => {
            let order = Step::Order { name: wanted.name.clone(), terms: terms(wanted) };
            [order].into_iter().chain(daily).chain([Step::KeepAddress]).collect()
        }
        // What it lacks is seen once it is known to be ours.
        Observed::NotNoted { id } => vec![Step::Take { id: id.clone() }],
        Observed::There { database, address_is_kept } => {
            let mut steps = Vec::new();
            steps.extend((!database.tls).then_some(Step::EnableTls));
            steps
                .extend((database.eviction != wanted.eviction).then_some(Step::SetEviction { drops: wanted.eviction }));
            let budget = wanted.budget.filter(|dollars| database.budget != Some(*dollars));
            steps.extend(budget.map(|dollars| Step::SetBudget { dollars }));
            steps.extend(daily.filter(|_| !database.daily_backup_enabled));
            steps.extend((!address_is_kept).then_some(Step::KeepAddress));
            steps
        }
    }
}

/// What is otherwise than wanted, and stays so.
pub(super) fn drift(wanted: &Upstash, seen: &Observed) -> Vec<String> {
    let Observed::There { database, .. } = seen else { return Vec::new() };
    let mut told = Vec::new();
    let name = &database.database_name;
    let region = wanted.region.as_str();
    if let Some(there) = database.primary_region.as_deref().filter(|there| *there != region) {
        told.push(format!(
            "{name} is in {there}, declared is {region}: only another database can be there, and you would have to move the data"
        ));
    }
    if *name != wanted.name && wanted.adopt.is_none() {
        told.push(format!("{} is called {name} at Upstash; rename it there", wanted.name));
    }
    if database.state == State::Passive {
        told.push(format!("{name} was not used for long, and Upstash has put it away: it wakes it in its console"));
    }
    if database.daily_backup_enabled && !wanted.daily_backup {
        told.push(format!("{name} is backed up each day, which nobody asked for; only you switch that off"));
    }
    told
}

fn terms(wanted: &Upstash) -> String {
    let budget = wanted.budget.map(|dollars| format!(", at most {dollars} $ a month")).unwrap_or_default();
    format!("{}, {}{budget}", wanted.region, wanted.plan)
}
