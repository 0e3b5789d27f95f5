//! What a new keeper finds, and what it makes of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use host::files::{self, Access};
use host::process::{self, Limits, Process, Run, Signal, Spawn};
use host::{drill, lock};
use reconcile::ports::{Ensured, UnitState, Units};

use crate::environment::{Environment, LIVE, app, eventually, is_dead, program};
use crate::stand_in;

#[tokio::test]
async fn a_killed_keeper_is_revived_and_finds_its_children_again() {
    let environment = Environment::start().await;
    environment.client.ensure(stand_in::control(&environment)).await.unwrap();
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let control = environment.running_again("control", None).await;
    let api = environment.running_again("api-1", None).await;
    wait_for_lifeline(&environment).await;

    let first = environment.kill_keeper().await;
    let second = environment.keeper_pid().await;
    assert_ne!(first, second);
    assert_eq!(environment.running_again("control", None).await, control);
    assert_eq!(environment.in_state("api-1", UnitState::Adopted).await.pid, Some(api));
    assert_eq!(environment.instances("api-1"), [api]);
    assert_eq!(environment.status("api-1").await.unwrap().restarts, 0);

    // Without its secrets it cannot be started again, so it is not stopped for nothing either.
    let fault = environment.client.restart("api-1").await.unwrap_err();
    assert!(fault.hint.unwrap().contains("roadbed up"));
    assert_eq!(environment.in_state("api-1", UnitState::Adopted).await.pid, Some(api));
    drill::kill(api).unwrap();
    environment.in_state("api-1", UnitState::Lost).await;
    assert_eq!(environment.client.ensure(app("api-1", LIVE)).await.unwrap(), Ensured::Started);

    // Control's environment holds no secrets: the keeper brings it back alone.
    drill::kill(control).unwrap();
    environment.running_again("control", Some(control)).await;
}

/// A role says hello on the lifeline some time after it was started.
async fn wait_for_lifeline(environment: &Environment) {
    let log = environment.root.logs().join("keeper.log");
    let greeted = async || {
        let log = files::read_string(&log).unwrap_or_default();
        log.contains("holds the lifeline").then_some(())
    };
    eventually("a role holds the lifeline", greeted).await;
}

#[tokio::test]
async fn an_adopted_unit_that_is_specified_again_is_as_good_as_new() {
    let environment = Environment::start().await;
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let first = environment.running_again("api-1", None).await;
    environment.kill_keeper().await;
    environment.launch().await;
    environment.in_state("api-1", UnitState::Adopted).await;
    assert_eq!(environment.client.ensure(app("api-1", LIVE)).await.unwrap(), Ensured::Unchanged);
    assert_eq!(environment.running_again("api-1", None).await, first);
    drill::kill(first).unwrap();
    let second = environment.running_again("api-1", Some(first)).await;

    environment.kill_keeper().await;
    environment.launch().await;
    let mut other = app("api-1", LIVE);
    other.revision = "2".to_owned();
    assert_eq!(environment.client.ensure(other).await.unwrap(), Ensured::Replaced);
    assert!(is_dead(second));
}

#[tokio::test]
async fn what_died_while_no_keeper_lived_is_lost_and_told() {
    let environment = Environment::start().await;
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    environment.client.ensure(app("redis", LIVE)).await.unwrap();
    environment.client.hold("redis").await.unwrap();
    let api = environment.running_again("api-1", None).await;
    environment.kill_keeper().await;
    drill::kill(api).unwrap();
    eventually("it is dead", async || is_dead(api).then_some(())).await;
    environment.launch().await;
    assert_eq!(environment.status("api-1").await.unwrap().state, UnitState::Lost);
    assert_eq!(environment.status("redis").await.unwrap().state, UnitState::Held, "what was held stays held");
    assert_eq!(environment.client.ensure(app("api-1", LIVE)).await.unwrap(), Ensured::Started);
}

/// Runs until it is dropped; nothing of Roadbed's.
struct Bystander(Process);

impl Bystander {
    fn start() -> Self {
        let null = || std::io::pipe().unwrap().1.into();
        let spawn = Spawn {
            program: "/bin/sleep".as_ref(),
            args: &["1000".to_owned()],
            cwd: "/".as_ref(),
            env: &BTreeMap::new(),
            stdout: null(),
            stderr: null(),
            inherited: &[],
            limits: Limits::default(),
            confine: None,
        };
        Self(process::spawn(spawn, &mut |_| Ok(())).unwrap())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::KILL);
        self.0.wait_blocking();
    }
}

