//! A wall clock that is set, by hours, forward and back, while something waits: a deployment, an approval, what is kept warm.
//!
//! The machine's own clock stays as it is. Keeper, control and edge run as a copy of the program that asks `wall_clock.c` for the
//! time, which adds what a file says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use delivery::{Deployment, DeploymentId, State};
use host::clock::{Clock, SystemClock};
use reconcile::Root;
use roadbed::control::client::ControlClient;
use testkit::{Crowd, Kept, SendHomeOnDrop, repository};

use crate::deployments::says;
use crate::stage::{Stage, signal};

const HOUR: i64 = 3600;

/// The wall clock of one stage.
struct WallClock {
    ahead: File,
}

impl WallClock {
    /// From now on what this stage starts has it.
    fn of(stage: &mut Stage) -> Self {
        let [ahead, library, program] = ["ahead", "wall_clock.so", "roadbed"].map(|name| stage.folder().join(name));
        fs::write(&ahead, [0; 8]).unwrap();
        run(Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(format!("-DAHEAD=\"{}\"", ahead.display()))
            .arg(repository().join("tests/faults/wall_clock.c")));
        fs::copy(&stage.program, &program).unwrap();
        run(Command::new("patchelf").arg("--add-needed").arg(&library).arg(&program));
        stage.program = program;
        Self { ahead: File::options().write(true).open(ahead).unwrap() }
    }

