//! Lends variables and users to developers' commands, and takes back what nobody holds any more.
//!
//! The borrower is the process at the other end of the socket, as the kernel names it: when it is gone, whatever it was lent is
//! taken back within [`LOOK`], also by a control that was started in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::variables::Assembled;
use host::process::{Identity, Process, table};
use manifest::{AppName, Environment};
use reconcile::Fault;
use reconcile::loaded::Loaded;
use secrets::{SecretName, generate};
use stores::leases::{self, Holder, InRedis, Lease, Over, Rights, State, book};
use stores::redis::Purpose;
use tokio::time::sleep;

use super::lent::{Asked, Lent, Renewed, Service, What};
use super::login::{LoggedIn, Signed};
use super::{Control, convergence, lending_record, sleeping};
use crate::wanted;
use crate::world::Ports;
use crate::world::lending::{Lender, Passwords};

/// A working day: a development server runs for hours. Renewed while its command runs.
const COMMAND_LASTS: Duration = Duration::from_secs(8 * 60 * 60);

/// A look at data. Renewed while it goes on.
const LOOK_LASTS: Duration = Duration::from_secs(30 * 60);

/// Time between two looks at who still holds what. One look reads one small file.
const LOOK: Duration = Duration::from_secs(2);

/// Digits of a lease's name that nobody guesses.
const RANDOM_DIGITS: usize = 12;

/// The process at the other end of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub pid: u32,
}

/// Lets somebody be known by a key that the wanted manifest names.
pub fn log_in(control: &Control, signed: &Signed, peer: Peer) -> Result<LoggedIn, Fault> {
    let people = match wanted::read(&control.root)? {
        Some(want) => wanted::manifest_as_wanted(&want)?.people(),
        None => Vec::new(),
    };
    let logged_in = control.desk.log_in(signed, &people, control.clock.now())?;
    tracing::info!(person = %logged_in.person, until = %logged_in.until, "logged in");
    lending_record::logged_in(control, &logged_in, peer)?;
    Ok(logged_in)
}

/// In whose name something is lent: whoever logged in, else whoever has the root, by the name that they give.
fn borrower(control: &Control, asked: &Asked, peer: Peer) -> Result<String, Fault> {
    match &asked.token {
        Some(token) => {
            let person = control.desk.bearer(&token.0, control.clock.now());
            let over = || Fault::new("the login is over").hint("`roadbed login` renews it");
            Ok(person.ok_or_else(over)?.to_string())
        }
        None if peer.uid == 0 || peer.uid == host::own::user() => Ok(asked.name.clone()),
        None => {
            Err(Fault::new(format!("user {} has nothing to say here", peer.uid))
                .hint("`roadbed login` tells who you are"))
        }
    }
}

/// Lends what is asked for.
pub async fn lend(control: &Control, asked: &Asked, peer: Peer) -> Result<Lent, Fault> {
    let name = borrower(control, asked, peer)?;
    // It goes into the book and the log, and people paste what they have in mind.
    let redactions = control.redactions_as_wanted();
    let reason = asked.reason.as_deref().map(|reason| redactions.redact(reason).into_owned());
    let asked = &Asked { name, reason, ..asked.clone() };
    sleeping::ensure_awake(control).await?;
    let lender = lender(control).await?;
    let (mut lease, passwords) = drawn_up(control, &lender, asked, peer)?;
    // Before anything is made: where a variable has no value there is nothing to take back.
    let contents = contents(&lender, asked, &lease, &passwords)?;
    lease.loaded = contents.loaded;
    book::note(&control.root, lease.clone())?;
    let noted = lending_record::lent(&lender, asked, &lease, &contents.withheld);
    if let Err(fault) = futures_util::try_join!(lender.make_users(&lease, &passwords), noted) {
        let _ = book::end(&control.root, &lease.id);
        // Where this fails too, it is tried again at the next look.
        let _ = take_away(control, &lender, &lease, Over::GivenBack).await;
        return Err(fault);
    }
    let client = match asked.what {
        What::Variables { .. } => None,
        // Whoever has a client of his own needs none of ours.
        What::Look { service } => lender.client(service).await.unwrap_or_default(),
    };
    let redis = match asked.what {
        What::Look { service: Service::Redis } => lender.redis_entrance(&lease)?,
        What::Variables { .. } | What::Look { service: Service::MongoDb } => None,
    };
    Ok(Lent {
        lease: lease.id,
        until: lease.until,
        lasts_ms: u64::try_from(lease.lasts.as_millis()).unwrap_or(u64::MAX),
        variables: contents.variables,
        in_files: contents.in_files,
        withheld: contents.withheld,
        secrets: contents.secrets,
        client,
        redis,
    })
}

