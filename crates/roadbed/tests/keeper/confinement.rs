//! Units that are kept to their own business, and try not to be. Where this machine does not allow it, that it is told is what
//! is seen.

#![allow(clippy::disallowed_methods, reason = "a test breaks things from outside")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use host::confine::{Change, Confine, Manner, Show, User, View, group, ownership};
use host::process::{self, Process, Spawn, table};
use reconcile::Root;
use reconcile::ports::{Confined, Confinement, Limits, Safeguard, UnitSpec, UnitState, Units};
use roadbed::keeper::client::KeeperClient;

use crate::environment::{Environment, LIVE, app, eventually, program};

/// A unit with folders of its own, and a release beside the root.
fn confined(environment: &Environment, name: &str, script: &str) -> UnitSpec {
    let root = &environment.root;
    let release = root.path().with_file_name("release");
    for folder in [&release, &root.data(name), &root.conf().join(name), &root.secrets()] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(release.join("code"), "the code").unwrap();
    fs::write(root.conf().join(name).join("key"), "the key").unwrap();
    fs::write(root.secret_store(), "the secrets").unwrap();
    UnitSpec {
        confinement: Some(Confinement {
            release: vec![release.clone()],
            configuration: vec![root.conf().join(name)],
            data: vec![root.data(name)],
            require: Vec::new(),
        }),
        cwd: release,
        ..app(name, script)
    }
}

async fn missing(environment: &Environment) -> BTreeSet<Safeguard> {
    environment.client.health().await.unwrap().missing.into_keys().collect()
}

async fn seen(environment: &Environment, unit: &str) -> Confined {
    eventually("something is observed", async || environment.client.confined().await.ok()?.remove(unit)).await
}

