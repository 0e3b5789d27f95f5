//! What stands between visitors and apps, as resources: the certificate, the edge's process, the published routes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edge::tls::local_ca::{self, CaFault};
use host::clock::Clock;

use reconcile::ports::{
    Limits, RestartPolicy, RouteTable, Routes, Sockets, StopPolicy, UnitKind, UnitSpec, UnitState, Units,
};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId, Root};
use tokio::time::{Instant, sleep};

use crate::own;

/// Name of the edge's unit.
pub const EDGE: &str = "edge";

/// The edge opens a socket and reads one file; slower than this and something is wrong.
const EDGE_START: Duration = Duration::from_secs(15);

/// The local certificate authority and the certificate of all public hosts.
#[derive(Debug)]
pub struct Certificate {
    id: ResourceId,
    root: Root,
    owner: local_ca::Owner,
    hosts: Vec<String>,
    clock: Arc<dyn Clock>,
}

impl Certificate {
    pub fn new(root: Root, owner: local_ca::Owner, hosts: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self { id: Self::resource_id(), root, owner, hosts, clock }
    }

    pub fn resource_id() -> ResourceId {
        ResourceId::new("certificate")
    }
}

/// Issue a certificate.
#[derive(Debug)]
pub struct Issue {
    hosts: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "issue a certificate for {}", self.hosts)
    }
}

impl Resource for Certificate {
    type Observed = local_ca::State;
    type Step = Issue;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    fn can_drift(&self) -> bool {
        true
    }

    fn is_due(&self, seen: &Self::Observed) -> bool {
        *seen == local_ca::State::Due
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        local_ca::state(&self.root, &self.owner, &self.hosts, self.clock.now())
            .map_err(|fault| told("cannot read the certificate", &fault))
    }

    fn plan(&self, seen: &Self::Observed) -> Vec<Issue> {
        match seen {
            local_ca::State::Current => Vec::new(),
            local_ca::State::Due => vec![Issue { hosts: self.hosts.join(", ") }],
        }
    }

    async fn apply(&self, _: &Issue, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        local_ca::ensure(&self.root, &self.owner, &self.hosts, self.clock.now())
            .map(|_| ())
            .map_err(|fault| told("cannot issue a certificate", &fault))
    }
}

fn told(headline: &str, fault: &CaFault) -> Fault {
    Fault { hint: fault.hint().map(str::to_owned), ..Fault::because(headline, fault) }
}

/// A socket that the keeper must hold for the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicSocket {
    pub name: String,
    pub address: SocketAddr,
}

/// The edge's process, with its sockets.
#[derive(Debug)]
pub struct EdgeProcess {
    id: ResourceId,
    root: Root,
    sockets: Vec<PublicSocket>,
    program_revision: String,
    units: Arc<dyn Units>,
    listening: Arc<dyn Sockets>,
    routes: Arc<dyn Routes>,
}

impl EdgeProcess {
    pub fn new(
        root: Root,
        sockets: Vec<PublicSocket>,
        units: Arc<dyn Units>,
        listening: Arc<dyn Sockets>,
        routes: Arc<dyn Routes>,
    ) -> Result<Self, Fault> {
        let program_revision = own::revision()?;
        Ok(Self { id: Self::resource_id(), root, sockets, program_revision, units, listening, routes })
    }

    pub fn resource_id() -> ResourceId {
        ResourceId::new(EDGE)
    }

    /// Other sockets mean another edge: it gets them at its start.
    fn revision(&self) -> String {
        let sockets: Vec<_> = self.sockets.iter().map(|socket| format!("{}={}", socket.name, socket.address)).collect();
        format!("{} {}", self.program_revision, sockets.join(" "))
    }

    fn spec(&self) -> Result<UnitSpec, Fault> {
        Ok(UnitSpec {
            name: EDGE.to_owned(),
            kind: UnitKind::Edge,
            program: own::program_of(&self.root)?,
            args: vec![EDGE.into(), "--root".into(), self.root.path().to_string_lossy().into_owned()],
            cwd: self.root.path().to_owned(),
            env: std::collections::BTreeMap::new(),
            revision: self.revision(),
            in_files: Vec::new(),
            loaded: reconcile::loaded::Loaded::new(),
            sockets: self.sockets.iter().map(|socket| socket.name.clone()).collect(),
            restart: RestartPolicy {
                first_delay: Duration::ZERO,
                max_delay: Duration::from_secs(2),
                ..RestartPolicy::default()
            },
            stop: StopPolicy { grace: Duration::from_secs(5) },
            limits: Limits { open_files: Some(65_536), ..Limits::default() },
            // It starts the next keeper when the keeper dies, which takes the keeper's own rights.
            confinement: None,
        })
    }
}

