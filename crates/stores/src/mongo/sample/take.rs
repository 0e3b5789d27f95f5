//! Taking a sample: documents are read by somebody who can only read, and leave only masked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::TryStreamExt;
use host::clock::Timestamp;
use manifest::environment::{self, Collection};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use reconcile::Fault;
use secrets::Secret;

use super::file::{Contents, Header, MOST_BYTES, OfCollection, SampleFault};
use super::masking::{Masked, Taken, mask};
use super::proof::Leak;
use super::rules::Rules;
use crate::mongo::MongoFault;
use crate::mongo::collections::filter_of;

/// Ten thousand documents, picked at random from millions by a scan.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// So many places of a leak are named: enough to see what to change.
const MOST_LEAKS: usize = 10;

/// Where and when a sample is taken.
#[derive(Clone, Debug)]
pub struct Origin {
    pub product: String,
    pub environment: String,
    pub now: Timestamp,
}

/// What became of one collection.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Told {
    pub collection: String,
    pub documents: usize,
    /// Fields that were met and did not leave.
    pub left_out: BTreeSet<String>,
}

/// Reads and masks what the manifest lets leave. `url` is of a user that may read; `on` hears of each collection that was read.
///
/// # Errors
/// Where nothing is to leave, the server does not answer, or the result would tell something that came in.
pub async fn take(
    url: &Secret,
    settings: &environment::MongoDb,
    origin: Origin,
    on: &mut (dyn FnMut(&str, usize) + Send),
) -> Result<(Contents, Vec<Told>), Fault> {
    let rules = rules_of(settings)?;
    let database = client(url).await?.database(&settings.database);
    take_by(rules, &database, origin, on).await
}

/// As [`take`], of a database that was restored where nobody else reaches it: `client` is logged in there already.
///
/// # Errors
/// As [`take`].
pub async fn take_restored(
    client: &Client,
    database: &str,
    settings: &environment::MongoDb,
    origin: Origin,
) -> Result<(Contents, Vec<Told>), Fault> {
    take_by(rules_of(settings)?, &client.database(database), origin, &mut |_, _| {}).await
}

/// The collections of which something may leave, and what.
fn rules_of(settings: &environment::MongoDb) -> Result<Vec<(&Collection, Rules)>, Fault> {
    let collections: Vec<(&Collection, Rules)> =
        settings.collections.iter().filter_map(|collection| Some((collection, Rules::of(collection)?))).collect();
    if collections.is_empty() {
        return Err(Fault::new("nothing goes into a sample: no collection says what may leave")
            .hint("add [services.mongodb.collections.NAME.sample] to roadbed.toml, with what becomes of each field"));
    }
    Ok(collections)
}

async fn take_by(
    collections: Vec<(&Collection, Rules)>,
    database: &mongodb::Database,
    origin: Origin,
    on: &mut (dyn FnMut(&str, usize) + Send),
) -> Result<(Contents, Vec<Told>), Fault> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for (collection, rules) in collections {
        let documents = tokio::time::timeout(DEADLINE, documents(database, collection, &mut bytes)).await;
        let documents =
            documents.unwrap_or_else(|_| Err(Fault::new(format!("{} takes too long to read", rules.collection))))?;
        on(&rules.collection, documents.len());
        taken.push(Taken { rules, documents });
    }
    let masked = mask(&taken, key()?).map_err(|leaks| refusal(&leaks))?;
    let id = key()?.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(sample(taken, masked, origin, id))
}

async fn client(url: &Secret) -> Result<Client, Fault> {
    let mut options = ClientOptions::parse(url.expose()).await.map_err(|error| reading(error.into()))?;
    options.app_name = Some("roadbed sample".to_owned());
    Client::with_options(options).map_err(|error| reading(error.into()))
}

async fn documents(
    database: &mongodb::Database,
    collection: &Collection,
    bytes: &mut usize,
) -> Result<Vec<Document>, Fault> {
    let Some(sample) = &collection.sample else { return Ok(Vec::new()) };
    let filter = sample.filter.as_deref().map(filter_of).unwrap_or_default();
    let pipeline = vec![doc! { "$match": filter }, doc! { "$sample": { "size": i64::from(sample.limit) } }];
    let collection = database.collection::<Document>(collection.name.as_str());
    let mut found = collection.aggregate(pipeline).await.map_err(|error| reading(error.into()))?;
    let mut documents = Vec::new();
    while let Some(document) = found.try_next().await.map_err(|error| reading(error.into()))? {
        *bytes += document.to_vec().map_or(0, |bytes| bytes.len());
        if *bytes > MOST_BYTES {
            return Err(unusable(&SampleFault::TooLarge));
        }
        documents.push(document);
    }
    Ok(documents)
}

fn sample(taken: Vec<Taken>, masked: Masked, origin: Origin, id: String) -> (Contents, Vec<Told>) {
    let Masked { collections, mut left_out } = masked;
    let of = |taken: Taken| {
        let documents = collections.get(&taken.rules.collection).map_or(0, Vec::len) as u64;
        (taken.rules.collection, OfCollection { documents, rules: taken.rules.digest })
    };
    let header = Header {
        id,
        product: origin.product,
        environment: origin.environment,
        taken: origin.now,
        collections: taken.into_iter().map(of).collect::<BTreeMap<_, _>>(),
    };
    let told = collections.iter().map(|(name, documents)| Told {
        collection: name.clone(),
        documents: documents.len(),
        left_out: nameable(left_out.remove(name).unwrap_or_default()),
    });
    let told = told.collect();
    (Contents { header, collections }, told)
}

/// Where keys of documents are somebody's address or name, they are not told.
fn nameable(ways: BTreeSet<String>) -> BTreeSet<String> {
    const MOST: usize = 20;
    let is_plain = |way: &String| {
        way.len() <= 60
            && way.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.' | b'A'..=b'Z'))
    };
    ways.into_iter().filter(is_plain).take(MOST).collect()
}

fn key() -> Result<[u8; 32], Fault> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| Fault::because("cannot draw a key to mask with", &error))?;
    Ok(key)
}

/// Where it was found and what it is; never the value.
fn refusal(leaks: &BTreeSet<Leak>) -> Fault {
    let fault = Fault::new("no sample was written: something that came in would leave");
    let told = leaks.iter().take(MOST_LEAKS);
    let fault =
        told.fold(fault, |fault, leak| fault.cause(format!("{} of {}: {}", leak.field, leak.collection, leak.what)));
    fault.hint("mask these fields too, or leave them out: [services.mongodb.collections.NAME.sample] in roadbed.toml")
}

fn reading(error: MongoFault) -> Fault {
    Fault::because("cannot read what goes into the sample", &error).hint("see `roadbed logs mongodb`").retry_safe()
}

pub(super) fn unusable(fault: &SampleFault) -> Fault {
    match std::error::Error::source(fault) {
        Some(source) => Fault::because(fault.to_string(), source).hint(fault.hint()),
        None => Fault::new(fault.to_string()).hint(fault.hint()),
    }
}
