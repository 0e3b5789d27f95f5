//! `roadbed build`: artifacts of apps, without a running environment. The same command here and in CI.

use std::sync::Arc;

use ::secrets::Store;
use engine::artifact::shelf::{Record, Shelf, folder};
use host::clock::{Clock, SystemClock};
use host::files;
use manifest::environment::App;
use reconcile::{Converged, Event, Fault, Progress, Tools};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::output::Output;
use crate::cli::project::Project;
use crate::cli::release_folder::ReleaseFolder;
use crate::cli::session::Session;
use crate::cli::up::{progress_of, show};
use crate::cli::{args, git, secrets, wanted};
use crate::render::span::{bytes, count};
use crate::signing;
use crate::wanted::Wanted;
use crate::world::builds;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    artifacts: Vec<Artifact<'a>>,
}

#[derive(Debug, Serialize)]
struct Artifact<'a> {
    #[serde(flatten)]
    record: &'a Record,
    archive: String,
    bill_of_materials: String,
    provenance: String,
}

pub async fn run(session: &Session, args: &args::Build, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    project.apps_named(&args.apps)?;
    let (_, store) = secrets::open(session, None)?;
    if args.public_key {
        let pem = signing::public_key(&store)?.to_pem();
        let pem = pem.map_err(|fault| Fault::because("cannot tell the key of artifacts", &fault))?;
        session.output.line(pem.trim_end())?;
        return Ok(Exit::Done);
    }
    let (_, environment) = project.environment(&session.environment()?)?;
    let is_asked = |app: &App| args.apps.is_empty() || args.apps.iter().any(|name| name == app.name.as_str());
    let apps: Vec<App> = environment.apps.into_iter().filter(is_asked).collect();
    let want = wanted::of(session, &project, &args::Up::default())?;
    let converged = tokio::select! {
        converged = make(&want, &apps, &project, &store, &session.output) => converged?,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    let shelf = Shelf::new(folder(&want.cache));
    let made = |app: &App| builds::artifact(crate::world::project(&want.manifest), app, &want.cache).record();
    let is_whole = |app: &&App| {
        !converged.failed.keys().chain(&converged.skipped).any(|id| id.as_str().ends_with(&format!("/{}", app.name)))
    };
    let records: Vec<Record> =
        apps.iter().filter(is_whole).filter_map(|app| made(app).transpose()).collect::<Result<_, Fault>>()?;
    print(&session.output, &shelf, &records)?;
    if converged.is_whole() {
        if let Some(out) = &args.out {
            let project = crate::world::project(&want.manifest);
            let (origin, author) = git::origin(session, project, None).await;
            ReleaseFolder::fill(&session.surroundings.folder.join(out), &shelf, records, origin, author)?;
        }
        return Ok(Exit::Done);
    }
    let failed: Vec<&str> = converged.failed.keys().map(reconcile::ResourceId::as_str).collect();
    Err(Failure::Work(
        Fault::new(format!("could not build {}", failed.join(", ")))
            .hint("mend the cause above and run `roadbed build` again: what was built is not built twice"),
    ))
}

/// Builds and packs; nothing of an environment is touched.
pub(crate) async fn make(
    want: &Wanted,
    apps: &[App],
    project: &Project,
    store: &Store,
    output: &Output,
) -> Result<Converged, Failure> {
    let cannot = |fault: &(dyn std::error::Error + 'static)| Fault::because("cannot build", fault);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = crate::world::project(&want.manifest);
    let environments = project.manifest.environments().iter().map(ToString::to_string).collect();
    let builder = store.seat().install.clone();
    let origin = signing::origin(folder, &want.text, environments, builder, &want.tools).await?;
    let attestor = signing::attestor(store, origin)?;
    let graph = builds::graph(folder, apps, &want.cache, &want.tools, &want.given.0, &attestor)?;
    files::create_dir(&want.cache, files::Access::Everyone).map_err(|fault| cannot(&fault))?;
    let journal = journal::Journal::open(&builds::journal(want), host::database::Presence::MayBeNew, clock.clone());
    let journal = Arc::new(journal.map_err(|fault| cannot(&fault))?);
    let (events, mut told) = unbounded_channel();
    let tools = Tools { journal, progress: Arc::new(Told(events)), clock };
    let mut progress = progress_of(output);
    let converging = reconcile::converge(&graph, &tools);
    tokio::pin!(converging);
    let converged = loop {
        tokio::select! {
            Some(event) = told.recv() => show(&mut progress, &event, output),
            converged = &mut converging => break converged,
        }
    };
    while let Ok(event) = told.try_recv() {
        show(&mut progress, &event, output);
    }
    progress.end();
    Ok(converged)
}

/// What resources say while they work, for whoever draws it.
#[derive(Debug)]
struct Told(UnboundedSender<Event>);

impl Progress for Told {
    fn emit(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

fn print(output: &Output, shelf: &Shelf, records: &[Record]) -> Result<(), Failure> {
    if output.is_json() {
        let artifact = |record| Artifact {
            record,
            archive: shelf.archive(&record.digest).display().to_string(),
            bill_of_materials: shelf.bill(&record.digest).display().to_string(),
            provenance: shelf.attestation(&record.digest).display().to_string(),
        };
        return output.json(&Document { artifacts: records.iter().map(artifact).collect() });
    }
    for record in records {
        output.line(format!(
            "{}  {}  {}",
            output.data.strong(&record.app),
            record.digest,
            output.data.faint(format!(
                "{}, {} packed, {}",
                count(record.files, "file"),
                bytes(record.packed_bytes),
                count(record.packages, "package")
            ))
        ))?;
    }
    Ok(())
}
