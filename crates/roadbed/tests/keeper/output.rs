//! What units write.

use std::time::Duration;

use host::files;
use host::process::table;
use reconcile::ports::Units;

use crate::environment::{Environment, LIVE, app, eventually};

#[tokio::test]
async fn both_streams_are_kept_with_time_and_stream() {
    let environment = Environment::start().await;
    environment
        .client
        .ensure(app("api-1", "echo to out; echo to err >&2; printf 'no end'; exec sleep 1000"))
        .await
        .unwrap();
    eventually("both lines are there", async || (environment.log("api-1").lines().count() == 2).then_some(())).await;
    let log = environment.log("api-1");
    assert!(log.lines().any(|line| line.contains(r#""stream":"out","line":"to out""#)), "{log}");
    assert!(log.lines().any(|line| line.contains(r#""stream":"err","line":"to err""#)), "{log}");
    environment.client.hold("api-1").await.unwrap();
    assert!(environment.tail("api-1").await.contains(&"no end".to_owned()), "the last words need no end of line");
}

#[tokio::test]
async fn a_flood_is_rotated_and_does_not_make_the_keeper_grow() {
    let environment = Environment::start().await;
    environment.client.ensure(app("quiet", LIVE)).await.unwrap();
    let keeper = environment.keeper_pid().await;
    // 100 MB in lines of 1000 bytes.
    let line = "x".repeat(993);
    let script = format!("yes {line} | head -n 100000 | cat -n; echo the end; exec sleep 1000");
    environment.client.ensure(app("loud", &script)).await.unwrap();
    let before = table::resident_bytes(keeper).unwrap();
    let mut most = 0;
    let begun = tokio::time::Instant::now();
    loop {
        most = most.max(table::resident_bytes(keeper).unwrap());
        let last = environment.client.tail("loud", 1).await.unwrap();
        if last == ["the end"] {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "the flood does not end");
        // It answers all the while.
        environment.client.list().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(most <= before + 4 * 1024 * 1024, "{} KiB, before {} KiB", most / 1024, before / 1024);
    let logs = files::list(&environment.root.logs()).unwrap();
    let sizes: Vec<u64> = logs
        .iter()
        .filter(|path| path.to_string_lossy().contains("loud.log"))
        .map(|path| files::metadata(path).unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 4, "{logs:?}");
    assert!(sizes.iter().all(|size| *size <= 10 * 1024 * 1024), "{sizes:?}");
    // The newest are there without a gap.
    let tail = environment.client.tail("loud", 500).await.unwrap();
    let numbers: Vec<u32> = tail.iter().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!((numbers.len(), *numbers.last().unwrap()), (499, 100_000));
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[tokio::test]
async fn what_is_written_while_no_keeper_lives_is_not_lost() {
    let environment = Environment::start().await;
    let script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.001; done";
    environment.client.ensure(app("api-1", script)).await.unwrap();
    for _ in 0..3 {
        let written = environment.tail("api-1").await.len();
        eventually("it writes", async || (environment.tail("api-1").await.len() > written + 50).then_some(())).await;
        environment.kill_keeper().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        environment.launch().await;
    }
    environment.client.remove("api-1").await.unwrap();
    let numbers: Vec<u64> = environment.tail("api-1").await.iter().map(|line| line.parse().unwrap()).collect();
    let mut seen = numbers.clone();
    seen.sort_unstable();
    seen.dedup();
    let expected: Vec<u64> = (1..=*seen.last().unwrap()).collect();
    assert_eq!(seen, expected, "nothing is missing");
}

#[tokio::test]
async fn what_the_keeper_itself_says_is_rotated_while_it_runs() {
    let environment = Environment::start().await;
    let own = environment.root.logs().join("keeper.log");
    let (former, keeper) = (environment.root.logs().join("keeper.log.1"), environment.keeper_pid().await);
    let long = "what a keeper says in a year\n".repeat(400_000);
    std::io::Write::write_all(&mut files::open_append(&own, files::Access::Owner).unwrap(), long.as_bytes()).unwrap();
    eventually("it is put aside", async || files::exists(&former).then_some(())).await;
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    eventually("what it says goes to the new one", async || {
        files::read_string(&own).ok()?.contains("started").then_some(())
    })
    .await;
    assert!(files::metadata(&own).unwrap().len() < 100_000);
    assert_eq!(environment.keeper_pid().await, keeper);
}
