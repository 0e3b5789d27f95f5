//! Collections of one environment's MongoDB: there, with the schema and the indexes that the manifest says.
//!
//! ```text
//!   manifest + schema files ──► wanted ─┐
//!                                       ├─► plan: make, set schema, make index ──► apply, as a user that can do this and no more
//!   server ──► seen ────────────────────┘        └─► what would destroy something waits for a word: drift until then
//! ```
//!
//! **Invariant:** nothing that is on the server and not in the manifest is dropped, unless whoever calls allows it; and no
//! collection is ever dropped.

mod apply;
mod duplicates;
mod observe;
mod plan;
mod wanted;

use std::path::PathBuf;

use manifest::environment;
use mongodb::Client;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

pub use observe::{Seen, SeenCollection, SeenIndex};
pub use plan::Step;
pub(crate) use wanted::filter_of;
pub use wanted::{Wanted, WantedCollection};

use super::client::KeptClient;
use super::{OwnUser, Provider};
use crate::Ground;

/// May what is on the server and not in the manifest be dropped?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Destroy {
    /// It is told, and left alone.
    #[default]
    Never,
    Allowed,
}

/// The collections as a resource.
#[derive(Debug)]
pub struct Collections {
    id: ResourceId,
    needs: Vec<ResourceId>,
    settings: environment::MongoDb,
    provider: Provider,
    /// Folder of the manifest, to which the paths of schemas are relative.
    project: PathBuf,
    destroy: Destroy,
    ground: Ground,
    client: KeptClient,
}

impl Collections {
    /// `provider` says where the servers are.
    pub fn new(
        settings: environment::MongoDb,
        provider: impl Into<Provider>,
        project: PathBuf,
        destroy: Destroy,
        ground: Ground,
    ) -> Self {
        let (needs, provider) = (vec![ResourceId::new(super::UNIT)], provider.into());
        Self {
            id: Self::resource_id(),
            needs,
            settings,
            provider,
            project,
            destroy,
            ground,
            client: KeptClient::default(),
        }
    }

    pub fn resource_id() -> ResourceId {
        ResourceId::new("mongodb/collections")
    }

    /// The user that changes collections, which can do that and no more. The server has it before there is something to look at.
    async fn client(&self) -> Result<Client, Fault> {
        let now = self.ground.clock.now();
        match &self.provider {
            Provider::Ours(members) => {
                let port = members.primary(&self.ground).await?;
                self.client.get(port, now, || OwnUser::Collections.client(&self.ground, port))
            }
            Provider::External(_) => {
                if let Some(kept) = self.client.kept(0, now) {
                    return Ok(kept);
                }
                let client = self.provider.client(OwnUser::Collections, &self.ground).await?;
                self.client.keep(0, now, &client);
                Ok(client)
            }
        }
    }

    /// Does a step. Public so that what needs no journal, a test, can do one.
    ///
    /// # Errors
    /// Where the server refuses, as on an index that its documents do not allow.
    pub async fn perform(&self, step: &Step) -> Result<(), Fault> {
        apply::perform(self, step).await.map_err(|fault| self.provider.explain(fault))
    }
}

impl Resource for Collections {
    type Observed = Seen;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    fn can_drift(&self) -> bool {
        true
    }

    async fn observe(&self) -> Result<Seen, Fault> {
        observe::observe(self).await.map_err(|fault| self.provider.explain(fault))
    }

    fn plan(&self, seen: &Seen) -> Vec<Step> {
        plan::plan(seen, self.destroy)
    }

    fn drift(&self, seen: &Seen) -> Vec<String> {
        plan::drift(seen, self.destroy)
    }

    async fn apply(&self, step: &Step, _begun: &Begun, _progress: &dyn Progress) -> Result<(), Fault> {
        self.perform(step).await
    }
}
