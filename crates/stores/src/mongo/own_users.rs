//! Our own users: who they are to the server, and what each may do.
//!
//! They have no password: each shows a certificate that control signs for it when it connects, and that ends after hours. Its
//! name is their name in `$external`.

use std::fmt;

use certificates::{Authority, Leaf, Purpose, Subject};
use manifest::environment;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use reconcile::Fault;

use super::certificate::{CLIENT_LIFE, fingerprint};
use super::client::{Address, Identity, MongoFault, Trust, code, command, connect};
use super::observe::asking;
use super::rights::{On, Role, RoleKey};
use super::roles::{UserKey, is_restricted_to_loopback, loopback_only, roles_of, sorted_strings};
use crate::Ground;

/// The database of those who show a certificate.
pub(crate) const EXTERNAL: &str = "$external";

/// Not the members' unit: the server would take who has that for itself.
const UNIT_OF_OURS: &str = "control";

/// One of our own users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnUser {
    /// Manages users, roles, certificates and the replica set, and cannot read an app's documents.
    Administrator,
    /// Makes collections, their indexes and rules. Reads documents to say which of them stand in the way of a unique index.
    Collections,
    /// Reads the apps' database whole.
    Backup,
    /// Reads the oplog: every change since the last backup.
    PointInTimeReader,
    /// Sets passwords. It may neither make a user nor grant anything, with which it could make itself owner.
    Rotator,
    /// Reads how the server is, and no document.
    Monitor,
    /// Fills the apps' database from a backup.
    Restore,
}

impl OwnUser {
    pub const ALL: [Self; 7] = [
        Self::Administrator,
        Self::Collections,
        Self::Backup,
        Self::PointInTimeReader,
        Self::Rotator,
        Self::Monitor,
        Self::Restore,
    ];

