//! The gateway before Redis that speaks Upstash's REST.
//!
//! It is told two ports and whom to believe, all public. What its clients may do is in their tokens and in Redis's users.

use std::collections::BTreeMap;

use reconcile::{Fault, ResourceId};
use secrets::Secret;

use super::sidecar::{Sidecar, SidecarProcess, conf, get};

/// Name of the unit, of the resource, and of its port in the port book.
pub const REST: &str = "redis-rest";

/// Certificates of whom it believes: read again with each connection to Redis.
const AUTHORITIES: &str = "ca.pem";

/// Where it listens, and where its Redis does, on loopback.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub listen: u16,
    pub redis: u16,
}

/// The token of a user.
pub(crate) fn token(user: &str, password: &Secret) -> Result<Secret, Fault> {
    let login = upstash::Login::new(user, password.expose());
    let login = login.ok_or_else(|| Fault::new(format!("the password of {user} is too long for a token")))?;
    Ok(Secret::new(login.token().to_string()))
}

#[derive(Debug)]
struct RestGateway {
    ports: Ports,
    ground: stores::Ground,
}

/// The gateway as a resource.
pub(super) fn gateway(needs: Vec<ResourceId>, ports: Ports, ground: &stores::Ground) -> Result<SidecarProcess, Fault> {
    SidecarProcess::new(needs, Box::new(RestGateway { ports, ground: ground.clone() }), ground.clone())
}

impl Sidecar for RestGateway {
    fn name(&self) -> &'static str {
        REST
    }

    fn what(&self) -> &'static str {
        "the gateway before Redis"
    }

    fn probes(&self) -> Result<Vec<String>, Fault> {
        Ok(vec![get(upstash::HEALTH, self.ports.listen, "")])
    }

    fn port(&self) -> u16 {
        self.ports.listen
    }

    fn args(&self) -> Vec<String> {
        let authorities = conf(&self.ground, REST).join(AUTHORITIES).to_string_lossy().into_owned();
        let ports = [self.ports.listen.to_string(), self.ports.redis.to_string()];
        let [listen, redis] = ports;
        ["--listen".to_owned(), listen, "--redis".to_owned(), redis, "--authorities".to_owned(), authorities].into()
    }

    fn files(&self) -> Result<Option<BTreeMap<&'static str, Vec<u8>>>, Fault> {
        Ok(self.ground.trusted()?.map(|trusted| [(AUTHORITIES, trusted.into_bytes())].into()))
    }
}
