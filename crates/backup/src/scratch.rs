//! Servers that exist for a rehearsal: in a folder that nobody else enters, reached by a socket in it and by nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use host::process::{Identity, Limits, Process, Signal, Spawn, spawn};
use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::{ClientOptions, ServerAddress};
use reconcile::Fault;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep, timeout};

/// A server that has not come up by then does not.
const START: Duration = Duration::from_secs(60);

/// A log of gigabytes is read at the start.
const LOADING: Duration = Duration::from_secs(30 * 60);

/// With less room a server of a data service writes no more.
const FULL: u64 = 4 << 20;

const POLL: Duration = Duration::from_millis(50);

/// How long one that was asked to end may take; then it is killed. What it has is thrown away all the same.
const STOP: Duration = Duration::from_secs(10);

/// Who runs there: so that the next one ends what a crash left.
const NOTE: &str = "processes.json";

/// A program of a data service, and what it needs in its environment.
#[derive(Clone, Debug)]
pub struct Program {
    pub program: PathBuf,
    pub env: BTreeMap<String, String>,
}

/// A folder with servers of a rehearsal. All of it is gone when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    processes: Vec<Process>,
}

impl Scratch {
    /// Makes the folder anew: what a crash left of the one before ends first.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(folder: &Path) -> Result<Self, Fault> {
        let cannot = |fault: &files::FileFault| Fault::because("cannot make a folder for the rehearsal", fault);
        if let Ok(Some(note)) = files::read_if_exists(&folder.join(NOTE)) {
            let left: Vec<Identity> = serde_json::from_slice(&note).unwrap_or_default();
            for process in left.into_iter().filter_map(Process::find) {
                let _ = process.signal_group(Signal::KILL);
            }
        }
        files::remove_dir(folder).map_err(|fault| cannot(&fault))?;
        files::create_dir(folder, Access::Owner).map_err(|fault| cannot(&fault))?;
        Ok(Self { folder: folder.to_owned(), processes: Vec::new() })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder of its own for a service.
    fn place(&self, name: &str) -> Result<PathBuf, Fault> {
        let place = self.folder.join(name);
        files::create_dir(&place, Access::Owner)
            .map_err(|fault| Fault::because("cannot make a folder for the rehearsal", &fault))?;
        Ok(place)
    }

