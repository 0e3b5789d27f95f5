//! A backup that says of itself what is not so: saved once more, with other contents, by the library of repositories alone.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustic_core::repofile::{Node, NodeType, SnapshotFile};
use rustic_core::{
    BackupOptions, BytesList, Credentials, ErrorKind, FileType, Id, LsOptions, ParentOptions, ReadBackend, ReadSource,
    ReadSourceEntry, Repository, RepositoryBackends, RepositoryOptions, RusticError, RusticResult, WriteBackend,
};
use serde_json::Value;

const CONTENTS: &str = "~contents.json";

/// Files of a repository in a folder.
#[derive(Clone, Debug)]
struct Folder(PathBuf);

impl Folder {
    fn file(&self, kind: FileType, id: &Id) -> PathBuf {
        let hex = id.to_hex();
        let hex = hex.as_str();
        match kind {
            FileType::Config => self.0.join("config"),
            FileType::Pack => self.0.join("data").join(&hex[..2]).join(hex),
            _ => self.0.join(kind.dirname()).join(hex),
        }
    }
}

fn failed(error: std::io::Error) -> Box<RusticError> {
    RusticError::with_source(ErrorKind::Backend, "the folder fails", error)
}

impl ReadBackend for Folder {
    fn location(&self) -> String {
        self.0.display().to_string()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            return Ok(vec![(Id::default(), 1)]);
        }
        let folder = self.0.join(kind.dirname());
        let mut folders = vec![folder.clone()];
        if kind == FileType::Pack {
            folders = std::fs::read_dir(folder).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
        }
        let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
        let known = files.filter_map(|file| {
            let id = file.file_name().to_str()?.parse().ok()?;
            Some((id, u32::try_from(file.metadata().ok()?.len()).unwrap()))
        });
        Ok(known.collect())
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        std::fs::read(self.file(kind, id)).map(Bytes::from).map_err(failed)
    }

    fn read_partial(&self, kind: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        Ok(self.read_full(kind, id)?.slice(offset as usize..(offset + length) as usize))
    }

    fn warmup_path(&self, _: FileType, id: &Id) -> String {
        id.to_hex().as_str().to_owned()
    }
}

impl WriteBackend for Folder {
    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let path = self.file(kind, id);
        std::fs::create_dir_all(path.parent().unwrap()).map_err(failed)?;
        std::fs::write(path, content.into_vec().concat()).map_err(failed)
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        std::fs::remove_file(self.file(kind, id)).map_err(failed)
    }
}

type Entry = RusticResult<ReadSourceEntry<Cursor<Vec<u8>>>>;

struct Files(Mutex<Vec<(PathBuf, Node, Vec<u8>)>>);

impl ReadSource for Files {
    type Open = Cursor<Vec<u8>>;
    type Iter = std::vec::IntoIter<Entry>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        let entry = |(path, node, content)| Ok(ReadSourceEntry { path, node, open: Some(Cursor::new(content)) });
        all.into_iter().map(entry).collect::<Vec<Entry>>().into_iter()
    }
}

/// Saves the newest base once more, a second later, with contents that `lie` has changed.
pub(crate) fn forged(place: &Path, key: &str, lie: impl FnOnce(&mut Value)) {
    let backends = RepositoryBackends::new(Arc::new(Folder(place.to_owned())), None);
    let open = || {
        let repository = Repository::new(&RepositoryOptions::default().no_cache(true), &backends).unwrap();
        repository.open(&Credentials::password(key)).unwrap()
    };
    let all = open().get_all_snapshots().unwrap();
    let base = all.into_iter().filter(|snapshot| snapshot.label == "base").max_by_key(|snapshot| snapshot.time.clone());
    let mut base: SnapshotFile = base.unwrap();
    let reading = open().to_indexed().unwrap();
    let top = reading.node_from_path(base.tree, Path::new("")).unwrap();
    let mut files = Vec::new();
    for found in reading.ls(&top, &LsOptions::default()).unwrap() {
        let (path, node) = found.unwrap();
        if node.node_type != NodeType::Dir {
            let mut content = Vec::new();
            reading.dump(&node, &mut content).unwrap();
            files.push((Path::new("/").join(path), node, content));
        }
    }
    let (path, node, content) = files.last_mut().unwrap();
    assert_eq!(*path, Path::new("/").join(CONTENTS));
    let mut said: Value = serde_json::from_slice(content).unwrap();
    lie(&mut said);
    *content = serde_json::to_vec(&said).unwrap();
    node.meta.size = content.len() as u64;
    let mut described: Value = serde_json::from_str(base.description.as_deref().unwrap()).unwrap();
    described["name"] = format!("{}-forged", described["name"].as_str().unwrap()).into();
    described["taken"] = (described["taken"].as_i64().unwrap() + 1000).into();
    base.description = Some(described.to_string());
    base.time = base.time.checked_add(Duration::from_secs(1)).unwrap();
    let options = BackupOptions::default().no_scan(true).parent_opts(ParentOptions::default().force(true));
    let writing = open().to_indexed_ids().unwrap();
    writing.archive(&options, &Files(Mutex::new(files)), base, &[PathBuf::from("/")]).unwrap();
}
