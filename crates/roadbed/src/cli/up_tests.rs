//! `up` against a stand-in for keeper and control: what is called in which order, and how it exits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;

use clap::Parser;
use gate::{Evidence, Report, Verdict};
use host::clock::Timestamp;
use host::files::{self, Access};
use reconcile::ports::{UnitKind, UnitState};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::cli::args::{Arguments, Command};
use crate::cli::conductor::OnMessage;
use crate::cli::surroundings::Surroundings;
use crate::control::wire::{RotateRequest, SmokeRequest, Unit};

/// Keeper and control in one. Whatever it is asked, it notes.
struct Stand {
    calls: RefCell<Vec<&'static str>>,
    is_up: Cell<bool>,
    has_apps: Cell<bool>,
    gate: Verdict,
    failed: Vec<String>,
    /// At this call somebody presses Ctrl-C, and the call never returns.
    stuck_at: Option<&'static str>,
    /// So many times control is killed while it converges.
    killed: Cell<u32>,
    /// The environment is stopped by another command as soon as somebody looks.
    stopped_by_others: bool,
    interrupt: UnboundedSender<()>,
    interrupts: RefCell<Option<UnboundedReceiver<()>>>,
}

fn stand() -> Stand {
    let (interrupt, interrupts) = unbounded_channel();
    Stand {
        calls: RefCell::default(),
        is_up: Cell::new(false),
        has_apps: Cell::new(true),
        gate: Verdict::Holds,
        failed: Vec::new(),
        stuck_at: None,
        killed: Cell::new(0),
        stopped_by_others: false,
        interrupt,
        interrupts: RefCell::new(Some(interrupts)),
    }
}

impl Stand {
    async fn called(&self, call: &'static str) -> Result<(), Fault> {
        self.calls.borrow_mut().push(call);
        if self.stuck_at == Some(call) {
            self.interrupt.send(()).unwrap();
            pending::<()>().await;
        }
        Ok(())
    }

    fn known(&self) -> Status {
        let app = Unit {
            name: "api-1".into(),
            kind: UnitKind::App,
            state: UnitState::Running,
            pid: Some(1),
            restarts: 0,
            role: None,
            loaded: None,
            confinement: None,
        };
        Status {
            environment: "local".into(),
            root: PathBuf::new(),
            urls: BTreeMap::new(),
            console: None,
            ca_file: PathBuf::new(),
            units: if self.has_apps.get() { vec![app] } else { Vec::new() },
            network: None,
            together: None,
            mongodb: Vec::new(),
            certificate: None,
            ends: None,
            sleep: None,
            overdue: Vec::new(),
            drift: Vec::new(),
            api: None,
            scaled: Vec::new(),
            trouble: None,
        }
    }
}

impl Conductor for Stand {
    async fn is_up(&self) -> bool {
        self.is_up.get()
    }

    fn is_meant_to_be_up(&self) -> bool {
        self.is_up.get() && !self.stopped_by_others
    }

    async fn ensure_running(&self, _: &Wanted) -> Result<(), Fault> {
        self.is_up.set(true);
        self.called("ensure").await
    }

    async fn status(&self) -> Result<Status, Fault> {
        if self.stopped_by_others { Err(Fault::new("gone")) } else { Ok(self.known()) }
    }

    async fn converge(&self, _: &Wanted, on: OnMessage<'_>) -> Result<(), Fault> {
        self.called("converge").await?;
        if let Some(left) = self.killed.get().checked_sub(1) {
            self.killed.set(left);
            return Err(Fault::new("control stopped in the middle of its answer").retry_safe());
        }
        let (failed, skipped) = (self.failed.clone(), Vec::new());
        on(Message::Converged { steps: 0, failed, skipped, took_ms: 0, status: Box::new(self.known()) });
        Ok(())
    }

    async fn plan(&self, _: &Wanted, _: OnMessage<'_>) -> Result<(), Fault> {
        self.called("plan").await
    }

    async fn ready(&self, _: &ReadyRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.called("ready").await?;
        let evidence = Evidence {
            task: "T1".into(),
            id: "stands".into(),
            claim: "it stands".into(),
            verdict: self.gate,
            observed: Vec::new(),
            at: Timestamp::from_unix_millis(0),
            took_ms: 0,
            hint: None,
        };
        on(Message::Report { report: Report::new("local".into(), vec![evidence]) });
        Ok(())
    }

    async fn rotate(&self, _: &RotateRequest, _: OnMessage<'_>) -> Result<(), Fault> {
        unreachable!("`up` rotates nothing")
    }

    async fn smoke(&self, _: &SmokeRequest, _: OnMessage<'_>) -> Result<(), Fault> {
        unreachable!("`up` runs the gate, which looks at pages itself")
    }

    async fn restart(&self, _: &str) -> Result<(), Fault> {
        self.called("restart").await
    }

    async fn stop(&self) -> Result<(), Fault> {
        self.called("stop").await
    }

    async fn kill(&self) -> Result<(), Fault> {
        self.called("kill").await
    }
}

