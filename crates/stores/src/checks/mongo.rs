//! MongoDB refuses strangers and guessers, and gives each app its own database and nothing else.

use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use manifest::environment;
use mongodb::Client;
use mongodb::bson::{Document, doc, oid::ObjectId};
use secrets::{Secret, Store, Versioned, generate};

use super::{Tried, must_be_allowed, must_be_refused};
use crate::ground::{Slot, user_of};
use crate::mongo::{Address, Identity, Members, MongoFault, app_secret, command, connect, hello, is_refusal};
use crate::start::accepts;

const CLAIM: Claim = Claim {
    task: "T3",
    id: "mongodb-guards-its-door",
    claim: "MongoDB refuses an unauthenticated and a wrong-password client, and serves each app its own database only",
    hint: "run `roadbed up` to set users and rights again; `roadbed logs mongodb` shows who connected",
    impact: Impact::Observes,
};

/// Where the right client leaves a document and takes it away again.
const PROBE: &str = "roadbed_probe";

#[derive(Debug)]
pub struct MongoGuardsItsDoor {
    settings: environment::MongoDb,
    members: Members,
    secrets: Arc<Store>,
}

impl MongoGuardsItsDoor {
    pub fn new(settings: environment::MongoDb, members: impl Into<Members>, secrets: Arc<Store>) -> Self {
        Self { settings, members: members.into(), secrets }
    }

    async fn look(&self) -> Outcome {
        let mut findings = Findings::default();
        for port in self.members.ports() {
            if !accepts(*port).await {
                findings.bad(format!("nobody listens on port {port}{}", self.told(*port)));
                return findings.outcome();
            }
            self.as_stranger(*port, &mut findings).await;
        }
        let primary = match self.members.primary().await {
            Ok(primary) => primary,
            Err(fault) => {
                findings.bad(fault.message);
                return findings.outcome();
            }
        };
        if !self.members.is_one() {
            findings.good(format!("{} is primary", self.members.unit_at(primary)));
        }
        for app in &self.settings.apps {
            match self.secrets.get(&app_secret(app)) {
                Err(_) => findings.bad("the secret store cannot be read"),
                Ok(None) => findings.bad(format!("there is no password for {app} in the secret store")),
                Ok(Some(password)) => {
                    let user = user_of(app, Slot::of(password.version));
                    for port in self.members.ports() {
                        self.as_guesser(*port, &user, &mut findings).await;
                    }
                    self.as_app(primary, &user, &password, &mut findings).await;
                }
            }
        }
        findings.outcome()
    }

    /// Which member is meant, where there is more than one.
    fn told(&self, port: u16) -> String {
        if self.members.is_one() { String::new() } else { format!(" at {}", self.members.unit_at(port)) }
    }

    async fn as_stranger(&self, port: u16, findings: &mut Findings) {
        let database = &self.settings.database;
        let told = self.told(port);
        let client = match connect(&Address::Port(port), Identity::Stranger) {
            Ok(client) => client,
            Err(fault) => return findings.bad(format!("a client without a password cannot be made: {fault}")),
        };
        let questions = [
            ("list databases", "admin", doc! { "listDatabases": 1 }),
            ("list users", "admin", doc! { "usersInfo": { "forAllDBs": true } }),
            ("list the collections of the apps' database", database, doc! { "listCollections": 1 }),
            ("read the apps' data", database, doc! { "find": PROBE, "limit": 1 }),
        ];
        for (what, database, question) in questions {
            let tried = ask(&client, database, question).await;
            must_be_refused(findings, &format!("an unauthenticated client{told} tried to {what}"), tried);
        }
    }

    async fn as_guesser(&self, port: u16, user: &str, findings: &mut Findings) {
        let Ok(guess) = generate::credential() else {
            return findings.bad("there are no random numbers to guess with");
        };
        let tried = match self.log_in(port, user, &guess) {
            Ok(client) => ask(&client, &self.settings.database, doc! { "find": PROBE, "limit": 1 }).await,
            Err(fault) => judge_fault(&fault),
        };
        must_be_refused(
            findings,
            &format!("a client{} with a wrong password for {user} tried to read", self.told(port)),
            tried,
        );
    }