async fn said(environment: &Environment, unit: &str, last: &str) -> Vec<String> {
    eventually(&format!("{unit} says {last:?}"), async || {
        let lines = environment.client.tail(unit, 1000).await.ok()?;
        lines.iter().any(|line| line.contains(last)).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn a_unit_gets_to_what_is_its_own_and_to_nothing_else() {
    let environment = Environment::start().await;
    let missing = missing(&environment).await;
    environment.client.ensure(confined(&environment, "other", LIVE)).await.unwrap();
    let other = environment.running_again("other", None).await;
    let root = environment.root.path().display();
    let script = format!(
        r#"try() {{ if "$@" >/dev/null 2>&1; then echo "may $*"; else echo "must not $*"; fi; }}
        echo "user $(id -u)"; try cat code; try cat '{root}/conf/api-1/key'; try touch '{root}/data/api-1/new'
        try touch "$TMPDIR/new"; try touch code; try touch new; try touch '{root}/conf/api-1/key2'
        try cat '{root}/secrets/store.db'; try ls '{root}/data/other'; try ls '{root}'; try cat /proc/{other}/environ
        try ls /proc/{other}/root/; try kill -0 {other}; try cat /etc/shadow; echo over; {LIVE}"#
    );
    environment.client.ensure(confined(&environment, "api-1", &script)).await.unwrap();
    let pid = environment.running_again("api-1", None).await;
    let lines = said(&environment, "api-1", "over").await;
    let seen = seen(&environment, "api-1").await;
    if missing.contains(&Safeguard::OwnUser) {
        assert!(!seen.user.in_force && seen.user.detail.contains("root"), "{seen:?}");
        return;
    }
    let user = table::credentials(pid).unwrap().users[0];
    assert!(lines.contains(&format!("user {user}")) && user != 0, "{lines:?}");
    assert_ne!(table::credentials(other).unwrap().users[0], user);
    let (may, must_not): (Vec<_>, Vec<_>) =
        lines.iter().filter(|line| line.contains(' ')).skip(1).partition(|line| line.starts_with("may "));
    assert_eq!((may.len(), must_not.len()), (4, 10), "{lines:#?}");
    assert!(may[..3].iter().zip(["code", "key", "new"]).all(|(line, end)| line.trim_end_matches('\'').ends_with(end)));
    assert!(seen.user.in_force && seen.no_new_privs.in_force && seen.limits.in_force, "{seen:?}");
    assert!(seen.read_only_release.in_force, "{seen:?}");
    if !missing.contains(&Safeguard::PrivateTmp) {
        assert!(seen.private_tmp.in_force, "{seen:?}");
        assert_eq!(table::environment(pid)["TMPDIR"], "/tmp");
        assert!(environment.root.tmp_of("api-1").join("new").exists());
    }
    // The root is as closed as ever.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(environment.root.path()), 0o700);

    environment.client.restart("api-1").await.unwrap();
    environment.running_again("api-1", Some(pid)).await;
    let again = said(&environment, "api-1", "over").await;
    assert!(again.contains(&format!("user {user}")), "the same user, as long as the root lasts");
}

#[tokio::test]
async fn who_takes_more_than_its_share_is_stopped_and_that_is_told() {
    let environment = Environment::start().await;
    let greedy = "sleep 0.3; exec dd if=/dev/zero of=/dev/null bs=300M count=1";
    let mut spec = confined(&environment, "api-1", greedy);
    spec.limits = Limits { memory: Some(64 << 20), processes: Some(20), cpu: Some(500), ..Limits::default() };
    spec.restart.first_delay = std::time::Duration::from_secs(30);
    environment.client.ensure(spec).await.unwrap();
    if missing(&environment).await.contains(&Safeguard::Cgroup) {
        let seen = seen(&environment, "api-1").await;
        assert!(!seen.cgroup.in_force && !seen.cgroup.detail.is_empty(), "{seen:?}");
        return;
    }
    let seen = seen(&environment, "api-1").await;
    assert!(seen.cgroup.in_force, "{seen:?}");
    assert!(seen.cgroup.detail.contains("of 64 MiB") && seen.cgroup.detail.contains("of 20"), "{seen:?}");
    assert!(seen.cgroup.detail.ends_with("cpu 0.500"), "{seen:?}");
    let dead = environment.in_state("api-1", UnitState::Backoff).await;
    assert_eq!(dead.last_exit.as_deref(), Some("killed: over its memory limit of 64 MiB"));

    let many = "i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo all; wait";
    let mut spec = confined(&environment, "api-2", many);
    spec.limits = Limits { processes: Some(20), ..Limits::default() };
    environment.client.ensure(spec).await.unwrap();
    let lines = said(&environment, "api-2", "ork").await;
    assert!(!lines.contains(&"all".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn groups_go_with_their_units_also_after_a_keeper_that_was_killed() {
    let environment = Environment::start().await;
    if missing(&environment).await.contains(&Safeguard::Cgroup) {
        return;
    }
    for name in ["api-1", "api-2"] {
        environment.client.ensure(confined(&environment, name, LIVE)).await.unwrap();
    }
    let pids = [environment.running_again("api-1", None).await, environment.running_again("api-2", None).await];
    let groups: Vec<Vec<PathBuf>> = ["api-1", "api-2"].map(|unit| groups_of(&environment, unit)).to_vec();
    assert!(groups.iter().flatten().count() >= 2 && groups.iter().flatten().all(|folder| folder.exists()));
    environment.kill_keeper().await;
    host::drill::kill(pids[0]).unwrap();
    environment.launch().await;
    assert!(groups[1].iter().all(|folder| folder.exists()), "that of a unit that lives on stays");
    assert!(seen(&environment, "api-2").await.cgroup.in_force, "and is known to the next keeper");
    eventually("the group of the dead unit is gone", async || {
        groups[0].iter().all(|folder| !folder.exists()).then_some(())
    })
    .await;
    environment.client.shutdown().await.unwrap();
    for folder in groups.iter().flatten() {
        assert!(!folder.exists() && !folder.parent().unwrap().exists(), "{}", folder.display());
    }
    assert!(!group::places().is_empty());
}

fn groups_of(environment: &Environment, unit: &str) -> Vec<PathBuf> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(environment.record(unit)).unwrap()).unwrap();
    let groups = record["process"]["groups"].as_array().unwrap();
    groups.iter().map(|folder| folder.as_str().unwrap().into()).collect()
}

/// A keeper that is not root: nothing is in force that it cannot do, it says so, and what requires it does not start.
#[tokio::test]
async fn a_keeper_that_is_nobody_says_what_it_cannot_do() {
    if !host::own::is_root() {
        // Then every other test here sees just that.
        return;
    }
    let nobody = User(1_900_000_099);
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = Root::new(folder.path().join("root"));
    let copy = folder.path().join("roadbed");
    fs::create_dir(root.path()).unwrap();
    ownership::give(root.path(), nobody, ownership::Gift::Whole).unwrap();
    // Wherever the program lies, there it is seen.
    let view =
        View(vec![Change::Show(Show { what: program().to_owned(), at: copy.clone(), manner: Manner::ReadOnly })]);
    let confine = Confine { user: nobody, view: Some(view) };
    let output = || std::fs::File::create("/dev/null").unwrap().into();
    let spawn = Spawn {
        program: &copy,
        args: &["keeper".to_owned(), "--root".to_owned(), root.path().display().to_string()],
        cwd: root.path(),
        env: &[("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        stdout: output(),
        stderr: output(),
        inherited: &[],
        limits: process::Limits::default(),
        confine: Some(&confine),
    };
    let keeper = process::spawn(spawn, &mut |_| Ok(())).unwrap();
    let _keeper = Killed(keeper);
    let client = KeeperClient::new(root.clone());
    let health = eventually("it answers", async || client.health().await.ok()).await;
    let missing: Vec<_> = health.missing.keys().copied().collect();
    for safeguard in [Safeguard::OwnUser, Safeguard::PrivateTmp, Safeguard::ReadOnlyRelease] {
        assert!(missing.contains(&safeguard), "{:?}", health.missing);
    }
    let mut spec = app("api-1", LIVE);
    spec.confinement = Some(Confinement { release: vec!["/usr/bin".into()], ..Confinement::default() });
    client.ensure(spec).await.unwrap();
    let mut confined = eventually("it is observed", async || client.confined().await.ok()).await;
    let seen = confined.remove("api-1").unwrap();
    assert!(!seen.user.in_force && seen.user.detail.contains("only a keeper that is root"), "{seen:?}");
    assert!(seen.no_new_privs.in_force && !seen.private_tmp.in_force, "{seen:?}");
    // It cannot write there all the same, and that is what is observed.
    assert!(seen.read_only_release.in_force, "{seen:?}");

    let mut demanding = app("api-2", LIVE);
    demanding.confinement = Some(Confinement { require: vec![Safeguard::OwnUser], ..Confinement::default() });
    let refused = client.ensure(demanding).await.unwrap_err();
    assert!(refused.causes[0].contains("requires own-user"), "{refused:?}");
    client.shutdown().await.unwrap();
}

struct Killed(Process);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.signal_group(process::Signal::KILL);
        self.0.wait_blocking();
    }
}
