//! One unit's log file: JSON lines, rotated by size.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::clock::Timestamp;
use host::files::{self, Access, FileFault};
use host::process::Stream;
use serde::{Deserialize, Serialize};

/// A log file grows to this size before it is put aside.
const LARGEST: u64 = 10 * 1024 * 1024;

/// How many are kept beside the one that is written.
const KEPT: u32 = 3;

/// How much of a log file's end is searched for its last lines.
const TAIL_BYTES: u64 = 1024 * 1024;

/// One line as it lies in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    time: &'a str,
    stream: &'a str,
    line: std::borrow::Cow<'a, str>,
}

/// Lines on their way to the file, written in one go.
#[derive(Debug)]
pub(super) struct Batch {
    time: String,
    stream: String,
    bytes: Vec<u8>,
    lines: u64,
}

impl Batch {
    pub(super) fn new(now: Timestamp, stream: Stream) -> Self {
        Self { time: now.to_string(), stream: stream.to_string(), bytes: Vec::new(), lines: 0 }
    }

    pub(super) fn push(&mut self, line: &str) {
        let line = Line { time: &self.time, stream: &self.stream, line: line.into() };
        serde_json::to_writer(&mut self.bytes, &line).expect("text is written to memory");
        self.bytes.push(b'\n');
        self.lines += 1;
    }
}

/// The file that is written.
#[derive(Debug)]
pub(super) struct UnitLog {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    /// Lines that could not be written, for example because the disk was full.
    lost: u64,
}

