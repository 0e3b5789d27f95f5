//! Restoring: in a scratch server first, compared there, and from there to where it is wanted.

use std::sync::Arc;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{Client, Database};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::contents::{ClusterTime, Contents};
use crate::course;
use crate::digest::Digest;
use crate::dump::{Listed, digest_of, error_code, list};
use crate::load::{Loading, difference, load};
use crate::replay::Replay;
use crate::repository::{Kind, Repository, Snapshot};
use crate::{mongo_fault, oplog};

const NAMESPACE_NOT_FOUND: i32 = 26;

/// What stands in a scratch server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Name of the base.
    pub base: String,
    pub database: String,
    /// It is as it was then.
    pub at: ClusterTime,
    /// How many changes since the base were made again.
    pub changes: u64,
}

/// The newest base that is not after `until`, and the slices that lead from it there.
fn way(snapshots: &[Snapshot], until: Option<ClusterTime>) -> Result<(Snapshot, ClusterTime, Vec<Snapshot>), Fault> {
    let bases = snapshots.iter().rev().filter_map(|snapshot| match snapshot.kind {
        Kind::Base { at: Some(at) } => Some((snapshot, at)),
        _ => None,
    });
    let mut bases = bases.filter(|(_, at)| until.is_none_or(|until| *at <= until));
    let Some((base, at)) = bases.next() else {
        let first = snapshots.iter().find(|snapshot| snapshot.is_base());
        let fault = Fault::new("there is no backup from that time or before");
        return Err(match first {
            Some(first) => fault.hint(format!("the oldest is of {}", first.taken)),
            None => fault.hint("`roadbed backup now` takes one"),
        });
    };
    let mut slices: Vec<(ClusterTime, ClusterTime, &Snapshot)> = snapshots
        .iter()
        .filter_map(|snapshot| match snapshot.kind {
            Kind::Oplog { from, to } => Some((from, to, snapshot)),
            Kind::Base { .. } => None,
        })
        // The pieces of a transaction may come shortly before.
        .filter(|(_, to, _)| *to > oplog::beginning(at))
        .collect();
    slices.sort_by_key(|(from, to, _)| (*from, *to));
    let mut led = Vec::new();
    let mut reached: Option<ClusterTime> = None;
    for (from, to, slice) in slices {
        if until.is_some_and(|until| from >= until) {
            break;
        }
        match reached {
            // Nothing that concerns the database was between, or this is told as a gap.
            Some(before) if from > before => break,
            None if from > at => break,
            Some(before) if to <= before => continue,
            _ => {}
        }
        reached = Some(to);
        led.push(slice.clone());
    }
    Ok((base.clone(), at, led))
}

/// Makes a database of a base in a scratch server, and all changes up to `until`; all that there are, where that is `None`.
///
/// # Errors
/// Where there is no base, something is damaged or is not what was saved, or changes up to `until` are not in the repository.
pub async fn rebuild(
    repository: &Repository,
    until: Option<ClusterTime>,
    covered: ClusterTime,
    client: &Client,
) -> Result<(Contents, Restored), Fault> {
    let snapshots = in_background(repository, Repository::snapshots).await?;
    let (base, at, slices) = way(&snapshots, until)?;
    let reached = slices.last().map_or(at, |slice| match slice.kind {
        Kind::Oplog { to, .. } => to.max(at),
        Kind::Base { .. } => at,
    });
    if let Some(until) = until
        && until.seconds > reached.max(covered).seconds
    {
        return Err(Fault::new(format!("changes up to {until} are not in the backup"))
            .cause(format!("it has all changes up to {}", reached.max(covered)))
            .hint("name a time before"));
    }
    let name = base.name.clone();
    let reader = Arc::new(in_background(repository, move |repository| repository.reader(&name)).await?);
    let contents = {
        let reader = reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.contents()).await;
        read.map_err(|error| Fault::because("cannot read the backup", &error))??
    };
    let Some(of) = &contents.mongodb else {
        return Err(Fault::new("this backup has no MongoDB"));
    };
    load(&reader, of, client).await?;
    let mut replay =
        Replay::new(client, &of.database, at, until.unwrap_or(ClusterTime { seconds: u32::MAX, increment: u32::MAX }));
    for slice in slices {
        let name = slice.name.clone();
        let entries = in_background(repository, move |repository| oplog::entries(&repository.reader(&name)?)).await?;
        for entry in entries {
            replay.entry(entry).await?;
        }
    }
    replay.end().await?;
    let restored =
        Restored { base: base.name, database: of.database.clone(), at: replay.last, changes: replay.applied };
    Ok((contents, restored))
}

/// What reads the repository waits for disks and unpacks.
async fn in_background<T: Send + 'static>(
    repository: &Repository,
    work: impl FnOnce(&Repository) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let repository = repository.clone();
    let done = tokio::task::spawn_blocking(move || work(&repository)).await;
    done.unwrap_or_else(|error| Err(Fault::because("cannot read the repository", &error)))
}

/// Where restored collections come to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Beside the living ones, with this at the end of their names.
    Beside { suffix: String },
    /// In place of the living ones. Collections that were not there then go.
    InPlace,
}

/// A collection that was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    pub from: String,
    pub to: String,
    pub documents: u64,
}

/// Ends the names of collections that are being filled. A crash leaves them, and the next restore takes them away.
const UNFINISHED: &str = ".roadbed-restore";

