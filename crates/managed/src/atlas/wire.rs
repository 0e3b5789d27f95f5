//! What is sent to Atlas and what is read of its answers. Words are closed lists: its published description has none of them, and a
//! server that takes anything would say nothing of a slip.

use manifest::{AtlasCloud, AtlasSize};
use secrets::Secret;
use serde::{Deserialize, Serialize};

/// `POST /groups`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateProject<'a> {
    pub name: &'a str,
    pub org_id: &'a str,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    pub id: String,
    pub name: String,
    pub org_id: String,
}

/// How the nodes of a cluster are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterType {
    #[serde(rename = "REPLICASET")]
    ReplicaSet,
}

/// `POST /groups/{groupId}/clusters`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateCluster<'a> {
    pub name: &'a str,
    pub cluster_type: ClusterType,
    pub backup_enabled: bool,
    /// So that nobody deletes it in passing.
    pub termination_protection_enabled: bool,
    pub replication_specs: Vec<ReplicationSpec<'a>>,
}

/// Nodes that hold the same.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationSpec<'a> {
    pub region_configs: Vec<RegionConfig<'a>>,
}

/// Nodes of one region.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionConfig<'a> {
    pub provider_name: AtlasCloud,
    pub region_name: &'a str,
    /// 7 is the highest.
    pub priority: u8,
    pub electable_specs: Hardware,
}

/// What nodes are.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hardware {
    pub instance_size: AtlasSize,
    pub node_count: u8,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    pub name: String,
    /// `IDLE` once it is as it was told.
    pub state_name: String,
    #[serde(default)]
    pub backup_enabled: bool,
    #[serde(default)]
    pub paused: bool,
    #[serde(default)]
    pub termination_protection_enabled: bool,
    #[serde(default)]
    pub connection_strings: ConnectionStrings,
    #[serde(default)]
    pub replication_specs: Vec<SeenReplication>,
}

impl Cluster {
    /// Whether nothing is being changed.
    pub fn is_idle(&self) -> bool {
        self.state_name == "IDLE"
    }

    /// The regions of its nodes, and their sizes.
    pub fn nodes(&self) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
        let configs = self.replication_specs.iter().flat_map(|spec| &spec.region_configs);
        configs.map(|config| {
            let size = config.electable_specs.as_ref().and_then(|specs| specs.instance_size.as_deref());
            (config.region_name.as_deref(), size)
        })
    }
}

/// Where a cluster is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStrings {
    pub standard_srv: Option<String>,
}

/// As it is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenReplication {
    #[serde(default)]
    pub region_configs: Vec<SeenRegion>,
}

/// As it is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenRegion {
    pub region_name: Option<String>,
    pub electable_specs: Option<SeenHardware>,
}

/// As it is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenHardware {
    pub instance_size: Option<String>,
}

/// One entry of `POST /groups/{groupId}/accessList`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessEntry<'a> {
    pub cidr_block: &'a str,
    pub comment: &'a str,
}

/// From where a project's clusters may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenAccess {
    pub cidr_block: Option<String>,
    pub ip_address: Option<String>,
}

impl SeenAccess {
    /// In CIDR notation; `None` where it is something else, such as a group of Amazon's.
    pub fn network(&self) -> Option<String> {
        self.cidr_block.clone().or_else(|| {
            let address = self.ip_address.as_deref()?;
            Some(format!("{address}/{}", if address.contains(':') { 128 } else { 32 }))
        })
    }
}

/// Whether an entry holds yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AccessState {
    Active,
    Pending,
    Failed,
}

/// `GET /groups/{groupId}/accessList/{entryValue}/status`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct AccessStatus {
    #[serde(rename = "STATUS")]
    pub status: AccessState,
}

/// What a role allows, in Atlas's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    ChangeStream,
    CollMod,
    CollStats,
    CreateCollection,
    CreateIndex,
    DbStats,
    DropIndex,
    Find,
    Insert,
    ListCollections,
    ListIndexes,
    Remove,
    Update,
    /// One that is given by nobody here.
    #[serde(other, skip_serializing)]
    Another,
}

