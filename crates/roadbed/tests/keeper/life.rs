//! Starting, stopping, dying and coming back.

use std::time::Duration;

use host::drill;
use host::process::table;
use reconcile::ports::{Ensured, RestartPolicy, StopPolicy, UnitState, Units};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::environment::{Environment, LIVE, app, eventually, is_dead};

#[tokio::test]
async fn a_killed_unit_comes_back_and_its_end_is_told() {
    let environment = Environment::start().await;
    assert_eq!(environment.client.ensure(app("api-1", LIVE)).await.unwrap(), Ensured::Started);
    let first = environment.running_again("api-1", None).await;
    drill::kill(first).unwrap();
    environment.running_again("api-1", Some(first)).await;
    let status = environment.status("api-1").await.unwrap();
    assert_eq!((status.restarts, status.last_exit.as_deref()), (1, Some("killed by SIGKILL")));
    assert!(is_dead(first));
}

#[tokio::test]
async fn restarts_wait_longer_each_time_and_end_in_a_crash_loop_that_is_shown() {
    let environment = Environment::start().await;
    let mut spec = app("api-1", "echo begin; exit 7");
    spec.restart = RestartPolicy {
        first_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(30),
        crash_loop_after: 4,
        ..RestartPolicy::default()
    };
    environment.client.ensure(spec).await.unwrap();
    let status = environment.in_state("api-1", UnitState::CrashLoop).await;
    assert_eq!((status.restarts, status.pid, status.last_exit.as_deref()), (3, None, Some("exit code 7")));

    let begins: Vec<OffsetDateTime> = environment.log("api-1").lines().map(time_of).collect();
    let waits: Vec<i128> = begins.windows(2).map(|pair| (pair[1] - pair[0]).whole_milliseconds()).collect();
    assert_eq!(waits.len(), 3, "{waits:?}");
    for (wait, least) in waits.iter().zip([100, 200, 400]) {
        // The times are those of reading, a few milliseconds after writing.
        assert!(*wait >= least - 20 && *wait < least + 1_500, "{waits:?}");
    }
}

fn time_of(line: &str) -> OffsetDateTime {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    OffsetDateTime::parse(line["time"].as_str().unwrap(), &Rfc3339).unwrap()
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_after_its_grace_with_all_that_it_started() {
    let environment = Environment::start().await;
    // One child in the group, one that moved to a session of its own, and neither listens.
    let script = "trap '' TERM; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; while :; do sleep 1; done";
    let mut spec = app("api-1", script);
    spec.stop = StopPolicy { grace: Duration::from_millis(500) };
    environment.client.ensure(spec).await.unwrap();
    let pid = environment.running_again("api-1", None).await;
    let children = eventually("both children are there", async || {
        let children: Vec<u32> = environment.tail("api-1").await.iter().map(|line| line.parse().unwrap()).collect();
        (children.len() == 2 && children.iter().all(|child| command_is(*child, "sleep 1000"))).then_some(children)
    })
    .await;

    let begun = tokio::time::Instant::now();
    environment.client.remove("api-1").await.unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
    assert!(is_dead(pid), "the leader");
    assert!(is_dead(children[0]), "the one in its group");
    eventually("the one that left is dead", async || is_dead(children[1]).then_some(())).await;
    assert_eq!(environment.status("api-1").await, None);
}

fn command_is(pid: u32, command: &str) -> bool {
    table::command_line(pid) == command
}

#[tokio::test]
async fn a_wrapper_that_goes_at_once_does_not_take_its_server_s_grace() {
    let environment = Environment::start().await;
    let server = "trap 'echo asked; sleep 0.5; echo drained; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    // The wrapper dies of SIGTERM; one server is in its group, the other moved away.
    let script = format!("setsid sh -c \"{server}\" & sh -c \"{server}\"; echo never");
    environment.client.ensure(app("dev-1", &script)).await.unwrap();
    eventually("both are ready", async || (count_of("ready", &environment).await == 2).then_some(())).await;
    let begun = tokio::time::Instant::now();
    environment.client.hold("dev-1").await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "as long as they need, not the whole grace: {:?}",
        begun.elapsed()
    );
    assert_eq!((count_of("asked", &environment).await, count_of("drained", &environment).await), (2, 2));
}

