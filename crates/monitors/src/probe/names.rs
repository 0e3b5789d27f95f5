//! Whether a name has addresses, and which servers are behind one, asked of the machine's name servers.

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::Miss;

pub(super) async fn look(host: &str) -> Result<(), Miss> {
    let unknown = |error: &dyn std::fmt::Display| Miss::Unknown(format!("cannot ask for {host}: {error}"));
    let resolver = resolver(host)?;
    // With the dot at its end no search list makes another name of it.
    match resolver.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await {
        Ok(found) if found.iter().next().is_some() => Ok(()),
        Ok(_) => Err(Miss::Bad(format!("{host} has no address"))),
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
            Err(Miss::Bad(format!("{host} has no address")))
        }
        // Nobody who could know was reached.
        Err(error) => Err(unknown(&error)),
    }
}

/// The servers of a MongoDB that is known by a name, as `mongodb+srv` has it: `HOST:PORT`.
pub(super) async fn servers(name: &str) -> Result<Vec<String>, Miss> {
    let asked = resolver(name)?.lookup(format!("_mongodb._tcp.{}.", name.trim_end_matches('.')), RecordType::SRV).await;
    let found = match asked {
        Ok(found) => found,
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
            return Err(Miss::Bad(format!("{name} has no servers")));
        }
        Err(error) => return Err(Miss::Unknown(format!("cannot ask for {name}: {error}"))),
    };
    let server = |data: &RData| match data {
        RData::SRV(server) => Some(format!("{}:{}", server.target.to_utf8().trim_end_matches('.'), server.port)),
        _ => None,
    };
    Ok(found.answers().iter().filter_map(|record| server(&record.data)).collect())
}

fn resolver(host: &str) -> Result<TokioResolver, Miss> {
    let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    built.map_err(|error| Miss::Unknown(format!("cannot ask for {host}: {error}")))
}
