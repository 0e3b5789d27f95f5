//! Going down on purpose.

use std::time::Duration;

use host::files;
use host::process::{Process, Signal};
use reconcile::ports::{UnitKind, Units};
use roadbed::keeper::Launched;
use roadbed::keeper::lifeline::Lifeline;
use tokio::sync::watch;

use crate::environment::{Environment, app, eventually, is_dead, program};

/// Four units that write down when they go. Apps take their time: whoever does not wait for them is found out.
async fn start_all(environment: &Environment) {
    let kinds = [
        ("control", UnitKind::Control, "0"),
        ("mongodb", UnitKind::Store, "0"),
        ("edge", UnitKind::Edge, "0"),
        ("api-1", UnitKind::App, "0.3"),
        ("api-2", UnitKind::App, "0.3"),
    ];
    for (name, kind, pause) in kinds {
        let journal = environment.root.path().join("journal");
        let script = format!(
            "trap 'sleep {pause}; echo {kind:?} >> {journal:?}; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
        );
        let mut spec = app(name, &script);
        spec.kind = kind;
        environment.client.ensure(spec).await.unwrap();
        eventually("it is ready", async || environment.tail(name).await.contains(&"ready".to_owned()).then_some(()))
            .await;
    }
}

fn assert_all_gone_in_order(environment: &Environment) {
    let journal = files::read_string(&environment.root.path().join("journal")).unwrap();
    assert_eq!(journal.lines().collect::<Vec<_>>(), ["App", "App", "Edge", "Store", "Control"]);
    for unit in ["api-1", "api-2", "edge", "mongodb", "control"] {
        assert!(environment.instances(unit).is_empty(), "{unit}");
        assert!(!files::exists(&environment.record(unit)), "{unit}");
    }
    assert!(!files::exists(&environment.root.keeper_socket()));
}

#[tokio::test]
async fn units_stop_in_order_and_those_of_a_kind_together() {
    let environment = Environment::start().await;
    start_all(&environment).await;
    let begun = tokio::time::Instant::now();
    environment.client.shutdown().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(2_000), "{:?}", begun.elapsed());
    assert_all_gone_in_order(&environment);
}

#[tokio::test]
async fn sigterm_to_the_keeper_is_an_orderly_shutdown() {
    let environment = Environment::start().await;
    start_all(&environment).await;
    let keeper = Process::open(environment.keeper_pid().await).unwrap();
    keeper.signal(Signal::TERM).unwrap();
    keeper.ended().await.unwrap();
    assert_all_gone_in_order(&environment);
}

#[tokio::test]
async fn nobody_revives_what_was_stopped_and_launching_takes_that_back() {
    let environment = Environment::start().await;
    let (keepers, mut met) = (watch::Sender::new(0), watch::Sender::new(0).subscribe());
    drop(std::mem::replace(&mut met, keepers.subscribe()));
    let lifeline =
        Lifeline { root: environment.root.clone(), offer: Vec::new(), program: program().to_owned(), keepers };
    let holding = tokio::spawn(lifeline.hold());
    met.wait_for(|count| *count == 1).await.unwrap();
    environment.kill_keeper().await;
    met.wait_for(|count| *count == 2).await.unwrap();

    environment.client.shutdown().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), holding).await.expect("it lets go").unwrap();
    assert!(environment.client.health().await.is_err());
    let fault = environment.client.list().await.unwrap_err();
    assert!(fault.message.starts_with("no keeper answers for"), "{fault}");
    assert!(fault.hint.unwrap().contains("roadbed up"));

    let launched = roadbed::keeper::launch_program(&environment.root, program()).await.unwrap();
    assert_eq!(launched, Launched::Started);
    let launched = roadbed::keeper::launch_program(&environment.root, program()).await.unwrap();
    assert_eq!(launched, Launched::AlreadyRunning);
    assert!(environment.client.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_is_in_a_hurry_need_not_wait_for_grace() {
    let environment = Environment::start().await;
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    environment.client.ensure(app("api-1", stubborn)).await.unwrap();
    let pid = environment.running_again("api-1", None).await;
    eventually("it is ready", async || environment.tail("api-1").await.contains(&"ready".to_owned()).then_some(()))
        .await;
    let client = environment.client.clone();
    let patient = tokio::spawn(async move { client.shutdown().await });
    environment.in_state("api-1", reconcile::ports::UnitState::Stopping).await;
    let begun = tokio::time::Instant::now();
    environment.client.kill().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    patient.await.unwrap().unwrap();
    assert!(is_dead(pid));
}

#[tokio::test]
async fn what_outlived_its_keeper_can_still_be_stopped() {
    let environment = Environment::start().await;
    start_all(&environment).await;
    environment.kill_keeper().await;
    environment.launch().await;
    environment.client.shutdown().await.unwrap();
    assert_all_gone_in_order(&environment);
}
