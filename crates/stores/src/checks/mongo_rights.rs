//! Each user of MongoDB may do what it is for, and nothing else: by the server's own word, and by trying.

use std::collections::BTreeSet;

use futures_util::future::{join_all, try_join_all};
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use manifest::environment;
use mongodb::Client;
use mongodb::bson::{Document, doc, oid::ObjectId};
use reconcile::Fault;

use super::mongo::{PROBE, ask, judge_fault, write_and_read};
use super::{Tried, must_be_allowed, must_be_refused};
use crate::external::Dialect;
use crate::ground::{Ground, Slot};
use crate::leases::book;
use crate::mongo::observe::asking;
use crate::mongo::rights::{Role, RoleKey, allowed};
use crate::mongo::roles::{app_role, documents, is_restricted_to_loopback, roles_of};
use crate::mongo::{Members, MongoFault, OwnUser, Provider, UserKey, app_secret, code, command};

pub(super) const CLAIM: Claim = Claim {
    task: "T3",
    id: "mongodb-gives-least-privilege",
    claim: "MongoDB has the users that somebody needs and no other, and each may do what it is for and nothing else",
    hint: "run `roadbed up` to set users and rights again",
    impact: Impact::Observes,
};

/// A collection that nobody has and a user that nobody is: what is allowed on them by mistake does no harm.
const ABSENT: &str = "roadbed_probe_absent";

#[derive(Debug)]
pub struct MongoGivesLeastPrivilege {
    pub(super) settings: environment::MongoDb,
    provider: Provider,
    pub(super) ground: Ground,
}

/// What one of our users tries.
struct Probe {
    what: &'static str,
    database: String,
    question: Document,
}

impl MongoGivesLeastPrivilege {
    pub fn new(settings: environment::MongoDb, provider: impl Into<Provider>, ground: Ground) -> Self {
        Self { settings, provider: provider.into(), ground }
    }

    async fn look(&self) -> Outcome {
        match &self.provider {
            Provider::Ours(members) => self.look_at_ours(members).await,
            // No command shows them there; what apps may is tried by who guards the door.
            Provider::External(external) if external.dialect == Dialect::Atlas => {
                let mut findings = Findings::default();
                findings.good("users and roles are Atlas's: each convergence compares them by its API");
                findings.outcome()
            }
            Provider::External(_) => self.look_elsewhere(&self.provider).await,
        }
    }

    async fn look_at_ours(&self, members: &Members) -> Outcome {
        let mut findings = Findings::default();
        let primary = match members.primary(&self.ground).await {
            Ok(primary) => primary,
            Err(fault) => {
                findings.bad(format!("users and rights cannot be seen: {}", told(&fault)));
                return findings.outcome();
            }
        };
        if let Err(fault) = self.compare(primary, &mut findings).await {
            findings.bad(format!("users and rights cannot be seen: {}", told(&fault)));
            return findings.outcome();
        }
        let own = OwnUser::of(&self.settings);
        for found in join_all(own.iter().map(|user| self.try_as(primary, *user))).await {
            for (what, tried, is_wanted) in found {
                if is_wanted {
                    must_be_allowed(&mut findings, &what, tried);
                } else {
                    must_be_refused(&mut findings, &what, tried);
                }
            }
        }
        findings.outcome()
    }

    /// What the server says of each user against what is wanted of it.
    async fn compare(&self, primary: u16, findings: &mut Findings) -> Result<(), Fault> {
        let admin = OwnUser::Administrator.client(&self.ground, primary)?;
        let mut wanted: Vec<(UserKey, Role)> = OwnUser::of(&self.settings)
            .into_iter()
            .map(|user| (user.key(&self.ground.id), user.role(&self.settings)))
            .collect();
        wanted.extend(self.of_apps()?);
        let before = book::read(&self.ground.root)?;
        let listed = command(&admin, "admin", doc! { "usersInfo": { "forAllDBs": true } });
        let listed = listed.await.map_err(|fault| asking(&fault))?;
        // Before and after the server's list: what is lent is in the book for longer than its user is there.
        let after = book::read(&self.ground.root)?;
        let lent: BTreeSet<UserKey> = before
            .into_iter()
            .chain(after)
            .filter_map(|lease| Some(UserKey { database: lease.mongodb?, name: lease.id }))
            .collect();
        let strangers: Vec<String> = documents(&listed, "users")
            .filter_map(UserKey::of)
            .filter(|user| !lent.contains(user) && wanted.iter().all(|(key, _)| key != user))
            .map(|user| format!("{} of {}", user.name, user.database))
            .collect();
        if strangers.is_empty() {
            findings.good(format!("there are {} users, all of which somebody needs", wanted.len() + lent.len()));
        } else {
            findings.bad(format!("nobody asked for {}", strangers.join(", ")));
        }
        self.compare_each(&admin, &wanted, findings).await
    }

