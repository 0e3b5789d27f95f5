//! Looking at a server's users and roles: ours, the apps', those that are lent, and those that nobody asked for.

use futures_util::future::try_join_all;
use manifest::environment;
use manifest::id::AppName;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;
use secrets::Versioned;

use super::certificate::fingerprints;
use super::client::{self, Identity, command, connect};
use super::own_users::OwnUser;
use super::rights::RoleKey;
use super::roles::{self, UserKey, documents};
use super::whose::{Ask, marked};
use super::{Mongo, app_secret};
use crate::Ground;
use crate::ground::Slot;
use crate::leases;

/// What the administrator sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Of ours, those that are missing or not right, and why.
    pub own: Vec<(OwnUser, Vec<&'static str>)>,
    pub app_role_is_wrong: bool,
    pub apps: Vec<WrongUser>,
    /// Users that nobody asked for.
    pub strangers: Vec<UserKey>,
    /// Roles that nobody asked for.
    pub strange_roles: Vec<RoleKey>,
    /// Users of apps whose password is retired.
    pub retired: Vec<UserKey>,
}

/// An app's user that is missing or not right, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongUser {
    pub app: AppName,
    pub slot: Slot,
    pub because: Vec<&'static str>,
}

/// A user that an app is to have.
pub(crate) struct Login {
    pub(crate) app: AppName,
    pub(crate) slot: Slot,
    /// `None`: to be made.
    pub(crate) password: Option<Versioned>,
}

/// One for each password that must be let in.
pub(crate) fn logins(ground: &Ground, settings: &environment::MongoDb) -> Result<Vec<Login>, Fault> {
    let mut all = Vec::new();
    for app in &settings.apps {
        let accepted = ground.logins(&app_secret(app))?;
        if accepted.is_empty() {
            all.push(Login { app: app.clone(), slot: Slot::of(1), password: None });
        }
        let login = |password: Versioned| Login {
            app: app.clone(),
            slot: Slot::of(password.version),
            password: Some(password),
        };
        all.extend(accepted.into_iter().map(login));
    }
    Ok(all)
}

/// By our administrator at the member on this port, where apps' passwords are tried too.
pub(super) async fn look(mongo: &Mongo, client: &Client, port: u16) -> Result<Users, Ask> {
    let (settings, id) = (&mongo.place.settings, &mongo.ground.id);
    let logins = logins(&mongo.ground, settings)?;
    let key = |login: &Login| UserKey::app(settings, &login.app, login.slot);
    let own = OwnUser::of(settings);
    let own_keys: Vec<UserKey> = own.iter().map(|user| user.key(id)).collect();
    let wanted: Vec<UserKey> = logins.iter().map(key).chain(own_keys.iter().cloned()).collect();

    // Restrictions are shown only to who asks for users by name.
    let names: Vec<Bson> = wanted.iter().map(|key| doc! { "user": &key.name, "db": &key.database }.into()).collect();
    let listed = command(client, "admin", doc! { "usersInfo": { "forAllDBs": true } });
    let details = command(client, "admin", doc! { "usersInfo": names, "showAuthenticationRestrictions": true });
    let all_roles = command(client, "admin", doc! { "find": "system.roles", "batchSize": MANY });
    let passwords = try_join_all(logins.iter().map(|login| logs_in(mongo, login, port)));
    let asked = async { Ok::<_, Ask>(futures_util::try_join!(listed, details, all_roles)?) };
    let ((listed, details, all_roles), passwords) = futures_util::try_join!(asked, passwords)?;

    let detail = |key: &UserKey| documents(&details, "users").find(|user| UserKey::of(user).as_ref() == Some(key));
    let fingerprints = fingerprints(&mongo.ground)?;
    if marked(documents(&listed, "users"), &fingerprints).is_empty() {
        return Err(Ask::Other(of_another_store(mongo)));
    }
    let mark = fingerprints.first().map_or("", String::as_str);
    let roles: Vec<Document> = batch(&all_roles).cloned().collect();

    let apps = logins.iter().zip(passwords).map(|(login, is_right_password)| {
        let because = match detail(&key(login)) {
            None => vec!["missing"],
            Some(user) => {
                let mut faults = roles::faults_of_app_user(user, settings);
                if !is_right_password {
                    faults.push("password");
                }
                faults
            }
        };
        WrongUser { app: login.app.clone(), slot: login.slot, because }
    });
    let apps = apps.filter(|user| !user.because.is_empty()).collect();
    let own_faults =
        own.iter().zip(&own_keys).map(|(user, key)| (*user, user.faults(detail(key), &roles, settings, mark)));
    let own_faults = own_faults.filter(|(_, because)| !because.is_empty()).collect();

    let app_role = roles::app_role(settings);
    let is_app_role = |role: &Document| RoleKey::of(role).as_ref() == Some(&app_role.key);
    let known: Vec<RoleKey> = own.iter().map(|user| user.role(settings).key).chain([app_role.key.clone()]).collect();
    // Read after the server's list: what is lent is in the book before its user is made.
    let lent = leases::book::read(&mongo.ground.root)?.into_iter();
    let lent: Vec<UserKey> =
        lent.filter_map(|lease| Some(UserKey { database: lease.mongodb?, name: lease.id })).collect();
    let seen = documents(&listed, "users").filter_map(UserKey::of);
    let unwanted = seen.filter(|user| !wanted.contains(user) && !lent.contains(user));
    let (retired, strangers) = unwanted.partition(|user| user.is_of_an_app(settings));
    Ok(Users {
        own: own_faults,
        app_role_is_wrong: !roles.iter().any(|role| is_app_role(role) && app_role.is(role)),
        apps,
        strangers,
        strange_roles: roles.iter().filter_map(RoleKey::of).filter(|role| !known.contains(role)).collect(),
        retired,
    })
}

/// More roles than a server can have, so that one batch holds them all.
const MANY: i32 = 10_000;

fn batch(answer: &Document) -> impl Iterator<Item = &Document> {
    let cursor = answer.get_document("cursor").ok();
    cursor.into_iter().flat_map(|cursor| documents(cursor, "firstBatch"))
}

/// The only way to compare a password with a server's is to use it.
async fn logs_in(mongo: &Mongo, login: &Login, port: u16) -> Result<bool, Ask> {
    let Some(password) = &login.password else { return Ok(false) };
    let key = UserKey::app(&mongo.place.settings, &login.app, login.slot);
    let who = Identity::User { name: &key.name, database: &key.database, password: &password.secret };
    let client = connect(&mongo.address_of(port)?, who)?;
    match client::hello(&client).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_wrong_password() => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

pub(super) fn of_another_store(mongo: &Mongo) -> Fault {
    Fault::new(format!("the data in {} belongs to another secret store", mongo.place.data.display()))
        .cause("none of its users was made by an authority of ours")
        .hint("bring back the secret store that belongs to this data, or move the data folder away to begin empty")
}
