//! What two environments have different.

use serde::Serialize;

use crate::driver::External;
use crate::environment::{Environment, Runs, Source, Variable};
use crate::managed::Provider;

/// One thing that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `app api`, `variable LOG_LEVEL`
    pub subject: String,
    /// `replicas`, `value`
    pub aspect: &'static str,
    /// `None` where the left environment has no such thing.
    pub left: Option<String>,
    pub right: Option<String>,
}

/// Everything that differs, in the order of the manifest. Secrets are not in a manifest, so none can be in here.
pub fn diff(left: &Environment, right: &Environment) -> Vec<Difference> {
    let (left, right) = (facts(left), facts(right));
    let value = |facts: &[Fact], of: &Fact| {
        let found = facts.iter().find(|fact| fact.subject == of.subject && fact.aspect == of.aspect);
        found.map(|fact| fact.value.clone())
    };
    let only_right = right.iter().filter(|fact| value(&left, fact).is_none());
    left.iter()
        .chain(only_right)
        .map(|fact| Difference {
            subject: fact.subject.clone(),
            aspect: fact.aspect,
            left: value(&left, fact),
            right: value(&right, fact),
        })
        .filter(|difference| difference.left != difference.right)
        .collect()
}

struct Fact {
    subject: String,
    aspect: &'static str,
    value: String,
}

fn facts(environment: &Environment) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |subject: &str, aspect: &'static str, value: String| {
        facts.push(Fact { subject: subject.to_owned(), aspect, value });
    };
    let port = |port: Option<u16>| port.map_or_else(|| "a free one".to_owned(), |port| port.to_string());
    add("environment", "domain", environment.domain.clone());
    add("environment", "HTTP port", port(environment.ports.http));
    add("environment", "HTTPS port", port(environment.ports.https));
    for limit in &environment.rate_limits {
        let subject = format!("rate limit {}", limit.class);
        add(&subject, "rate", format!("{}, {} at once", limit.rate, limit.burst));
        add(&subject, "mode", limit.mode.to_string());
    }
    for app in &environment.apps {
        let subject = format!("app {}", app.name);
        add(&subject, "hosts", app.hosts.join(", "));
        add(&subject, "access", app.access.to_string());
        add(&subject, "largest body", mebibytes(app.longest_body));
        if let Some(cache) = app.cache {
            add(&subject, "cache", format!("{}, {} each", mebibytes(cache.memory), mebibytes(cache.largest)));
        }
        add(&subject, "protocol", app.protocol.to_string());
        if let Runs::Server(server) = &app.runs {
            let replicas = match server.scale {
                Some(scale) => format!("{} to {}", scale.min, scale.max),
                None => server.replicas.to_string(),
            };
            add(&subject, "replicas", replicas);
            add(&subject, "memory", server.memory.map_or_else(|| "unlimited".to_owned(), mebibytes));
        }
    }
    add("drift", "what others changed", environment.drift.to_string());
    add("releases", "approvals", environment.rollout.approvals.to_string());
    add("releases", "watched for", format!("{} s", environment.rollout.verify.as_secs()));
    let api = environment.api.as_ref().map_or_else(|| "nowhere".to_owned(), |api| api.listen.to_string());
    add("api", "listens at", api);
    if let Some(mongodb) = &environment.mongodb {
        add("mongodb", "is run by", run_by(mongodb.external.as_ref()));
        add("mongodb", "database", mongodb.database.clone());
        add("mongodb", "cache", mebibytes(mongodb.cache_bytes));
        add("mongodb", "oplog", mebibytes(mongodb.oplog_bytes));
        add("mongodb", "members", mongodb.members.to_string());
        add("mongodb", "connections of an instance", mongodb.pool.to_string());
        add("mongodb", "program", mongodb.program.clone().unwrap_or_else(|| "searched".to_owned()));
    }
    if let Some(redis) = &environment.redis {
        add("redis", "is run by", run_by(redis.external.as_ref()));
        add("redis", "keys begin with", redis.key_prefix.clone());
        add("redis", "memory", mebibytes(redis.max_memory));
        add("redis", "eviction", redis.eviction.clone());
        add("redis", "cache", redis.cache_memory.map_or_else(|| "none".to_owned(), mebibytes));
        add("redis", "replicas", redis.replicas.to_string());
        add("redis", "speaks REST", if redis.rest { "yes" } else { "no" }.to_owned());
        add("redis", "program", redis.program.clone().unwrap_or_else(|| "searched".to_owned()));
    }
    if let Some(media) = &environment.media {
        add("media", "delivered at", media.host.clone());
        add("media", "S3 spoken at", media.objects_host.clone());
    }
    for bucket in environment.media.iter().flat_map(|media| &media.buckets) {
        add(&format!("bucket {}", bucket.name), "name", bucket.full_name.clone());
    }
    for variable in &environment.variables {
        let subject = format!("variable {}", variable.name);
        add(&subject, "is", if variable.required { "required" } else { "optional" }.to_owned());
        add(&subject, "value", origin(variable));
        let pattern = variable.rule.pattern.as_ref();
        add(&subject, "matches", pattern.map_or_else(|| "anything".to_owned(), ToString::to_string));
    }
    facts
}

fn run_by(external: Option<&External>) -> String {
    match external.map(|external| &external.provider) {
        None => "Roadbed",
        Some(None) => "somebody else",
        Some(Some(Provider::Upstash(_))) => "Upstash",
        Some(Some(Provider::Atlas(_))) => "Atlas",
    }
    .to_owned()
}

pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn origin(variable: &Variable) -> String {
    match &variable.source {
        Source::Literal(text) => text.clone(),
        Source::Derived(template) => template.to_string(),
        Source::Generated => "generated".to_owned(),
        Source::Store => "from the secret store".to_owned(),
        Source::Ci => "from where it is built".to_owned(),
    }
}
