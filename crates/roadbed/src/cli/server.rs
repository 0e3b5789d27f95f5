//! `roadbed server`: the files by which systemd runs an environment, and what it starts by them.

mod systemd;

use std::path::{Path, PathBuf};

use reconcile::{Fault, Root};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::server_args::{Install, Place, Server, Status, Uninstall};
use crate::cli::session::Session;
use crate::cli::{server_run, upgrade};
use crate::control::identity;
use crate::own::{self, Program};
use crate::programs;
use crate::server::made::{self, Content, Piece, Record, There};
use crate::server::unit::Subject;
use crate::wanted::{self, Wanted};

use systemd::{Command, Told};

pub async fn run(session: &Session, verb: &Server) -> Result<Exit, Failure> {
    match verb {
        Server::Install(args) => install(session, args).await,
        Server::Status(args) => status(session, args).await,
        Server::Uninstall(args) => uninstall(session, args).await,
        Server::Run(_) => server_run::run(session).await,
    }
}

/// What the environment was last wanted to be: without it there is nothing that could be started at boot.
pub(crate) fn wanted_of(session: &Session) -> Result<Wanted, Fault> {
    let root = &session.root;
    let wanted = if identity::read(root)?.is_some() { wanted::read(root)? } else { None };
    wanted.ok_or_else(|| {
        Fault::new(format!("nothing is known of what runs in {}", root.path().display())).hint(format!(
            "`{}` brings the environment up once; from then on a server can",
            session.command("up --detach")
        ))
    })
}

fn prefix(session: &Session, place: &Place) -> PathBuf {
    place.prefix.as_ref().map_or_else(|| PathBuf::from("/"), |prefix| session.surroundings.folder.join(prefix))
}

async fn install(session: &Session, args: &Install) -> Result<Exit, Failure> {
    let (root, output) = (&session.root, &session.output);
    session.refuse_copied_root()?;
    let wanted = wanted_of(session)?;
    if let Some(user) = &args.user {
        refuse_odd_user(user)?;
    }
    tell_of_owner(session, args.user.as_deref())?;
    let prefix = prefix(session, &args.place);
    let subject = Subject { root, wanted: &wanted, user: args.user.as_deref() };
    let pieces = made::pieces(&subject, &prefix);
    let noted = made::read(root)?;
    let steps = systemd::steps_of_install(&subject, &prefix, args.now);
    let there = looked_at(root, &pieces, noted.as_ref())?;
    if args.dry_run {
        return rehearse(session, &pieces, &there, &steps);
    }
    if let Some((piece, _)) = pieces.iter().zip(&there).find(|(_, there)| **there == There::Strangers) {
        return Err(Failure::Work(
            Fault::new(format!("cannot write {}: it is there and not ours", piece.path.display()))
                .hint("move it away, or take away the service of the other root by its own `roadbed server uninstall`"),
        ));
    }
    // What a checkout has today may be gone at the next boot.
    if programs::current_digest(root).is_none() {
        let own =
            host::own::program().map_err(|fault| Fault::because("cannot find the program that is running", &fault))?;
        let digest = programs::keep(root, &own)?;
        programs::make_current(root, &digest)?;
    }
    let mut record = Record::new(&subject, &prefix, &pieces);
    // Until the new ones are there, what an earlier install made is still to be known.
    record.files.extend(
        noted
            .iter()
            .flat_map(|noted| noted.files.clone())
            .filter(|made| pieces.iter().all(|piece| piece.path != made.path)),
    );
    made::write(root, &record)?;
    for (piece, there) in pieces.iter().zip(&there) {
        if *there == There::AsItShouldBe {
            continue;
        }
        if *there == There::Changed {
            output.complain(format!(
                "{} {} was changed by hand; it is written anew",
                output.notes.caution("!"),
                piece.path.display()
            ));
        }
        made::make(piece)?;
        output.note(format!("{} {}", output.notes.good("✓"), piece.path.display()));
    }
    remove_former(&record, &pieces)?;
    made::write(root, &Record::new(&subject, &prefix, &pieces))?;
    if there.iter().all(|there| *there == There::AsItShouldBe) {
        output.note("every file is as it should be");
    }
    run_steps(session, &steps).await?;
    if output.is_json() {
        output
            .json(&Installed { service: record.service(), files: pieces.iter().map(|piece| &piece.path).collect() })?;
    }
    Ok(Exit::Done)
}