    /// What the server says of these users against what is wanted of them.
    pub(super) async fn compare_each(
        &self,
        admin: &Client,
        wanted: &[(UserKey, Role)],
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let shown = try_join_all(wanted.iter().map(|(key, role)| shown(admin, key, role)));
        for ((key, role), (user, kept)) in wanted.iter().zip(shown.await.map_err(|fault| asking(&fault))?) {
            let may_come_from_anywhere = matches!(self.provider, Provider::External(_));
            let restricted = |user: &Document| may_come_from_anywhere || is_restricted_to_loopback(user);
            match differs(role, user.as_ref(), kept.as_ref(), restricted) {
                None => findings.good(format!(
                    "{} has the role {} and its {} rights",
                    key.name,
                    role.key.name,
                    role.allowed().len()
                )),
                Some(how) => findings.bad(format!("{}: {how}", key.name)),
            }
        }
        Ok(())
    }

    /// Users that apps are to have.
    pub(super) fn of_apps(&self) -> Result<Vec<(UserKey, Role)>, Fault> {
        let mut wanted = Vec::new();
        for app in &self.settings.apps {
            let logins = self.ground.logins(&app_secret(app))?;
            let key = |version| UserKey::app(&self.settings, app, Slot::of(version));
            wanted.extend(logins.iter().map(|login| (key(login.version), app_role(&self.settings))));
        }
        Ok(wanted)
    }

    /// What became of all that this user tried: in words, and whether it is to be allowed.
    async fn try_as(&self, primary: u16, user: OwnUser) -> Vec<(String, Tried, bool)> {
        let client = match user.client(&self.ground, primary) {
            Ok(client) => client,
            Err(fault) => return vec![(format!("{user} connected"), Tried::Broken(told(&fault)), true)],
        };
        let database = &self.settings.database;
        let mut found = Vec::new();
        if user == OwnUser::Restore {
            let tried = write_and_read(&client, database).await;
            found.push((format!("{user} wrote, read and removed a document"), tried, true));
        }
        for probe in may(user, database) {
            let tried = match command(&client, &probe.database, probe.question).await {
                // Let through, as far as somebody who is not there.
                Err(fault) if fault.code() == Some(code::USER_NOT_FOUND) => Tried::Allowed,
                Ok(_) => Tried::Allowed,
                Err(fault) => judge_fault(&fault),
            };
            found.push((format!("{user} tried to {}", probe.what), tried, true));
        }
        for probe in may_not(user, database) {
            let tried = ask(&client, &probe.database, probe.question).await;
            found.push((format!("{user} tried to {}", probe.what), tried, false));
        }
        found
    }
}

pub(super) fn told(fault: &Fault) -> String {
    fault.causes.first().map_or_else(|| fault.message.clone(), |cause| format!("{}: {cause}", fault.message))
}

/// A user and its role as the server shows them.
async fn shown(admin: &Client, key: &UserKey, role: &Role) -> Result<(Option<Document>, Option<Document>), MongoFault> {
    let name = doc! { "user": &key.name, "db": &key.database };
    let user = doc! { "usersInfo": name, "showPrivileges": true, "showAuthenticationRestrictions": true };
    let kept = doc! { "rolesInfo": &role.key.name, "showPrivileges": true, "showAuthenticationRestrictions": true };
    let (user, kept) =
        futures_util::try_join!(command(admin, "admin", user), command(admin, &role.key.database, kept))?;
    Ok((documents(&user, "users").next().cloned(), documents(&kept, "roles").next().cloned()))
}

