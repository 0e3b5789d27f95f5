//! Looking at MongoDB. Nothing here changes anything.

use futures_util::future::try_join_all;
use host::files;
use manifest::id::AppName;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;
use reconcile::ports::UnitState;
use secrets::Versioned;

use super::client::{self, Address, Identity, MongoFault, code, command, connect};
use super::members::{self, Set};
use super::place::{Mode, Place};
use super::roles::{self, APP_ROLE, UserKey, documents};
use super::{ADMIN, Mongo, REPLICA_SET, UNIT, admin_secret, app_secret, configuration, key_secret};
use crate::Ground;
use crate::engines::find::Found;
use crate::ground::{Slot, file_fault};
use crate::leases;
use crate::start::accepts;

/// What a look at one MongoDB found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Configuration and key file are there as they should be, and all credentials exist.
    pub files: Files,
    /// The administrator is known to exist, so that a port may be opened.
    pub guarded: bool,
    /// What runs, if it runs as specified.
    pub runs: Option<Mode>,
    pub server: Server,
    /// The users that apps are to have.
    pub users: Vec<(AppName, Slot)>,
    /// The replica set, where it has or is to have more than one member.
    pub set: Option<Set>,
}

/// State of the files that Roadbed writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    Right,
    Missing,
    Different,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// It does not run as specified, or does not answer yet.
    Silent,
    /// The first boot's server.
    FirstBoot {
        admin: bool,
    },
    /// On its port, without a replica set. It shows no users before it has one.
    NotInitiated,
    /// On its port, with a replica set whose member has another port.
    Elsewhere,
    /// On its port, in a replica set that has more members than this one.
    OneOfSeveral,
    Serving(Serving),
}

/// A server on its port, seen by the administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    pub admin_is_right: bool,
    pub role_is_right: bool,
    pub apps: Vec<WrongUser>,
    /// Users that nobody asked for.
    pub strangers: Vec<UserKey>,
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

pub(crate) async fn observe(mongo: &Mongo) -> Result<Observed, Fault> {
    let place = &mongo.place;
    let users = logins(mongo)?.into_iter().map(|login| (login.app, login.slot)).collect();
    refuse_orphaned_data(mongo)?;
    let mut seen = Observed {
        files: files_state(mongo)?,
        guarded: files::exists(&place.guarded_mark()),
        runs: running_mode(mongo).await?,
        server: Server::Silent,
        users,
        set: None,
    };
    if !seen.guarded && others_have_data(mongo)? {
        // The administrator is where their data is. The first member has lost its own, or our note of it.
        seen.guarded = true;
    }
    // Also where files are missing: a member that lost its folders is one among others.
    if seen.guarded && !mongo.members.is_one() && mongo.ground.secret(&admin_secret())?.is_some() {
        seen.set = Some(members::observe(mongo).await?);
        return Ok(seen);
    }
    if seen.files == Files::Missing {
        return Ok(seen);
    }
    seen.server = match (seen.runs, seen.guarded) {
        (Some(Mode::FirstBoot), _) => look_at_first_boot(mongo).await?,
        (Some(Mode::Serving), true) if accepts(place.port).await => look_at_serving(mongo).await?,
        _ => Server::Silent,
    };
    if seen.server == Server::OneOfSeveral {
        seen.set = Some(members::observe(mongo).await?);
    }
    Ok(seen)
}

fn others_have_data(mongo: &Mongo) -> Result<bool, Fault> {
    mongo.others.iter().try_fold(false, |any, place| Ok(any || members::holds_data(place)?))
}

