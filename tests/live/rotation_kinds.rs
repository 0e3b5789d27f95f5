//! Rotations that others take part in: a provider that lets two values in, one that signs, and an environment that rotates by itself.
//!
//! The provider is a folder: a file in `live` for each key that it lets in. The commands of the manifest make and remove them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use host::process::{Process, Signal};
use secrets::{SecretName, VersionState};
use tempfile::TempDir;
use testkit::{Client, Environment, wait_until};

use crate::stage;

const MANIFEST: &str = r#"
[product]
name = "turn"

[owners.team]
description = "All"
contact = "team@turn.example"

[environments.local]
domain = "turn.localhost"

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }

[variables.SESSION_SECRET]
description = "Signs cookies"
apps = ["api"]
class = "auth"
owner = "team"
source = "generated"
rotate = { kind = "keyring", overlap = "1s" }
example = "example-only-not-a-session-secret"

[variables.PROVIDER_KEY]
description = "Opens the provider"
apps = ["api"]
class = "secret"
owner = "team"
source = "store"
rotate = { kind = "provider-dual", overlap = "2s", create = ["sh", "provider.sh", "create"], revoke = ["sh", "provider.sh", "revoke"] }
example = "example-only-not-a-key"

[variables.HOOK_SECRET]
description = "Verifies what the provider sends"
apps = ["api"]
class = "secret"
owner = "team"
source = "store"
rotate = { kind = "webhook-list", overlap = "2s", create = ["sh", "provider.sh", "sign"] }
example = "example-only-not-a-key"
"#;

/// Shows what it was given: this shop has no secrets that are any.
const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => {
  const told = { "/key": process.env.PROVIDER_KEY, "/hook": process.env.HOOK_SECRET };
  response.end(told[request.url] ?? "well");
}).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

/// `create` makes one key per version, however often it is asked; a file `kill-VERB` names the process that is to die after its work.
const PROVIDER: &str = r#"
set -e
mkdir -p provider/live provider/made
die() { if [ -e "provider/kill-$1" ]; then pid=$(cat "provider/kill-$1"); rm "provider/kill-$1"; kill -9 "$pid"; fi; }
case $1 in
  create)
    made=provider/made/$ROADBED_VERSION
    [ -e "$made" ] || { key=key-of-the-provider-$ROADBED_VERSION-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n'); touch "provider/live/$key"; echo "$key" > "$made"; }
    touch provider/asked
    while [ -e provider/hold ]; do sleep 0.05; done
    die create
    cat "$made" ;;
  sign) echo "signature-of-version-$ROADBED_VERSION-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')" ;;
  revoke)
    rm -f "provider/live/$ROADBED_VALUE"
    die revoke ;;
esac
"#;

const FIRST_KEY: &str = "key-of-the-provider-1-first";

struct Shop {
    environment: Environment,
    _project: TempDir,
}

