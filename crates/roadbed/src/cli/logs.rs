//! `roadbed logs`: what units wrote, merged by time, and as it comes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files;
use reconcile::Fault;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::interval;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::logs_args::Logs;
use crate::cli::logs_search;
use crate::cli::names::units_named;
use crate::cli::session::Session;
use crate::render::log::{self, Entry};

/// The edge's access log: no unit's output, so it is shown only to who asks for it.
const ACCESS: &str = "access";

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub async fn run(session: &Session, args: &Logs, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let units = chosen(session, args.name.as_ref())?;
    if let Some(mut filter) = args.filter(session.clock.now()) {
        // The app by its name too: instances that are gone have no files any more.
        filter.names = args.name.as_ref().map(|name| units.iter().chain([name]).cloned().collect());
        return logs_search::run(session, (filter, &units), (args.lines, args.follow), interrupts).await;
    }
    let mut view = log::View::new(&units, session.output.data);
    let mut tails: Vec<Tail> = units.iter().map(|unit| Tail::new(unit, session.root.log_of(unit))).collect();
    let mut entries: Vec<Entry> = Vec::new();
    for tail in &mut tails {
        let mut own = tail.rotated(args.lines)?;
        own.extend(tail.new_lines()?);
        entries.extend(dated(own));
    }
    entries.sort_by_key(|entry| entry.order);
    let beginning = entries.len().saturating_sub(args.lines);
    print(session, &view, &entries[beginning..])?;
    if !args.follow {
        return Ok(Exit::Done);
    }
    let mut ticks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = interrupts.next() => return Ok(Exit::Interrupted),
            _ = ticks.tick() => {}
        }
        let units = chosen(session, args.name.as_ref())?;
        if units.len() > tails.len() {
            let new = units.iter().filter(|unit| tails.iter().all(|tail| tail.unit != **unit));
            let new: Vec<Tail> = new.map(|unit| Tail::new(unit, session.root.log_of(unit))).collect();
            tails.extend(new);
            view = log::View::new(&units, session.output.data);
        }
        let mut entries = Vec::new();
        for tail in &mut tails {
            entries.extend(dated(tail.new_lines()?));
        }
        entries.sort_by_key(|entry| entry.order);
        print(session, &view, &entries)?;
    }
}

/// What `--json` prints, one a line.
#[derive(Debug, Serialize)]
struct Document<'a> {
    unit: &'a str,
    /// `null` if the line is damaged.
    time: Option<String>,
    stream: log::Stream,
    line: &'a str,
}

fn print(session: &Session, view: &log::View, entries: &[Entry]) -> Result<(), Failure> {
    let output = &session.output;
    entries.iter().try_for_each(|entry| match (output.is_json(), entry.unit == ACCESS) {
        (false, _) => output.line(view.line(entry)),
        // It is JSON already, and better than a line of JSON in a line of JSON.
        (true, true) => output.line(&entry.line),
        (true, false) => {
            let time = entry.time.and_then(|time| time.format(&Rfc3339).ok());
            output.json(&Document { unit: &entry.unit, time, stream: entry.stream, line: &entry.line })
        }
    })
}

/// The units whose logs are asked for. Units that are gone still have logs: files tell, not the keeper.
fn chosen(session: &Session, name: Option<&String>) -> Result<Vec<String>, Failure> {
    let access_log = session.root.access_log();
    let files = files::list(&session.root.logs())?;
    let units: Vec<String> = files
        .iter()
        .filter(|path| **path != access_log && path.extension().is_some_and(|extension| extension == "log"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    if units.is_empty() {
        return Err(Failure::Work(
            Fault::new(format!("there are no logs in {} yet", session.root.path().display()))
                .hint(format!("`{}` starts the environment", session.command("up"))),
        ));
    }
    let Some(name) = name else { return Ok(units) };
    if name == ACCESS && files::exists(&access_log) {
        return Ok(vec![ACCESS.to_owned()]);
    }
    let known: Vec<&str> = units.iter().map(String::as_str).collect();
    // Which logs there are is no matter of usage: the same command is right tomorrow.
    units_named(std::slice::from_ref(name), &known).map_err(|failure| match failure {
        Failure::Usage(fault) => Failure::Work(fault),
        failure => failure,
    })
}

/// Reads one unit's log on from where it was, also when the file is replaced by a new one.
#[derive(Debug)]
struct Tail {
    unit: String,
    path: PathBuf,
    open: Option<(BufReader<File>, u64)>,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

/// A line as the keeper keeps it.
#[derive(Debug, Deserialize)]
struct Kept<'a> {
    time: &'a str,
    stream: log::Stream,
    #[serde(borrow)]
    line: std::borrow::Cow<'a, str>,
}

/// A line of the access log: all that matters here is when.
#[derive(Debug, Deserialize)]
struct Dated<'a> {
    time: &'a str,
}

impl Tail {
    fn new(unit: &str, path: PathBuf) -> Self {
        Self { unit: unit.to_owned(), path, open: None, partial: Vec::new() }
    }

    /// Lines of rotated files, as many files as it takes to have `wanted` lines with the current one.
    fn rotated(&self, wanted: usize) -> Result<Vec<Entry>, Failure> {
        let mut entries = self.entries(&self.path)?.len();
        let mut older: Vec<Entry> = Vec::new();
        for n in 1.. {
            let path = PathBuf::from(format!("{}.{n}", self.path.display()));
            if entries >= wanted || !files::exists(&path) {
                break;
            }
            let mut this = self.entries(&path)?;
            entries += this.len();
            this.append(&mut older);
            older = this;
        }
        Ok(older)
    }

    fn entries(&self, path: &Path) -> Result<Vec<Entry>, Failure> {
        let text = files::read_if_exists(path)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).lines().map(|line| self.entry(line)).collect())
    }

    /// What was written since the last call.
    fn new_lines(&mut self) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        loop {
            self.read_on(&mut entries)?;
            // Only after the old file was read to its end may the new one be opened: rotation loses no line.
            let Ok(meta) = files::metadata(&self.path) else { return Ok(entries) };
            if self.open.as_ref().is_some_and(|(_, inode)| *inode == meta.ino()) {
                return Ok(entries);
            }
            let file = files::open(&self.path)?;
            let inode = file.metadata().map_or(meta.ino(), |meta| meta.ino());
            self.open = Some((BufReader::new(file), inode));
        }
    }

    fn read_on(&mut self, entries: &mut Vec<Entry>) -> Result<(), Failure> {
        let Some((reader, _)) = &mut self.open else { return Ok(()) };
        let cannot = |error| Fault::because(format!("cannot read {}", self.path.display()), &error);
        while reader.read_until(b'\n', &mut self.partial).map_err(cannot)? > 0 {
            if self.partial.pop_if(|last| *last == b'\n').is_some() {
                entries.push(entry(&self.unit, &String::from_utf8_lossy(&self.partial)));
                self.partial.clear();
            }
        }
        Ok(())
    }

    fn entry(&self, line: &str) -> Entry {
        entry(&self.unit, line)
    }
}

