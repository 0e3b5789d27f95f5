//! `roadbed restore --from`: a whole environment on an empty machine, from a repository and its recovery key.
//!
//! ```text
//!   key on stdin ─► repository ─► root, prepared beside its place ─► up ─► MongoDB by control ─► up again ─► gate
//! ```

use std::sync::Arc;

use backup::{ClusterTime, Contents, Course, Snapshot, base_for};
use engine::artifact::shelf::{self, Shelf};
use host::clock::{Clock, SystemClock, Timestamp};
use reconcile::{Fault, Root};

use crate::cli::backup::{TELL, key_on_stdin, moment, with_progress};
use crate::cli::backup_args::Restore;
use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Voice;
use crate::cli::project::Project;
use crate::cli::ready::{self, Json};
use crate::cli::restore_from::{self, Meant};
use crate::cli::session::Session;
use crate::cli::{args, command_lock, up, wanted};
use crate::control::backing_up::Source;
use crate::control::backing_up::wire::{Answer, Progress, Request};
use crate::control::wire::ReadyRequest;
use crate::purge;
use crate::recovery::{self, Restoring};
use crate::render;
use crate::render::gate::Detail;
use crate::wanted::Wanted;

pub(super) async fn run(
    session: &Session,
    args: &Restore,
    from: &str,
    conductor: &impl Conductor,
) -> Result<Exit, Failure> {
    let at = args.at.as_deref().map(moment).transpose()?;
    let project = Project::load(session)?;
    let wanted = wanted::of(session, &project, &args::Up { free_ports: args.free_ports, ..args::Up::default() })?;
    let (_, resolved) = project.environment(&session.environment()?)?;
    let backup = resolved.backup.as_ref().ok_or_else(|| {
        Failure::Usage(
            Fault::new(format!("{} is not backed up by this manifest", wanted.environment))
                .hint("check out the manifest of that time, or give it a table [environments.NAME.backup]"),
        )
    })?;
    let from = restore_from::meant(session, args, from, backup)?;
    let key = key_on_stdin("roadbed restore --from REPOSITORY < FILE")?;
    purge::refuse_begun(&session.root)?;
    let restoring = recovery::begun(&session.root)?;
    if restoring.is_none() {
        recovery::refuse_used(&session.root)?;
    }
    let shown = from.shown.clone();
    let (chosen, source) = {
        let (key, is_begun) = (key.trim().to_owned(), restoring.is_some());
        let opening = tokio::task::spawn_blocking(move || chosen(&from, &key, at, is_begun));
        opening.await.unwrap_or_else(|error| Err(Fault::because("cannot open the repository", &error)))?
    };
    let restoring = match (restoring, chosen) {
        (None, Some(chosen)) => plant(session, args, &wanted, (&shown, chosen)).await?,
        (begun, _) => {
            session.output.note("going on with the restore that was begun here");
            begun.unwrap_or_default()
        }
    };
    for line in restoring.releases.iter().flat_map(|releases| &releases.lacking) {
        session.output.note(format!("not in the backup: {line}"));
    }
    if let Some(lost) = restoring.releases.as_ref().and_then(|releases| releases.lost.as_ref()) {
        session.output.note(format!("{lost} was live and cannot be run: what is checked out is built in its place"));
    }
    let lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    up::converged(session, &wanted, conductor).await?;
    let answer = with_progress(session, &Request::Recover { from: source, key }).await?;
    show(session, &answer)?;
    // What the manifest declares beside what was saved: indexes, users, rules.
    up::converged(session, &wanted, conductor).await?;
    drop(lock);
    if args.no_gate {
        return Ok(Exit::Done);
    }
    let detail = if session.output.voice >= Voice::Verbose { Detail::Everything } else { Detail::Trouble };
    let report = ready::gate(session, conductor, &ReadyRequest::default(), detail, Json::Lines).await?;
    Ok(if report.holds { Exit::Done } else { Exit::Failed })
}

fn show(session: &Session, answer: &Answer) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(answer);
    }
    render::backup::lines(answer).iter().try_for_each(|line| output.line(line))
}

/// Begins the root, where none is.
async fn plant(
    session: &Session,
    args: &Restore,
    wanted: &Wanted,
    (from, chosen): (&str, Chosen),
) -> Result<Restoring, Failure> {
    let prepared: Root = recovery::prepared_in(&session.root);
    let _lock = command_lock::take(&prepared, &session.surroundings.command_line, session.clock)?;
    let Chosen { reader, contents, base, until } = chosen;
    let (of, product) = (&contents.environment, &contents.product);
    if (of, product) != (&wanted.environment, &wanted.product) {
        return Err(Failure::Usage(
            Fault::new(format!("{from} has backups of {product} {of}"))
                .cause(format!("asked for is {} {}", wanted.product, wanted.environment))
                .hint(format!("--env {of} in a checkout of {product}, or another repository")),
        ));
    }
    session.output.note(format!("restoring {}, taken at {}", base.name, base.taken));
    let (reader, shelf) = (Arc::new(reader), Shelf::new(shelf::folder(&wanted.cache)));
    let what = recovery::What { reader: &reader, contents: &contents, base: &base.name, until, shelf: &shelf };
    let identities = args.identity.iter().map(|path| session.surroundings.folder.join(path)).collect();
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    let course = Arc::new(Course::default());
    let roots = session.roots();
    let planting = recovery::plant(&session.root, &what, (&roots, identities), &clock);
    let mut planting = std::pin::pin!(backup::watched(course.clone(), planting));
    let began = clock.now();
    loop {
        tokio::select! {
            planted = &mut planting => return Ok(planted?),
            () = tokio::time::sleep(TELL) => {
                let seconds = clock.now().since(began).as_secs();
                let expected = Some(course.expected()).filter(|expected| *expected > 0);
                let progress = Progress { bytes: course.done(), expected, seconds, waits: false };
                let lines = render::backup::lines(&Answer::Progress { progress: Some(progress) });
                lines.iter().for_each(|line| session.output.note(line));
            }
        }
    }
}

/// The backup that is restored, opened.
struct Chosen {
    reader: backup::Reader,
    contents: Contents,
    base: Snapshot,
    /// The moment that MongoDB is put back to.
    until: ClusterTime,
}

/// Opens the repository, and in it the backup, where that is not chosen yet.
fn chosen(from: &Meant, key: &str, at: Option<Timestamp>, is_begun: bool) -> Result<(Option<Chosen>, Source), Fault> {
    let (repository, source) = from.open(key)?;
    if is_begun {
        return Ok((None, source));
    }
    let (base, until) = base_for(&repository.snapshots()?, at)?;
    let reader = repository.reader(&base.name)?;
    Ok((Some(Chosen { contents: reader.contents()?, reader, base, until }), source))
}