/// What root brought up is root's; the user could not even look into it.
fn tell_of_owner(session: &Session, user: Option<&str>) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let root = session.root.path();
    let Some(user) = user.filter(|_| host::own::is_root()) else { return Ok(()) };
    if host::files::metadata(root)?.uid() == 0 {
        session.output.complain(format!(
            "{} {root} is root's: hand it over while the environment is down, with the project and the state of who brought it up: \
             `chown -R {user}: {root}`",
            session.output.notes.caution("!"),
            root = root.display(),
        ));
    }
    Ok(())
}

/// What an install with other options made and this one did not.
fn remove_former(record: &Record, pieces: &[Piece]) -> Result<(), Fault> {
    let former =
        record.files.iter().map(|made| &made.path).filter(|path| pieces.iter().all(|piece| piece.path != **path));
    for path in former {
        host::files::remove(path)
            .map_err(|fault| Fault::because(format!("cannot remove {}", path.display()), &fault))?;
    }
    Ok(())
}

/// What `--json` prints of an install.
#[derive(Debug, Serialize)]
struct Installed<'a> {
    service: String,
    files: Vec<&'a PathBuf>,
}

/// A name becomes part of a file's text.
fn refuse_odd_user(user: &str) -> Result<(), Failure> {
    let is_plain = user.starts_with(|c: char| c.is_ascii_lowercase())
        && user.len() <= 31
        && user.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    if is_plain && user != "root" {
        return Ok(());
    }
    Err(Failure::Usage(
        Fault::new(format!("{user:?} is no name for a dedicated user")).hint("[a-z][a-z0-9_-]{0,30}, and not root"),
    ))
}

fn looked_at(root: &Root, pieces: &[Piece], noted: Option<&Record>) -> Result<Vec<There>, Fault> {
    let of = |piece: &Piece| {
        let noted = noted.and_then(|noted| noted.files.iter().find(|made| made.path == piece.path));
        made::look(piece, noted, root)
    };
    pieces.iter().map(of).collect()
}

fn rehearse(session: &Session, pieces: &[Piece], there: &[There], steps: &[Command]) -> Result<Exit, Failure> {
    let output = &session.output;
    for (piece, there) in pieces.iter().zip(there) {
        let path = piece.path.display();
        match (&piece.content, there) {
            (_, There::AsItShouldBe) => output.line(format!("{path}: as it should be"))?,
            (Content::LeadsTo(target), _) => output.line(format!("{path} -> {}", target.display()))?,
            (Content::Text(text), _) => {
                output.line(format!("{path}:"))?;
                text.lines().try_for_each(|line| output.line(format!("    {line}").trim_end()))?;
            }
        }
    }
    for step in steps {
        output.line(format!("$ {step}"))?;
    }
    Ok(Exit::Done)
}

async fn run_steps(session: &Session, steps: &[Command]) -> Result<(), Failure> {
    let output = &session.output;
    if !systemd::is_running() && !steps.is_empty() {
        output.note("systemd does not run here: it takes note of the files at the next boot");
        return Ok(());
    }
    for step in steps {
        step.run().await?;
        output.note(format!("{} {step}", output.notes.good("✓")));
    }
    Ok(())
}

/// What `--json` prints of a service.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    service: Option<String>,
    files: Vec<ShownFile<'a>>,
    /// Files that are not as install would write them now.
    differs: Vec<&'a Path>,
    /// Absent where systemd does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    systemd: Option<Told>,
    /// Digest of what is started at boot.
    starts: Option<String>,
    this: Program,
}

#[derive(Debug, Serialize)]
struct ShownFile<'a> {
    path: &'a Path,
    there: There,
}

