//! A host with SFTP, as restic reaches it: the system's `ssh` carries the bytes, the few requests of protocol 3 are made here.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use host::files::{self, Access};
use host::process::dialogue::{self, Dialogue};
use host::process::find_in_path;
use rustic_core::{FileType, Id};
use zeroize::Zeroizing;

use super::{Because, Pace, Shelf, Unmet, id_of, path_of, size};

/// What every server takes in one request.
const PIECE: u32 = 32 << 10;

/// So many requests are under way at once: their answers fit into a pipe.
const UNDER_WAY: usize = 32;

/// No answer is longer: a page of names.
const LONGEST: u32 = 4 << 20;

const MISSING: u32 = 2;
const NOT_ALLOWED: u32 = 3;
const UNSUPPORTED: u32 = 8;
const END: u32 = 1;

const PATH: &str = "/usr/bin:/bin:/usr/local/bin";

pub(crate) struct Sftp {
    user: String,
    host: String,
    port: u16,
    path: String,
    /// As `known_hosts` has it.
    known: String,
    key: Zeroizing<String>,
    line: Mutex<Option<Line>>,
}

impl std::fmt::Debug for Sftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sftp").field("at", &self.shown()).finish_non_exhaustive()
    }
}

/// A connection.
struct Line {
    dialogue: Dialogue,
    next: u32,
    can_sync: bool,
    can_replace: bool,
}

/// What went wrong on a line: of the request, after which the line goes on, or of the line itself.
enum Bad {
    Status(u32, String),
    Line(String),
}

impl From<std::io::Error> for Bad {
    fn from(error: std::io::Error) -> Self {
        Self::Line(error.to_string())
    }
}

type Done<T> = Result<T, Bad>;

/// A message on its way out.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn long(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn text(mut self, text: &[u8]) -> Self {
        self = self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(text);
        self
    }
}

/// A message that came in.
struct Came<'c>(&'c [u8]);

impl<'c> Came<'c> {
    fn take(&mut self, length: usize) -> Done<&'c [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| Bad::Line("an answer is cut off".to_owned()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Done<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn long(&mut self) -> Done<u64> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    fn text(&mut self) -> Done<&'c [u8]> {
        let length = self.number()?;
        self.take(length as usize)
    }

    /// Attributes, of which the size is wanted.
    fn size(&mut self) -> Done<u64> {
        let flags = self.number()?;
        let bytes = if flags & 1 != 0 { self.long()? } else { 0 };
        if flags & 2 != 0 {
            self.take(8)?;
        }
        if flags & 4 != 0 {
            self.take(4)?;
        }
        if flags & 8 != 0 {
            self.take(8)?;
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.number()? {
                self.text()?;
                self.text()?;
            }
        }
        Ok(bytes)
    }
}

const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const WRITE: u8 = 6;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const REMOVE: u8 = 13;
const MKDIR: u8 = 14;
const STAT: u8 = 17;
const RENAME: u8 = 18;
const EXTENDED: u8 = 200;
const STATUS: u8 = 101;

const FOR_READING: u32 = 1;
/// Write, create, truncate.
const FOR_WRITING: u32 = 2 | 8 | 16;
const PERMISSIONS: u32 = 4;

