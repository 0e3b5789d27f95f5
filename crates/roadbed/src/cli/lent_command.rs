//! A command in the foreground with something lent: borrowed before it, renewed while it runs, given back after it.
//!
//! ```text
//!   borrow ─► start ─┬─ output ─► secrets taken out ─► stdout, stderr
//!                    ├─ every third of the lease: renew
//!                    ├─ SIGINT, SIGTERM, SIGHUP: the command's business, ours is to wait for its end
//!                    └─ its end ─► give back ─► its exit code is ours
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use host::process::foreground::{self, Foreground, Read};
use host::process::terminal::{self, Raw, Screen};
use host::process::{Exit as Ended, Process, Signal, find_in_path};
use host::sealed_file::sealed_file;
use reconcile::Fault;
use secrets::Secret;
use secrets::redact::{Needles, Redactor};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::login;
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::control::lent::{Asked, Lent, Output};

/// A line that is held back because it may be the beginning of a secret is shown after so long a silence: a prompt, mostly.
const IDLE: Duration = Duration::from_millis(200);

/// Control may be starting again just when something is given back. What is not given back by then, it takes back by itself.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// Between two attempts of that.
const PAUSE: Duration = Duration::from_millis(100);

/// What to run with what is lent.
#[derive(Clone, Debug)]
pub struct LentCommand {
    pub command: Vec<String>,
    /// Beside what is lent.
    pub variables: BTreeMap<String, String>,
}

/// Borrows, runs and gives back. `command` says what to run with what was lent. Does not return where the command ended with a
/// code of its own.
pub async fn run(
    session: &Session,
    asked: &Asked,
    command: impl FnOnce(&Lent) -> Result<LentCommand, Failure>,
) -> Result<Exit, Failure> {
    // From here on the command and we hold secrets.
    host::own::leave_no_core_dump()
        .map_err(|error| Fault::because("cannot keep memory from being written down", &error))?;
    let control = ControlClient::new(session.root.clone());
    let mut signals = Signals::listen()?;
    let lent = borrow(session, &control, asked).await?;
    for name in &lent.withheld {
        session.output.note(format!("{name} is not lent: it moves money"));
    }
    let ended = match command(&lent).and_then(|command| start(asked.output, &lent, command)) {
        Ok(started) => started.wait(session, &control, &lent, &mut signals).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    give_back(&control, &lent.lease).await;
    match ended? {
        Ended::Code(0) => Ok(Exit::Done),
        Ended::Code(code) => host::own::end_with(u8::try_from(code).unwrap_or(1)),
        // As shells say it.
        Ended::Signal(signal) => host::own::end_with(u8::try_from(128 + signal).unwrap_or(1)),
        Ended::Unseen => Ok(Exit::Failed),
    }
}

/// In the name of whoever logged in. A control that started again knows no token: then it is signed for anew, once.
pub(super) async fn borrow(session: &Session, control: &ControlClient, asked: &Asked) -> Result<Lent, Fault> {
    let known = Asked { token: login::token(session, control).await, ..asked.clone() };
    match control.lend(&known).await {
        Err(_) if known.token.is_some() => {
            let anew = Asked { token: login::renewed(session, control).await, ..asked.clone() };
            control.lend(&anew).await
        }
        answer => answer,
    }
}

struct Started {
    process: Process,
    showing: Vec<JoinHandle<()>>,
    screen: Option<Screen>,
    needles: Arc<Needles>,
    /// Our own terminal, as long as the command has one of its own.
    _raw: Option<Raw<'static>>,
    /// Read by the command at paths of this process.
    _files: Vec<OwnedFd>,
}

fn start(output: Output, lent: &Lent, command: LentCommand) -> Result<Started, Failure> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot run the command", error);
    let (program, args) = command.command.split_first().expect("the command line has a word at least");
    let program = found(program).ok_or_else(|| {
        Failure::Usage(Fault::new(format!("there is no program {program:?} to run")).hint("see whether it is in PATH"))
    })?;
    let mut env = lent.variables.clone();
    let mut files = Vec::new();
    for name in &lent.in_files {
        let Some(value) = env.remove(name) else { continue };
        let file = sealed_file(value.as_bytes()).map_err(|error| cannot(&error))?;
        env.insert(format!("{name}_FILE"), foreground::path_of_ours(&file).display().to_string());
        files.push(file);
    }
    env.extend(command.variables);
    let hidden: Vec<(String, Secret)> =
        lent.secrets.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
    let needles = Needles::new(hidden.iter().map(|(name, secret)| (name.clone(), secret)));
    let needles = Arc::new(needles.map_err(|error| cannot(&error))?);
    let output = match output {
        Output::Raw => foreground::Output::AsOurs,
        Output::Redacted if terminal::is_there() => foreground::Output::Terminal,
        Output::Redacted => foreground::Output::ToUs,
    };
    let spec = Foreground { program, args: args.to_vec(), env, output };
    let running = foreground::start(&spec).map_err(|error| cannot(&error))?;
    let raw = match &running.screen {
        Some(screen) => Some(connect(screen).map_err(|error| cannot(&error))?),
        None => None,
    };
    let screen = running.screen.as_ref().map(Screen::side).transpose().map_err(|error| cannot(&error))?;
    let showing = [(running.stdout.or(screen), Shown::Stdout), (running.stderr, Shown::Stderr)];
    let showing = showing.into_iter().filter_map(|(from, to)| Some(show(from?, to, needles.clone())));
    let showing = showing.collect();
    Ok(Started { process: running.process, showing, screen: running.screen, needles, _raw: raw, _files: files })
}

