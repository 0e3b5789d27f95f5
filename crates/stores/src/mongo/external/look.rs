//! Looking at somebody else's MongoDB. Nothing here changes anything; what is not as it must be is a fault that says what to do.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;

use super::apply::who_am_i;
use super::{ExternalMongo, elsewhere, explain};
use crate::Ground;
use crate::engines::version::Version;
use crate::external::{self, Met, at_the_door, knock};
use crate::leases;
use crate::mongo::UNIT;
use crate::mongo::certificate::fingerprints;
use crate::mongo::client::{self, Identity, MongoFault, command, connect};
use crate::mongo::observe::asking;
use crate::mongo::own_users::mark_of;
use crate::mongo::rights::{RoleKey, allowed};
use crate::mongo::roles::{self, UserKey, documents};
use crate::mongo::users::{Login, WrongUser, logins};

/// The last release that is known to take what is said here. A later one may, and somebody has to have tried it.
const NEWEST: u32 = 8;

/// What the administrator must be allowed to do on the environment's database.
const NEEDED: [&str; 16] = [
    "changeCustomData",
    "changePassword",
    "collMod",
    "createCollection",
    "createIndex",
    "createRole",
    "createUser",
    "dropIndex",
    "dropUser",
    "find",
    "grantRole",
    "listCollections",
    "listIndexes",
    "revokeRole",
    "viewRole",
    "viewUser",
];

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub has_credentials: bool,
    pub role_is_wrong: bool,
    pub apps: Vec<WrongUser>,
    /// Users of ours that nobody wants.
    pub unwanted: Vec<UserKey>,
    /// Users of apps whose password is retired.
    pub retired: Vec<UserKey>,
    /// What others have in the environment's database.
    pub strangers: Vec<UserKey>,
    pub strange_roles: Vec<RoleKey>,
}

pub(super) async fn observe(mongo: &ExternalMongo) -> Result<Observed, Fault> {
    let client = mongo.admin().await?;
    let hello = match client::hello(&client).await {
        Ok(hello) => hello,
        Err(fault) => {
            mongo.admin.forget();
            return Err(why_not(mongo, &fault).await);
        }
    };
    let failed = |fault: MongoFault| explain(asking(&fault));
    let build = command(&client, "admin", doc! { "buildInfo": 1 });
    let status = command(&client, "admin", who_am_i());
    let (build, status) = futures_util::try_join!(build, status).map_err(failed)?;
    let at = super::read(&mongo.ground)?.hosts().to_owned();
    refuse_other_versions(&build, &mongo.settings.min_version, &at)?;
    refuse_lone_servers(&hello, &at)?;
    refuse_small_rights(&status, &mongo.settings.database, &mongo.ground)?;
    look(mongo, &client).await
}

/// Why the server did not even say hello.
async fn why_not(mongo: &ExternalMongo, fault: &MongoFault) -> Fault {
    let ground = &mongo.ground;
    let address = match super::read(ground) {
        Ok(address) => address,
        Err(fault) => return fault,
    };
    if fault.is_wrong_password() {
        return Fault::because(format!("mongodb at {} refuses the login of our administrator", address.hosts()), fault)
            .hint(format!("`{}` sets the address with another login, read from stdin", external::set(ground, UNIT)));
    }
    let met = match elsewhere(ground, &mongo.external).await {
        Ok(elsewhere) => servers_met(&elsewhere, &mongo.external, ground).await,
        Err(fault) => return fault,
    };
    let met = match met {
        Ok(met) => met,
        Err(fault) => return fault,
    };
    let told = met.iter().find_map(|(at, met)| match (met, address.is_encrypted) {
        // In the clear, which is for this machine alone, it matters only that somebody is there.
        (Met::Plain | Met::NotBelieved(_), false) => None,
        (met, _) => at_the_door(met, UNIT, at, ground),
    });
    told.unwrap_or_else(|| explain(asking(fault)))
}

/// Every server of an address, and who was met there.
pub(crate) async fn servers_met(
    elsewhere: &super::Elsewhere,
    external: &external::External,
    ground: &Ground,
) -> Result<Vec<(String, Met)>, Fault> {
    let tls = external.tls(ground)?;
    let servers = elsewhere.servers();
    let all = servers.iter().map(|(host, port)| knock(host, *port, tls.clone()));
    let met = futures_util::future::join_all(all).await;
    Ok(servers.iter().map(|(host, port)| format!("{host}:{port}")).zip(met).collect())
}

