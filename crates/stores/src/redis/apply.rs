//! Doing the steps, one effect each. Every step may find its work done already, by an earlier run that was killed.

use host::files::{self, Access};
use reconcile::Fault;

use super::client;
use super::door::Shown;
use super::observe::{as_admin, asking, change_of_versions, door, wanted_users};
use super::plan::Step;
use super::{Purpose, Redis, acl, certificate, configuration, edge_secret, membership};
use crate::engines::find::Found;
use crate::ground::file_fault;
use crate::leases;
use crate::start::{Look, Start};

pub(crate) async fn perform(redis: &Redis, step: &Step) -> Result<(), Fault> {
    match step {
        Step::WriteConfiguration => write_configuration(redis),
        Step::WriteUsers => write_users(redis),
        Step::WriteCertificate => certificate::write(redis),
        Step::Start => start(redis).await,
        Step::LoadUsers => load_users(redis).await,
        Step::ChangeVersions => change_versions(redis).await,
        // A sentinel has no CONFIG, and two of three are enough meanwhile.
        Step::LoadCertificate if redis.place.settings.purpose == Purpose::Sentinel => restart(redis).await,
        Step::LoadCertificate => load_certificate(redis).await,
        Step::SetParameters => set(redis, &configuration::parameters(&redis.place.settings)).await,
        Step::Restart => restart(redis).await,
    }
}

fn write_configuration(redis: &Redis) -> Result<(), Fault> {
    let place = &redis.place;
    let text = configuration::render(place);
    files::create_dir(&place.conf, Access::Owner)
        .and_then(|()| files::create_dir(&place.data, Access::Owner))
        .and_then(|()| files::write_if_changed(&place.configuration_file(), text.as_bytes(), Access::Owner))
        .map_err(|fault| file_fault(place.unit_name(), &fault))?;
    membership::write(redis)
}

fn write_users(redis: &Redis) -> Result<(), Fault> {
    let place = &redis.place;
    redis.ground.make_secret(&place.settings.purpose.admin_secret())?;
    redis.ground.make_authority()?;
    if place.settings.counts_limits {
        redis.ground.make_secret(&edge_secret())?;
    }
    for app in &place.settings.apps {
        redis.ground.make_secret(&place.settings.purpose.app_secret(app))?;
    }
    let _changing = leases::users_change();
    let Some(users) = wanted_users(redis)? else {
        let unit = place.unit_name();
        return Err(
            Fault::new(format!("a password of {unit} that was just made has gone from the secret store")).retry_safe()
        );
    };
    files::create_dir(&place.conf, Access::Owner)
        .and_then(|()| files::write_if_changed(&place.acl_file(), acl::render(&users).as_bytes(), Access::Owner))
        .map(|_| ())
        .map_err(|fault| file_fault(place.unit_name(), &fault))
}

async fn start(redis: &Redis) -> Result<(), Fault> {
    let engine = match redis.engine.find().await? {
        Found::Here(located) => located,
        Found::Absent { .. } => {
            let unit = redis.place.unit_name();
            return Err(Fault::new(format!("cannot start {unit}: its engine has not been fetched yet")).retry_safe());
        }
    };
    starting(redis).run(redis.place.unit(&engine), || is_ready(redis)).await
}

fn starting(redis: &Redis) -> Start<'_> {
    Start {
        ground: &redis.ground,
        port: redis.place.port,
        explain: explain_log,
        hint: format!(
            "see `roadbed logs {}`; if {} is damaged or cut off, `redis-check-aof` says where, with `--fix` it cuts off what \
             follows, and who moves it away begins empty: Roadbed does not touch it",
            redis.place.unit_name(),
            redis.place.data.display()
        ),
    }
}

/// Loaded, and it knows somebody: a server that still reads its data answers PING with LOADING.
async fn is_ready(redis: &Redis) -> Result<Look, Fault> {
    match door(redis)?.shown().await {
        Shown::Certificate(_) => {}
        // An answer is an answer; the next look finds what is wrong with the certificate.
        Shown::NotBelieved => return Ok(Look::Ready),
        Shown::Nothing => return Ok(Look::NotYet),
    }
    let mut connection = match as_admin(redis).await? {
        Ok(connection) => connection,
        // An answer is an answer; the next look finds what is wrong with the users.
        Err(fault) if client::is_refusal(&fault) => return Ok(Look::Ready),
        Err(_) => return Ok(Look::NotYet),
    };
    let pong: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
    Ok(if pong.is_ok() { Look::Ready } else { Look::NotYet })
}

