//! What is needed of a backup to begin an environment anew with it, where nothing is: which base it is, and its files.

use std::sync::Arc;

use host::clock::Timestamp;
use reconcile::Fault;

use crate::contents::{ClusterTime, Contents};
use crate::digest::of_bytes;
use crate::load::read;
use crate::repository::{Kind, Reader, Snapshot};

/// The newest base that is not after `until`, and the moment that is restored: `until` itself, or the last one that is saved.
///
/// # Errors
/// Where there is none.
pub fn base_for(snapshots: &[Snapshot], until: Option<Timestamp>) -> Result<(Snapshot, ClusterTime), Fault> {
    let until = until.map(ClusterTime::until);
    let moment = |snapshot: &Snapshot| match snapshot.kind {
        Kind::Base { at } => at.unwrap_or(ClusterTime::until(snapshot.taken)),
        Kind::Oplog { to, .. } => to,
    };
    let bases = || snapshots.iter().filter(|snapshot| snapshot.is_base());
    let base = bases().filter(|base| until.is_none_or(|until| moment(base) <= until)).max_by_key(|base| moment(base));
    let Some(base) = base else {
        let fault = Fault::new("there is no backup from that time or before");
        return Err(match bases().next() {
            Some(first) => fault.hint(format!("the oldest is of {}", first.taken)),
            None => fault.hint("see whether this is the right repository"),
        });
    };
    let last = snapshots.iter().map(moment).max().unwrap_or_default();
    Ok((base.clone(), until.unwrap_or(last)))
}

/// The environment's own files, by their paths below its root, seen to be what was saved.
///
/// # Errors
/// Where one is damaged or not what was saved.
pub async fn files_of(reader: &Arc<Reader>, contents: &Contents) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut files = Vec::new();
    for file in &contents.files {
        let content = read(reader, format!("files/{}", file.path)).await?;
        if of_bytes(&content) != file.sha256 {
            return Err(Fault::new(format!("{} is not what was saved", file.path))
                .hint("an older backup may be whole: name a time before with --at"));
        }
        files.push((file.path.clone(), content));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(kind: Kind, seconds: u32) -> Snapshot {
        let taken = Timestamp::from_unix_millis(i64::from(seconds) * 1000);
        Snapshot { name: seconds.to_string(), kind, taken, bytes: 0, held: false, id: String::new() }
    }

    #[test]
    fn the_base_is_the_newest_before_and_the_moment_the_last_that_is_saved() {
        let at = |seconds| ClusterTime { seconds, increment: 1 };
        let base = |seconds| snapshot(Kind::Base { at: Some(at(seconds)) }, seconds);
        let all = [base(100), snapshot(Kind::Oplog { from: at(90), to: at(150) }, 150), base(160)];
        let time = |seconds: i64| Some(Timestamp::from_unix_millis(seconds * 1000));
        let named = |until| base_for(&all, until).map(|(base, moment)| (base.name, moment.seconds));
        assert_eq!(named(time(120)).unwrap(), ("100".to_owned(), 120));
        assert_eq!(named(None).unwrap(), ("160".to_owned(), 160));
        assert_eq!(named(time(99)).unwrap_err().hint.as_deref(), Some("the oldest is of 1970-01-01T00:01:40Z"));
    }

    #[test]
    fn an_environment_without_mongodb_goes_by_when_it_was_saved() {
        let all = [snapshot(Kind::Base { at: None }, 100), snapshot(Kind::Base { at: None }, 200)];
        let until = Timestamp::from_unix_millis(150_000);
        assert_eq!(base_for(&all, Some(until)).unwrap().0.name, "100");
    }
}
