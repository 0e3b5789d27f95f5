//! Who may do what in the environment's database, in Atlas's words.

use super::wire::{Action, OnDatabase, Privilege, Role};

/// As apps have it at servers of ours.
const APP: [Action; 11] = [
    Action::ChangeStream,
    Action::CollStats,
    Action::CreateCollection,
    Action::CreateIndex,
    Action::DbStats,
    Action::Find,
    Action::Insert,
    Action::ListCollections,
    Action::ListIndexes,
    Action::Remove,
    Action::Update,
];

/// What looking after collections takes. It reads, and writes no document.
const ADMINISTRATOR: [Action; 9] = [
    Action::CollMod,
    Action::CollStats,
    Action::CreateCollection,
    Action::CreateIndex,
    Action::DbStats,
    Action::DropIndex,
    Action::Find,
    Action::ListCollections,
    Action::ListIndexes,
];

/// `index`: whether apps make their own indexes.
pub(super) fn of_apps(database: &str, index: bool) -> Role {
    role(format!("{database}-app"), database, APP.into_iter().filter(|action| index || *action != Action::CreateIndex))
}

pub(super) fn of_administrator(database: &str) -> Role {
    role(format!("{database}-administrator"), database, ADMINISTRATOR.into_iter())
}

fn role(role_name: String, database: &str, actions: impl Iterator<Item = Action>) -> Role {
    let resource = OnDatabase { cluster: false, collection: String::new(), db: database.to_owned() };
    let actions = actions.map(|action| Privilege { action, resources: vec![resource.clone()] });
    Role { role_name, actions: actions.collect(), inherited_roles: Vec::new() }
}

/// In whatever order they are told.
pub(super) fn are_the_same(one: &Role, other: &Role) -> bool {
    let sorted = |role: &Role| {
        let mut actions = role.actions.clone();
        actions.sort();
        actions
    };
    sorted(one) == sorted(other) && one.inherited_roles == other.inherited_roles
}