impl Line {
    fn send(&mut self, kind: u8, body: Message) -> Done<u32> {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let length = u32::try_from(body.0.len() + 5).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(body.0.len() + 9);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&body.0);
        self.dialogue.input.write_all(&bytes)?;
        Ok(id)
    }

    fn receive(&mut self) -> Done<(u8, Vec<u8>)> {
        let mut length = [0; 4];
        self.dialogue.output.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if !(1..=LONGEST).contains(&length) {
            return Err(Bad::Line("what answers there does not speak SFTP".to_owned()));
        }
        let mut kind = [0; 1];
        self.dialogue.output.read_exact(&mut kind)?;
        let mut body = vec![0; length as usize - 1];
        self.dialogue.output.read_exact(&mut body)?;
        Ok((kind[0], body))
    }

    /// The answer to one of the requests under way: whose, its kind and what follows.
    fn answer(&mut self) -> Done<(u32, u8, Vec<u8>)> {
        let (kind, body) = self.receive()?;
        let id = Came(&body).number()?;
        Ok((id, kind, body[4..].to_vec()))
    }

    /// Asks, and takes a status that is no success for an error.
    fn ask(&mut self, kind: u8, body: Message) -> Done<Vec<u8>> {
        let id = self.send(kind, body)?;
        let (answers, kind, body) = self.answer()?;
        if answers != id {
            return Err(Bad::Line("an answer is to no request".to_owned()));
        }
        if kind == STATUS { good(&body).map(|()| body) } else { Ok(body) }
    }

    fn open(&mut self, path: &str, flags: u32) -> Done<Vec<u8>> {
        let attributes = Message::default().text(path.as_bytes()).number(flags);
        let attributes =
            if flags == FOR_READING { attributes.number(0) } else { attributes.number(PERMISSIONS).number(0o600) };
        let body = self.ask(OPEN, attributes)?;
        Ok(Came(&body).text()?.to_vec())
    }

    fn close(&mut self, handle: &[u8]) -> Done<()> {
        self.ask(CLOSE, Message::default().text(handle)).map(drop)
    }

    /// Makes a folder; one that is there is fine.
    fn folder(&mut self, path: &str) -> Done<()> {
        let made = self.ask(MKDIR, Message::default().text(path.as_bytes()).number(PERMISSIONS).number(0o700));
        match made {
            Err(Bad::Status(code, text)) => {
                let there = self.ask(STAT, Message::default().text(path.as_bytes()));
                if there.is_ok() { Ok(()) } else { Err(Bad::Status(code, text)) }
            }
            made => made.map(drop),
        }
    }

    fn size(&mut self, path: &str) -> Done<u64> {
        let body = self.ask(STAT, Message::default().text(path.as_bytes()))?;
        Came(&body).size()
    }

    fn read(&mut self, path: &str, part: Option<(u32, u32)>) -> Done<Vec<u8>> {
        let (offset, length) = match part {
            Some((offset, length)) => (u64::from(offset), u64::from(length)),
            None => (0, self.size(path)?),
        };
        let handle = self.open(path, FOR_READING)?;
        let read = self.read_open(&handle, offset, length);
        let closed = self.close(&handle);
        let read = read?;
        closed?;
        Ok(read)
    }

    fn read_open(&mut self, handle: &[u8], offset: u64, length: u64) -> Done<Vec<u8>> {
        let mut content = vec![0; usize::try_from(length).unwrap_or(0)];
        // Which requests are under way: where in the content, and how much.
        let mut under_way: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
        let mut wanted: Vec<(u64, u32)> = Vec::new();
        let mut at = 0;
        while at < length {
            let piece = u32::try_from((length - at).min(u64::from(PIECE))).unwrap_or(PIECE);
            wanted.push((at, piece));
            at += u64::from(piece);
        }
        wanted.reverse();
        loop {
            while under_way.len() < UNDER_WAY {
                let Some((at, piece)) = wanted.pop() else { break };
                let ask = Message::default().text(handle).long(offset + at).number(piece);
                under_way.insert(self.send(READ, ask)?, (at, piece));
            }
            if under_way.is_empty() {
                return Ok(content);
            }
            let (id, kind, body) = self.answer()?;
            let (at, piece) =
                under_way.remove(&id).ok_or_else(|| Bad::Line("an answer is to no request".to_owned()))?;
            if kind == STATUS {
                // The others under way are not waited for: the line is given up.
                return Err(match good(&body) {
                    Err(Bad::Status(END, _)) => Bad::Line("a file is shorter than it says".to_owned()),
                    Err(Bad::Status(_, text)) => Bad::Line(text),
                    _ => Bad::Line("an answer makes no sense".to_owned()),
                });
            }
            let data = Came(&body).text()?;
            let begin = usize::try_from(at).unwrap_or(0);
            let end = begin + data.len().min(piece as usize);
            content[begin..end].copy_from_slice(&data[..end - begin]);
            // Less than asked for: the rest is asked for again.
            let got = u32::try_from(end - begin).unwrap_or(piece);
            if got == 0 {
                return Err(Bad::Line("a file is shorter than it says".to_owned()));
            }
            if got < piece {
                wanted.push((at + u64::from(got), piece - got));
            }
        }
    }

    /// Beside, synced, then under its name.
    fn write(&mut self, path: &str, content: &[u8], pace: &Pace) -> Done<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let beside = format!("{path}.{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let handle = self.open(&beside, FOR_WRITING)?;
        let (mut under_way, mut offset, mut refused) = (0, 0, None);
        for piece in pace.pieces(content) {
            if under_way == UNDER_WAY {
                under_way -= 1;
                let (_, _, body) = self.answer()?;
                refused = good(&body).err().or(refused);
            }
            self.send(WRITE, Message::default().text(&handle).long(offset).text(piece))?;
            under_way += 1;
            offset += piece.len() as u64;
        }
        for _ in 0..under_way {
            let (_, _, body) = self.answer()?;
            refused = good(&body).err().or(refused);
        }
        let written = match refused {
            Some(bad) => Err(bad),
            None if self.can_sync => {
                self.ask(EXTENDED, Message::default().text(b"fsync@openssh.com").text(&handle)).map(drop)
            }
            None => Ok(()),
        };
        let closed = self.close(&handle);
        let named = written.and(closed).and_then(|()| self.rename(&beside, path));
        if named.is_err() {
            let _ = self.ask(REMOVE, Message::default().text(beside.as_bytes()));
        }
        named
    }

    fn rename(&mut self, from: &str, to: &str) -> Done<()> {
        if self.can_replace {
            let names = Message::default().text(b"posix-rename@openssh.com").text(from.as_bytes()).text(to.as_bytes());
            return self.ask(EXTENDED, names).map(drop);
        }
        self.ask(RENAME, Message::default().text(from.as_bytes()).text(to.as_bytes())).map(drop)
    }

    /// Names and sizes of what is in a folder.
    fn list(&mut self, path: &str) -> Done<Vec<(String, u64)>> {
        let body = self.ask(OPENDIR, Message::default().text(path.as_bytes()))?;
        let handle = Came(&body).text()?.to_vec();
        let mut all = Vec::new();
        loop {
            let body = match self.ask(READDIR, Message::default().text(&handle)) {
                Err(Bad::Status(END, _)) => break,
                body => body?,
            };
            let mut came = Came(&body);
            for _ in 0..came.number()? {
                let name = String::from_utf8_lossy(came.text()?).into_owned();
                came.text()?;
                let bytes = came.size()?;
                all.push((name, bytes));
            }
        }
        self.close(&handle)?;
        Ok(all)
    }
}

