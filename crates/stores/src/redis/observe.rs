//! Looking at Redis. Nothing here changes anything.

use std::collections::HashMap;

use host::files;
use reconcile::Fault;
use reconcile::ports::UnitState;
use redis::aio::MultiplexedConnection;
use secrets::VersionState;

use super::acl::{self, Right, User};
use super::client::{self, RedisFault};
use super::door::{Door, Identity, Shown};
use super::{ADMIN, EDGE, Redis, certificate, configuration, edge_secret, member_secret, membership};
use crate::engines::find::Found;
use crate::ground::{file_fault, secret_fault};
use crate::leases;

/// What a look at one Redis found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Folders and `redis.conf`.
    pub configuration: bool,
    /// The server's key and certificate are there, young enough, and of the present authority.
    pub certificate: bool,
    /// The ACL file holds exactly the users that are wanted.
    pub users: bool,
    /// The process runs as specified.
    pub runs: bool,
    pub server: Server,
}

/// What the server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// It does not run as specified, or does not answer.
    Silent,
    /// It does not know us: only a restart makes it read the ACL file.
    Estranged,
    /// It shows a certificate that nobody believes: only a restart is sure to make it show another one.
    NotBelieved,
    /// It knows other users, passwords or rights than the ACL file.
    Differs,
    /// All that differs is which versions of apps' passwords have a user.
    OtherVersions,
    /// It shows an older certificate than the file has.
    OlderCertificate,
    /// Somebody changed what was promised of it: how much it holds, what it drops, what it keeps.
    OtherParameters,
    Agrees,
}

pub(crate) async fn observe(redis: &Redis) -> Result<Observed, Fault> {
    let place = &redis.place;
    membership::refuse_to_leave_a_primary(redis)?;
    let fault = |fault| file_fault(place.unit_name(), &fault);
    let on_disk = files::read_if_exists(&place.configuration_file()).map_err(fault)?;
    let configuration = files::is_dir(&place.data)
        && on_disk.as_deref() == Some(configuration::render(place).as_bytes())
        && membership::is_right(redis)?;
    let wanted = wanted_users(redis)?;
    let on_disk = files::read_if_exists(&place.acl_file()).map_err(fault)?;
    let users = match (&wanted, on_disk) {
        (Some(wanted), Some(on_disk)) => acl::render(wanted).as_bytes() == on_disk,
        _ => false,
    };
    let runs = runs(redis).await?;
    let server = match wanted {
        Some(wanted) if runs => look_at_server(redis, &wanted).await?,
        _ => Server::Silent,
    };
    Ok(Observed { configuration, certificate: certificate::is_right(redis)?, users, runs, server })
}

async fn look_at_server(redis: &Redis, wanted: &[User]) -> Result<Server, Fault> {
    match door(redis)?.shown().await {
        Shown::Nothing => Ok(Server::Silent),
        Shown::NotBelieved => Ok(Server::NotBelieved),
        Shown::Certificate(shown) => {
            let found = compare(redis, wanted).await?;
            // Users first: who may load a certificate is one of them.
            let is_older =
                found == Server::Agrees && certificate::in_file(&redis.place)?.is_some_and(|own| own != shown);
            Ok(if is_older { Server::OlderCertificate } else { found })
        }
    }
}

/// The way in, with the authorities of this environment.
pub(crate) fn door(redis: &Redis) -> Result<Door, Fault> {
    Door::of(&redis.ground, redis.place.port)
}

/// Everybody who should exist; `None` while a password is missing.
pub(crate) fn wanted_users(redis: &Redis) -> Result<Option<Vec<User>>, Fault> {
    let admin = redis.ground.secrets.accepted(&redis.purpose().admin_secret()).map_err(|fault| secret_fault(&fault))?;
    if admin.iter().all(|password| password.state != VersionState::Current) {
        return Ok(None);
    }
    if redis.ground.authority()?.is_none() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for app in &redis.place.settings.apps {
        let logins = redis.ground.logins(&redis.purpose().app_secret(app))?;
        if logins.is_empty() {
            return Ok(None);
        }
        all.extend(logins.into_iter().map(|password| (app.clone(), password)));
    }
    let settings = &redis.place.settings;
    let among = match settings.is_replicated() {
        true => match redis.ground.secret(&member_secret())? {
            Some(found) => Some(found.secret),
            None => return Ok(None),
        },
        false => None,
    };
    let edge = match settings.counts_limits {
        true => redis.ground.secrets.accepted(&edge_secret()).map_err(|fault| secret_fault(&fault))?,
        false => Vec::new(),
    };
    if settings.counts_limits && edge.iter().all(|password| password.state != VersionState::Current) {
        return Ok(None);
    }
    let mut users = acl::users(settings, &admin, among.as_ref(), &edge, &all);
    let leases = leases::book::read(&redis.ground.root)?;
    users.extend(leases.iter().filter_map(|lease| acl::leased(lease, settings.purpose)));
    Ok(Some(users))
}

async fn runs(redis: &Redis) -> Result<bool, Fault> {
    let Found::Here(engine) = redis.engine.find().await? else { return Ok(false) };
    let revision = redis.place.unit(&engine).revision;
    let units = redis.ground.units.list().await?;
    Ok(units.iter().any(|unit| {
        unit.name == redis.place.unit_name() && unit.state == UnitState::Running && unit.revision == revision
    }))
}

