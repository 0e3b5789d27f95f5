//! What is lent to developers' commands: users of their own on real servers, taken back whatever ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use host::process::terminal::Screen;
use host::process::{Process, Signal, find_in_path, table};
use secrets::{SecretName, VersionState};
use serde_json::Value;
use testkit::{Environment, wait_until};

use crate::stage;

const MANIFEST: &str = r#"
[product]
name = "lend"

[owners.team]
description = "All"
contact = "team@lend.example"

[environments.local]
domain = "lend.localhost"

[environments.production]
domain = "lend.example"

[services.mongodb]

[services.redis]

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb", "redis"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }

[variables.MONGODB_URL]
description = "MongoDB"
apps = ["api"]
type = "mongo_url"
class = "secret"
owner = "team"
value = "${service.mongodb.url}"
example = "mongodb://api:example@127.0.0.1:27017/lend_local"

[variables.REDIS_URL]
description = "Redis"
apps = ["api"]
type = "redis_url"
class = "secret"
owner = "team"
value = "${service.redis.url}"
example = "redis://api:example@127.0.0.1:6379"

[variables.SERVICES_CA]
description = "Who signs for MongoDB and Redis"
apps = ["api"]
class = "internal"
owner = "team"
value = "${service.ca}"
example = "a certificate"

[variables.REDIS_KEY_PREFIX]
description = "Beginning of every key"
apps = ["api"]
class = "internal"
owner = "team"
value = "${service.redis.prefix}"
example = "lend:local:"

[variables.SESSION_SECRET]
description = "Signs cookies"
apps = ["api"]
class = "auth"
owner = "team"
source = "generated"
rotate = { kind = "keyring", overlap = "1s" }
example = "example-only-not-a-session-secret"

[variables.LICENCE]
description = "Opens a library"
apps = ["api"]
class = "secret"
owner = "team"
source = "generated"
deliver = "file"
example = "example-only-not-a-licence"

[variables.PAYMENT_SECRET_KEY]
description = "Moves money"
apps = ["api"]
class = "payment"
owner = "team"
environments = ["local"]
required = "never"
source = "store"
match = "sk_test_[A-Za-z0-9_]+"
deliver = "file"
example = "sk_test_EXAMPLE_NOT_A_KEY"
"#;

const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => response.end("well")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

/// Uses what it was lent, as an app would.
const USE: &str = r#"
const { MongoClient } = require("mongodb");
const { createClient } = require("redis");
const tried = async (work) => { try { await work(); return "done"; } catch (error) { return error.codeName ?? String(error.message).split(" ")[0]; } };
(async () => {
  const told = {};
  if (process.env.MONGODB_URL) {
    const mongo = await MongoClient.connect(process.env.MONGODB_URL);
    const things = mongo.db().collection("things");
    told.read = await tried(() => things.find().toArray());
    told.write = await tried(() => things.insertOne({ at: new Date() }));
    told.users = await tried(() => mongo.db().command({ usersInfo: 1 }));
    await mongo.close();
  }
  if (process.env.REDIS_URL) {
    const redis = createClient({ url: process.env.REDIS_URL, socket: { ca: process.env.SERVICES_CA } });
    await redis.connect();
    told.get = await tried(() => redis.get("lend:local:a"));
    told.set = await tried(() => redis.set("lend:local:a", "1"));
    told.flush = await tried(() => redis.flushAll());
    await redis.close();
  }
  console.log(JSON.stringify(told));
})();
"#;

/// A project, and the key of the one person that its manifest knows.
fn project(folder: &Path) -> PathBuf {
    let key = folder.join("id_ed25519");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "annika", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(folder.join("id_ed25519.pub")).unwrap();
    let people = format!("\n[people.annika]\nssh = [\"{}\"]\n", public.trim());
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), text).unwrap();
    };
    write("roadbed.toml", &(MANIFEST.to_owned() + &people));
    write("apps/api/src/server.mjs", SERVER);
    write("use.cjs", USE);
    write("package.json", r#"{"name":"lend","version":"1.0.0"}"#);
    write(
        "package-lock.json",
        r#"{"name":"lend","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"lend","version":"1.0.0"}}}"#,
    );
    key
}

