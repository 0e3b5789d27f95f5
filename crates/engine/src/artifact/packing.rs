//! Packing as a resource: an app that was built has its artifact on the shelf.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use manifest::environment::App;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

use super::archive::ArchiveFault;
use super::attestation::Attestor;
use super::content::{self, ContentFault};
use super::shelf::{AttestFault, Record, Shelf};
use crate::build::{self, AppBuild};

/// The artifact of an app's present build.
#[derive(Debug)]
pub struct AppArtifact {
    id: ResourceId,
    needs: Vec<ResourceId>,
    project: PathBuf,
    app: App,
    shelf: Shelf,
    /// Who says where it comes from.
    attestor: Option<Arc<Attestor>>,
}

/// What there is to do.
#[derive(Debug)]
pub struct Pack {
    inputs: String,
}

impl fmt::Display for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pack what it needs to run")
    }
}

impl AppArtifact {
    pub fn new(project: PathBuf, app: App, shelf: Shelf) -> Self {
        let (id, needs) = (Self::resource_id(&app), vec![AppBuild::resource_id(&app)]);
        Self { id, needs, project, app, shelf, attestor: None }
    }

    /// Signed by this one: an artifact that only others signed is packed again from what was built here.
    pub fn attested(self, by: Arc<Attestor>) -> Self {
        Self { attestor: Some(by), ..self }
    }

    pub fn resource_id(app: &App) -> ResourceId {
        ResourceId::new(format!("artifact/{}", app.name))
    }

    /// The artifact, once it is there.
    pub fn record(&self) -> Result<Option<Record>, Fault> {
        self.look().map(|(_, record)| record)
    }

    fn look(&self) -> Result<(String, Option<Record>), Fault> {
        let inputs = build::built_from(&self.project, &self.app)?
            .ok_or_else(|| Fault::new(format!("cannot pack {}: it is not built", self.app.name)))?;
        let record = self.shelf.made_of(self.app.name.as_str(), &inputs);
        let cannot = |fault| Fault::because(self.headline(), &fault);
        let mut record = record.map_err(cannot)?;
        if let (Some(found), Some(attestor)) = (&record, &self.attestor)
            && !self.shelf.is_attested(&found.digest, attestor.public()).map_err(cannot)?
        {
            record = None;
        }
        Ok((inputs, record))
    }

    fn headline(&self) -> String {
        format!("cannot pack {}", self.app.name)
    }
}

impl Resource for AppArtifact {
    /// Digest of the inputs, and what they became.
    type Observed = (String, Option<Record>);
    type Step = Pack;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        self.look()
    }

    fn plan(&self, (inputs, record): &Self::Observed) -> Vec<Pack> {
        if record.is_some() { Vec::new() } else { vec![Pack { inputs: inputs.clone() }] }
    }

    async fn apply(&self, step: &Pack, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        let (project, app, shelf, inputs) =
            (self.project.clone(), self.app.clone(), self.shelf.clone(), step.inputs.clone());
        let attestor = self.attestor.clone();
        let packed = tokio::task::spawn_blocking(move || {
            let content = content::of(&project, &app)?;
            let record = shelf.put(app.name.as_str(), &inputs, &content).map_err(PackFault::Archive)?;
            attestor.map_or(Ok(()), |by| shelf.attest(&record, &by)).map_err(PackFault::Attest)
        });
        match packed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(fault.told(&self.headline())),
            Err(panic) => Err(Fault::because(self.headline(), &panic)),
        }
    }
}

enum PackFault {
    Content(ContentFault),
    Archive(ArchiveFault),
    Attest(AttestFault),
}

impl From<ContentFault> for PackFault {
    fn from(fault: ContentFault) -> Self {
        Self::Content(fault)
    }
}

impl PackFault {
    fn told(&self, headline: &str) -> Fault {
        match self {
            Self::Content(fault @ ContentFault::Lock(lock)) => Fault::because(headline, fault).hint(lock.hint()),
            Self::Content(fault @ ContentFault::NotInstalled(_)) => {
                Fault::because(headline, fault).hint("`npm ci` installs what the lock file says")
            }
            Self::Content(fault) => Fault::because(headline, fault),
            Self::Attest(fault @ AttestFault::Damaged(_)) => {
                Fault::because(headline, fault).hint("take the file away: who built the artifact signs it again")
            }
            Self::Attest(fault) => Fault::because(headline, fault).hint("see whether the disk is full"),
            Self::Archive(fault) => Fault::because(headline, fault).hint("see whether the disk is full"),
        }
    }
}
