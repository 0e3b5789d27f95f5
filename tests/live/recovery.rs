//! What is lost comes back: a machine, by one command on an empty one that is killed in between; and a rehearsal that is overdue,
//! or that a probe fails, is seen by the gate.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::clock::{Clock, SystemClock};

use crate::stage;
use crate::vault::{LONG, MANIFEST, Vault};

#[test]
fn an_environment_begins_anew_on_an_empty_machine_with_all_that_it_had() {
    let _seat = stage::enter_with_several();
    let vault = Vault::new();
    let environment = &vault.environment;
    environment.up_with(&["--no-gate"]).expect(0);
    let _ = vault.work(&["fill"]);
    let letters = ["2026/1.txt", "2026", "2026/été/%2e.txt"];
    letters.iter().for_each(|key| vault.write_letter(key, key));
    let taken = environment.roadbed_within(LONG, &["backup", "now", "--json"]).expect(0).json();
    let shown = environment.roadbed(&["backup", "show", taken["snapshot"]["name"].as_str().unwrap()]).expect(0).stdout;
    assert!(shown.contains("bucket vault-local-letters: 3 objects"), "{shown}");

    let until = SystemClock.now().to_string();

    // Releases. That another one is live is worth a backup, which nobody asks for.
    vault.deploys("the release before");
    vault.deploys("the release that ran");
    vault.checks_out("what nobody deployed");
    assert_eq!(vault.says(), "the release that ran");
    testkit::wait_until("a backup that has the release", LONG, || {
        let list = environment.roadbed(&["backup", "list", "--json"]).expect(0).json();
        let newest = list["backups"].as_array().unwrap().last().unwrap()["name"].as_str().unwrap().to_owned();
        // A newer one of the same hour may take its place in between.
        let shown = environment.roadbed(&["backup", "show", &newest]).stdout;
        if shown.contains("release r2, live: api") && shown.contains("release r1: api") { Ok(()) } else { Err(shown) }
    });
    // What is no longer on the shelf is left out, and that is said; it does not keep data from being saved.
    let shelf = vault.on_the_shelf();
    let away: Vec<(PathBuf, PathBuf)> = shelf
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .map(|path| (path.clone(), path.with_extension("away")))
        .collect();
    away.iter().for_each(|(path, away)| fs::rename(path, away).unwrap());
    let said = environment.roadbed_within(LONG, &["backup", "now"]).expect(0).stdout;
    assert!(said.contains("LEFT OUT r2: the artifact of api is left out"), "{said}");
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(1).json();
    assert!(drilled["record"]["bad"].to_string().contains("r2 cannot be run"), "{drilled}");
    away.iter().for_each(|(path, away)| fs::rename(away, path).unwrap());

    // The machine is lost, some changes after the last backup.
    let lines = vault.lines_until(&until);
    assert!(!lines.is_empty());
    let said = environment.roadbed_within(LONG, &["backup", "now"]).expect(0).stdout;
    assert!(!said.contains("LEFT OUT"), "{said}");
    let history = vault.history();
    let before = vault.work(&["later"]);
    vault.until_changes_are_saved();
    // The first rehearsal was of a backup without an order, so the probe was not answered.
    let _ = environment.roadbed_within(LONG, &["drill"]).expect(0);
    let failing = vault.failing(&[]);
    let key = environment.scratch().join("recovery-key");
    fs::write(&key, environment.roadbed(&["backup", "recovery-key"]).expect(0).stdout).unwrap();
    let operator = environment.scratch().join("operator-key");
    fs::copy(Path::new(&environment.variables()["XDG_CONFIG_HOME"]).join("roadbed/identity"), &operator).unwrap();
    let place = vault.place().display().to_string();
    let args = ["restore", "--from", &place, "--identity", operator.to_str().unwrap()];
    let text = fs::read_to_string(&key).unwrap();
    // Not where something is.
    let refused = environment.roadbed_with(LONG, &args, &text).expect(1);
    assert!(refused.stderr.contains("there is an environment"), "{}", refused.stderr);
    vault.lose(["XDG_STATE_HOME", "XDG_CONFIG_HOME"]);
    assert!(!shelf.is_empty());
    shelf.iter().for_each(|path| fs::remove_file(path).unwrap());

    // Without a key that opens the secrets, and with a wrong recovery key: nothing is there after that.
    let _ = environment.roadbed_with(LONG, &args[..3], &text).expect(1);
    let _ = environment.roadbed_with(LONG, &args, "WRONG-KEY").expect(1);
    assert!(!environment.root().join("environment.json").exists());
    // Killed while its root is prepared, and when it has one.
    let prepared = environment.root().with_file_name("root.restoring/secrets/store.db");
    for place in [prepared, environment.root().join("state/restoring.json")] {
        let mut restoring = vault.begin(&args, &key);
        testkit::wait_until("the restore is under way", Duration::from_secs(60), || {
            if place.exists() { Ok(()) } else { Err(place.display().to_string()) }
        });
        restoring.kill().unwrap();
        restoring.wait().unwrap();
    }
    let restored = environment.roadbed_with(LONG, &args, &text);
    assert!(restored.stderr.contains("going on with the restore") || failing.is_empty(), "{}", restored.stderr);
    let after = vault.work(&[]);
    assert_eq!(before["secret"], after["secret"]);
    assert_eq!(before["collections"], after["collections"]);
    assert_eq!(before["keys"], after["keys"]);
    letters.iter().for_each(|key| assert_eq!(vault.letter(key), *key));
    assert_eq!(vault.lines_until(&until), lines, "what was written before the loss is found after it");
    // The release that ran, without a deployment by hand, and one can go back to the one before.
    assert_eq!(vault.says(), "the release that ran");
    assert_eq!(vault.history(), history);
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(0).json();
    assert!(drilled["record"]["good"].to_string().contains("1 buckets with"), "{drilled}");
    vault.until_backups_hold();
    assert_eq!(vault.failing(&[]), failing, "the gate sees what it saw before");
    let _ = environment.roadbed_within(LONG, &["rollback"]).expect(0);
    assert_eq!(vault.says(), "the release before");
    let _ = environment.roadbed_with(LONG, &args, &text).expect(1);
    environment.down().expect(0);
}

