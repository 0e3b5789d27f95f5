//! The power goes while an environment begins anew on an empty machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use host::clock::{Clock, SystemClock};
use testkit::power::{Disk, any_moment};
use testkit::processes_of;

use crate::stage;
use crate::vault::{LONG, Vault};

const LETTERS: [&str; 2] = ["2026/1.txt", "2026/2.txt"];

/// When the power goes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While the root is prepared.
    Prepared,
    /// As soon as the root has its name.
    Named,
    /// While it comes up, and MongoDB is filled.
    Filled,
    /// Right after the command has said that all is back.
    Said,
}

#[test]
fn without_power_at_any_moment_of_a_restore_the_same_command_brings_everything_back() {
    let _seat = stage::enter_with_several();
    let vault = Vault::new();
    let environment = &vault.environment;
    environment.up_with(&["--no-gate"]).expect(0);
    let before = vault.work(&["fill", "later"]);
    LETTERS.iter().for_each(|key| vault.write_letter(key, key));
    // What was written until now is long in telemetry when it is read, and in the backup.
    let until = SystemClock.now().to_string();
    vault.deploys("the release that ran");
    let mut lines = String::new();
    testkit::wait_until("telemetry has lines", LONG, || {
        lines = vault.lines_until(&until);
        if lines.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });
    let _ = environment.roadbed_within(LONG, &["backup", "now"]).expect(0);
    // What is brought to the empty machine is not on its disk.
    let brought = tempfile::tempdir().unwrap();
    let (key, operator) = (brought.path().join("recovery-key"), brought.path().join("operator-key"));
    fs::write(&key, environment.roadbed(&["backup", "recovery-key"]).expect(0).stdout).unwrap();
    fs::copy(Path::new(&environment.variables()["XDG_CONFIG_HOME"]).join("roadbed/identity"), &operator).unwrap();
    let place = vault.place().display().to_string();
    let args = ["restore", "--from", &place, "--identity", operator.to_str().unwrap()];
    let text = fs::read_to_string(&key).unwrap();
    vault.lose(["XDG_STATE_HOME", "XDG_CONFIG_HOME"]);

    for moment in [Moment::Prepared, Moment::Named, Moment::Filled, Moment::Said] {
        eprintln!("the power goes: {moment:?}");
        // An empty machine: its root, its registry of roots and its keys lie below this folder.
        let disk = Disk::over(environment.scratch(), 1024);
        let mut restoring = vault.begin(&args, &key);
        let running = restoring.id();
        let is_there = |file: &str| environment.scratch().join(file).exists();
        let deadline = Instant::now() + LONG;
        loop {
            let ended = restoring.try_wait().unwrap();
            let is_now = match moment {
                Moment::Prepared => is_there("root.restoring/secrets/store.db"),
                Moment::Named | Moment::Filled => is_there("root/state/restoring.json"),
                Moment::Said => ended.is_some(),
            };
            if is_now {
                break;
            }
            assert!(ended.is_none(), "{moment:?}: it ended with {ended:?}");
            assert!(Instant::now() < deadline, "{moment:?} does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Moment::Filled = moment {
            std::thread::sleep(any_moment(4_000));
        }
        disk.lose_power(|| {
            let units = processes_of(environment.root()).into_iter().map(|(pid, _)| pid);
            let itself = restoring_is_there(running).then_some(running);
            units.chain(itself).collect()
        });
        let _ = restoring.wait();

        // All may have been back, and only the gate was still looking.
        let is_over = is_there("root/environment.json") && !is_there("root/state/restoring.json");
        assert!(is_over || !matches!(moment, Moment::Said));
        if is_over {
            environment.up_with(&["--no-gate"]).expect(0);
        } else {
            // Its exit code is the gate's, which sees more than what came back.
            let ran = environment.roadbed_with(LONG, &args, &text);
            assert!(ran.stdout.contains("MongoDB as it was at"), "{moment:?}: {}{}", ran.stdout, ran.stderr);
        }
        let after = vault.work(&[]);
        for part in ["secret", "collections", "keys"] {
            assert_eq!(before[part], after[part], "{moment:?}");
        }
        LETTERS.iter().for_each(|key| assert_eq!(vault.letter(key), *key, "{moment:?}"));
        assert_eq!(vault.says(), "the release that ran", "{moment:?}");
        assert_eq!(vault.lines_until(&until), lines, "{moment:?}");
        environment.down().expect(0);
    }
}

/// Whether that process is more than a note for its parent.
fn restoring_is_there(pid: u32) -> bool {
    host::process::table::entry(pid).is_some_and(|entry| !entry.is_dead())
}
