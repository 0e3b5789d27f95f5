//! Questions to a name service.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use reconcile::Fault;

/// Who is asked.
pub struct Names(TokioResolver);

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

/// What a CAA record says of who may issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allows {
    pub(super) tag: String,
    pub(super) value: String,
}

impl Names {
    /// The name service of this machine, or another one.
    pub fn of(server: Option<SocketAddr>) -> Result<Self, Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot ask the name service", error);
        let builder = match server {
            None => TokioResolver::builder_tokio().map_err(|error| cannot(&error))?,
            Some(server) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                let server = NameServerConfig::new(server.ip(), true, connections.into());
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        Ok(Self(builder.build().map_err(|error| cannot(&error))?))
    }

    /// All addresses of a host; if there is none, why.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        // The dot at the end: nothing is to be tried that this machine would put behind it.
        let found = self.0.lookup_ip(format!("{host}.")).await.map_err(|error| error.to_string())?;
        Ok(found.iter().collect())
    }

    /// The CAA records of this very name.
    pub(super) async fn caa(&self, name: &str) -> Result<Vec<Allows>, String> {
        match self.0.lookup(format!("{name}."), RecordType::CAA).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|record| allows(&record.data)).collect()),
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn allows(data: &RData) -> Option<Allows> {
    let RData::CAA(caa) = data else { return None };
    Some(Allows { tag: caa.tag.to_ascii_lowercase(), value: String::from_utf8_lossy(&caa.value).into_owned() })
}
