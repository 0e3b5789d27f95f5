//! Empty collections of a preview begin with the sample.
//!
//! Documents and the mark that they are there go in together, in one transaction for each collection: whatever is killed in between,
//! there is both or neither. What has a mark is never looked at again, whatever becomes of its documents.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use host::clock::Timestamp;
use manifest::environment;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Client, ClientSession};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

use super::file::{self, Header};
use super::rules::Rules;
use super::take::unusable;
use crate::Ground;
use crate::ground::Slot;
use crate::mongo::client::{Address, Identity, KeptClient, Trust, connect};
use crate::mongo::collections::Collections;
use crate::mongo::observe::asking;
use crate::mongo::roles::UserKey;
use crate::mongo::{Members, MongoFault, app_secret, code};

/// Which collections have begun with a sample: one document for each.
pub(crate) const MARKS: &str = "_roadbed_sample";

/// The server ends transactions after a minute.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// What the server answers to a document that does not meet the collection's schema.
const FAILED_VALIDATION: i32 = 121;

/// The sample of one environment as a resource.
#[derive(Debug)]
pub struct Seeding {
    id: ResourceId,
    needs: Vec<ResourceId>,
    settings: environment::MongoDb,
    members: Members,
    path: PathBuf,
    ground: Ground,
    /// For all looks and steps, as long as nobody else becomes primary.
    client: KeptClient,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub sample: SampleState,
    /// The collections of which something goes into samples.
    pub collections: Vec<SeenCollection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleState {
    Absent { path: PathBuf },
    Here(Header),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCollection {
    pub name: String,
    /// Digest of the rules by which it may be filled.
    pub rules: String,
    pub marked: Marked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It began with a sample.
    Seeded,
    /// The server did not take the documents of this sample.
    Refused {
        sample: String,
    },
    NotYet {
        is_empty: bool,
    },
}

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub collection: String,
    pub documents: u64,
    pub environment: String,
    pub taken: Timestamp,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, documents, environment, taken } = self;
        write!(f, "begin {collection} with {documents} documents of the sample of {environment}, {taken}")
    }
}

impl Seeding {
    /// `project` is the folder of the manifest. `None` where the environment begins with nothing.
    pub fn new(
        settings: environment::MongoDb,
        members: impl Into<Members>,
        project: &std::path::Path,
        ground: Ground,
    ) -> Option<Self> {
        let begins = settings.seed == manifest::Seed::Sample
            && !settings.apps.is_empty()
            && settings.collections.iter().any(|collection| collection.sample.is_some());
        let path = project.join(&settings.sample);
        let needs = vec![Collections::resource_id()];
        let (members, client) = (members.into(), KeptClient::default());
        begins.then(|| Self { id: Self::resource_id(), needs, settings, members, path, ground, client })
    }

    pub fn resource_id() -> ResourceId {
        ResourceId::new("mongodb/sample")
    }

    /// Does a step. Public so that what needs no journal, a test, can do one.
    ///
    /// # Errors
    /// Where the sample is damaged, or the server does not answer.
    pub async fn perform(&self, step: &Step) -> Result<(), Fault> {
        let contents = file::read(&self.path).map_err(|fault| unusable(&fault))?;
        let Some(documents) = contents.collections.get(&step.collection) else { return Ok(()) };
        let client = self.client().await?;
        let putting = tokio::time::timeout(DEADLINE, self.put(&client, &contents.header, &step.collection, documents));
        let Ok(put) = putting.await else {
            return Err(Fault::new(format!("the sample of {} takes too long to put in", step.collection)).retry_safe());
        };
        match put {
            Ok(()) => Ok(()),
            Err(error) if is_refusal(&error) => self
                .note_refusal(&client, &contents.header, &step.collection)
                .await
                .map_err(|error| asking(&error.into())),
            Err(error) => Err(asking(&error.into())),
        }
    }

    /// An app's own user: what it may do is what this takes.
    async fn client(&self) -> Result<Client, Fault> {
        let port = self.members.primary(&self.ground).await?;
        self.client.get(port, self.ground.clock.now(), || self.log_in(port))
    }

    fn log_in(&self, port: u16) -> Result<Client, Fault> {
        let app = self.settings.apps.first().expect("there is none without an app");
        let logins = self.ground.logins(&app_secret(app))?;
        let password = logins.into_iter().next().ok_or_else(|| Fault::new("no app can log in yet").retry_safe())?;
        let key = UserKey::app(&self.settings, app, Slot::of(password.version));
        let who = Identity::User { name: &key.name, database: &key.database, password: &password.secret };
        let trust = Trust::of(&self.ground)?;
        connect(&Address::Port { port, trust }, who).map_err(|fault| asking(&fault))
    }

    async fn put(&self, client: &Client, header: &Header, name: &str, documents: &[Document]) -> Result<(), Error> {
        let database = client.database(&self.settings.database);
        let collection = database.collection::<Document>(name);
        let mut session = client.start_session().await?;
        session.start_transaction().await?;
        // Somebody may have been quicker.
        let is_empty = collection.find_one(doc! {}).session(&mut session).await?.is_none();
        if is_empty && !documents.is_empty() {
            collection.insert_many(documents).session(&mut session).await?;
        }
        let mark = mark((header, name), documents.len(), None, self.ground.clock.now());
        replace_mark(&database, mark, Some(&mut session)).await?;
        session.commit_transaction().await
    }

    async fn note_refusal(&self, client: &Client, header: &Header, name: &str) -> Result<(), Error> {
        let database = client.database(&self.settings.database);
        let mark = mark((header, name), 0, Some("refused"), self.ground.clock.now());
        replace_mark(&database, mark, None).await
    }