/// How a user is not as it should be.
fn differs(
    role: &Role,
    user: Option<&Document>,
    kept: Option<&Document>,
    is_restricted: impl Fn(&Document) -> bool,
) -> Option<String> {
    let Some(user) = user else { return Some("it is missing".to_owned()) };
    let has = roles_of(user);
    if has != [(role.key.name.clone(), role.key.database.clone())] {
        let has: Vec<String> = has.into_iter().map(|(role, database)| format!("{role} of {database}")).collect();
        return Some(format!("it has {} instead of {} alone", has.join(", "), role.key.name));
    }
    if !kept.is_some_and(|kept| RoleKey::of(kept).as_ref() == Some(&role.key) && role.is(kept)) {
        return Some(format!("its role {} allows something else than it should", role.key.name));
    }
    // Roles of the server's own are its own business.
    if role.inherits.is_empty() {
        let (has, wanted) = (allowed(documents(user, "inheritedPrivileges")), role.allowed());
        if let Some((on, action)) = has.symmetric_difference(&wanted).next() {
            let verb = if has.contains(&(on.clone(), action.clone())) { "may" } else { "may not" };
            return Some(format!("it {verb} {action} on {on}"));
        }
    }
    (!is_restricted(user)).then(|| "it may come from anywhere".to_owned())
}

fn probe(what: &'static str, database: &str, question: Document) -> Probe {
    Probe { what, database: database.to_owned(), question }
}

fn read(database: &str) -> Probe {
    probe("read the apps' data", database, doc! { "find": PROBE, "limit": 1 })
}

fn list_users(database: &str) -> Probe {
    probe("list users", database, doc! { "usersInfo": 1 })
}

fn delete(database: &str) -> Probe {
    let nothing = doc! { "q": { "_id": ObjectId::new() }, "limit": 1 };
    probe("delete the apps' data", database, doc! { "delete": ABSENT, "deletes": [nothing] })
}

/// What each user is for.
fn may(user: OwnUser, database: &str) -> Vec<Probe> {
    let list = || probe("list collections", database, doc! { "listCollections": 1 });
    let set_password = doc! { "updateUser": ABSENT, "pwd": "x", "mechanisms": ["SCRAM-SHA-256"] };
    match user {
        OwnUser::Administrator => {
            vec![list_users(database), probe("see the replica set", "admin", doc! { "replSetGetConfig": 1 })]
        }
        OwnUser::Collections => vec![list(), read(database)],
        OwnUser::Backup => {
            let views = doc! { "find": "system.views", "limit": 1 };
            vec![list(), read(database), probe("read the definitions of views", database, views)]
        }
        OwnUser::PointInTimeReader => vec![probe("read the oplog", "local", doc! { "find": "oplog.rs", "limit": 1 })],
        OwnUser::Rotator => vec![list_users(database), probe("set a password", database, set_password)],
        OwnUser::Monitor => vec![
            probe("see the server's state", "admin", doc! { "serverStatus": 1 }),
            probe("see the replica set's state", "admin", doc! { "replSetGetStatus": 1 }),
            probe("see the size of the database", database, doc! { "dbStats": 1 }),
        ],
        OwnUser::Restore => vec![list(), probe("replay a change", "admin", replay(database))],
    }
}

/// What it must not.
fn may_not(user: OwnUser, database: &str) -> Vec<Probe> {
    let elsewhere = format!("{database}-other");
    let grant = doc! { "grantRolesToUser": ABSENT, "roles": [{ "role": "dbOwner", "db": database }] };
    let mut all = vec![
        probe("see how the server was started", "admin", doc! { "getCmdLineOpts": 1 }),
        probe("read another database", &elsewhere, doc! { "find": PROBE, "limit": 1 }),
    ];
    let others = match user {
        OwnUser::Administrator => vec![read(database), delete(database)],
        OwnUser::Collections => vec![delete(database), probe("drop a collection", database, doc! { "drop": ABSENT })],
        OwnUser::Backup => vec![delete(database)],
        OwnUser::PointInTimeReader | OwnUser::Monitor => vec![read(database), delete(database)],
        OwnUser::Rotator => {
            vec![read(database), delete(database), probe("drop a user", database, doc! { "dropUser": ABSENT })]
        }
        OwnUser::Restore => {
            vec![probe("replay a change elsewhere", "admin", replay(&elsewhere)), list_users(database)]
        }
    };
    all.extend(others);
    if user != OwnUser::Administrator {
        all.push(probe("grant rights", database, grant));
        all.push(probe("read passwords' digests", "admin", doc! { "find": "system.users", "limit": 1 }));
    }
    if user != OwnUser::PointInTimeReader {
        all.push(probe("read the oplog", "local", doc! { "find": "oplog.rs", "limit": 1 }));
    }
    all
}

/// The removal of a document that nobody has.
fn replay(database: &str) -> Document {
    doc! { "applyOps": [{ "op": "d", "ns": format!("{database}.{PROBE}"), "o": { "_id": ObjectId::new() } }] }
}

impl Check for MongoGivesLeastPrivilege {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(self.look())
    }
}