fn refuse_other_versions(build: &Document, least: &str, at: &str) -> Result<(), Fault> {
    let told = build.get_str("version").unwrap_or_default();
    let cannot = |why: String| Fault::new(format!("cannot use mongodb at {at}: its version does not serve")).cause(why);
    let Ok(version) = Version::parse(told) else {
        return Err(cannot(format!("it says that its version is {told:?}")));
    };
    if Version::parse(least).is_ok_and(|least| version < least) {
        return Err(cannot(format!("it is {version}, and at least {least} is needed")).hint(
            "let its provider upgrade it, or lower `min_version` of [services.mongodb] if the apps can do with it",
        ));
    }
    if version.major > NEWEST {
        return Err(cannot(format!("it is {version}, and nobody has tried what is newer than {NEWEST}"))
            .hint("take a Roadbed that knows it, or a server of an older version"));
    }
    Ok(())
}

fn refuse_lone_servers(hello: &Document, at: &str) -> Result<(), Fault> {
    let is_set = hello.contains_key("setName") || hello.get_str("msg").ok() == Some("isdbgrid");
    if is_set {
        return Ok(());
    }
    Err(Fault::new(format!("cannot use mongodb at {at}: it is a server alone"))
        .cause("without a replica set there are no transactions and no change streams, which apps may use")
        .hint("let its provider make a replica set of it; one member is enough"))
}

/// Which actions the login may do on the database's collections.
fn rights(status: &Document, database: &str) -> BTreeSet<String> {
    let privileges = status.get_document("authInfo").ok();
    let privileges = privileges.into_iter().flat_map(|info| documents(info, "authenticatedUserPrivileges"));
    let covers = |privilege: &&Document| {
        let Ok(resource) = privilege.get_document("resource") else { return false };
        let on = |key: &str| resource.get_str(key).ok();
        resource.get_bool("anyResource").unwrap_or(false)
            || (on("collection") == Some("") && (on("db") == Some("") || on("db") == Some(database)))
    };
    let actions = privileges.filter(covers).flat_map(|privilege| privilege.get_array("actions").into_iter().flatten());
    actions.filter_map(Bson::as_str).map(str::to_owned).collect()
}

fn refuse_small_rights(status: &Document, database: &str, ground: &Ground) -> Result<(), Fault> {
    let has = rights(status, database);
    if has.contains("anyAction") {
        return Ok(());
    }
    let lacks: Vec<&str> = NEEDED.into_iter().filter(|action| !has.contains(*action)).collect();
    if lacks.is_empty() {
        return Ok(());
    }
    Err(Fault::new("the login in the address of mongodb is not an administrator's")
        .cause(format!("on {database} it may not {}", lacks.join(", ")))
        .hint(format!(
            "grant it userAdmin, dbAdmin and readWrite on {database}, or `{}` with another login",
            external::set(ground, UNIT)
        )))
}

