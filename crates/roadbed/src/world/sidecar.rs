//! Processes of our own program beside the data services: each is told where it listens and what lies in its folder, and is confined
//! as a data service is.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use host::files::{self, Access};
use reconcile::loaded::Loaded;
use reconcile::ports::{Confinement, Limits, RestartPolicy, StopPolicy, UnitKind, UnitSpec, UnitState, UnitStatus};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use tokio::time::{Instant, sleep};

use crate::{loopback, own};

/// It reads its files and listens; what it needs is there before it.
const START: Duration = Duration::from_secs(15);

/// For one probe.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is different from one to another.
pub(super) trait Sidecar: fmt::Debug + Send + Sync {
    /// Name of the unit, of the resource, of the port in the port book, and of the verb that runs it.
    fn name(&self) -> &'static str;

    /// For people: `the gateway before Redis`.
    fn what(&self) -> &'static str;

    /// What it must answer with 200 to be well: heads of requests without bodies. Of them the first asks for its health.
    fn probes(&self) -> Result<Vec<String>, Fault>;

    /// Where it listens, on loopback.
    fn port(&self) -> u16;

    /// What it is started with, after its name.
    fn args(&self) -> Vec<String>;

    /// Secrets that it is started with.
    fn env(&self) -> Result<(BTreeMap<String, String>, Loaded), Fault> {
        Ok((BTreeMap::new(), Loaded::new()))
    }

    /// What lies in its folder, by name; `None` while what it is made of is missing. It holds no secret.
    fn files(&self) -> Result<Option<BTreeMap<&'static str, Vec<u8>>>, Fault>;

