//! The table for people, in `docs/infra/environments.md`.

use manifest::environment::{self, Environment};
use manifest::{Change, Manifest};

use super::{Whose, mongodb, redis};
use crate::redis::Purpose;

const MEANING: &str = "\
What each kind of credential of a data service may do within its own environment: ● done, – refused by the server. It follows from
the rights that Roadbed gives. The gate's row `credentials-open-their-own-data-only` tries every cell at the living servers, and tries
each credential at the servers of every other environment on the machine, where it opens nothing: no login, and none of these
operations.
";

/// The section, or nothing where there is no data service.
pub fn page(manifest: &Manifest) -> String {
    let all = environments(manifest);
    let of_mongodb = all.iter().find_map(|environment| environment.mongodb.as_ref());
    let of_redis: Vec<environment::Redis> = all.iter().filter_map(|environment| environment.redis.clone()).collect();
    if of_mongodb.is_none() && of_redis.is_empty() {
        return String::new();
    }
    let mut page = format!("\n## Who may do what to whose data\n\n{MEANING}");
    page += &of_mongodb.map(for_mongodb).unwrap_or_default();
    if !of_redis.is_empty() {
        page += &for_redis(&of_redis);
    }
    page
}

/// Each as it is, one of those that there are many of.
fn environments(manifest: &Manifest) -> Vec<Environment> {
    let changes = [Change::PullRequest(1), Change::Branch("any other".to_owned())];
    let many = changes.iter().filter_map(|change| manifest.target(change));
    let names = manifest.environments().into_iter().map(Into::into).chain(many);
    names.filter_map(|name| manifest.resolve(&name).ok()).collect()
}

fn for_mongodb(settings: &environment::MongoDb) -> String {
    let kinds = mongodb::Kind::of(settings);
    let operations = mongodb::operations(&settings.database);
    let row = |operation: &mongodb::Operation| {
        (operation.whose, operation.name, kinds.iter().map(|kind| kind.may(operation, settings)).collect())
    };
    let log_in = kinds.iter().map(|kind| *kind != mongodb::Kind::Nobody).collect();
    let rows = [(Whose::Server, "log in", log_in)].into_iter().chain(operations.iter().map(row)).collect();
    let told: Vec<String> = kinds.iter().map(|kind| kind.told()).collect();
    "\n### MongoDB\n\nAn app has a password (two users in turn, while it is rotated); what `env exec` and `db shell` lend, and who takes \
     a sample, logs in by a user of its own for a while. The rest are certificates of some hours, and the key by which members of a \
     replica set know each other.\n"
        .to_owned()
        + &table(&told, rows, ["its own database", "another database", "the server"])
}

fn for_redis(some: &[environment::Redis]) -> String {
    let kinds = redis::Kind::of(some);
    let told: Vec<String> = kinds.iter().map(|kind| kind.told().to_owned()).collect();
    let table = |purpose| {
        let operations = redis::operations(purpose, "", "");
        let row = |operation: &redis::Operation| {
            (operation.whose, operation.name, kinds.iter().map(|kind| kind.may(operation, purpose)).collect())
        };
        table(&told, operations.iter().map(row).collect(), ["keys of its prefix", "other keys", "the server"])
    };
    let mut text =
        "\n### Redis\n\nThe same in `redis` and `redis-cache`; each has passwords of its own, which open no other.\n"
            .to_owned();
    text += &table(Purpose::Durable);
    if some.iter().any(|redis| redis.replicas > 0) {
        text += "\n### Sentinels\n\nWhere there are replicas. Apps log in by their password of `redis`.\n";
        text += &table(Purpose::Sentinel);
    }
    text
}

/// Rows by whose data they are about.
fn table(kinds: &[String], rows: Vec<(Whose, &str, Vec<bool>)>, whose: [&str; 3]) -> String {
    let mut text =
        format!("\n| on | operation | {} |\n| --- | --- |{}\n", kinds.join(" | "), " :-: |".repeat(kinds.len()));
    for (of, told) in Whose::ALL.into_iter().zip(whose) {
        for (_, name, answers) in rows.iter().filter(|(whose, ..)| *whose == of) {
            let answers: Vec<&str> = answers.iter().map(|may| if *may { "●" } else { "–" }).collect();
            text += &format!("| {told} | {name} | {} |\n", answers.join(" | "));
        }
    }
    text
}