/// Lets a lease go on.
pub async fn renew(control: &Control, id: &str) -> Result<Renewed, Fault> {
    let Some(lease) = book::renew(&control.root, id, &control.clock.moment())? else {
        return Err(Fault::new(format!("the lease {id} is over")).hint("run the command again to be lent another"));
    };
    // Only told to who looks at the server alone: the book decides.
    if let Ok(lender) = lender(control).await
        && let Some((_, provider)) = &lender.mongodb
        && let Err(fault) = leases::mongo::renew(&lender.ground, provider, &lease).await
    {
        tracing::warn!(lease = id, causes = ?fault.causes, "{fault}");
    }
    Ok(Renewed { until: lease.until })
}

/// Takes back what was lent. One that is over is fine.
pub async fn take_back(control: &Control, id: &str) -> Result<(), Fault> {
    let Some(lease) = book::end(&control.root, id)? else { return Ok(()) };
    take_away(control, &lender(control).await?, &lease, Over::GivenBack).await
}

/// Takes back, for as long as it is polled, what nobody holds any more.
pub async fn sweep(control: Arc<Control>) {
    let mut told = String::new();
    loop {
        match sweep_once(&control).await {
            Ok(()) => told.clear(),
            // A server that is down stays so for a while: say it once.
            Err(fault) => {
                let now = format!("{fault} {:?}", fault.causes);
                if now != told {
                    tracing::warn!(causes = ?fault.causes, "cannot take back what was lent: {fault}");
                    told = now;
                }
            }
        }
        sleep(LOOK).await;
    }
}

async fn sweep_once(control: &Control) -> Result<(), Fault> {
    let leases = book::read(&control.root)?;
    if leases.is_empty() {
        return Ok(());
    }
    let boot_id = table::boot_id().map_err(|fault| Fault::because("cannot tell who holds a lease", &fault))?;
    let is_alive = |holder: &Holder| holder.boot_id == boot_id && Process::find(holder.process).is_some();
    let now = control.clock.moment();
    // What the gate lends itself it takes back itself, unless it cannot.
    let is_the_gates = |lease: &Lease| lease.holder.process.pid == host::own::pid() && !lease.is_expired(&now);
    let over = leases
        .into_iter()
        .filter(|lease| !is_the_gates(lease))
        .filter_map(|lease| lease.over(&now, is_alive).map(|why| (lease, why)));
    let over: Vec<_> = over.collect();
    if over.is_empty() {
        return Ok(());
    }
    let lender = lender(control).await?;
    for (lease, why) in over {
        let Some(lease) = book::end(&control.root, &lease.id)? else { continue };
        take_away(control, &lender, &lease, why).await?;
    }
    Ok(())
}

pub(super) async fn lender(control: &Control) -> Result<Lender, Fault> {
    let want = wanted::read(&control.root)?.ok_or_else(|| {
        Fault::new("nothing can be lent: the environment was never brought up").hint("`roadbed up` brings it up")
    })?;
    convergence::world(control, &want, Ports::Stay).await?.lender()
}

/// A lease and its passwords. Nothing of it is known to anybody yet.
fn drawn_up(control: &Control, lender: &Lender, asked: &Asked, peer: Peer) -> Result<(Lease, Passwords), Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot lend anything", error);
    let credential = || generate::credential().map_err(|error| cannot(&error));
    let (mongodb, redis, random) = (credential()?, credential()?, credential()?);
    let random = &random.expose()[..RANDOM_DIGITS];
    let gone = || Fault::new("cannot lend anything: whoever asked is gone");
    let process = table::entry(peer.pid).ok_or_else(gone)?;
    let (app, rights, lasts) = match &asked.what {
        What::Variables { app } => (app_of(&lender.environment, app)?, Rights::OfApp, COMMAND_LASTS),
        What::Look { service } => (some_app_of(lender, *service)?, Rights::ReadOnly, LOOK_LASTS),
    };
    let wants = |service: Service| match &asked.what {
        What::Variables { .. } => true,
        What::Look { service: wanted } => *wanted == service,
    };
    let in_mongodb =
        lender.mongodb.as_ref().filter(|(settings, _)| wants(Service::MongoDb) && settings.apps.contains(&app));
    let in_redis = lender.redis_settings().filter(|settings| wants(Service::Redis) && settings.apps.contains(&app));
    let now = control.clock.moment();
    let mut lease = Lease {
        id: leases::name(&asked.name, random),
        app,
        rights,
        holder: Holder {
            name: asked.name.clone(),
            uid: peer.uid,
            process: Identity { pid: peer.pid, start_time: process.start_time },
            boot_id: table::boot_id().map_err(|fault| cannot(&fault))?,
        },
        since: now.wall,
        until: now.wall,
        renewed: None,
        lasts,
        state: State::Live,
        reason: asked.reason.clone(),
        mongodb: in_mongodb.map(|(settings, _)| settings.database.clone()),
        redis: in_redis.map(|settings| InRedis::new(&redis, &settings.key_prefix)),
        loaded: [].into(),
    };
    lease.renew(now);
    Ok((lease, Passwords { mongodb, redis }))
}