struct Shop {
    environment: Environment,
}

impl Shop {
    /// `roadbed WORDS -- COMMAND`, in the folder of the app.
    fn command(&self, words: &[&str], command: &[&str]) -> Command {
        let mut line = Command::new(self.environment.program());
        line.args(["--root", &self.environment.root().display().to_string()]).args(words).arg("--").args(command);
        line.current_dir(self.environment.project().join("apps/api"));
        line.env_clear().envs(self.environment.variables()).env("USER", "anna");
        line.env("NODE_PATH", testkit::tools::drivers());
        line.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        line
    }

    fn exec(&self, words: &[&str], command: &[&str]) -> Output {
        self.command(&[&["env", "exec"], words].concat(), command).output().unwrap()
    }

    fn exec_node(&self, words: &[&str], script: &str) -> Output {
        self.exec(words, &["node", "-e", script])
    }

    /// `roadbed db shell SERVICE`, with the client that it finds itself.
    fn look(&self, service: &str) -> Command {
        let mut line = Command::new(self.environment.program());
        line.args(["--root", &self.environment.root().display().to_string(), "db", "shell", service]);
        line.current_dir(self.environment.project()).env_clear().envs(self.environment.variables()).env("USER", "anna");
        line.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        line
    }

    /// One that runs until it is ended, and the name of its lease.
    fn begin(&self) -> (Child, u32, String) {
        let script = "console.log(process.pid, process.env.MONGODB_URL.split('//')[1].split(/%2D|:/).join('-')); setInterval(() => {}, 1000)";
        let mut child = self.command(&["env", "exec", "--raw"], &["node", "-e", script]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (pid, user) = line.trim().split_once(' ').unwrap_or_else(|| panic!("it said {line:?}"));
        let lease = user.split('-').take(3).collect::<Vec<_>>().join("-");
        assert!(self.leases().contains(&lease), "{lease} is not among {:?}", self.leases());
        (child, pid.parse().unwrap(), lease)
    }

    fn leases(&self) -> Vec<String> {
        let text = fs::read_to_string(self.environment.root().join("state/leases.json")).unwrap_or_default();
        let book: Value = serde_json::from_str(&text).unwrap_or_default();
        let leases = book["leases"].as_array().cloned().unwrap_or_default();
        leases.iter().map(|lease| lease["id"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn nothing_is_lent(&self) {
        wait_until("nothing is lent any more", Duration::from_secs(20), || {
            let leases = self.leases();
            if leases.is_empty() { Ok(()) } else { Err(format!("{leases:?}")) }
        });
        let acl = fs::read_to_string(self.environment.root().join("conf/redis/users.acl")).unwrap();
        assert!(!acl.contains("dev-"), "{acl}");
    }

    #[track_caller]
    fn is_gone(&self, pid: u32) {
        wait_until("the command is gone", Duration::from_secs(20), || match table::entry(pid) {
            Some(entry) if !entry.is_dead() => Err(format!("{entry:?}")),
            _ => Ok(()),
        });
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn ended_with(output: &Output, code: i32) -> (String, String) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}\n---- stderr\n{stderr}");
    (stdout, stderr)
}

#[test]
fn a_command_is_lent_users_of_its_own_and_nothing_of_them_stays() {
    let _stage = stage::enter();
    let folder = tempfile::tempdir().unwrap();
    let key = project(folder.path());
    let environment = Environment::new(env!("CARGO_BIN_EXE_roadbed"), folder.path());
    let shop = Shop { environment };

    let (_, told) = ended_with(&shop.exec(&[], &["true"]), 1);
    assert!(told.contains("roadbed up"), "{told}");
    let _ = shop.environment.roadbed_within(Duration::from_secs(300), &["up", "--detach", "--no-gate"]).expect(0);
    let usage = shop.exec(&["--app", "ap"], &["true"]);
    assert!(ended_with(&usage, 2).1.contains("did you mean \"api\"?"));
    assert!(ended_with(&shop.exec(&[], &["no-such-program-here"]), 2).1.contains("no program"));
    shop.nothing_is_lent();

    what_is_shown_and_what_is_not(&shop);
    what_a_terminal_shows(&shop);
    what_the_users_may(&shop);
    what_own_clients_show(&shop);
    whatever_ends(&shop);
    what_a_command_holds(&shop);
    what_a_login_says(&shop, &key);
    what_is_noted_of_it(&shop);
    assert_eq!(shop.environment.ready(&["secrets-stay-secret"])["holds"], true);
}

/// Who, what, when, why and from where, in the log that nobody can cut: names, and no values.
fn what_is_noted_of_it(shop: &Shop) {
    let store = stage::store_of(&shop.environment);
    let rows = store.audit().unwrap();
    let of = |action: &str, part: &str| {
        let told = |row: &&secrets::audit::Entry| format!("{row:?}").contains(part);
        rows.iter().filter(|row| row.action == action).filter(told).count()
    };
    let leases = rows.iter().filter(|row| row.action == "lent" && row.name.starts_with("lease/")).count();
    assert!(leases > 10, "{leases}");
    assert_eq!(leases, of("given-back", "lease/") + of("taken-back", "lease/"), "each has its end: {rows:#?}");
    assert!(of("taken-back", "its process is gone") > 0, "{rows:#?}");
    assert!(of("lent", "without PAYMENT_SECRET_KEY") > 0 && of("lent", "shown as it is") > 0, "{rows:#?}");
    assert!(of("lent", "a look into redis, to read") > 0, "{rows:#?}");
    let lent = rows.iter().find(|row| row.action == "lent" && row.reason == "to compare").unwrap();
    assert_eq!((lent.actor.as_str(), lent.via.as_str()), ("anna", "env exec"));
    let origin = format!("{}, user {}, process ", host::machine::name(), host::own::user());
    assert!(lent.origin.starts_with(&origin), "{lent:?}");
    let login = rows.iter().find(|row| row.action == "logged-in").unwrap();
    assert_eq!((login.actor.as_str(), login.name.as_str()), ("annika", "person/annika"));
    // Each secret tells who had it.
    let shown = shop.environment.roadbed(&["secrets", "audit", "--name", "SESSION_SECRET"]).expect(0).stdout;
    assert!(shown.contains("lent") && shown.contains("anna") && shown.contains("with dev-anna-"), "{shown}");
    assert_eq!(store.verify().unwrap().findings, []);
}

fn what_is_shown_and_what_is_not(shop: &Shop) {
    let show = "console.log(process.env.MONGODB_URL, process.env.SESSION_SECRET, process.env.ROADBED_ENVIRONMENT); \
                console.error(Buffer.from(process.env.SESSION_SECRET).toString('base64'))";
    let (stdout, stderr) = ended_with(&shop.exec_node(&[], show), 0);
    assert_eq!(stdout, "‹MONGODB_URL› ‹SESSION_SECRET@1› local\n");
    assert!(stderr.contains("‹SESSION_SECRET@1›"), "{stderr}");
    let (stdout, _) = ended_with(&shop.exec_node(&["--raw", "--reason", "to compare"], show), 0);
    assert!(stdout.starts_with("mongodb://dev%2Danna%2D"), "{stdout}");
    let password = stdout.split(['@', ':']).nth(2).unwrap().to_owned();
    assert_eq!(password.len(), 64, "{stdout}");
    let session = stdout.split(' ').nth(1).unwrap().to_owned();
    let _ = ended_with(&shop.exec(&["--reason", &format!("pasted {session}")], &["true"]), 0);
    let log = shop.environment.log("control");
    assert!(log.contains("pasted ‹") && !log.contains(&session), "{log}");
    assert!(log.contains("to compare") && log.contains("output=Raw"), "{log}");

    let files = "const { readFileSync } = require('fs'); console.log(process.env.LICENCE, readFileSync(process.env.LICENCE_FILE).length, \
                 Object.keys(process.env).filter((name) => name.startsWith('PAYMENT')).length)";
    let (stdout, stderr) = ended_with(&shop.exec_node(&[], files), 0);
    assert_eq!(stdout, "undefined 64 0\n");
    assert!(stderr.contains("PAYMENT_SECRET_KEY is not lent: it moves money"), "{stderr}");

    // A password that was lent is on no disk, while it is lent or after.
    let (mut child, pid, _) = shop.begin();
    let url = table::environment(pid)["MONGODB_URL"].clone();
    let lent = url.split(['@', ':']).nth(2).unwrap().to_owned();
    for place in ["logs", "state", "conf", "run", "routes", "secrets"] {
        for secret in [&password, &lent] {
            holds_not(&shop.environment.root().join(place), secret.as_bytes());
        }
    }
    for (pid, line) in table::command_lines().unwrap() {
        assert!(!text(&line).contains(&lent), "process {pid}");
    }
    Process::open(child.id()).unwrap().signal(Signal::TERM).unwrap();
    child.wait().unwrap();
    shop.is_gone(pid);
    shop.nothing_is_lent();

    let status = shop.environment.status();
    let api = status["units"].as_array().unwrap().iter().find(|unit| unit["name"] == "api-1").unwrap().clone();
    assert_eq!(api["loaded"]["var/SESSION_SECRET"], 1, "{api}");
    assert_eq!(api["loaded"]["mongodb/app-api"], 1, "{api}");
}

fn holds_not(folder: &Path, secret: &[u8]) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            holds_not(&path, secret);
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
    }
}

/// As somebody sees it who sits at a terminal.
fn what_a_terminal_shows(shop: &Shop) {
    let (screen, theirs) = Screen::open().unwrap();
    let script = "console.log(process.stdout.isTTY, process.stdin.isTTY, process.env.SESSION_SECRET); \
                  process.stdin.on('data', (typed) => { console.log('typed', String(typed).trim()); }); \
                  process.on('SIGINT', () => { console.log('interrupted'); process.exit(3); })";
    let mut line = shop.command(&["env", "exec"], &["node", "-e", script]);
    let copy = || Stdio::from(theirs.try_clone().unwrap());
    let mut child = line.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    drop((line, theirs));
    let (sender, seen) = std::sync::mpsc::channel();
    let mut from = fs::File::from(screen.side().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = from.read(&mut buffer) {
            let _ = sender.send(text(&buffer[..count]));
        }
    });
    let mut shown = String::new();
    let mut shows = |what: &str| {
        while !shown.contains(what) {
            shown += &seen.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("no {what:?} in {shown:?}"));
        }
    };
    let mut keyboard = fs::File::from(screen.side().unwrap());
    shows("true true ‹SESSION_SECRET@1›");
    keyboard.write_all(b"hello\r").unwrap();
    shows("typed hello");
    keyboard.write_all(&[3]).unwrap();
    shows("interrupted");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    shop.nothing_is_lent();
}

