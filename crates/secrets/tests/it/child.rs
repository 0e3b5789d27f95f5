//! This program again, as another process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::bench::{seat, service, set, value};
use secrets::Store;

/// Says where the child finds the bench of its parent.
const FOLDER: &str = "ROADBED_TEST_SECRETS_FOLDER";
/// And which writer it is.
const WRITER: &str = "ROADBED_TEST_SECRETS_WRITER";

/// Starts `test` of this file in another process.
pub(crate) fn start(test: &str, folder: &Path, writer: &str) -> Child {
    command(test, folder, writer).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

pub(crate) fn command(test: &str, folder: &Path, writer: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "--nocapture", &format!("child::{test}")])
        .env(FOLDER, folder)
        .env(WRITER, writer);
    command
}

fn told() -> Option<(PathBuf, String)> {
    Some((std::env::var_os(FOLDER)?.into(), std::env::var(WRITER).ok()?))
}

/// A line that the parent reads: the test program's own lines do not begin so.
fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nSAID {what}").unwrap();
    out.flush().unwrap();
}

/// What a child has said, as it says it.
pub(crate) fn said(child: &mut Child) -> impl Iterator<Item = String> {
    use std::io::BufRead;
    let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("SAID ").map(str::to_owned))
}

#[test]
#[ignore = "is run as another process"]
fn writes_without_end() {
    let Some((folder, writer)) = told() else { return };
    let store = Store::new(seat(&folder));
    for round in 0_u32.. {
        let written = set(&store, &writer, &format!("value of {writer}, round {round}")).unwrap();
        say(&written.to_string());
        if round % 3 == 2 {
            store.rekey().unwrap();
        }
    }
}

#[test]
#[ignore = "is run as another process"]
fn writes_ten_values() {
    let Some((folder, writer)) = told() else { return };
    let store = Store::new(seat(&folder));
    let shared =
        store.get_or_generate(&secrets::SecretName::new("shared"), manifest::environment::Class::Secret).unwrap();
    say(shared.secret.expose());
    for number in 0..10 {
        set(&store, &format!("{writer}/{number}"), &format!("value of {writer}, number {number}")).unwrap();
        if number == 5 && writer == "0" {
            store.rekey().unwrap();
        }
    }
}

#[test]
#[ignore = "is run as another process"]
fn reads_on_a_full_disk() {
    let Some((folder, _)) = told() else { return };
    let [person, control] = [Store::new(seat(&folder)), Store::new(service(seat(&folder)))];
    for of in ["a", "b", "c"] {
        set(&person, of, &format!("the value of {of}")).unwrap();
    }
    value(&control, "a").unwrap();
    let reserve = folder.join("root/reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 16 << 20);
    fill(&folder, "ballast");
    // People wait, whatever they want.
    for refused in [value(&person, "a").map(drop), set(&person, "a", "another value").map(drop)] {
        assert!(matches!(refused, Err(secrets::StoreFault::DiskFull)), "{refused:?}");
    }
    assert!(reserve.exists(), "the reserve is not for people");
    // A service goes on, and what it reads is noted.
    for of in ["a", "b"] {
        assert_eq!(value(&control, of).unwrap().unwrap(), format!("the value of {of}"));
    }
    assert!(!reserve.exists());
    let noted = control.audit().unwrap().iter().filter(|row| row.action == "read" && row.name == "b").count();
    assert_eq!(noted, 1);
    // Once the reserve is used up as well, what was noted is still given out, and nothing unnoted is.
    fill(&folder, "more");
    assert_eq!(value(&control, "b").unwrap().unwrap(), "the value of b");
    assert!(matches!(value(&control, "c"), Err(secrets::StoreFault::DiskFull)));
    for ballast in ["ballast", "more"] {
        std::fs::remove_file(folder.join(ballast)).unwrap();
    }
    assert_eq!(value(&control, "c").unwrap().unwrap(), "the value of c");
    assert!(reserve.exists(), "with room again there is a reserve again");
    assert_eq!(value(&person, "a").unwrap().unwrap(), "the value of a");
    let findings = person.verify().unwrap().findings;
    assert!(findings.is_empty(), "{findings:?}");
    say("done");
}

fn fill(folder: &Path, name: &str) {
    let mut ballast = std::fs::File::create(folder.join(name)).unwrap();
    for size in [1 << 20, 1 << 16, 1 << 12, 1] {
        let bytes = vec![0; size];
        while ballast.write_all(&bytes).is_ok() {}
    }
}
