//! Doing the steps, one effect each. Every step may find its work done already, by an earlier run that was killed.

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, Value, cmd};
use reconcile::Fault;

use super::ExternalRedis;
use super::look::{refuse_a_twin, wanted};
use super::plan::Step;
use super::upstash;
use crate::external::Dialect;
use crate::redis::RedisFault;
use crate::redis::acl::User;

/// For how long the server keeps what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    ForGood,
    /// It has no file for users, or lets nobody write it.
    UntilItStarts,
}

pub(super) async fn perform(redis: &ExternalRedis, step: &Step) -> Result<Kept, Fault> {
    match step {
        Step::MakeCredentials => {
            redis.ground.make_authority()?;
            for app in &redis.settings.apps {
                redis.ground.make_secret(&redis.settings.purpose.app_secret(app))?;
            }
            Ok(Kept::ForGood)
        }
        Step::PutUser { name, .. } if redis.external.dialect == Dialect::Upstash => {
            upstash::put(redis, name).await.map(|()| Kept::ForGood)
        }
        Step::PutUser { name, .. } => {
            let mut connection = redis.admin().await?;
            // A plan may be older than what others did meanwhile.
            refuse_a_twin(redis, &mut connection).await?;
            let wanted = wanted(redis)?;
            // Retired since the plan was made: the next look finds nothing to do.
            let Some(user) = wanted.iter().find(|user| user.name == *name) else { return Ok(Kept::ForGood) };
            put(redis, &mut connection, user).await
        }
        Step::RemoveUser { name } => {
            let mut connection = redis.admin().await?;
            take_away(redis, &mut connection, name).await
        }
    }
}

/// Makes a user, or makes it right.
pub(crate) async fn put(
    redis: &ExternalRedis,
    connection: &mut MultiplexedConnection,
    user: &User,
) -> Result<Kept, Fault> {
    let mut put = cmd("ACL");
    put.arg("SETUSER").arg(&user.name).arg("reset");
    put.arg(user.rules().split(' ').collect::<Vec<_>>());
    change(redis, connection, &put, &user.name).await
}

/// Takes a user away, and with it its connections. One that is gone already is fine.
pub(crate) async fn take_away(
    redis: &ExternalRedis,
    connection: &mut MultiplexedConnection,
    name: &str,
) -> Result<Kept, Fault> {
    let mut take_away = cmd("ACL");
    take_away.arg("DELUSER").arg(name);
    change(redis, connection, &take_away, name).await
}

async fn change(
    redis: &ExternalRedis,
    connection: &mut MultiplexedConnection,
    change: &Cmd,
    name: &str,
) -> Result<Kept, Fault> {
    let changed: Result<Value, RedisFault> = change.query_async(connection).await;
    changed.map_err(|fault| {
        let unit = redis.settings.unit();
        Fault::because(format!("cannot change the user {name} of the external {unit}"), &fault)
            .hint("its provider may let nobody make users by command: then this driver cannot be used there")
            .retry_safe()
    })?;
    let saved: Result<Value, RedisFault> = cmd("ACL").arg("SAVE").query_async(connection).await;
    if saved.is_ok() {
        return Ok(Kept::ForGood);
    }
    // Without a file of users they are in its configuration, where that is a file.
    let rewritten: Result<Value, RedisFault> = cmd("CONFIG").arg("REWRITE").query_async(connection).await;
    Ok(if rewritten.is_ok() { Kept::ForGood } else { Kept::UntilItStarts })
}