/// On what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OnDatabase {
    pub cluster: bool,
    /// Empty: all of the database.
    #[serde(default)]
    pub collection: String,
    #[serde(default)]
    pub db: String,
}

/// One right of a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Privilege {
    pub action: Action,
    #[serde(default)]
    pub resources: Vec<OnDatabase>,
}

/// `POST …/customDBRoles/roles`, and what is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    pub role_name: String,
    #[serde(default)]
    pub actions: Vec<Privilege>,
    #[serde(default)]
    pub inherited_roles: Vec<Inherited>,
}

/// `PATCH …/customDBRoles/roles/{roleName}`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRole<'a> {
    pub actions: &'a [Privilege],
    pub inherited_roles: &'a [Inherited],
}

/// A role in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Inherited {
    pub db: String,
    pub role: String,
}

/// `POST …/databaseUsers`, and `PATCH`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutUser<'a> {
    /// Users that log in by a password are all in `admin`.
    pub database_name: &'a str,
    pub group_id: &'a str,
    pub username: &'a str,
    #[serde(serialize_with = "exposed")]
    pub password: &'a Secret,
    pub roles: Vec<RoleOf>,
    pub scopes: Vec<Scope>,
}

fn exposed<S: serde::Serializer>(password: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(password.expose())
}

/// A role that a user has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleOf {
    pub database_name: String,
    pub role_name: String,
}

/// What kind of thing a user may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ScopeType {
    #[serde(rename = "CLUSTER")]
    Cluster,
    #[serde(other, skip_serializing)]
    Another,
}

/// What a user may reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ScopeType,
}

/// A user, without its password, which is never told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenUser {
    pub username: String,
    pub database_name: String,
    #[serde(default)]
    pub roles: Vec<RoleOf>,
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

/// How often a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
    OnDemand,
}

/// In what its age is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgeUnit {
    Days,
    Weeks,
    Months,
    Years,
}

/// One rule of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyItem {
    /// Told, and sent back with what is changed, so that it is changed and not another one made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub frequency_type: Frequency,
    pub frequency_interval: u32,
    pub retention_unit: AgeUnit,
    pub retention_value: u32,
}

/// The rules of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default)]
    pub policy_items: Vec<PolicyItem>,
}

/// `GET` and `PATCH …/backup/schedule`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    #[serde(default)]
    pub policies: Vec<Policy>,
}

impl Schedule {
    /// The rule for each day.
    pub fn daily(&self) -> Option<&PolicyItem> {
        let mut items = self.policies.iter().flat_map(|policy| &policy.policy_items);
        items.find(|item| item.frequency_type == Frequency::Daily)
    }

    /// The same, with daily snapshots that are kept for at least so many days. `None`: they are already.
    #[must_use]
    pub fn keeping(&self, days: u32) -> Option<Self> {
        let wanted = PolicyItem {
            id: None,
            frequency_type: Frequency::Daily,
            frequency_interval: 1,
            retention_unit: AgeUnit::Days,
            retention_value: days,
        };
        let mut next = self.clone();
        if next.policies.is_empty() {
            next.policies.push(Policy { id: None, policy_items: Vec::new() });
        }
        let items = &mut next.policies[0].policy_items;
        match items.iter_mut().find(|item| item.frequency_type == Frequency::Daily) {
            // Longer ones are somebody's wish, and shortening would delete what is there.
            Some(there) if there.retention_unit != AgeUnit::Days || there.retention_value >= days => return None,
            Some(there) => there.retention_value = days,
            None => items.push(wanted),
        }
        Some(next)
    }
}

/// `POST …/backup/snapshots`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakeSnapshot<'a> {
    pub description: &'a str,
    pub retention_in_days: u32,
}

/// A copy that Atlas keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub id: String,
    /// `completed`, or what it is about.
    pub status: String,
    #[serde(default)]
    pub created_at: Option<String>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    pub(crate) results: Vec<T>,
}

/// The answer to who opens with a service account.
#[derive(Deserialize)]
pub(crate) struct Token {
    pub(crate) access_token: String,
}
