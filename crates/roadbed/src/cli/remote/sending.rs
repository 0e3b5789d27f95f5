//! `roadbed deploy --artifacts DIR --remote URL`: a release from here, sent and asked for.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::artifact::shelf::Record;
use host::files;
use reconcile::Fault;

use super::client::Api;
use super::deployments::look;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::follow::Looking;
use crate::cli::interrupts::Interrupts;
use crate::cli::release_folder::ReleaseFolder;
use crate::cli::session::Session;
use crate::control::api::answers::{Deployment, Received};
use crate::control::api::questions::{CommitText, LineText, NameText, OfArtifacts, OnShelf, Piece, Sha256Text};
use crate::render::span::bytes;

/// A piece of an artifact. It has to come through within the ten seconds that the other end waits for a request.
const PIECE: u64 = 1 << 20;

pub(super) async fn deploy(
    session: &Session,
    api: &Api,
    folder: &Path,
    looking: Option<Looking>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let release = ReleaseFolder::read(&session.surroundings.folder.join(folder))?;
    // A pipeline deploys in the name of the commit that it was started for: the same content may be of several.
    let variable = |name: &str| {
        let is_hosted = session.surroundings.variable("GITHUB_ACTIONS").is_some();
        session.surroundings.variable(name).filter(|value| is_hosted && !value.is_empty())
    };
    let commit = variable("GITHUB_SHA").or_else(|| release.commit.clone());
    let branch = variable("GITHUB_REF_NAME").or_else(|| release.branch.clone());
    for record in &release.artifacts {
        tokio::select! {
            sent = send(session, api, &release, record, commit.as_deref()) => sent?,
            () = interrupts.next() => return Ok(Exit::Interrupted),
        }
    }
    let on_shelf =
        |record: &Record| OnShelf { app: NameText(record.app.clone()), digest: Sha256Text(record.digest.to_string()) };
    let ask = OfArtifacts {
        artifacts: release.artifacts.iter().map(on_shelf).collect(),
        commit: commit.map(CommitText),
        branch: branch.map(LineText),
        author: release.author.clone().map(LineText),
    };
    // Sent again where the answer is lost, it is still one deployment.
    let key = uuid::Uuid::new_v4().to_string();
    let deployment: Deployment = api.post("deployments", &ask, Some(&key)).await?;
    let id = deployment.id.0;
    session.output.note(format!("{id} of {}: asked for by {}", deployment.release.0, deployment.asked_by));
    match looking {
        Some(looking) => look(session, api, id, looking, interrupts).await,
        None => {
            if session.output.is_json() {
                session.output.json(&deployment)?;
            }
            Ok(Exit::Done)
        }
    }
}

/// Sends what the other end does not have yet, from where it says.
async fn send(
    session: &Session,
    api: &Api,
    release: &ReleaseFolder,
    record: &Record,
    commit: Option<&str>,
) -> Result<(), Failure> {
    let path = release.archive(record);
    let cannot = |error: std::io::Error| Fault::because(format!("cannot read {}", path.display()), &error);
    let mut archive = files::open(&path)?;
    let piece = |from: u64, content: &[u8]| Piece {
        app: NameText(record.app.clone()),
        digest: Sha256Text(record.digest.to_string()),
        inputs: Sha256Text(record.inputs.clone()),
        bytes: record.bytes,
        packed_bytes: record.packed_bytes,
        files: record.files as u64,
        packages: record.packages as u64,
        commit: commit.map(|commit| CommitText(commit.to_owned())),
        from,
        content: STANDARD.encode(content),
    };
    let mut received: Received = api.post("artifacts", &piece(0, &[]), None).await?;
    if received.is_whole {
        session.output.note(format!("{}: {} is there already", record.app, record.digest.short()));
        return Ok(());
    }
    while !received.is_whole {
        archive.seek(SeekFrom::Start(received.has)).map_err(cannot)?;
        let mut content = Vec::new();
        (&mut archive).take(PIECE).read_to_end(&mut content).map_err(cannot)?;
        let before = received.has;
        received = api.post("artifacts", &piece(before, &content), None).await?;
        if received.has <= before && !received.is_whole {
            return Err(Failure::Work(
                Fault::new(format!("the artifact of {} does not arrive", record.app))
                    .cause(format!("{} of {} bytes are there, and no more come", received.has, record.packed_bytes))
                    .hint("build it again: `roadbed build --out DIR`"),
            ));
        }
    }
    session.output.note(format!("{}: {} sent, {}", record.app, record.digest.short(), bytes(record.packed_bytes)));
    Ok(())
}
