//! Which events are one issue.
//!
//! ```text
//!   fingerprint that the app gave, {{ default }} filled in
//!     else  types of all causes + frames of the app itself: module and function, never a line number
//!     else  type + normalised value
//!     else  normalised message
//! ```
//!
//! The way has a number, which is part of what is hashed and kept with each issue: another way makes other issues, and does not mix
//! with the ones before.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::event::{Event, Exception, Frame};
use super::normalise::normalise;
use super::symbols::Located;

/// Of the way that is described above.
pub(crate) const VERSION: i64 = 1;

/// Recursion and frameworks make longer stacks, whose outer ends say nothing new.
const FRAMES: usize = 40;

/// Titles are lines of a list.
const MAX_TITLE: usize = 200;

/// What an issue is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) key: [u8; 16],
    pub(crate) title: String,
    /// Where: function and file, or what was being done.
    pub(crate) culprit: String,
}

/// Frames of the event's exceptions, as symbolication found them: one list for each exception.
pub(crate) fn group(event: &Event<'_>, located: &[Vec<Located>]) -> Group {
    let mut default = String::new();
    by_default(event, located, &mut default);
    let mut text = format!("v{VERSION}\n");
    let given: Vec<&str> = event.fingerprint.0.iter().filter_map(|part| part.get()).take(20).collect();
    if given.is_empty() {
        text.push_str(&default);
    }
    for part in given {
        let is_default = matches!(part.replace(' ', "").as_str(), "{{default}}");
        text.push_str(if is_default { &default } else { part });
        text.push('\n');
    }
    let digest = Sha256::digest(text.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    Group { key, title: title(event), culprit: culprit(event, located) }
}

fn by_default(event: &Event<'_>, located: &[Vec<Located>], out: &mut String) {
    let mut frames_found = false;
    for (index, exception) in event.exception.0.iter().enumerate() {
        let exception = &exception.0;
        if !is_synthetic(exception) {
            let _ = writeln!(out, "type {}", exception.kind.get().unwrap_or(""));
        }
        let found = located.get(index).map(Vec::as_slice).unwrap_or_default();
        frames_found |= frames(&exception.stacktrace.0.frames.0, found, out);
        // A message has the stack of whoever said it: what was said is what counts.
        if is_synthetic(exception) {
            let _ = writeln!(out, "says {}", normalise(exception.value.get().unwrap_or("")));
        }
    }
    if event.exception.0.is_empty() {
        if let Some(message) = event.message() {
            let said = message.template.as_ref().or(message.text.as_ref()).map_or("", |text| text.as_ref());
            let _ = writeln!(out, "says {}", normalise(said));
            return;
        }
        frames_found |= frames(&event.stacktrace.0.frames.0, &[], out);
    }
    if !frames_found {
        for exception in &event.exception.0 {
            let _ = writeln!(out, "value {}", normalise(exception.0.value.get().unwrap_or("")));
        }
        if event.exception.0.is_empty() {
            let _ = writeln!(out, "in {}", event.transaction.get().unwrap_or(""));
        }
    }
}

/// Whether there was anything to go by.
fn frames(frames: &[super::lenient::Part<Frame<'_>>], located: &[Located], out: &mut String) -> bool {
    let described = |index: usize, frame: &Frame<'_>| match located.get(index).and_then(|one| one.place.as_ref()) {
        Some(place) => (place.in_app, place.source.clone(), place.function.clone().unwrap_or_default()),
        None => (frame.is_in_app(), module(frame), function(frame)),
    };
    let all: Vec<(bool, String, String)> =
        frames.iter().enumerate().map(|(index, frame)| described(index, &frame.0)).collect();
    let some_in_app = all.iter().any(|(in_app, ..)| *in_app);
    let used: Vec<_> = all.iter().filter(|(in_app, ..)| *in_app || !some_in_app).collect();
    let mut last = None;
    for (_, module, function) in used.iter().rev().take(FRAMES) {
        // Recursion of any depth is one frame.
        if last == Some((module, function)) {
            continue;
        }
        let _ = writeln!(out, "frame {module} {function}");
        last = Some((module, function));
    }
    // Code without names and without a file, as in a page's own script, tells nothing apart.
    used.iter().any(|(_, module, function)| !module.is_empty() || !function.is_empty() && !is_anonymous(function))
}

/// Its name; one without a name is known by what its line says.
fn function(frame: &Frame<'_>) -> String {
    let name = frame.function.get().filter(|name| !is_anonymous(name));
    let line = || frame.context_line.get().map(str::trim).filter(|line| !line.is_empty() && line.len() <= 200);
    name.or_else(line).unwrap_or("?").to_owned()
}

fn is_anonymous(name: &str) -> bool {
    matches!(name, "?" | "<anonymous>" | "anonymous" | "<lambda>")
}

/// Of a frame nobody symbolicated: its module, else the file without what changes with each build.
fn module(frame: &Frame<'_>) -> String {
    if let Some(module) = frame.module.get() {
        return module.to_owned();
    }
    let file = frame.filename.get().or_else(|| frame.abs_path.get()).unwrap_or("");
    without_build(file)
}

/// `https://www.shop.example/assets/index-DkT3x9aB.js?v=2` is `/assets/index.js`.
pub(crate) fn without_build(file: &str) -> String {
    let file = file.split(['?', '#']).next().unwrap_or(file);
    let file = match file.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => file,
    };
    let (folder, name) = file.rsplit_once('/').map_or(("", file), |(folder, name)| (folder, name));
    let mut kept = String::new();
    for (index, part) in name.split(['-', '.', '_']).enumerate() {
        let mixed = part.len() >= 8
            && part.chars().any(|letter| letter.is_ascii_digit() || letter.is_ascii_uppercase())
            && part.chars().all(|letter| letter.is_ascii_alphanumeric());
        if mixed {
            continue;
        }
        if index > 0 && !kept.is_empty() {
            kept.push('.');
        }
        kept.push_str(part);
    }
    format!("{folder}/{kept}")
}

