//! MongoDB refuses strangers and guessers, and gives each app its own database and nothing else.

use std::time::Duration;

use certificates::Authority;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use manifest::environment;
use mongodb::Client;
use mongodb::bson::{Document, doc, oid::ObjectId};
use reconcile::Fault;
use secrets::{Secret, Versioned, generate};

use super::{Tried, must_be_allowed, must_be_refused};
use crate::ground::{Ground, Slot};
use crate::mongo::handshake::{self, Answer, Shown};
use crate::mongo::roles;
use crate::mongo::{
    Address, Identity, Members, MongoFault, OwnUser, Provider, Trust, UserKey, app_secret, command, connect, hello,
    is_refusal,
};
use crate::start::accepts;

pub(super) const CLAIM: Claim = Claim {
    task: "T3",
    id: "mongodb-guards-its-door",
    claim: "MongoDB refuses clients in the clear, of another authority, without and with a wrong password, and serves each app its \
            own database only",
    hint: "run `roadbed up` to set users and rights again; `roadbed logs mongodb` shows who connected",
    impact: Impact::Observes,
};

/// Where the right client leaves a document and takes it away again.
pub(super) const PROBE: &str = "roadbed_probe";

/// For as long as it is tried.
const LIFE_OF_A_FOREIGNER: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub struct MongoGuardsItsDoor {
    pub(super) settings: environment::MongoDb,
    provider: Provider,
    pub(super) ground: Ground,
}

impl MongoGuardsItsDoor {
    pub fn new(settings: environment::MongoDb, provider: impl Into<Provider>, ground: Ground) -> Self {
        Self { settings, provider: provider.into(), ground }
    }

    async fn look(&self) -> Outcome {
        match &self.provider {
            Provider::Ours(members) => self.look_at_ours(members).await,
            Provider::External(external) => self.look_elsewhere(external).await,
        }
    }

    async fn look_at_ours(&self, members: &Members) -> Outcome {
        let mut findings = Findings::default();
        for &port in members.ports() {
            let told = &told(members, port);
            if !self.is_ours(port, told, &mut findings).await {
                return findings.outcome();
            }
            must_be_refused(
                &mut findings,
                &format!("a client in the clear{told} said hello"),
                judge_answer(&handshake::hello(port, None).await),
            );
            self.has_room_for_all(port, told, &mut findings).await;
            self.as_bearer_of_a_foreign_certificate(port, told, &mut findings).await;
            self.as_stranger(&self.address(port), told, &mut findings).await;
        }
        let primary = match members.primary(&self.ground).await {
            Ok(primary) => primary,
            Err(fault) => {
                findings.bad(fault.message);
                return findings.outcome();
            }
        };
        if !members.is_one() {
            findings.good(format!("{} is primary", members.unit_at(primary)));
        }
        let all = members.ports().iter().map(|port| (self.address(*port), told(members, *port))).collect::<Vec<_>>();
        self.as_apps(&all, &self.address(primary), &mut findings).await;
        findings.outcome()
    }

    /// With the passwords of apps, and with others, at each of these addresses. Apps write where the primary is.
    pub(super) async fn as_apps(&self, all: &[(Address, String)], primary: &Address, findings: &mut Findings) {
        for app in &self.settings.apps {
            match self.ground.secrets.get(&app_secret(app)) {
                Err(_) => findings.bad("the secret store cannot be read"),
                Ok(None) => findings.bad(format!("there is no password for {app} in the secret store")),
                Ok(Some(password)) => {
                    let user = UserKey::app(&self.settings, app, Slot::of(password.version)).name;
                    for (address, told) in all {
                        self.as_guesser(address, told, &user, findings).await;
                    }
                    self.as_app(primary, &user, &password, findings).await;
                }
            }
        }
    }

    /// Whether who answers there is to be believed. Whatever else he answered, it would not be our server who does.
    async fn is_ours(&self, port: u16, told: &str, findings: &mut Findings) -> bool {
        if !accepts(port).await {
            findings.bad(format!("nobody listens on port {port}{told}"));
            return false;
        }
        let trusted = self.ground.trusted().ok().flatten().unwrap_or_default();
        match handshake::shown(port, &trusted, self.ground.clock.now()).await {
            Shown::Certificate { is_believed: true, .. } => {
                findings.good(format!(
                    "the server's certificate{told} is of this environment's authority, for this address, and holds"
                ));
                true
            }
            Shown::Certificate { .. } => {
                findings.bad(format!("the server's certificate{told} is not to be believed"));
                false
            }
            Shown::Nothing => {
                findings.bad(format!("the server{told} speaks no TLS"));
                false
            }
        }
    }

    /// Whether all instances may fill their pools at once.
    async fn has_room_for_all(&self, port: u16, told: &str, findings: &mut Findings) {
        let status = match &OwnUser::Monitor.client(&self.ground, port) {
            Ok(monitor) => {
                command(monitor, "admin", doc! { "serverStatus": 1 }).await.map_err(|fault| fault.to_string())
            }
            Err(fault) => Err(fault.to_string()),
        };
        self.judge_room(status, told, findings);
    }