/// Whether a status says that it was done.
fn good(body: &[u8]) -> Done<()> {
    let mut came = Came(body);
    match came.number()? {
        0 => Ok(()),
        code => Err(Bad::Status(code, String::from_utf8_lossy(came.text().unwrap_or_default()).into_owned())),
    }
}

/// A file in memory for one login: ssh takes keys from files alone.
struct Kept(PathBuf);

impl Kept {
    fn new(content: &str) -> Result<Self, Unmet> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let memory = Path::new("/dev/shm");
        let folder = if files::is_dir(memory) { memory } else { Path::new("/tmp") };
        let mut random = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| Unmet::new("this machine gives no random numbers", Because::Else))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("roadbed-{}-{number}-{:016x}", std::process::id(), u64::from_le_bytes(random)));
        let created = files::write_new(&path, content.as_bytes(), Access::Owner);
        created.map_err(|fault| Unmet::new(format!("{fault}: {}", fault.source), Because::Else))?;
        Ok(Self(path))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = files::remove(&self.0);
    }
}

impl Sftp {
    pub(crate) fn new(user: &str, host: &str, port: u16, path: &str, host_key: &str, key: Zeroizing<String>) -> Self {
        let mut words = host_key.split(' ');
        let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        // The store keeps a value without the newline at its end, which ssh wants.
        let key = Zeroizing::new(format!("{}\n", key.trim_end()));
        Self {
            user: user.to_owned(),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            known: format!("{name} {kind} {body}\n"),
            key,
            line: Mutex::new(None),
        }
    }

    fn connect(&self) -> Result<Line, Unmet> {
        let Some(ssh) = find_in_path("ssh", PATH) else {
            return Err(Unmet::new("there is no ssh on this machine: install openssh-client", Because::Else));
        };
        let (key, known) = (Kept::new(&self.key)?, Kept::new(&self.known)?);
        let option = |text: String| ["-o".to_owned(), text];
        let mut args = vec!["-F".to_owned(), "/dev/null".to_owned(), "-p".to_owned(), self.port.to_string()];
        args.extend(option(format!("IdentityFile={}", key.0.display())));
        args.extend(option(format!("UserKnownHostsFile={}", known.0.display())));
        for fixed in [
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "HostKeyAlgorithms=ssh-ed25519,sk-ssh-ed25519@openssh.com",
            "UpdateHostKeys=no",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            "PreferredAuthentications=publickey",
            "ConnectTimeout=20",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "ClearAllForwardings=yes",
            "LogLevel=ERROR",
        ] {
            args.extend(option(fixed.to_owned()));
        }
        args.extend(["-s".to_owned(), format!("{}@{}", self.user, self.host), "sftp".to_owned()]);
        let env = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned()), ("PATH".to_owned(), PATH.to_owned())]);
        let dialogue =
            dialogue::start(&ssh, &args, &env).map_err(|fault| Unmet::new(format!("{fault}"), Because::Else))?;
        let mut line = Line { dialogue, next: 1, can_sync: false, can_replace: false };
        match greet(&mut line) {
            Ok(()) => Ok(line),
            Err(_) => {
                let said = line.dialogue.last_words().join("; ");
                let because = if ["Permission denied", "verification failed"].iter().any(|text| said.contains(text)) {
                    Because::Refused
                } else {
                    Because::Passing
                };
                Err(Unmet::new(format!("cannot log in at {}: {said}", self.shown()), because))
            }
        }
    }

    /// Does something on the line, a new one where there is none.
    fn on_line<T>(&self, what: &str, work: impl FnOnce(&mut Line) -> Done<T>) -> Result<T, Unmet> {
        let mut held = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = match held.take() {
            Some(line) => line,
            None => self.connect()?,
        };
        match work(&mut line) {
            Ok(done) => {
                *held = Some(line);
                Ok(done)
            }
            Err(Bad::Status(code, text)) => {
                *held = Some(line);
                let because = match code {
                    MISSING => Because::Absent,
                    NOT_ALLOWED | UNSUPPORTED => Because::Refused,
                    _ => Because::Else,
                };
                Err(Unmet::new(format!("cannot {what} at {}: {text}", self.shown()), because))
            }
            Err(Bad::Line(why)) => {
                let said = line.dialogue.last_words();
                let why = said.last().cloned().unwrap_or(why);
                Err(Unmet::new(format!("the connection to {} broke off: {why}", self.shown()), Because::Passing))
            }
        }
    }

    fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.path)
    }
}