async fn status(session: &Session, args: &Status) -> Result<Exit, Failure> {
    let (root, output) = (&session.root, &session.output);
    let Some(noted) = made::read(root)? else {
        if output.is_json() {
            let (service, files, differs) = (None, Vec::new(), Vec::new());
            output.json(&Shown { service, files, differs, systemd: None, starts: None, this: own::running()? })?;
        } else {
            output.note("not installed: no service of this machine brings the environment up");
        }
        return Ok(Exit::Failed);
    };
    let wanted = wanted_of(session)?;
    let prefix =
        args.place.prefix.as_ref().map_or_else(|| noted.prefix.clone(), |_| self::prefix(session, &args.place));
    let subject = Subject { root, wanted: &wanted, user: noted.user.as_deref() };
    let pieces = made::pieces(&subject, &prefix);
    let there = looked_at(root, &pieces, Some(&noted))?;
    let differs: Vec<&Path> = pieces
        .iter()
        .zip(&there)
        .filter(|(_, there)| **there != There::AsItShouldBe)
        .map(|(piece, _)| piece.path.as_path())
        .collect();
    let told = if systemd::is_running() { Some(systemd::told_of(&noted.service()).await?) } else { None };
    let exit = if differs.is_empty() { Exit::Done } else { Exit::Failed };
    let (starts, this) = (programs::current_digest(root), own::running()?);
    if output.is_json() {
        let files = pieces.iter().zip(&there).map(|(piece, there)| ShownFile { path: &piece.path, there: *there });
        let service = Some(noted.service());
        output.json(&Shown { service, files: files.collect(), differs, systemd: told, starts, this })?;
        return Ok(exit);
    }
    match &told {
        Some(told) => output.line(format!("{}  {told}", noted.service()))?,
        None => output.line(format!("{}  systemd does not run here", noted.service()))?,
    }
    if let Some(starts) = starts {
        output.line(format!("starts {starts}; this program is {}", upgrade::shown(&this)))?;
    }
    for (piece, there) in pieces.iter().zip(&there) {
        let how = match there {
            There::AsItShouldBe => "as it should be",
            There::Missing => "missing",
            There::Outdated => "as an earlier install wrote it",
            There::Changed => "changed by hand",
            There::Strangers => "not ours",
        };
        output.line(format!("  {}  {how}", piece.path.display()))?;
    }
    if !differs.is_empty() {
        output.note(format!("`{}` writes what differs anew", session.command("server install")));
    }
    Ok(exit)
}

async fn uninstall(session: &Session, args: &Uninstall) -> Result<Exit, Failure> {
    let (root, output) = (&session.root, &session.output);
    let Some(record) = made::read(root)? else {
        output.note("nothing is installed");
        return Ok(Exit::Done);
    };
    let (ours, changed) = made::still_ours(&record)?;
    let (before, after) = systemd::steps_of_uninstall(&record);
    if args.dry_run {
        before.iter().try_for_each(|step| output.line(format!("$ {step}")))?;
        ours.iter().try_for_each(|path| output.line(format!("remove {}", path.display())))?;
        changed.iter().try_for_each(|path| output.line(format!("leave {}: it was changed by hand", path.display())))?;
        after.iter().try_for_each(|step| output.line(format!("$ {step}")))?;
        return Ok(Exit::Done);
    }
    run_steps(session, &before).await?;
    for path in &ours {
        host::files::remove(path).map_err(|fault| {
            Fault::because(format!("cannot remove {}", path.display()), &fault).hint("run it with `sudo`")
        })?;
        output.note(format!("{} removed {}", output.notes.good("✓"), path.display()));
    }
    if systemd::is_running() {
        run_steps(session, &after).await?;
    }
    made::forget(root)?;
    for path in &changed {
        output.complain(format!("{} {} was changed by hand and stays", output.notes.caution("!"), path.display()));
    }
    let user = record.user.map(|user| format!(", and the user {user}")).unwrap_or_default();
    output.note(format!(
        "the root {} stays, with data, secrets and logs{user}; `{}` removes the root",
        root.path().display(),
        session.command("down --purge")
    ));
    Ok(Exit::Done)
}
