//! `roadbed login`: an SSH agent says who somebody is, and says it again without a question for a working day.
//!
//! Signing is OpenSSH's own: `ssh-keygen -Y sign` asks the agent, and the agent the security key. Nothing of a key is seen here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::clock::Timestamp;
use host::files::{self, Access};
use host::process::{self, Run, find_in_path};
use manifest::PersonName;
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::control::identity;
use crate::control::lent::Token;
use crate::control::login::{LoggedIn, Signed};
use crate::wanted;

/// A working day. After it somebody has to ask to be logged in again.
const SESSION_LASTS: Duration = Duration::from_secs(8 * 60 * 60);

/// What is left of a token that is used; below that another is fetched first.
const MARGIN: Duration = Duration::from_secs(30);

/// A security key blinks until it is touched; the challenge lasts as long.
const SIGNING_DEADLINE: Duration = Duration::from_secs(60);

/// A login between two commands: the token of the moment, and the key that gets another.
#[derive(Serialize, Deserialize)]
struct Kept {
    person: PersonName,
    token: String,
    until: Timestamp,
    since: Timestamp,
    key: Key,
}

/// What signs.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Key {
    /// A key file, or the public half of one that the agent has.
    File(PathBuf),
    /// A key that the agent has: a line of a `.pub` file.
    OfAgent(String),
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'s> {
    person: &'s PersonName,
    until: Timestamp,
}

/// Logs in, and keeps the token for the commands that follow.
pub async fn run(session: &Session, args: &args::Login) -> Result<Exit, Failure> {
    let control = ControlClient::new(session.root.clone());
    let keys = match &args.key {
        Some(file) => vec![Key::File(session.surroundings.folder.join(file))],
        None => of_agent(session).await?,
    };
    let mut refused = None;
    for key in keys {
        match sign_in(session, &control, &key).await {
            Ok(logged_in) => {
                let LoggedIn { person, token, until } = logged_in;
                let since = session.clock.now();
                keep(session, &Kept { person: person.clone(), token, until, since, key })?;
                session.output.note(format!("{} logged in as {person}", session.output.notes.good("✓")));
                if session.output.is_json() {
                    session.output.json(&Shown { person: &person, until })?;
                }
                return Ok(Exit::Done);
            }
            Err(fault) => refused = Some(fault),
        }
    }
    Err(refused.map_or_else(nobody_signs, Failure::Work))
}

/// Who somebody is by now, if they logged in: signed again without a question where the token is over and the session is not.
pub async fn token(session: &Session, control: &ControlClient) -> Option<Token> {
    let kept = kept(session)?;
    if kept.until.since(session.clock.now()) >= MARGIN {
        return Some(Token(kept.token));
    }
    renewed(session, control).await
}

/// As [`token`], signed again in any case.
pub async fn renewed(session: &Session, control: &ControlClient) -> Option<Token> {
    let kept = kept(session)?;
    let now = session.clock.now();
    let is_in_session = now >= kept.since && now.since(kept.since) < SESSION_LASTS;
    let logged_in = if is_in_session { sign_in(session, control, &kept.key).await.ok() } else { None };
    let Some(LoggedIn { person, token, until }) = logged_in else {
        session.output.note("the login is over: `roadbed login` renews it");
        return None;
    };
    let kept = Kept { person, token, until, ..kept };
    // Kept or not, it serves now.
    let _ = keep(session, &kept);
    Some(Token(kept.token))
}

fn kept(session: &Session) -> Option<Kept> {
    serde_json::from_slice(&files::read_if_exists(&path(session)?).ok()??).ok()
}

async fn sign_in(session: &Session, control: &ControlClient, key: &Key) -> Result<LoggedIn, Fault> {
    let challenge = control.challenge().await?;
    let folder = session.root.run().join(format!("login-{}", host::own::pid()));
    let signature = signed(session, key, &folder, &challenge.namespace, &challenge.message()).await?;
    control.log_in(&Signed { nonce: challenge.nonce, signature }).await
}

/// A signature of `message` for `namespace`; `folder` is there only meanwhile.
pub(super) async fn signed(
    session: &Session,
    key: &Key,
    folder: &Path,
    namespace: &str,
    message: &str,
) -> Result<String, Fault> {
    let signature = signature(session, key, folder, namespace, message).await;
    let removed = files::remove_dir(folder);
    let signature = signature?;
    removed.map_err(|fault| Fault::because("cannot tidy up after signing", &fault))?;
    Ok(signature)
}

