//! `roadbed sample`: what previews begin with.

use std::path::{Path, PathBuf};

use host::files;
use manifest::environment::MongoDb;
use manifest::{EnvRef, Environment};
use reconcile::Fault;
use secrets::Secret;
use serde::Serialize;
use stores::mongo::sample::{Contents, Header, Origin, SampleFault, Told, file, take as take_from};

use crate::cli::db_shell::SAYS_WHY;
use crate::cli::env_exec::borrower;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lent_command::{borrow, give_back};
use crate::cli::project::Project;
use crate::cli::sample_args::{ShowSample, TakeSample};
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::control::lent::{Asked, Output, Service, What};
use crate::render::span;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    path: &'a Path,
    id: &'a str,
    product: &'a str,
    environment: &'a str,
    taken: host::clock::Timestamp,
    collections: Vec<Told>,
}

pub async fn take(session: &Session, args: &TakeSample) -> Result<Exit, Failure> {
    // What is read here belongs to customers.
    host::own::leave_no_core_dump()
        .map_err(|error| Fault::because("cannot keep memory from being written down", &error))?;
    let project = Project::load(session)?;
    let (reference, environment) = project.environment(&session.environment()?)?;
    let settings = mongodb(&environment)?;
    if environment.name.as_str() == SAYS_WHY && args.reason.is_none() {
        let fault = Fault::new(format!("a look into {SAYS_WHY} needs a reason"));
        return Err(Failure::Usage(fault.hint("say it with --reason \"…\"; it is kept with the record")));
    }
    if settings.collections.iter().all(|collection| collection.sample.is_none()) {
        return Err(Failure::Usage(
            Fault::new("nothing goes into a sample: no collection says what may leave")
                .hint("add [services.mongodb.collections.NAME.sample] to roadbed.toml"),
        ));
    }
    let asked = Asked {
        what: What::Look { service: Service::MongoDb },
        output: Output::Redacted,
        reason: Some(args.reason.clone().unwrap_or_else(|| "a sample for previews".to_owned())),
        name: borrower(session),
        token: None,
    };
    let control = ControlClient::new(session.root.clone());
    let lent = borrow(session, &control, &asked).await?;
    let taken = match lent.variables.get("MONGODB_URL") {
        Some(url) => read(session, &Secret::new(url.clone()), &reference, &environment, settings).await,
        None => Err(Fault::new("no user of mongodb was lent").hint("`roadbed status` shows whether it runs")),
    };
    give_back(&control, &lent.lease).await;
    let (contents, told) = taken?;
    let path = path(&project, settings);
    file::write(&path, &contents).map_err(|fault| unusable(&fault))?;
    show_header(session, &path, &contents.header, told)?;
    let shown = session.surroundings.shown(&path);
    session.output.note(format!("{} written to {shown}; previews begin with it", session.output.notes.good("✓")));
    Ok(Exit::Done)
}

async fn read(
    session: &Session,
    url: &Secret,
    reference: &EnvRef,
    environment: &Environment,
    settings: &MongoDb,
) -> Result<(Contents, Vec<Told>), Fault> {
    let origin = Origin {
        product: environment.product.to_string(),
        environment: reference.to_string(),
        now: session.clock.now(),
    };
    let output = session.output;
    let mut on = |collection: &str, documents: usize| {
        output.note(format!("read {} of {collection}", span::count(documents, "document")));
    };
    take_from(url, settings, origin, &mut on).await
}

pub fn show(session: &Session, args: &ShowSample) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let (_, environment) = project.environment(&session.environment()?)?;
    let path = path(&project, mongodb(&environment)?);
    if !files::exists(&path) {
        return Err(Failure::Work(
            Fault::new(format!("there is no sample {}", session.surroundings.shown(&path)))
                .hint("`roadbed sample take --env staging` makes it"),
        ));
    }
    // The whole of it: what is shown here can be put into a preview.
    let contents = file::read(&path).map_err(|fault| unusable(&fault))?;
    let Some(name) = &args.collection else {
        let told = contents.collections.iter().map(|(name, documents)| Told {
            collection: name.clone(),
            documents: documents.len(),
            left_out: [].into(),
        });
        show_header(session, &path, &contents.header, told.collect())?;
        return Ok(Exit::Done);
    };
    let Some(documents) = contents.collections.get(name) else {
        let known = contents.collections.keys().map(String::as_str);
        return Err(Failure::Usage(crate::cli::project::no_such("collection in the sample", name, known)));
    };
    for document in documents {
        session.output.json(document)?;
    }
    Ok(Exit::Done)
}

fn show_header(session: &Session, path: &Path, header: &Header, collections: Vec<Told>) -> Result<(), Failure> {
    let output = &session.output;
    let Header { id, product, environment, taken, .. } = header;
    if output.is_json() {
        let taken = *taken;
        return output.json(&Document { path, id, product, environment, taken, collections });
    }
    output.line(format!("sample of {product} {environment}, {taken}"))?;
    for Told { collection, documents, left_out } in collections {
        let left_out: Vec<String> = left_out.into_iter().collect();
        let stays = if left_out.is_empty() { String::new() } else { format!("; left out: {}", left_out.join(", ")) };
        output.line(format!("  {collection}: {}{stays}", span::count(documents, "document")))?;
    }
    Ok(())
}

fn mongodb(environment: &Environment) -> Result<&MongoDb, Failure> {
    environment.mongodb.as_ref().ok_or_else(|| {
        Failure::Usage(
            Fault::new(format!("{} has no MongoDB to take a sample of", environment.reference()))
                .hint("add [services.mongodb] to roadbed.toml"),
        )
    })
}

fn path(project: &Project, settings: &MongoDb) -> PathBuf {
    project.path.parent().unwrap_or(Path::new("/")).join(&settings.sample)
}

fn unusable(fault: &SampleFault) -> Fault {
    match std::error::Error::source(fault) {
        Some(source) => Fault::because(fault.to_string(), source).hint(fault.hint()),
        None => Fault::new(fault.to_string()).hint(fault.hint()),
    }
}
