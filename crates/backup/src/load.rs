//! A database made from what was saved of it, or copied from another.

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::{Client, Database};
use reconcile::Fault;

use crate::contents::{OfMongo, collection_folder, metadata_path, part_path};
use crate::course;
use crate::digest::Digest;
use crate::mongo_fault;
use crate::oplog::documents;
use crate::repository::Reader;

/// So many documents, or bytes, are sent at once.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 8 << 20;

/// Where documents are put.
#[derive(Debug)]
pub(crate) struct Loading {
    database: Database,
    name: String,
    batch: Vec<RawDocumentBuf>,
    bytes: usize,
    pub(crate) digest: Digest,
}

fn failed(name: &str, error: &mongodb::error::Error) -> Fault {
    mongo_fault(format!("cannot restore {name}"), error)
}

impl Loading {
    /// Makes the collection, or the view, empty. Its indexes come last: built at once they cost less.
    pub(crate) async fn begin(database: &Database, name: &str, options: &Document) -> Result<Self, Fault> {
        let mut create = doc! { "create": name };
        create.extend(options.clone());
        create.remove("uuid");
        database.run_command(create).await.map_err(|error| failed(name, &error))?;
        let (database, name) = (database.clone(), name.to_owned());
        Ok(Self { database, name, batch: Vec::new(), bytes: 0, digest: Digest::default() })
    }

    pub(crate) async fn add(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.digest.add(document.as_bytes());
        self.bytes += document.as_bytes().len();
        self.batch.push(document);
        if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let bytes = std::mem::take(&mut self.bytes) as u64;
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let collection = self.database.collection::<RawDocumentBuf>(&self.name);
        // What was there before a rule came is there all the same.
        let put = collection.insert_many(batch).ordered(false).bypass_document_validation(true).await;
        put.map_err(|error| failed(&self.name, &error))?;
        course::tell(|course| course.went(bytes));
        Ok(())
    }

    /// Builds the indexes.
    pub(crate) async fn end(mut self, indexes: &[Document]) -> Result<Digest, Fault> {
        self.flush().await?;
        let is_own = |index: &&Document| index.get_str("name").unwrap_or_default() != "_id_";
        let mut wanted: Vec<Document> = indexes.iter().filter(is_own).cloned().collect();
        for index in &mut wanted {
            index.remove("v");
            index.remove("ns");
        }
        if !wanted.is_empty() {
            let create = doc! { "createIndexes": &self.name, "indexes": wanted };
            self.database.run_command(create).await.map_err(|error| failed(&self.name, &error))?;
        }
        Ok(self.digest)
    }
}

/// Options and indexes of a collection, as they were saved.
pub(crate) fn metadata(bytes: &[u8]) -> Result<(Document, Vec<Document>), Fault> {
    let read = Document::from_reader(bytes)
        .map_err(|error| Fault::because("cannot use what is said of a collection", &error))?;
    let indexes = read.get_array("indexes").into_iter().flatten();
    let indexes = indexes.filter_map(|index| index.as_document().cloned()).collect();
    Ok((read.get_document("options").cloned().unwrap_or_default(), indexes))
}

/// Puts everything of a base into a server that has nothing of it, and compares what was read with what was said.
pub(crate) async fn load(reader: &std::sync::Arc<Reader>, contents: &OfMongo, client: &Client) -> Result<(), Fault> {
    let database = client.database(&contents.database);
    course::tell(|course| course.expects(contents.collections.iter().map(|of| of.digest.bytes).sum()));
    // Views last: they are made of others.
    let (views, collections): (Vec<_>, Vec<_>) = contents.collections.iter().partition(|one| one.kind == "view");
    for of in collections.into_iter().chain(views) {
        let folder = collection_folder(&contents.database, &of.name);
        let (options, indexes) = metadata(&read(reader, metadata_path(&folder)).await?)?;
        let mut loading = Loading::begin(&database, &of.name, &options).await?;
        for number in 0..of.parts {
            let part = read(reader, part_path(&folder, number)).await?;
            let mut all = Vec::new();
            documents(&part, |document| {
                all.push(document.to_owned());
                Ok(())
            })?;
            for document in all {
                loading.add(document).await?;
            }
        }
        if loading.digest != of.digest {
            return Err(Fault::new(format!("the backup of {} is not what was saved", of.name))
                .cause(difference(&of.digest, &loading.digest))
                .hint("`roadbed backup verify` looks for damage; an older backup may be whole"));
        }
        loading.end(&indexes).await?;
    }
    Ok(())
}

/// What is wrong, in figures.
pub(crate) fn difference(saved: &Digest, found: &Digest) -> String {
    if saved.documents == found.documents {
        format!("all {} documents are there, and some are others", saved.documents)
    } else {
        format!("{} documents were saved, {} are there", saved.documents, found.documents)
    }
}

/// Reading waits for the disk and unpacks: not where others wait.
pub(crate) async fn read(reader: &std::sync::Arc<Reader>, path: String) -> Result<Vec<u8>, Fault> {
    let reader = reader.clone();
    let read = tokio::task::spawn_blocking(move || reader.read(&path)).await;
    read.unwrap_or_else(|error| Err(Fault::because("cannot read the backup", &error)))
}
