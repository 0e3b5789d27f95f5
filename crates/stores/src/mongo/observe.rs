//! Looking at MongoDB. Nothing here changes anything.

use host::files;
use manifest::id::AppName;
use mongodb::Client;
use mongodb::bson::doc;
use reconcile::Fault;
use reconcile::ports::UnitState;
use secrets::SecretName;

use super::certificate::{self, Certificate, Shows};
use super::client::{Address, MongoFault, code, command, is_refusal};
use super::members::{self, Set};
use super::own_users::OwnUser;
use super::place::{Mode, Place};
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
    /// The replica set, where it has or is to have more than one member.
    pub set: Option<Set>,
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
    /// On its port, in a replica set that has more members than this one.
    OneOfSeveral,
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
        certificate: certificate::look_at_all(mongo)?,
        guarded: files::exists(&place.guarded_mark()),
        runs: running_mode(mongo).await?,
        server: Server::Silent,
        users,
        own: OwnUser::of(&place.settings),
        obsolete: obsolete(mongo)?,
        set: None,
    };
    if !seen.guarded && others_have_data(mongo)? {
        // The administrator is where their data is. The first member has lost its own, or our note of it.
        seen.guarded = true;
    }
    // Also where files are missing: a member that lost its folders is one among others.
    if seen.guarded && !mongo.members.is_one() && mongo.ground.authority()?.is_some() {
        seen.set = Some(members::observe(mongo).await?);
        return Ok(seen);
    }
    if seen.files == Files::Missing || seen.certificate == Certificate::Missing {
        return Ok(seen);
    }
    seen.server = match (seen.runs, seen.guarded) {
        (Some(Mode::FirstBoot), _) => look_at_first_boot(mongo).await?,
        (Some(Mode::Serving), true) => look_at_serving(mongo).await?,
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

/// Data without the authority that made its users cannot be served, and Roadbed will not throw it away to begin anew.
fn refuse_orphaned_data(mongo: &Mongo) -> Result<(), Fault> {
    if mongo.ground.secret(&authority_secret())?.is_some() || has_former_secret(&mongo.ground)? {
        return Ok(());
    }
    let mut with_data = None;
    for place in mongo.places() {
        let files = files::list(&place.data).map_err(|fault| file_fault(&place.name, &fault))?;
        with_data = with_data.or((!files.is_empty()).then_some(&place.data));
    }
    let Some(data) = with_data else { return Ok(()) };
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
    let fault = |fault| file_fault(UNIT, &fault);
    let Some(key) = mongo.ground.secret(&key_secret())? else { return Ok(Files::Missing) };
    for app in &mongo.place.settings.apps {
        if mongo.ground.secret(&app_secret(app))?.is_none() {
            return Ok(Files::Missing);
        }
    }
    if mongo.ground.authority()?.is_none()
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
    let certificate_is_loaded = match certificate::shown_by(mongo, &mongo.place).await? {
        Shows::Nothing => return Ok(Server::Silent),
        Shows::NotBelieved => return Ok(Server::NotBelieved),
        Shows::Another => false,
        Shows::ItsFile => true,
    };
    let client = mongo.admin_at(port)?;
    match replica_set(&client, port).await {
        Ok(ReplicaSet::Right) => {}
        Ok(ReplicaSet::NotInitiated) => return Ok(Server::NotInitiated),
        Ok(ReplicaSet::Elsewhere) => return Ok(Server::Elsewhere),
        Ok(ReplicaSet::OneOfSeveral) => return Ok(Server::OneOfSeveral),
        Err(fault) if is_refusal(&fault) => return without_admin(mongo, port).await.map(|()| Server::WithoutAdmin),
        Err(fault) => return Err(asking(&fault)),
    }
    Ok(match users_at(mongo, port).await? {
        UsersAt::Seen(users) => Server::Serving(Serving { certificate_is_loaded, users }),
        UsersAt::NotYet => Server::Silent,
        UsersAt::WithoutAdmin => Server::WithoutAdmin,
    })
}

/// What our administrator learnt of users.
pub(crate) enum UsersAt {
    Seen(Users),
    /// It is neither primary nor secondary: just started, or cut off a moment ago.
    NotYet,
    WithoutAdmin,
}

/// Users as the member on this port has them.
pub(crate) async fn users_at(mongo: &Mongo, port: u16) -> Result<UsersAt, Fault> {
    match users::look(mongo, &mongo.admin_at(port)?, port).await {
        Ok(users) => Ok(UsersAt::Seen(users)),
        Err(Ask::Mongo(fault))
            if [code::NOT_PRIMARY_OR_SECONDARY, code::NOT_PRIMARY_NO_SECONDARY_OK]
                .iter()
                .any(|code| fault.code() == Some(*code)) =>
        {
            Ok(UsersAt::NotYet)
        }
        Err(Ask::Mongo(fault)) if is_refusal(&fault) => {
            without_admin(mongo, port).await.map(|()| UsersAt::WithoutAdmin)
        }
        // One that was primary a moment ago, and there are others.
        Err(Ask::Mongo(fault)) if fault.code().is_none() && !mongo.members.is_one() => Ok(UsersAt::NotYet),
        Err(ask) => Err(ask.into()),
    }
}

/// Our administrator is gone, or has lost its rights. Whoever guards the data now: it is ours, or this is a fault.
pub(crate) async fn without_admin(mongo: &Mongo, port: u16) -> Result<(), Fault> {
    mongo.forget_admin();
    match guard(mongo, &mongo.address_of(port)?).await {
        Ok(_) => Ok(()),
        // The server's own user: its key is another's.
        Err(Ask::Mongo(fault)) if fault.is_wrong_password() => Err(users::of_another_store(mongo)),
        Err(ask) => Err(ask.into()),
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

pub(crate) fn asking(fault: &MongoFault) -> Fault {
    Fault::because("mongodb does not answer as it should", fault).hint("see `roadbed logs mongodb`").retry_safe()
}
