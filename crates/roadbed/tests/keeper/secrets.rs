//! What must not be written down.

use std::path::Path;

use host::files;
use host::process::table;
use reconcile::loaded::holders;
use reconcile::ports::{UnitKind, UnitState, Units};

use crate::environment::{Environment, LIVE, app, eventually};

const SECRET: &str = "MARK-9f31c2-do-not-write-this-down";

#[tokio::test]
async fn a_secret_in_the_environment_of_a_unit_is_in_no_file_and_no_command_line() {
    let environment = Environment::start().await;
    for (name, kind) in [("api-1", UnitKind::App), ("mongodb", UnitKind::Store)] {
        let mut spec = app(name, LIVE);
        spec.kind = kind;
        spec.env.insert("TOKEN".to_owned(), SECRET.to_owned());
        environment.client.ensure(spec).await.unwrap();
    }
    let mut failing = app("api-2", LIVE);
    failing.program = "/nowhere".into();
    failing.env.insert("TOKEN".to_owned(), SECRET.to_owned());
    let fault = environment.client.ensure(failing).await.unwrap_err();
    assert!(!format!("{fault:?}").contains(SECRET));
    environment.client.restart("api-1").await.unwrap();
    let pid = environment.running_again("api-1", None).await;
    assert_eq!(table::environment(pid)["TOKEN"], SECRET, "it arrived");

    let searched = search(environment.root.path(), SECRET.as_bytes());
    assert!(searched >= 4, "records and logs were there to be searched");
    environment.kill_keeper().await;
    environment.launch().await;
    search(environment.root.path(), SECRET.as_bytes());
    for (pid, line) in table::command_lines().unwrap() {
        assert!(!String::from_utf8_lossy(&line).contains(SECRET), "process {pid}");
    }
}

#[tokio::test]
async fn what_is_delivered_by_file_is_in_no_environment_and_read_again_after_a_restart() {
    let environment = Environment::start().await;
    let mut spec = app("api-1", "cat \"$TOKEN_FILE\" \"$TOKEN_FILE\" | tr a-z A-Z; echo; exec sleep 100000");
    spec.env.insert("TOKEN".to_owned(), SECRET.to_owned());
    spec.env.insert("PLAIN".to_owned(), "yes".to_owned());
    spec.in_files = vec!["TOKEN".to_owned()];
    environment.client.ensure(spec).await.unwrap();
    let arrived = format!("{0}{0}", SECRET.to_uppercase());
    let lines = async || environment.client.tail("api-1", 10).await.unwrap().join("\n");
    eventually("the file's text, twice", async || lines().await.contains(&arrived).then_some(())).await;

    environment.client.restart("api-1").await.unwrap();
    let pid = environment.running_again("api-1", None).await;
    eventually("the same again", async || (lines().await.matches(&arrived).count() == 2).then_some(())).await;
    let variables = table::environment(pid);
    assert_eq!(variables["PLAIN"], "yes");
    assert!(variables["TOKEN_FILE"].starts_with("/proc/self/fd/"), "{variables:?}");
    assert!(!variables.values().any(|value| value.contains(SECRET)), "{variables:?}");
    search(environment.root.path(), SECRET.as_bytes());
}

#[tokio::test]
async fn what_a_process_was_started_with_is_told_for_as_long_as_it_lives() {
    let environment = Environment::start().await;
    let with = |version: u32, script: &str| {
        let mut spec = app("api-1", script);
        spec.revision = version.to_string();
        spec.loaded = [("var/TOKEN".to_owned(), version)].into();
        spec
    };
    let held = async || holders(&environment.client.list().await.unwrap(), "var/TOKEN").by_version;
    let of = |version: u32| [(version, ["api-1".to_owned()].into())].into();
    // Takes its time to go, as an app that still answers somebody.
    let slow = "trap 'while [ ! -e go ]; do sleep 0.01; done; exit' TERM; touch ready; while :; do sleep 0.01; done";
    let mut first = with(1, slow);
    first.cwd = environment.root.path().to_owned();
    environment.client.ensure(first).await.unwrap();
    assert_eq!(held().await, of(1));
    eventually("it listens to signals", async || files::exists(&environment.root.path().join("ready")).then_some(()))
        .await;

    // The next keeper knows it too.
    environment.kill_keeper().await;
    environment.launch().await;
    assert_eq!(environment.status("api-1").await.unwrap().state, UnitState::Adopted);
    assert_eq!(held().await, of(1));

    let client = environment.client.clone();
    let replacing = tokio::spawn(async move { client.ensure(with(2, LIVE)).await });
    environment.in_state("api-1", UnitState::Stopping).await;
    assert_eq!(held().await, of(1), "the successor is specified, and the old process still lives");
    files::write_durable(&environment.root.path().join("go"), b"", files::Access::Owner).unwrap();
    replacing.await.unwrap().unwrap();
    assert_eq!(held().await, of(2));

    environment.client.hold("api-1").await.unwrap();
    assert_eq!(held().await, of(2), "who does not run is started with it again");
}

#[tokio::test]
async fn nobody_looks_into_the_keeper_and_no_crash_leaves_an_image() {
    use std::os::unix::fs::MetadataExt;
    let environment = Environment::start().await;
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let unit = environment.running_again("api-1", None).await;
    let keeper = environment.keeper_pid().await;
    for pid in [keeper, unit] {
        assert_eq!(table::limit(pid, "Max core file size").as_deref(), Some("1"), "process {pid}");
    }
    // The kernel gives the files of a process that is kept from others to root.
    let owner = |pid: u32| files::metadata(Path::new(&format!("/proc/{pid}/environ"))).unwrap().uid();
    assert_eq!(owner(keeper), 0);
    if !host::own::is_root() {
        assert_ne!(owner(unit), 0);
        assert!(files::read(Path::new(&format!("/proc/{keeper}/environ"))).is_err());
        assert!(table::open_file(keeper, 1).is_none());
    }
}

/// Reads every byte below a folder; returns how many files it read.
fn search(folder: &Path, secret: &[u8]) -> usize {
    let mut count = 0;
    for path in files::list(folder).unwrap() {
        if files::is_dir(&path) {
            count += search(&path, secret);
        } else if files::metadata(&path).unwrap().is_file() {
            let bytes = files::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
            count += 1;
        }
    }
    count
}

#[tokio::test]
async fn nobody_else_can_look_into_the_run_folder() {
    use std::os::unix::fs::PermissionsExt;
    let environment = Environment::start().await;
    environment.client.ensure(app("api-1", "echo hello; exec sleep 1000")).await.unwrap();
    let mode = |path: &Path| files::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(environment.root.path()), 0o700);
    assert_eq!(mode(&environment.root.run()), 0o700);
    assert_eq!(mode(&environment.record("api-1")), 0o600);
}
