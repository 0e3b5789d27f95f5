//! The life of an instance, and who may touch it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use runtime::RuntimeFault;
use runtime::instance::{Epoch, Image, Limits, Spec};
use runtime::port::{Ended, Made, Phase, Until};
use runtime::readiness::{Readiness, await_ready};

use super::{Engine, all_gone, converge, given, id, lines, ready, spec, told_by};

const GRACE: Duration = Duration::from_secs(20);

pub async fn it_lives_from_creation_to_collection(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("life", 1);
    runtime.claim().await.unwrap();
    let spec = spec(image, "1", "serves");
    assert!(matches!(runtime.start(&spec.id, &given("a")).await, Err(RuntimeFault::Absent(_))));
    assert_eq!(runtime.create(&spec).await.unwrap(), Made::New);
    assert_eq!(runtime.list().await.unwrap()[0].phase, Phase::Created);
    assert!(matches!(runtime.address(&spec.id).await, Err(RuntimeFault::NotRunning(_))));
    runtime.start(&spec.id, &given("a")).await.unwrap();
    let address = ready(&*runtime, &spec.id).await.unwrap();
    let told = told_by(address).await;
    assert_eq!((told["given"].as_str(), told["shown"].as_str()), (Some("a"), Some("for all")), "{told}");

    // All of it again changes nothing.
    assert_eq!(runtime.create(&spec).await.unwrap(), Made::WasThere);
    runtime.start(&spec.id, &given("b")).await.unwrap();
    assert_eq!(ready(&*runtime, &spec.id).await.unwrap(), address);
    assert_eq!(told_by(address).await["given"], "a", "it is the same process");
    let seen = runtime.list().await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].id, seen[0].epoch, seen[0].phase), (&spec.id, Epoch(1), Phase::Running));
    assert_eq!(seen[0].revision, spec.revision());

    let stats = runtime.stats(&spec.id).await.unwrap();
    assert!(stats.cpu > Duration::from_millis(1) && stats.memory > 1 << 20 && stats.processes >= 2, "{stats:?}");

    runtime.stop(&spec.id, GRACE).await.unwrap();
    runtime.stop(&spec.id, GRACE).await.unwrap();
    let ended = Phase::Ended(Ended { code: 0, out_of_memory: false });
    assert_eq!(runtime.list().await.unwrap()[0].phase, ended);
    let said = lines(&*runtime, &spec.id, None, Until::End).await;
    let said: Vec<&str> = said.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(said, ["begins as serves", "is asked to end"]);

    // Started again, with other variables.
    runtime.start(&spec.id, &given("c")).await.unwrap();
    let address = ready(&*runtime, &spec.id).await.unwrap();
    assert_eq!(told_by(address).await["given"], "c");

    let keep = BTreeSet::from([spec.id.clone()]);
    assert_eq!(runtime.collect(&keep).await.unwrap(), []);
    assert_eq!(runtime.collect(&BTreeSet::new()).await.unwrap(), [spec.id]);
    all_gone(&*runtime).await;
}

pub async fn two_that_create_at_once_make_one(engine: &dyn Engine, image: &Image) {
    let (one, two) = (engine.runtime("twice", 1), engine.runtime("twice", 1));
    let spec = spec(image, "1", "serves");
    let (one_made, two_made) = tokio::join!(one.create(&spec), two.create(&spec));
    let made = [one_made.unwrap(), two_made.unwrap()];
    assert!(made.contains(&Made::New), "{made:?}");
    assert_eq!(one.list().await.unwrap().len(), 1);
    converge(&*two, &spec, "x").await;
    all_gone(&*one).await;
}

pub async fn one_that_runs_otherwise_is_not_replaced_behind_its_back(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("differs", 1);
    let before = spec(image, "1", "serves");
    converge(&*runtime, &before, "x").await;
    let after = Spec { limits: Limits { open_files: Some(1000), ..before.limits }, ..before.clone() };
    assert!(matches!(runtime.create(&after).await, Err(RuntimeFault::Differs(_))));
    runtime.stop(&before.id, GRACE).await.unwrap();
    assert_eq!(runtime.create(&after).await.unwrap(), Made::New);
    assert_eq!(runtime.list().await.unwrap()[0].revision, after.revision());
    all_gone(&*runtime).await;
}

pub async fn an_older_epoch_is_refused(engine: &dyn Engine, image: &Image) {
    let (old, new) = (engine.runtime("fence", 7), engine.runtime("fence", 8));
    let spec = spec(image, "1", "serves");
    old.claim().await.unwrap();
    converge(&*old, &spec, "x").await;
    new.claim().await.unwrap();
    let other = super::spec(image, "2", "serves");
    let refused = [
        old.claim().await.unwrap_err(),
        old.create(&other).await.unwrap_err(),
        old.create(&spec).await.unwrap_err(),
        old.start(&spec.id, &given("x")).await.unwrap_err(),
        old.stop(&spec.id, GRACE).await.unwrap_err(),
        old.collect(&BTreeSet::new()).await.unwrap_err(),
    ];
    for fault in refused {
        let RuntimeFault::Fenced { ours, held, .. } = fault else { panic!("{fault}") };
        assert_eq!((ours, held), (Epoch(7), Epoch(8)));
    }
    // It may look, and what it made goes on under the next.
    let seen = old.list().await.unwrap();
    assert_eq!((seen.len(), seen[0].phase), (1, Phase::Running));
    converge(&*new, &other, "y").await;
    new.stop(&spec.id, GRACE).await.unwrap();
    assert_eq!(new.collect(&BTreeSet::from([other.id.clone()])).await.unwrap(), [spec.id]);
    all_gone(&*new).await;
}

