//! An artifact that comes from elsewhere, piece by piece. What is whole is held against its digest, put on the shelf, and signed in this
//! environment's name: whoever brings it is known by a token that may deploy, and the signature says who it was.

use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use engine::artifact::Digest;
use engine::artifact::provenance::Origin;
use engine::artifact::shelf::{self, Record, Shelf};
use host::files::{self, Access, FileFault};
use reconcile::Fault;
use secrets::Store;
use sha2::{Digest as _, Sha256};

use super::answers::Received;
use super::call::Caller;
use super::problem::Problem;
use super::questions::{MOST_BYTES, Piece};
use crate::control::Control;
use crate::wanted::{self, Wanted};
use crate::{seats, signing};

/// What one piece holds at most: a mebibyte, and what the last letters of its base64 may hold more.
const MOST_OF_CONTENT: usize = (1 << 20) + 2;

/// As the description has it: bits that nobody reads may be any.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Parts of artifacts lie below the shelf, under who brings them: nobody adds to what somebody else began.
const INCOMING: &str = "incoming";

/// Room that is left to everything else on the disk.
const LEFT_FREE: u64 = 512 << 20;

pub(super) async fn piece(caller: Caller, piece: Piece) -> Result<Received, Problem> {
    let (id, by) = caller.bearer().map(|bearer| (bearer.id.to_string(), bearer.called()))?;
    let control = caller.control.clone();
    let taken = tokio::task::spawn_blocking(move || take(&control, &piece, &id, &by)).await;
    taken.map_err(|panic| Fault::because("cannot take the artifact", &panic))?
}

fn take(control: &Control, piece: &Piece, id: &str, by: &str) -> Result<Received, Problem> {
    let content = BASE64
        .decode(&piece.content)
        .ok()
        .filter(|content| content.len() <= MOST_OF_CONTENT)
        .ok_or_else(|| Problem::not_understood("`content` is base64 of at most a mebibyte"))?;
    let record = record_of(piece)?;
    let want = wanted::read(&control.root)?
        .ok_or_else(|| Fault::new("cannot take an artifact: nothing is wanted of this environment"))?;
    let folder = shelf::folder(&want.cache);
    let shelf = Shelf::new(folder.clone());
    let store = Store::new(seats::of_control(&control.root, &control.id, &control.clock, &want));
    let cannot = |fault: FileFault| Fault::because("cannot keep the artifact", &fault);
    let ours = signing::public_key(&store)?;
    if shelf.get(&record.digest).map_err(cannot)?.is_some()
        && shelf.is_attested(&record.digest, &ours).map_err(cannot)?
    {
        return Ok(Received { has: record.packed_bytes, is_whole: true });
    }
    let part = part(&folder, id, &record.digest);
    files::create_dir(&folder.join(INCOMING), Access::Owner).map_err(cannot)?;
    let has = match files::exists(&part) {
        true => files::metadata(&part).map_err(cannot)?.len(),
        false => 0,
    };
    // Whoever begins anew is told where to go on. One piece is never taken twice.
    if content.is_empty() || piece.from != has {
        return Ok(Received { has, is_whole: false });
    }
    // Told before the disk is full: what runs needs it too.
    if files::free_bytes(&folder).map_err(cannot)? < record.packed_bytes.saturating_sub(has).saturating_add(LEFT_FREE) {
        let fault = Fault::new("the artifact is refused: the disk of the environment has too little room");
        return Err(fault.hint("make room there, then send it again: it goes on where it was").into());
    }
    let has = has + content.len() as u64;
    if has > record.packed_bytes {
        files::remove(&part).map_err(cannot)?;
        let fault = Fault::new("the artifact is refused: it is longer than it was said to be");
        return Err(fault.hint("send it again: what came of it is forgotten").into());
    }
    let written = files::open_append(&part, Access::Owner).map_err(cannot)?.write_all(&content);
    written.map_err(|error| cannot(FileFault::new("append to", &part, error)))?;
    if has < record.packed_bytes {
        return Ok(Received { has, is_whole: false });
    }
    let received = shelf.receive(&record, &part).map_err(|fault| Fault::because("the artifact is refused", &fault));
    if let Err(fault) = received {
        files::remove(&part).map_err(cannot)?;
        return Err(fault.hint("send it again: what came of it is forgotten").into());
    }
    let attestor = signing::attestor(&store, origin(piece, &want, by))?;
    let attested = shelf.attest(&record, &attestor);
    attested.map_err(|fault| Fault::because("cannot sign the artifact", &fault))?;
    Ok(Received { has, is_whole: true })
}

fn record_of(piece: &Piece) -> Result<Record, Problem> {
    let numbers = [piece.bytes, piece.packed_bytes, piece.files, piece.packages, piece.from];
    if numbers.iter().any(|number| *number > MOST_BYTES) || piece.packed_bytes == 0 {
        return Err(Problem::not_understood(format!("a number is not from 0 to {MOST_BYTES}, or nothing is sent")));
    }
    let digest: Digest =
        piece.digest.0.parse().map_err(|_| Problem::not_understood("`digest` is a digest of SHA-256"))?;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Record {
        app: piece.app.0.clone(),
        digest,
        inputs: piece.inputs.0.clone(),
        bytes: piece.bytes,
        packed_bytes: piece.packed_bytes,
        files: count(piece.files),
        packages: count(piece.packages),
    })
}

fn part(folder: &Path, id: &str, digest: &Digest) -> PathBuf {
    folder.join(INCOMING).join(format!("{id}-{digest}.part"))
}

/// Where it comes from, as far as this environment knows.
fn origin(piece: &Piece, want: &Wanted, by: &str) -> Origin {
    let manifest = Sha256::digest(want.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Origin {
        builder: by.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: piece.commit.as_ref().map(|commit| commit.0.clone()),
        manifest,
        environments: vec![want.environment.clone()],
        lock: None,
        tools: Vec::new(),
    }
}
