//! Against real `ssh-keygen` and `ssh-agent`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::*;

struct Keys {
    folder: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "OpenSSH's own programs, as a person runs them")]
fn ran(program: &str, args: &[&str], input: &str, agent: Option<&Path>) -> String {
    use std::io::Write;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("SSH_AUTH_SOCK");
    command.envs(agent.map(|socket| ("SSH_AUTH_SOCK", socket)));
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Keys {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn make(&self, name: &str, kind: &str) -> (PathBuf, String) {
        let path = self.folder.path().join(name);
        let text = path.to_str().unwrap();
        ran("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", name, "-f", text], "", None);
        let public = host::files::read_string(&path.with_extension("pub")).unwrap().trim().to_owned();
        (path, public)
    }
}

fn sign(challenge: &Challenge, key: &Path, agent: Option<&Path>) -> Signed {
    let args = ["-Y", "sign", "-q", "-n", &challenge.namespace, "-f", key.to_str().unwrap()];
    Signed { nonce: challenge.nonce.clone(), signature: ran("ssh-keygen", &args, &challenge.message(), agent) }
}

fn desk() -> Desk {
    Desk::new("0190-root", "shop-host".to_owned())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000)
}

fn person(name: &str, keys: &[&str]) -> (PersonName, Vec<String>) {
    (PersonName::new(name).unwrap(), keys.iter().map(|key| (*key).to_owned()).collect())
}

#[test]
fn whoever_signs_with_a_key_of_the_manifest_is_known_for_a_quarter_of_an_hour() {
    let (keys, desk) = (Keys::new(), desk());
    let (annas, public) = keys.make("anna", "ed25519");
    let people = [person("bert", &[]), person("anna", &[&public])];
    let challenge = desk.challenge(at(0)).unwrap();
    let logged_in = desk.log_in(&sign(&challenge, &annas, None), &people, at(5)).unwrap();
    assert_eq!(logged_in.person.as_str(), "anna");
    assert!(!format!("{logged_in:?}").contains(&logged_in.token));
    assert_eq!(desk.bearer(&logged_in.token, at(5 + 14 * 60)).unwrap().as_str(), "anna");
    assert_eq!(desk.bearer("another", at(6)), None);
    assert_eq!(desk.bearer(&logged_in.token, at(5 + 15 * 60)), None);
    assert_eq!(desk.bearer(&logged_in.token, at(6)), None, "what is over stays so, whatever the clock says then");
}

/// Ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an agent as a person has one")]
fn an_agent_signs_without_its_key_on_disk() {
    let (keys, desk) = (Keys::new(), desk());
    let (annas, public) = keys.make("anna", "ed25519");
    let socket = keys.folder.path().join("agent");
    let agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn();
    let _agent = Agent(agent.unwrap());
    for _ in 0..1000 {
        if host::files::exists(&socket) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    ran("ssh-add", &["-q", annas.to_str().unwrap()], "", Some(&socket));
    host::files::remove(&annas).unwrap();
    let challenge = desk.challenge(at(0)).unwrap();
    let signed = sign(&challenge, &annas.with_extension("pub"), Some(&socket));
    assert_eq!(desk.log_in(&signed, &[person("anna", &[&public])], at(1)).unwrap().person.as_str(), "anna");
}

#[test]
fn who_is_not_known_or_signs_something_else_stays_out() {
    let (keys, desk) = (Keys::new(), desk());
    let (annas, public) = keys.make("anna", "ed25519");
    let (strangers, _) = keys.make("stranger", "ed25519");
    let (weak, weak_public) = keys.make("weak", "ecdsa");
    let people = [person("anna", &[&public, &weak_public])];
    let why = |signed: &Signed, now: i64| desk.log_in(signed, &people, at(now)).unwrap_err().causes.join("; ");
    let fresh = || desk.challenge(at(0)).unwrap();

    assert!(why(&sign(&fresh(), &strangers, None), 1).contains("nobody in the manifest"));
    assert!(why(&sign(&fresh(), &weak, None), 1).contains("use Ed25519"));
    let (one, other) = (fresh(), fresh());
    let swapped = Signed { nonce: one.nonce.clone(), ..sign(&other, &annas, None) };
    assert!(why(&swapped, 1).contains("does not fit"));
    assert!(why(&sign(&one, &annas, None), 1).contains("answered already"), "one try each");
    let elsewhere = Challenge { namespace: "roadbed-login@another".to_owned(), ..fresh() };
    assert!(why(&sign(&elsewhere, &annas, None), 1).contains("another environment"));
    let for_git = Challenge { namespace: "git".to_owned(), ..fresh() };
    assert!(why(&sign(&for_git, &annas, None), 1).contains("another purpose"));
    assert!(why(&sign(&fresh(), &annas, None), 61).contains("too old"));
    assert!(why(&Signed { nonce: fresh().nonce, signature: "nonsense".to_owned() }, 1).contains("no signature"));
    assert!(why(&Signed { nonce: "0".repeat(64), signature: String::new() }, 1).contains("never asked for"));
    let good = sign(&desk.challenge(at(70)).unwrap(), &annas, None);
    assert!(desk.log_in(&good, &people, at(71)).is_ok());
    assert!(why(&good, 72).contains("answered already"), "not twice");
}

#[test]
fn a_flood_of_logins_is_refused_and_passes() {
    let desk = desk();
    (0..MOST_CHALLENGES).for_each(|_| drop(desk.challenge(at(0)).unwrap()));
    assert!(desk.challenge(at(1)).is_err());
    assert!(desk.challenge(at(61)).is_ok());
}
