//! Looking at MongoDB. Nothing here changes anything.

use host::files;
use manifest::id::AppName;
use mongodb::Client;
use mongodb::bson::doc;
use reconcile::Fault;
use reconcile::ports::UnitState;
use secrets::SecretName;

use super::certificate::{self, Certificate};
use super::client::{Address, MongoFault, code, command, is_refusal};
use super::handshake::{self, Shown};
use super::own_users::OwnUser;
use super::place::Mode;
use super::roles::documents;
use super::users::{self, Users, logins};
use super::whose::{Ask, Guard, former_secrets, guard, has_former_secret};
use super::{Mongo, REPLICA_SET, UNIT, app_secret, configuration, key_secret};
use crate::authority::authority_secret;
use crate::engines::find::Found;
use crate::ground::{Slot, file_fault, secret_fault};

/// What a look at one MongoDB found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Configuration and key file are there as they should be, and all credentials exist.
    pub files: Files,
    pub certificate: Certificate,
    /// The administrator is known to exist, so that a port may be opened.
    pub guarded: bool,
    /// What runs, if it runs as specified.
    pub runs: Option<Mode>,
    pub server: Server,
    /// The users that apps are to have.
    pub users: Vec<(AppName, Slot)>,
    /// The users of ours that there are to be.
    pub own: Vec<OwnUser>,
    /// Passwords of users that have certificates now.
    pub obsolete: Vec<SecretName>,
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
    FirstBoot(Guard),
    /// On its port, with a certificate that we cannot believe, such as one that has run out.
    NotBelieved,
    /// On its port, with our data, and our administrator cannot log in.
    WithoutAdmin,
    /// On its port, without a replica set. It shows no users before it has one.
    NotInitiated,
    /// On its port, with a replica set whose member has another port.
    Elsewhere,
    Serving(Serving),
}

/// A server on its port, seen by the administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// It shows the certificate that is in its file.
    pub certificate_is_loaded: bool,
    pub users: Users,
}

pub(crate) async fn observe(mongo: &Mongo) -> Result<Observed, Fault> {
    let place = &mongo.place;
    let users = logins(mongo)?.into_iter().map(|login| (login.app, login.slot)).collect();
    refuse_orphaned_data(mongo)?;
    let mut seen = Observed {
        files: files_state(mongo)?,
        certificate: certificate::look(mongo)?,
        guarded: files::exists(&place.guarded_mark()),
        runs: running_mode(mongo).await?,
        server: Server::Silent,
        users,
        own: OwnUser::of(&place.settings),
        obsolete: obsolete(mongo)?,
    };
    if seen.files == Files::Missing || seen.certificate == Certificate::Missing {
        return Ok(seen);
    }
    seen.server = match (seen.runs, seen.guarded) {
        (Some(Mode::FirstBoot), _) => look_at_first_boot(mongo).await?,
        (Some(Mode::Serving), true) => look_at_serving(mongo).await?,
        _ => Server::Silent,
    };
    Ok(seen)
}

/// Data without the authority that made its users cannot be served, and Roadbed will not throw it away to begin anew.
fn refuse_orphaned_data(mongo: &Mongo) -> Result<(), Fault> {
    let data = &mongo.place.data;
    let present = !files::list(data).map_err(|fault| file_fault(UNIT, &fault))?.is_empty();
    if !present || mongo.ground.secret(&authority_secret())?.is_some() || has_former_secret(&mongo.ground)? {
        return Ok(());
    }
    Err(Fault::new(format!("there is data in {} but no authority for it in the secret store", data.display()))
        .cause(format!("{} has no entry {}", mongo.ground.root.secrets().display(), authority_secret()))
        .hint("bring back the secret store that belongs to this data, or move the data folder away to begin empty"))
}

fn obsolete(mongo: &Mongo) -> Result<Vec<SecretName>, Fault> {
    let mut obsolete = Vec::new();
    for name in former_secrets() {
        if mongo.ground.secrets.current_version(&name).map_err(|fault| secret_fault(&fault))?.is_some() {
            obsolete.push(name);
        }
    }
    Ok(obsolete)
}