#[tokio::test]
async fn a_stranger_with_the_number_of_a_dead_child_is_neither_adopted_nor_killed() {
    let environment = Environment::start().await;
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let child = environment.running_again("api-1", None).await;
    environment.kill_keeper().await;
    drill::kill(child).unwrap();

    let stranger = Bystander::start();
    let text = files::read_string(&environment.record("api-1")).unwrap();
    let with_number_of_stranger = |start_time: u64, boot_id: Option<&str>| {
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["process"]["pid"], child);
        record["process"]["pid"] = stranger.0.pid().into();
        record["process"]["start_time"] = start_time.into();
        if let Some(boot_id) = boot_id {
            record["process"]["boot_id"] = boot_id.into();
        }
        record.to_string()
    };
    let start_time = stranger.0.identity().start_time;
    let reused = with_number_of_stranger(start_time - 1, None);
    let same_number_other_boot = with_number_of_stranger(start_time, Some("another-boot"));
    for record in [reused, same_number_other_boot] {
        files::write_durable(&environment.record("api-1"), record.as_bytes(), Access::Owner).unwrap();
        environment.launch().await;
        let status = environment.status("api-1").await.unwrap();
        assert_eq!((status.state, status.pid), (UnitState::Lost, None));
        environment.client.remove("api-1").await.unwrap();
        assert!(stranger.0.is_alive());
        environment.kill_keeper().await;
    }
}

#[tokio::test]
async fn a_child_that_no_record_names_is_stopped_before_anything_starts() {
    let environment = Environment::start().await;
    let closing = environment.root.path().join("closed");
    let script = format!("trap 'echo > {closing:?}; exit 0' TERM; echo ready; while :; do sleep 0.02; done");
    environment.client.ensure(app("api-1", &script)).await.unwrap();
    // Some programs write over their environment; then the output pipe betrays them.
    environment.client.ensure(app("redis", "exec env -i sleep 100000")).await.unwrap();
    let api = environment.running_again("api-1", None).await;
    let redis = environment.running_again("redis", None).await;
    eventually("it is ready", async || environment.tail("api-1").await.contains(&"ready".to_owned()).then_some(()))
        .await;
    eventually("it wiped its environment", async || process::table::environment(redis).is_empty().then_some(())).await;
    environment.kill_keeper().await;
    files::remove(&environment.record("api-1")).unwrap();
    files::remove(&environment.record("redis")).unwrap();

    let bystander = Bystander::start();
    environment.launch().await;
    assert!(is_dead(api) && is_dead(redis));
    assert!(files::exists(&closing), "it was asked first");
    assert!(bystander.0.is_alive());
    assert!(environment.client.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_damaged_record_is_told_and_no_second_instance_starts_beside_the_first() {
    let environment = Environment::start().await;
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let first = environment.running_again("api-1", None).await;
    environment.kill_keeper().await;
    let record = environment.record("api-1");
    let good = files::read(&record).unwrap();
    files::write_durable(&record, &good[..good.len() / 2], Access::Owner).unwrap();

    environment.launch().await;
    let status = environment.status("api-1").await.unwrap();
    assert_eq!(status.state, UnitState::Lost);
    assert!(status.last_exit.unwrap().contains("is damaged"));
    let health = environment.client.health().await.unwrap();
    assert!(health.faults[0].contains("\"api-1\" is damaged"), "{:?}", health.faults);
    assert!(files::exists(&record.with_extension("json.damaged")), "kept, to be looked at");
    assert!(is_dead(first));

    // Also the keeper after that one still says so.
    environment.kill_keeper().await;
    environment.launch().await;
    assert_eq!(environment.status("api-1").await.unwrap().state, UnitState::Lost);
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    assert_eq!(environment.instances("api-1").len(), 1);
}

#[tokio::test]
async fn a_second_keeper_goes_at_once_and_says_who_is_there() {
    let environment = Environment::start().await;
    let first = environment.keeper_pid().await;
    let second = Run {
        program: program().to_owned(),
        args: ["keeper", "--root"]
            .map(str::to_owned)
            .into_iter()
            .chain([environment.root.path().display().to_string()])
            .collect(),
        cwd: PathBuf::from("/"),
        env: BTreeMap::new(),
        deadline: Duration::from_secs(10),
    };
    let finished = process::run(&second, &mut |_, _| {}).await.unwrap();
    assert!(finished.success(), "{finished:?}");
    let said = finished.tail.join("\n");
    assert!(said.contains(&format!("keeper with pid {first} since ")), "{said}");
    assert_eq!(environment.keeper_pid().await, first);
}

#[tokio::test]
async fn a_lock_that_a_dead_keeper_left_to_its_last_child_is_waited_for() {
    let environment = Environment::new();
    files::create_dir(environment.root.path(), Access::Owner).unwrap();
    let bystander = Bystander::start();
    let dead = bystander.0.pid();
    drop(bystander);
    let text = format!("keeper with pid {dead} since yesterday");
    let lock::Lock::Ours(held) = lock::try_lock(&environment.root.keeper_lock(), &text).unwrap() else {
        panic!("free")
    };
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(held);
    };
    tokio::join!(environment.launch(), release);
    assert!(environment.client.health().await.is_ok());
}
