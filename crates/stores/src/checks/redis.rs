//! Redis refuses strangers and guessers, and gives each app its own keys and nothing else.

use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use manifest::environment;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value, cmd};
use secrets::{Secret, Store, Versioned, generate};

use super::{Tried, must_be_allowed, must_be_refused};
use crate::ground::{Slot, user_of};
use crate::redis::{Identity, RedisFault, app_secret, connect, is_refusal};

/// Reads from within a script. Servers word this refusal differently from version to version; the script gives it the code
/// that every other refusal has. Nothing but a refusal can fail a `GET` of a key that is no collection.
const FOREIGN_READ: &str = "
local answer = redis.pcall('GET', 'roadbed-probe')
if type(answer) == 'table' and answer['err'] then return redis.error_reply('NOPERM within a script') end
return answer";
use crate::start::accepts;

const CLAIM: Claim = Claim {
    task: "T4",
    id: "redis-guards-its-door",
    claim: "Redis refuses an unauthenticated and a wrong-password client, and serves each app its own keys only",
    hint: "run `roadbed up` to load the users again; `roadbed logs redis` shows what the server says",
    impact: Impact::Observes,
};

#[derive(Debug)]
pub struct RedisGuardsItsDoor {
    settings: environment::Redis,
    port: u16,
    secrets: Arc<Store>,
}

impl RedisGuardsItsDoor {
    pub fn new(settings: environment::Redis, port: u16, secrets: Arc<Store>) -> Self {
        Self { settings, port, secrets }
    }

    async fn look(&self) -> Outcome {
        let mut findings = Findings::default();
        if !accepts(self.port).await {
            findings.bad(format!("nobody listens on port {}", self.port));
            return findings.outcome();
        }
        self.as_stranger(&mut findings).await;
        for app in &self.settings.apps {
            match self.secrets.get(&app_secret(app)) {
                Err(_) => findings.bad("the secret store cannot be read"),
                Ok(None) => findings.bad(format!("there is no password for {app} in the secret store")),
                Ok(Some(password)) => {
                    let user = user_of(app, Slot::of(password.version));
                    self.as_guesser(&user, &mut findings).await;
                    self.as_app(&user, &password, &mut findings).await;
                }
            }
        }
        findings.outcome()
    }

    async fn as_stranger(&self, findings: &mut Findings) {
        let questions = [
            ("ping", command(&["PING"])),
            ("read a key", command(&["GET", &self.probe_key()])),
            ("list users", command(&["ACL", "LIST"])),
        ];
        for (what, question) in questions {
            let tried = match connect(self.port, Identity::Stranger).await {
                Ok(mut connection) => ask(&mut connection, &question).await,
                Err(fault) => judge_fault(&fault),
            };
            must_be_refused(findings, &format!("an unauthenticated client tried to {what}"), tried);
        }
    }

    async fn as_guesser(&self, user: &str, findings: &mut Findings) {
        let Ok(guess) = generate::credential() else {
            return findings.bad("there are no random numbers to guess with");
        };
        let tried = match self.log_in(user, &guess).await {
            Ok(mut connection) => ask(&mut connection, &command(&["GET", &self.probe_key()])).await,
            Err(fault) => judge_fault(&fault),
        };
        must_be_refused(findings, &format!("a client with a wrong password for {user} tried to read"), tried);
    }

    async fn as_app(&self, user: &str, password: &Versioned, findings: &mut Findings) {
        let mut connection = match self.log_in(user, &password.secret).await {
            Ok(connection) => connection,
            Err(fault) => return findings.bad(format!("{user} cannot log in: {}", told(&fault))),
        };
        let tried = self.write_and_read(&mut connection).await;
        must_be_allowed(findings, &format!("{user} wrote, read and removed a key of its own"), tried);

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
            must_be_refused(findings, &format!("{user} tried to {what}"), tried);
        }
    }

    async fn log_in(&self, user: &str, password: &Secret) -> Result<MultiplexedConnection, RedisFault> {
        connect(self.port, Identity::User { name: user, password }).await
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
