//! Whether a name has addresses, asked of the machine's name servers.

use hickory_resolver::TokioResolver;

use super::Miss;

pub(super) async fn look(host: &str) -> Result<(), Miss> {
    let unknown = |error: &dyn std::fmt::Display| Miss::Unknown(format!("cannot ask for {host}: {error}"));
    let resolver =
        TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| unknown(&error))?;
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
