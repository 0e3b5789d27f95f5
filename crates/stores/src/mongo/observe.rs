//! Looking at MongoDB. Nothing here changes anything.

use host::files;
use manifest::id::AppName;
use mongodb::Client;
use mongodb::bson::doc;
use reconcile::Fault;
use reconcile::ports::UnitState;
use secrets::SecretName;

use super::certificate::{self, Certificate, Shows};
use super::client::{MongoFault, code, command, is_refusal};
use super::members::{self, Set};
use super::own_users::OwnUser;
use super::place::Place;
use super::roles::documents;
use super::users::{self, Users, logins};
use super::whose::{Ask, as_system, former_secrets, guard, has_former_secret};
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
    /// The administrator is known to exist.
    pub guarded: bool,
    /// The process runs as specified.
    pub runs: bool,
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
    /// On its port, with a certificate that we cannot believe, such as one that has run out.
    NotBelieved,
    /// On its port, with our data or none, and our administrator cannot log in.
    WithoutAdmin,
    /// On its port, without a replica set. It shows no users before it has one: whose data it is, is seen after that.
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
    let users = logins(&mongo.ground, &place.settings)?.into_iter().map(|login| (login.app, login.slot)).collect();
    refuse_orphaned_data(mongo)?;
    let mut seen = Observed {
        files: files_state(mongo)?,
        certificate: certificate::look_at_all(mongo)?,
        guarded: files::exists(&place.guarded_mark()),
        runs: runs(mongo).await?,
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
    if seen.runs {
        seen.server = look_at_server(mongo).await?;
    }
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
    let mut state = if mongo.ground.has_all_authorities()? { Files::Right } else { Files::Different };
    for place in mongo.places() {
        match files::read_if_exists(&place.configuration_file()).map_err(fault)? {
            None => return Ok(Files::Missing),
            Some(bytes) if bytes == configuration::render(place).as_bytes() => {}
            Some(_) => state = Files::Different,
        }
        match files::read_if_exists(&place.key_file()).map_err(fault)? {
            None => return Ok(Files::Missing),
            Some(bytes) if key.secret.matches(&bytes) => {}
            Some(_) => state = Files::Different,
        }
    }
    Ok(state)
}

/// Whether the keeper runs it as specified.
async fn runs(mongo: &Mongo) -> Result<bool, Fault> {
    let Found::Here(engine) = mongo.engine.find().await? else { return Ok(false) };
    let units = mongo.ground.units.list().await?;
    let Some(unit) = units.iter().find(|unit| unit.name == UNIT) else { return Ok(false) };
    Ok(unit.state == UnitState::Running && mongo.place.unit(&engine).revision == unit.revision)
}

async fn look_at_server(mongo: &Mongo) -> Result<Server, Fault> {
    let port = mongo.place.port;
    let certificate_is_loaded = match certificate::shown_by(mongo, &mongo.place).await? {
        Shows::Nothing => return Ok(Server::Silent),
        Shows::NotBelieved => return Ok(Server::NotBelieved),
        Shows::Another => false,
        Shows::ItsFile => true,
    };
    let (set, has_admin) = match replica_set(&mongo.admin_at(port)?, port).await {
        Err(fault) if is_refusal(&fault) => {
            mongo.forget_admin();
            // The set is there before any user: the server's own one tells of it.
            let system = as_system(mongo, &mongo.address_of(port)?)?;
            (replica_set(&system, port).await.map_err(|fault| refused_system(mongo, &fault))?, false)
        }
        answer => (answer.map_err(|fault| asking(&fault))?, true),
    };
    match set {
        ReplicaSet::NotInitiated => return Ok(Server::NotInitiated),
        ReplicaSet::Elsewhere => return Ok(Server::Elsewhere),
        ReplicaSet::Right | ReplicaSet::OneOfSeveral if !has_admin => {
            return without_admin(mongo, port).await.map(|()| Server::WithoutAdmin);
        }
        ReplicaSet::OneOfSeveral => return Ok(Server::OneOfSeveral),
        ReplicaSet::Right => {}
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
    let address = mongo.address_of(port)?;
    match guard(mongo, &address, &as_system(mongo, &address)?).await {
        Ok(_) => Ok(()),
        Err(Ask::Mongo(fault)) => Err(refused_system(mongo, &fault)),
        Err(Ask::Other(fault)) => Err(fault),
    }
}

/// Who refuses the server's own user has a key of another store.
fn refused_system(mongo: &Mongo, fault: &MongoFault) -> Fault {
    if fault.is_wrong_password() { users::of_another_store(mongo) } else { asking(fault) }
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
