//! Releases that go into a backup: what the book of deployments keeps live or as a way back, off the shelf of artifacts.
//!
//! The shelf is a cache, which people empty. An artifact that is not there, is damaged or was signed by nobody is left out, and that is
//! said by name: data is worth a backup all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use backup::{FileSource, OfRelease, ReleaseSources};
use delivery::{Release, ReleaseId};
use engine::artifact::shelf::{self, Shelf};
use engine::artifact::{Digest, archive};
use host::files;
use reconcile::Fault;
use secrets::jwk::PublicKey;

use super::desk::Desk;
use crate::control::{Control, delivering};
use crate::signing;

/// Archives that were held against their digests, by the SHA-256 of their bytes: one that has not changed is not unpacked each time.
pub(super) type Held = Arc<Mutex<BTreeSet<String>>>;

/// `None` where nothing was deployed.
pub(super) async fn sources(control: &Control, desk: &Desk) -> Result<Option<ReleaseSources>, Fault> {
    let kept = delivering::kept(&control.delivering.book, desk.lender.environment.rollout.keep_releases)?;
    if kept.is_empty() {
        return Ok(None);
    }
    let live = control.delivering.live()?;
    let gathering = Gathering {
        shelf: Shelf::new(shelf::folder(&desk.want.cache)),
        trusted: signing::trusted(&desk.lender.secrets)?,
        held: control.backing_up.held.clone(),
    };
    let gathered = tokio::task::spawn_blocking(move || gathering.all(&kept, live)).await;
    gathered.map(Some).map_err(|error| Fault::because("cannot read releases for a backup", &error))
}

struct Gathering {
    shelf: Shelf,
    trusted: Vec<PublicKey>,
    held: Held,
}

impl Gathering {
    fn all(&self, kept: &[Release], live: Option<ReleaseId>) -> ReleaseSources {
        let mut sources = ReleaseSources::default();
        // Releases share what did not change between them.
        let mut seen: BTreeMap<String, Option<String>> = BTreeMap::new();
        for release in kept {
            let mut of = OfRelease {
                name: release.id.to_string(),
                is_live: live == Some(release.id),
                artifacts: BTreeMap::new(),
                lacking: Vec::new(),
            };
            for artifact in &release.contents.artifacts {
                let why = seen.entry(artifact.digest.clone()).or_insert_with(|| match self.one(&artifact.digest) {
                    Ok(files) => {
                        sources.files.extend(files);
                        None
                    }
                    Err(why) => Some(why),
                });
                of.artifacts.insert(artifact.app.clone(), artifact.digest.clone());
                of.lacking.extend(why.iter().map(|why| format!("the artifact of {} is left out: {why}", artifact.app)));
            }
            sources.releases.push(of);
        }
        sources
    }

    /// The files of one artifact, or why it is left out.
    fn one(&self, digest: &str) -> Result<Vec<FileSource>, String> {
        let digest: Digest = digest.parse().map_err(|error| told(&error))?;
        let record = self.shelf.signed(&digest, &self.trusted).map_err(|fault| told(&fault))?;
        let path = self.shelf.archive(&digest);
        let archive = files::open(&path).map_err(|fault| told(&fault))?;
        let archive = FileSource::of_file(&format!("{digest}.tar.zst"), archive);
        let archive = archive.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let mark = format!("{digest} {}", archive.sha256());
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held().contains(&mark) {
            archive::hold(&path, &digest).map_err(|fault| format!("{}: {}", path.display(), told(&fault)))?;
            held().insert(mark);
        }
        let record = serde_json::to_vec_pretty(&record).expect("plain data");
        let mut all = vec![archive, FileSource::of_bytes(&format!("{digest}.json"), record)];
        for (end, path) in [("cdx.json", self.shelf.bill(&digest)), ("intoto.jsonl", self.shelf.attestation(&digest))] {
            let content = files::read_if_exists(&path).map_err(|fault| told(&fault))?;
            all.extend(content.map(|content| FileSource::of_bytes(&format!("{digest}.{end}"), content)));
        }
        Ok(all)
    }
}

/// With all that led to it.
fn told(fault: &dyn Error) -> String {
    let (mut text, mut cause) = (fault.to_string(), fault.source());
    while let Some(one) = cause {
        text = format!("{text}: {one}");
        cause = one.source();
    }
    text
}