/// Copies what a scratch server has to a living one. All of it is there and was compared before anything gets its name.
///
/// # Errors
/// Where the living server refuses, or what it has differs. Then it has what it had.
pub async fn put_back(
    (scratch, saved_as): (&Client, &str),
    (living, database): (&Client, &str),
    only: Option<&str>,
    naming: &Naming,
) -> Result<Vec<Copied>, Fault> {
    let (from, to) = (scratch.database(saved_as), living.database(database));
    let failed = |error: &mongodb::error::Error| mongo_fault(format!("cannot put back {database}"), error);
    let mut listed = list(&from).await.map_err(|error| failed(&error))?;
    if let Some(only) = only {
        listed.retain(|listed| listed.name == only);
        if listed.is_empty() {
            return Err(Fault::new(format!("there was no collection {only:?} at that time"))
                .hint("`roadbed backup show` lists what a backup has"));
        }
    }
    let (views, collections): (Vec<Listed>, Vec<Listed>) = listed.into_iter().partition(|listed| listed.kind == "view");
    for listed in &collections {
        let about = from.run_command(doc! { "collStats": &listed.name }).await.map_err(|error| failed(&error))?;
        course::tell(|course| course.expects(size_in(&about)));
    }
    let mut copied = Vec::new();
    for listed in &collections {
        let unfinished = format!("{}{UNFINISHED}", listed.name);
        drop_collection(&to, &unfinished).await.map_err(|error| failed(&error))?;
        copied.push((listed, copy(&from, &to, listed, &unfinished).await?));
    }
    let mut done = Vec::new();
    for (listed, digest) in copied {
        let name = match naming {
            Naming::Beside { suffix } => format!("{}{suffix}", listed.name),
            Naming::InPlace => listed.name.clone(),
        };
        let rename = doc! {
            "renameCollection": format!("{database}.{}{UNFINISHED}", listed.name),
            "to": format!("{database}.{name}"),
            "dropTarget": *naming == Naming::InPlace,
        };
        living.database("admin").run_command(rename).await.map_err(|error| failed(&error))?;
        done.push(Copied { from: listed.name.clone(), to: name, documents: digest.documents });
    }
    if *naming == Naming::InPlace && only.is_none() {
        for view in &views {
            drop_collection(&to, &view.name).await.map_err(|error| failed(&error))?;
            Loading::begin(&to, &view.name, &view.options).await?.end(&[]).await?;
        }
        let was_there =
            |name: &str| done.iter().any(|copied| copied.to == name) || views.iter().any(|view| view.name == name);
        for listed in list(&to).await.map_err(|error| failed(&error))? {
            if !was_there(&listed.name) {
                drop_collection(&to, &listed.name).await.map_err(|error| failed(&error))?;
            }
        }
    }
    Ok(done)
}

/// Of all documents of a collection, as the server says it: by a number of one kind or another.
fn size_in(about: &Document) -> u64 {
    match about.get("size") {
        Some(Bson::Int32(size)) => u64::try_from(*size).unwrap_or(0),
        Some(Bson::Int64(size)) => u64::try_from(*size).unwrap_or(0),
        Some(Bson::Double(size)) => format!("{size:.0}").parse().unwrap_or(0),
        _ => 0,
    }
}

async fn drop_collection(database: &Database, name: &str) -> Result<(), mongodb::error::Error> {
    match database.run_command(doc! { "drop": name }).await {
        Err(error) if error_code(&error) != Some(NAMESPACE_NOT_FOUND) => Err(error),
        _ => Ok(()),
    }
}

async fn copy(from: &Database, to: &Database, listed: &Listed, name: &str) -> Result<Digest, Fault> {
    let reading =
        |error: &mongodb::error::Error| mongo_fault(format!("cannot read {} of the backup", listed.name), error);
    let mut loading = Loading::begin(to, name, &listed.options).await?;
    let documents = from.collection::<RawDocumentBuf>(&listed.name);
    let mut found = documents.find(Document::new()).await.map_err(|error| reading(&error))?;
    while found.advance().await.map_err(|error| reading(&error))? {
        loading.add(found.current().to_owned()).await?;
    }
    let sent = loading.end(&listed.indexes).await?;
    let arrived = digest_of(to, name).await.map_err(|error| reading(&error))?;
    if sent == arrived {
        Ok(sent)
    } else {
        Err(Fault::new(format!("{} did not arrive as it was saved", listed.name)).cause(difference(&sent, &arrived)))
    }
}

#[cfg(test)]
mod tests {
    use host::clock::Timestamp;

    use super::*;

    fn at(seconds: u32) -> ClusterTime {
        ClusterTime { seconds, increment: 1 }
    }

    fn snapshot(kind: Kind, seconds: u32) -> Snapshot {
        let taken = Timestamp::from_unix_millis(i64::from(seconds) * 1000);
        let name = format!("{kind:?}");
        Snapshot { name, kind, taken, bytes: 0, held: false, id: String::new() }
    }

    fn base(seconds: u32) -> Snapshot {
        snapshot(Kind::Base { at: Some(at(seconds)) }, seconds)
    }

    fn slice(from: u32, to: u32) -> Snapshot {
        snapshot(Kind::Oplog { from: at(from), to: at(to) }, to)
    }

    #[test]
    fn the_way_goes_by_the_newest_base_before_and_without_a_gap() {
        let all = [base(100), slice(95, 110), slice(110, 150), base(160), slice(150, 170), slice(180, 190)];
        let (from, _, led) = way(&all, Some(at(120))).unwrap();
        assert_eq!(from, base(100));
        assert_eq!(led, [slice(95, 110), slice(110, 150)]);
        let (from, _, led) = way(&all, None).unwrap();
        assert_eq!(from, base(160));
        // The one before has what a transaction may have written shortly before the base.
        assert_eq!(led, [slice(110, 150), slice(150, 170)], "what is after the gap is not led to");
        assert!(way(&all, Some(at(50))).is_err());
    }
}