/// A line without a time of its own stays behind the line that its unit wrote before.
fn dated(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut last = None;
    for entry in &mut entries {
        last = entry.time.or(last);
        entry.order = last;
    }
    entries
}

/// One line of a log. What the keeper captured is JSON with time, stream and line; the access log is JSON with a time; what
/// the keeper says of itself begins with a time; and a damaged line is shown as it is, without a time.
fn entry(unit: &str, raw: &str) -> Entry {
    let at = |time: &str| OffsetDateTime::parse(time, &Rfc3339).ok();
    let (time, stream, line) = if let Ok(kept) = serde_json::from_str::<Kept<'_>>(raw) {
        (at(kept.time), kept.stream, kept.line.into_owned())
    } else if let Ok(dated) = serde_json::from_str::<Dated<'_>>(raw) {
        (at(dated.time), log::Stream::Out, raw.to_owned())
    } else {
        let plain = raw.split_once(' ').and_then(|(time, rest)| Some((at(time)?, rest.trim_start())));
        let (time, line) = plain.map_or((None, raw), |(time, rest)| (Some(time), rest));
        (time, log::Stream::Out, line.to_owned())
    };
    Entry { unit: unit.to_owned(), time, order: time, stream, line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(path: &Path, lines: &[&str]) {
        let mut file = files::open_append(path, files::Access::Owner).unwrap();
        for line in lines {
            write!(file, "{line}").unwrap();
        }
    }

    fn lines(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.line.as_str()).collect()
    }

    const ONE: &str = "{\"time\":\"2026-01-01T00:00:00Z\",\"stream\":\"out\",\"line\":\"one\"}\n";
    const TWO: &str = "{\"time\":\"2026-01-01T00:00:00.5Z\",\"stream\":\"err\",\"line\":\"two\"}\n";
    const THREE: &str = "{\"time\":\"2026-01-01T00:00:01Z\",\"stream\":\"out\",\"line\":\"three\"}\n";

    #[test]
    fn a_followed_log_loses_no_line_when_it_is_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        write(&path, &[ONE]);
        let mut tail = Tail::new("api-1", path.clone());
        assert_eq!(lines(&tail.new_lines().unwrap()), ["one"]);
        write(&path, &[TWO]);
        files::rename(&path, &folder.path().join("api-1.log.1")).unwrap();
        write(&path, &[THREE]);
        assert_eq!(lines(&tail.new_lines().unwrap()), ["two", "three"]);
        assert!(tail.new_lines().unwrap().is_empty());
    }

    #[test]
    fn half_a_line_waits_for_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        let (head, rest) = TWO.split_at(20);
        let mut tail = Tail::new("api-1", path.clone());
        write(&path, &[ONE, head]);
        assert_eq!(lines(&tail.new_lines().unwrap()), ["one"]);
        write(&path, &[rest]);
        assert_eq!(lines(&tail.new_lines().unwrap()), ["two"]);
    }

    #[test]
    fn rotated_files_fill_up_what_the_current_one_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-1.log");
        write(&folder.path().join("api-1.log.2"), &[ONE]);
        write(&folder.path().join("api-1.log.1"), &[TWO]);
        write(&path, &[THREE]);
        let tail = Tail::new("api-1", path);
        assert_eq!(lines(&tail.rotated(3).unwrap()), ["one", "two"]);
        assert_eq!(lines(&tail.rotated(2).unwrap()), ["two"]);
        assert!(tail.rotated(1).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_line_is_shown_as_it_is() {
        let damaged = entry("api-1", "{\"time\":\"20");
        assert_eq!((damaged.line.as_str(), damaged.time), ("{\"time\":\"20", None));
    }
}
