//! The gateway before Redis that speaks Upstash's REST: its process, confined as a data service is.
//!
//! It is told two ports and whom to believe, all public. What its clients may do is in their tokens and in Redis's users.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use host::files::{self, Access};
use reconcile::ports::{Confinement, Limits, RestartPolicy, StopPolicy, UnitKind, UnitSpec, UnitState};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use secrets::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::own;

/// Name of the unit, of the resource, and of its port in the port book.
pub const REST: &str = "redis-rest";

/// It reads one file and listens; Redis is there before it.
const START: Duration = Duration::from_secs(15);

/// A connection of a client for each of Redis's, and its own.
const OPEN_FILES: u64 = 16_384;

/// Where it listens, and where its Redis does, on loopback.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub listen: u16,
    pub redis: u16,
}

/// The token of a user.
pub(crate) fn token(user: &str, password: &Secret) -> Result<Secret, Fault> {
    let login = upstash::Login::new(user, password.expose());
    let login = login.ok_or_else(|| Fault::new(format!("the password of {user} is too long for a token")))?;
    Ok(Secret::new(login.token().to_string()))
}

/// The gateway as a resource.
#[derive(Debug)]
pub struct RestGateway {
    id: ResourceId,
    needs: Vec<ResourceId>,
    ports: Ports,
    ground: stores::Ground,
    program_revision: String,
}

impl RestGateway {
    pub fn new(needs: Vec<ResourceId>, ports: Ports, ground: stores::Ground) -> Result<Self, Fault> {
        Ok(Self { id: ResourceId::new(REST), needs, ports, ground, program_revision: own::revision()? })
    }

    fn conf(&self) -> PathBuf {
        self.ground.root.conf().join(REST)
    }

    fn authorities_file(&self) -> PathBuf {
        self.conf().join("ca.pem")
    }

    fn revision(&self) -> String {
        format!("{} {} {}", self.program_revision, self.ports.listen, self.ports.redis)
    }

    fn spec(&self) -> Result<UnitSpec, Fault> {
        let program = own::program_of(&self.ground.root)?;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let args = [
            REST.to_owned(),
            "--listen".to_owned(),
            self.ports.listen.to_string(),
            "--redis".to_owned(),
            self.ports.redis.to_string(),
            "--authorities".to_owned(),
            text(self.authorities_file()),
        ];
        Ok(UnitSpec {
            name: REST.to_owned(),
            kind: UnitKind::Store,
            program: program.clone(),
            args: args.into(),
            cwd: self.conf(),
            env: BTreeMap::new(),
            in_files: Vec::new(),
            revision: self.revision(),
            loaded: BTreeMap::new(),
            sockets: Vec::new(),
            restart: RestartPolicy {
                first_delay: Duration::ZERO,
                max_delay: Duration::from_secs(5),
                ..RestartPolicy::default()
            },
            stop: StopPolicy { grace: Duration::from_secs(5) },
            limits: Limits { open_files: Some(OPEN_FILES), ..Limits::default() },
            confinement: Some(Confinement {
                release: vec![program],
                configuration: vec![self.conf()],
                data: Vec::new(),
                require: self.ground.require.clone(),
            }),
        })
    }

    fn trusted(&self) -> Result<String, Fault> {
        self.ground.trusted()?.ok_or_else(|| Fault::new("the data services have no authority yet"))
    }
}

/// What there is to do for the gateway.
#[derive(Debug)]
pub enum RestStep {
    Settle,
    Start,
    AwaitAnswer,
}

impl fmt::Display for RestStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settle => "write whom the gateway before Redis believes",
            Self::Start => "start the gateway before Redis",
            Self::AwaitAnswer => "wait until the gateway reaches Redis",
        })
    }
}

/// What there is of the gateway.
#[derive(Debug)]
pub struct RestSeen {
    settled: bool,
    /// Runs as specified.
    current: bool,
    answers: bool,
}

impl Resource for RestGateway {
    type Observed = RestSeen;
    type Step = RestStep;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<RestSeen, Fault> {
        let there = files::read_if_exists(&self.authorities_file()).map_err(|fault| cannot_settle(&fault))?;
        let settled = there.is_some() && there == self.ground.trusted()?.map(String::into_bytes);
        let unit = self.ground.units.list().await?.into_iter().find(|unit| unit.name == REST);
        let revision = self.revision();
        // Of one that outlived its keeper the next one does not know the variables, and could not start it again.
        let current = unit.is_some_and(|unit| {
            unit.revision == revision && !matches!(unit.state, UnitState::Held | UnitState::Lost | UnitState::Adopted)
        });
        let answers = current && health(self.ports.listen).await.is_ok();
        Ok(RestSeen { settled, current, answers })
    }

    fn plan(&self, seen: &RestSeen) -> Vec<RestStep> {
        let settle = (!seen.settled).then_some(RestStep::Settle);
        let start = (!seen.current).then_some(RestStep::Start);
        let wait = (settle.is_some() || start.is_some() || !seen.answers).then_some(RestStep::AwaitAnswer);
        settle.into_iter().chain(start).chain(wait).collect()
    }

    async fn apply(&self, step: &RestStep, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        match step {
            // Read again with each connection to Redis: nothing starts anew for it.
            RestStep::Settle => {
                let trusted = self.trusted()?;
                files::create_dir(&self.conf(), Access::Owner)
                    .and_then(|()| files::write_if_changed(&self.authorities_file(), trusted.as_bytes(), Access::Owner))
                    .map(drop)
                    .map_err(|fault| cannot_settle(&fault))
            }
            RestStep::Start => self.ground.units.ensure(self.spec()?).await.map(drop),
            RestStep::AwaitAnswer => {
                let deadline = Instant::now() + START;
                while let Err(error) = health(self.ports.listen).await {
                    if Instant::now() >= deadline {
                        let lines = self.ground.units.tail(REST, 20).await.unwrap_or_default();
                        let fault = Fault::because("the gateway before Redis does not answer", &error).output(lines);
                        return Err(fault.hint(format!("see `roadbed logs {REST}`")).retry_safe());
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                Ok(())
            }
        }
    }
}

/// Whether it answers, and reaches its Redis.
async fn health(port: u16) -> std::io::Result<()> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", upstash::HEALTH);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        let is_well = answer.starts_with(b"HTTP/1.1 200");
        let said = || String::from_utf8_lossy(&answer).lines().last().unwrap_or("nothing").to_owned();
        if is_well { Ok(()) } else { Err(std::io::Error::other(said())) }
    };
    // The gateway itself waits for three seconds.
    timeout(Duration::from_secs(5), asking).await.map_err(|_| std::io::ErrorKind::TimedOut)?
}

fn cannot_settle(fault: &files::FileFault) -> Fault {
    Fault::because("cannot tell the gateway before Redis whom to believe", fault)
}