    /// So many seconds ahead of the machine's.
    fn set(&self, seconds: i64) {
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let ran = match command.output() {
        Ok(ran) if ran.status.success() => return,
        Ok(ran) => String::from_utf8_lossy(&ran.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!("{command:?} is needed, and did not do its work: {ran}; `./setup` installs it");
}

/// A deployment that is looked at while it goes on.
struct Look<'a> {
    stage: &'a Stage,
    runtime: tokio::runtime::Runtime,
    id: DeploymentId,
}

impl<'a> Look<'a> {
    fn begin(stage: &'a Stage) -> Self {
        stage.roadbed("deploy --detach").exits(0);
        let id = stage.json("deploy list --json")["deployments"][0]["id"].as_str().unwrap().parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { stage, runtime, id }
    }

    /// `None` while control starts again.
    fn deployment(&self) -> Option<Deployment> {
        let control = ControlClient::new(Root::new(self.stage.root.clone()));
        let seen = self.runtime.block_on(control.happening(self.id, i64::MAX));
        seen.ok().map(|seen| seen.deployment)
    }

    fn state(&self) -> Option<State> {
        self.deployment().map(|deployment| deployment.state)
    }

    /// By how many hours the clock that it was written with is ahead of the machine's.
    fn hours_ahead(&self) -> i64 {
        let seconds = (self.deployment().unwrap().since.unix_millis() - SystemClock.now().unix_millis()) / 1000;
        (seconds + HOUR / 2).div_euclid(HOUR)
    }

    /// Waits until it has come there, or past it: some states are over in milliseconds.
    #[track_caller]
    fn comes_to(&self, state: State) -> State {
        let begin = Instant::now();
        loop {
            match self.state() {
                Some(now) if now >= state => return now,
                now => assert!(begin.elapsed() < Duration::from_secs(60), "{now:?} and never {state}"),
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Control is another one, and answers.
fn control_is_replaced(stage: &Stage) {
    let before = stage.pid_of("control").unwrap();
    signal(before, "KILL");
    stage.until("another control answers", || {
        stage.pid_of("control").is_some_and(|pid| pid != before) && stage.roadbed("deploy list").code == Some(0)
    });
}

/// Stays so for a while that is long beside control's looks, which are a second apart.
#[track_caller]
fn stays(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        assert!(holds(), "{what}, after {:?}", begin.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_clock_that_is_set_by_hours_fails_no_deployment_and_no_request() {
    const VERIFY: Duration = Duration::from_secs(2);
    let mut stage = Stage::with_rollout("verify = \"2s\", keep_warm = \"1h\"");
    let clock = WallClock::of(&mut stage);
    stage.deploy(&says("first")).exits(0);
    let (crowd, client, url) = (Crowd::default(), stage.client(), stage.url());
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for _ in 0..2 {
            let (mut visitor, url) = (Kept::new(client.clone()), url.clone());
            crowd.let_in(scope, 30, move || match visitor.request("GET", &url, &[], "")? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(format!("{answer:?}")),
            });
        }
        // Forth and back in turn, by more than any of its times; every other time control starts again at the wrong time.
        let states = [State::Starting, State::Smoking, State::Verifying, State::Draining];
        let jumps = states.into_iter().flat_map(|state| [(state, 10), (state, -10)]);
        for ((state, hours), is_killed) in jumps.zip([false, true, true, false].into_iter().cycle()) {
            let what = format!("{hours} hours at {state}, control killed: {is_killed}");
            stage.server(&says(&what));
            let look = Look::begin(&stage);
            let met = look.comes_to(state);
            clock.set(hours * HOUR);
            if is_killed {
                control_is_replaced(&stage);
            }
            look.comes_to(State::Verifying);
            let begin = Instant::now();
            look.comes_to(State::Draining);
            let watched = begin.elapsed();
            assert_eq!(look.comes_to(State::Live), State::Live, "{what}, met {met}");
            assert_eq!(look.hours_ahead(), hours, "the clock was not set: {what}");
            assert_eq!(stage.visit().0, format!("tiny {what}"));
            // It may have begun before a control that was killed, and it is over when the last state is reached.
            let is_seen_whole = !is_killed && state <= State::Verifying;
            assert!(!is_seen_whole || watched > VERIFY / 2, "{what}: watched for {watched:?}");
            assert_eq!(crowd.failed(), Vec::<String>::new(), "{what}");
        }
    });
    assert!(crowd.asked() > 200, "{}", crowd.asked());
    assert_eq!(crowd.failed(), Vec::<String>::new());
    // The way back of the last one is there, however late the clock says it is.
    clock.set(20 * HOUR);
    control_is_replaced(&stage);
    stays("the release before is kept warm", || stage.instances().len() == 2);
    stage.roadbed("rollback").exits(0).says(&["it stands ready"]);
}

#[test]
fn what_is_kept_for_a_while_is_kept_that_long_whatever_the_clock_says() {
    let mut stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"12s\", drain_streams = \"8s\"");
    let clock = WallClock::of(&mut stage);
    stage.deploy(&crate::streams::streams("one")).exits(0);
    let mut stream = stage.client().events(&format!("{}/events", stage.url())).unwrap();
    stage.deploy(&crate::streams::streams("two")).exits(0);
    let live = Instant::now();
    clock.set(10 * HOUR);
    stays("it goes on, and the release before is warm", || {
        let next = stream.next(Duration::from_secs(10)).unwrap();
        next.is_some_and(|text| text.contains("one")) && stage.instances().len() == 2
    });
    clock.set(-20 * HOUR);
    control_is_replaced(&stage);
    while stream.next(Duration::from_secs(10)).unwrap().is_some() {
        assert!(live.elapsed() < Duration::from_secs(20), "a stream outlives its time");
    }
    assert!(live.elapsed() > Duration::from_secs(3), "cut off at once");
    stage.until("the release before is given up", || stage.instances() == ["web-green-1"]);
    assert!(live.elapsed() > Duration::from_secs(11), "given up after {:?}", live.elapsed());
}

#[test]
fn an_approval_is_waited_for_as_long_as_it_says_whatever_the_clock_says() {
    let mut stage = Stage::with_rollout("approvals = 1, approval_lasts = \"12s\"");
    let clock = WallClock::of(&mut stage);
    stage.edit("[environments.local]", "[people.bob]\nssh = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS bob\"]\n\n[environments.local]");
    stage.up();
    let look = Look::begin(&stage);
    look.comes_to(State::AwaitingApproval);
    let begin = Instant::now();
    clock.set(10 * HOUR);
    control_is_replaced(&stage);
    stays("it waits", || look.state() == Some(State::AwaitingApproval));
    clock.set(-20 * HOUR);
    control_is_replaced(&stage);
    assert_eq!(look.state(), Some(State::AwaitingApproval));
    assert_eq!(look.comes_to(State::Aborted), State::Aborted);
    let waited = begin.elapsed();
    assert!(waited > Duration::from_secs(11) && waited < Duration::from_secs(20), "{waited:?}");
    stage.serves(&stage.url());
}