    /// By the server's own word for how it is.
    pub(super) fn judge_room(&self, status: Result<Document, String>, told: &str, findings: &mut Findings) {
        let number = |status: &Document, key: &str| {
            let connections = status.get_document("connections").ok()?;
            u32::try_from(connections.get_i32(key).ok()?).ok()
        };
        let room = status.map(|status| Some(number(&status, "current")? + number(&status, "available")?));
        let wanted = self.settings.wanted_connections();
        match room {
            Ok(Some(room)) if room >= wanted => {
                findings.good(format!("the server{told} accepts {room} connections, and {wanted} are wanted at most"));
            }
            Ok(Some(room)) => {
                findings.bad(format!("the server{told} accepts {room} connections, and {wanted} may be wanted"))
            }
            Ok(None) => findings.bad(format!("the server{told} does not say how many connections it accepts")),
            Err(fault) => {
                findings.bad(format!("the server{told} does not say how many connections it accepts: {fault}"))
            }
        }
    }

    /// One that says the same as our administrator's, by an authority that nobody here knows.
    async fn as_bearer_of_a_foreign_certificate(&self, port: u16, told: &str, findings: &mut Findings) {
        let now = self.ground.clock.now();
        let foreign = Authority::make(&self.ground.name, now, LIFE_OF_A_FOREIGNER)
            .map_err(|fault| Fault::because("cannot make an authority", &fault))
            .and_then(|authority| OwnUser::Administrator.certificate_by(&authority, &self.ground));
        match foreign {
            Ok(leaf) => {
                let tried = judge_answer(&handshake::hello(port, Some(&leaf)).await);
                must_be_refused(
                    findings,
                    &format!("a client{told} with our administrator's name and another authority's word said hello"),
                    tried,
                );
            }
            Err(fault) => findings.bad(fault.to_string()),
        }
    }

    pub(super) async fn as_stranger(&self, address: &Address, told: &str, findings: &mut Findings) {
        let database = &self.settings.database;
        let client = match connect(address, Identity::Stranger) {
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

    async fn as_guesser(&self, address: &Address, told: &str, user: &str, findings: &mut Findings) {
        let Ok(guess) = generate::credential() else {
            return findings.bad("there are no random numbers to guess with");
        };
        let tried = match self.log_in(address, user, &guess) {
            Ok(client) => ask(&client, &self.settings.database, doc! { "find": PROBE, "limit": 1 }).await,
            Err(fault) => judge_fault(&fault),
        };
        must_be_refused(findings, &format!("a client{told} with a wrong password for {user} tried to read"), tried);
    }

    async fn as_app(&self, address: &Address, user: &str, password: &Versioned, findings: &mut Findings) {
        // Asking on after a refused login would take the driver half a second for each question.
        let logged_in = match self.log_in(address, user, &password.secret) {
            Ok(client) => hello(&client).await.map(|_| client),
            Err(fault) => Err(fault),
        };
        let client = match logged_in {
            Ok(client) => client,
            Err(fault) => return findings.bad(format!("{user} cannot log in: {fault}")),
        };
        let tried = write_and_read(&client, &self.settings.database).await;
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

    fn log_in(&self, address: &Address, user: &str, password: &Secret) -> Result<Client, MongoFault> {
        let (name, database) = (user, roles::users_database(&self.settings));
        connect(address, Identity::User { name, database, password })
    }

    fn address(&self, port: u16) -> Address {
        let trusted = self.ground.trusted().ok().flatten().unwrap_or_default();
        Address::Port { port, trust: Trust::Authorities(trusted) }
    }
}

/// Which member is meant, where there is more than one.
fn told(members: &Members, port: u16) -> String {
    if members.is_one() { String::new() } else { format!(" at {}", members.unit_at(port)) }
}

/// Leaves a document in `database`, finds it and takes it away.
pub(super) async fn write_and_read(client: &Client, database: &str) -> Tried {
    let id = ObjectId::new();
    let insert =
        doc! { "insert": PROBE, "documents": [{ "_id": id }], "writeConcern": { "w": "majority", "wtimeout": 3000 } };
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

pub(super) async fn ask(client: &Client, database: &str, question: Document) -> Tried {
    match command(client, database, question).await {
        Ok(_) => Tried::Allowed,
        Err(fault) => judge_fault(&fault),
    }
}

pub(super) fn judge_fault(fault: &MongoFault) -> Tried {
    match fault.code() {
        _ if is_refusal(fault) => Tried::Refused,
        // The server got as far as looking for what we named: nobody stopped us.
        Some(code) => Tried::Broken(format!("the server went on and ended with error {code}")),
        None => Tried::Broken(fault.to_string()),
    }
}

pub(super) fn judge_answer(answer: &Answer) -> Tried {
    match answer {
        Answer::Closed => Tried::Refused,
        Answer::Answered => Tried::Allowed,
        Answer::Silent => Tried::Broken("silence".to_owned()),
    }
}
