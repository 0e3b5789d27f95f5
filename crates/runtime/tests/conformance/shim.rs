//! An instance in the foreground of a process.

use std::time::Duration;

use runtime::Runtime;
use runtime::foreground::Foreground;
use runtime::instance::{Epoch, Image, Spec};
use runtime::port::Phase;
use tokio::sync::oneshot;

use super::{Engine, all_gone, converge, given, ready, spec, told_by};

const GRACE: Duration = Duration::from_secs(20);

fn foreground<'a>(
    runtime: &'a dyn Runtime,
    epoch: u64,
    spec: &'a Spec,
    given: &'a runtime::instance::Given,
) -> Foreground<'a> {
    Foreground { runtime, epoch: Epoch(epoch), spec, given, grace: GRACE, from: None }
}

pub async fn it_is_as_the_instance_in_the_foreground(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("shim", 1);
    let value = given("x");
    let ends = spec(image, "1", "ends");
    let mut said = Vec::new();
    // A second time the leftover of the first is in the way.
    for _ in 0..2 {
        said.clear();
        let shim = foreground(&*runtime, 1, &ends, &value);
        let ended = shim.run(std::future::pending(), &mut |line| said.push(line.text.clone())).await.unwrap();
        assert_eq!(ended.code, 3);
        said.sort();
        assert_eq!(said, ["begins as ends", "has nothing to do"]);
    }

    let serves = spec(image, "2", "serves");
    let (stop, stopped) = oneshot::channel::<()>();
    let shim = foreground(&*runtime, 1, &serves, &value);
    let mut said = Vec::new();
    let mut out = |line: &runtime::port::Line| said.push(line.text.clone());
    let running = shim.run(async { stopped.await.unwrap() }, &mut out);
    let asks = async {
        until_there(&*runtime, &serves).await;
        ready(&*runtime, &serves.id).await.unwrap();
        stop.send(()).unwrap();
    };
    let (ended, ()) = tokio::join!(running, asks);
    assert_eq!(ended.unwrap().code, 0);
    assert_eq!(said, ["begins as serves", "is asked to end"]);

    // Asked to end before it began, it is nowhere.
    for polls in [0, 1, 3, 10] {
        let early = spec(image, "3", "serves");
        let shim = foreground(&*runtime, 1, &early, &value);
        let stop = async {
            for _ in 0..polls {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = shim.run(stop, &mut |_| {}).await.unwrap();
        assert!([143, 0, 75].contains(&ended.code), "{ended:?}");
        let there = runtime.list().await.unwrap().into_iter().find(|seen| seen.id == early.id);
        assert!(there.is_none_or(|seen| matches!(seen.phase, Phase::Ended(_))));
    }
    all_gone(&*runtime).await;
}

pub async fn it_replaces_what_is_left_of_another_way_to_run_or_another_epoch(engine: &dyn Engine, image: &Image) {
    let before = engine.runtime("shim-other", 1);
    let spec_before = spec(image, "1", "serves");
    let value = given("new");
    let others = [(1, Spec { versions: "GIVEN 2".to_owned(), ..spec_before.clone() }), (2, spec_before.clone())];
    for (epoch, after) in others {
        converge(&*before, &spec_before, "old").await;
        let runtime = engine.runtime("shim-other", epoch);
        let (stop, stopped) = oneshot::channel::<()>();
        let shim = foreground(&*runtime, epoch, &after, &value);
        let mut out = |_: &runtime::port::Line| {};
        let running = shim.run(async { stopped.await.unwrap() }, &mut out);
        let asks = async {
            loop {
                let is_new = |seen: &runtime::port::Seen| {
                    seen.epoch == Epoch(epoch) && seen.revision == after.revision() && seen.phase == Phase::Running
                };
                if runtime.list().await.unwrap().iter().any(is_new) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let told = told_by(ready(&*runtime, &after.id).await.unwrap()).await;
            stop.send(()).unwrap();
            told
        };
        let within = tokio::time::timeout(super::START, async { tokio::join!(running, asks) });
        let (ended, told) = within.await.unwrap();
        ended.unwrap();
        assert_eq!(told["given"], "new");
        all_gone(&*runtime).await;
    }
}

pub async fn it_takes_over_from_one_that_was_killed(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("shim-taken", 1);
    let spec = spec(image, "1", "serves");
    let mut child = super::in_a_process_of_its_own(engine, "shim-taken", 1, image);
    until_there(&*runtime, &spec).await;
    let address = ready(&*runtime, &spec.id).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let value = given("mine");
    let (stop, stopped) = oneshot::channel::<()>();
    let shim = foreground(&*runtime, 1, &spec, &value);
    let mut said = Vec::new();
    let mut begun = Some(stop);
    let mut out = |line: &runtime::port::Line| {
        said.push(line.text.clone());
        if let Some(stop) = begun.take() {
            stop.send(()).unwrap();
        }
    };
    let told = told_by(address).await;
    assert_eq!(told["given"], "theirs", "it outlived the one that started it");
    let ended = shim.run(async { stopped.await.unwrap() }, &mut out).await.unwrap();
    assert_eq!(ended.code, 0);
    assert_eq!(said, ["begins as serves", "is asked to end"], "it began once");
    all_gone(&*runtime).await;
}

/// What the process does that is killed.
pub async fn live(runtime: &dyn Runtime, image: &Image) {
    let (spec, value) = (spec(image, "1", "serves"), given("theirs"));
    foreground(runtime, 1, &spec, &value).run(std::future::pending(), &mut |_| {}).await.unwrap();
}

async fn until_there(runtime: &dyn Runtime, spec: &Spec) {
    let there = async {
        loop {
            let seen = runtime.list().await.unwrap().into_iter().find(|seen| seen.id == spec.id);
            if seen.is_some_and(|seen| seen.phase == Phase::Running) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(super::START, there).await.unwrap();
}