fn is_synthetic(exception: &Exception<'_>) -> bool {
    exception.kind.get().is_none() && exception.value.get().is_some()
        || exception.mechanism.0.synthetic.get() == Some("true")
            && exception.kind.get().is_none_or(|kind| kind == "Error")
}

fn title(event: &Event<'_>) -> String {
    let line = |text: &str| {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
        let cut = first.floor_char_boundary(MAX_TITLE);
        if cut < first.len() { format!("{}…", &first[..cut]) } else { first.to_owned() }
    };
    // The last was thrown last, and is what was reported.
    if let Some(exception) = event.exception.0.last() {
        let (kind, value) = (exception.0.kind.get(), exception.0.value.get());
        return match (kind, value) {
            _ if is_synthetic(&exception.0) => line(value.unwrap_or("")),
            (Some(kind), Some(value)) => line(&format!("{kind}: {value}")),
            (Some(text), None) | (None, Some(text)) => line(text),
            (None, None) => "an error without a name".to_owned(),
        };
    }
    match event.message().and_then(|message| message.text.as_deref()) {
        Some(text) => line(text),
        None => "an event without a message".to_owned(),
    }
}

fn culprit(event: &Event<'_>, located: &[Vec<Located>]) -> String {
    let innermost = event.exception.0.len().checked_sub(1).and_then(|index| {
        let frames = &event.exception.0[index].0.stacktrace.0.frames.0;
        let found = located.get(index).map(Vec::as_slice).unwrap_or_default();
        let at = |at: usize| found.get(at).and_then(|one| one.place.as_ref());
        let in_app = |place: usize| at(place).map_or(frames[place].0.is_in_app(), |found| found.in_app);
        let chosen = (0..frames.len()).rev().find(|place| in_app(*place)).or(frames.len().checked_sub(1))?;
        Some(match at(chosen) {
            Some(place) => format!("{} in {}", place.function.as_deref().unwrap_or("?"), place.source),
            None => {
                let frame = &frames[chosen].0;
                let file = frame.filename.get().or_else(|| frame.module.get()).unwrap_or("?");
                format!("{} in {file}", frame.function.get().unwrap_or("?"))
            }
        })
    });
    let found = innermost.or_else(|| event.transaction.get().map(str::to_owned)).unwrap_or_default();
    found[..found.floor_char_boundary(MAX_TITLE)].to_owned()
}
