//! Whoever dies in the middle, whoever comes next converges.

use std::time::Duration;

use runtime::Runtime;
use runtime::instance::Image;
use runtime::port::{Phase, Until};

use super::cases::assert_numbered;
use super::{Engine, all_gone, converge, given, lines, ready, spec, told_by};

const GRACE: Duration = Duration::from_secs(20);

/// When it is killed, in milliseconds after its start: a life of an instance takes about a second here.
const MOMENTS: [u64; 14] = [0, 10, 20, 40, 80, 120, 180, 260, 350, 450, 600, 800, 1000, 1400];

pub async fn our_process_may_die_at_any_moment(engine: &dyn Engine, folder: &std::path::Path) {
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        // An image that the engine does not have yet, every other time.
        let image = super::image(folder, &format!("crash-{}", number / 2));
        let epoch = 2 * u64::try_from(number).unwrap() + 1;
        let mut child = super::in_a_process_of_its_own(engine, "crash", epoch, &image);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        child.kill().unwrap();
        child.wait().unwrap();

        let runtime = engine.runtime("crash", epoch + 1);
        runtime.claim().await.unwrap();
        let spec = spec(&image, "1", "serves");
        // What was made of the image before is another revision.
        if runtime.list().await.unwrap().iter().any(|seen| seen.revision != spec.revision()) {
            all_gone(&*runtime).await;
        }
        let address = converge(&*runtime, &spec, "mine").await;
        let given = told_by(address).await["given"].as_str().map(str::to_owned);
        // It runs as it was started: by us, or by whoever was killed after all was said.
        assert!(
            ["mine", "theirs"].contains(&given.as_deref().unwrap_or_default()),
            "killed after {moment} ms: {given:?}"
        );
        let seen = runtime.list().await.unwrap();
        assert_eq!(seen.len(), 1, "killed after {moment} ms: {seen:?}");
        if number % 2 == 1 {
            runtime.stop(&spec.id, GRACE).await.unwrap();
            all_gone(&*runtime).await;
        }
    }
    all_gone(&*engine.runtime("crash", 1000)).await;
}

/// What the process does that is killed.
pub async fn live(runtime: &dyn Runtime, image: &Image) {
    loop {
        runtime.claim().await.unwrap();
        let spec = spec(image, "1", "serves");
        runtime.create(&spec).await.unwrap();
        runtime.start(&spec.id, &given("theirs")).await.unwrap();
        runtime.stop(&spec.id, GRACE).await.unwrap();
        all_gone(runtime).await;
    }
}

pub async fn the_engine_may_die_between_any_two_steps(engine: &dyn Engine, image: &Image) {
    let dies = || {
        engine.kill();
        engine.start();
    };
    let runtime = engine.runtime("daemon", 1);
    runtime.claim().await.unwrap();
    dies();
    let spec = spec(image, "1", "chatty");
    runtime.create(&spec).await.unwrap();
    dies();
    assert_eq!(runtime.list().await.unwrap()[0].phase, Phase::Created);
    runtime.start(&spec.id, &given("x")).await.unwrap();
    dies();
    // It ended with the engine, or lived on: either way it is converged to.
    let address = converge(&*runtime, &spec, "x").await;
    assert_eq!(told_by(address).await["given"], "x");
    dies();
    runtime.stop(&spec.id, GRACE).await.unwrap();
    dies();
    all_gone(&*runtime).await;
    dies();
    // The fence holds over all that.
    let older = engine.runtime("daemon", 0);
    assert!(matches!(older.create(&spec).await, Err(runtime::RuntimeFault::Fenced { .. })));
}

pub async fn a_call_under_way_outlives_the_engine(engine: &dyn Engine, folder: &std::path::Path) {
    for (number, moment) in [0_u64, 100, 300, 700].into_iter().enumerate() {
        let runtime = engine.runtime("under-way", u64::try_from(number).unwrap() + 1);
        let image = super::image(folder, &format!("under-way-{number}"));
        let spec = spec(&image, "1", "serves");
        let works = async {
            runtime.claim().await.unwrap();
            converge(&*runtime, &spec, "x").await
        };
        let breaks = async {
            tokio::time::sleep(Duration::from_millis(moment)).await;
            engine.kill();
            engine.start();
        };
        tokio::join!(works, breaks);
        // It may have been ready before the engine died, and died with it.
        converge(&*runtime, &spec, "x").await;
        ready(&*runtime, &spec.id).await.unwrap();
        all_gone(&*runtime).await;
    }
}

pub async fn a_start_under_way_outlives_the_engine_and_has_its_variables(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("starts", 1);
    let spec = spec(image, "1", "serves");
    for moment in [0_u64, 20, 50, 90, 140, 200, 300, 450] {
        runtime.create(&spec).await.unwrap();
        let value = given("x");
        let starts = async { runtime.start(&spec.id, &value).await.unwrap() };
        let breaks = async {
            tokio::time::sleep(Duration::from_millis(moment)).await;
            engine.kill();
            engine.start();
        };
        tokio::join!(starts, breaks);
        let address = converge(&*runtime, &spec, "x").await;
        assert_eq!(told_by(address).await["given"], "x", "killed after {moment} ms");
        // What was started before has heard nobody, and ended: also where the engine does not know of it any more.
        until_run(engine, 1, moment).await;
        all_gone(&*runtime).await;
        until_run(engine, 0, moment).await;
    }
}

async fn until_run(engine: &dyn Engine, expected: usize, moment: u64) {
    let deadline = tokio::time::Instant::now() + super::START;
    while engine.processes() != expected {
        let run = engine.processes();
        assert!(tokio::time::Instant::now() < deadline, "{run} run and not {expected}, killed after {moment} ms");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn no_line_is_lost_when_the_engine_dies(engine: &dyn Engine, image: &Image) {
    use futures_util::StreamExt;
    let runtime = engine.runtime("lines-on", 1);
    let spec = spec(image, "1", "chatty");
    converge(&*runtime, &spec, "x").await;
    let mut following = runtime.logs(&spec.id, None, Until::End).await.unwrap();
    let mut had = Vec::new();
    while had.len() < 300 {
        had.push(following.next().await.unwrap().unwrap());
    }
    engine.kill();
    engine.start();
    let cursor = had.last().unwrap().cursor;
    let stop = async {
        // Where the engine let it live on, it is still writing.
        runtime.stop(&spec.id, GRACE).await.unwrap();
    };
    let rest = async { following.map(Result::unwrap).collect::<Vec<_>>().await };
    let ((), rest) = tokio::join!(stop, rest);
    let again = lines(&*runtime, &spec.id, Some(cursor), Until::End).await;
    assert_eq!(rest, again, "followed on, and come back for");
    let texts: Vec<String> = had.into_iter().chain(rest).map(|line| line.text).collect();
    assert_numbered(&texts);
    all_gone(&*runtime).await;
}