/// What is signed is no secret, and neither is a signature that was used.
async fn signature(
    session: &Session,
    key: &Key,
    folder: &Path,
    namespace: &str,
    message: &str,
) -> Result<String, Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot sign", error);
    let (asked, public) = (folder.join("message"), folder.join("key.pub"));
    files::create_dir(folder, Access::Owner).map_err(|fault| cannot(&fault))?;
    files::write_durable(&asked, message.as_bytes(), Access::Owner).map_err(|fault| cannot(&fault))?;
    let key = match key {
        Key::File(path) => path.clone(),
        Key::OfAgent(line) => {
            files::write_durable(&public, line.as_bytes(), Access::Owner).map_err(|fault| cannot(&fault))?;
            public
        }
    };
    let words = ["-Y", "sign", "-q", "-n", namespace, "-f"].map(str::to_owned).into_iter();
    let paths = [key, asked.clone()].map(|path| path.to_string_lossy().into_owned());
    openssh(session, "ssh-keygen", words.chain(paths).collect()).await?;
    files::read_string(&folder.join("message.sig")).map_err(|fault| cannot(&fault))
}

/// The agent's keys that the manifest gives to somebody, in the manifest's order.
async fn of_agent(session: &Session) -> Result<Vec<Key>, Failure> {
    let want = wanted::read(&session.root)?.ok_or_else(|| {
        Fault::new("cannot log in: the environment was never brought up").hint("`roadbed up` brings it up")
    })?;
    let people = wanted::manifest_as_wanted(&want)?.people();
    let known: Vec<String> = people.into_iter().flat_map(|(_, keys)| keys).collect();
    let keys = held_by_agent(session, &known).await?;
    if keys.is_empty() { Err(nobody_signs()) } else { Ok(keys) }
}

/// Those of `known` that the agent has, in their order.
pub(super) async fn held_by_agent(session: &Session, known: &[String]) -> Result<Vec<Key>, Failure> {
    let lines = openssh(session, "ssh-add", vec!["-L".to_owned()]).await?;
    let body = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    let held: Vec<_> = lines.iter().filter_map(|line| body(line)).collect();
    let is_held = |key: &&String| body(key).is_some_and(|body| held.contains(&body));
    Ok(known.iter().filter(is_held).cloned().map(Key::OfAgent).collect())
}

fn nobody_signs() -> Failure {
    Failure::Work(Fault::new("cannot log in: the SSH agent has no key of anybody in the manifest").hint(
        "`ssh-add -L` shows what it has, [people.NAME] in roadbed.toml who is known; --key FILE signs with a file",
    ))
}

async fn openssh(session: &Session, program: &str, args: Vec<String>) -> Result<Vec<String>, Fault> {
    let variable = |name: &str| session.surroundings.variable(name);
    let path = variable("PATH").unwrap_or_default();
    let found = find_in_path(program, &path)
        .ok_or_else(|| Fault::new(format!("cannot sign: there is no {program}")).hint("install OpenSSH's client"))?;
    // What the agent and whoever asks for a touch need to be found.
    let names = ["PATH", "HOME", "SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_SK_PROVIDER", "DISPLAY", "WAYLAND_DISPLAY"];
    let env = names.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?))).collect();
    let cwd = session.surroundings.folder.clone();
    let run = Run { program: found, args, cwd, env, deadline: SIGNING_DEADLINE };
    let finished = process::run(&run, &mut |_, _| ()).await;
    let finished = finished.map_err(|error| Fault::because(format!("cannot run {program}"), &error))?;
    if finished.success() {
        return Ok(finished.tail);
    }
    Err(Fault::new(format!("{program} ended with {}", finished.describe()))
        .hint("see whether the agent runs (SSH_AUTH_SOCK) and has the key (`ssh-add -L`)")
        .output(finished.tail))
}

fn keep(session: &Session, kept: &Kept) -> Result<(), Fault> {
    let Some(path) = path(session) else { return Ok(()) };
    let text = serde_json::to_vec(kept).expect("a login is plain data");
    files::write_durable(&path, &text, Access::Owner).map_err(|fault| Fault::because("cannot keep the login", &fault))
}

/// In memory where the system has a place for that, which goes with the user's last session; else with what runs.
fn path(session: &Session) -> Option<PathBuf> {
    let id = identity::read(&session.root).ok()??.id;
    let runtime = session.surroundings.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = runtime.filter(|folder| folder.is_absolute() && files::is_dir(folder));
    Some(folder.unwrap_or_else(|| session.root.run()).join(format!("roadbed-login-{id}.json")))
}
