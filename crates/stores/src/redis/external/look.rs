//! Looking at somebody else's Redis. Nothing here changes anything; what is not as it must be is a fault that says what to do,
//! and what only the provider can change is told.

use ::redis::aio::MultiplexedConnection;
use ::redis::{InfoDict, cmd, pipe};
use manifest::id::AppName;
use reconcile::Fault;
use secrets::Versioned;

use super::{ExternalRedis, read};
use crate::Ground;
use crate::engines::version::Version;
use crate::external::{self, Met, at_the_door, knock};
use crate::leases::book;
use crate::mongo::fingerprints;
use crate::redis::acl::{self, OWNER, Right, User};
use crate::redis::client::is_wrong_password;
use crate::redis::{Purpose, RedisFault, Settings, is_refusal};

/// The last release that is known to take what is said here.
const NEWEST: u32 = 8;
/// The first that tells what a user may, without trying it.
const OLDEST: Version = Version { major: 7, minor: 0, patch: 0 };

/// What our login must be allowed to do.
const NEEDED: [&[&str]; 5] =
    [&["acl", "setuser", "x"], &["acl", "deluser", "x"], &["acl", "list"], &["acl", "dryrun", "x", "ping"], &["info"]];

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub has_credentials: bool,
    /// Users of ours to be made or made right, and why.
    pub put: Vec<(String, &'static str)>,
    /// Users with a name of ours that nobody wants.
    pub take_away: Vec<String>,
    /// What is not as declared, and not ours to change.
    pub otherwise: Vec<String>,
}

pub(super) async fn observe(redis: &ExternalRedis) -> Result<Observed, Fault> {
    let mut connection = redis.admin().await?;
    let at = read(&redis.ground, &redis.settings.unit())?.shown();
    refuse_small_rights(redis, &mut connection).await?;
    let figures = Figures::of(&mut connection).await.map_err(|fault| told(redis, &fault))?;
    figures.refuse_what_does_not_do(&redis.settings.unit(), &at)?;
    refuse_a_twin(redis, &mut connection).await?;
    let wanted = wanted(redis)?;
    let listed = listed(&mut connection).await.map_err(|fault| told(redis, &fault))?;
    let mut put = Vec::new();
    for user in &wanted {
        match listed.iter().find(|seen| seen.name == user.name) {
            None => put.push((user.name.clone(), "missing")),
            Some(seen) if !agrees(user, seen, redis) => put.push((user.name.clone(), "password, keys or channels")),
            Some(_) => {
                let right = has_its_rights(redis, &mut connection, user).await.map_err(|fault| told(redis, &fault))?;
                put.extend((!right).then(|| (user.name.clone(), "rights")));
            }
        }
    }
    let beginning = acl::name_elsewhere(&redis.settings, "");
    let of_cache = acl::name_elsewhere(&Settings { purpose: Purpose::Cache, ..redis.settings.clone() }, "");
    // On a server that serves both purposes the names of one begin as those of the other.
    let is_named_as_ours = |name: &str| {
        name.starts_with(&beginning) && (redis.settings.purpose == Purpose::Cache || !name.starts_with(&of_cache))
    };
    let extra = listed.into_iter().map(|seen| seen.name).filter(|name| is_named_as_ours(name));
    let take_away = extra.filter(|name| wanted.iter().all(|user| user.name != *name)).collect();
    Ok(Observed {
        has_credentials: has_credentials(redis)?,
        put,
        take_away,
        otherwise: figures.otherwise(&redis.settings),
    })
}

/// As the server is, by its own word.
#[derive(Debug)]
pub(crate) struct Figures(InfoDict);