async fn count_of(line: &str, environment: &Environment) -> usize {
    environment.tail("dev-1").await.iter().filter(|said| *said == line).count()
}

#[tokio::test]
async fn who_listens_to_sigterm_is_not_killed() {
    let environment = Environment::start().await;
    let script = "trap 'echo closing; sleep 0.3; echo closed; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    environment.client.ensure(app("api-1", script)).await.unwrap();
    eventually("it is ready", async || environment.tail("api-1").await.contains(&"ready".to_owned()).then_some(()))
        .await;
    environment.client.hold("api-1").await.unwrap();
    let status = environment.status("api-1").await.unwrap();
    assert_eq!((status.state, status.last_exit.as_deref()), (UnitState::Held, Some("exit code 0")));
    let said = environment.tail("api-1").await;
    assert_eq!(said.last().unwrap(), "closed", "the last words are in the log by then: {said:?}");
}

#[tokio::test]
async fn the_same_revision_is_left_alone_and_another_replaces_it_without_meeting_it() {
    let environment = Environment::start().await;
    // Fails if another instance is still there; needs a while to go.
    let script = format!(
        "cd {:?}; trap 'sleep 0.2; rmdir instance; exit 0' TERM; mkdir instance || exit 99; echo ready; \
         while :; do sleep 0.02; done",
        environment.root.path()
    );
    let spec = |revision: &str| {
        let mut spec = app("api-1", &script);
        spec.revision = revision.to_owned();
        spec
    };
    let ready = async |times: usize| {
        let what = format!("it was ready {times} times");
        eventually(&what, async || {
            let said = environment.tail("api-1").await;
            (said.iter().filter(|line| *line == "ready").count() == times).then_some(())
        })
        .await;
        environment.running_again("api-1", None).await
    };
    assert_eq!(environment.client.ensure(spec("1")).await.unwrap(), Ensured::Started);
    let first = ready(1).await;
    assert_eq!(environment.client.ensure(spec("1")).await.unwrap(), Ensured::Unchanged);
    assert_eq!(environment.running_again("api-1", None).await, first);

    assert_eq!(environment.client.ensure(spec("2")).await.unwrap(), Ensured::Replaced);
    let second = ready(2).await;
    environment.client.restart("api-1").await.unwrap();
    let third = ready(3).await;
    assert!(first != second && second != third);
    let status = environment.status("api-1").await.unwrap();
    assert_eq!((status.restarts, status.revision.as_str()), (0, "2"));
    assert_eq!(status.last_exit.as_deref(), Some("exit code 0"), "no instance met another");
    assert_eq!(environment.instances("api-1").len(), 1);
}

#[tokio::test]
async fn many_who_want_the_same_unit_at_once_get_one() {
    let environment = Environment::start().await;
    let wanted = (0..20).map(|_| environment.client.ensure(app("api-1", LIVE)));
    let ensured: Vec<Ensured> = futures_util::future::join_all(wanted).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(ensured.iter().filter(|ensured| **ensured == Ensured::Started).count(), 1, "{ensured:?}");
    assert_eq!(environment.instances("api-1").len(), 1);
}

#[tokio::test]
async fn a_held_unit_stays_stopped_until_it_is_resumed() {
    let environment = Environment::start().await;
    environment.client.ensure(app("redis", LIVE)).await.unwrap();
    let first = environment.running_again("redis", None).await;
    environment.client.hold("redis").await.unwrap();
    assert!(is_dead(first));
    assert_eq!(environment.client.ensure(app("redis", LIVE)).await.unwrap(), Ensured::Unchanged);
    assert_eq!(environment.status("redis").await.unwrap().state, UnitState::Held);
    environment.client.resume("redis").await.unwrap();
    environment.running_again("redis", Some(first)).await;
}

