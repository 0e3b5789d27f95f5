//! Looking at Redis. Nothing here changes anything.

use host::files;
use reconcile::Fault;
use reconcile::ports::UnitState;
use redis::aio::MultiplexedConnection;
use secrets::Secret;

use super::acl::{self, Right, User};
use super::client::{self, Identity, RedisFault};
use super::{ADMIN, Redis, UNIT, admin_secret, app_secret, configuration};
use crate::engines::find::Found;
use crate::ground::file_fault;
use crate::leases;
use crate::start::accepts;

/// What a look at one Redis found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Folders and `redis.conf`.
    pub configuration: bool,
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
    /// It knows other users, passwords or rights than the ACL file.
    Differs,
    /// All that differs is which versions of apps' passwords have a user.
    OtherVersions,
    Agrees,
}

pub(crate) async fn observe(redis: &Redis) -> Result<Observed, Fault> {
    let place = &redis.place;
    let fault = |fault| file_fault(UNIT, &fault);
    let on_disk = files::read_if_exists(&place.configuration_file()).map_err(fault)?;
    let configuration =
        files::is_dir(&place.data) && on_disk.as_deref() == Some(configuration::render(place).as_bytes());
    let wanted = wanted_users(redis)?;
    let on_disk = files::read_if_exists(&place.acl_file()).map_err(fault)?;
    let users = match (&wanted, on_disk) {
        (Some(wanted), Some(on_disk)) => acl::render(wanted).as_bytes() == on_disk,
        _ => false,
    };
    let runs = runs(redis).await?;
    let server = match wanted {
        Some(wanted) if runs && accepts(place.port).await => compare(redis, &wanted).await?,
        _ => Server::Silent,
    };
    Ok(Observed { configuration, users, runs, server })
}

/// Everybody who should exist; `None` while a password is missing.
pub(crate) fn wanted_users(redis: &Redis) -> Result<Option<Vec<User>>, Fault> {
    let Some(admin) = redis.ground.secret(&admin_secret())? else { return Ok(None) };
    if redis.ground.authority()?.is_none() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for app in &redis.place.settings.apps {
        let logins = redis.ground.logins(&app_secret(app))?;
        if logins.is_empty() {
            return Ok(None);
        }
        all.extend(logins.into_iter().map(|password| (app.clone(), password)));
    }
    let mut users = acl::users(&redis.place.settings, &admin.secret, &all);
    users.extend(leases::book::read(&redis.ground.root)?.iter().filter_map(acl::leased));
    Ok(Some(users))
}

async fn runs(redis: &Redis) -> Result<bool, Fault> {
    let Found::Here(engine) = redis.engine.find().await? else { return Ok(false) };
    let revision = redis.place.unit(&engine).revision;
    let units = redis.ground.units.list().await?;
    Ok(units.iter().any(|unit| unit.name == UNIT && unit.state == UnitState::Running && unit.revision == revision))
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

/// What tells the server's users from the wanted ones, if that is nothing but versions of apps' passwords.
pub(crate) async fn change_of_versions<'a>(
    connection: &mut MultiplexedConnection,
    redis: &Redis,
    wanted: &'a [User],
) -> Result<Option<Change<'a>>, RedisFault> {
    let lines: Vec<String> = redis::cmd("ACL").arg("LIST").query_async(connection).await?;
    let listed: Vec<_> = lines.iter().filter_map(|line| acl::parse_line(line)).collect();
    let settings = &redis.place.settings;
    let (known, put): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|user| listed.iter().any(|seen| seen.name == user.name));
    let are_right =
        known.iter().all(|user| listed.iter().any(|seen| seen.name == user.name && acl::agrees(user, seen)));
    let extra = listed.into_iter().map(|seen| seen.name).filter(|name| wanted.iter().all(|user| user.name != *name));
    let take_away: Vec<String> = extra.collect();
    let are_of_apps =
        put.iter().map(|user| &user.name).chain(&take_away).all(|name| acl::comes_and_goes(name, settings));
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

/// Our own user; the inner result is what the server said.
pub(crate) async fn as_admin(redis: &Redis) -> Result<Result<MultiplexedConnection, RedisFault>, Fault> {
    let Some(password) = redis.ground.secret(&admin_secret())? else {
        return Err(Fault::new("our own password of redis has gone from the secret store").retry_safe());
    };
    Ok(log_in(redis, &password.secret).await)
}

async fn log_in(redis: &Redis, password: &Secret) -> Result<MultiplexedConnection, RedisFault> {
    client::connect(redis.place.port, Identity::User { name: ADMIN, password }).await
}

pub(crate) fn asking(fault: &RedisFault) -> Fault {
    Fault::because("redis does not answer as it should", fault).hint("see `roadbed logs redis`").retry_safe()
}
