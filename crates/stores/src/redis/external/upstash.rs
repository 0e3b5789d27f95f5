//! Users of a Redis at Upstash, whose `ACL` is another dialect: passwords go through `ACL GENTOKEN`, digests and subcommands are
//! refused, nothing tells what a user may without trying it, and each user has a token for REST.
//!
//! So a user is compared with what was seen of it right after it was made: its line of `ACL LIST`, whatever that holds. Whose the
//! server is needs no mark in it: it was ordered by this root.

use std::collections::BTreeMap;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Value, cmd};
use host::files::{self, Access};
use manifest::environment::Class;
use manifest::id::AppName;
use reconcile::Fault;
use secrets::{Secret, SecretName, Versioned};
use serde::{Deserialize, Serialize};

use super::look::{Observed, has_credentials, logins, told};
use super::{ExternalRedis, read};
use crate::engines::checksum;
use crate::ground::{Ground, secret_fault};
use crate::redis::door::{Door, Identity};
use crate::redis::{Purpose, RedisFault, acl, rest};

/// What an app may do, as at other servers, but for what only a subcommand would say: it may do nothing with the cache of scripts.
const APP: &str = "-@all +@all -@admin -@dangerous -function -script +info";

/// What a read-only token may do.
const READER: &str = "-@all +@read +@connection -@dangerous -scan -randomkey -dbsize";

/// A user that is to be there.
struct Wanted {
    /// As at a server of ours.
    own_name: String,
    name: String,
    password: Secret,
    commands: &'static str,
}

/// What is remembered of a user that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Of what it was told to be.
    told: String,
    /// Of what was listed of it then.
    listed: String,
}

type Marks = BTreeMap<String, Mark>;

pub(super) async fn observe(redis: &ExternalRedis) -> Result<Observed, Fault> {
    let mut connection = redis.admin().await?;
    let lines = listed(&mut connection).await.map_err(|fault| told(redis, &fault))?;
    let (wanted, marks) = (wanted(redis)?, remembered(redis)?);
    let mut put = Vec::new();
    for user in &wanted {
        let Some(line) = line_of(&lines, &user.name) else {
            put.push((user.name.clone(), "missing"));
            continue;
        };
        if marks.get(&user.name) != Some(&user.mark(redis, line)) {
            put.push((user.name.clone(), "password, keys or rights"));
        } else if has_token(redis) && redis.ground.secret(&token_secret(&user.own_name))?.is_none() {
            put.push((user.name.clone(), "token"));
        }
    }
    let beginning = acl::name_elsewhere(&redis.settings, "app-");
    let names = lines.iter().filter_map(|line| line.split(' ').nth(1)).filter(|name| name.starts_with(&beginning));
    let take_away = names.filter(|name| wanted.iter().all(|user| user.name != *name)).map(str::to_owned).collect();
    Ok(Observed { has_credentials: has_credentials(redis)?, put, take_away, otherwise: Vec::new() })
}

/// Makes a user, or makes it right; one that is retired by now stays as it is.
pub(super) async fn put(redis: &ExternalRedis, name: &str) -> Result<(), Fault> {
    let Some(user) = wanted(redis)?.into_iter().find(|user| user.name == *name) else { return Ok(()) };
    let mut connection = redis.admin().await?;
    let refused = |fault: RedisFault| {
        let unit = redis.settings.unit();
        Fault::because(format!("cannot set the user {name} of {unit} at Upstash"), &fault)
            .hint("see in its console whether ACL is enabled for this database, and for its plan")
            .retry_safe()
    };
    let password = user.password.expose();
    let token: String =
        cmd("ACL").arg("GENTOKEN").arg(name).arg(password).query_async(&mut connection).await.map_err(refused)?;
    let token = Secret::new(token);
    let mut set = cmd("ACL");
    set.arg("SETUSER").arg(name).arg("reset").arg("on").arg(format!(">{}", token.expose()));
    set.arg(user.rules(redis).split(' ').collect::<Vec<_>>());
    let _: Value = set.query_async(&mut connection).await.map_err(refused)?;
    let address = read(&redis.ground, &redis.settings.unit())?;
    let door = Door::elsewhere(&address, &redis.external, &redis.ground)?;
    door.enter(Identity::User { name, password: &user.password }).await.map(drop).map_err(refused)?;
    if has_token(redis) {
        let token: String =
            cmd("ACL").arg("RESTTOKEN").arg(name).arg(password).query_async(&mut connection).await.map_err(refused)?;
        let set = redis.ground.secrets.set(&token_secret(&user.own_name), Class::Secret, &Secret::new(token));
        set.map_err(|fault| secret_fault(&fault))?;
    }
    // Last: whoever is killed before that makes it again.
    let lines = listed(&mut connection).await.map_err(|fault| told(redis, &fault))?;
    let line = line_of(&lines, name).unwrap_or_default();
    let mut marks = remembered(redis)?;
    marks.insert(name.to_owned(), user.mark(redis, line));
    remember(redis, &marks)
}