/// Runs `roadbed up WORDS` in a folder of its own and tells how it ended and what it called.
async fn up(stand: &Stand, words: &[&str]) -> (Exit, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = include_str!("../../../../tests/cli/sound.toml");
    files::write_durable(&folder.path().join("roadbed.toml"), manifest.as_bytes(), Access::Owner).unwrap();
    for app in ["apps/api", "apps/web"] {
        files::create_dir(&folder.path().join(app), Access::Owner).unwrap();
    }
    let words = ["roadbed", "up", "--quiet"].iter().chain(words);
    let arguments = Arguments::try_parse_from(words).unwrap();
    let home = ("HOME".to_owned(), folder.path().display().to_string());
    let session =
        Session::new(&arguments.global, Surroundings::new([home], folder.path().to_owned(), "roadbed up".into()))
            .unwrap();
    let Command::Up(args) = &arguments.command else { panic!("that was `up`") };
    let mut pressed = stand.interrupts.borrow_mut().take().unwrap();
    let mut interrupts = Interrupts::from_stream(futures_util::stream::poll_fn(move |cx| pressed.poll_recv(cx)));
    let exit = match run(&session, args, stand, &mut interrupts).await {
        Ok(exit) => exit,
        Err(failure) => failure.exit(),
    };
    (exit, stand.calls.take())
}

#[tokio::test]
async fn a_holding_gate_is_0_and_a_broken_or_unproven_one_is_1_and_stays_up() {
    assert_eq!(up(&stand(), &["--detach"]).await, (Exit::Done, vec!["ensure", "converge", "ready"]));
    for gate in [Verdict::Fails, Verdict::Inconclusive] {
        let stand = Stand { gate, ..stand() };
        assert_eq!(up(&stand, &["--detach"]).await, (Exit::Failed, vec!["ensure", "converge", "ready"]));
    }
}

#[tokio::test]
async fn no_gate_is_run_where_none_is_asked_for_or_something_did_not_come_up() {
    assert_eq!(up(&stand(), &["--detach", "--no-gate"]).await, (Exit::Done, vec!["ensure", "converge"]));
    let broken = Stand { failed: vec!["app/api".into()], ..stand() };
    assert_eq!(up(&broken, &["--detach"]).await, (Exit::Failed, vec!["ensure", "converge"]));
}

#[tokio::test]
async fn a_keeper_that_would_keep_nothing_is_not_left_behind() {
    let nothing = Stand { failed: vec!["packages".into()], has_apps: Cell::new(false), ..stand() };
    assert_eq!(up(&nothing, &["--detach"]).await, (Exit::Failed, vec!["ensure", "converge", "stop"]));
}

#[tokio::test]
async fn a_control_that_is_killed_is_asked_again_and_one_that_always_dies_is_given_up() {
    let once = Stand { killed: Cell::new(1), ..stand() };
    let calls = vec!["ensure", "converge", "ensure", "converge"];
    assert_eq!(up(&once, &["--detach", "--no-gate"]).await, (Exit::Done, calls));
    let always = Stand { killed: Cell::new(u32::MAX), ..stand() };
    assert_eq!(up(&always, &["--detach", "--no-gate"]).await.0, Exit::Failed);
}

#[tokio::test]
async fn ctrl_c_stops_what_this_command_began() {
    for words in [&["--detach"][..], &[]] {
        let stand = Stand { stuck_at: Some("converge"), ..stand() };
        assert_eq!(up(&stand, words).await, (Exit::Interrupted, vec!["ensure", "converge", "stop"]));
    }
}

#[tokio::test]
async fn ctrl_c_of_a_detached_up_leaves_an_environment_that_ran_before() {
    let stand = Stand { stuck_at: Some("converge"), is_up: Cell::new(true), ..stand() };
    assert_eq!(up(&stand, &["--detach"]).await, (Exit::Interrupted, vec!["ensure", "converge"]));
}

#[tokio::test]
async fn the_second_ctrl_c_kills() {
    let stand = Stand { stuck_at: Some("stop"), ..stand() };
    stand.interrupt.send(()).unwrap();
    let (exit, calls) = up(&stand, &["--no-gate"]).await;
    assert_eq!((exit, &calls[calls.len() - 2..]), (Exit::Interrupted, &["stop", "kill"][..]));
}

#[tokio::test]
async fn the_foreground_ends_well_when_another_command_stops_the_environment() {
    let stand = Stand { stopped_by_others: true, ..stand() };
    assert_eq!(up(&stand, &[]).await, (Exit::Done, vec!["ensure", "converge", "ready"]));
}

#[tokio::test]
async fn a_broken_gate_keeps_the_foreground_up_until_ctrl_c() {
    let stand = Stand { gate: Verdict::Fails, ..stand() };
    let pressed = stand.interrupt.clone();
    let press = async {
        // As soon as the gate was run.
        while !stand.calls.borrow().contains(&"ready") {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        pressed.send(()).unwrap();
    };
    let ((exit, calls), ()) = tokio::join!(up(&stand, &[]), press);
    assert_eq!((exit, calls), (Exit::Interrupted, vec!["ensure", "converge", "ready", "stop"]));
}
