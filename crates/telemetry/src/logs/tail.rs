//! Reading on in a log file from where it was left, whoever moved it aside meanwhile.
//!
//! ```text
//!   api-1.log.3  api-1.log.2  api-1.log.1  api-1.log      what is not read yet, the oldest first
//! ```
//!
//! A file is known by its inode and its first line, never by its name: names move on with each rotation, and inodes are given out
//! again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::files;
use sha2::{Digest, Sha256};

/// The keeper and the edge keep so many beside the one that is written.
const KEPT: u32 = 3;

/// So much of a file's beginning is its own: a line has its time in front.
const BEGINNING: usize = 256;

/// A file is read in pieces of this size. The keeper's longest line, with every character escaped, is below it.
const CHUNK: usize = 512 * 1024;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity([u8; 16]);

/// How far it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which log it is of.
    pub(crate) log: String,
    pub(crate) bytes: u64,
}

impl Identity {
    /// `None`: it has no whole line yet, or none that is long enough to be its own.
    fn of(file: &mut File) -> io::Result<Option<Self>> {
        let inode = file.metadata()?.ino();
        let mut beginning = Vec::with_capacity(BEGINNING);
        file.seek(SeekFrom::Start(0))?;
        file.by_ref().take(BEGINNING as u64).read_to_end(&mut beginning)?;
        let end = match beginning.iter().position(|byte| *byte == b'\n') {
            Some(end) => end,
            None if beginning.len() == BEGINNING => BEGINNING,
            None => return Ok(None),
        };
        let mut digest = Sha256::new();
        digest.update(inode.to_be_bytes());
        digest.update(&beginning[..end]);
        let mut identity = [0; 16];
        identity.copy_from_slice(&digest.finalize()[..16]);
        Ok(Some(Self(identity)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// One log, with what was moved aside of it.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) log: String,
    path: PathBuf,
    open: Option<Open>,
    /// The files that were there at the last look around.
    seen: Vec<Identity>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    identity: Identity,
    at: u64,
    /// Nobody writes to it any more.
    is_aside: bool,
    /// The rest of a line that was too long.
    is_skipping: bool,
}

/// A piece of a log.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) identity: Identity,
    /// Whole lines, each with where it ends in the file.
    pub(crate) lines: Vec<(String, u64)>,
    /// Files that came and went before they were read.
    pub(crate) has_gap: bool,
    /// Lines that were longer than any may be, and are cut.
    pub(crate) cut: u64,
}

impl Tail {
    pub(crate) fn new(log: String, path: PathBuf) -> Self {
        Self { log, path, open: None, seen: Vec::new() }
    }

    /// What comes next. `None`: nothing yet.
    pub(crate) fn next(&mut self, known: &HashMap<Identity, Position>) -> io::Result<Option<Piece>> {
        let mut has_gap = false;
        for _ in 0..=KEPT + 1 {
            if self.open.is_none() {
                let (open, gap) = self.find(known)?;
                has_gap |= gap;
                self.open = open;
            }
            let Some(open) = &mut self.open else { return Ok(None) };
            // Asked before the read: what is written between the two is read with the next turn.
            open.is_aside = open.is_aside || inode(&self.path)? != Some(open.inode);
            let is_aside = open.is_aside;
            if let Some(mut piece) = open.read()? {
                piece.has_gap = has_gap;
                return Ok(Some(piece));
            }
            if !is_aside {
                return Ok(None);
            }
            self.open = None;
        }
        Ok(None)
    }

    /// Goes back to what is known to be kept: the last piece was not.
    pub(crate) fn rewind(&mut self) {
        self.open = None;
    }

    /// Whether it is one of the files that this log consists of by now.
    pub(crate) fn has(&self, identity: &Identity) -> bool {
        self.seen.contains(identity)
    }

    /// The oldest file that is not read to its end.
    fn find(&mut self, known: &HashMap<Identity, Position>) -> io::Result<(Option<Open>, bool)> {
        let was_read = known.values().any(|position| position.log == self.log);
        let mut is_connected = false;
        let mut first = None;
        self.seen.clear();
        for age in (0..=KEPT).rev() {
            let Some(mut file) = open(&generation(&self.path, age))? else { continue };
            let Some(identity) = Identity::of(&mut file)? else { continue };
            self.seen.push(identity);
            let meta = file.metadata()?;
            let before = known.get(&identity).map(|position| position.bytes);
            is_connected |= before.is_some();
            // A file that is shorter than what was read of it was cut by somebody.
            let at = before.filter(|bytes| *bytes <= meta.len()).unwrap_or(0);
            if first.is_none() && (at < meta.len() || age == 0) {
                let found = Open { file, inode: meta.ino(), identity, at, is_aside: age > 0, is_skipping: false };
                first = Some(found);
            }
        }
        let has_gap = was_read && !is_connected && first.is_some();
        Ok((first, has_gap))
    }
}

impl Open {
    fn read(&mut self) -> io::Result<Option<Piece>> {
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut piece = Piece { identity: self.identity, lines: Vec::new(), has_gap: false, cut: 0 };
        let mut begins = 0;
        for end in memchr::memchr_iter(b'\n', &bytes) {
            let line = &bytes[begins..end];
            begins = end + 1;
            let is_rest = std::mem::take(&mut self.is_skipping);
            if !line.is_empty() && !is_rest {
                piece.lines.push((text(line), self.at + begins as u64));
            }
        }
        let rest = &bytes[begins..];
        if begins == 0 && rest.len() == CHUNK {
            // No end in sight: its beginning is kept, the rest is passed over.
            if !self.is_skipping {
                piece.lines.push((cut(rest), self.at + CHUNK as u64));
                piece.cut += 1;
            }
            self.is_skipping = true;
            begins = CHUNK;
        } else if self.is_aside && rest.len() < CHUNK && self.at + bytes.len() as u64 >= self.file.metadata()?.len() {
            // Nobody ends this line any more.
            if !rest.is_empty() && !self.is_skipping {
                piece.lines.push((text(rest), self.at + bytes.len() as u64));
            }
            begins = bytes.len();
        }
        if begins == 0 {
            return Ok(None);
        }
        self.at += begins as u64;
        // Empty lines and the rest of a cut one are read too.
        if piece.lines.is_empty() {
            piece.lines.push((String::new(), self.at));
        } else if let Some(last) = piece.lines.last_mut() {
            last.1 = self.at;
        }
        Ok(Some(piece))
    }
}

/// A line longer than this is kept to here. The keeper cuts at the same length, before escaping.
const LONGEST: usize = 64 * 1024;

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

fn cut(line: &[u8]) -> String {
    text(&line[..LONGEST.min(line.len())]) + host::process::line::CUT_MARK
}

fn generation(path: &Path, age: u32) -> PathBuf {
    if age == 0 { path.to_owned() } else { PathBuf::from(format!("{}.{age}", path.display())) }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match files::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(fault) if fault.is_not_found() => Ok(None),
        Err(fault) => Err(fault.source),
    }
}

fn inode(path: &Path) -> io::Result<Option<u64>> {
    match files::metadata(path) {
        Ok(meta) => Ok(Some(meta.ino())),
        Err(fault) if fault.is_not_found() => Ok(None),
        Err(fault) => Err(fault.source),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use host::files::Access;

    use super::*;

    struct Reader {
        tail: Tail,
        known: HashMap<Identity, Position>,
    }

    impl Reader {
        fn new(path: &Path) -> Self {
            Self { tail: Tail::new("api-1".into(), path.to_owned()), known: HashMap::new() }
        }

        /// All that is there, and whether something was missed.
        fn all(&mut self) -> (Vec<String>, bool) {
            let (mut lines, mut gap) = (Vec::new(), false);
            while let Some(piece) = self.tail.next(&self.known).unwrap() {
                gap |= piece.has_gap;
                for (line, bytes) in piece.lines {
                    self.known.insert(piece.identity, Position { log: "api-1".into(), bytes });
                    lines.push(line);
                }
            }
            (lines, gap)
        }
    }

    fn write(path: &Path, text: &[u8]) {
        files::open_append(path, Access::Owner).unwrap().write_all(text).unwrap();
    }

    fn rotate(path: &Path) {
        for age in (0..KEPT).rev() {
            if files::exists(&generation(path, age)) {
                files::rename(&generation(path, age), &generation(path, age + 1)).unwrap();
            }
        }
    }

    #[test]
    fn a_rotation_loses_nothing_whether_it_is_seen_or_slept_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        let mut reader = Reader::new(&path);
        assert_eq!(reader.all(), (vec![], false));
        write(&path, b"one\n");
        assert_eq!(reader.all().0, ["one"]);
        write(&path, b"two\nthr");
        rotate(&path);
        write(&path, b"four\n");
        // Nobody ends the third line any more.
        assert_eq!(reader.all(), (["two", "thr", "four"].map(str::to_owned).to_vec(), false));
        // Another reader who knows where it was.
        write(&path, b"five\n");
        rotate(&path);
        write(&path, b"six\n");
        rotate(&path);
        write(&path, b"seven\n");
        let mut next = Reader { tail: Tail::new("api-1".into(), path.clone()), known: reader.known };
        assert_eq!(next.all(), (["five", "six", "seven"].map(str::to_owned).to_vec(), false));
        // Everything that was known is gone.
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            rotate(&path);
            write(&path, line.as_bytes());
        }
        let mut late = Reader { tail: Tail::new("api-1".into(), path), known: next.known };
        assert_eq!(late.all(), (["b", "c", "d", "e"].map(str::to_owned).to_vec(), true));
    }

    #[test]
    fn half_a_line_waits_and_a_huge_one_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        let mut reader = Reader::new(&path);
        write(&path, b"first\nhal");
        assert_eq!(reader.all().0, ["first"]);
        write(&path, b"f\n");
        assert_eq!(reader.all().0, ["half"]);
        write(&path, &vec![b'x'; CHUNK * 3]);
        write(&path, b"\nafter \xff\n");
        let lines = reader.all().0;
        let lines: Vec<&String> = lines.iter().filter(|line| !line.is_empty()).collect();
        assert!(lines[0].len() < LONGEST + 20 && lines[0].ends_with("[cut]"));
        assert_eq!(lines[1..], ["after \u{fffd}"]);
    }

    #[test]
    fn another_file_with_the_same_number_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        let mut reader = Reader::new(&path);
        write(&path, b"one\ntwo\n");
        assert_eq!(reader.all().0, ["one", "two"]);
        // As when an inode is given out again: the same file, with another beginning.
        files::write(&path, b"new\nlines of more bytes\n", Access::Owner).unwrap();
        let mut next = Reader { tail: Tail::new("api-1".into(), path), known: reader.known };
        assert_eq!(next.all().0, ["new", "lines of more bytes"]);
    }
}