async fn load_users(redis: &Redis) -> Result<(), Fault> {
    let mut connection = match as_admin(redis).await? {
        Ok(connection) => connection,
        Err(fault) if client::is_refusal(&fault) => return restart(redis).await,
        Err(fault) => return Err(asking(&fault)),
    };
    let loaded: Result<String, _> = redis::cmd("ACL").arg("LOAD").query_async(&mut connection).await;
    match loaded {
        Ok(_) => Ok(()),
        // Our own password was among those that changed: the server has loaded and closed our connection.
        Err(fault) if fault.is_io_error() => is_known_again(redis).await,
        Err(fault) => Err(asking(&fault)),
    }
}

/// New users first: nobody is locked out in between. With a user its connections go, and with them only what came in by a
/// retired password.
async fn change_versions(redis: &Redis) -> Result<(), Fault> {
    let Some(users) = wanted_users(redis)? else { return load_users(redis).await };
    let mut connection = as_admin(redis).await?.map_err(|fault| asking(&fault))?;
    let change = change_of_versions(&mut connection, redis, &users).await.map_err(|fault| asking(&fault))?;
    let Some(change) = change else { return load_users(redis).await };
    let mut commands = redis::pipe();
    for user in &change.put {
        let put = commands.cmd("ACL").arg("SETUSER").arg(&user.name).arg("reset");
        for rule in user.rules().split(' ') {
            put.arg(rule);
        }
    }
    for name in &change.take_away {
        commands.cmd("ACL").arg("DELUSER").arg(name);
    }
    if commands.is_empty() {
        return Ok(());
    }
    match commands.exec_async(&mut connection).await {
        Ok(()) => Ok(()),
        // Started by a Roadbed before this one, whose own user could not do that yet.
        Err(fault) if client::is_refusal(&fault) => load_users(redis).await,
        Err(fault) => Err(asking(&fault)),
    }
}

async fn is_known_again(redis: &Redis) -> Result<(), Fault> {
    as_admin(redis).await?.map(|_| ()).map_err(|fault| asking(&fault))
}

/// The same file names: Redis reads such files again whenever it is told their names, all three as one.
async fn load_certificate(redis: &Redis) -> Result<(), Fault> {
    let place = &redis.place;
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let files = [
        ("tls-cert-file", text(place.certificate_file())),
        ("tls-key-file", text(place.certificate_file())),
        ("tls-ca-cert-file", text(place.authorities_file())),
    ];
    set(redis, &files).await
}

async fn set(redis: &Redis, values: &[(&str, String)]) -> Result<(), Fault> {
    let mut connection = match as_admin(redis).await? {
        Ok(connection) => connection,
        Err(fault) if client::is_refusal(&fault) => return restart(redis).await,
        Err(fault) => return Err(asking(&fault)),
    };
    let mut command = redis::cmd("CONFIG");
    command.arg("SET");
    for (name, value) in values {
        command.arg(name).arg(value);
    }
    match command.exec_async(&mut connection).await {
        Ok(()) => Ok(()),
        // Started by a Roadbed before this one, whose own user could not do that yet: a start reads the files as well.
        Err(fault) if client::is_refusal(&fault) => restart(redis).await,
        Err(fault) => Err(asking(&fault)),
    }
}

async fn restart(redis: &Redis) -> Result<(), Fault> {
    redis.ground.units.restart(redis.place.unit_name()).await?;
    start(redis).await
}

/// Redis marks what is worth reading: `123:M 01 Jan 2030 00:00:00.000 # Fatal error`. Configuration errors come without a mark.
fn explain_log(lines: &[String]) -> Vec<String> {
    let grave: Vec<String> =
        lines.iter().filter(|line| line.contains(" # ") || !line.contains(" * ")).cloned().collect();
    let chosen = if grave.is_empty() { lines.to_vec() } else { grave };
    let skip = chosen.len().saturating_sub(15);
    chosen.into_iter().skip(skip).filter(|line| !line.trim().is_empty()).collect()
}
