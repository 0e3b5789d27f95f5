//! From what was seen to what is to be done.

use std::fmt;

use manifest::Atlas;

use super::wire::Cluster;

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// No project of this name, and none was asked for.
    Nothing,
    /// It was asked for, and a run that was killed said no more.
    Asked,
    /// It is there and ours, and its id is not written down.
    NotNoted {
        id: String,
    },
    There(Box<There>),
}

/// What is in the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// `None`: never ordered.
    pub cluster: Option<Cluster>,
    /// Whether it is written down that there is one: from then on no other takes its place.
    pub cluster_is_noted: bool,
    /// Networks that may not reach it yet.
    pub shut_out: Vec<String>,
    /// Networks that may, and nobody asked for.
    pub let_in: Vec<String>,
    pub has_credentials: bool,
    /// Roles that are missing or allow something else.
    pub roles: Vec<String>,
    /// Users that are missing or not right, and why.
    pub users: Vec<(String, &'static str)>,
    /// Users of ours whose password is retired.
    pub retired: Vec<String>,
    /// Users of others.
    pub strangers: Vec<String>,
    /// Whether daily snapshots are kept for less than declared.
    pub keeps_too_short: bool,
    pub address_is_kept: bool,
}

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    MakeProject { name: String },
    Take { id: String },
    OrderCluster { name: String, terms: String },
    NoteCluster,
    AwaitCluster,
    Allow { network: String },
    MakeCredentials,
    PutRole { name: String },
    PutUser { name: String, because: &'static str },
    RemoveUser { name: String },
    KeepSnapshots { days: u32 },
    KeepAddress,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeProject { name } => write!(f, "make the project {name} at Atlas, which costs nothing"),
            Self::Take { id } => write!(f, "write down that the project {id} at Atlas is ours"),
            Self::OrderCluster { name, terms } => write!(
                f,
                "order the cluster {name} at Atlas ({terms}); it costs by the hour until you lift its protection and delete it there, which Roadbed never does"
            ),
            Self::NoteCluster => f.write_str("write down that the cluster is ordered"),
            Self::AwaitCluster => f.write_str("wait until the cluster can be reached"),
            Self::Allow { network } => write!(f, "let {network} reach it"),
            Self::MakeCredentials => f.write_str("make missing credentials"),
            Self::PutRole { name } => write!(f, "set the role {name} at Atlas"),
            Self::PutUser { name, because } => write!(f, "set the user {name} at Atlas ({because})"),
            Self::RemoveUser { name } => write!(f, "remove the user {name} at Atlas: its password is retired"),
            Self::KeepSnapshots { days } => write!(f, "have a snapshot taken each day and kept for {days} days"),
            Self::KeepAddress => f.write_str("keep its address and its administrator's login in the secret store"),
        }
    }
}

/// Pure. Users come before the address by which others log in, and who is retired goes last.
pub(super) fn plan(wanted: &Atlas, seen: &Observed) -> Vec<Step> {
    let order = || Step::OrderCluster { name: wanted.cluster.clone(), terms: terms(wanted) };
    let there = match seen {
        Observed::Nothing | Observed::Asked => {
            let project = Step::MakeProject { name: wanted.project.clone() };
            return vec![project, order(), Step::AwaitCluster, Step::KeepAddress];
        }
        Observed::NotNoted { id } => return vec![Step::Take { id: id.clone() }],
        Observed::There(there) => there,
    };
    let mut steps = Vec::new();
    match (&there.cluster, there.cluster_is_noted) {
        (None, _) => steps.push(order()),
        (Some(_), false) => steps.push(Step::NoteCluster),
        (Some(_), true) => {}
    }
    if !there.has_credentials {
        steps.push(Step::MakeCredentials);
    }
    // While the cluster is made: all of it holds for a project.
    steps.extend(there.shut_out.iter().map(|network| Step::Allow { network: network.clone() }));
    steps.extend(there.roles.iter().map(|name| Step::PutRole { name: name.clone() }));
    steps.extend(there.users.iter().map(|(name, because)| Step::PutUser { name: name.clone(), because }));
    if !there.cluster.as_ref().is_some_and(is_reachable) {
        steps.push(Step::AwaitCluster);
    }
    steps.extend(there.keeps_too_short.then_some(Step::KeepSnapshots { days: wanted.keep_days }));
    steps.extend((!there.address_is_kept).then_some(Step::KeepAddress));
    steps.extend(there.retired.iter().map(|name| Step::RemoveUser { name: name.clone() }));
    steps
}

/// Whether it has an address and is not being made. While anything else is changed it serves.
pub(super) fn is_reachable(cluster: &Cluster) -> bool {
    cluster.state_name != "CREATING" && cluster.connection_strings.standard_srv.is_some()
}

/// What is otherwise than wanted, and stays so.
pub(super) fn drift(wanted: &Atlas, seen: &Observed) -> Vec<String> {
    let Observed::There(there) = seen else { return Vec::new() };
    let mut told = Vec::new();
    for network in &there.let_in {
        told.push(format!(
            "{network} may reach {}, and nobody asked for it; only you take it away at Atlas",
            wanted.project
        ));
    }
    for user in &there.strangers {
        told.push(format!("{} has a user {user} that is none of ours; only you take it away at Atlas", wanted.project));
    }
    let Some(cluster) = &there.cluster else { return told };
    let (region, size) = (wanted.region.as_str(), wanted.size.as_str());
    for (there, size_there) in cluster.nodes() {
        if let Some(there) = there.filter(|there| *there != region) {
            told.push(format!(
                "{} has nodes in {there}, declared is {region}; only you move it at Atlas",
                cluster.name
            ));
        }
        if let Some(there) = size_there.filter(|there| *there != size) {
            told.push(format!(
                "{} has nodes of {there}, declared is {size}; only you change what it costs",
                cluster.name
            ));
        }
    }
    if !cluster.backup_enabled {
        told.push(format!("{} is not backed up; switch that on at Atlas", cluster.name));
    }
    if !cluster.termination_protection_enabled {
        told.push(format!("{} can be deleted by a slip: its protection was lifted at Atlas", cluster.name));
    }
    told
}

fn terms(wanted: &Atlas) -> String {
    format!("{}, {} {}, three nodes", wanted.size, wanted.cloud, wanted.region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_people_may_change_is_no_step() {
        let wanted = Atlas {
            project: "shop-x".to_owned(),
            cluster: "x".to_owned(),
            organization: "0".repeat(24),
            cloud: manifest::AtlasCloud::Aws,
            region: "EU_CENTRAL_1".to_owned(),
            size: manifest::AtlasSize::M10,
            allow: Vec::new(),
            keep_days: 7,
            adopt: None,
            api: String::new(),
        };
        let config = serde_json::json!({
            "name": "x", "stateName": "UPDATING", "connectionStrings": { "standardSrv": "mongodb+srv://x.example" },
            "replicationSpecs": [{ "regionConfigs": [{ "regionName": "US_EAST_1", "electableSpecs": { "instanceSize": "M80" } }] }],
        });
        let there = There {
            cluster: Some(serde_json::from_value(config).unwrap()),
            let_in: vec!["0.0.0.0/0".to_owned()],
            strangers: vec!["bob".to_owned()],
            has_credentials: true,
            cluster_is_noted: true,
            address_is_kept: true,
            ..There::default()
        };
        let seen = Observed::There(Box::new(there));
        assert_eq!(plan(&wanted, &seen), []);
        let told = drift(&wanted, &seen);
        assert_eq!(told.len(), 6, "{told:?}");
    }
}
