//! Artifacts that a run of the CI brings. The run has proved which commit of which repository it is of, so the environment says in its own
//! name that it believes what it brought: what nobody signed is not run.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use engine::artifact::Digest;
use engine::artifact::provenance::Origin;
use engine::artifact::shelf::{self, Record, Shelf};
use host::files::{self, Access};
use http::StatusCode;
use http_body_util::BodyExt;
use reconcile::Fault;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use super::answers::Artifact;
use super::call::Caller;
use super::problem::Problem;
use super::questions::{Nothing, OfApp};
use crate::control::rotating::store;
use crate::{signing, wanted};

/// Bytes of the longest archive, packed. A Next.js app with all that it needs has some thirty megabytes.
const MOST: u64 = 1 << 30;

/// Room that is left to everything else on the disk when one begins to come.
const LEFT_FREE: u64 = MOST + (512 << 20);

/// From one part to the next.
const PATIENCE: Duration = Duration::from_secs(30);

/// Parts that wait to be written.
const WAITING: usize = 16;

/// One archive comes at a time: each may fill a gigabyte before it is known to be none.
#[derive(Debug, Default)]
pub(super) struct OneAtATime(tokio::sync::Mutex<()>);

/// One that is here, and that the environment has signed for.
pub(super) async fn find(caller: Caller, _: Nothing) -> Result<Artifact, Problem> {
    let digest = caller.artifact()?.clone();
    let want = wanted::read(&caller.control.root)?
        .ok_or_else(|| Fault::new("cannot look for an artifact: nothing is wanted of this environment"))?;
    let shelf = Shelf::new(shelf::folder(&want.cache));
    let ours = signing::public_key(&store(&caller.control, &want))?;
    let record = shelf.get(&digest).map_err(|fault| caller.broken(&fault))?;
    let record = record.ok_or_else(|| Problem::not_found(format!("there is no artifact {}", digest.short())))?;
    if !shelf.is_attested(&digest, &ours).map_err(|fault| caller.broken(&fault))? {
        return Err(Problem::not_found(format!("nobody who counts here has signed the artifact {}", digest.short())));
    }
    Ok(Artifact { app: record.app, digest: record.digest.to_string(), bytes: record.bytes })
}

pub(super) async fn bring(caller: Caller, of: OfApp, body: Body) -> Result<Artifact, Problem> {
    let control = &caller.control;
    let (bearer, digest) = (caller.bearer()?, caller.artifact()?.clone());
    let want = wanted::read(&control.root)?
        .ok_or_else(|| Fault::new("cannot take an artifact: nothing is wanted of this environment"))?;
    let environment = wanted::resolve(&want)?;
    let app = of.app.0.as_str();
    if !environment.apps.iter().any(|known| known.name.as_str() == app) {
        return Err(Problem::not_found(format!("there is no app {app}")));
    }
    let Ok(_turn) = control.api.arriving.0.try_lock() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-now", "another artifact is on its way"));
    };
    let folder = shelf::folder(&want.cache);
    files::create_dir(&folder, Access::Owner).map_err(|fault| caller.broken(&fault))?;
    // Told before the disk is full: what runs needs it too.
    if files::free_bytes(&folder).map_err(|fault| caller.broken(&fault))? < LEFT_FREE {
        let fault = Fault::new("cannot take an artifact: the disk of the environment has too little room");
        return Err(fault.hint("make room there, then send it again").into());
    }
    let shelf = Shelf::new(folder);
    let record = match shelf.get(&digest).map_err(|fault| caller.broken(&fault))? {
        Some(record) if record.app == app => {
            // Who sees no answer before the end of what it sends is answered then.
            read(body, |_| async { Ok(()) }).await?;
            record
        }
        Some(record) => {
            let what = format!("the artifact {} is of {}, and not of {app}", digest.short(), record.app);
            return Err(Problem::new(StatusCode::CONFLICT, "refused", what));
        }
        None => arrived(&caller, &shelf, app, &of.inputs.0, &digest, body).await?,
    };
    let manifest = Sha256::digest(want.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let origin = Origin {
        builder: bearer.called(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: bearer.commit.clone(),
        manifest,
        environments: vec![want.environment.clone()],
        ..Origin::default()
    };
    let attestor = signing::attestor(&store(control, &want), origin)?;
    shelf.attest(&record, &attestor).map_err(|fault| caller.broken(&fault))?;
    tracing::info!(by = bearer.called(), app, %digest, bytes = record.packed_bytes, "an artifact was brought");
    Ok(Artifact { app: record.app, digest: record.digest.to_string(), bytes: record.bytes })
}

/// Writes what comes beside the shelf, and puts it there when it is whole.
async fn arrived(
    caller: &Caller,
    shelf: &Shelf,
    app: &str,
    inputs: &str,
    digest: &Digest,
    body: Body,
) -> Result<Record, Problem> {
    let fresh = shelf.arriving(digest).map_err(|fault| caller.broken(&fault))?;
    let (parts, waiting) = channel(WAITING);
    let file = fresh.clone();
    let writing = tokio::task::spawn_blocking(move || write(&file, waiting));
    let came = read(body, |part| {
        let parts = parts.clone();
        // Where the disk is full nobody takes it any more; how that went is told below.
        async move { parts.send(part).await.map_err(|_| ()) }
    })
    .await;
    drop(parts);
    let written = writing.await.map_err(|error| caller.broken(&error))?;
    let kept = match (came, written) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Err(fault)) => Err(caller.broken(&fault)),
        (Ok(()), Ok(())) => {
            let (shelf, app, inputs) = (shelf.clone(), app.to_owned(), inputs.to_owned());
            let (digest, file) = (digest.clone(), fresh.clone());
            let kept = tokio::task::spawn_blocking(move || shelf.receive(&app, &inputs, &digest, &file)).await;
            kept.map_err(|error| caller.broken(&error))?.map_err(|fault| Problem::not_understood(fault.to_string()))
        }
    };
    if kept.is_err() {
        let _ = files::remove(&fresh);
    }
    kept
}

fn write(file: &PathBuf, mut waiting: Receiver<Bytes>) -> Result<(), files::FileFault> {
    let mut open = files::create_new(file, Access::Owner)?;
    let fault = |source| files::FileFault::new("write", file, source);
    while let Some(part) = waiting.blocking_recv() {
        open.write_all(&part).map_err(fault)?;
    }
    open.sync_all().map_err(fault)
}

/// Reads a body part by part, within bounds of time and size.
async fn read<F: Future<Output = Result<(), ()>>>(mut body: Body, take: impl Fn(Bytes) -> F) -> Result<(), Problem> {
    let mut bytes = 0;
    loop {
        let part = timeout(PATIENCE, body.frame()).await.map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body of the request took too long")
        })?;
        let Some(part) = part else { return Ok(()) };
        let part = part.map_err(|_| Problem::not_understood("the body broke off"))?;
        let Ok(part) = part.into_data() else { continue };
        bytes += part.len() as u64;
        if bytes > MOST {
            let title = format!("the body of the request is longer than {MOST} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", title));
        }
        if take(part).await.is_err() {
            return Ok(());
        }
    }
}
