//! `roadbed restore --from`: a whole environment on an empty machine, from a repository and its recovery key.
//!
//! ```text
//!   key on stdin ─► repository ─► root, prepared beside its place ─► up ─► MongoDB by control ─► up again ─► gate
//! ```

use std::path::Path;
use std::sync::Arc;

use backup::{ClusterTime, Contents, Repository, Snapshot, base_for};
use host::clock::{Clock, SystemClock, Timestamp};
use reconcile::{Fault, Root};

use crate::cli::backup::{key_on_stdin, moment};
use crate::cli::backup_args::Restore;
use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Voice;
use crate::cli::project::Project;
use crate::cli::ready::{self, Json};
use crate::cli::session::Session;
use crate::cli::{args, command_lock, up, wanted};
use crate::control::backing_up::wire::{Answer, Request};
use crate::control::client::ControlClient;
use crate::control::wire::ReadyRequest;
use crate::render;
use crate::render::gate::Detail;
use crate::wanted::Wanted;
use crate::{purge, recovery};

pub(super) async fn run(
    session: &Session,
    args: &Restore,
    from: &Path,
    conductor: &impl Conductor,
) -> Result<Exit, Failure> {
    let at = args.at.as_deref().map(moment).transpose()?;
    let project = Project::load(session)?;
    let wanted = wanted::of(session, &project, &args::Up { free_ports: args.free_ports, ..args::Up::default() })?;
    let (_, resolved) = project.environment(&session.environment()?)?;
    if resolved.backup.is_none() {
        return Err(Failure::Usage(
            Fault::new(format!("{} is not backed up by this manifest", wanted.environment))
                .hint("check out the manifest of that time, or give it a table [environments.NAME.backup]"),
        ));
    }
    let key = key_on_stdin("roadbed restore --from REPOSITORY < FILE")?;
    let from = session.surroundings.folder.join(from);
    purge::refuse_begun(&session.root)?;
    if recovery::begun(&session.root)?.is_none() {
        plant(session, args, &wanted, (&from, key.trim(), at)).await?;
    } else {
        session.output.note("going on with the restore that was begun here");
    }
    let lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    up::converged(session, &wanted, conductor).await?;
    let answer = ControlClient::new(session.root.clone()).backups(&Request::Recover { repository: from, key }).await?;
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
    (from, key, at): (&Path, &str, Option<Timestamp>),
) -> Result<(), Failure> {
    recovery::refuse_used(&session.root)?;
    let prepared: Root = recovery::prepared_in(&session.root);
    let _lock = command_lock::take(&prepared, &session.surroundings.command_line, session.clock)?;
    let Chosen { reader, contents, base, until } = {
        let (from, key) = (from.to_owned(), key.to_owned());
        let opening = tokio::task::spawn_blocking(move || chosen(&from, &key, at));
        opening.await.unwrap_or_else(|error| Err(Fault::because("cannot open the repository", &error)))?
    };
    let (of, product) = (&contents.environment, &contents.product);
    if (of, product) != (&wanted.environment, &wanted.product) {
        return Err(Failure::Usage(
            Fault::new(format!("{} has backups of {product} {of}", from.display()))
                .cause(format!("asked for is {} {}", wanted.product, wanted.environment))
                .hint(format!("--env {of} in a checkout of {product}, or another repository")),
        ));
    }
    session.output.note(format!("restoring {}, taken at {}", base.name, base.taken));
    let what = recovery::What { reader: &Arc::new(reader), contents: &contents, base: &base.name, until };
    let identities = args.identity.iter().map(|path| session.surroundings.folder.join(path)).collect();
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    Ok(recovery::plant(&session.root, &what, (&session.roots(), identities), &clock).await?)
}

/// The backup that is restored, opened.
struct Chosen {
    reader: backup::Reader,
    contents: Contents,
    base: Snapshot,
    /// The moment that MongoDB is put back to.
    until: ClusterTime,
}

fn chosen(from: &Path, key: &str, at: Option<Timestamp>) -> Result<Chosen, Fault> {
    let repository = Repository::open(from, key)?.ok_or_else(|| {
        Fault::new(format!("there is no repository in {}", from.display()))
            .hint("name the folder that has `config`, `keys` and `snapshots` in it")
    })?;
    let (base, until) = base_for(&repository.snapshots()?, at)?;
    let reader = repository.reader(&base.name)?;
    Ok(Chosen { contents: reader.contents()?, reader, base, until })
}
