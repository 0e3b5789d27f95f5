//! A stand-in for Atlas.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::described::{Description, Known, of_atlas};
use crate::served::{Asked, Provider, Told};

pub(crate) const CLIENT: &str = "mdb_client_of_the_tests";
pub(crate) const SECRET: &str = "secret-of-the-service-account";
pub(crate) const ORGANIZATION: &str = "32b6e34b3d91647abb20e7b8";

#[derive(Default)]
pub(crate) struct Atlas {
    pub(crate) projects: Vec<Value>,
    pub(crate) clusters: Vec<Value>,
    pub(crate) entries: Vec<Value>,
    pub(crate) roles: Vec<Value>,
    pub(crate) users: Vec<Value>,
    /// Passwords, which nobody is told.
    pub(crate) passwords: BTreeMap<String, String>,
    pub(crate) schedule: Value,
    /// So many looks it takes until a cluster is made, and an entry holds.
    pub(crate) slow: u32,
    pub(crate) pending: u32,
    /// For so many requests a token holds; 0: for all.
    pub(crate) token_holds: u32,
    pub(crate) tokens: u32,
    held: u32,
    next: u32,
}

impl Atlas {
    fn id(&mut self) -> String {
        self.next += 1;
        format!("{:024x}", 0xabc0_0000 + self.next)
    }

    /// One that somebody made by hand.
    pub(crate) fn by_hand(&mut self, name: &str) -> String {
        let id = self.id();
        self.projects.push(json!({
            "id": id, "name": name, "orgId": ORGANIZATION, "clusterCount": 0, "created": "2026-01-01T00:00:00Z",
        }));
        id
    }
}

fn error(status: u16, code: &str, detail: &str) -> (u16, Value) {
    (status, json!({ "error": status, "errorCode": code, "detail": detail }))
}

impl Provider for Atlas {
    fn opens(&mut self, asked: &Asked<'_>) -> Result<(), Told> {
        let said = asked.headers.get("authorization").cloned().unwrap_or_default();
        if asked.path == "/api/oauth/token" {
            let login = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
            let form =
                asked.headers.get("content-type").map(String::as_str) == Some("application/x-www-form-urlencoded");
            return Err(if said == login && form && asked.body == b"grant_type=client_credentials" {
                self.tokens += 1;
                self.held = 0;
                let token = format!("token-{}", self.tokens);
                (
                    200,
                    String::new(),
                    json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" }).to_string(),
                )
            } else {
                (401, String::new(), json!({ "error": "invalid_client", "error_description": said }).to_string())
            });
        }
        self.held += 1;
        let is_over = self.token_holds > 0 && self.held > self.token_holds;
        if said != format!("Bearer token-{}", self.tokens) || is_over {
            let (code, told) = error(401, "UNAUTHORIZED", "the token is over");
            return Err((code, String::new(), told.to_string()));
        }
        Ok(())
    }