/// Data without its administrator's password cannot be served, and Roadbed will not throw it away to begin anew.
fn refuse_orphaned_data(mongo: &Mongo) -> Result<(), Fault> {
    if mongo.ground.secret(&admin_secret())?.is_some() {
        return Ok(());
    }
    let mut with_data = None;
    for place in mongo.places() {
        let files = files::list(&place.data).map_err(|fault| file_fault(UNIT, &fault))?;
        with_data = with_data.or((!files.is_empty()).then_some(&place.data));
    }
    let Some(data) = with_data else { return Ok(()) };
    Err(Fault::new(format!("there is data in {} but no password for it in the secret store", data.display()))
        .cause(format!("{} has no entry {}", mongo.ground.root.secrets().display(), admin_secret()))
        .hint("bring back the secret store that belongs to this data, or move the data folder away to begin empty"))
}

fn files_state(mongo: &Mongo) -> Result<Files, Fault> {
    let fault = |fault| file_fault(UNIT, &fault);
    let Some(key) = mongo.ground.secret(&key_secret())? else { return Ok(Files::Missing) };
    for app in &mongo.place.settings.apps {
        if mongo.ground.secret(&app_secret(app))?.is_none() {
            return Ok(Files::Missing);
        }
    }
    if mongo.ground.secret(&admin_secret())?.is_none()
        || mongo.ground.authority()?.is_none()
        || !mongo.places().flat_map(Place::folders).all(|folder| files::is_dir(&folder))
    {
        return Ok(Files::Missing);
    }
    let mut state = Files::Right;
    for place in mongo.places() {
        for mode in place.modes() {
            match files::read_if_exists(&place.configuration_file(*mode)).map_err(fault)? {
                None => return Ok(Files::Missing),
                Some(bytes) if bytes == configuration::render(place, *mode).as_bytes() => {}
                Some(_) => state = Files::Different,
            }
        }
        match files::read_if_exists(&place.key_file()).map_err(fault)? {
            None => return Ok(Files::Missing),
            Some(bytes) if key.secret.matches(&bytes) => {}
            Some(_) => state = Files::Different,
        }
    }
    Ok(state)
}

/// Which of our two specifications the keeper runs, if it runs one of them.
pub(crate) async fn running_mode(mongo: &Mongo) -> Result<Option<Mode>, Fault> {
    let Found::Here(engine) = mongo.engine.find().await? else { return Ok(None) };
    let units = mongo.ground.units.list().await?;
    let Some(unit) = units.iter().find(|unit| unit.name == UNIT) else { return Ok(None) };
    if unit.state != UnitState::Running {
        return Ok(None);
    }
    Ok([Mode::FirstBoot, Mode::Serving]
        .into_iter()
        .find(|&mode| mongo.place.unit(&engine, mode).revision == unit.revision))
}

/// The administrator over the socket file of the first boot.
pub(crate) fn first_boot_client(mongo: &Mongo) -> Result<(Address, Client), Fault> {
    let address = Address::socket(&mongo.place.socket()).map_err(|fault| file_fault(UNIT, &fault))?;
    let client = as_admin(mongo, &address)?;
    Ok((address, client))
}

pub(crate) fn as_admin(mongo: &Mongo, address: &Address) -> Result<Client, Fault> {
    admin_of(&mongo.ground, address)
}

/// The administrator on a server's port.
pub(crate) fn admin_at(ground: &Ground, port: u16) -> Result<Client, Fault> {
    admin_of(ground, &Address::Port(port))
}

fn admin_of(ground: &Ground, address: &Address) -> Result<Client, Fault> {
    let Some(password) = ground.secret(&admin_secret())? else {
        return Err(Fault::new("the administrator's password of mongodb has gone from the secret store"));
    };
    let who = Identity::User { name: ADMIN, database: "admin", password: &password.secret };
    connect(address, who).map_err(|fault| asking(&fault))
}

async fn look_at_first_boot(mongo: &Mongo) -> Result<Server, Fault> {
    if !files::exists(&mongo.place.socket()) {
        return Ok(Server::Silent);
    }
    let (_address, client) = first_boot_client(mongo)?;
    match client::hello(&client).await.map(|_| ()) {
        Err(fault) if fault.is_wrong_password() => Ok(Server::FirstBoot { admin: false }),
        Err(_) => Ok(Server::Silent),
        Ok(()) => Ok(Server::FirstBoot { admin: true }),
    }
}

