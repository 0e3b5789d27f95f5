//! Redis refuses strangers and guessers, and gives each app its own keys and nothing else.

use std::time::Duration;

use certificates::Authority;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value, cmd};
use secrets::{Secret, Versioned, generate};

use super::{Tried, must_be_allowed, must_be_refused};
use crate::Ground;
use crate::external::External;
use crate::ground::{Slot, user_of};
use crate::redis::door::Shown;
use crate::redis::external::{self, Address};
use crate::redis::{Door, Identity, Purpose, RedisFault, Settings, acl, is_refusal, primary};

/// Reads from within a script. Servers word this refusal differently from version to version; the script gives it the code
/// that every other refusal has. Nothing but a refusal can fail a `GET` of a key that is no collection.
const FOREIGN_READ: &str = "
local answer = redis.pcall('GET', 'roadbed-probe')
if type(answer) == 'table' and answer['err'] then return redis.error_reply('NOPERM within a script') end
return answer";

pub(super) const CLAIM: Claim = Claim {
    task: "T4",
    id: "redis-guards-its-door",
    claim: "Redis refuses clients without encryption, without a login or with a wrong one, shows a certificate of the environment's \
            own authority, and serves each app its own keys only",
    hint: "run `roadbed up` to load the users again; `roadbed logs redis` shows what the server says",
    impact: Impact::Observes,
};

/// For one handshake.
const OTHER_AUTHORITY_LIFE: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub struct RedisGuardsItsDoor {
    /// Each with its port.
    all: Vec<(Settings, u16)>,
    /// Those that somebody else runs.
    elsewhere: Vec<(Settings, External)>,
    ground: Ground,
}

/// One of them, while it is tried.
struct Guarded<'c> {
    settings: &'c Settings,
    ground: &'c Ground,
    door: Door,
}

impl RedisGuardsItsDoor {
    pub fn new(all: Vec<(Settings, u16)>, ground: Ground) -> Self {
        Self { all, elsewhere: Vec::new(), ground }
    }

    /// And those that somebody else runs.
    #[must_use]
    pub fn and_elsewhere(self, elsewhere: Vec<(Settings, External)>) -> Self {
        Self { elsewhere, ..self }
    }

    async fn look(&self) -> Outcome {
        let mut findings = Findings::default();
        for (settings, port) in &self.all {
            match Door::of(&self.ground, *port) {
                Ok(door) => Guarded { settings, ground: &self.ground, door }.look(*port, &mut findings).await,
                Err(fault) => findings.bad(format!("{}: {fault}", settings.unit())),
            }
        }
        for (settings, external) in &self.elsewhere {
            let address = external::read(&self.ground, &settings.unit());
            let door = address.and_then(|address| Ok((Door::elsewhere(&address, external, &self.ground)?, address)));
            match door {
                Ok((door, address)) => {
                    Guarded { settings, ground: &self.ground, door }.look_elsewhere(&address, &mut findings).await;
                }
                Err(fault) => findings.bad(format!("{}: {fault}", settings.unit())),
            }
        }
        findings.outcome()
    }
}