    async fn look(&self) -> Result<Vec<SeenCollection>, Error> {
        let rules = self.settings.collections.iter().filter_map(Rules::of);
        let client = self.client().await.map_err(Error::custom)?;
        let database = client.database(&self.settings.database);
        let mut marks = BTreeMap::new();
        let mut found = database.collection::<Document>(MARKS).find(doc! {}).await?;
        while found.advance().await? {
            let mark = found.deserialize_current()?;
            let text = |key: &str| mark.get_str(key).unwrap_or_default().to_owned();
            marks.insert(text("_id"), (text("sample"), text("outcome")));
        }
        let mut seen = Vec::new();
        for rules in rules {
            let marked = match marks.remove(&rules.collection) {
                Some((sample, outcome)) if outcome == "refused" => Marked::Refused { sample },
                Some(_) => Marked::Seeded,
                None => {
                    let collection = database.collection::<Document>(&rules.collection);
                    let one = collection.find_one(doc! {}).projection(doc! { "_id": 1 }).await?;
                    Marked::NotYet { is_empty: one.is_none() }
                }
            };
            seen.push(SeenCollection { name: rules.collection, rules: rules.digest, marked });
        }
        Ok(seen)
    }
}

/// Says that a collection began with a sample, or why it did not.
pub(super) fn mark(
    (header, name): (&Header, &str),
    documents: usize,
    outcome: Option<&str>,
    now: Timestamp,
) -> Document {
    let documents = i64::try_from(documents).unwrap_or(i64::MAX);
    doc! {
        "_id": name,
        "sample": &header.id,
        "environment": &header.environment,
        "documents": documents,
        "outcome": outcome.unwrap_or("seeded"),
        "at": DateTime::from_millis(now.unix_millis()),
    }
}

pub(super) async fn replace_mark(
    database: &mongodb::Database,
    mark: Document,
    session: Option<&mut ClientSession>,
) -> Result<(), Error> {
    let id = doc! { "_id": mark.get("_id").cloned() };
    let marks = database.collection::<Document>(MARKS);
    let replace = marks.replace_one(id, mark).upsert(true);
    match session {
        Some(session) => replace.session(session).await.map(drop),
        None => replace.await.map(drop),
    }
}

/// The documents are not what this collection takes: they were taken where its schema or an index was another.
pub(super) fn is_refusal(error: &Error) -> bool {
    let is_one = |code: i32| code == FAILED_VALIDATION || code == code::DUPLICATE_KEY;
    match error.kind.as_ref() {
        ErrorKind::InsertMany(many) => many.write_errors.iter().flatten().any(|error| is_one(error.code)),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(error)) => is_one(error.code),
        ErrorKind::Command(command) => is_one(command.code),
        _ => false,
    }
}

impl Resource for Seeding {
    type Observed = Seen;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Seen, Fault> {
        let sample = match file::read_header(&self.path).map_err(|fault| unusable(&fault))? {
            Some(header) => SampleState::Here(header),
            None => SampleState::Absent { path: self.path.clone() },
        };
        let collections = self.look().await.map_err(|error| asking(&MongoFault::from(error)))?;
        Ok(Seen { sample, collections })
    }

    fn plan(&self, seen: &Seen) -> Vec<Step> {
        plan(seen)
    }

    fn drift(&self, seen: &Seen) -> Vec<String> {
        drift(seen)
    }

    async fn apply(&self, step: &Step, _begun: &Begun, _progress: &dyn Progress) -> Result<(), Fault> {
        self.perform(step).await
    }
}

fn plan(seen: &Seen) -> Vec<Step> {
    let SampleState::Here(header) = &seen.sample else { return Vec::new() };
    let step = |collection: &SeenCollection| {
        let of = header.collections.get(&collection.name).filter(|of| of.rules == collection.rules)?;
        let may_begin = match &collection.marked {
            Marked::Seeded => false,
            Marked::Refused { sample } => *sample != header.id,
            Marked::NotYet { is_empty } => *is_empty,
        };
        may_begin.then(|| Step {
            collection: collection.name.clone(),
            documents: of.documents,
            environment: header.environment.clone(),
            taken: header.taken,
        })
    };
    seen.collections.iter().filter_map(step).collect()
}

/// What begins empty, and why.
fn drift(seen: &Seen) -> Vec<String> {
    let empty = seen.collections.iter().filter(|collection| collection.marked == Marked::NotYet { is_empty: true });
    match &seen.sample {
        SampleState::Absent { path } => {
            let names: Vec<&str> = empty.map(|collection| collection.name.as_str()).collect();
            if names.is_empty() {
                return Vec::new();
            }
            let (names, path) = (names.join(", "), path.display());
            vec![format!(
                "begin {names} with a sample: there is no {path}; `roadbed sample take --env staging` makes it"
            )]
        }
        SampleState::Here(header) => {
            let by_other_rules = empty.filter_map(|collection| {
                let name = &collection.name;
                match header.collections.get(name) {
                    Some(of) if of.rules == collection.rules => None,
                    Some(_) => Some(format!(
                        "begin {name} with the sample: it was taken by other rules than roadbed.toml has now"
                    )),
                    None => Some(format!("begin {name} with the sample: it has none of it")),
                }
            });
            let refused = seen
                .collections
                .iter()
                .filter(|collection| matches!(&collection.marked, Marked::Refused { sample } if *sample == header.id));
            let refused = refused.map(|collection| {
                let name = &collection.name;
                format!(
                    "begin {name} with the sample: its documents do not meet the collection's schema or its indexes"
                )
            });
            by_other_rules.chain(refused).collect()
        }
    }
}