fn what_the_users_may(shop: &Shop) {
    let script = shop.environment.project().join("use.cjs").display().to_string();
    let (stdout, _) = ended_with(&shop.exec(&[], &["node", &script]), 0);
    let told: Value = serde_json::from_str(&stdout).unwrap();
    for (what, outcome) in [
        ("read", "done"),
        ("write", "done"),
        ("users", "Unauthorized"),
        ("get", "done"),
        ("set", "done"),
        ("flush", "NOPERM"),
    ] {
        assert_eq!(told[what], outcome, "{what}: {told}");
    }
    for (service, allowed, refused) in
        [("mongodb", "read", ("write", "Unauthorized")), ("redis", "get", ("set", "NOPERM"))]
    {
        let shell = shop.command(&["db", "shell", service, "--reason", "a look"], &["node", &script]).output().unwrap();
        let told: Value = serde_json::from_str(&ended_with(&shell, 0).0).unwrap();
        assert_eq!(told[allowed], "done", "{told}");
        assert_eq!(told[refused.0], refused.1, "{told}");
        assert_eq!(told.as_object().unwrap().len(), 3, "the other service is not part of the look: {told}");
    }
    shop.nothing_is_lent();
}

/// With nothing but the service named. `redis-cli` comes with the Redis that Roadbed fetches; `mongosh` with nothing.
fn what_own_clients_show(shop: &Shop) {
    let nowhere = shop.environment.scratch().join("an-empty-path");
    fs::create_dir_all(&nowhere).unwrap();
    let mut child = shop.look("redis").env("PATH", &nowhere).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stdin = child.stdin.take().unwrap();
    let mut answer = |asked: &str| {
        writeln!(stdin, "{asked}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    assert_eq!(answer("PING"), "PONG");
    assert_eq!(answer("GET lend:local:a"), "1");
    assert!(answer("SET lend:local:a 2").contains("NOPERM"), "a look changes nothing");
    let [lease] = shop.leases().try_into().unwrap();
    let lines = || table::command_lines().unwrap().into_iter().map(|(pid, line)| (pid, text(&line)));
    let (pid, _) = lines().find(|(_, line)| line.contains("redis-cli") && line.contains(&lease)).unwrap();
    let password = table::environment(pid)["REDISCLI_AUTH"].clone();
    assert_eq!(password.len(), 64);
    for (pid, line) in lines() {
        assert!(!line.contains(&password), "process {pid}");
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    shop.nothing_is_lent();

    let without = shop.look("mongodb").env("PATH", &nowhere).output().unwrap();
    let (_, told) = ended_with(&without, 2);
    assert!(told.contains("there is no mongosh to look into mongodb with"), "{told}");
    assert!(told.contains("roadbed db shell mongodb -- PROGRAM"), "{told}");
    shop.nothing_is_lent();

    // Where this machine has one, it is what people get.
    if find_in_path("mongosh", &shop.environment.variables()["PATH"]).is_some() {
        let mut child = shop.look("mongodb").spawn().unwrap();
        let asked = "print('read', db.things.countDocuments({}) > 0)\n\
                     try { db.things.insertOne({}) } catch (error) { print('write', error.codeName) }\n";
        child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
        let (stdout, _) = ended_with(&child.wait_with_output().unwrap(), 0);
        assert!(stdout.contains("read true") && stdout.contains("write Unauthorized"), "{stdout}");
        shop.nothing_is_lent();
    }
}

fn whatever_ends(shop: &Shop) {
    ended_with(&shop.exec_node(&[], "process.exit(7)"), 7);
    ended_with(&shop.exec_node(&[], "process.kill(process.pid, 'SIGKILL')"), 137);
    shop.nothing_is_lent();

    // Ctrl-C: the terminal tells the whole group.
    let (mut child, pid, _) = shop.begin();
    Process::open(child.id()).unwrap().signal_group(Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    shop.is_gone(pid);
    assert_eq!(shop.leases(), Vec::<String>::new(), "given back before it ended");

    // Nobody is left to give it back.
    let (mut child, pid, lease) = shop.begin();
    Process::open(child.id()).unwrap().signal(Signal::KILL).unwrap();
    child.wait().unwrap();
    shop.is_gone(pid);
    shop.nothing_is_lent();
    let log = shop.environment.log("control");
    assert!(log.contains(&lease) && log.contains("HolderGone"), "{log}");

    // Control dies while something is lent: the command does not notice, and its lease still ends with it.
    let (mut child, pid, lease) = shop.begin();
    let before = shop.environment.kill9("control");
    wait_until("another control answers", Duration::from_secs(30), || shop.environment.runs_anew("control", before));
    let up = shop.environment.roadbed_within(Duration::from_secs(120), &["up", "--detach", "--no-gate"]).expect(0);
    assert!(!up.stderr.contains("which nobody asked for"), "convergence knows what is lent: {}", up.stderr);
    assert_eq!(shop.leases(), [lease]);
    assert!(table::entry(pid).is_some_and(|entry| !entry.is_dead()));
    Process::open(child.id()).unwrap().signal(Signal::TERM).unwrap();
    child.wait().unwrap();
    shop.nothing_is_lent();
}

/// A rotation waits for commands as it waits for instances.
fn what_a_command_holds(shop: &Shop) {
    let name = SecretName::variable("SESSION_SECRET");
    let states = || -> Vec<(u32, VersionState)> {
        let accepted = stage::store_of(&shop.environment).accepted(&name).unwrap();
        accepted.into_iter().map(|version| (version.version, version.state)).collect()
    };
    let rotate = || shop.environment.roadbed_within(Duration::from_secs(120), &["secrets", "rotate", "SESSION_SECRET"]);
    let before = states()[0].0;
    let (mut child, _, lease) = shop.begin();
    let _ = rotate();
    wait_until("the overlap is over", Duration::from_secs(60), || {
        let told = rotate().stderr;
        if told.contains("is held by a command of anna") && told.contains(&lease) { Ok(()) } else { Err(told) }
    });
    assert_eq!(states(), [(before + 1, VersionState::Current), (before, VersionState::Previous)]);
    // What is lent now is the new value, and holds nothing up.
    let (mut other, _, _) = shop.begin();
    Process::open(child.id()).unwrap().signal(Signal::TERM).unwrap();
    child.wait().unwrap();
    wait_until("the value before is retired", Duration::from_secs(20), || match states().as_slice() {
        [(version, VersionState::Current)] if *version == before + 1 => Ok(()),
        states => Err(format!("{states:?}")),
    });
    Process::open(other.id()).unwrap().signal(Signal::TERM).unwrap();
    other.wait().unwrap();
    shop.nothing_is_lent();
}

/// Commands act in the name of whoever logged in, and a control that starts again is told without a question.
fn what_a_login_says(shop: &Shop, key: &Path) {
    let login = |words: &[&str]| {
        let mut line = Command::new(shop.environment.program());
        line.args(["--root", &shop.environment.root().display().to_string(), "login"]).args(words);
        line.current_dir(shop.environment.project()).env_clear().envs(shop.environment.variables());
        line.stdin(Stdio::null()).output().unwrap()
    };
    let (_, told) = ended_with(&login(&[]), 1);
    assert!(told.contains("hint:"), "there is no agent: {told}");
    let (_, told) = ended_with(&login(&["--key", key.to_str().unwrap()]), 0);
    assert!(told.contains("logged in as annika"), "{told}");
    let name = "console.log(process.env.REDIS_URL.split('%2D')[1])";
    let (stdout, _) = ended_with(&shop.exec_node(&["--raw"], name), 0);
    assert_eq!(stdout, "annika\n");

    let before = shop.environment.kill9("control");
    wait_until("another control answers", Duration::from_secs(30), || shop.environment.runs_anew("control", before));
    let (stdout, told) = ended_with(&shop.exec_node(&["--raw"], name), 0);
    assert_eq!(stdout, "annika\n", "{told}");

    // Somebody whose key the manifest does not have.
    let stranger = shop.environment.scratch().join("id_stranger");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&stranger).status();
    assert!(made.unwrap().success());
    let (_, told) = ended_with(&login(&["--key", stranger.to_str().unwrap()]), 1);
    assert!(told.contains("nobody in the manifest has the key that signed"), "{told}");
}

#[test]
fn a_look_into_production_says_why() {
    let folder = tempfile::tempdir().unwrap();
    project(folder.path());
    let shop = Shop { environment: Environment::new(env!("CARGO_BIN_EXE_roadbed"), folder.path()) };
    let shell = shop.command(&["db", "shell", "--env", "production"], &["true"]).output().unwrap();
    let (_, told) = ended_with(&shell, 2);
    assert!(told.contains("a look into production needs a reason") && told.contains("--reason"), "{told}");
}
