//! Who may do what in the apps' database: one role for all apps, users that have it, and how users are named and compared.

use manifest::environment;
use manifest::id::AppName;
use mongodb::bson::{Bson, Document, doc};

use super::rights::{On, Role, RoleKey};
use crate::ground::{Slot, user_of};

/// Name of the apps' role, in their own database.
pub(crate) const APP_ROLE: &str = "roadbed-app";

/// What an app may do in its one database: work with documents, follow them, and, where nobody looks after collections, make
/// indexes. It may not drop anything, see users, or touch the server.
const APP_ACTIONS: [&str; 11] = [
    "changeStream",
    "collStats",
    "createCollection",
    "createIndex",
    "dbStats",
    "find",
    "insert",
    "listCollections",
    "listIndexes",
    "remove",
    "update",
];

/// A user comes from this machine and to this machine, or not at all, where the server is on it.
const LOOPBACK: &str = "127.0.0.1";

/// The role of apps.
pub(crate) fn app_role(settings: &environment::MongoDb) -> Role {
    Role {
        key: RoleKey { database: settings.database.clone(), name: APP_ROLE.to_owned() },
        allows: vec![(On::Database(settings.database.clone()), app_actions(settings))],
        inherits: Vec::new(),
    }
}

fn app_actions(settings: &environment::MongoDb) -> Vec<&'static str> {
    let is_looked_after = !settings.collections.is_empty();
    APP_ACTIONS.into_iter().filter(|action| !is_looked_after || *action != "createIndex").collect()
}

/// Fields of `createUser` and `updateUser`, without name and password. `mechanisms` is always sent: a change of password
/// without it silently adds SCRAM-SHA-1.
pub(crate) fn app_user_fields(settings: &environment::MongoDb) -> Document {
    let mut fields = user_fields(APP_ROLE, &settings.database);
    if settings.external.is_none() {
        fields.insert("authenticationRestrictions", loopback_only());
    }
    fields
}

/// As [`app_user_fields`], with another role, and from anywhere.
pub(crate) fn user_fields(role: &str, database: &str) -> Document {
    doc! {
        "roles": [{ "role": role, "db": database }],
        "mechanisms": ["SCRAM-SHA-256"],
    }
}

/// As `createUser` and `updateUser` take it.
pub(crate) fn loopback_only() -> Vec<Bson> {
    vec![doc! { "clientSource": [LOOPBACK], "serverAddress": [LOOPBACK] }.into()]
}

/// What is wrong with a user as `usersInfo` shows it; empty if nothing is.
pub(crate) fn faults_of_app_user(seen: &Document, settings: &environment::MongoDb) -> Vec<&'static str> {
    let mut faults = Vec::new();
    if roles_of(seen) != [(APP_ROLE.to_owned(), settings.database.clone())] {
        faults.push("roles");
    }
    if sorted_strings(seen, "mechanisms") != ["SCRAM-SHA-256"] {
        faults.push("mechanisms");
    }
    if settings.external.is_none() && !is_restricted_to_loopback(seen) {
        faults.push("address restrictions");
    }
    faults
}

pub(crate) fn is_restricted_to_loopback(seen: &Document) -> bool {
    let Ok(restrictions) = seen.get_array("authenticationRestrictions") else { return false };
    let [Bson::Document(restriction)] = restrictions.as_slice() else { return false };
    // Some versions wrap the list of one into another list.
    ["clientSource", "serverAddress"].iter().all(|&key| {
        sorted_strings(restriction, key).iter().all(|address| address.trim_end_matches("/32") == LOOPBACK)
            && restriction.get_array(key).is_ok_and(|list| list.len() == 1)
    })
}

pub(crate) fn roles_of(seen: &Document) -> Vec<(String, String)> {
    let mut roles: Vec<(String, String)> = documents(seen, "roles")
        .filter_map(|role| Some((role.get_str("role").ok()?.to_owned(), role.get_str("db").ok()?.to_owned())))
        .collect();
    roles.sort();
    roles
}

pub(crate) fn sorted_strings(document: &Document, key: &str) -> Vec<String> {
    let mut strings: Vec<String> = document
        .get_array(key)
        .map(|list| list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    strings.sort();
    strings
}

pub(crate) fn documents<'a>(document: &'a Document, key: &str) -> impl Iterator<Item = &'a Document> {
    document.get_array(key).into_iter().flatten().filter_map(Bson::as_document)
}

/// Where users are: in the apps' database, but for Atlas, which has all of them in one.
pub(crate) fn users_database(settings: &environment::MongoDb) -> &str {
    let external = settings.external.as_ref();
    match external.and_then(|external| external.provider.as_ref()) {
        Some(manifest::Provider::Atlas(_)) => "admin",
        Some(manifest::Provider::Upstash(_)) | None => &settings.database,
    }
}

/// A user by database and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserKey {
    pub database: String,
    pub name: String,
}

impl UserKey {
    pub(crate) fn app(settings: &environment::MongoDb, app: &AppName, slot: Slot) -> Self {
        let name = match settings.external {
            None => user_of(app, slot),
            // Others have users there too, and providers list all of them together.
            Some(_) => format!("{}-{}", settings.database, user_of(app, slot)),
        };
        Self { database: users_database(settings).to_owned(), name }
    }

    /// Whether one of our apps has this user, now or at another version of its password.
    pub(crate) fn is_of_an_app(&self, settings: &environment::MongoDb) -> bool {
        let mut apps = settings.apps.iter();
        apps.any(|app| Slot::ALL.iter().any(|slot| Self::app(settings, app, *slot) == *self))
    }

    pub(crate) fn of(seen: &Document) -> Option<Self> {
        Some(Self { database: seen.get_str("db").ok()?.to_owned(), name: seen.get_str("user").ok()?.to_owned() })
    }
}