    fn description(&self) -> &'static Description {
        of_atlas()
    }

    fn media(&self, asked: &Asked<'_>) -> String {
        asked.headers.get("content-type").cloned().unwrap_or_default()
    }

    fn done(&mut self, known: &Known<'_>, mut body: Value) -> (u16, Value) {
        let none = || error(404, "RESOURCE_NOT_FOUND", "there is none");
        let twice = || error(409, "DUPLICATE", "there is one already");
        let page = |all: &[Value]| (200, json!({ "results": all, "totalCount": all.len() }));
        let last = known.parts.last().cloned().unwrap_or_default();
        let find = |all: &[Value], key: &str| {
            let found = all.iter().find(|one| one[key] == *last).cloned();
            found.map_or_else(none, |found| (200, found))
        };
        match known.id {
            "getGroupByName" => find(&self.projects, "name"),
            "getGroup" => find(&self.projects, "id"),
            "createGroup" if self.projects.iter().any(|one| one["name"] == body["name"]) => twice(),
            "createGroup" => {
                self.by_hand(body["name"].as_str().unwrap());
                (200, self.projects.last().unwrap().clone())
            }
            "createCluster" if self.clusters.iter().any(|one| one["name"] == body["name"]) => twice(),
            "createCluster" => {
                body["stateName"] = json!("CREATING");
                body["paused"] = json!(false);
                body["connectionStrings"] = json!({});
                self.clusters.push(body.clone());
                self.schedule = json!({ "policies": [{ "id": self.id(), "policyItems": [
                    { "id": self.id(), "frequencyType": "hourly", "frequencyInterval": 6, "retentionUnit": "days", "retentionValue": 2 },
                    { "id": self.id(), "frequencyType": "daily", "frequencyInterval": 1, "retentionUnit": "days", "retentionValue": 7 },
                ] }] });
                (201, body)
            }
            "getCluster" => {
                let is_made = self.slow == 0;
                self.slow = self.slow.saturating_sub(1);
                let one = self.clusters.iter_mut().find(|one| one["name"] == *last && one["stateName"] == "CREATING");
                if let Some(one) = one.filter(|_| is_made) {
                    one["stateName"] = json!("IDLE");
                    one["connectionStrings"] =
                        json!({ "standardSrv": "mongodb+srv://production.ab1cd.mongodb.example" });
                }
                find(&self.clusters, "name")
            }
            "listAccessListEntries" => page(&self.entries),
            "createAccessListEntry" => {
                for entry in body.as_array().unwrap() {
                    self.entries.retain(|one| one["cidrBlock"] != entry["cidrBlock"]);
                    self.entries.push(entry.clone());
                }
                page(&self.entries)
            }
            "getAccessListStatus" if self.pending > 0 => {
                self.pending -= 1;
                // At first it is not even known.
                if self.pending % 2 == 1 { none() } else { (200, json!({ "STATUS": "PENDING" })) }
            }
            "getAccessListStatus" if self.entries.iter().any(|one| one["cidrBlock"] == *last) => {
                (200, json!({ "STATUS": "ACTIVE" }))
            }
            "getCustomDbRole" => find(&self.roles, "roleName"),
            "createCustomDbRole" if self.roles.iter().any(|one| one["roleName"] == body["roleName"]) => twice(),
            "createCustomDbRole" => {
                // It does not keep the order.
                body["actions"].as_array_mut().unwrap().reverse();
                self.roles.push(body.clone());
                (202, body)
            }
            "updateCustomDbRole" => {
                let Some(one) = self.roles.iter_mut().find(|one| one["roleName"] == *last) else { return none() };
                one["actions"] = body["actions"].clone();
                one["inheritedRoles"] = body["inheritedRoles"].clone();
                (200, one.clone())
            }
            "listDatabaseUsers" => page(&self.users),
            "createDatabaseUser" if self.users.iter().any(|one| one["username"] == body["username"]) => twice(),
            "createDatabaseUser" | "updateDatabaseUser" => {
                let name = body["username"].as_str().unwrap().to_owned();
                if let Some(password) = body.as_object_mut().unwrap().remove("password") {
                    self.passwords.insert(name.clone(), password.as_str().unwrap().to_owned());
                }
                body.as_object_mut().unwrap().remove("groupId");
                let before = self.users.len();
                self.users.retain(|one| one["username"] != *name);
                if known.id == "updateDatabaseUser" && before == self.users.len() {
                    return none();
                }
                self.users.push(body.clone());
                (if known.id == "createDatabaseUser" { 201 } else { 200 }, body)
            }
            "deleteDatabaseUser" => {
                self.users.retain(|one| one["username"] != *last);
                (204, Value::Null)
            }
            "getBackupSchedule" => (200, self.schedule.clone()),
            "updateBackupSchedule" => {
                self.schedule = body.clone();
                (200, body)
            }
            "listBackupSnapshots" => page(&[json!({ "id": "0".repeat(24), "status": "completed" })]),
            "takeSnapshots" => (200, json!({ "id": "0".repeat(24), "status": "queued" })),
            _ => none(),
        }
    }
}
