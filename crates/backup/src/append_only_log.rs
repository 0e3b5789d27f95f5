//! Redis by its append-only log: all that it was told, in files to which it only appends. No fork, no second copy in memory, and
//! no user of Redis who may see everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::files::{self, Access};
use reconcile::Fault;
use redis::aio::MultiplexedConnection;

use crate::contents::{OfFile, OfRedis, escaped};
use crate::digest::of_bytes;
use crate::load::read;
use crate::parts::Sink;
use crate::repository::Reader;
use crate::scratch::{Program, Scratch};

/// Since version 7 the log is in a folder, with a list of its parts.
pub(crate) const FOLDER: &str = "appendonlydir";

/// A log may be rewritten meanwhile: then another list is there than before.
const ATTEMPTS: usize = 10;

/// Where the log of a unit lies in a snapshot.
pub(crate) fn place(unit: &str, file: &str) -> String {
    format!("redis/{}/{}", escaped(unit), file)
}

fn listed(data: &Path) -> Result<(Vec<PathBuf>, Option<Vec<u8>>), Fault> {
    let cannot = |fault: &files::FileFault| Fault::because("cannot read Redis's append-only log", fault);
    let mut all = files::list(&data.join(FOLDER)).map_err(|fault| cannot(&fault))?;
    all.sort();
    let list = all.iter().find(|path| path.extension().is_some_and(|end| end == "manifest"));
    let list = list.map(|path| files::read(path)).transpose().map_err(|fault| cannot(&fault))?;
    Ok((all, list))
}

/// Puts the log of one Redis into the sink. `keys` are those that it had before, and is asked again after.
pub(crate) async fn take(unit: &str, data: &Path, keys: (u64, u64), sink: &mut Sink) -> Result<OfRedis, Fault> {
    for _ in 0..ATTEMPTS {
        let (all, before) = listed(data)?;
        if before.is_none() {
            return Err(Fault::new(format!("cannot read the append-only log of {unit}"))
                .cause(format!("there is none in {}", data.join(FOLDER).display()))
                .hint("it takes a redis-server of version 7 with `appendonly yes`"));
        }
        let mut read = Vec::new();
        for path in &all {
            // Gone: the log was rewritten.
            let Ok(Some(content)) = files::read_if_exists(path) else { break };
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            read.push((name, content));
        }
        let (_, after) = listed(data)?;
        if read.len() != all.len() || before != after {
            continue;
        }
        let mut files = Vec::new();
        for (name, content) in read {
            let file = OfFile { path: name, bytes: content.len() as u64, sha256: of_bytes(&content) };
            sink.put(&place(unit, &file.path), content).await?;
            files.push(file);
        }
        return Ok(OfRedis { unit: unit.to_owned(), keys, files });
    }
    Err(Fault::new(format!("cannot read the append-only log of {unit}"))
        .cause("it is rewritten faster than it can be read")
        .retry_safe())
}

/// The files of a saved log by their names, seen to be what was saved.
///
/// # Errors
/// Where one is damaged or not what was saved.
pub async fn log_of(reader: &Arc<Reader>, of: &OfRedis) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut files = Vec::new();
    for file in &of.files {
        let content = read(reader, place(&of.unit, &file.path)).await?;
        if of_bytes(&content) != file.sha256 {
            return Err(Fault::new(format!("{} of {} is not what was saved", file.path, of.unit))
                .hint("`roadbed backup verify` looks for damage; an older backup may be whole"));
        }
        files.push((file.path.clone(), content));
    }
    Ok(files)
}

/// Puts a log into the data folder of a Redis that does not run.
///
/// # Errors
/// Where it cannot be written.
pub fn put_log(data: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Fault> {
    let folder = data.join(FOLDER);
    let cannot = |fault: &files::FileFault| Fault::because("cannot put Redis's log in place", fault);
    files::create_dir(&folder, Access::Owner).map_err(|fault| cannot(&fault))?;
    files.iter().try_for_each(|(name, content)| {
        files::write(&folder.join(name), content, Access::Owner).map_err(|fault| cannot(&fault))
    })
}

/// Starts a scratch redis-server on a saved log.
///
/// # Errors
/// Where the log is damaged, or the server does not take it.
pub async fn start(
    reader: &Arc<Reader>,
    of: &OfRedis,
    program: &Program,
    scratch: &mut Scratch,
) -> Result<MultiplexedConnection, Fault> {
    let files = log_of(reader, of).await?;
    scratch.redis(program, &of.unit, |place| put_log(place, &files)).await
}
