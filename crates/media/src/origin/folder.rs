//! A folder of buckets: `FOLDER/BUCKET/KEY`. Tags of `KEY` are in `KEY.tags` beside it.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use host::beneath::open_beneath;

use super::{Facts, Found, Object, Origin, Unmet, tags};

const PIECE: usize = 64 * 1024;

#[derive(Debug)]
pub struct Folder {
    folder: PathBuf,
}

impl Folder {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn open(&self, bucket: &str, key: &str, known: Option<&str>) -> Result<Found, Unmet> {
        let relative = Path::new(bucket).join(key);
        let away = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unmet::Absent,
            _ => Unmet::Away(error.to_string()),
        };
        let mut file = open_beneath(&self.folder, &relative).map_err(away)?;
        let meta = file.metadata().map_err(away)?;
        if !meta.is_file() {
            return Err(Unmet::Absent);
        }
        let etag =
            format!("\"{:x}-{:x}-{:x}\"", meta.ino(), meta.mtime_nsec() + meta.mtime() * 1_000_000_000, meta.len());
        if known == Some(etag.as_str()) {
            return Ok(Found::Unchanged);
        }
        let mut words = String::new();
        if let Ok(mut beside) = open_beneath(&self.folder, Path::new(&format!("{}.tags", relative.display()))) {
            beside.read_to_string(&mut words).map_err(away)?;
        }
        let facts = Facts { etag, version: None, content_type: None, tags: tags(words.trim()) };
        let body = stream::iter(std::iter::from_fn(move || {
            let mut piece = vec![0; PIECE];
            match file.read(&mut piece) {
                Ok(0) => None,
                Ok(length) => {
                    piece.truncate(length);
                    Some(Ok(Bytes::from(piece)))
                }
                Err(error) => Some(Err(error)),
            }
        }));
        Ok(Found::Object(Object { facts, length: Some(meta.len()), body: body.boxed() }))
    }
}

impl Origin for Folder {
    fn get<'a>(&'a self, bucket: &'a str, key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Result<Found, Unmet>> {
        async move { self.open(bucket, key, known) }.boxed()
    }
}