#[test]
fn a_probe_that_fails_and_a_rehearsal_that_is_overdue_are_seen() {
    const ROW: &str = "the-newest-backup-was-restored";
    let _seat = stage::enter_with_several();
    let vault = Vault::new();
    let environment = &vault.environment;
    environment.up_with(&["--no-gate"]).expect(0);
    let _ = vault.work(&["fill"]);
    let _ = environment.roadbed_within(LONG, &["backup", "now"]).expect(0);
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(0).json();
    assert!(drilled["record"]["good"].to_string().contains("3 newest orders readable"), "{drilled}");
    vault.until_backups_hold();
    let told = environment.roadbed(&["rpo"]).expect(0).stdout;
    assert!(told.contains("promised: 2 min") && told.contains("promised: 10 min"), "{told}");

    // A migration takes away what the probe looks for.
    let _ = vault.work(&["unpay"]);
    let _ = environment.roadbed_within(LONG, &["backup", "now"]).expect(0);
    let list = environment.roadbed(&["backup", "list"]).expect(0).stdout;
    assert!(list.lines().any(|line| line.ends_with("unproven")), "{list}");
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(1).json();
    assert!(drilled["record"]["bad"].to_string().contains("at least 3 are wanted"), "{drilled}");
    let told = environment.roadbed(&["rpo"]).expect(1).stdout;
    assert!(told.contains("BROKEN in the last rehearsal: 3 newest orders readable"), "{told}");
    assert_eq!(vault.failing(&["T13"]), [ROW]);
    let alerted = |is_open: bool| {
        let all = environment.roadbed(&["alerts", "--json"]).expect(0).json();
        let mut all = all["alerts"].as_array().unwrap().iter();
        let found = all.find(|alert| alert["subject"] == format!("promise/{ROW}")).cloned().unwrap_or_default();
        let right =
            if is_open { found["owner"] == "team" && found["resolved"].is_null() } else { found["resolved"].is_i64() };
        if right { Ok(()) } else { Err(found.to_string()) }
    };
    testkit::wait_until("somebody is told of the rehearsal", Duration::from_secs(30), || alerted(true));

    // Somebody keeps the repository for himself, so that neither a backup nor a rehearsal comes.
    let probe = MANIFEST.replace(r#"filter = "{ \"paid\": true }", "#, "");
    fs::write(environment.project().join("roadbed.toml"), &probe).unwrap();
    environment.up_with(&["--no-gate"]).expect(0);
    environment.roadbed_within(LONG, &["drill"]).expect(0);
    vault.until_backups_hold();
    testkit::wait_until("the alert is over", Duration::from_secs(30), || alerted(false));
    let lock = host::lock::try_lock(&vault.place().join("roadbed.lock"), "somebody").unwrap();
    assert!(matches!(lock, host::lock::Lock::Ours(_)));
    let often = probe.replace("changes = \"1s\"", "changes = \"1s\"\nevery = \"2s\"\ndrill = \"2s\"");
    fs::write(environment.project().join("roadbed.toml"), often).unwrap();
    environment.up_with(&["--no-gate"]).expect(0);
    testkit::wait_until("both are overdue", Duration::from_secs(60), || {
        let failing = vault.failing(&["T13"]);
        if failing == ["a-backup-is-young", ROW] { Ok(()) } else { Err(format!("{failing:?}")) }
    });
    testkit::wait_until("somebody is told that none comes", Duration::from_secs(30), || alerted(true));
    let list = environment.roadbed(&["backup", "list"]).expect(0).stdout;
    assert!(list.contains("the last attempt failed: another backup is being written"), "{list}");
    drop(lock);
    fs::write(environment.project().join("roadbed.toml"), &probe).unwrap();
    environment.up_with(&["--no-gate"]).expect(0);
    environment.roadbed_within(LONG, &["drill"]).expect(0);
    vault.until_backups_hold();
    environment.down().expect(0);
}
