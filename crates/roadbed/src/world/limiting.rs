//! Where the edges of an environment count limits together.

use edge::StoreAccess;
use reconcile::Fault;
use stores::redis::{EDGE, Purpose, edge_secret};
use zeroize::Zeroizing;

use super::World;

impl World {
    /// The way there; `None` where there is none, or nobody has made its password yet.
    pub fn limits_store(&self) -> Result<Option<StoreAccess>, Fault> {
        let Some(redis) = self.environment.redis.as_ref().filter(|redis| redis.counts_limits) else { return Ok(None) };
        let durable = self.addresses.redis.iter().filter(|(settings, _)| settings.purpose == Purpose::Durable);
        let ports: Vec<u16> = durable.map(|(_, port)| *port).collect();
        let password = self.secrets.get(&edge_secret());
        let password = password.map_err(|fault| {
            Fault::because("cannot read by which password limits are counted", &fault).hint(fault.hint())
        })?;
        let trusted = self.ground.of_stores(&self.environment, &self.secrets).trusted()?;
        let (Some(password), Some(authorities), false) = (password, trusted, ports.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(StoreAccess {
            ports,
            user: EDGE.to_owned(),
            password: Zeroizing::new(password.secret.expose().to_owned()),
            authorities,
            prefix: stores::redis::prefix_of_edge(&redis.key_prefix),
        }))
    }
}
