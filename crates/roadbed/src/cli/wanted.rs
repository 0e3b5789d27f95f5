//! What the command line and the manifest together ask control for.

use manifest::Environment;
use reconcile::Fault;

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::wanted::{Apps, Destroy, DevApps, Given, PublicPorts, Wanted};

pub fn of(session: &Session, project: &Project, args: &args::Up) -> Result<Wanted, Failure> {
    let (environment, resolved) = project.environment(&session.environment()?)?;
    let dev = match &args.dev {
        None => DevApps::None,
        Some(names) if names.is_empty() => DevApps::All,
        Some(names) => {
            project.apps_named(names)?;
            DevApps::Only(names.clone())
        }
    };
    if args.http_port.is_some() && args.http_port == args.https_port {
        return Err(Failure::Usage(
            Fault::new("HTTP and HTTPS cannot share a port")
                .hint("give --http-port and --https-port different numbers"),
        ));
    }
    let cache = session.surroundings.cache().ok_or_else(|| {
        Failure::Usage(
            Fault::new("cannot tell where to keep fetched engines: neither HOME nor XDG_CACHE_HOME is set")
                .hint("set HOME"),
        )
    })?;
    let now = session.clock.moment();
    Ok(Wanted {
        manifest: project.path.clone(),
        text: project.source.text.clone(),
        environment: environment.to_string(),
        product: resolved.product.to_string(),
        state: session.surroundings.state(),
        config: session.surroundings.config(),
        dev,
        apps: Apps::FromProject,
        http_port: args.http_port,
        https_port: args.https_port,
        ports: if args.free_ports { PublicPorts::Free } else { PublicPorts::AsDeclared },
        cache,
        tools: session.surroundings.tools(),
        destroy: if args.allow_destroy { Destroy::Allowed } else { Destroy::Never },
        given: given(session, &resolved),
        asked: Some(now.wall),
        asked_at: Some(now),
    })
}

/// What builds are to take from the shell of whoever calls.
fn given(session: &Session, environment: &Environment) -> Given {
    let declared = environment.apps.iter().flat_map(|app| &app.build.from_builder);
    let values = declared.filter_map(|variable| {
        let name = variable.name.to_string();
        session.surroundings.variable(&name).map(|value| (name, value))
    });
    Given(values.collect())
}
