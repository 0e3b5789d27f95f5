//! Roles of ours: what they allow, how they are set, and whether the server has them so.

use std::collections::BTreeSet;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};

use super::client::{MongoFault, code, command};
use super::roles::{documents, roles_of};

/// What an action is allowed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Cluster,
    /// Every collection but the server's own.
    Database(String),
    Collection(String, &'static str),
}

/// A role by database and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleKey {
    pub database: String,
    pub name: String,
}

/// A role as it is to be.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) key: RoleKey,
    pub(crate) allows: Vec<(On, Vec<&'static str>)>,
    /// Roles of the server's own, in `admin`.
    pub(crate) inherits: Vec<&'static str>,
}

/// Pairs of what is allowed and on what, in which two lists of privileges are compared.
pub(crate) type Allowed = BTreeSet<(String, String)>;

impl RoleKey {
    pub(crate) fn of(seen: &Document) -> Option<Self> {
        Some(Self { database: seen.get_str("db").ok()?.to_owned(), name: seen.get_str("role").ok()?.to_owned() })
    }
}

impl On {
    fn document(&self) -> Document {
        match self {
            Self::Cluster => doc! { "cluster": true },
            Self::Database(database) => doc! { "db": database, "collection": "" },
            Self::Collection(database, collection) => doc! { "db": database, "collection": *collection },
        }
    }
}

impl Role {
    pub(crate) fn privileges(&self) -> Vec<Bson> {
        let privilege = |(on, actions): &(On, Vec<&'static str>)| -> Bson {
            let actions: Vec<Bson> = actions.iter().map(|&action| action.into()).collect();
            doc! { "resource": on.document(), "actions": actions }.into()
        };
        self.allows.iter().map(privilege).collect()
    }

    fn inherited(&self) -> Vec<Bson> {
        self.inherits.iter().map(|&role| doc! { "role": role, "db": "admin" }.into()).collect()
    }

    pub(crate) fn allowed(&self) -> Allowed {
        allowed(self.privileges().iter().filter_map(Bson::as_document))
    }

    /// Whether the server's own document of this role says the same. A restriction by address would lock out whoever has it.
    pub(crate) fn is(&self, seen: &Document) -> bool {
        let mut inherits: Vec<_> = self.inherits.iter().map(|&role| (role.to_owned(), "admin".to_owned())).collect();
        inherits.sort();
        allowed(documents(seen, "privileges")) == self.allowed()
            && roles_of(seen) == inherits
            && documents(seen, "authenticationRestrictions").next().is_none()
    }

    /// Makes it, or makes it right.
    pub(crate) async fn put(&self, client: &Client) -> Result<(), MongoFault> {
        let fields = || {
            doc! {
                "privileges": self.privileges(),
                "roles": self.inherited(),
                "authenticationRestrictions": [],
                "writeConcern": { "w": "majority", "j": true },
            }
        };
        let mut create = doc! { "createRole": &self.key.name };
        create.extend(fields());
        match command(client, &self.key.database, create).await {
            Err(fault) if fault.code() == Some(code::ROLE_EXISTS) => {
                let mut update = doc! { "updateRole": &self.key.name };
                update.extend(fields());
                command(client, &self.key.database, update).await.map(drop)
            }
            other => other.map(drop),
        }
    }
}

/// What these privileges allow.
pub(crate) fn allowed<'a>(privileges: impl Iterator<Item = &'a Document>) -> Allowed {
    let mut allowed = Allowed::new();
    for privilege in privileges {
        let on = privilege.get_document("resource").map(on).unwrap_or_default();
        let actions = privilege.get_array("actions").into_iter().flatten().filter_map(Bson::as_str);
        allowed.extend(actions.map(|action| (on.clone(), action.to_owned())));
    }
    allowed
}

/// A resource in one line: `cluster`, `shop-local.*`, `local.oplog.rs`.
fn on(resource: &Document) -> String {
    if resource.get_bool("cluster").unwrap_or(false) {
        return "cluster".to_owned();
    }
    match (resource.get_str("db"), resource.get_str("collection")) {
        (Ok(database), Ok("")) => format!("{database}.*"),
        (Ok(database), Ok(collection)) => format!("{database}.{collection}"),
        _ => resource.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_the_same_in_whatever_order_it_is_told_and_not_with_one_action_more() {
        let role = Role {
            key: RoleKey { database: "admin".to_owned(), name: "r".to_owned() },
            allows: vec![(On::Database("shop".to_owned()), vec!["find", "insert"]), (On::Cluster, vec!["applyOps"])],
            inherits: Vec::new(),
        };
        let on_shop = |actions: &[&str]| {
            let actions: Vec<Bson> = actions.iter().map(|&action| action.into()).collect();
            doc! { "resource": { "db": "shop", "collection": "" }, "actions": actions }
        };
        let on_cluster = doc! { "resource": { "cluster": true }, "actions": ["applyOps"] };
        let seen = |privileges: Vec<Document>| doc! { "privileges": privileges, "roles": [] };
        assert!(role.is(&seen(vec![on_cluster.clone(), on_shop(&["insert", "find"])])));
        assert!(!role.is(&seen(vec![on_cluster.clone(), on_shop(&["insert", "find", "remove"])])));
        assert!(!role.is(&seen(vec![on_shop(&["insert", "find"])])));
        let mut inheriting = seen(vec![on_cluster, on_shop(&["insert", "find"])]);
        inheriting.insert("roles", vec![doc! { "role": "root", "db": "admin" }]);
        assert!(!role.is(&inheriting));
    }
}
