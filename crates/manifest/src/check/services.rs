//! Data services.

use super::{collections, known_environments};
use crate::environment::MongoDb;
use crate::findings::Findings;
use crate::id::EnvName;
use crate::naming::BranchSlug;
use crate::resolve::{driver_of_mongodb, pool, pools};
use crate::scalars::Bytes;
use crate::source::At;
use crate::tables::{Document, EnvironmentTable, MongoDbTable, Per};
use crate::target::{EnvRef, Instance};

/// Smallest cache that WiredTiger takes.
const LEAST_CACHE: Bytes = Bytes(256 << 20);
/// Redis with less has no room for its own buffers.
const LEAST_MEMORY: Bytes = Bytes(8 << 20);
/// Longest name of a database in MongoDB.
const LONGEST_DATABASE: usize = 63;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    if let Some(mongodb) = &document.services.mongodb {
        known_environments(mongodb.r#in.iter().map(|(name, _)| name), &document.environments, findings);
        for (environment, table) in document.environments.iter() {
            let longest = format!("{}_{}", document.product.name, longest_slug(environment, table));
            if longest.len() > LONGEST_DATABASE {
                findings
                    .error(
                        environment.span,
                        format!("the database would be named {longest}, longer than {LONGEST_DATABASE} characters"),
                    )
                    .hint("shorten the name of the environment or the product");
            }
        }
        for (name, collection) in mongodb.collections.iter() {
            collections::check(name, collection, findings);
        }
        pools_that_the_server_holds(mongodb, document, findings);
        let own = mongodb.r#in.iter().filter_map(|(_, own)| own.cache.as_ref());
        for cache in std::iter::once(&mongodb.cache).chain(own) {
            at_least(LEAST_CACHE, "256 MiB", "WiredTiger's cache", cache, findings);
        }
    }
    if let Some(redis) = &document.services.redis {
        known_environments(redis.r#in.iter().map(|(name, _)| name), &document.environments, findings);
        let own = redis.r#in.iter().filter_map(|(_, own)| own.memory.as_ref());
        for memory in std::iter::once(&redis.memory).chain(own) {
            at_least(LEAST_MEMORY, "8 MiB", "the memory of Redis", memory, findings);
        }
        let caches: Vec<_> = redis.r#in.iter().filter_map(|(_, own)| own.cache.as_ref()).collect();
        for cache in redis.cache.iter().chain(caches.iter().copied()) {
            at_least(LEAST_MEMORY, "8 MiB", "the memory of Redis's cache", &cache.value.memory, findings);
        }
        if redis.cache.is_none() {
            for cache in caches {
                findings.error(cache.span, "one environment has a cache, and the others have none").hint(
                    "add cache = { memory = \"32 MiB\" } to [services.redis]: apps have the same variables everywhere",
                );
            }
        }
    }
}

/// All instances may fill their pools at once, and a server that accepts no more is an outage that nobody sees coming.
fn pools_that_the_server_holds(mongodb: &MongoDbTable, document: &Document, findings: &mut Findings) {
    for (environment, _) in document.environments.iter() {
        if driver_of_mongodb(mongodb, &environment.value).is_elsewhere() {
            continue;
        }
        let own = mongodb.r#in.get(&environment.value).and_then(|own| own.pool.as_ref());
        let given = own.or(mongodb.pool.as_ref());
        let pool = pool(mongodb, &environment.value);
        let pools = pools(document, &environment.value);
        let room = MongoDb::CONNECTIONS - MongoDb::RESERVED;
        if pool * pools > room {
            let message = format!(
                "{pool} connections in each of up to {pools} instances of {environment} are more than the {room} that MongoDB has for apps",
                environment = environment.value
            );
            findings
                .error(given.map_or(environment.span, |given| given.span), message)
                .hint(format!("`pool` may be at most {}", room / pools.max(1)));
        }
    }
}

/// The longest name that the environment goes by in others' names.
pub(super) fn longest_slug(name: &At<EnvName>, table: &EnvironmentTable) -> String {
    let instance = table.per.as_ref().map(|per| match per.value {
        Per::PullRequest => Instance::PullRequest(u32::MAX),
        Per::Branch => Instance::Branch(BranchSlug::longest()),
    });
    EnvRef { name: name.value.clone(), instance }.slug()
}

fn at_least(least: Bytes, text: &str, what: &str, given: &At<Bytes>, findings: &mut Findings) {
    if given.value < least {
        findings.error(given.span, format!("{what} must be at least {text}")).hint(format!("write \"{text}\" or more"));
    }
}