/// What there is to do for the edge.
#[derive(Debug)]
pub enum EdgeStep {
    Start,
    AwaitAnswer,
}

impl fmt::Display for EdgeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "listen and start the edge",
            Self::AwaitAnswer => "wait until the edge answers",
        })
    }
}

/// What there is of the edge.
#[derive(Debug)]
pub struct EdgeSeen {
    /// Runs as specified.
    current: bool,
    answers: bool,
}

impl Resource for EdgeProcess {
    type Observed = EdgeSeen;
    type Step = EdgeStep;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    async fn observe(&self) -> Result<EdgeSeen, Fault> {
        let revision = self.revision();
        let unit = self.units.list().await?.into_iter().find(|unit| unit.name == EDGE);
        let current = unit
            .is_some_and(|unit| unit.revision == revision && !matches!(unit.state, UnitState::Held | UnitState::Lost));
        Ok(EdgeSeen { current, answers: current && self.routes.current().await.is_ok() })
    }

    fn plan(&self, seen: &EdgeSeen) -> Vec<EdgeStep> {
        match (seen.current, seen.answers) {
            (true, true) => Vec::new(),
            (true, false) => vec![EdgeStep::AwaitAnswer],
            (false, _) => vec![EdgeStep::Start, EdgeStep::AwaitAnswer],
        }
    }

    async fn apply(&self, step: &EdgeStep, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        match step {
            EdgeStep::Start => {
                for socket in &self.sockets {
                    self.listening.listen(&socket.name, socket.address).await?;
                }
                self.units.ensure(self.spec()?).await.map(|_| ())
            }
            EdgeStep::AwaitAnswer => {
                let deadline = Instant::now() + EDGE_START;
                while let Err(fault) = self.routes.current().await {
                    if Instant::now() >= deadline {
                        let lines = self.units.tail(EDGE, 20).await.unwrap_or_default();
                        return Err(Fault::because("cannot start the edge", &fault).output(lines));
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                Ok(())
            }
        }
    }
}

/// The route table, served.
pub struct PublishedRoutes {
    id: ResourceId,
    needs: Vec<ResourceId>,
    /// Asked at each look: where a site's files lie depends on its build.
    wanted: Box<dyn Fn() -> Result<RouteTable, Fault> + Send + Sync>,
    routes: Arc<dyn Routes>,
}

impl fmt::Debug for PublishedRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedRoutes").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PublishedRoutes {
    pub fn new(
        needs: Vec<ResourceId>,
        wanted: Box<dyn Fn() -> Result<RouteTable, Fault> + Send + Sync>,
        routes: Arc<dyn Routes>,
    ) -> Self {
        Self { id: Self::resource_id(), needs, wanted, routes }
    }

    pub fn resource_id() -> ResourceId {
        ResourceId::new("routes")
    }
}

/// Publish a route table.
#[derive(Debug)]
pub struct Publish {
    table: RouteTable,
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = self.table.sites.iter().filter(|site| !site.hosts.is_empty());
        let public: Vec<_> = public.map(|site| site.app.as_str()).collect();
        match public[..] {
            [] => f.write_str("publish the routes: visitors reach nothing yet")?,
            _ => write!(f, "publish the routes of {}", public.join(", "))?,
        }
        if !self.table.candidate.is_empty() {
            f.write_str(", and those of a release that visitors do not see")?;
        }
        Ok(())
    }
}

impl Resource for PublishedRoutes {
    /// What should be served, and whether it is.
    type Observed = (RouteTable, bool);
    type Step = Publish;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        let wanted = (self.wanted)()?;
        let is_served = self.routes.current().await?.as_ref() == Some(&wanted);
        Ok((wanted, is_served))
    }

    fn plan(&self, (wanted, is_served): &Self::Observed) -> Vec<Publish> {
        if *is_served { Vec::new() } else { vec![Publish { table: wanted.clone() }] }
    }

    async fn apply(&self, step: &Publish, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        self.routes.publish(step.table.clone()).await.map(|_| ())
    }
}
