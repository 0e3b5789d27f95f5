//! A browser that is missing, is no browser, or goes away.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host::files::{self, Access};
use host::process::{Process, Signal, table};
use smoke::{Page, Report, SmokeFault, Verdict};

use crate::site::{Site, only, run};

/// Processes of browsers whose profile is below this folder, but for dead ones that nobody took away.
fn browsers(folder: &Path) -> Vec<u32> {
    let folder = folder.to_string_lossy().into_owned();
    let alive = |pid: &u32| table::entry(*pid).is_some_and(|entry| !entry.is_dead());
    table::entries()
        .iter()
        .map(|entry| entry.pid)
        .filter(|pid| table::command_line(*pid).contains(&folder))
        .filter(alive)
        .collect()
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn without_a_browser_nothing_is_looked_at_and_only_pages_that_render_need_one() {
    let site = Site::plain().await;
    for browser in [None, Some(PathBuf::from("/nowhere/chromium"))] {
        let mut plan = site.plan(vec![site.page("/")]);
        plan.browser = browser;
        let fault = run(&plan).await.unwrap_err();
        assert!(matches!(fault, SmokeFault::NoBrowser { .. }));
        assert!(fault.to_string().contains("/ must be rendered, and there is no browser"), "{fault}");
        assert!(fault.hint().contains("install Chromium"));
        plan.pages = vec![Page { rendering: None, ..site.page("/") }];
        assert!(run(&plan).await.unwrap().holds());
    }
    assert_eq!(site.requests().len(), 2);
}

#[tokio::test]
async fn a_program_that_is_no_browser_leaves_the_page_unproven() {
    let site = Site::plain().await;
    let program = site.folder.path().join("chromium");
    files::write(&program, b"#!/bin/sh\necho cannot open display >&2\nexit 3\n", Access::Owner).unwrap();
    files::set_executable(&program).unwrap();
    let mut plan = site.plan(vec![site.page("/")]);
    plan.browser = Some(program);
    let report = run(&plan).await.unwrap();
    let (page, said) = only(&report);
    assert_eq!(page.verdict, Verdict::Unproven);
    assert!(!report.holds());
    assert!(said[0].contains("exit code 3: cannot open display"), "{said:?}");
    assert!(site.profiles().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_killed_is_told_and_leaves_nothing() {
    let site = Site::plain().await;
    let plan = site.plan(vec![site.page("/never-loads"), site.page("/")]);
    let folder = site.folder.path().to_owned();
    let running = tokio::spawn(async move { run(&plan).await });
    wait_until("the page asks for its picture", || site.requests().iter().any(|head| head.contains("/never ")));
    let main = browsers(&folder).into_iter().find(|pid| !table::command_line(*pid).contains("--type=")).unwrap();
    Process::open(main).unwrap().signal(Signal::KILL).unwrap();
    let report: Report = running.await.unwrap().unwrap();
    for page in &report.pages {
        let said: Vec<String> = page.complaints.iter().map(ToString::to_string).collect();
        assert_eq!(page.verdict, Verdict::Unproven, "{said:?}");
        assert_eq!(said, ["was not looked at to its end: the browser ended: killed by SIGKILL"]);
    }
    wait_until("all processes of the browser are gone", || browsers(&folder).is_empty());
    assert!(site.profiles().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_given_up_leaves_nothing() {
    let site = Site::plain().await;
    let plan = site.plan(vec![site.page("/never-loads")]);
    let folder = site.folder.path().to_owned();
    let running = tokio::spawn(async move { run(&plan).await });
    wait_until("the page asks for its picture", || site.requests().iter().any(|head| head.contains("/never ")));
    assert!(!browsers(&folder).is_empty());
    running.abort();
    wait_until("all processes of the browser are gone", || browsers(&folder).is_empty());
    wait_until("its profile is gone", || site.profiles().is_empty());
}

#[tokio::test]
async fn a_run_whose_time_is_over_says_so_of_what_it_did_not_see() {
    let site = Site::plain().await;
    let mut plan = site.plan(vec![site.page("/never-loads"), site.page("/")]);
    plan.deadline = Duration::from_secs(6);
    let report = run(&plan).await.unwrap();
    assert_eq!(report.pages[0].verdict, Verdict::Fails);
    assert_eq!(report.pages[1].verdict, Verdict::Unproven);
    assert_eq!(
        report.pages[1].complaints[0].to_string(),
        "was not looked at to its end: the 6 s for all pages were over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_process_dies_is_told_and_the_next_one_is_looked_at() {
    let site = Site::plain().await;
    let plan = site.plan(vec![site.page("/never-loads"), site.page("/")]);
    let folder = site.folder.path().to_owned();
    let running = tokio::spawn(async move { run(&plan).await });
    wait_until("the page asks for its picture", || site.requests().iter().any(|head| head.contains("/never ")));
    for pid in browsers(&folder).into_iter().filter(|pid| table::command_line(*pid).contains("--type=renderer")) {
        Process::open(pid).unwrap().signal(Signal::KILL).unwrap();
    }
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.pages[0].complaints[0].to_string(), "made the browser's process of it crash");
    assert_eq!(report.pages[1].verdict, Verdict::Holds, "{report:?}");
}

#[tokio::test]
async fn a_profile_that_a_killed_run_left_is_swept_and_one_of_a_living_run_is_not() {
    let site = Site::plain().await;
    let left = site.folder.path().join("roadbed-browser-999999999-0");
    let lives = site.folder.path().join("roadbed-browser-1-0");
    for folder in [&left, &lives] {
        files::create_dir(folder, Access::Owner).unwrap();
    }
    run(&site.plan(vec![site.page("/")])).await.unwrap();
    assert_eq!(site.profiles(), [lives]);
}