    /// Refuses where it would begin anew and pass for what was there before.
    fn begins_nothing_anew(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Makes what its files are made of.
    fn prepare(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Of its files, those that it reads once: it is started anew for them.
    fn read_once(&self) -> &'static [&'static str] {
        &[]
    }

    /// Folders of its own.
    fn data(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Connections and files.
    fn open_files(&self) -> u64 {
        16_384
    }
}

/// One of them, as a resource.
#[derive(Debug)]
pub(super) struct SidecarProcess {
    id: ResourceId,
    needs: Vec<ResourceId>,
    sidecar: Box<dyn Sidecar>,
    ground: stores::Ground,
    program_revision: String,
}

impl SidecarProcess {
    pub(super) fn new(
        needs: Vec<ResourceId>,
        sidecar: Box<dyn Sidecar>,
        ground: stores::Ground,
    ) -> Result<Self, Fault> {
        let id = ResourceId::new(sidecar.name());
        Ok(Self { id, needs, sidecar, ground, program_revision: own::revision()? })
    }

    fn conf(&self) -> PathBuf {
        conf(&self.ground, self.sidecar.name())
    }

    fn cannot_settle(&self, fault: &files::FileFault) -> Fault {
        Fault::because(format!("cannot write what {} is told", self.sidecar.what()), fault)
    }

    fn revision(&self, files: Option<&BTreeMap<&'static str, Vec<u8>>>, loaded: &Loaded) -> String {
        let args = self.sidecar.args().join(" ");
        let once = self.sidecar.read_once().iter().filter_map(|name| files?.get(name));
        let digests = once.map(|bytes| stores::engines::checksum::of_bytes(bytes)[..16].to_owned());
        let loaded = loaded.iter().map(|(name, version)| format!("{name}@{version}"));
        let parts: Vec<String> =
            [self.program_revision.clone(), args].into_iter().chain(digests).chain(loaded).collect();
        parts.join(" ")
    }

    fn spec(&self) -> Result<UnitSpec, Fault> {
        let program = own::program_of(&self.ground.root)?;
        let name = self.sidecar.name();
        let (env, loaded) = self.sidecar.env()?;
        let files = self.sidecar.files()?;
        Ok(UnitSpec {
            name: name.to_owned(),
            kind: UnitKind::Store,
            program: program.clone(),
            args: [name.to_owned()].into_iter().chain(self.sidecar.args()).collect(),
            cwd: self.conf(),
            env,
            in_files: Vec::new(),
            revision: self.revision(files.as_ref(), &loaded),
            loaded,
            sockets: Vec::new(),
            restart: RestartPolicy {
                first_delay: Duration::ZERO,
                max_delay: Duration::from_secs(5),
                ..RestartPolicy::default()
            },
            stop: StopPolicy { grace: Duration::from_secs(5) },
            limits: Limits { open_files: Some(self.sidecar.open_files()), ..Limits::default() },
            confinement: Some(Confinement {
                release: vec![program],
                configuration: vec![self.conf()],
                data: self.sidecar.data(),
                require: self.ground.require.clone(),
            }),
        })
    }

    /// Whether one of these files is missing or is not as it should be.
    fn has_other_files(&self, files: &BTreeMap<&'static str, Vec<u8>>, names: &[&'static str]) -> Result<bool, Fault> {
        for (name, bytes) in files.iter().filter(|(name, _)| names.contains(name)) {
            let there = files::read_if_exists(&self.conf().join(name)).map_err(|fault| self.cannot_settle(&fault))?;
            if there.as_ref() != Some(bytes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn unit(&self) -> Result<Option<UnitStatus>, Fault> {
        let name = self.sidecar.name();
        Ok(self.ground.units.list().await?.into_iter().find(|unit| unit.name == name))
    }

    async fn settle(&self) -> Result<(), Fault> {
        self.sidecar.prepare()?;
        let files = self.sidecar.files()?;
        let files = files.ok_or_else(|| Fault::new(format!("{} cannot be told anything yet", self.sidecar.what())))?;
        // It may have read once what somebody else wrote: its revision would not tell. It ends before the file is put right, so
        // that whoever is killed in between finds none that runs.
        let name = self.sidecar.name();
        if self.has_other_files(&files, self.sidecar.read_once())? && self.unit().await?.is_some() {
            self.ground.units.remove(name).await?;
        }
        for folder in std::iter::once(self.conf()).chain(self.sidecar.data()) {
            files::create_dir(&folder, Access::Owner).map_err(|fault| self.cannot_settle(&fault))?;
        }
        for (name, bytes) in files {
            files::write_if_changed(&self.conf().join(name), &bytes, Access::Owner)
                .map_err(|fault| self.cannot_settle(&fault))?;
        }
        Ok(())
    }

    async fn is_well(&self) -> Result<(), Fault> {
        let port = self.sidecar.port();
        for probe in self.sidecar.probes()? {
            let unwell = |error: &io::Error| Fault::because(format!("{} does not answer", self.sidecar.what()), error);
            // What it asks itself is waited for three seconds.
            let (status, said) = loopback::ask(port, &probe, b"", PATIENCE).await.map_err(|error| unwell(&error))?;
            if status != 200 {
                let said = String::from_utf8_lossy(&said).lines().last().unwrap_or("nothing").to_owned();
                return Err(unwell(&io::Error::other(said)));
            }
        }
        Ok(())
    }
}

/// The head of a request by `GET`, without those header fields that say who asks.
pub(super) fn get(path: &str, port: u16, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n")
}

/// Where the files of one lie.
pub(super) fn conf(ground: &stores::Ground, name: &str) -> PathBuf {
    ground.root.conf().join(name)
}

/// What there is to do for one.
#[derive(Debug)]
pub(super) enum SidecarStep {
    Settle { what: &'static str },
    Start { what: &'static str },
    AwaitAnswer { what: &'static str },
}

impl fmt::Display for SidecarStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settle { what } => write!(f, "write what {what} is told"),
            Self::Start { what } => write!(f, "start {what}"),
            Self::AwaitAnswer { what } => write!(f, "wait until {what} is well"),
        }
    }
}

/// What there is of one.
#[derive(Debug)]
pub(super) struct SidecarSeen {
    settled: bool,
    /// Of its files those that it reads once are as they should be.
    was_told_right: bool,
    /// Runs as specified.
    current: bool,
    answers: bool,
}

impl Resource for SidecarProcess {
    type Observed = SidecarSeen;
    type Step = SidecarStep;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<SidecarSeen, Fault> {
        let files = self.sidecar.files()?;
        let (settled, was_told_right) = match &files {
            Some(files) => {
                let all: Vec<&str> = files.keys().copied().collect();
                (!self.has_other_files(files, &all)?, !self.has_other_files(files, self.sidecar.read_once())?)
            }
            None => (false, false),
        };
        let unit = self.unit().await?;
        // What it is started with may not be there yet.
        let revision = self.sidecar.env().ok().map(|(_, loaded)| self.revision(files.as_ref(), &loaded));
        // Of one that outlived its keeper the next one does not know the variables, and could not start it again.
        let current = unit.is_some_and(|unit| {
            Some(&unit.revision) == revision.as_ref()
                && !matches!(unit.state, UnitState::Held | UnitState::Lost | UnitState::Adopted)
        });
        let answers = current && self.is_well().await.is_ok();
        Ok(SidecarSeen { settled, was_told_right, current, answers })
    }

    fn plan(&self, seen: &SidecarSeen) -> Vec<SidecarStep> {
        let what = self.sidecar.what();
        let settle = (!seen.settled).then_some(SidecarStep::Settle { what });
        // Where it may have read another one, settling ends it.
        let start = (!seen.current || !seen.was_told_right).then_some(SidecarStep::Start { what });
        let wait = (settle.is_some() || start.is_some() || !seen.answers).then_some(SidecarStep::AwaitAnswer { what });
        settle.into_iter().chain(start).chain(wait).collect()
    }

    async fn apply(&self, step: &SidecarStep, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        self.sidecar.begins_nothing_anew()?;
        match step {
            SidecarStep::Settle { .. } => self.settle().await,
            SidecarStep::Start { .. } => self.ground.units.ensure(self.spec()?).await.map(drop),
            SidecarStep::AwaitAnswer { .. } => {
                let name = self.sidecar.name();
                let deadline = Instant::now() + START;
                while let Err(fault) = self.is_well().await {
                    if Instant::now() >= deadline {
                        let lines = self.ground.units.tail(name, 20).await.unwrap_or_default();
                        let fault = fault.output(lines);
                        return Err(fault.hint(format!("see `roadbed logs {name}`")).retry_safe());
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                Ok(())
            }
        }
    }
}