impl UnitLog {
    /// Opens nothing yet: a log that cannot be written must not keep a unit from running.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, size: 0, lost: 0 }
    }

    /// Writes the lines. If that fails they are counted, and the count is written as soon as the file takes lines again.
    pub(super) fn append(&mut self, mut batch: Batch) -> Result<(), FileFault> {
        if batch.lines == 0 {
            return Ok(());
        }
        let lines = batch.lines;
        if self.lost > 0 {
            batch.push(&format!("roadbed: {} lines before these could not be written", self.lost));
        }
        match self.write(&batch.bytes) {
            Ok(()) => {
                self.lost = 0;
                Ok(())
            }
            Err(fault) => {
                self.lost += lines;
                // Opened anew next time, which also ends a line that was written in part.
                self.file = None;
                Err(fault)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FileFault> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.file.is_none() {
            self.open()?;
        }
        if self.size > 0 && self.size.saturating_add(length) > LARGEST {
            self.file = None;
            rotate(&self.path)?;
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(|source| FileFault::new("append to", &self.path, source))?;
        self.size += length;
        Ok(())
    }

    fn open(&mut self) -> Result<(), FileFault> {
        let fault = |source| FileFault::new("append to", &self.path, source);
        let mut file = files::open_append(&self.path, Access::Owner)?;
        self.size = file.metadata().map_err(fault)?.len();
        if self.size > 0 && last_byte(&self.path)? != b'\n' {
            file.write_all(b"\n").map_err(fault)?;
            self.size += 1;
        }
        self.file = Some(file);
        Ok(())
    }
}

fn last_byte(path: &Path) -> Result<u8, FileFault> {
    let mut byte = [0];
    let mut file = files::open(path)?;
    file.seek(SeekFrom::End(-1))
        .and_then(|_| file.read_exact(&mut byte))
        .map_err(|source| FileFault::new("read", path, source))?;
    Ok(byte[0])
}

/// Puts a log aside that somebody else writes and nobody rotates.
pub(super) fn rotate_if_large(path: &Path) -> Result<(), FileFault> {
    if files::exists(path) && files::metadata(path)?.len() > LARGEST { rotate(path) } else { Ok(()) }
}

/// Between two looks at the keeper's own log, which grows by a line for each thing that happens to a unit.
const OWN_LOOK: Duration = Duration::from_secs(10);

/// Keeps the file that the keeper itself writes to from growing for ever, as long as it is that file. Until the task is aborted.
pub(super) async fn keep_own_small(path: PathBuf) {
    loop {
        tokio::time::sleep(OWN_LOOK).await;
        if let Err(fault) = renew_own(&path) {
            tracing::error!(error = %fault.source, "cannot rotate the keeper's log: {fault}");
        }
    }
}

fn renew_own(path: &Path) -> Result<(), FileFault> {
    if !host::own::speaks_to(path) || files::metadata(path)?.len() <= LARGEST {
        return Ok(());
    }
    rotate(path)?;
    let file = files::open_append(path, Access::Owner)?;
    host::own::speak_to(&file).map_err(|source| FileFault::new("write to", path, source))
}

fn rotate(path: &Path) -> Result<(), FileFault> {
    for number in (1..KEPT).rev() {
        let from = rotated(path, number);
        if files::exists(&from) {
            files::rename(&from, &rotated(path, number + 1))?;
        }
    }
    files::rename(path, &rotated(path, 1))
}

fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The last `count` lines of a unit's log, oldest first, also from the file before if the present one is young.
pub(super) fn tail(path: &Path, count: usize) -> Result<Vec<String>, FileFault> {
    let mut lines = end_of(path)?;
    if lines.len() < count {
        let mut older = end_of(&rotated(path, 1))?;
        older.append(&mut lines);
        lines = older;
    }
    Ok(lines.split_off(lines.len().saturating_sub(count)))
}

fn end_of(path: &Path) -> Result<Vec<String>, FileFault> {
    let mut file = match files::open(path) {
        Ok(file) => file,
        Err(fault) if fault.is_not_found() => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut bytes = Vec::new();
    let from = (|| -> io::Result<u64> {
        let from = file.seek(SeekFrom::End(0))?.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from))?;
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(from)
    })()
    .map_err(|source| FileFault::new("read", path, source))?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line of a part is a part of a line.
    let whole = if from == 0 { &*text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    Ok(whole
        .lines()
        .filter_map(|line| serde_json::from_str::<Line<'_>>(line).ok())
        .map(|line| line.line.into())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::new(Timestamp::from_unix_millis(0), Stream::Err);
        lines.iter().for_each(|line| batch.push(line));
        batch
    }

    #[test]
    fn lines_are_json_with_time_and_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        UnitLog::new(path.clone()).append(batch(&["a \"b\"\u{1b}[0m"])).unwrap();
        let text = files::read_string(&path).unwrap();
        assert_eq!(text, "{\"time\":\"1970-01-01T00:00:00Z\",\"stream\":\"err\",\"line\":\"a \\\"b\\\"\\u001b[0m\"}\n");
        assert_eq!(tail(&path, 5).unwrap(), ["a \"b\"\u{1b}[0m"]);
    }

    #[test]
    fn a_half_written_line_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        files::write_durable(&path, b"{\"time\":\"19", Access::Owner).unwrap();
        UnitLog::new(path.clone()).append(batch(&["whole"])).unwrap();
        assert_eq!(tail(&path, 5).unwrap(), ["whole"]);
    }

    #[test]
    fn files_are_rotated_by_size_and_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        let mut log = UnitLog::new(path.clone());
        let long = "x".repeat(1024 * 1024);
        for number in 0..60 {
            log.append(batch(&[&format!("{number} {long}")])).unwrap();
        }
        let kept = files::list(folder.path()).unwrap();
        assert_eq!(kept.len(), 4, "{kept:?}");
        for file in &kept {
            assert!(files::metadata(file).unwrap().len() <= LARGEST);
        }
        log.append(batch(&["one", "two"])).unwrap();
        assert_eq!(tail(&path, 2).unwrap(), ["one", "two"]);
    }

    #[test]
    fn the_tail_reaches_into_the_file_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        UnitLog::new(path.clone()).append(batch(&["one", "two"])).unwrap();
        rotate(&path).unwrap();
        UnitLog::new(path.clone()).append(batch(&["three"])).unwrap();
        assert_eq!(tail(&path, 2).unwrap(), ["two", "three"]);
        assert_eq!(tail(&path, 9).unwrap(), ["one", "two", "three"]);
        assert!(tail(&folder.path().join("nobody.log"), 9).unwrap().is_empty());
    }

    #[test]
    fn lines_lost_to_a_full_disk_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub").join("api-1.log");
        let mut log = UnitLog::new(path.clone());
        assert!(log.append(batch(&["one", "two"])).is_err(), "its folder is missing");
        files::create_dir(path.parent().unwrap(), Access::Owner).unwrap();
        log.append(batch(&["three"])).unwrap();
        assert_eq!(tail(&path, 9).unwrap(), ["three", "roadbed: 2 lines before these could not be written"]);
    }
}