impl Figures {
    pub(crate) async fn of(connection: &mut MultiplexedConnection) -> Result<Self, RedisFault> {
        Ok(Self(cmd("INFO").query_async(connection).await?))
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)
    }

    fn word(&self, name: &str) -> Option<String> {
        self.0.get(name)
    }

    fn refuse_what_does_not_do(&self, unit: &str, at: &str) -> Result<(), Fault> {
        let cannot = |why: String| Fault::new(format!("cannot use {unit} at {at}")).cause(why);
        let told = self.word("redis_version").unwrap_or_default();
        let Ok(version) = Version::parse(&told) else {
            return Err(cannot(format!("it says that its version is {told:?}")));
        };
        if version < OLDEST {
            return Err(cannot(format!("its version is {version}, and at least {OLDEST} is needed"))
                .hint("let its provider upgrade it"));
        }
        if version.major > NEWEST {
            return Err(cannot(format!("its version is {version}, and nobody has tried what is newer than {NEWEST}"))
                .hint("take a Roadbed that knows it, or a server of an older version"));
        }
        if self.word("role").is_some_and(|role| role != "master") {
            return Err(
                cannot("it is a replica, which takes no writes".to_owned()).hint("take the address of the primary")
            );
        }
        if self.number("cluster_enabled") == Some(1) {
            return Err(cannot("it is a part of a cluster, and apps speak to one server that has all keys".to_owned())
                .hint("take a server without cluster mode"));
        }
        Ok(())
    }

    /// What is not as declared.
    pub(crate) fn otherwise(&self, settings: &Settings) -> Vec<String> {
        let unit = settings.unit();
        let mut found = Vec::new();
        match self.number("maxmemory") {
            Some(0) => found
                .push(format!("{unit}: there is no end to its memory; declared are {} MiB", settings.max_memory >> 20)),
            Some(most) if most < settings.max_memory => {
                found.push(format!(
                    "{unit}: it holds {} MiB, declared are {} MiB",
                    most >> 20,
                    settings.max_memory >> 20
                ));
            }
            Some(_) => {}
            None => found.push(format!("{unit}: it does not say how much it holds")),
        }
        match self.word("maxmemory_policy") {
            Some(policy) if policy == settings.eviction => {}
            Some(policy) => {
                found.push(format!("{unit}: when it is full it does {policy}, declared is {}", settings.eviction))
            }
            None => found.push(format!("{unit}: it does not say what it does when it is full")),
        }
        if settings.purpose == Purpose::Durable && self.number("aof_enabled") == Some(0) {
            found.push(format!("{unit}: it writes no append-only file: what it held since its last snapshot is gone when it starts again"));
        }
        found
    }
}

pub(super) fn has_credentials(redis: &ExternalRedis) -> Result<bool, Fault> {
    Ok(!fingerprints(&redis.ground)?.is_empty() && logins(redis)?.len() >= redis.settings.apps.len())
}

pub(super) fn logins(redis: &ExternalRedis) -> Result<Vec<(AppName, Versioned)>, Fault> {
    let mut all = Vec::new();
    for app in &redis.settings.apps {
        let logins = redis.ground.logins(&redis.settings.purpose.app_secret(app))?;
        all.extend(logins.into_iter().map(|password| (app.clone(), password)));
    }
    Ok(all)
}

/// Everybody of ours who is to be there. Before there are credentials, only who needs none.
pub(super) fn wanted(redis: &ExternalRedis) -> Result<Vec<User>, Fault> {
    let Some(mark) = fingerprints(&redis.ground)?.into_iter().next() else { return Ok(Vec::new()) };
    let leases = book::read(&redis.ground.root)?;
    Ok(acl::users_elsewhere(&redis.settings, &mark, &logins(redis)?, &leases))
}

async fn listed(connection: &mut MultiplexedConnection) -> Result<Vec<acl::Listed>, RedisFault> {
    let lines: Vec<String> = cmd("ACL").arg("LIST").query_async(connection).await?;
    Ok(lines.iter().filter_map(|line| acl::parse_line(line)).collect())
}

/// The owner is off, whoever knows its digest.
fn agrees(user: &User, seen: &acl::Listed, redis: &ExternalRedis) -> bool {
    if user.name == acl::name_elsewhere(&redis.settings, OWNER) {
        return !seen.on && seen.digests.iter().eq(user.digests.iter());
    }
    acl::agrees(user, seen)
}

async fn has_its_rights(
    redis: &ExternalRedis,
    connection: &mut MultiplexedConnection,
    user: &User,
) -> Result<bool, RedisFault> {
    let key = format!("{}probe", redis.settings.key_prefix);
    let mut questions = pipe();
    for (_, command) in user.probes() {
        let dry_run = questions.cmd("ACL").arg("DRYRUN").arg(&user.name);
        for word in *command {
            dry_run.arg(if *word == "{key}" { &key } else { *word });
        }
    }
    if questions.is_empty() {
        return Ok(true);
    }
    // "OK", or a sentence that says why not.
    let answers: Vec<String> = questions.query_async(connection).await?;
    Ok(answers.iter().zip(user.probes()).all(|(answer, (right, _))| (answer == "OK") == (*right == Right::Allowed)))
}

