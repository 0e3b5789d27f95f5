//! Each Redis holds as much as declared, drops what it may and nothing else, keeps what it should, and has room left.

use std::collections::HashMap;
use std::fmt::Write as _;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use redis::aio::MultiplexedConnection;
use redis::{InfoDict, cmd};

use reconcile::Fault;

use crate::Ground;
use crate::external::{Dialect, External};
use crate::redis::configuration::parameters;
use crate::redis::external::{Figures, told};
use crate::redis::replication::Role;
use crate::redis::{ADMIN, Door, ExternalRedis, Identity, Purpose, RedisFault, Settings, primary};

pub(super) const CLAIM: Claim = Claim {
    task: "T4",
    id: "redis-keeps-its-promises",
    claim: "Each Redis has the memory, the eviction and the persistence of the manifest, and what drops nothing has room left",
    hint: "`roadbed up` sets again what was changed; where it is full, raise services.redis.memory or find what has no expiry",
    impact: Impact::Observes,
};

/// What drops nothing refuses to write when it is full, and customers cannot log in. Copying the append-only file anew, and a
/// busy day, take some of the rest.
const ALARM_PERCENT: u64 = 70;

#[derive(Debug)]
pub struct RedisKeepsItsPromises {
    /// Each with its port.
    all: Vec<(Settings, u16)>,
    /// Those that somebody else runs.
    elsewhere: Vec<(Settings, External)>,
    ground: Ground,
}

impl RedisKeepsItsPromises {
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
        for (settings, port) in self.all.iter().filter(|(settings, _)| settings.purpose != Purpose::Sentinel) {
            let unit = settings.unit();
            let mut connection = match self.enter(settings, *port).await {
                Ok(connection) => connection,
                Err(sentence) => {
                    findings.bad(format!("{unit}: {sentence}"));
                    continue;
                }
            };
            if let Err(fault) = compare(settings, &mut connection, &mut findings).await {
                findings.bad(format!("{unit}: it does not say what it does ({fault})"));
            }
            if settings.is_replicated() {
                match (primary(&self.ground.root), Role::of(&mut connection).await) {
                    (Ok(Some(primary)), Ok(role)) => judge_role(&unit, *port == primary, primary, &role, &mut findings),
                    _ => findings.bad(format!("{unit}: nobody knows who is primary")),
                }
            }
        }
        for (settings, external) in &self.elsewhere {
            if let Err(fault) = self.look_elsewhere(settings, external, &mut findings).await {
                let why = fault.causes.first().map_or_else(String::new, |cause| format!(": {cause}"));
                findings.bad(format!("{}: {}{why}", settings.unit(), fault.message));
            }
        }
        findings.outcome()
    }

    /// By the word of a server that somebody else runs, and sets.
    async fn look_elsewhere(
        &self,
        settings: &Settings,
        external: &External,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let redis = ExternalRedis::new(settings.clone(), external.clone(), self.ground.clone());
        let figures = Figures::of(&mut redis.admin().await?).await.map_err(|fault| told(&redis, &fault))?;
        // Its `INFO` tells other things: what it drops and what it may cost is compared by its API.
        let is_by_api = external.dialect == Dialect::Upstash;
        let otherwise = if is_by_api { Vec::new() } else { figures.otherwise(settings) };
        if is_by_api {
            findings.good(format!(
                "{}: it answers; each convergence compares its settings by Upstash's API",
                settings.unit()
            ));
        } else if otherwise.is_empty() {
            findings.good(format!("{}: memory, eviction and persistence are as declared", settings.unit()));
        }
        for what in otherwise {
            findings.bad(format!("{what}; only its provider can change that"));
        }
        if let (Some(used), Some(most @ 1..)) = (figures.number("used_memory"), figures.number("maxmemory")) {
            judge_fullness(settings, used, most, findings);
        }
        Ok(())
    }

    async fn enter(&self, settings: &Settings, port: u16) -> Result<MultiplexedConnection, String> {
        let password = match self.ground.secrets.get(&settings.purpose.admin_secret()) {
            Ok(Some(found)) => found.secret,
            Ok(None) => return Err("there is no password of our own in the secret store".to_owned()),
            Err(fault) => return Err(format!("the secret store cannot be read ({fault})")),
        };
        let door = Door::of(&self.ground, port).map_err(|fault| fault.to_string())?;
        let who = Identity::User { name: ADMIN, password: &password };
        door.enter(who).await.map_err(|fault| format!("we cannot log in ({fault})"))
    }
}

fn judge_role(unit: &str, is_named: bool, primary: u16, role: &Role, findings: &mut Findings) {
    match (is_named, role.follows) {
        (true, None) => findings.good(format!("{unit}: it is primary, as the sentinels say")),
        (true, Some(_)) => findings.bad(format!("{unit}: the sentinels call it primary, and it follows another")),
        (false, Some(port)) if port == primary && role.is_linked => {
            findings.good(format!("{unit}: it has what the primary on port {primary} has"));
        }
        (false, _) => findings.bad(format!("{unit}: it does not follow the primary on port {primary}")),
    }
}

async fn compare(
    settings: &Settings,
    connection: &mut MultiplexedConnection,
    findings: &mut Findings,
) -> Result<(), RedisFault> {
    let unit = settings.unit();
    let declared = parameters(settings);
    let names: Vec<&str> = declared.iter().map(|(name, _)| *name).collect();
    let seen: HashMap<String, String> = cmd("CONFIG").arg("GET").arg(names).query_async(connection).await?;
    let mut right = String::new();
    for (name, wanted) in &declared {
        match seen.get(*name) {
            Some(value) if value == wanted => drop(write!(right, " {name}={value:?}")),
            value => findings.bad(format!("{unit}: {name} is {value:?}, declared is {wanted:?}")),
        }
    }
    findings.good(format!("{unit}: as declared:{right}"));

    let figures: InfoDict = cmd("INFO").arg("memory").query_async(connection).await?;
    let (Some(used), Some(most @ 1..)) = (figures.get::<u64>("used_memory"), figures.get::<u64>("maxmemory")) else {
        findings.bad(format!("{unit}: there is no end to its memory"));
        return Ok(());
    };
    judge_fullness(settings, used, most, findings);
    Ok(())
}

fn judge_fullness(settings: &Settings, used: u64, most: u64, findings: &mut Findings) {
    let unit = settings.unit();
    let percent = used * 100 / most;
    let full = format!("{unit}: {percent} % of {} MiB are used", most >> 20);
    match settings.eviction.as_str() {
        "noeviction" if percent >= ALARM_PERCENT => {
            findings.bad(format!(
                "{full}; it drops nothing, and refuses to write when it is full: the alarm is at {ALARM_PERCENT} %"
            ));
        }
        _ => findings.good(full),
    }
}

impl Check for RedisKeepsItsPromises {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(self.look())
    }
}
