//! Changes from the oplog, made again in a scratch server.
//!
//! Documents are changed by `applyOps`, as a secondary does it; commands are given as they were given first, because the
//! internals that the oplog has of them (ids of index builds, of collections) mean nothing to another server. Transactions
//! come in pieces and happen when they are committed.

use std::collections::HashMap;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;

use crate::contents::ClusterTime;
use crate::dump::error_code;
use crate::mongo_fault;
use crate::oplog::entry_time;

/// So many are made with one command.
const BATCH: usize = 500;

/// And so many bytes: a command is a document too, and has its limit.
const BATCH_BYTES: usize = 8 << 20;

const NAMESPACE_NOT_FOUND: i32 = 26;
const INDEX_NOT_FOUND: i32 = 27;
const NAMESPACE_EXISTS: i32 = 48;

/// Makes changes again.
#[derive(Debug)]
pub(crate) struct Replay<'r> {
    client: &'r Client,
    database: &'r str,
    /// What is in the base already.
    after: ClusterTime,
    until: ClusterTime,
    pending: Vec<Document>,
    bytes: usize,
    /// Pieces of transactions that are not committed yet.
    open: HashMap<String, Vec<Document>>,
    pub(crate) applied: u64,
    pub(crate) last: ClusterTime,
}

fn failed(error: &mongodb::error::Error) -> Fault {
    mongo_fault("cannot make the changes since the backup again", error)
}

impl<'r> Replay<'r> {
    pub(crate) fn new(client: &'r Client, database: &'r str, after: ClusterTime, until: ClusterTime) -> Self {
        let (pending, open) = (Vec::new(), HashMap::new());
        Self { client, database, after, until, pending, bytes: 0, open, applied: 0, last: after }
    }

    /// One entry, in order.
    pub(crate) async fn entry(&mut self, entry: Document) -> Result<(), Fault> {
        let time = entry_time(&entry);
        if time > self.until {
            return Ok(());
        }
        let is_new = time > self.after;
        if is_new {
            self.last = self.last.max(time);
        }
        match entry.get_str("op").unwrap_or_default() {
            "i" | "u" | "d" if is_new => self.change(&entry).await,
            "c" => self.command(&entry, is_new).await,
            _ => Ok(()),
        }
    }

    /// What is still to be made.
    pub(crate) async fn end(&mut self) -> Result<(), Fault> {
        self.flush().await
    }

    async fn change(&mut self, operation: &Document) -> Result<(), Fault> {
        let namespace = operation.get_str("ns").unwrap_or_default();
        let is_ours = namespace.strip_prefix(self.database).is_some_and(|rest| rest.starts_with('.'));
        if !is_ours {
            return Ok(());
        }
        let mut plain = Document::new();
        for field in ["op", "ns", "o", "o2"] {
            if let Some(value) = operation.get(field) {
                plain.insert(field, value.clone());
            }
        }
        let bytes = plain.to_vec().map_or(BATCH_BYTES, |bytes| bytes.len());
        if self.pending.len() >= BATCH || self.bytes + bytes > BATCH_BYTES {
            self.flush().await?;
        }
        self.bytes += bytes;
        self.pending.push(plain);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let operations = std::mem::take(&mut self.pending);
        self.bytes = 0;
        self.applied += operations.len() as u64;
        // Not all or nothing: that would be one transaction, with its limits.
        let command = doc! { "applyOps": operations, "allowAtomic": false };
        self.client.database("admin").run_command(command).await.map(drop).map_err(|error| failed(&error))
    }

    async fn command(&mut self, entry: &Document, is_new: bool) -> Result<(), Fault> {
        let Ok(command) = entry.get_document("o") else { return Ok(()) };
        let transaction = transaction_of(entry);
        if let Ok(operations) = command.get_array("applyOps") {
            let operations: Vec<Document> = operations.iter().filter_map(|one| one.as_document().cloned()).collect();
            let flag = |name: &str| command.get_bool(name).unwrap_or(false);
            if let Some(transaction) = transaction {
                let pieces = self.open.entry(transaction.clone()).or_default();
                pieces.extend(operations);
                if flag("partialTxn") || flag("prepare") {
                    return Ok(());
                }
                let pieces = self.open.remove(&transaction).unwrap_or_default();
                return self.changes(pieces, is_new).await;
            }
            return self.changes(operations, is_new).await;
        }
        if command.contains_key("commitTransaction") || command.contains_key("abortTransaction") {
            let pieces = transaction.and_then(|name| self.open.remove(&name)).unwrap_or_default();
            let is_made = is_new && command.contains_key("commitTransaction");
            return self.changes(pieces, is_made).await;
        }
        let is_ours = entry.get_str("ns").unwrap_or_default() == format!("{}.$cmd", self.database);
        if is_new && is_ours { self.definition(command).await } else { Ok(()) }
    }

    async fn changes(&mut self, operations: Vec<Document>, is_made: bool) -> Result<(), Fault> {
        for operation in operations.iter().filter(|_| is_made) {
            if operation.get_str("op").unwrap_or_default() == "c" {
                if let Ok(command) = operation.get_document("o") {
                    self.definition(command).await?;
                }
            } else {
                self.change(operation).await?;
            }
        }
        Ok(())
    }

    /// A command about collections and indexes.
    async fn definition(&mut self, command: &Document) -> Result<(), Fault> {
        self.flush().await?;
        let Some((name, _)) = command.iter().next() else { return Ok(()) };
        let text = |key: &str| command.get_str(key).unwrap_or_default().to_owned();
        let (database, made) = match name.as_str() {
            "create" => {
                let mut create = command.clone();
                create.remove("idIndex");
                (self.database, create)
            }
            "createIndexes" => {
                let mut index = command.clone();
                index.remove("createIndexes");
                index.remove("v");
                (self.database, doc! { "createIndexes": text("createIndexes"), "indexes": [index] })
            }
            "commitIndexBuild" => {
                let indexes: Vec<Bson> = command.get_array("indexes").cloned().unwrap_or_default();
                (self.database, doc! { "createIndexes": text("commitIndexBuild"), "indexes": without_version(indexes) })
            }
            "dropIndexes" | "deleteIndexes" => {
                (self.database, doc! { "dropIndexes": text(name), "index": text("index") })
            }
            "renameCollection" => {
                let drops = !matches!(command.get("dropTarget"), None | Some(Bson::Boolean(false)));
                let rename = doc! { "renameCollection": text(name), "to": text("to"), "dropTarget": drops };
                ("admin", rename)
            }
            "drop" | "collMod" | "dropDatabase" | "convertToCapped" => (self.database, command.clone()),
            // How an index is built is nobody's business; that it was, comes later.
            _ => return Ok(()),
        };
        self.applied += 1;
        match self.client.database(database).run_command(made).await {
            Ok(_) => Ok(()),
            // It is as it shall be: what the command did is in the base already.
            Err(error)
                if matches!(error_code(&error), Some(NAMESPACE_NOT_FOUND | INDEX_NOT_FOUND | NAMESPACE_EXISTS)) =>
            {
                Ok(())
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

fn without_version(indexes: Vec<Bson>) -> Vec<Bson> {
    let plain = |index: Bson| match index {
        Bson::Document(mut index) => {
            index.remove("v");
            index.into()
        }
        other => other,
    };
    indexes.into_iter().map(plain).collect()
}

/// Which transaction an entry belongs to.
fn transaction_of(entry: &Document) -> Option<String> {
    let number = entry.get("txnNumber")?;
    let session = entry.get_document("lsid").ok()?;
    Some(format!("{:?} {number:?}", session.get("id")))
}
