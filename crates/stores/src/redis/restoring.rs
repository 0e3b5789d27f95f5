//! Who puts keys back that were saved: a user for one restore, made by our own one and taken away after it.
//!
//! It is in no file and in no book. One that a crash leaves is a stranger with a lent name, whom convergence takes away; its password
//! was in the memory of the process that crashed.

use reconcile::Fault;
use redis::aio::MultiplexedConnection;
use secrets::Secret;

use super::observe::{as_admin, asking};
use super::{Door, Identity, Redis};
use crate::engines::checksum;

/// Keys as they were, and nothing of what is in them. `SCAN` tells names of all keys; the restore asks for its own.
const COMMANDS: &str = "-@all +restore +unlink +scan +ping";

/// A living Redis that keys may be put back into.
#[derive(Debug)]
pub struct Restorer<'r> {
    redis: &'r Redis,
    name: String,
}

impl<'r> Restorer<'r> {
    /// Lets somebody in who may put back and take away keys that begin with `prefix`, and nothing else. `random`: what nobody guesses.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn enter(
        redis: &'r Redis,
        prefix: &str,
        random: &str,
        password: &Secret,
    ) -> Result<(Self, MultiplexedConnection), Fault> {
        let restorer = Self { redis, name: crate::leases::name("restore", random) };
        let mut admin = as_admin(redis).await?.map_err(|fault| asking(&fault))?;
        let mut put = ::redis::cmd("ACL");
        put.arg("SETUSER").arg(&restorer.name).arg("reset").arg("on");
        put.arg(format!("#{}", checksum::of_bytes(password.expose().as_bytes())));
        put.arg(format!("~{prefix}*")).arg("resetchannels").arg(COMMANDS.split(' ').collect::<Vec<_>>());
        put.exec_async(&mut admin).await.map_err(|fault| asking(&fault))?;
        let who = Identity::User { name: &restorer.name, password };
        let entered = match Door::of(&redis.ground, redis.port()) {
            Ok(door) => door.enter(who).await.map_err(|fault| asking(&fault)),
            Err(fault) => Err(fault),
        };
        match entered {
            Ok(connection) => Ok((restorer, connection)),
            Err(fault) => {
                let _ = restorer.leave().await;
                Err(fault)
            }
        }
    }

    /// Takes the user away, and with it its connection.
    ///
    /// # Errors
    /// Where the server does not answer: then convergence does it.
    pub async fn leave(self) -> Result<(), Fault> {
        let mut admin = as_admin(self.redis).await?.map_err(|fault| asking(&fault))?;
        let mut take_away = ::redis::cmd("ACL");
        take_away.arg("DELUSER").arg(&self.name);
        take_away.exec_async(&mut admin).await.map_err(|fault| asking(&fault))
    }
}
