//! A lent user of Redis.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reconcile::Fault;
use secrets::Secret;

use super::{InRedis, Lease};
use crate::Ground;
use crate::engines::checksum;
use crate::redis::observe::{as_admin, asking};
use crate::redis::{ExternalRedis, Redis, RedisFault, Settings, Step, acl, external, is_refusal};

impl InRedis {
    /// What the book keeps of a user that logs in with `password`.
    pub fn new(password: &Secret, prefix: &str) -> Self {
        Self { digest: checksum::of_bytes(password.expose().as_bytes()), prefix: prefix.to_owned() }
    }
}

/// Makes the user of a lease that the book has: in the file, which a restarted server reads, and in the living server.
///
/// # Errors
/// Where the file cannot be written or the server does not answer.
pub async fn lend(redis: &Redis, lease: &Lease) -> Result<(), Fault> {
    let Some(user) = acl::leased(lease, redis.purpose()) else { return Ok(()) };
    redis.perform(&Step::WriteUsers).await?;
    let mut put = ::redis::cmd("ACL");
    put.arg("SETUSER").arg(&user.name).arg("reset");
    put.arg(user.rules().split(' ').collect::<Vec<_>>());
    change(redis, &put).await
}

/// Takes the user away, and with it its connections. The book must say that the lease ends. One that is gone already is fine.
pub async fn take_back(redis: &Redis, lease: &Lease) -> Result<(), Fault> {
    if lease.redis.is_none() {
        return Ok(());
    }
    redis.perform(&Step::WriteUsers).await?;
    let mut take_away = ::redis::cmd("ACL");
    take_away.arg("DELUSER").arg(&lease.id);
    change(redis, &take_away).await
}

/// One user at a time: a server of version 7.0 that loads its file ends every connection.
async fn change(redis: &Redis, change: &::redis::Cmd) -> Result<(), Fault> {
    let mut connection = as_admin(redis).await?.map_err(|fault| asking(&fault))?;
    let answer: Result<::redis::Value, RedisFault> = change.query_async(&mut connection).await;
    match answer {
        Ok(_) => Ok(()),
        // Started by a Roadbed before this one, whose own user could not do that yet.
        Err(fault) if is_refusal(&fault) => redis.perform(&Step::LoadUsers).await,
        Err(fault) => Err(asking(&fault)),
    }
}

/// As [`lend`], on somebody else's server.
///
/// # Errors
/// Where the server does not let us.
pub async fn lend_elsewhere(redis: &ExternalRedis, lease: &Lease) -> Result<(), Fault> {
    let Some(user) = acl::leased(lease, redis.settings().purpose) else { return Ok(()) };
    if !redis.takes_digests() {
        return Err(Fault::new("cannot lend a user of Redis at Upstash")
            .cause("it takes no digest of a password, and the password of a lease is written down nowhere")
            .hint("log in with a token that its console shows, or lend from an environment whose Redis Roadbed runs"));
    }
    let name = acl::name_elsewhere(redis.settings(), &user.name);
    redis.perform(&external::Step::PutUser { name, because: "lent" }).await
}

/// As [`take_back`], from somebody else's server.
///
/// # Errors
/// Where the server does not let us.
pub async fn take_back_elsewhere(redis: &ExternalRedis, lease: &Lease) -> Result<(), Fault> {
    if lease.redis.is_none() {
        return Ok(());
    }
    let name = acl::name_elsewhere(redis.settings(), &lease.id);
    redis.perform(&external::Step::RemoveUser { name }).await
}

/// The connection string of a user lent on somebody else's server.
///
/// # Errors
/// Where its address is missing or wrong.
pub fn redis_url_elsewhere(
    lease: &Lease,
    settings: &Settings,
    password: &Secret,
    ground: &Ground,
) -> Result<Secret, Fault> {
    external::url(settings, &lease.id, password, ground)
}

/// The connection string of a lent user.
pub fn redis_url(lease: &Lease, port: u16, password: &Secret) -> Secret {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    Secret::new(format!("rediss://{}:{}@127.0.0.1:{port}", encode(&lease.id), encode(password.expose())))
}