#[tokio::test]
async fn a_program_that_cannot_start_is_named_and_a_better_one_follows_at_once() {
    let environment = Environment::start().await;
    let mut spec = app("api-1", LIVE);
    spec.program = "/nowhere/to/be/found".into();
    let fault = environment.client.ensure(spec).await.unwrap_err();
    assert_eq!(fault.message, "cannot start unit \"api-1\"");
    assert!(fault.causes.iter().any(|cause| cause.contains("/nowhere/to/be/found")), "{:?}", fault.causes);
    let status = environment.status("api-1").await.unwrap();
    assert!(status.last_exit.unwrap().starts_with("not started: "));

    let mut spec = app("api-1", LIVE);
    spec.program = "no-such-program".into();
    spec.revision = "2".to_owned();
    let fault = environment.client.ensure(spec).await.unwrap_err();
    assert!(fault.causes.iter().any(|cause| cause.contains("no-such-program")), "{:?}", fault.causes);

    let mut spec = app("api-1", LIVE);
    spec.revision = "3".to_owned();
    assert_eq!(environment.client.ensure(spec).await.unwrap(), Ensured::Replaced);
}

#[tokio::test]
async fn unknown_units_and_bad_names_are_refused_with_a_hint() {
    let environment = Environment::start().await;
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let fault = environment.client.restart("apl-1").await.unwrap_err();
    assert_eq!(fault.message, "there is no unit \"apl-1\"");
    assert!(fault.hint.unwrap().contains("api-1"));
    environment.client.remove("apl-1").await.unwrap();
    for name in ["../api", "Api", "", "a/b"] {
        assert!(environment.client.ensure(app(name, LIVE)).await.is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn processes_that_were_left_to_the_keeper_do_not_stay_as_zombies() {
    let environment = Environment::start().await;
    let keeper = environment.keeper_pid().await;
    // The middle shell ends at once, so its child becomes the keeper's.
    environment.client.ensure(app("api-1", "(sleep 0.2 & echo $!); exec sleep 100000")).await.unwrap();
    let child: u32 =
        eventually("the child is told", async || environment.tail("api-1").await.first()?.parse().ok()).await;
    eventually("it is the keeper's", async || (table::entry(child)?.parent == keeper).then_some(())).await;
    eventually("it is gone without a trace", async || table::entry(child).is_none().then_some(())).await;
}

#[tokio::test]
async fn an_idle_keeper_is_small_and_sleeps() {
    let environment = Environment::start().await;
    for number in 1..=8 {
        environment.client.ensure(app(&format!("api-{number}"), LIVE)).await.unwrap();
    }
    let keeper = environment.keeper_pid().await;
    // The rest of its 15 MiB is the program itself, whose size is that of an optimised build or not.
    let allocated = allocated(keeper);
    assert!(allocated <= 6 * 1024, "{allocated} KiB");
    let before = processor_time(keeper);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(processor_time(keeper) - before <= 1, "an idle keeper does not run");
}

/// In clock ticks, a hundredth of a second each.
fn processor_time(pid: u32) -> u64 {
    let stat = host::files::read_string(std::path::Path::new(&format!("/proc/{pid}/stat"))).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// In KiB: what it has in memory that is of no file. Pages of the program that were written to while it was loaded are not counted.
fn allocated(pid: u32) -> u64 {
    let maps = host::files::read_string(std::path::Path::new(&format!("/proc/{pid}/smaps"))).unwrap();
    let mut of_a_file = false;
    let mut sum = 0;
    for line in maps.lines() {
        match line.split_once(':') {
            Some(("Anonymous", size)) if !of_a_file => {
                sum += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
            }
            // The first line of a mapping: addresses, rights, offset, device and what it is of.
            Some((first, _)) if first.contains('-') => of_a_file = line.contains('/'),
            _ => {}
        }
    }
    sum
}