pub async fn what_is_not_ours_is_left_alone(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("strangers", 3);
    let neighbour = engine.runtime("strangers-2", 1);
    let spec = spec(image, "1", "serves");
    converge(&*neighbour, &spec, "x").await;
    engine.run_stranger("stranger-plain", &[], image);
    // It bears one label of ours, and no instance's.
    engine.run_stranger("stranger-labelled", &[("roadbed.environment", "strangers")], image);
    engine.run_stranger("roadbed.strangers.api.r1.9", &[("roadbed.environment", "strangers")], image);
    let taken = super::spec(image, "9", "serves");
    assert!(matches!(runtime.create(&taken).await, Err(RuntimeFault::Foreign { .. })));
    assert!(matches!(runtime.stop(&taken.id, GRACE).await, Err(RuntimeFault::Foreign { .. })));
    converge(&*runtime, &spec, "x").await;
    all_gone(&*runtime).await;
    for stranger in ["stranger-plain", "stranger-labelled", "roadbed.strangers.api.r1.9"] {
        assert!(engine.is_there(stranger), "{stranger}");
    }
    assert_eq!(neighbour.list().await.unwrap()[0].phase, Phase::Running);
    ready(&*neighbour, &spec.id).await.unwrap();
    all_gone(&*neighbour).await;
}

pub async fn one_that_ends_is_told_with_its_code_and_not_waited_for(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("ends", 1);
    let spec = spec(image, "1", "ends");
    runtime.create(&spec).await.unwrap();
    runtime.start(&spec.id, &given("x")).await.unwrap();
    let began = Instant::now();
    let Err(RuntimeFault::Ended { ended, .. }) = ready(&*runtime, &spec.id).await else { panic!("it is no end") };
    assert_eq!(ended.code, 3);
    assert!(began.elapsed() < super::START / 2);
    let said = lines(&*runtime, &spec.id, None, Until::Now).await;
    assert!(said.iter().any(|line| line.stream == host::process::Stream::Err && line.text == "has nothing to do"));
    all_gone(&*runtime).await;
}

pub async fn one_that_never_gets_ready_is_told_with_the_last_answer(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("unready", 1);
    for (instance, behaviour, expected) in [("1", "unready", "503"), ("2", "mute", "refused")] {
        let spec = spec(image, instance, behaviour);
        runtime.create(&spec).await.unwrap();
        runtime.start(&spec.id, &given("x")).await.unwrap();
        let readiness = Readiness { path: "/ready", within: Duration::from_secs(3) };
        let Err(RuntimeFault::NotReady { last, .. }) = await_ready(&*runtime, &spec.id, readiness).await else {
            panic!("{behaviour} is ready")
        };
        assert!(last.contains(expected), "{behaviour}: {last}");
    }
    all_gone(&*runtime).await;
}

pub async fn one_that_ignores_the_signal_is_killed_when_the_grace_is_over(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("stubborn", 1);
    let spec = spec(image, "1", "stubborn");
    converge(&*runtime, &spec, "x").await;
    let (began, grace) = (Instant::now(), Duration::from_secs(2));
    runtime.stop(&spec.id, grace).await.unwrap();
    assert!(began.elapsed() >= grace);
    let Phase::Ended(ended) = runtime.list().await.unwrap()[0].phase else { panic!("it runs") };
    assert_eq!(ended.code, 137);
    let said = lines(&*runtime, &id("1"), None, Until::End).await;
    assert_eq!(said.last().unwrap().text, "is asked to end", "it was asked first");
    all_gone(&*runtime).await;
}

pub async fn lines_are_whole_and_whoever_comes_back_misses_none(engine: &dyn Engine, image: &Image) {
    use futures_util::StreamExt;
    let runtime = engine.runtime("lines", 1);
    let long = spec(image, "1", "long");
    converge(&*runtime, &long, "x").await;
    let said = lines(&*runtime, &long.id, None, Until::Now).await;
    let lengths: Vec<usize> = said.iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths, ["begins as long".len(), 40_001, "short".len()]);

    let chatty = spec(image, "2", "chatty");
    converge(&*runtime, &chatty, "x").await;
    let (mut cursor, mut had) = (None, Vec::new());
    for _ in 0..6 {
        let mut lines = runtime.logs(&chatty.id, cursor, Until::End).await.unwrap();
        for _ in 0..37 {
            let line = lines.next().await.unwrap().unwrap();
            cursor = Some(line.cursor);
            had.push(line.text);
        }
    }
    runtime.stop(&chatty.id, GRACE).await.unwrap();
    had.extend(lines(&*runtime, &chatty.id, cursor, Until::End).await.into_iter().map(|line| line.text));
    assert_numbered(&had);
    all_gone(&*runtime).await;
}

/// Every line of `chatty` once. Between the two streams the order is the engine's.
pub fn assert_numbered(had: &[String]) {
    let mut numbers: Vec<u32> = had.iter().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    numbers.sort_unstable();
    let expected: Vec<u32> = (1..=u32::try_from(numbers.len()).unwrap()).collect();
    assert!(numbers.len() > 200 && numbers == expected, "{} of {}: {numbers:?}", numbers.len(), had.len());
}
