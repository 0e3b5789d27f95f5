//! What must not be written down.

use std::path::Path;

use host::files;
use host::process::table;
use reconcile::ports::{UnitKind, Units};

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
