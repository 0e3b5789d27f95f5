//! Who logs in: an app by two users in turn, and ours. Atlas tells no password, so the book says which version a user was given.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reconcile::Fault;
use secrets::{Secret, SecretName, Versioned};

use super::api::{ADMIN, Client, Made};
use super::wire::{Cluster, PutUser, Role, RoleOf, Scope, ScopeType, SeenUser};
use super::{Inner, rights};
use crate::book::Ordered;

/// A user that is to be there.
pub(super) struct Login {
    pub(super) name: String,
    role: String,
    /// `None`: to be made.
    pub(super) password: Option<Versioned>,
}

impl Inner {
    pub(super) fn put_user(&self, client: &Client, name: &str) -> Result<(), Fault> {
        let project = self.project()?;
        // Retired since the plan was made: the next look finds nothing to do.
        let Some(login) = self.logins()?.into_iter().find(|login| login.name == *name) else { return Ok(()) };
        let Some(password) = login.password else { return Ok(()) };
        let user = PutUser {
            database_name: ADMIN,
            group_id: &project,
            username: name,
            password: &password.secret,
            roles: vec![RoleOf { database_name: ADMIN.to_owned(), role_name: login.role }],
            scopes: vec![self.scope()],
        };
        let is_there = client.users(&project)?.iter().any(|user| user.username == *name);
        if is_there || matches!(client.create_user(&user)?, Made::Before(_)) {
            client.update_user(&user)?;
        }
        let Some(mut noted) = self.keeping.ordered()? else { return Ok(()) };
        noted.passwords.insert(name.to_owned(), password.version);
        self.keeping.note(&noted)
    }

    /// Why a user is not right; `None` if it is.
    pub(super) fn wrong(&self, login: &Login, seen: Option<&SeenUser>, noted: &Ordered) -> Option<&'static str> {
        let Some(seen) = seen else { return Some("missing") };
        let role = RoleOf { database_name: ADMIN.to_owned(), role_name: login.role.clone() };
        let version = login.password.as_ref().map(|password| password.version);
        if seen.roles != [role] || seen.database_name != ADMIN {
            Some("roles")
        } else if seen.scopes != [self.scope()] {
            Some("scopes")
        } else if noted.passwords.get(&login.name).copied() != version {
            Some("password")
        } else {
            None
        }
    }

    fn scope(&self) -> Scope {
        Scope { name: self.wanted.cluster.clone(), kind: ScopeType::Cluster }
    }

    pub(super) fn roles(&self) -> [Role; 2] {
        let database = &self.inside.database;
        [rights::of_apps(database, self.inside.apps_index), rights::of_administrator(database)]
    }

    /// All names that users of ours have, now or at another version of a password.
    pub(super) fn names(&self) -> Vec<String> {
        let apps = self.inside.apps.iter().flat_map(|app| app.names.iter().cloned());
        apps.chain([self.administrator()]).collect()
    }

    fn administrator(&self) -> String {
        format!("{}-roadbed", self.inside.database)
    }

    /// Everybody who is to log in.
    pub(super) fn logins(&self) -> Result<Vec<Login>, Fault> {
        let [of_apps, of_administrator] = self.roles().map(|role| role.role_name);
        let mut all = vec![Login {
            name: self.administrator(),
            role: of_administrator,
            password: self.keeping.get(&administrator_secret())?,
        }];
        for app in &self.inside.apps {
            let accepted = self.keeping.accepted(&app.secret)?;
            let role = || of_apps.clone();
            if accepted.is_empty() {
                all.push(Login { name: app.names[0].clone(), role: role(), password: None });
            }
            for password in accepted {
                let name = app.names[if password.version % 2 == 1 { 0 } else { 1 }].clone();
                // Where a third is kept already it gets its user when one of the two that are held is retired.
                if all.iter().all(|other| other.name != name) {
                    all.push(Login { name, role: role(), password: Some(password) });
                }
            }
        }
        Ok(all)
    }

    /// As `stores` reads the address of somebody else's MongoDB.
    pub(super) fn address(&self, cluster: &Cluster) -> Result<Option<Secret>, Fault> {
        let (Some(server), Some(password)) =
            (&cluster.connection_strings.standard_srv, self.keeping.get(&administrator_secret())?)
        else {
            return Ok(None);
        };
        let host = server.strip_prefix("mongodb+srv://").unwrap_or(server);
        let host = &host[..host.find(['/', '?']).unwrap_or(host.len())];
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, password) = (encode(&self.administrator()), encode(password.secret.expose()));
        Ok(Some(Secret::new(format!("mongodb+srv://{user}:{password}@{host}/?authSource={ADMIN}"))))
    }
}

/// The password of our administrator there.
pub(super) fn administrator_secret() -> SecretName {
    SecretName::new("mongodb/atlas-administrator")
}