fn files_state(mongo: &Mongo) -> Result<Files, Fault> {
    let place = &mongo.place;
    let fault = |fault| file_fault(UNIT, &fault);
    let Some(key) = mongo.ground.secret(&key_secret())? else { return Ok(Files::Missing) };
    for app in &place.settings.apps {
        if mongo.ground.secret(&app_secret(app))?.is_none() {
            return Ok(Files::Missing);
        }
    }
    if mongo.ground.authority()?.is_none() || !files::is_dir(&place.data) || !files::is_dir(&place.first_boot) {
        return Ok(Files::Missing);
    }
    let mut state = Files::Right;
    for mode in [Mode::FirstBoot, Mode::Serving] {
        match files::read_if_exists(&place.configuration_file(mode)).map_err(fault)? {
            None => return Ok(Files::Missing),
            Some(bytes) if bytes == configuration::render(place, mode).as_bytes() => {}
            Some(_) => state = Files::Different,
        }
    }
    match files::read_if_exists(&place.key_file()).map_err(fault)? {
        None => Ok(Files::Missing),
        Some(bytes) if key.secret.matches(&bytes) => Ok(state),
        Some(_) => Ok(Files::Different),
    }
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

async fn look_at_first_boot(mongo: &Mongo) -> Result<Server, Fault> {
    if !files::exists(&mongo.place.socket()) {
        return Ok(Server::Silent);
    }
    match guard(mongo, &socket(mongo)?).await {
        Ok(guard) => Ok(Server::FirstBoot(guard)),
        Err(Ask::Mongo(_)) => Ok(Server::Silent),
        Err(Ask::Other(fault)) => Err(fault),
    }
}

/// Where the first boot's server listens.
pub(super) fn socket(mongo: &Mongo) -> Result<Address, Fault> {
    Address::socket(&mongo.place.socket()).map_err(|fault| file_fault(UNIT, &fault))
}

async fn look_at_serving(mongo: &Mongo) -> Result<Server, Fault> {
    let port = mongo.place.port;
    let trusted = mongo.ground.trusted()?.unwrap_or_default();
    let certificate_is_loaded = match handshake::shown(port, &trusted, mongo.ground.clock.now()).await {
        Shown::Nothing => return Ok(Server::Silent),
        Shown::Certificate { is_believed: false, .. } => return Ok(Server::NotBelieved),
        Shown::Certificate { certificate, .. } => certificate::in_file(&mongo.place)?.as_ref() == Some(&certificate),
    };
    let client = mongo.admin()?;
    match replica_set(&client, port).await {
        Ok(ReplicaSet::Right) => {}
        Ok(ReplicaSet::NotInitiated) => return Ok(Server::NotInitiated),
        Ok(ReplicaSet::Elsewhere) => return Ok(Server::Elsewhere),
        Err(fault) if is_refusal(&fault) => return without_admin(mongo).await,
        Err(fault) => return Err(asking(&fault)),
    }
    match users::look(mongo, &client).await {
        Ok(users) => Ok(Server::Serving(Serving { certificate_is_loaded, users })),
        // Just started, and not yet elected by itself.
        Err(Ask::Mongo(fault)) if fault.code() == Some(code::NOT_PRIMARY_OR_SECONDARY) => Ok(Server::Silent),
        Err(Ask::Mongo(fault)) if is_refusal(&fault) => without_admin(mongo).await,
        Err(ask) => Err(ask.into()),
    }
}

/// Our administrator is gone, or has lost its rights. Whoever guards the data now: it is ours, or this is a fault.
async fn without_admin(mongo: &Mongo) -> Result<Server, Fault> {
    mongo.forget_admin();
    match guard(mongo, &mongo.address()?).await {
        Ok(_) => Ok(Server::WithoutAdmin),
        // The server's own user: its key is another's.
        Err(Ask::Mongo(fault)) if fault.is_wrong_password() => Err(users::of_another_store(mongo)),
        Err(ask) => Err(ask.into()),
    }
}

/// The replica set of one.
pub(crate) enum ReplicaSet {
    NotInitiated,
    Elsewhere,
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
    let members: Vec<_> = config.map(|config| documents(config, "members").collect()).unwrap_or_default();
    let right = config.is_some_and(|config| config.get_str("_id").ok() == Some(REPLICA_SET))
        && matches!(members.as_slice(), [only] if only.get_str("host").ok() == Some(ours.as_str()));
    Ok(if right { ReplicaSet::Right } else { ReplicaSet::Elsewhere })
}

/// The address of our one member.
pub(crate) fn member(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

pub(crate) fn asking(fault: &MongoFault) -> Fault {
    Fault::because("mongodb does not answer as it should", fault).hint("see `roadbed logs mongodb`").retry_safe()
}
