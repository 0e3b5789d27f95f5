//! The file of a sample: `gzip` of documents in BSON, one after the other, each with its own length.
//!
//! | document | what |
//! | --- | --- |
//! | first | `{ format: "roadbed-sample", version: 1, id, product, environment, taken, collections: { NAME: { documents, rules } } }` |
//! | each further | `{ c: NAME, d: DOCUMENT }` |
//! | last | `{ end: { documents, sha256 } }`, the digest of all bytes before it, as they are unpacked |
//!
//! `rules` is the digest of what the manifest said about the collection when it was taken: a sample by other rules is not used.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use host::clock::Timestamp;
use host::files::{self, Access, FileFault};
use mongodb::bson::{DateTime, Document, doc};
use sha2::{Digest, Sha256};

const FORMAT: &str = "roadbed-sample";

/// Raised when a field changes its meaning.
const VERSION: i32 = 1;

/// Unpacked. All of it is in memory while it is put into a preview.
pub const MOST_BYTES: usize = 128 << 20;

/// What a sample is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub id: String,
    pub product: String,
    /// Where it was taken.
    pub environment: String,
    pub taken: Timestamp,
    pub collections: BTreeMap<String, OfCollection>,
}

/// What is in it of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfCollection {
    pub documents: u64,
    /// Digest of the rules by which it was taken.
    pub rules: String,
}

/// A whole sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    pub header: Header,
    pub collections: BTreeMap<String, Vec<Document>>,
}

/// A sample that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SampleFault {
    #[error("cannot use the sample {}", path.display())]
    File { path: PathBuf, source: FileFault },
    #[error("the sample {} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("the sample {} has format {found}, this program knows {VERSION}", path.display())]
    Newer { path: PathBuf, found: i32 },
    #[error("the sample would have more than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
}

impl SampleFault {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "see whether the disk is full and the folder is yours",
            Self::Damaged { .. } => "take it again with `roadbed sample take`, or remove the file to begin empty",
            Self::Newer { .. } => "use the Roadbed that took it, or take it again",
            Self::TooLarge => "lower `limit` of the largest collection, or leave large fields out",
        }
    }
}