async fn look_at_serving(mongo: &Mongo) -> Result<Server, Fault> {
    let client = as_admin(mongo, &Address::Port(mongo.place.port))?;
    match replica_set(&client, mongo.place.port).await {
        Ok(ReplicaSet::Right) => {}
        Ok(ReplicaSet::NotInitiated) => return Ok(Server::NotInitiated),
        Ok(ReplicaSet::Elsewhere) => return Ok(Server::Elsewhere),
        Ok(ReplicaSet::OneOfSeveral) => return Ok(Server::OneOfSeveral),
        Err(fault) if fault.is_wrong_password() => return Err(wrong_admin_password(mongo)),
        Err(fault) => return Err(asking(&fault)),
    }
    Ok(users_at(mongo, mongo.place.port).await?.map_or(Server::Silent, Server::Serving))
}

/// Users as the server on this port has them; `None` while it is neither primary nor secondary.
pub(crate) async fn users_at(mongo: &Mongo, port: u16) -> Result<Option<Serving>, Fault> {
    let client = admin_at(&mongo.ground, port)?;
    match look_at_users(mongo, &client, port).await {
        Ok(serving) => Ok(Some(serving)),
        // Just started, and not yet elected by itself.
        Err(Look::Mongo(fault))
            if [code::NOT_PRIMARY_OR_SECONDARY, code::NOT_PRIMARY_NO_SECONDARY_OK]
                .iter()
                .any(|code| fault.code() == Some(*code)) =>
        {
            Ok(None)
        }
        // One that was primary a moment ago, and there are others.
        Err(Look::Mongo(fault)) if fault.code().is_none() && !mongo.members.is_one() => Ok(None),
        Err(Look::Mongo(fault)) if fault.is_wrong_password() => Err(wrong_admin_password(mongo)),
        Err(Look::Mongo(fault)) => Err(asking(&fault)),
        Err(Look::Other(fault)) => Err(fault),
    }
}

/// A user that an app is to have.
pub(crate) struct Login {
    pub(crate) app: AppName,
    pub(crate) slot: Slot,
    /// `None`: to be made.
    pub(crate) password: Option<Versioned>,
}

