//! A stand-in for Upstash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::described::{Description, Known, of_upstash, table};
use crate::served::{Asked, Provider, Told};

pub(crate) const MAIL: &str = "ops@shop.example";
pub(crate) const KEY: &str = "key-of-the-account-of-the-tests";

#[derive(Default)]
pub(crate) struct Upstash {
    pub(crate) databases: Vec<Value>,
    pub(crate) backups: Vec<Value>,
    /// So many looks it takes until a new one serves, and until a list has it.
    pub(crate) slow: u32,
    pub(crate) stale: u32,
    /// Whether it tells what opens a database.
    pub(crate) is_mute: bool,
    next: u32,
}

const KEYS: [&str; 3] = ["password", "rest_token", "read_only_rest_token"];

impl Upstash {
    /// One that somebody made by hand.
    pub(crate) fn by_hand(&mut self, name: &str) -> String {
        self.next += 1;
        let id = format!("00000000-0000-0000-0000-{:012}", self.next);
        let number = self.next;
        self.databases.push(json!({
            "database_id": id, "database_name": name, "region": "global", "port": 6379, "state": "active",
            "endpoint": format!("calm-crab-{number}"), "tls": true, "eviction": false, "budget": 0, "modifying_state": "",
            "primary_region": "eu-central-1", "daily_backup_enabled": false, "type": "paid",
            "password": format!("pass/of {number}"), "rest_token": format!("rest-{number}"),
            "read_only_rest_token": format!("read-{number}"),
        }));
        id
    }

    fn one(&mut self, id: &str) -> Option<&mut Value> {
        self.databases.iter_mut().find(|one| one["database_id"] == id)
    }
}

impl Provider for Upstash {
    fn opens(&mut self, asked: &Asked<'_>) -> Result<(), Told> {
        let login = format!("Basic {}", STANDARD.encode(format!("{MAIL}:{KEY}")));
        match asked.headers.get("authorization") {
            Some(said) if *said == login => Ok(()),
            said => Err((401, String::new(), json!(format!("unauthorized: {said:?}")).to_string())),
        }
    }

    fn description(&self) -> &'static Description {
        of_upstash()
    }

    fn media(&self, asked: &Asked<'_>) -> String {
        asked.headers.get("content-type").cloned().unwrap_or_default()
    }

    fn beyond(&self) -> &'static [&'static str] {
        &KEYS
    }

    fn done(&mut self, known: &Known<'_>, body: Value) -> (u16, Value) {
        let ok = || (200, json!("OK"));
        let id = known.parts.first().cloned().unwrap_or_default();
        let is_mute = self.is_mute;
        match known.id {
            "listDatabases" => {
                let stale = self.stale > 0;
                self.stale = self.stale.saturating_sub(1);
                let all = self.databases.iter().filter(|_| !stale).map(|one| {
                    let mut one = table(one);
                    one.retain(|name, _| !KEYS.contains(&name.as_str()));
                    Value::Object(one)
                });
                (200, all.collect())
            }
            "createDatabase" => {
                let id = self.by_hand(body["database_name"].as_str().unwrap());
                let slow = self.slow;
                let made = self.one(&id).unwrap();
                made["primary_region"] = body["primary_region"].clone();
                made["eviction"] = body["eviction"].clone();
                made["tls"] = body["tls"].clone();
                if !body["budget"].is_null() {
                    made["budget"] = body["budget"].clone();
                }
                if slow > 0 {
                    made["modifying_state"] = json!("creating");
                }
                (200, made.clone())
            }
            "getDatabase" => {
                let is_served = self.slow == 0;
                self.slow = self.slow.saturating_sub(1);
                let Some(one) = self.one(&id) else { return (404, json!("database not found")) };
                if is_served {
                    one["modifying_state"] = json!("");
                }
                let mut told = table(one);
                if is_mute {
                    told.retain(|name, _| !KEYS.contains(&name.as_str()));
                }
                (200, Value::Object(told))
            }
            "listBackup" => (200, json!(self.backups)),
            "createBackup" => {
                let made = json!({ "database_id": id, "backup_id": "of-the-tests", "name": body["name"], "creation_time": 1, "state": "completed" });
                self.backups.push(made);
                ok()
            }
            "restoreBackup" if self.backups.iter().any(|one| one["backup_id"] == body["backup_id"]) => ok(),
            "deleteDatabase" => {
                self.databases.retain(|one| one["database_id"] != *id);
                ok()
            }
            about => {
                let Some(one) = self.one(&id) else { return (404, json!("database not found")) };
                match about {
                    "enableTls" => one["tls"] = json!(true),
                    "enableEviction" => one["eviction"] = json!(true),
                    "disableEviction" => one["eviction"] = json!(false),
                    "updateBudget" => one["budget"] = body["budget"].clone(),
                    "enableDailyBackup" => one["daily_backup_enabled"] = json!(true),
                    "resetPassword" => one["password"] = json!("another"),
                    _ => return (404, json!("no such backup")),
                }
                match about {
                    "enableTls" | "resetPassword" => (200, one.clone()),
                    _ => ok(),
                }
            }
        }
    }
}
