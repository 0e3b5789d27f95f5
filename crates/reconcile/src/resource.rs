//! A thing that can be looked at, compared with what is wanted, and changed one step at a time.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use journal::Begun;

use crate::{Fault, Progress};

/// What a resource is called in plans, progress and the journal: `mongodb`, `app/api`, `build/storefront`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(String);

impl ResourceId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that Roadbed keeps as the manifest says.
pub trait Resource: Send + Sync + fmt::Debug {
    /// What a look at the world found. Holds no secret values.
    type Observed: Send + Sync + fmt::Debug;
    /// A closed set of effects. `Display` is the line that `roadbed plan` shows; it must hold no secret value.
    type Step: Send + Sync + fmt::Debug + fmt::Display;

    fn id(&self) -> &ResourceId;
    /// What must be converged before this can be.
    fn needs(&self) -> &[ResourceId];
    fn observe(&self) -> impl Future<Output = Result<Self::Observed, Fault>> + Send;
    /// Pure: no clock, no file, no randomness. Empty means converged.
    fn plan(&self, seen: &Self::Observed) -> Vec<Self::Step>;
    /// Pure as well. What is not as wanted and stays so, since it needs somebody's word: one sentence each.
    fn drift(&self, _seen: &Self::Observed) -> Vec<String> {
        Vec::new()
    }
    /// Whether others can change it behind our back while nothing of ours starts or ends, such as a server's users. Control looks
    /// at such resources from time to time.
    fn can_drift(&self) -> bool {
        false
    }
    /// Whether time alone has made a change necessary, such as a certificate that comes to its end: nobody's word is waited for.
    fn is_due(&self, _seen: &Self::Observed) -> bool {
        false
    }
    /// One effect, safe to do twice. The `Begun` shows that the journal knows of it.
    fn apply(
        &self,
        step: &Self::Step,
        begun: &Begun,
        progress: &dyn Progress,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A resource that others hold too, for what it found out.
impl<R: Resource> Resource for Arc<R> {
    type Observed = R::Observed;
    type Step = R::Step;

    fn id(&self) -> &ResourceId {
        R::id(self)
    }

    fn needs(&self) -> &[ResourceId] {
        R::needs(self)
    }

    fn observe(&self) -> impl Future<Output = Result<Self::Observed, Fault>> + Send {
        R::observe(self)
    }

    fn plan(&self, seen: &Self::Observed) -> Vec<Self::Step> {
        R::plan(self, seen)
    }

    fn drift(&self, seen: &Self::Observed) -> Vec<String> {
        R::drift(self, seen)
    }

    fn can_drift(&self) -> bool {
        R::can_drift(self)
    }

    fn is_due(&self, seen: &Self::Observed) -> bool {
        R::is_due(self, seen)
    }

    fn apply(
        &self,
        step: &Self::Step,
        begun: &Begun,
        progress: &dyn Progress,
    ) -> impl Future<Output = Result<(), Fault>> + Send {
        R::apply(self, step, begun, progress)
    }
}