    /// Those that an environment has.
    pub(crate) fn of(settings: &environment::MongoDb) -> Vec<Self> {
        let is_wanted = |user: &Self| *user != Self::Collections || !settings.collections.is_empty();
        Self::ALL.into_iter().filter(is_wanted).collect()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Administrator => "roadbed",
            Self::Collections => "collections",
            Self::Backup => "backup",
            Self::PointInTimeReader => "pitr",
            Self::Rotator => "rotator",
            Self::Monitor => "monitor",
            Self::Restore => "restore",
        }
    }

    fn subject(self, organization: &str) -> Subject<'_> {
        Subject {
            common_name: self.name(),
            organization: Some((organization, UNIT_OF_OURS)),
            hosts: &[],
            purposes: &[Purpose::Client],
        }
    }

    /// Its name at the server of this root.
    pub fn key(self, root: &str) -> UserKey {
        UserKey { database: EXTERNAL.to_owned(), name: self.subject(root).distinguished_name() }
    }

    /// What shows that somebody is this user, for some hours.
    ///
    /// # Errors
    /// Where there is no authority yet, or its key cannot be used.
    pub fn certificate(self, ground: &Ground) -> Result<Leaf, Fault> {
        ground.issue(&self.subject(&ground.id), CLIENT_LIFE)
    }

    /// As [`Self::certificate`], by whom one likes: to see that nobody believes him.
    pub(crate) fn certificate_by(self, authority: &Authority, ground: &Ground) -> Result<Leaf, Fault> {
        authority
            .issue(&self.subject(&ground.id), ground.clock.now(), CLIENT_LIFE)
            .map_err(|fault| Fault::because(format!("cannot issue a certificate for {self}"), &fault))
    }

    /// Logged in on the server's port when it is first used.
    ///
    /// # Errors
    /// Where there is no authority yet, or its key cannot be used.
    pub fn client(self, ground: &Ground, port: u16) -> Result<Client, Fault> {
        let (trust, leaf) = (Trust::of(ground)?, self.certificate(ground)?);
        connect(&Address::Port { port, trust }, Identity::Bearer(&leaf)).map_err(|fault| asking(&fault))
    }

    /// Its one role.
    pub(crate) fn role(self, settings: &environment::MongoDb) -> Role {
        let database = settings.database.clone();
        let on_database = On::Database(database.clone());
        let reads = vec!["collStats", "dbStats", "find", "listCollections", "listIndexes"];
        // A role of a database says nothing of another or of the server; one of `admin` may.
        let (home, allows) = match self {
            // Not the server's own `clusterManager`, which reads the oplog, and with it every document.
            Self::Administrator => {
                let actions = [
                    "inprog",
                    "replSetConfigure",
                    "replSetGetConfig",
                    "replSetGetStatus",
                    "replSetStateChange",
                    "rotateCertificates",
                    "serverStatus",
                ];
                ("admin", vec![(On::Cluster, actions.to_vec())])
            }
            Self::Collections => {
                let actions = [
                    "collMod",
                    "createCollection",
                    "createIndex",
                    "dropIndex",
                    "find",
                    "listCollections",
                    "listIndexes",
                ];
                (database.as_str(), vec![(on_database, actions.to_vec())])
            }
            Self::Backup => {
                let server_own = |name| (On::Collection(database.clone(), name), vec!["find"]);
                (database.as_str(), vec![(on_database, reads), server_own("system.js"), server_own("system.views")])
            }
            Self::PointInTimeReader => ("admin", vec![(On::Collection("local".to_owned(), "oplog.rs"), vec!["find"])]),
            Self::Rotator => {
                (database.as_str(), vec![(on_database, vec!["changeCustomData", "changePassword", "viewUser"])])
            }
            Self::Monitor => (
                "admin",
                vec![
                    (On::Cluster, vec!["replSetGetStatus", "serverStatus"]),
                    (on_database, vec!["collStats", "dbStats"]),
                ],
            ),
            Self::Restore => {
                let actions = [
                    "bypassDocumentValidation",
                    "collMod",
                    "createCollection",
                    "createIndex",
                    "dropCollection",
                    "find",
                    "insert",
                    "listCollections",
                    "listIndexes",
                    "remove",
                    "renameCollectionSameDB",
                    "update",
                ];
                ("admin", vec![(On::Cluster, vec!["applyOps"]), (on_database, actions.to_vec())])
            }
        };
        let name = match self {
            Self::Administrator => "roadbed-administrator".to_owned(),
            _ => format!("roadbed-{}", self.name()),
        };
        let inherits = match self {
            Self::Administrator => vec!["userAdminAnyDatabase"],
            _ => Vec::new(),
        };
        Role { key: RoleKey { database: home.to_owned(), name }, allows, inherits }
    }

    /// What is wrong with it; empty if nothing is. `user` is as `usersInfo` shows it, `roles` as the server keeps them.
    pub(super) fn faults(
        self,
        user: Option<&Document>,
        roles: &[Document],
        settings: &environment::MongoDb,
        mark: &str,
    ) -> Vec<&'static str> {
        let Some(user) = user else { return vec!["missing"] };
        let role = self.role(settings);
        let is_right = roles.iter().any(|seen| RoleKey::of(seen).as_ref() == Some(&role.key) && role.is(seen));
        let mut faults = Vec::new();
        if !is_right || roles_of(user) != [(role.key.name, role.key.database)] {
            faults.push("rights");
        }
        if sorted_strings(user, "mechanisms") != ["external"] {
            faults.push("mechanisms");
        }
        if !is_restricted_to_loopback(user) {
            faults.push("address restrictions");
        }
        if mark_of(user) != Some(mark) {
            faults.push("mark");
        }
        faults
    }

    /// Makes it with its role, or makes both right. Awaited until it is in the journals of a majority: a kill may take away no
    /// administrator who was noted.
    pub(super) async fn put(
        self,
        client: &Client,
        ground: &Ground,
        settings: &environment::MongoDb,
    ) -> Result<(), MongoFault> {
        let role = self.role(settings);
        role.put(client).await?;
        let authority = ground.authority().ok().flatten().and_then(|authority| fingerprint(&authority).ok());
        let fields = || {
            doc! {
                "roles": [{ "role": &role.key.name, "db": &role.key.database }],
                "customData": { MARK: authority.clone() },
                "authenticationRestrictions": loopback_only(),
                "writeConcern": { "w": "majority", "j": true },
            }
        };
        let key = self.key(&ground.id);
        let mut create = doc! { "createUser": &key.name };
        create.extend(fields());
        match command(client, EXTERNAL, create).await {
            Err(fault) if fault.code() == Some(code::USER_EXISTS) => {
                let mut update = doc! { "updateUser": &key.name };
                update.extend(fields());
                command(client, EXTERNAL, update).await.map(drop)
            }
            other => other.map(drop),
        }
    }
}

impl fmt::Display for OwnUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Administrator => "administrator",
            other => other.name(),
        })
    }
}

/// Field of a user of ours that holds the fingerprint of the authority that made it: data of another secret store has another.
pub(super) const MARK: &str = "authority";

/// Whose data it is, as this user says.
pub(crate) fn mark_of(user: &Document) -> Option<&str> {
    user.get_document("customData").ok()?.get_str(MARK).ok()
}