    async fn as_app(&self, port: u16, user: &str, password: &Versioned, findings: &mut Findings) {
        // Asking on after a refused login would take the driver half a second for each question.
        let logged_in = match self.log_in(port, user, &password.secret) {
            Ok(client) => hello(&client).await.map(|_| client),
            Err(fault) => Err(fault),
        };
        let client = match logged_in {
            Ok(client) => client,
            Err(fault) => return findings.bad(format!("{user} cannot log in: {fault}")),
        };
        let tried = self.write_and_read(&client).await;
        must_be_allowed(
            findings,
            &format!("{user} wrote, read and removed a document, acknowledged by a majority"),
            tried,
        );

        let elsewhere = format!("{}-other", self.settings.database);
        // A filter that matches nothing and a collection that does not exist: allowed by mistake, they still do no harm.
        let nothing = doc! { "q": { "_id": ObjectId::new() }, "limit": 1 };
        let absent = "roadbed_probe_absent";
        let questions = [
            ("read another database", elsewhere.as_str(), doc! { "find": PROBE, "limit": 1 }),
            ("delete in another database", &elsewhere, doc! { "delete": PROBE, "deletes": [nothing] }),
            ("read the users", "admin", doc! { "find": "system.users", "limit": 1 }),
            ("read the oplog", "local", doc! { "find": "oplog.rs", "limit": 1 }),
            ("drop a collection", &self.settings.database, doc! { "drop": absent }),
            ("list users", &self.settings.database, doc! { "usersInfo": 1 }),
            ("see how the server was started", "admin", doc! { "getCmdLineOpts": 1 }),
            ("see the server's state", "admin", doc! { "serverStatus": 1 }),
        ];
        for (what, database, question) in questions {
            let tried = ask(&client, database, question).await;
            must_be_refused(findings, &format!("{user} tried to {what}"), tried);
        }
    }

    fn log_in(&self, port: u16, user: &str, password: &Secret) -> Result<Client, MongoFault> {
        let (name, database) = (user, &self.settings.database);
        connect(&Address::Port(port), Identity::User { name, database, password })
    }

    async fn write_and_read(&self, client: &Client) -> Tried {
        let (database, id) = (&self.settings.database, ObjectId::new());
        let insert = doc! { "insert": PROBE, "documents": [{ "_id": id }], "writeConcern": { "w": "majority", "wtimeout": 3000 } };
        let find = doc! { "find": PROBE, "filter": { "_id": id }, "limit": 1 };
        let delete = doc! { "delete": PROBE, "deletes": [{ "q": { "_id": id }, "limit": 1 }] };
        for (step, question) in [("insert", insert), ("find", find), ("delete", delete)] {
            match command(client, database, question).await {
                Ok(answer) if affected(&answer) == 1 => {}
                Ok(answer) => return Tried::Broken(format!("the {step} met {} documents", affected(&answer))),
                Err(fault) => return judge_fault(&fault),
            }
        }
        Tried::Allowed
    }
}

impl Check for MongoGuardsItsDoor {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(self.look())
    }
}

/// How many documents an answer is about.
fn affected(answer: &Document) -> usize {
    if answer.contains_key("writeErrors") || answer.contains_key("writeConcernError") {
        return 0;
    }
    let found = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).map(Vec::len);
    found.unwrap_or_else(|_| answer.get_i32("n").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
}

async fn ask(client: &Client, database: &str, question: Document) -> Tried {
    match command(client, database, question).await {
        Ok(_) => Tried::Allowed,
        Err(fault) => judge_fault(&fault),
    }
}

fn judge_fault(fault: &MongoFault) -> Tried {
    match fault.code() {
        _ if is_refusal(fault) => Tried::Refused,
        // The server got as far as looking for what we named: nobody stopped us.
        Some(code) => Tried::Broken(format!("the server went on and ended with error {code}")),
        None => Tried::Broken(fault.to_string()),
    }
}