/// Packs a sample and writes it: the one of before is there until the new one is whole. Its folder is kept out of repositories.
pub fn write(path: &Path, contents: &Contents) -> Result<(), SampleFault> {
    let bytes = pack(contents)?;
    let cannot = |source| SampleFault::File { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !files::is_dir(folder) {
        files::create_dir(folder, Access::Owner).map_err(cannot)?;
        let ignore = folder.join(".gitignore");
        files::write_durable(&ignore, b"# Samples are nobody's to commit.\n*\n", Access::Owner).map_err(cannot)?;
    }
    files::write_durable(path, &bytes, Access::Owner).map_err(cannot)
}

/// What the sample at `path` is, `None` if there is none. The rest of it is not looked at.
pub fn read_header(path: &Path) -> Result<Option<Header>, SampleFault> {
    if !files::exists(path) {
        return Ok(None);
    }
    let file = files::open(path).map_err(|source| SampleFault::File { path: path.to_owned(), source })?;
    Reading::new(path, file).header().map(Some)
}

/// The whole of it, if it is whole.
pub fn read(path: &Path) -> Result<Contents, SampleFault> {
    let file = files::open(path).map_err(|source| SampleFault::File { path: path.to_owned(), source })?;
    unpack(path, file)
}

fn pack(contents: &Contents) -> Result<Vec<u8>, SampleFault> {
    let mut packer =
        Packer { out: GzEncoder::new(Vec::new(), Compression::default()), digest: Sha256::new(), bytes: 0 };
    packer.add(&document_of(&contents.header))?;
    let mut documents = 0_i64;
    for (name, of_collection) in &contents.collections {
        for document in of_collection {
            packer.add(&doc! { "c": name, "d": document.clone() })?;
            documents += 1;
        }
    }
    let sha256 = hex(packer.digest.clone());
    packer.add(&doc! { "end": { "documents": documents, "sha256": sha256 } })?;
    Ok(packer.out.finish().expect("memory takes all"))
}

struct Packer {
    out: GzEncoder<Vec<u8>>,
    digest: Sha256,
    bytes: usize,
}

impl Packer {
    fn add(&mut self, document: &Document) -> Result<(), SampleFault> {
        let bytes = document.to_vec().map_err(|_| SampleFault::TooLarge)?;
        self.bytes += bytes.len();
        if self.bytes > MOST_BYTES {
            return Err(SampleFault::TooLarge);
        }
        self.digest.update(&bytes);
        self.out.write_all(&bytes).expect("memory takes all");
        Ok(())
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unpack(path: &Path, packed: impl Read) -> Result<Contents, SampleFault> {
    let mut reading = Reading::new(path, packed);
    let header = reading.header()?;
    let mut collections: BTreeMap<String, Vec<Document>> =
        header.collections.keys().map(|name| (name.clone(), Vec::new())).collect();
    let mut documents = 0_i64;
    loop {
        let before = hex(reading.digest.clone());
        let mut next = reading.next()?;
        if let Ok(end) = next.get_document("end") {
            if end.get_i64("documents").ok() != Some(documents) || end.get_str("sha256").ok() != Some(before.as_str()) {
                return Err(reading.damaged("its checksum is another"));
            }
            // The checksum of gzip itself comes after all that it packs.
            let mut rest = [0; 1];
            match reading.packed.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => return Err(reading.damaged("something follows its end")),
                Err(error) => return Err(reading.damaged(&error.to_string())),
            }
        }
        let Some(name) = next.get_str("c").ok().map(str::to_owned) else {
            return Err(reading.damaged("a document of none"));
        };
        let Ok(document) = next.get_document_mut("d").map(std::mem::take) else {
            return Err(reading.damaged("a collection without a document"));
        };
        let Some(of_collection) = collections.get_mut(&name) else {
            return Err(reading.damaged("a document of a collection that it does not name"));
        };
        of_collection.push(document);
        documents += 1;
    }
    let is_whole = |(name, of): (&String, &OfCollection)| collections[name].len() as u64 == of.documents;
    if !header.collections.iter().all(is_whole) {
        return Err(reading.damaged("documents are missing"));
    }
    Ok(Contents { header, collections })
}

/// Documents as they come out of a file.
struct Reading<'p, R: Read> {
    path: &'p Path,
    packed: io::Take<GzDecoder<R>>,
    digest: Sha256,
}

impl<'p, R: Read> Reading<'p, R> {
    fn new(path: &'p Path, packed: R) -> Self {
        let packed = GzDecoder::new(packed).take(MOST_BYTES as u64 + 1);
        Self { path, packed, digest: Sha256::new() }
    }

    fn damaged(&self, why: &str) -> SampleFault {
        SampleFault::Damaged { path: self.path.to_owned(), why: why.to_owned() }
    }

    fn next(&mut self) -> Result<Document, SampleFault> {
        // The largest that MongoDB takes, and what is around it here.
        const MOST: usize = (16 << 20) + 1024;
        let mut length = [0; 4];
        self.packed.read_exact(&mut length).map_err(|error| self.damaged(&error.to_string()))?;
        let total = usize::try_from(i32::from_le_bytes(length)).ok().filter(|total| (5..=MOST).contains(total));
        let Some(total) = total else { return Err(self.damaged("a document of no possible length")) };
        let mut bytes = vec![0; total];
        bytes[..4].copy_from_slice(&length);
        self.packed.read_exact(&mut bytes[4..]).map_err(|error| self.damaged(&error.to_string()))?;
        self.digest.update(&bytes);
        Document::from_reader(bytes.as_slice()).map_err(|error| self.damaged(&error.to_string()))
    }

    fn header(&mut self) -> Result<Header, SampleFault> {
        let document = self.next()?;
        if document.get_str("format").ok() != Some(FORMAT) {
            return Err(self.damaged("it is no sample"));
        }
        match document.get_i32("version") {
            Ok(VERSION) => header_of(&document).ok_or_else(|| self.damaged("it does not say what it is")),
            Ok(found) => Err(SampleFault::Newer { path: self.path.to_owned(), found }),
            Err(_) => Err(self.damaged("it does not say which version it is")),
        }
    }
}

fn document_of(header: &Header) -> Document {
    let of = |of: &OfCollection| {
        let documents = i64::try_from(of.documents).unwrap_or(i64::MAX);
        doc! { "documents": documents, "rules": &of.rules }
    };
    let collections: Document = header.collections.iter().map(|(name, it)| (name.clone(), of(it).into())).collect();
    doc! {
        "format": FORMAT,
        "version": VERSION,
        "id": &header.id,
        "product": &header.product,
        "environment": &header.environment,
        "taken": DateTime::from_millis(header.taken.unix_millis()),
        "collections": collections,
    }
}

fn header_of(document: &Document) -> Option<Header> {
    let text = |key: &str| document.get_str(key).ok().map(str::to_owned);
    let collections = document.get_document("collections").ok()?.iter().map(|(name, of)| {
        let of = of.as_document()?;
        let documents = u64::try_from(of.get_i64("documents").ok()?).ok()?;
        Some((name.clone(), OfCollection { documents, rules: of.get_str("rules").ok()?.to_owned() }))
    });
    Some(Header {
        id: text("id")?,
        product: text("product")?,
        environment: text("environment")?,
        taken: Timestamp::from_unix_millis(document.get_datetime("taken").ok()?.timestamp_millis()),
        collections: collections.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let of = |documents| OfCollection { documents, rules: "0123456789abcdef".to_owned() };
        Contents {
            header: Header {
                id: "a1".to_owned(),
                product: "shop".to_owned(),
                environment: "staging".to_owned(),
                taken: Timestamp::from_unix_millis(1_795_680_000_123),
                collections: [("orders".to_owned(), of(2)), ("users".to_owned(), of(0))].into(),
            },
            collections: [
                ("orders".to_owned(), vec![doc! { "_id": 1, "n": 2_i64 }, doc! { "_id": "b", "x": [1.5] }]),
                ("users".to_owned(), Vec::new()),
            ]
            .into(),
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_its_folder_is_no_repository_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples/mongodb.sample");
        assert_eq!(read_header(&path).unwrap(), None);
        write(&path, &contents()).unwrap();
        assert_eq!(read_header(&path).unwrap(), Some(contents().header));
        assert_eq!(read(&path).unwrap(), contents());
        assert!(files::read_string(&folder.path().join("samples/.gitignore")).unwrap().lines().any(|line| line == "*"));
    }

    #[test]
    fn a_sample_that_is_cut_or_changed_anywhere_is_damaged_and_not_a_smaller_one() {
        let path = Path::new("mongodb.sample");
        let whole = pack(&contents()).unwrap();
        assert_eq!(unpack(path, whole.as_slice()).unwrap(), contents());
        for length in 0..whole.len() {
            assert!(matches!(unpack(path, &whole[..length]), Err(SampleFault::Damaged { .. })), "cut to {length}");
        }
        // The first ten bytes are gzip's own: times and systems that mean nothing.
        for at in 10..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(unpack(path, changed.as_slice()).is_err(), "byte {at}");
        }
        let more = [whole.as_slice(), whole.as_slice()].concat();
        assert_eq!(unpack(path, more.as_slice()).unwrap(), contents(), "what follows gzip's own end is not read");
    }

    #[test]
    fn a_newer_format_is_told() {
        let mut document = document_of(&contents().header);
        document.insert("version", 2);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&document.to_vec().unwrap()).unwrap();
        let packed = gzip.finish().unwrap();
        let fault = unpack(Path::new("x.sample"), packed.as_slice()).unwrap_err();
        assert_eq!(fault.to_string(), "the sample x.sample has format 2, this program knows 1");
    }
}