/// The token by which an app, or who reads its keys, speaks REST.
pub(super) fn token(app: &AppName, password: &Versioned, reads: bool, ground: &Ground) -> Result<Secret, Fault> {
    let (name, _) = if reads { rest::reader(app, password) } else { rest::app(app, password) };
    let found = ground.secret(&token_secret(&name))?;
    found.map(|found| found.secret).ok_or_else(|| {
        Fault::new(format!("there is no token of {app} for Upstash's REST yet"))
            .cause(format!("the secret store has no {}", token_secret(&name)))
            .hint("`roadbed up` makes it")
    })
}

/// Apps speak REST with what holds their sessions.
fn has_token(redis: &ExternalRedis) -> bool {
    redis.settings.purpose == Purpose::Durable
}

fn token_secret(own_name: &str) -> SecretName {
    SecretName::new(format!("redis/rest/{own_name}"))
}

fn wanted(redis: &ExternalRedis) -> Result<Vec<Wanted>, Fault> {
    let mut all = Vec::new();
    for (app, password) in logins(redis)? {
        let mut add = |(own_name, password): (String, Secret), commands| {
            let name = acl::name_elsewhere(&redis.settings, &own_name);
            all.push(Wanted { own_name, name, password, commands });
        };
        add(rest::app(&app, &password), APP);
        if has_token(redis) {
            add(rest::reader(&app, &password), READER);
        }
    }
    Ok(all)
}

impl Wanted {
    /// In words of `ACL SETUSER`, without the password.
    fn rules(&self, redis: &ExternalRedis) -> String {
        let prefix = &redis.settings.key_prefix;
        let channels = if self.commands == APP { format!(" &{prefix}*") } else { String::new() };
        format!("resetkeys ~{prefix}* resetchannels{channels} {}", self.commands)
    }

    fn mark(&self, redis: &ExternalRedis, line: &str) -> Mark {
        let told = format!("{} {}", self.password.expose(), self.rules(redis));
        Mark { told: checksum::of_bytes(told.as_bytes()), listed: checksum::of_bytes(line.as_bytes()) }
    }
}

async fn listed(connection: &mut MultiplexedConnection) -> Result<Vec<String>, RedisFault> {
    cmd("ACL").arg("LIST").query_async(connection).await
}

fn line_of<'l>(lines: &'l [String], name: &str) -> Option<&'l str> {
    lines.iter().map(String::as_str).find(|line| line.split(' ').nth(1) == Some(name))
}

fn file(redis: &ExternalRedis) -> std::path::PathBuf {
    redis.ground.root.state().join(format!("upstash-users-{}.json", redis.settings.unit()))
}

/// What cannot be read is as if nothing were remembered: users are set anew, to what they are.
fn remembered(redis: &ExternalRedis) -> Result<Marks, Fault> {
    let text = files::read_if_exists(&file(redis)).map_err(|fault| crate::ground::file_fault("redis", &fault))?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
}

fn remember(redis: &ExternalRedis, marks: &Marks) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(marks).expect("texts are JSON");
    files::write_durable(&file(redis), &text, Access::Owner).map_err(|fault| crate::ground::file_fault("redis", &fault))
}