impl Shop {
    fn new(manifest: &str) -> Self {
        let project = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("roadbed.toml", manifest),
            ("apps/api/src/server.mjs", SERVER),
            ("provider.sh", PROVIDER),
            (&format!("provider/live/{FIRST_KEY}"), ""),
            ("package.json", r#"{"name":"turn","version":"1.0.0"}"#),
            (
                "package-lock.json",
                r#"{"name":"turn","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"turn","version":"1.0.0"}}}"#,
            ),
        ] {
            let path = project.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let environment = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
        let shop = Self { environment, _project: project };
        shop.set("PROVIDER_KEY", FIRST_KEY);
        shop.set("HOOK_SECRET", "signature-of-version-1-first");
        shop.environment.up_with(&["--no-gate"]);
        shop
    }

    fn set(&self, name: &str, value: &str) {
        let _ = self.environment.roadbed_with(Duration::from_secs(60), &["secrets", "set", name], value).expect(0);
    }

    fn states(&self, name: &str) -> Vec<(u32, VersionState)> {
        let rows = stage::store_of(&self.environment).versions().unwrap();
        let name = SecretName::variable(name);
        let let_in = rows.into_iter().filter(|row| row.name == name.as_str() && row.state <= VersionState::Previous);
        let mut states: Vec<_> = let_in.map(|row| (row.version, row.state)).collect();
        states.sort_by_key(|(_, state)| *state);
        states
    }

    /// One version is let in, and it is this one.
    #[track_caller]
    fn comes_to_rest(&self, name: &str, version: u32) {
        wait_until(&format!("version {version} of {name} is alone"), Duration::from_secs(90), || {
            let states = self.states(name);
            if states == [(version, VersionState::Current)] { Ok(()) } else { Err(format!("{states:?}")) }
        });
    }

    #[track_caller]
    fn has(&self, name: &str, state: VersionState) {
        wait_until(&format!("{name} has a version that is {state:?}"), Duration::from_secs(60), || {
            let states = self.states(name);
            if states.iter().any(|(_, seen)| *seen == state) { Ok(()) } else { Err(format!("{states:?}")) }
        });
    }

    fn live(&self) -> BTreeSet<String> {
        let files = fs::read_dir(self.environment.project().join("provider/live")).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn provider(&self, name: &str) -> std::path::PathBuf {
        self.environment.project().join("provider").join(name)
    }

    fn begin(&self, name: &str) -> Child {
        let mut line = Command::new(self.environment.program());
        line.args(["secrets", "rotate", name, "--root", &self.environment.root().display().to_string()]);
        line.current_dir(self.environment.project()).env_clear().envs(self.environment.variables());
        line.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        line.spawn().unwrap()
    }

    fn rotate(&self, name: &str) -> testkit::Ran {
        self.environment.roadbed_within(Duration::from_secs(120), &["secrets", "rotate", name])
    }

    fn shown(&self, client: &Client, path: &str) -> Result<String, String> {
        let answer = client.get(&format!("{}{path}", self.environment.url("api")))?;
        if answer.status == 200 { Ok(answer.body) } else { Err(format!("{}: {}", answer.status, answer.body)) }
    }
}

#[test]
fn a_provider_lets_every_key_in_that_a_process_holds_whoever_is_killed() {
    let _stage = stage::enter();
    let shop = Shop::new(MANIFEST);
    let (client, url) = (shop.environment.client(), format!("{}/key", shop.environment.url("api")));
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused: Vec<String> = thread::scope(|scope| {
        // An app that asks its provider all the time, with whatever it was given.
        let visitor = scope.spawn(|| {
            let mut refused = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let before = shop.live();
                match client.get(&url) {
                    Ok(answer)
                        if answer.status == 200
                            && (before.contains(&answer.body) || shop.live().contains(&answer.body)) => {}
                    told => refused.push(format!("{told:?}")),
                }
                asked.fetch_add(1, Ordering::Relaxed);
            }
            refused
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert_eq!(shop.rotate("PROVIDER_KEY").code, 0);
            shop.comes_to_rest("PROVIDER_KEY", 2);
            killed_at_each_step(&shop);
        }));
        over.store(true, Ordering::Relaxed);
        let refused = visitor.join().unwrap();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        refused
    });
    assert_eq!(refused, Vec::<String>::new(), "of {} requests", asked.load(Ordering::Relaxed));
    assert!(asked.load(Ordering::Relaxed) > 100);
    let live = shop.live();
    assert_eq!(live.len(), 1, "what was made and not used is no key: {live:?}");
    assert_eq!(live.first(), shop.shown(&client, "/key").ok().as_ref());
}

fn killed_at_each_step(shop: &Shop) {
    let kill_in = |verb: &str| {
        fs::write(shop.provider(&format!("kill-{verb}")), shop.environment.pid_of("control").to_string()).unwrap();
    };
    let is_killed = |verb: &str| {
        wait_until(&format!("control dies in `{verb}`"), Duration::from_secs(60), || {
            if shop.provider(&format!("kill-{verb}")).exists() { Err("it lives".to_owned()) } else { Ok(()) }
        });
    };
    // While the provider makes the value: nothing has begun, and the next one to ask gets the very key.
    kill_in("create");
    let _ = shop.rotate("PROVIDER_KEY");
    is_killed("create");
    assert_eq!(shop.states("PROVIDER_KEY"), [(2, VersionState::Current)]);
    shop.environment.pid_of("control");
    let _ = shop.rotate("PROVIDER_KEY");
    shop.comes_to_rest("PROVIDER_KEY", 3);
    // When it is staged, and when it is handed out.
    for (version, state) in [(4, VersionState::Pending), (5, VersionState::Previous)] {
        let mut rotating = shop.begin("PROVIDER_KEY");
        shop.has("PROVIDER_KEY", state);
        shop.environment.kill9("control");
        rotating.wait().unwrap();
        shop.comes_to_rest("PROVIDER_KEY", version);
    }
    // When the provider has forgotten the value of before, and the store does not know it yet.
    kill_in("revoke");
    let _ = shop.rotate("PROVIDER_KEY");
    is_killed("revoke");
    shop.comes_to_rest("PROVIDER_KEY", 6);
}