/// What is typed goes to the command's terminal from here on, every byte of it.
fn connect(screen: &Screen) -> io::Result<Raw<'static>> {
    let to = screen.side()?;
    // One that is gone already cannot be measured; nobody looks at it either.
    let _ = screen.fit(io::stdin());
    let raw = Raw::make(terminal::stdin())?;
    // Ends with this process: nothing else ends a wait for a key.
    thread::spawn(move || {
        let mut to = File::from(to);
        io::copy(&mut io::stdin().lock(), &mut to)
    });
    Ok(raw)
}

/// The program of this name or at this path.
pub fn found(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    find_in_path(program, &std::env::var("PATH").unwrap_or_default())
}

impl Started {
    async fn wait(
        self,
        session: &Session,
        control: &ControlClient,
        lent: &Lent,
        signals: &mut Signals,
    ) -> Result<Ended, Fault> {
        let cannot = |error: io::Error| Fault::because("cannot wait for the command", &error);
        let period = Duration::from_millis(lent.lasts_ms / 3).max(Duration::from_secs(1));
        let mut renewal = Instant::now() + period;
        loop {
            tokio::select! {
                ended = self.process.ended() => {
                    ended.map_err(cannot)?;
                    break;
                }
                heard = signals.next() => match heard {
                    // One that cannot be sent is for a process that is gone.
                    Heard::Wish(signal) => drop(self.process.signal(signal)),
                    Heard::KnownToTheCommand => {}
                    Heard::Resized => drop(self.screen.as_ref().map(|screen| screen.fit(io::stdin()))),
                },
                () = sleep_until(renewal) => {
                    renewal += period;
                    if let Err(fault) = control.renew(&lent.lease).await {
                        session.output.note(format!("{} could not be renewed: {fault}", lent.lease));
                    }
                }
            }
        }
        let ended = self.process.reap().map_err(cannot)?.unwrap_or(Ended::Unseen);
        // What it wrote last; who it left behind with our pipes may write on, and nobody waits for that.
        let shown = tokio::task::spawn_blocking(move || self.showing.into_iter().for_each(|shown| drop(shown.join())));
        let _ = tokio::time::timeout(Duration::from_secs(1), shown).await;
        for (name, times) in self.needles.found() {
            session.output.note(format!("{name} was taken out of the output, {times} times"));
        }
        Ok(ended)
    }
}

pub(super) async fn give_back(control: &ControlClient, lease: &str) {
    let deadline = Instant::now() + GIVING_BACK;
    while control.give_back(lease).await.is_err() && Instant::now() < deadline {
        sleep(PAUSE).await;
    }
}

/// Which of our streams.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Stdout,
    Stderr,
}

impl Shown {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(bytes),
        }
    }
}

/// Shows what comes, without what must not be shown. In a thread of its own: whoever reads us may be slow.
fn show(from: OwnedFd, to: Shown, needles: Arc<Needles>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut redactor = Redactor::new(needles);
        let mut buffer = vec![0; 64 * 1024];
        let mut clean = Vec::new();
        loop {
            let read = foreground::read_within(&from, &mut buffer, IDLE);
            match read {
                Ok(Read::Bytes(count)) => redactor.push(&buffer[..count], &mut clean),
                Ok(Read::Idle) => redactor.flush(&mut clean),
                Ok(Read::End) | Err(_) => redactor.flush(&mut clean),
            }
            // Nobody reads us any more: then nobody shall write to us, who learns it by the closed pipe.
            if (!clean.is_empty() && to.write(&clean).is_err()) || matches!(read, Ok(Read::End) | Err(_)) {
                return;
            }
            clean.clear();
        }
    })
}

/// What we are told by signals.
enum Heard {
    /// That the command should end.
    Wish(Signal),
    /// A terminal has told the command already.
    KnownToTheCommand,
    /// Our terminal has another size.
    Resized,
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    resized: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, Fault> {
        let of = |kind| signal(kind).map_err(|error| Fault::because("cannot listen for signals", &error));
        Ok(Self {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hangup: of(SignalKind::hangup())?,
            resized: of(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.interrupt.recv() => match io::stdin().is_terminal() {
                true => Heard::KnownToTheCommand,
                false => Heard::Wish(Signal::INT),
            },
            _ = self.terminate.recv() => Heard::Wish(Signal::TERM),
            _ = self.hangup.recv() => Heard::Wish(Signal::HUP),
            _ = self.resized.recv() => Heard::Resized,
        }
    }
}
