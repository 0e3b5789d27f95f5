//! An artifact off the shelf, unpacked where it will run: a folder that has its digest for a name, and never changes.

use std::fmt;
use std::path::{Path, PathBuf};

use host::files;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

use super::Digest;
use super::archive::{self, ArchiveFault};
use super::shelf::Shelf;

/// One artifact in one environment's folder.
#[derive(Debug)]
pub struct Unpacked {
    id: ResourceId,
    app: String,
    digest: Digest,
    shelf: Shelf,
    folder: PathBuf,
}

/// What there is to do.
#[derive(Debug)]
pub struct Unpack {
    digest: String,
}

impl fmt::Display for Unpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unpack {} and hold it against its digest", self.digest)
    }
}

impl Unpacked {
    /// `releases` is the folder of all that are unpacked.
    pub fn new(app: &str, digest: Digest, shelf: Shelf, releases: &Path) -> Self {
        let (id, folder) = (Self::resource_id(&digest), folder(releases, &digest));
        Self { id, app: app.to_owned(), digest, shelf, folder }
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
        let (archive, digest, target) = (self.shelf.archive(&self.digest), self.digest.clone(), self.folder.clone());
        let headline = format!("cannot unpack the artifact {} of {}", self.digest.short(), self.app);
        let unpacked = tokio::task::spawn_blocking(move || {
            let fresh = target.with_extension("new");
            files::remove_dir(&fresh)?;
            if let Some(parent) = target.parent() {
                files::create_dir(parent, files::Access::Everyone)?;
            }
            archive::unpack(&archive, &digest, &fresh)?;
            files::rename(&fresh, &target)?;
            files::sync_dir(target.parent().unwrap_or(&target))?;
            Ok::<_, ArchiveFault>(())
        });
        match unpacked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault @ ArchiveFault::File(_))) => Err(Fault::because(headline, &fault)
                .hint("see whether the disk is full; an artifact that is gone is made again by `roadbed build`")),
            Ok(Err(fault)) => Err(Fault::because(headline, &fault).hint("`roadbed build` makes it again")),
            Err(panic) => Err(Fault::because(headline, &panic)),
        }
    }
}
