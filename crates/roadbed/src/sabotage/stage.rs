//! A throw-away environment and the tools of whoever breaks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge::client::EdgeClient;
use gate::Report;
use host::clock::SystemClock;
use host::files::{self, Access, FileFault};
use manifest::{Environment, Manifest};
use reconcile::ports::{RouteTable, Routes};
use reconcile::{Event, Fault, Root};
use secrets::Store;
use tokio::time::{Instant, sleep};

use super::ground;
use crate::control::client::ControlClient;
use crate::control::identity;
use crate::control::wire::{Message, ReadyRequest};
use crate::keeper::client::KeeperClient;
use crate::roots::Roots;
use crate::seats;
use crate::wanted::{self, Wanted};

/// What a scene did.
#[derive(Debug)]
pub enum Attempt {
    /// It is broken; so it is mended.
    Broken(Vec<super::Mend>),
    /// There is nothing of the kind here, so nothing was touched.
    NotHere(String),
}

/// A process that was killed is back within seconds; a machine that builds beside it takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(50);

/// An environment that is there to be broken, and runs.
#[derive(Debug)]
pub struct Stage {
    root: Root,
    /// Where the root and programs of its own lie.
    folder: PathBuf,
    wanted: Wanted,
    manifest: Manifest,
    environment: Environment,
    keeper: KeeperClient,
    edge: EdgeClient,
    control: ControlClient,
}

impl Stage {
    /// Of a root that was brought up.
    ///
    /// # Errors
    /// Where root or project do not lie in a folder with the mark of a throw-away, or nothing was ever wanted there.
    pub fn open(root: Root) -> Result<Self, Fault> {
        let folder = root.path().parent().unwrap_or(Path::new("/")).to_owned();
        ground::refuse_unmarked(&folder)?;
        let wanted = wanted::read(&root)?
            .ok_or_else(|| Fault::new(format!("nothing was brought up in {}", root.path().display())))?;
        Self::of(root, wanted)
    }

    /// Of a root that is about to be brought up.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(root: Root, wanted: Wanted) -> Result<Self, Fault> {
        let folder = root.path().parent().unwrap_or(Path::new("/")).to_owned();
        ground::refuse_unmarked(&folder)?;
        ground::refuse_unmarked(crate::world::project(&wanted.manifest))?;
        let manifest = wanted::manifest_as_wanted(&wanted)?;
        let environment = wanted::resolve(&wanted)?;
        Ok(Self {
            keeper: KeeperClient::new(root.clone()),
            edge: EdgeClient::new(root.clone()),
            control: ControlClient::new(root.clone()),
            root,
            folder,
            wanted,
            manifest,
            environment,
        })
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn keeper(&self) -> &KeeperClient {
        &self.keeper
    }

    /// The programs that its apps are started with, as links that may be cut.
    pub(super) fn programs(&self) -> PathBuf {
        ground::programs(&self.folder)
    }

    pub(super) fn manifest_path(&self) -> &Path {
        &self.wanted.manifest
    }

    fn project(&self) -> &Path {
        crate::world::project(&self.wanted.manifest)
    }

    /// What `roadbed up` does, without the gate. How many steps there were.
    ///
    /// # Errors
    /// Where something could not be brought up.
    pub async fn bring_up(&self, on: &mut (dyn FnMut(&Event) + Send)) -> Result<u32, Fault> {
        crate::control::launch::ensure_running(&self.root, &self.wanted).await?;
        self.converge(on).await
    }

    /// The same by the control that runs, whichever program that is.
    pub(super) async fn converge(&self, on: &mut (dyn FnMut(&Event) + Send)) -> Result<u32, Fault> {
        let mut end = None;
        self.control
            .converge(&self.wanted, &mut |message| match message {
                Message::Progress { progress } => on(&progress),
                message => end = Some(message),
            })
            .await?;
        match end {
            Some(Message::Converged { steps, failed, .. }) if failed.is_empty() => Ok(steps),
            Some(Message::Converged { failed, .. }) => {
                Err(Fault::new(format!("could not bring up {}", failed.join(", "))))
            }
            Some(Message::Refused { fault }) => Err(fault),
            _ => Err(Fault::new("control did not say how the convergence ended")),
        }
    }

    /// Runs these checks, or all.
    ///
    /// # Errors
    /// Where control does not answer to the end.
    pub async fn gate(&self, only: &[&str]) -> Result<Report, Fault> {
        let request = ReadyRequest { only: only.iter().map(|id| (*id).to_owned()).collect() };
        let mut end = None;
        self.control
            .ready(&request, &mut |message| {
                if !matches!(message, Message::Evidence { .. } | Message::Progress { .. }) {
                    end = Some(message);
                }
            })
            .await?;
        match end {
            Some(Message::Report { report }) => Ok(report),
            Some(Message::Refused { fault }) => Err(fault),
            _ => Err(Fault::new("control did not say how the gate ended")),
        }
    }

    /// Its secret store, as control works with it.
    pub(super) fn secrets(&self) -> Result<Store, Fault> {
        let identity = identity::read(&self.root)?
            .ok_or_else(|| Fault::new(format!("{} has no identity", self.root.path().display())))?;
        let roots = Roots::new(self.wanted.state.clone(), self.wanted.config.clone());
        Ok(Store::new(seats::of_root(&self.root, &identity, &roots)))
    }

    /// What its data services stand on.
    pub(super) fn ground(&self) -> Result<stores::Ground, Fault> {
        let secrets = self.secrets()?;
        Ok(stores::Ground {
            name: "a throw-away".to_owned(),
            id: secrets.seat().install.clone(),
            root: self.root.clone(),
            units: Arc::new(self.keeper.clone()),
            secrets: Arc::new(secrets),
            clock: Arc::new(SystemClock),
            require: Vec::new(),
        })
    }

    /// Has the edge serve another table than it should.
    pub(super) async fn publish(&self, change: impl FnOnce(&mut RouteTable)) -> Result<(), Fault> {
        let mut table = self.edge.current().await?.ok_or_else(|| Fault::new("the edge serves nothing"))?;
        change(&mut table);
        self.edge.publish(table).await.map(drop)
    }

    /// A file of the project, as one that may be changed: links on the way become folders of links, the file a copy.
    pub(super) fn own(&self, path: &str) -> Result<PathBuf, Fault> {
        ground::own(self.project(), Path::new(path)).map_err(|fault| cannot(&fault))
    }

    pub(super) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
        files::read(path).map_err(|fault| cannot(&fault))
    }

    pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), Fault> {
        files::write(path, content, Access::Owner).map_err(|fault| cannot(&fault))
    }

    /// Waits until `is_so` says so.
    pub(super) async fn wait(what: &str, is_so: impl AsyncFn() -> bool) -> Result<(), Fault> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            if Instant::now() >= deadline {
                return Err(Fault::new(format!("{what}: not so within {} s", PATIENCE.as_secs())));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

pub(super) fn cannot(fault: &FileFault) -> Fault {
    Fault::because("cannot change the throw-away environment", fault)
}