fn greet(line: &mut Line) -> Done<()> {
    // Length, kind, version: the one message without a number.
    line.dialogue.input.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3])?;
    let (_, body) = line.receive()?;
    let mut came = Came(&body);
    came.number()?;
    while !came.0.is_empty() {
        let name = came.text()?;
        came.text()?;
        line.can_sync |= name == b"fsync@openssh.com";
        line.can_replace |= name == b"posix-rename@openssh.com";
    }
    Ok(())
}

impl Shelf for Sftp {
    fn shown(&self) -> String {
        format!("sftp://{}@{}:{}{}", self.user, self.host, self.port, self.path)
    }

    fn has_repository(&self) -> Result<bool, Unmet> {
        let path = self.below("config");
        match self.on_line("look", |line| line.size(&path)) {
            Ok(_) => Ok(true),
            Err(unmet) if unmet.because == Because::Absent => Ok(false),
            Err(unmet) => Err(unmet),
        }
    }

    fn create(&self) -> Result<(), Unmet> {
        self.on_line("make folders", |line| {
            let at = |end: usize| self.path.get(..end).unwrap_or_default();
            for (end, _) in self.path.match_indices('/').skip(1) {
                // What leads there may be no business of who logs in.
                let _ = line.folder(at(end));
            }
            line.folder(&self.path)?;
            for name in ["data", "index", "keys", "locks", "snapshots"] {
                line.folder(&self.below(name))?;
            }
            for first in 0..=255_u8 {
                line.folder(&self.below(&format!("data/{first:02x}")))?;
            }
            Ok(())
        })
    }

    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Unmet> {
        if kind == FileType::Config {
            return Ok(if self.has_repository()? { vec![(Id::default(), 0)] } else { Vec::new() });
        }
        self.on_line("list files", |line| {
            let folder = self.below(kind.dirname());
            let folders = match kind {
                FileType::Pack => {
                    let names = line.list(&folder)?.into_iter().map(|(name, _)| name).filter(|name| name.len() == 2);
                    // `..` is no folder of packs.
                    names.filter(|name| name != "..").map(|name| format!("{folder}/{name}")).collect()
                }
                _ => vec![folder],
            };
            let mut all = Vec::new();
            for folder in folders {
                all.extend(line.list(&folder)?.iter().filter_map(|(name, bytes)| Some((id_of(name)?, size(*bytes)))));
            }
            Ok(all)
        })
    }

    fn read(&self, kind: FileType, id: &Id, part: Option<(u32, u32)>) -> Result<Bytes, Unmet> {
        let path = self.below(&path_of(kind, id));
        self.on_line("read a file", |line| line.read(&path, part).map(Bytes::from))
    }

    fn write(&self, kind: FileType, id: &Id, content: &[u8], pace: &Pace) -> Result<(), Unmet> {
        let path = self.below(&path_of(kind, id));
        self.on_line("write a file", |line| line.write(&path, content, pace))
    }

    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Unmet> {
        let path = self.below(&path_of(kind, id));
        match self.on_line("take a file away", |line| line.ask(REMOVE, Message::default().text(path.as_bytes()))) {
            Err(unmet) if unmet.because == Because::Absent => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}