fn app_of(environment: &Environment, name: &str) -> Result<AppName, Fault> {
    let app = environment.apps.iter().find(|app| app.name.as_str() == name);
    app.map(|app| app.name.clone()).ok_or_else(|| {
        let known: Vec<&str> = environment.apps.iter().map(|app| app.name.as_str()).collect();
        Fault::new(format!("there is no app {name:?} in {}", environment.name))
            .hint(format!("there is {}", known.join(", ")))
    })
}

/// Apps share a service's data, so any of those that use it will do.
fn some_app_of(lender: &Lender, service: Service) -> Result<AppName, Fault> {
    let apps = match service {
        Service::MongoDb => lender.mongodb.as_ref().map(|(settings, _)| &settings.apps),
        Service::Redis => lender.redis_settings().map(|settings| &settings.apps),
    };
    let app = apps.and_then(|apps| apps.first()).cloned();
    app.ok_or_else(|| {
        Fault::new(format!("there is no {} in {}, or no app uses it", service.as_str(), lender.environment.name))
    })
}

/// What is handed out, and which of it must not be shown.
#[derive(Default)]
struct Contents {
    variables: BTreeMap<String, String>,
    in_files: Vec<String>,
    withheld: Vec<String>,
    secrets: Vec<(String, String)>,
    loaded: Loaded,
}

fn contents(lender: &Lender, asked: &Asked, lease: &Lease, passwords: &Passwords) -> Result<Contents, Fault> {
    let mut contents = match asked.what {
        What::Variables { .. } => variables(lender, lease, passwords)?,
        What::Look { service } => way_in(service, lender, lease, passwords)?,
    };
    let users = [(lease.mongodb.is_some(), &passwords.mongodb), (lease.redis.is_some(), &passwords.redis)];
    let lent = users.into_iter().filter(|(is_lent, _)| *is_lent);
    contents.secrets.extend(lent.map(|(_, password)| (lease.id.clone(), password.expose().to_owned())));
    Ok(contents)
}

fn variables(lender: &Lender, lease: &Lease, passwords: &Passwords) -> Result<Contents, Fault> {
    let (mut assembled, withheld) = lender.variables(lease, passwords)?;
    let mut hidden = Vec::new();
    for variable in lender.environment.variables_of(&lease.app).filter(|variable| variable.class.is_sensitive()) {
        let name = variable.name.as_str();
        let Some(value) = assembled.values.get(name) else { continue };
        let version = assembled.loaded.get(SecretName::variable(name).as_str());
        let shown = version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"));
        hidden.push((shown, value.clone()));
    }
    assembled.values.insert("ROADBED_ENVIRONMENT".to_owned(), lender.environment.name.to_string());
    let Assembled { values: variables, in_files, loaded, .. } = assembled;
    Ok(Contents { variables, in_files, withheld, secrets: hidden, loaded })
}

fn way_in(service: Service, lender: &Lender, lease: &Lease, passwords: &Passwords) -> Result<Contents, Fault> {
    let (name, url) = match service {
        Service::MongoDb => ("MONGODB_URL", lender.mongo_url(lease, passwords)?),
        Service::Redis => ("REDIS_URL", lender.redis_url(Purpose::Durable, lease, passwords)?),
    };
    let mut variables: BTreeMap<String, String> =
        url.iter().map(|url| (name.to_owned(), url.expose().to_owned())).collect();
    if service == Service::Redis {
        // Where Redis's own client reads the password, which no argument may hold.
        variables.insert("REDISCLI_AUTH".to_owned(), passwords.redis.expose().to_owned());
    }
    // By which the service is recognised. Clients take it as text or, from the file, by its name.
    if let Some(trusted) = lender.ground.trusted()? {
        variables.insert("SERVICES_CA".to_owned(), trusted);
    }
    Ok(Contents { variables, ..Contents::default() })
}

/// Takes the users of a lease away, which the book says to be ending, notes that, and strikes it.
async fn take_away(control: &Control, lender: &Lender, lease: &Lease, why: Over) -> Result<(), Fault> {
    lender.take_users_away(lease).await?;
    // Last, so that a server that is down for an hour does not fill the log with attempts; and by one of those who do this at the
    // same time, the borrower and the sweep.
    let _turn = control.striking.lock().await;
    if !book::read(&control.root)?.iter().any(|kept| kept.id == lease.id) {
        return Ok(());
    }
    lending_record::ended(control, lender, lease, why).await?;
    book::strike(&control.root, &lease.id)
}