/// One for each password that must be let in.
pub(crate) fn logins(mongo: &Mongo) -> Result<Vec<Login>, Fault> {
    let mut all = Vec::new();
    for app in &mongo.place.settings.apps {
        let accepted = mongo.ground.logins(&app_secret(app))?;
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

/// Why a look failed.
enum Look {
    Mongo(MongoFault),
    Other(Fault),
}

impl From<MongoFault> for Look {
    fn from(fault: MongoFault) -> Self {
        Self::Mongo(fault)
    }
}

impl From<Fault> for Look {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

async fn look_at_users(mongo: &Mongo, client: &Client, port: u16) -> Result<Serving, Look> {
    let place = &mongo.place;
    let database = &place.settings.database;
    let listed = command(client, "admin", doc! { "usersInfo": { "forAllDBs": true } });
    let role = command(client, database, doc! { "rolesInfo": APP_ROLE, "showPrivileges": true });
    let (listed, role) = futures_util::try_join!(listed, role)?;
    let seen: Vec<UserKey> = documents(&listed, "users").filter_map(UserKey::of).collect();
    let logins = logins(mongo)?;
    let key = |login: &Login| UserKey::app(&place.settings, &login.app, login.slot);
    let mut wanted: Vec<UserKey> = logins.iter().map(key).collect();
    wanted.push(UserKey::admin());
    let mut kept: Vec<UserKey> = UserKey::collections(&place.settings).into_iter().collect();
    // Read after the server's list: what is lent is in the book before its user is made.
    let leases = leases::book::read(&mongo.ground.root)?.into_iter();
    kept.extend(leases.filter_map(|lease| Some(UserKey { database: lease.mongodb?, name: lease.id })));

    let details = user_details(client, &wanted).await?;
    let detail = |key: &UserKey| details.iter().find(|user| UserKey::of(user).as_ref() == Some(key));
    let apps = try_join_all(logins.iter().map(|login| async {
        let because = match detail(&key(login)) {
            None => vec!["missing"],
            Some(user) => {
                let mut faults = roles::faults_of_app_user(user, &place.settings);
                if !logs_in(mongo, login, port).await? {
                    faults.push("password");
                }
                faults
            }
        };
        Ok::<_, Look>(WrongUser { app: login.app.clone(), slot: login.slot, because })
    }))
    .await?;
    let unwanted = seen.into_iter().filter(|user| !wanted.contains(user) && !kept.contains(user));
    let (retired, strangers) = unwanted.partition(|user| user.is_of_an_app(&place.settings));
    Ok(Serving {
        admin_is_right: detail(&UserKey::admin()).is_some_and(roles::admin_is_right),
        role_is_right: documents(&role, "roles").any(|role| roles::role_is_right(role, &place.settings)),
        apps: apps.into_iter().filter(|user| !user.because.is_empty()).collect(),
        strangers,
        retired,
    })
}

/// Restrictions are shown only to who asks for users by name.
async fn user_details(client: &Client, keys: &[UserKey]) -> Result<Vec<Document>, MongoFault> {
    let keys: Vec<Bson> = keys.iter().map(|key| doc! { "user": &key.name, "db": &key.database }.into()).collect();
    let answer = command(client, "admin", doc! { "usersInfo": keys, "showAuthenticationRestrictions": true }).await?;
    Ok(documents(&answer, "users").cloned().collect())
}

/// The only way to compare a password with a server's is to use it.
async fn logs_in(mongo: &Mongo, login: &Login, port: u16) -> Result<bool, Look> {
    let Some(password) = &login.password else { return Ok(false) };
    let key = UserKey::app(&mongo.place.settings, &login.app, login.slot);
    let who = Identity::User { name: &key.name, database: &key.database, password: &password.secret };
    let client = connect(&Address::Port(port), who)?;
    match client::hello(&client).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_wrong_password() => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

/// The replica set, where it is to have one member.
pub(crate) enum ReplicaSet {
    NotInitiated,
    Elsewhere,
    OneOfSeveral,
    Right,
}

pub(crate) async fn replica_set(client: &Client, port: u16) -> Result<ReplicaSet, MongoFault> {
    let config = match command(client, "admin", doc! { "replSetGetConfig": 1 }).await {
        Ok(answer) => answer,
        Err(fault) if fault.code() == Some(code::NOT_YET_INITIALIZED) => return Ok(ReplicaSet::NotInitiated),
        Err(fault) => return Err(fault),
    };
    let ours = member(port);
    let config = config.get_document("config").ok();
    if config.is_some_and(|config| members::has_more(config, port)) {
        return Ok(ReplicaSet::OneOfSeveral);
    }
    let members: Vec<_> = config.map(|config| documents(config, "members").collect()).unwrap_or_default();
    let right = config.is_some_and(|config| config.get_str("_id").ok() == Some(REPLICA_SET))
        && matches!(members.as_slice(), [only] if only.get_str("host").ok() == Some(ours.as_str()));
    Ok(if right { ReplicaSet::Right } else { ReplicaSet::Elsewhere })
}

/// The address of our one member.
pub(crate) fn member(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

pub(crate) fn wrong_admin_password(mongo: &Mongo) -> Fault {
    Fault::new(format!("the data in {} belongs to another secret store", mongo.place.data.display()))
        .cause(format!("its server refuses the password under {}", admin_secret()))
        .hint("bring back the secret store that belongs to this data, or move the data folder away to begin empty")
}

pub(crate) fn asking(fault: &MongoFault) -> Fault {
    Fault::because("mongodb does not answer as it should", fault).hint("see `roadbed logs mongodb`").retry_safe()
}