/// Users of this environment that another secret store's authority stands for: to set their passwords would lock its apps out.
pub(super) async fn refuse_a_twin(redis: &ExternalRedis, connection: &mut MultiplexedConnection) -> Result<(), Fault> {
    let owner = acl::name_elsewhere(&redis.settings, OWNER);
    let listed = listed(connection).await.map_err(|fault| told(redis, &fault))?;
    let Some(seen) = listed.into_iter().find(|seen| seen.name == owner) else { return Ok(()) };
    let marks = fingerprints(&redis.ground)?;
    if seen.digests.iter().any(|digest| marks.contains(digest)) {
        return Ok(());
    }
    let unit = redis.settings.unit();
    let at = read(&redis.ground, &unit)?.shown();
    Err(Fault::new(format!("{unit} at {at} has users of this environment already, and they are not ours"))
        .cause(format!("another root of it made them, with a secret store of its own: so says the user {owner}"))
        .hint(format!(
            "bring back the secret store that belongs to them; if nobody needs them, `ACL DELUSER {owner}` lets them be made anew"
        )))
}

async fn refuse_small_rights(redis: &ExternalRedis, connection: &mut MultiplexedConnection) -> Result<(), Fault> {
    let lacks = match lacking(connection).await {
        Ok(lacks) if lacks.is_empty() => return Ok(()),
        Ok(lacks) => lacks.join(", "),
        Err(fault) if is_refusal(&fault) => "acl whoami, acl dryrun".to_owned(),
        Err(fault) => return Err(told(redis, &fault)),
    };
    let unit = redis.settings.unit();
    Err(Fault::new(format!("the login in the address of {unit} is not an administrator's"))
        .cause(format!("it may not {lacks}"))
        .hint(format!("`{}` with a login that may manage users", external::set(&redis.ground, &unit))))
}

async fn lacking(connection: &mut MultiplexedConnection) -> Result<Vec<String>, RedisFault> {
    let name: String = cmd("ACL").arg("WHOAMI").query_async(connection).await?;
    let mut questions = pipe();
    for command in NEEDED {
        questions.cmd("ACL").arg("DRYRUN").arg(&name).arg(command);
    }
    let answers: Vec<String> = questions.query_async(connection).await?;
    let lacks = answers.iter().zip(NEEDED).filter(|(answer, _)| *answer != "OK");
    Ok(lacks.map(|(_, command)| command[..command.len().min(2)].join(" ")).collect())
}

/// Why nobody came in.
pub(super) async fn why_not(redis: &ExternalRedis, fault: &RedisFault) -> Fault {
    let (ground, unit): (&Ground, String) = (&redis.ground, redis.settings.unit());
    let address = match read(ground, &unit) {
        Ok(address) => address,
        Err(fault) => return fault,
    };
    if is_wrong_password(fault) {
        return Fault::because(format!("{unit} at {} refuses the login of our administrator", address.shown()), fault)
            .hint(format!("`{}` sets the address with another login, read from stdin", external::set(ground, &unit)));
    }
    let tls = match redis.external.tls(ground) {
        Ok(tls) => tls,
        Err(fault) => return fault,
    };
    let met = knock(&address.host, address.port, tls).await;
    let met = match (&met, address.is_encrypted) {
        // In the clear, which is for this machine alone, it matters only that somebody is there.
        (Met::Plain | Met::NotBelieved(_), false) => Met::Believed,
        _ => met,
    };
    at_the_door(&met, &unit, &address.shown(), ground).unwrap_or_else(|| told(redis, fault))
}

pub(crate) fn told(redis: &ExternalRedis, fault: &RedisFault) -> Fault {
    Fault::because(format!("the external {} does not answer as it should", redis.settings.unit()), fault)
        .hint("it is somebody else's server: see what its provider shows of it")
        .retry_safe()
}