#[test]
fn what_a_provider_signs_is_verified_with_every_value_that_holds() {
    let _stage = stage::enter();
    let shop = Shop::new(MANIFEST);
    let client = shop.environment.client();
    let first = shop.shown(&client, "/hook").unwrap();
    assert_eq!(first, "signature-of-version-1-first");
    let ran = shop.rotate("HOOK_SECRET").expect(0);
    assert!(ran.stderr.contains("version 2 is in use"), "{}", ran.stderr);
    let during = shop.shown(&client, "/hook").unwrap();
    let [new, old] = during.split(',').collect::<Vec<_>>().try_into().unwrap_or_else(|all| panic!("{all:?}"));
    assert!(new.starts_with("signature-of-version-2-") && old == first, "{during}");
    shop.comes_to_rest("HOOK_SECRET", 2);
    wait_until("the old value is verified no more", Duration::from_secs(30), || {
        match shop.shown(&client, "/hook")? {
            shown if shown == new => Ok(()),
            shown => Err(shown),
        }
    });
}

#[test]
fn who_leaves_a_rotation_changes_nothing_and_who_asks_again_follows_it() {
    let _stage = stage::enter();
    let shop = Shop::new(MANIFEST);
    fs::write(shop.provider("hold"), "").unwrap();
    let mut first = shop.begin("PROVIDER_KEY");
    wait_until("the provider is asked", Duration::from_secs(60), || {
        if shop.provider("asked").exists() { Ok(()) } else { Err("not yet".to_owned()) }
    });
    Process::open(first.id()).unwrap().signal(Signal::INT).unwrap();
    assert_eq!(first.wait().unwrap().signal(), Some(2), "Ctrl-C ends the command, and nothing else");

    let follower = shop.begin("PROVIDER_KEY");
    // It can only be told of what was begun by the first when it follows it, so the provider may go on once it does.
    let told = thread::scope(|scope| {
        let waiting = scope.spawn(move || follower.wait_with_output().unwrap());
        wait_until("the second command follows the first", Duration::from_secs(60), || {
            let log = shop.environment.log("control");
            if log.contains("following what is under way") { Ok(()) } else { Err(log) }
        });
        fs::remove_file(shop.provider("hold")).unwrap();
        waiting.join().unwrap()
    });
    let stderr = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("this is under way already; following it"), "{stderr}");
    assert!(stderr.contains("version 2 is in use"), "{stderr}");
    shop.comes_to_rest("PROVIDER_KEY", 2);
}

/// The password of a protected app changes, people are let in with both for a day, and old values go at last.
#[test]
fn old_values_are_not_kept_for_ever() {
    let _stage = stage::enter();
    let shop = Shop::new(MANIFEST);
    let session = SecretName::variable("SESSION_SECRET");

    // Twelve values were set by hand since the one that the process holds: control keeps that one, and the newest ten.
    let store = stage::store_of(&shop.environment);
    for number in 0..12 {
        let value = secrets::Secret::new(format!("set-by-hand-{number}"));
        store.set(&session, manifest::environment::Class::Auth, &value).unwrap();
    }
    shop.environment.kill9("control");
    let retired = || -> Vec<u32> {
        let rows = stage::store_of(&shop.environment).versions().unwrap().into_iter();
        let kept = rows.filter(|row| row.name == session.as_str() && row.state == VersionState::Retired);
        kept.map(|row| row.version).collect()
    };
    wait_until("control destroys what is old", Duration::from_secs(60), || match retired() {
        kept if kept.len() <= 11 => Ok(()),
        kept => Err(format!("{kept:?}")),
    });
    assert!(retired().ends_with(&[10, 11, 12]), "{:?}", retired());
}

#[test]
fn an_environment_rotates_by_itself_what_is_overdue_and_takes_nobody() {
    let _stage = stage::enter();
    let manifest = format!("{MANIFEST}\n[rotation]\nautomatic = true\nauth = \"5s\"\nsecret = \"3s\"\n");
    let shop = Shop::new(&manifest);
    wait_until("the keyring was rotated twice", Duration::from_secs(90), || {
        let states = shop.states("SESSION_SECRET");
        if states.iter().any(|(version, _)| *version >= 3) { Ok(()) } else { Err(format!("{states:?}")) }
    });
    // A provider is asked by people: that it is overdue is told.
    assert_eq!(shop.states("PROVIDER_KEY"), [(1, VersionState::Current)]);
    let status = shop.environment.status();
    let overdue: Vec<&str> =
        status["overdue"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(overdue.contains(&"PROVIDER_KEY") && overdue.contains(&"HOOK_SECRET"), "{status:#}");
    let gate = shop.environment.ready(&["nothing-is-overdue"]);
    assert_eq!(gate["holds"], false, "{gate:#}");
}