    fn start(&mut self, program: &Program, args: &[String], place: &Path) -> Result<u32, Fault> {
        let name = program.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Fault::because(format!("cannot start {name} for the rehearsal"), error)
        };
        let log = place.join("log");
        let open = || files::open_append(&log, Access::Owner).map_err(|fault| cannot(&fault));
        let spec = Spawn {
            program: &program.program,
            args,
            cwd: place,
            env: &program.env,
            stdout: open()?.into(),
            stderr: open()?.into(),
            inherited: &[],
            limits: Limits::default(),
            confine: None,
        };
        let mut known: Vec<Identity> = self.processes.iter().map(Process::identity).collect();
        let note = self.folder.join(NOTE);
        let process = spawn(spec, &mut |process| {
            known.push(process.identity());
            let text = serde_json::to_vec(&known).map_err(std::io::Error::other)?;
            files::write(&note, &text, Access::Owner).map_err(|fault| fault.source)
        });
        let process = process.map_err(|fault| cannot(&fault))?;
        let pid = process.pid();
        self.processes.push(process);
        Ok(pid)
    }

    /// Whether the process is alive; its last words, where it is not.
    fn alive(&self, pid: u32, place: &Path) -> Result<(), Fault> {
        let process = self.processes.iter().find(|process| process.pid() == pid);
        if process.is_some_and(Process::is_alive) {
            return Ok(());
        }
        let log = files::read(&place.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].iter().map(|line| (*line).to_owned()).collect();
        Err(Fault::new("a server of the rehearsal ended before it was asked anything").output(last))
    }

    /// Starts an empty mongod.
    ///
    /// # Errors
    /// Where it does not come up; with its last words.
    pub async fn mongod(&mut self, program: &Program) -> Result<Client, Fault> {
        let place = self.place("mongod")?;
        files::create_dir(&place.join("data"), Access::Owner)
            .map_err(|fault| Fault::because("cannot make a folder for the rehearsal", &fault))?;
        // A socket's path may have 107 bytes: so it is relative here, and by way of the process for us.
        let args = [
            "--dbpath",
            "data",
            "--bind_ip",
            "./mongod.sock",
            "--unixSocketPrefix",
            ".",
            "--wiredTigerCacheSizeGB",
            "0.25",
            "--setParameter",
            "diagnosticDataCollectionEnabled=false",
        ]
        .map(str::to_owned);
        let pid = self.start(program, &args, &place)?;
        let address = ServerAddress::Unix { path: PathBuf::from(format!("/proc/{pid}/cwd/mongod.sock")) };
        let options = ClientOptions::builder()
            .hosts(vec![address])
            .app_name("roadbed rehearsal".to_owned())
            .direct_connection(true)
            .server_selection_timeout(POLL * 20)
            .retry_writes(false)
            .build();
        let client = Client::with_options(options)
            .map_err(|error| crate::mongo_fault("cannot talk to the mongod of the rehearsal", &error))?;
        let deadline = Instant::now() + START;
        loop {
            self.alive(pid, &place)?;
            match client.database("admin").run_command(doc! { "ping": 1 }).await {
                Ok(_) => return Ok(client),
                Err(error) if Instant::now() > deadline || self.is_full() => {
                    return Err(crate::mongo_fault("the mongod of the rehearsal does not come up", &error));
                }
                Err(_) => sleep(POLL).await,
            }
        }
    }

    /// Starts a redis-server on the log that `prepare` puts into its folder.
    ///
    /// # Errors
    /// Where it does not come up or refuses its log; with its last words.
    pub async fn redis(
        &mut self,
        program: &Program,
        unit: &str,
        prepare: impl FnOnce(&Path) -> Result<(), Fault>,
    ) -> Result<MultiplexedConnection, Fault> {
        let place = self.place(unit)?;
        prepare(&place)?;
        let args = ["--port", "0", "--unixsocket", "redis.sock", "--unixsocketperm", "700", "--dir", "."];
        // What was read while it was written ends in the midst of a command.
        let settings = ["--appendonly", "yes", "--aof-load-truncated", "yes", "--save", ""];
        let args: Vec<String> = args.iter().chain(&settings).map(|word| (*word).to_owned()).collect();
        let pid = self.start(program, &args, &place)?;
        let address = format!("redis+unix:///proc/{pid}/cwd/redis.sock");
        let deadline = Instant::now() + LOADING;
        let mut last = None;
        while Instant::now() < deadline {
            self.alive(pid, &place)?;
            match asked(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
            sleep(POLL).await;
        }
        let fault = Fault::new(format!("the redis-server of the rehearsal does not serve what was saved of {unit}"));
        Err(last.into_iter().fold(fault, |fault, error| fault.cause(error.to_string())))
    }

    /// What went wrong with what is restored here, and that the disk is full, where it is: servers that find no room end, and who talks
    /// to them hears no more than that.
    #[must_use]
    pub fn why(&self, fault: Fault) -> Fault {
        if !self.is_full() {
            return fault;
        }
        fault
            .cause(format!("the disk of {} is full", self.folder.display()))
            .hint("make room; then the same command again")
    }

    fn is_full(&self) -> bool {
        files::free_bytes(&self.folder).is_ok_and(|free| free < FULL)
    }

    /// Ends all servers and takes the folder away.
    ///
    /// # Errors
    /// Where something of it stays.
    pub async fn end(mut self) -> Result<(), Fault> {
        for process in std::mem::take(&mut self.processes) {
            let _ = process.signal(Signal::TERM);
            if timeout(STOP, process.ended()).await.is_err() {
                let _ = process.signal_group(Signal::KILL);
                let _ = process.ended().await;
            }
            let _ = process.reap();
        }
        files::remove_dir(&self.folder)
            .map_err(|fault| Fault::because("cannot take the rehearsal's folder away", &fault))
    }
}

async fn asked(address: &str) -> Result<MultiplexedConnection, redis::RedisError> {
    let client = redis::Client::open(address)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("PING").exec_async(&mut connection).await?;
    Ok(connection)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for process in &self.processes {
            let _ = process.signal_group(Signal::KILL);
            process.wait_blocking();
        }
        if !self.processes.is_empty() {
            // What cannot be taken away now is taken away by the next one.
            let _ = files::remove_dir(&self.folder);
        }
    }
}
