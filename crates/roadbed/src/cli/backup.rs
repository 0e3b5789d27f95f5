//! `roadbed backup`, `drill`, `rpo` and `restore`: control does it, here it is asked for and shown.

use std::time::Duration;

use host::clock::Timestamp;
use reconcile::Fault;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::backup_args::{Backup, Restore};
use crate::cli::env_exec::borrower;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::backing_up::wire::{Answer, Request, ToMask, ToRestore};
use crate::control::client::ControlClient;
use crate::render;

pub(super) async fn run(session: &Session, verb: &Backup) -> Result<Exit, Failure> {
    let request = match verb {
        Backup::Now => Request::Now,
        Backup::List => Request::List,
        Backup::Show(named) => Request::Show { name: named.name.clone() },
        Backup::Verify => Request::Verify,
        Backup::Hold(named) => Request::Hold { name: named.name.clone(), is_held: true },
        Backup::Release(named) => Request::Hold { name: named.name.clone(), is_held: false },
        Backup::Prune => Request::Prune,
        Backup::RecoveryKey => Request::RecoveryKey,
        Backup::Adopt => Request::Adopt { key: key_on_stdin("roadbed backup adopt < FILE")? },
    };
    ask(session, &request).await
}

pub(super) async fn drill(session: &Session) -> Result<Exit, Failure> {
    ask(session, &Request::Drill).await
}

pub(super) async fn rpo(session: &Session) -> Result<Exit, Failure> {
    ask(session, &Request::Objectives).await
}

pub(super) async fn restore(session: &Session, args: &Restore) -> Result<Exit, Failure> {
    let environment = session.environment()?;
    if args.in_place && args.yes.as_ref() != Some(&environment) {
        return Err(Failure::Usage(
            Fault::new(format!("{environment} was not restored: --yes names another environment"))
                .hint(format!("say it once more: --in-place --yes {environment}")),
        ));
    }
    let at = args.at.as_deref().map(moment).transpose()?;
    if let Some(prefix) = &args.redis {
        let request = Request::RestoreKeys { prefix: prefix.clone(), at, in_place: args.in_place };
        return ask(session, &request).await;
    }
    if let Some(named) = &args.bucket {
        let request = Request::RestoreObjects { named: named.clone(), at, in_place: args.in_place };
        return ask(session, &request).await;
    }
    if let Some(preview) = args.into_preview {
        let collection = args.collection.clone();
        let ask_for = ToMask { preview, at, collection, by: borrower(session) };
        return ask(session, &Request::RestoreMasked(ask_for)).await;
    }
    let ask_for = ToRestore { at, collection: args.collection.clone(), in_place: args.in_place };
    ask(session, &Request::Restore(ask_for)).await
}

/// A recovery key, which is in no argument.
pub(super) fn key_on_stdin(command: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_line(&mut text);
    read.map_err(|error| Fault::because("cannot read the recovery key from stdin", &error))?;
    if text.trim().is_empty() {
        let fault = Fault::new("there is no recovery key on stdin");
        return Err(Failure::Usage(fault.hint(command)));
    }
    Ok(text)
}

pub(super) fn moment(text: &str) -> Result<Timestamp, Failure> {
    let read = OffsetDateTime::parse(text, &Rfc3339).ok();
    let millis = read.and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    millis.map(Timestamp::from_unix_millis).ok_or_else(|| {
        Failure::Usage(
            Fault::new(format!("{text:?} is no moment")).hint("write it with its zone, such as 2026-11-27T02:15:00Z"),
        )
    })
}

/// Between two lines of how far it is.
pub(super) const TELL: Duration = Duration::from_secs(2);

/// Says meanwhile how far it is.
pub(super) async fn with_progress(session: &Session, request: &Request) -> Result<Answer, Fault> {
    let client = ControlClient::new(session.root.clone());
    let mut done = std::pin::pin!(client.backups(request));
    loop {
        tokio::select! {
            answer = &mut done => return answer,
            () = tokio::time::sleep(TELL) => {}
        }
        let looked = ControlClient::new(session.root.clone());
        if let Ok(answer) = looked.backups(&Request::Progress).await {
            render::backup::lines(&answer).iter().for_each(|line| session.output.note(line));
        }
    }
}

async fn ask(session: &Session, request: &Request) -> Result<Exit, Failure> {
    let answer = match request {
        Request::Now
        | Request::Drill
        | Request::Restore(_)
        | Request::RestoreObjects { .. }
        | Request::RestoreMasked(_) => with_progress(session, request).await?,
        _ => ControlClient::new(session.root.clone()).backups(request).await?,
    };
    let output = &session.output;
    let exit = match &answer {
        Answer::Drilled { record } if !record.passed() => Exit::Failed,
        Answer::Objectives(objectives) if !objectives.broken().is_empty() => Exit::Failed,
        Answer::Verified { verification } if !verification.damage.is_empty() => Exit::Failed,
        _ => Exit::Done,
    };
    if output.is_json() {
        output.json(&answer)?;
    } else {
        render::backup::lines(&answer).iter().try_for_each(|line| output.line(line))?;
    }
    Ok(exit)
}
