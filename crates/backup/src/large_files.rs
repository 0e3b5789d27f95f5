//! Files that are too large to be held, on their way into a backup and back: read piece by piece, and compared with their digests.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use host::files::{self, Access, FileFault};
use reconcile::Fault;

use crate::contents::OfFile;
use crate::course::Course;
use crate::digest::{Running, of_bytes};
use crate::parts::{Sink, Wholeness};
use crate::repository::Reader;

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// A file to be saved, by its path in its folder of the backup.
#[derive(Clone, Debug)]
pub struct FileSource {
    about: OfFile,
    held: Held,
}

#[derive(Clone, Debug)]
enum Held {
    Bytes(Vec<u8>),
    /// Open, so that it stays what it is when another takes its name.
    File(Arc<File>),
}

impl FileSource {
    /// A small one.
    pub fn of_bytes(name: &str, content: Vec<u8>) -> Self {
        let about = OfFile { path: name.to_owned(), bytes: content.len() as u64, sha256: of_bytes(&content) };
        Self { about, held: Held::Bytes(content) }
    }

    /// One that is too large to be held. It is read once now, for its digest.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of_file(name: &str, file: File) -> io::Result<Self> {
        let (mut digest, mut bytes, mut chunk) = (Running::new(), 0, vec![0; CHUNK]);
        loop {
            match file.read_at(&mut chunk, bytes)? {
                0 => break,
                read => {
                    digest.add(&chunk[..read]);
                    bytes += read as u64;
                }
            }
        }
        let about = OfFile { path: name.to_owned(), bytes, sha256: digest.end() };
        Ok(Self { about, held: Held::File(Arc::new(file)) })
    }

    /// Where it lies in its folder.
    pub fn path(&self) -> &str {
        &self.about.path
    }

    /// SHA-256 of what it holds, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.about.sha256
    }
}

/// Where a file lies in a snapshot.
fn place(folder: &str, file: &OfFile) -> String {
    format!("{folder}/{}", file.path)
}

/// Puts files into the sink, as `folder`, from a thread that may wait.
pub(crate) async fn put_all(
    mut files: Vec<FileSource>,
    folder: &'static str,
    sink: &mut Sink,
    (course, wholeness): (&Arc<Course>, &Arc<Wholeness>),
) -> Result<Vec<OfFile>, Fault> {
    files.sort_by(|one, other| one.about.path.split('/').cmp(other.about.path.split('/')));
    let (mut own, course, wholeness) = (sink.another(), course.clone(), wholeness.clone());
    let about = files.iter().map(|file| file.about.clone()).collect();
    let putting = tokio::task::spawn_blocking(move || {
        for FileSource { about, held } in files {
            match held {
                Held::Bytes(content) => {
                    course.went_and_waits(about.bytes);
                    own.put_now(&place(folder, &about), content)?;
                }
                Held::File(file) => {
                    let (path, bytes) = (place(folder, &about), about.bytes);
                    let reading = Reading { file, at: 0, digest: Running::new(), about, course: course.clone() };
                    let told = Told { reading, path: path.clone(), wholeness: wholeness.clone() };
                    own.put_reading(&path, bytes, None, Box::new(told))?;
                }
            }
        }
        Ok::<_, Fault>(own.bytes)
    });
    let bytes = putting
        .await
        .unwrap_or_else(|error| Err(Fault::because(format!("cannot read {folder} for a backup"), &error)))?;
    sink.bytes += bytes;
    Ok(about)
}

/// A file on its way, held against the digest that it had before.
struct Reading {
    file: Arc<File>,
    at: u64,
    digest: Running,
    about: OfFile,
    course: Arc<Course>,
}

impl Reading {
    fn next(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.about.bytes - self.at).unwrap_or(usize::MAX).min(into.len());
        let read = self.file.read_at(&mut into[..left], self.at)?;
        if read == 0 && self.at < self.about.bytes {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
        }
        self.at += read as u64;
        self.digest.add(&into[..read]);
        self.course.went_and_waits(read as u64);
        if read > 0 && self.at == self.about.bytes {
            let found = std::mem::replace(&mut self.digest, Running::new()).end();
            if found != self.about.sha256 {
                return Err(io::Error::other("it was changed while it was read"));
            }
        }
        Ok(read)
    }
}

/// What goes wrong is told: the library that packs logs it and goes on.
struct Told {
    reading: Reading,
    path: String,
    wholeness: Arc<Wholeness>,
}

impl Read for Told {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reading.next(into).inspect_err(|error| {
            let told = format!("cannot read {} for a backup", self.path);
            self.wholeness.lacks(Fault::because(told, error).hint("`roadbed backup now` tries again"));
        })
    }
}

/// Keeps the digest of what passes through, and why it could not be written: the library that reads does not say.
struct Comparing<W> {
    into: W,
    digest: Running,
    bytes: u64,
    unwritten: Option<io::Error>,
}

impl<W: io::Write> io::Write for Comparing<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        match self.into.write(content) {
            Ok(written) => {
                self.digest.add(&content[..written]);
                self.bytes += written as u64;
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.unwritten = Some(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// A file of the backup, bit by bit, seen to be what was saved.
pub(crate) fn copy(reader: &Reader, folder: &str, of: &OfFile, into: impl io::Write) -> Result<(), Fault> {
    let path = place(folder, of);
    let node = reader.node(&path)?;
    let mut comparing = Comparing { into, digest: Running::new(), bytes: 0, unwritten: None };
    let read = reader.dump(&path, &node, &mut comparing);
    if let Some(error) = comparing.unwritten {
        return Err(Fault::because(format!("cannot put {} of the backup in place", of.path), &error)
            .hint("make room; then the same command again"));
    }
    read?;
    if (comparing.bytes, comparing.digest.end()) == (of.bytes, of.sha256.clone()) {
        Ok(())
    } else {
        Err(Fault::new(format!("{path} of the backup is not what was saved"))
            .hint("`roadbed backup verify` looks for damage; an older backup may be whole"))
    }
}

/// Writes a file to a path where nothing is, seen to be what was saved, and on disk. Waits for disks.
pub(crate) fn put_back(reader: &Reader, folder: &str, of: &OfFile, to: &Path) -> Result<(), Fault> {
    let cannot = |fault: &FileFault| {
        Fault::because(format!("cannot put {} of the backup in place", of.path), fault)
            .hint("see whether the disk is full and the folder is yours")
    };
    let file = files::create_new(to, Access::Owner).map_err(|fault| cannot(&fault))?;
    let written = copy(reader, folder, of, &file).and_then(|()| files::sync_file(to).map_err(|fault| cannot(&fault)));
    written.inspect_err(|_| {
        let _ = files::remove(to);
    })
}

/// Reads all of them; what is not as it was saved is told, each in one line.
pub(crate) fn differences(reader: &Reader, folder: &str, of: &[OfFile]) -> Vec<String> {
    let read = of.iter().map(|file| copy(reader, folder, file, io::sink()));
    read.filter_map(Result::err)
        .map(|fault| fault.causes.iter().fold(fault.message.clone(), |text, cause| text + ": " + cause))
        .collect()
}