async fn compare(redis: &Redis, wanted: &[User]) -> Result<Server, Fault> {
    let mut connection = match as_admin(redis).await? {
        Ok(connection) => connection,
        Err(fault) if client::is_wrong_password(&fault) => return Ok(Server::Estranged),
        Err(fault) => return Err(asking(&fault)),
    };
    match compare_users(&mut connection, redis, wanted).await {
        Ok(server) => Ok(server),
        // Our user is there but may not do what it should.
        Err(fault) if client::is_refusal(&fault) => Ok(Server::Estranged),
        Err(fault) => Err(asking(&fault)),
    }
}

/// The users by name, where none that is there should be another: those to put, and those to take away.
pub(crate) struct Change<'a> {
    pub(crate) put: Vec<&'a User>,
    pub(crate) take_away: Vec<String>,
}

/// What tells the server's users from the wanted ones, if that is nothing but versions of apps' passwords and of our own.
pub(crate) async fn change_of_versions<'a>(
    connection: &mut MultiplexedConnection,
    redis: &Redis,
    wanted: &'a [User],
) -> Result<Option<Change<'a>>, RedisFault> {
    let lines: Vec<String> = redis::cmd("ACL").arg("LIST").query_async(connection).await?;
    let listed: Vec<_> = lines.iter().filter_map(|line| acl::parse_line(line)).collect();
    let settings = &redis.place.settings;
    let (known, mut put): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|user| listed.iter().any(|seen| seen.name == user.name));
    let is_seen = |user: &User, agrees: fn(&User, &acl::Listed) -> bool| {
        listed.iter().any(|seen| seen.name == user.name && agrees(user, seen))
    };
    let other: Vec<&User> = known.into_iter().filter(|user| !is_seen(user, acl::agrees)).collect();
    let is_ours =
        |user: &&User| (user.name == ADMIN || user.name == EDGE) && is_seen(user, acl::agrees_but_for_passwords);
    let are_right = other.iter().all(is_ours);
    let extra = listed.iter().map(|seen| seen.name.clone()).filter(|name| wanted.iter().all(|user| user.name != *name));
    let take_away: Vec<String> = extra.collect();
    let are_of_apps =
        put.iter().map(|user| &user.name).chain(&take_away).all(|name| acl::comes_and_goes(name, settings));
    put.extend(other);
    Ok((are_right && are_of_apps).then_some(Change { put, take_away }))
}

async fn compare_users(
    connection: &mut MultiplexedConnection,
    redis: &Redis,
    wanted: &[User],
) -> Result<Server, RedisFault> {
    let Some(change) = change_of_versions(connection, redis, wanted).await? else { return Ok(Server::Differs) };
    let is_known = |user: &&User| change.put.iter().all(|missing| missing.name != user.name);
    let known: Vec<&User> = wanted.iter().filter(is_known).collect();
    Ok(
        match (
            have_their_rights(connection, redis, &known).await?,
            change.put.is_empty() && change.take_away.is_empty(),
        ) {
            (false, _) => Server::Differs,
            (true, false) => Server::OtherVersions,
            (true, true) if !have_their_values(connection, redis).await? => Server::OtherParameters,
            (true, true) => Server::Agrees,
        },
    )
}

async fn have_their_rights(
    connection: &mut MultiplexedConnection,
    redis: &Redis,
    users: &[&User],
) -> Result<bool, RedisFault> {
    let key = format!("{}probe", redis.place.settings.key_prefix);
    let mut pipeline = redis::pipe();
    let probes = || users.iter().flat_map(|user| user.probes().iter().map(|probe| (&user.name, probe)));
    for (name, (_, command)) in probes() {
        let dry_run = pipeline.cmd("ACL").arg("DRYRUN").arg(name);
        for word in *command {
            dry_run.arg(if *word == "{key}" { &key } else { *word });
        }
    }
    if pipeline.is_empty() {
        return Ok(true);
    }
    // "OK", or a sentence that says why not.
    let answers: Vec<String> = pipeline.query_async(connection).await?;
    Ok(answers.iter().zip(probes()).all(|(answer, (_, (right, _)))| (answer == "OK") == (*right == Right::Allowed)))
}

async fn have_their_values(connection: &mut MultiplexedConnection, redis: &Redis) -> Result<bool, RedisFault> {
    let wanted = configuration::parameters(&redis.place.settings);
    if wanted.is_empty() {
        return Ok(true);
    }
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    let values: HashMap<String, String> = redis::cmd("CONFIG").arg("GET").arg(names).query_async(connection).await?;
    Ok(wanted.iter().all(|(name, value)| values.get(*name) == Some(value)))
}

/// Our own user; the inner result is what the server said.
pub(crate) async fn as_admin(redis: &Redis) -> Result<Result<MultiplexedConnection, RedisFault>, Fault> {
    let Some(password) = redis.ground.secret(&redis.purpose().admin_secret())? else {
        let unit = redis.place.unit_name();
        return Err(Fault::new(format!("our own password of {unit} has gone from the secret store")).retry_safe());
    };
    Ok(door(redis)?.enter(Identity::User { name: ADMIN, password: &password.secret }).await)
}

pub(crate) fn asking(fault: &RedisFault) -> Fault {
    Fault::because("redis does not answer as it should", fault).hint("see `roadbed logs redis`").retry_safe()
}