impl Guarded<'_> {
    async fn look(&self, port: u16, findings: &mut Findings) {
        let unit = self.settings.unit();
        match self.door.in_the_clear().await {
            Ok(None) => findings.good(format!("{unit}: a client that does not encrypt: refused")),
            Ok(Some(answer)) => findings.bad(format!("{unit}: a client that does not encrypt is answered ({answer})")),
            Err(fault) => return findings.bad(format!("{unit}: nobody listens on port {port} ({fault})")),
        }
        self.as_who_trusts_others(findings, port).await;
        self.as_stranger(findings).await;
        if self.holds_what_apps_write(port) {
            self.as_apps(|name| name.to_owned(), findings).await;
        }
    }

    /// At somebody else's server: what is open there only its provider can shut.
    async fn look_elsewhere(&self, address: &Address, findings: &mut Findings) {
        let (unit, at) = (self.settings.unit(), address.shown());
        if address.is_encrypted {
            match self.door.in_the_clear().await {
                Ok(None) => findings.good(format!("{unit}: a client that does not encrypt: refused")),
                Ok(Some(answer)) => findings.bad(format!(
                    "{unit}: a client that does not encrypt is answered ({answer}); only its provider can change that"
                )),
                Err(fault) => return findings.bad(format!("{unit}: nobody is at {at} ({fault})")),
            }
            match self.door.shown().await {
                Shown::Certificate(_) => {
                    findings.good(format!("{unit}: the certificate of {at} is believed, and holds"))
                }
                Shown::NotBelieved => return findings.bad(format!("{unit}: the certificate of {at} is not believed")),
                Shown::Nothing => return findings.bad(format!("{unit}: {at} speaks no TLS")),
            }
        } else {
            findings.good(format!("{unit}: its address is on this machine: nothing is said over a network"));
        }
        self.as_stranger(findings).await;
        self.as_apps(|name| acl::name_elsewhere(self.settings, name), findings).await;
    }

    /// With the passwords of apps, and with others. `named` says what a user is called there.
    async fn as_apps(&self, named: impl Fn(&str) -> String, findings: &mut Findings) {
        let unit = self.settings.unit();
        for app in &self.settings.apps {
            match self.ground.secrets.get(&self.settings.purpose.app_secret(app)) {
                Err(_) => findings.bad("the secret store cannot be read"),
                Ok(None) => findings.bad(format!("{unit}: there is no password for {app} in the secret store")),
                Ok(Some(password)) => {
                    let user = named(&user_of(app, Slot::of(password.version)));
                    self.as_guesser(&user, findings).await;
                    self.as_app(&user, &password, findings).await;
                }
            }
        }
    }

    /// A replica has what its primary has and takes nothing else; a sentinel has nothing.
    fn holds_what_apps_write(&self, port: u16) -> bool {
        match self.settings.purpose {
            Purpose::Cache => true,
            Purpose::Sentinel => false,
            // Where nobody knows, it is tried.
            Purpose::Durable => primary(&self.ground.root).ok().flatten().is_none_or(|primary| primary == port),
        }
    }

    /// Who asks for a certificate of somebody else's must not find it here; who asks for one of ours must.
    async fn as_who_trusts_others(&self, findings: &mut Findings, port: u16) {
        let unit = self.settings.unit();
        let Ok(other) = Authority::make("somebody else", self.ground.clock.now(), OTHER_AUTHORITY_LIFE) else {
            return findings.bad("there are no random numbers for another authority");
        };
        let other = Door::trusting(&other.certificate_pem, self.ground.clock.clone(), port);
        match (self.door.shown().await, other.shown().await) {
            (Shown::Certificate(_), Shown::NotBelieved) => {
                findings.good(format!(
                    "{unit}: its certificate is believed by who trusts our authority, and by nobody else"
                ));
            }
            (Shown::NotBelieved, _) => {
                findings.bad(format!("{unit}: who trusts our authority does not believe its certificate"));
            }
            (_, Shown::Certificate(_)) => {
                findings.bad(format!("{unit}: who trusts another authority believes its certificate"));
            }
            (ours, others) => findings.bad(format!("{unit}: no proper handshake ({ours:?}, {others:?})")),
        }
    }

    async fn as_stranger(&self, findings: &mut Findings) {
        let unit = self.settings.unit();
        let questions = [
            ("ping", command(&["PING"])),
            match self.settings.purpose {
                Purpose::Durable | Purpose::Cache => ("read a key", command(&["GET", &self.probe_key()])),
                Purpose::Sentinel => ("ask who is primary", command(&["SENTINEL", "MASTERS"])),
            },
            ("list users", command(&["ACL", "LIST"])),
        ];
        for (what, question) in questions {
            let tried = match self.door.enter(Identity::Stranger).await {
                Ok(mut connection) => ask(&mut connection, &question).await,
                Err(fault) => judge_fault(&fault),
            };
            must_be_refused(findings, &format!("{unit}: an unauthenticated client tried to {what}"), tried);
        }
    }

    async fn as_guesser(&self, user: &str, findings: &mut Findings) {
        let unit = self.settings.unit();
        let Ok(guess) = generate::credential() else {
            return findings.bad("there are no random numbers to guess with");
        };
        let tried = match self.log_in(user, &guess).await {
            Ok(mut connection) => ask(&mut connection, &command(&["GET", &self.probe_key()])).await,
            Err(fault) => judge_fault(&fault),
        };
        must_be_refused(findings, &format!("{unit}: a client with a wrong password for {user} tried to read"), tried);
    }

    async fn as_app(&self, user: &str, password: &Versioned, findings: &mut Findings) {
        let unit = self.settings.unit();
        let mut connection = match self.log_in(user, &password.secret).await {
            Ok(connection) => connection,
            Err(fault) => return findings.bad(format!("{unit}: {user} cannot log in: {}", told(&fault))),
        };
        let tried = self.write_and_read(&mut connection).await;
        must_be_allowed(findings, &format!("{unit}: {user} wrote, read and removed a key of its own"), tried);

        // None of these changes anything, should it be allowed.
        let questions = [
            ("read a key outside its prefix", command(&["GET", "roadbed-probe"])),
            ("remove a key outside its prefix", command(&["DEL", "roadbed-probe"])),
            ("publish outside its prefix", command(&["PUBLISH", "roadbed-probe", ""])),
            ("read a foreign key from a script", command(&["EVAL", FOREIGN_READ, "0"])),
            ("list the keys", command(&["KEYS", "roadbed-probe"])),
            ("read the configuration", command(&["CONFIG", "GET", "port"])),
            ("list users", command(&["ACL", "LIST"])),
            ("list clients", command(&["CLIENT", "LIST", "ID", "0"])),
            ("list functions", command(&["FUNCTION", "LIST"])),
            ("take over replication", command(&["REPLICAOF", "NO", "ONE"])),
        ];
        for (what, question) in questions {
            let tried = ask(&mut connection, &question).await;
            must_be_refused(findings, &format!("{unit}: {user} tried to {what}"), tried);
        }
    }

    async fn log_in(&self, user: &str, password: &Secret) -> Result<MultiplexedConnection, RedisFault> {
        self.door.enter(Identity::User { name: user, password }).await
    }

    fn probe_key(&self) -> String {
        format!("{}roadbed-probe", self.settings.key_prefix)
    }

    async fn write_and_read(&self, connection: &mut MultiplexedConnection) -> Tried {
        let Ok(nonce) = generate::credential() else { return Tried::Broken("there are no random numbers".to_owned()) };
        // A key of this run alone, that goes by itself should we be killed.
        let key = format!("{}:{}", self.probe_key(), &nonce.expose()[..16]);
        let wanted: [(Cmd, Value); 3] = [
            (command(&["SET", &key, "1", "EX", "10"]), Value::Okay),
            (command(&["GET", &key]), Value::BulkString(b"1".to_vec())),
            (command(&["DEL", &key]), Value::Int(1)),
        ];
        for (question, right) in wanted {
            match question.query_async::<Value>(connection).await {
                Ok(answer) if answer == right => {}
                Ok(_) => return Tried::Broken("what was read is not what was written".to_owned()),
                Err(fault) => return judge_fault(&fault),
            }
        }
        Tried::Allowed
    }
}

impl Check for RedisGuardsItsDoor {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(self.look())
    }
}

fn command(words: &[&str]) -> Cmd {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command
}

async fn ask(connection: &mut MultiplexedConnection, question: &Cmd) -> Tried {
    match question.query_async::<Value>(connection).await {
        Ok(_) => Tried::Allowed,
        Err(fault) => judge_fault(&fault),
    }
}

fn judge_fault(fault: &RedisFault) -> Tried {
    if is_refusal(fault) { Tried::Refused } else { Tried::Broken(told(fault)) }
}

fn told(fault: &RedisFault) -> String {
    fault.to_string()
}