async fn look(mongo: &ExternalMongo, client: &Client) -> Result<Observed, Fault> {
    let (settings, ground) = (&mongo.settings, &mongo.ground);
    let failed = |fault: MongoFault| explain(asking(&fault));
    let logins = logins(&mongo.ground, &mongo.settings)?;
    let users = command(client, &settings.database, doc! { "usersInfo": 1 });
    let roles = command(client, &settings.database, doc! { "rolesInfo": 1, "showPrivileges": true });
    let passwords = try_join_all(logins.iter().map(|login| logs_in(mongo, login)));
    let asked = async { futures_util::try_join!(users, roles).map_err(failed) };
    let ((users, roles), passwords) = futures_util::try_join!(asked, passwords)?;

    let marks = fingerprints(ground)?;
    let key = |login: &Login| UserKey::app(settings, &login.app, login.slot);
    let wanted: Vec<UserKey> = logins.iter().map(key).collect();
    refuse_foreign(documents(&users, "users"), &wanted, &marks, mongo)?;
    let found = |key: &UserKey| documents(&users, "users").find(|user| UserKey::of(user).as_ref() == Some(key));
    let apps = logins.iter().zip(passwords).map(|(login, is_right_password)| {
        let because = match found(&key(login)) {
            None => vec!["missing"],
            Some(user) => {
                let mut faults = roles::faults_of_app_user(user, settings);
                if !is_right_password {
                    faults.push("password");
                }
                if mark_of(user) != marks.first().map(String::as_str) {
                    faults.push("mark");
                }
                faults
            }
        };
        WrongUser { app: login.app.clone(), slot: login.slot, because }
    });
    let apps = apps.filter(|user| !user.because.is_empty()).collect();

    // Read after the server's list: what is lent is in the book before its user is made.
    let lent: Vec<String> = leases::book::read(&ground.root)?.into_iter().map(|lease| lease.id).collect();
    let (mut unwanted, mut retired, mut strangers) = (Vec::new(), Vec::new(), Vec::new());
    for user in documents(&users, "users") {
        let Some(key) = UserKey::of(user).filter(|key| !wanted.contains(key) && !lent.contains(&key.name)) else {
            continue;
        };
        match is_ours(user, &marks) {
            false => strangers.push(key),
            true if key.is_of_an_app(settings) => retired.push(key),
            true => unwanted.push(key),
        }
    }
    let app_role = roles::app_role(settings);
    let is_app_role = |role: &&Document| RoleKey::of(role).as_ref() == Some(&app_role.key);
    let kept = documents(&roles, "roles").find(is_app_role);
    let strange = documents(&roles, "roles").filter(|role| !is_app_role(role)).filter_map(RoleKey::of).collect();
    Ok(Observed {
        has_credentials: !marks.is_empty() && logins.iter().all(|login| login.password.is_some()),
        role_is_wrong: !kept.is_some_and(|role| {
            app_role.is(role) && allowed(documents(role, "inheritedPrivileges")) == app_role.allowed()
        }),
        apps,
        unwanted,
        retired,
        strangers,
        strange_roles: strange,
    })
}

fn is_ours(user: &Document, marks: &[String]) -> bool {
    mark_of(user).is_some_and(|mark| marks.iter().any(|ours| ours == mark))
}

/// Before a user is set: that it is not somebody else's.
pub(super) async fn refuse_foreign_users(mongo: &ExternalMongo, client: &Client) -> Result<(), Fault> {
    let users = command(client, &mongo.settings.database, doc! { "usersInfo": 1 }).await;
    let users = users.map_err(|fault| explain(asking(&fault)))?;
    let wanted: Vec<UserKey> = logins(&mongo.ground, &mongo.settings)?
        .iter()
        .map(|login| UserKey::app(&mongo.settings, &login.app, login.slot))
        .collect();
    refuse_foreign(documents(&users, "users"), &wanted, &fingerprints(&mongo.ground)?, mongo)
}

/// A user with a name of ours that we did not make: to set its password would lock out whoever has it.
fn refuse_foreign<'d>(
    users: impl Iterator<Item = &'d Document>,
    wanted: &[UserKey],
    marks: &[String],
    mongo: &ExternalMongo,
) -> Result<(), Fault> {
    let mut foreign = users.filter(|user| !is_ours(user, marks)).filter_map(UserKey::of);
    let Some(user) = foreign.find(|user| wanted.contains(user)) else { return Ok(()) };
    let (name, database) = (&user.name, &user.database);
    let at = super::read(&mongo.ground)?.hosts().to_owned();
    Err(Fault::new(format!("mongodb at {at} has a user {name} of {database} already, and it is not ours"))
        .cause("another root of this environment made it, with a secret store of its own, or somebody did by hand")
        .hint(format!(
            "bring back the secret store that belongs to it; if nobody needs it, db.getSiblingDB(\"{database}\").dropUser(\"{name}\") takes it away"
        )))
}

/// The only way to compare a password with a server's is to use it.
async fn logs_in(mongo: &ExternalMongo, login: &Login) -> Result<bool, Fault> {
    let Some(password) = &login.password else { return Ok(false) };
    let key = UserKey::app(&mongo.settings, &login.app, login.slot);
    let who = Identity::User { name: &key.name, database: &key.database, password: &password.secret };
    let address = client::Address::Elsewhere(Box::new(elsewhere(&mongo.ground, &mongo.external).await?));
    let asked = match connect(&address, who) {
        Ok(client) => client::hello(&client).await,
        Err(fault) => Err(fault),
    };
    match asked {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_wrong_password() => Ok(false),
        Err(fault) => Err(explain(asking(&fault))),
    }
}
