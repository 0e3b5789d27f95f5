//! The user that changes collections: it makes them, their indexes and rules, and can do nothing else.

use manifest::environment;
use mongodb::bson::{Bson, Document, doc};

use crate::mongo::roles::{documents, is_restricted_to_loopback, roles_of, sorted_strings};

/// Its name, and that of its role, in the environment's database.
pub(crate) const USER: &str = "roadbed-collections";

/// What it may do. It reads documents to say which of them stand in the way of a unique index, and can write and drop none.
const ACTIONS: [&str; 7] =
    ["collMod", "createCollection", "createIndex", "dropIndex", "find", "listCollections", "listIndexes"];

const LOOPBACK: &str = "127.0.0.1";

pub(super) fn privileges(settings: &environment::MongoDb) -> Vec<Bson> {
    let actions: Vec<Bson> = ACTIONS.iter().map(|&action| action.into()).collect();
    vec![doc! { "resource": { "db": &settings.database, "collection": "" }, "actions": actions }.into()]
}

/// Fields of `createUser` and `updateUser`, without name and password.
pub(super) fn fields(settings: &environment::MongoDb) -> Document {
    doc! {
        "roles": [{ "role": USER, "db": &settings.database }],
        "mechanisms": ["SCRAM-SHA-256"],
        "authenticationRestrictions": [{ "clientSource": [LOOPBACK], "serverAddress": [LOOPBACK] }],
    }
}

/// What is wrong with the answers of `usersInfo` and `rolesInfo`; empty if nothing is.
pub(super) fn faults(users: &Document, roles: &Document, settings: &environment::MongoDb) -> Vec<&'static str> {
    let Some(user) = documents(users, "users").next() else { return vec!["missing"] };
    let mut faults = Vec::new();
    let right = documents(roles, "roles").next().is_some_and(|role| role_is_right(role, settings));
    if !right || roles_of(user) != [(USER.to_owned(), settings.database.clone())] {
        faults.push("rights");
    }
    if sorted_strings(user, "mechanisms") != ["SCRAM-SHA-256"] {
        faults.push("mechanisms");
    }
    if !is_restricted_to_loopback(user) {
        faults.push("address restrictions");
    }
    faults
}

fn role_is_right(role: &Document, settings: &environment::MongoDb) -> bool {
    let inherits = role.get_array("roles").is_ok_and(|roles| !roles.is_empty());
    let privileges: Vec<&Document> = documents(role, "privileges").collect();
    let [privilege] = privileges.as_slice() else { return false };
    let Ok(resource) = privilege.get_document("resource") else { return false };
    !inherits
        && resource.get_str("db").ok() == Some(settings.database.as_str())
        && resource.get_str("collection").ok() == Some("")
        && sorted_strings(privilege, "actions") == ACTIONS
}
