//! An artifact off the shelf, unpacked where it will run: a folder that has its digest for a name, and never changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::files;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use secrets::jwk::PublicKey;

use super::Digest;
use super::shelf::{Shelf, TakeFault};

/// One artifact in one environment's folder.
#[derive(Debug)]
pub struct Unpacked {
    id: ResourceId,
    app: String,
    digest: Digest,
    source: Source,
    folder: PathBuf,
}

/// Whose artifacts are believed, asked when one is unpacked: keys are rotated.
pub type Trusted = Arc<dyn Fn() -> Result<Vec<PublicKey>, Fault> + Send + Sync>;

/// Where artifacts come from, and whose are believed.
#[derive(Clone)]
pub struct Source {
    pub shelf: Shelf,
    pub trusted: Trusted,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("shelf", &self.shelf).finish_non_exhaustive()
    }
}

/// What there is to do.
#[derive(Debug)]
pub struct Unpack {
    digest: String,
}

impl fmt::Display for Unpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hold {} against its signature and its digest, and unpack it", self.digest)
    }
}

impl Unpacked {
    /// `releases` is the folder of all that are unpacked.
    pub fn new(app: &str, digest: Digest, source: Source, releases: &Path) -> Self {
        let (id, folder) = (Self::resource_id(&digest), folder(releases, &digest));
        Self { id, app: app.to_owned(), digest, source, folder }
    }

    pub fn resource_id(digest: &Digest) -> ResourceId {
        ResourceId::new(format!("artifact/{}", digest.short()))
    }
}

/// Where an artifact lies, once it is unpacked.
pub fn folder(releases: &Path, digest: &Digest) -> PathBuf {
    releases.join(digest.as_str())
}

impl Resource for Unpacked {
    type Observed = bool;
    type Step = Unpack;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    async fn observe(&self) -> Result<bool, Fault> {
        Ok(files::is_dir(&self.folder))
    }

    fn plan(&self, is_there: &bool) -> Vec<Unpack> {
        if *is_there { Vec::new() } else { vec![Unpack { digest: self.digest.short().to_owned() }] }
    }

    async fn apply(&self, _: &Unpack, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        let (shelf, digest, target) = (self.source.shelf.clone(), self.digest.clone(), self.folder.clone());
        let headline = format!("cannot unpack the artifact {} of {}", self.digest.short(), self.app);
        let trusted = (self.source.trusted)()?;
        let unpacked = tokio::task::spawn_blocking(move || {
            let fresh = target.with_extension("new");
            files::remove_dir(&fresh)?;
            if let Some(parent) = target.parent() {
                files::create_dir(parent, files::Access::Everyone)?;
            }
            shelf.take(&digest, &trusted, &fresh)?;
            files::place_folder(&fresh, &target)?;
            Ok::<_, TakeFault>(())
        });
        match unpacked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(Fault::because(headline, &fault).hint(fault.hint())),
            Err(panic) => Err(Fault::because(headline, &panic)),
        }
    }
}
