//! The keys of a secret store as people handle them: what transcripts cannot show, since every key is another one.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{Answer, roadbed};

/// A project, and a user with a home.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifest = include_str!("sound.toml");
        for app in ["api", "web"] {
            std::fs::create_dir_all(folder.path().join("shop/apps").join(app)).unwrap();
        }
        std::fs::write(folder.path().join("shop/roadbed.toml"), manifest).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Answers of a user with this home.
    fn ask(&self, home: &str, words: &[&str], stdin: &str) -> Answer {
        let home = ("HOME".to_owned(), self.path(home).display().to_string());
        roadbed(words.iter().copied(), &self.path("shop"), &[home], stdin)
    }

    #[track_caller]
    fn done(&self, words: &[&str], stdin: &str) -> String {
        let answer = self.ask("home", words, stdin);
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.stdout
    }

    fn key(&self, name: &str) -> (PathBuf, String) {
        let path = self.path(name);
        let key = secrets::identity::PrivateKey::ensure(&path).unwrap();
        (path, key.public().unwrap().to_string())
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

const VALUE: &str = "pk_test_the_one_value";

#[test]
fn a_person_is_added_proved_and_removed_and_told_what_to_rotate() {
    let desk = Desk::new();
    desk.done(&["secrets", "set", "PAYMENT_KEY"], VALUE);
    let (path, key) = desk.key("bea.txt");
    let text = desk.done(&["secrets", "recipients", "add", "bea", &key], "");
    assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{text}");
    let proved = || {
        let all = json(&desk.done(&["secrets", "recipients", "list", "--json"], ""));
        let all = all.as_array().unwrap().clone();
        let bea = all.iter().find(|one| one["name"] == "bea").unwrap();
        (all.len(), !bea["proved"].is_null())
    };
    assert_eq!(proved(), (3, false));
    let wrong = desk.ask("home", &["secrets", "recipients", "prove", "bea"], "a guess");
    assert!(wrong.code == 1 && wrong.stderr.contains("is not what was sealed"), "{wrong:?}");
    let answer = secrets::identity::PrivateKey::read(&path).unwrap().unwrap();
    let answer = answer.unwrap(&secrets::identity::of_text(&text).unwrap()).unwrap();
    desk.done(&["secrets", "recipients", "prove", "bea"], std::str::from_utf8(&answer).unwrap());
    assert_eq!(proved(), (3, true));

    // With her key, and none of this user's: as after both laptops were lost.
    let identity = ["--identity", shown(&path), "--reason", "support case"];
    let words = [&["secrets", "get", "PAYMENT_KEY"], identity.as_slice()].concat();
    let locked = desk.ask("another", &["secrets", "get", "PAYMENT_KEY", "--reason", "x"], "");
    assert!(locked.code == 1 && locked.stderr.contains("none of the keys on this machine opens"), "{locked:?}");
    assert_eq!(desk.ask("another", &words, "").stdout.trim(), VALUE);
    let log = json(&desk.done(&["secrets", "audit", "--json"], ""));
    let hers = log.as_array().unwrap().iter().filter(|row| row["recipient"] == "bea").count();
    assert_eq!(hers, 1, "{log:#}");

    let removed = json(&desk.done(&["secrets", "recipients", "remove", "bea", "--json", "--reason", "left"], ""));
    assert_eq!(removed["rotate"], serde_json::json!([{"name": "var/PAYMENT_KEY", "version": 1}]));
    assert_eq!(desk.ask("another", &words, "").code, 1);
    desk.done(&["secrets", "audit", "verify"], "");
}

#[test]
fn whoever_is_here_with_the_private_key_is_proved_at_once() {
    let desk = Desk::new();
    desk.done(&["secrets", "set", "PAYMENT_KEY"], VALUE);
    let (path, key) = desk.key("bea.txt");
    let added =
        json(&desk.done(&["secrets", "recipients", "add", "bea", &key, "--identity", shown(&path), "--json"], ""));
    assert_eq!(added["proved"], true);
}

#[test]
fn two_of_three_break_glass_keys_open_the_store() {
    let desk = Desk::new();
    desk.done(&["secrets", "set", "PAYMENT_KEY"], VALUE);
    let keys = ["one.txt", "two.txt", "three.txt"].map(|name| desk.key(name));
    desk.done(&["secrets", "recipients", "break-glass", &keys[0].1, &keys[1].1, &keys[2].1], "");
    let get = |identities: &[&Path]| {
        let mut words = vec!["secrets", "get", "PAYMENT_KEY", "--reason", "drill"];
        identities.iter().for_each(|path| words.extend(["--identity", shown(path)]));
        desk.ask("another", &words, "")
    };
    assert_eq!(get(&[&keys[2].0, &keys[0].0]).stdout.trim(), VALUE);
    let alone = get(&[&keys[1].0]);
    assert!(alone.code == 1 && alone.stderr.contains("break-glass"), "{alone:?}");
}

#[test]
fn what_is_exported_opens_for_its_recipient_alone_and_comes_back() {
    let desk = Desk::new();
    desk.done(&["secrets", "set", "PAYMENT_KEY"], VALUE);
    let (path, key) = desk.key("backup.txt");
    let sealed = desk.done(&["secrets", "export", "--to", &key, "--reason", "backup"], "");
    assert!(!sealed.contains(VALUE));
    let opened = secrets::identity::PrivateKey::read(&path).unwrap().unwrap();
    let opened = opened.unwrap(&secrets::identity::of_text(&sealed).unwrap()).unwrap();
    assert_eq!(json(std::str::from_utf8(&opened).unwrap()), serde_json::json!({"PAYMENT_KEY": VALUE}));
    // Into another environment it does not go: one value, one environment.
    let refused =
        desk.ask("home", &["secrets", "import", "--env", "staging", "-"], std::str::from_utf8(&opened).unwrap());
    assert!(refused.code == 2 && refused.stderr.contains("local has it as var/PAYMENT_KEY"), "{refused:?}");
    let log = json(&desk.done(&["secrets", "audit", "--json"], ""));
    let exported = |row: &&Value| row["action"] == "exported" && row["reason"] == "backup";
    assert_eq!(log.as_array().unwrap().iter().filter(exported).count(), 1);
}

#[test]
fn a_log_that_was_changed_is_found() {
    let desk = Desk::new();
    desk.done(&["secrets", "set", "PAYMENT_KEY"], VALUE);
    let verified = desk.done(&["secrets", "audit", "verify"], "");
    assert!(verified.starts_with("the log is whole: "), "{verified}");
    std::fs::remove_file(desk.path("shop/.roadbed/state/audit-head.json")).unwrap();
    let answer = desk.ask("home", &["secrets", "audit", "verify"], "");
    assert!(answer.code == 1 && answer.stdout.contains("audit-head.json is missing"), "{answer:?}");
    // The other one still tells of an older copy.
    let file = desk.path("shop/.roadbed/secrets/store.db");
    let older = std::fs::read(&file).unwrap();
    desk.done(&["secrets", "set", "PAYMENT_KEY"], "pk_test_the_next_value");
    std::fs::write(&file, older).unwrap();
    let answer = desk.ask("home", &["secrets", "get", "PAYMENT_KEY", "--reason", "x"], "");
    assert!(answer.code == 1 && answer.stderr.contains("is older than what was last written to it"), "{answer:?}");
}

#[test]
fn a_value_that_is_no_text_is_refused() {
    let desk = Desk::new();
    let home = desk.path("home");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_roadbed"))
        .args(["secrets", "set", "PAYMENT_KEY"])
        .current_dir(desk.path("shop"))
        .env_clear()
        .env("HOME", home)
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"pk_test_\xff\xfe_and_more").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("is not UTF-8"), "{told}");
    let refused = desk.ask("home", &["secrets", "set", "PAYMENT_KEY"], "pk_test_with_\0_a_nul");
    assert!(refused.code == 2 && refused.stderr.contains("must not hold a NUL"), "{refused:?}");
}

#[test]
fn the_list_says_what_is_older_than_the_manifest_lets_it_be() {
    let desk = Desk::new();
    let manifest = desk.path("shop/roadbed.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let of_tests = "match = \"pk_test_[A-Za-z0-9_]+\"\n";
    assert!(text.contains(of_tests));
    let with = |every: &str| {
        let rotate = format!("{of_tests}rotate = {{ kind = \"manual\", every = \"{every}\" }}\n");
        std::fs::write(&manifest, text.replace(of_tests, &rotate)).unwrap();
    };
    with("30d");
    desk.done(&["secrets", "set", "PAYMENT_KEY"], VALUE);
    assert!(!desk.done(&["secrets", "list"], "").contains("OVERDUE"));
    with("1s");
    testkit::wait_until("it is a second old", std::time::Duration::from_secs(20), || {
        let all = json(&desk.done(&["secrets", "list", "--json"], ""));
        if all[0]["overdue_since"].is_null() { Err(all.to_string()) } else { Ok(()) }
    });
    let told = desk.done(&["secrets", "list"], "");
    assert!(told.contains("version 1, OVERDUE since 20"), "{told}");
}
