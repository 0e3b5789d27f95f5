//! Where a frame was in the sources before they were made small.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::event::{Event, Frame};
use super::lenient::Part;
use super::maps::{self, MapDigest, Maps};
use super::source_map::{self, SourceMap};

/// Maps in memory, in bytes. One of a large bundle has 2 to 4 MB.
const MEMORY: usize = 24 << 20;

/// Files of which it is remembered whether there is a map. A page has a few dozen.
const REMEMBERED: usize = 4_096;

/// Frames of one stack that are looked up, from the innermost: grouping reads no more.
const FRAMES: usize = 60;

/// What a source map says of a frame, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Located {
    pub(crate) place: Option<SourcePlace>,
}

/// A place in the sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourcePlace {
    pub(crate) source: String,
    pub(crate) function: Option<String>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Not of a package that somebody else wrote.
    pub(crate) in_app: bool,
}

/// Looks frames up. Without source maps nothing is found, and frames stay as they came.
#[derive(Debug)]
pub(crate) struct Symbols {
    maps: Arc<Maps>,
    /// What is remembered is of this one.
    generation: u64,
    connection: Option<Connection>,
    found: HashMap<Key, Option<MapDigest>>,
    open: HashMap<MapDigest, Option<Arc<SourceMap>>>,
    /// The one that was used longest ago is the first.
    used: VecDeque<MapDigest>,
    bytes: usize,
}

/// By which a map is looked for: app, and debug id or release and file.
type Key = (String, Result<String, (String, String)>);

impl Symbols {
    pub(crate) fn new(maps: Arc<Maps>) -> Self {
        Self {
            maps,
            generation: 0,
            connection: None,
            found: HashMap::new(),
            open: HashMap::new(),
            used: VecDeque::new(),
            bytes: 0,
        }
    }

    /// For each exception one place for each frame; an empty list where none of them is found. Maps that cannot be read are told in
    /// the log, and cost no event.
    pub(crate) fn locate(&mut self, app: &str, event: &Event<'_>) -> Vec<Vec<Located>> {
        let located = self.try_locate(app, event);
        located.unwrap_or_else(|fault| {
            let why = reconcile::Fault::because("stacks stay as they came", &fault);
            tracing::warn!(%why, "source maps cannot be read");
            self.connection = None;
            Vec::new()
        })
    }

    fn try_locate(&mut self, app: &str, event: &Event<'_>) -> rusqlite::Result<Vec<Vec<Located>>> {
        let generation = self.maps.generation();
        if self.generation != generation {
            self.found.clear();
            self.connection = match self.maps.read() {
                Ok(connection) => connection,
                Err(fault) => {
                    tracing::warn!(%fault, "source maps cannot be opened");
                    None
                }
            };
            self.generation = generation;
        }
        if self.connection.is_none() {
            return Ok(Vec::new());
        }
        let ids: HashMap<&str, String> = event
            .debug_meta
            .0
            .images
            .0
            .iter()
            .filter_map(|image| Some((image.0.code_file.get()?, source_map::plain_id(image.0.debug_id.get()?)?)))
            .collect();
        let release = event.release.get().unwrap_or("");
        let mut all = Vec::with_capacity(event.exception.0.len());
        for exception in &event.exception.0 {
            all.push(self.stack(app, release, &ids, &exception.0.stacktrace.0.frames.0)?);
        }
        Ok(all)
    }

    fn stack(
        &mut self,
        app: &str,
        release: &str,
        ids: &HashMap<&str, String>,
        frames: &[Part<Frame<'_>>],
    ) -> rusqlite::Result<Vec<Located>> {
        let mut located = vec![Located::default(); frames.len()];
        // What the code calls a function is at the place where it is called: in the frame around it.
        let mut called = None;
        for (index, frame) in frames.iter().enumerate().skip(frames.len().saturating_sub(FRAMES)) {
            let frame = &frame.0;
            let name_here = called.take();
            let Some((line, column)) = position(frame) else { continue };
            let Some(map) = self.map_of(app, release, ids, frame)? else { continue };
            let Some(origin) = map.look_up(line, column) else { continue };
            called = origin.name.map(str::to_owned);
            let source = plain_source(origin.source);
            let said = frame.function.get().filter(|name| !is_made_small(name)).map(str::to_owned);
            located[index].place = Some(SourcePlace {
                in_app: is_of_app(origin.source),
                source,
                function: said.or(name_here),
                line: origin.line,
                column: origin.column,
            });
        }
        if located.iter().all(|one| one.place.is_none()) {
            located.clear();
        }
        Ok(located)
    }

    fn map_of(
        &mut self,
        app: &str,
        release: &str,
        ids: &HashMap<&str, String>,
        frame: &Frame<'_>,
    ) -> rusqlite::Result<Option<Arc<SourceMap>>> {
        let files = [frame.abs_path.get(), frame.filename.get()];
        let id = files.iter().flatten().find_map(|file| ids.get(file));
        let by = match (id, files.iter().flatten().next()) {
            (Some(id), _) => Ok(id.clone()),
            (None, Some(file)) if !release.is_empty() => Err((release.to_owned(), (*file).to_owned())),
            _ => return Ok(None),
        };
        let key = (app.to_owned(), by);
        let digest = match self.found.get(&key) {
            Some(found) => *found,
            None => {
                let Some(connection) = &self.connection else { return Ok(None) };
                let digest = match &key.1 {
                    Ok(id) => maps::by_debug_id(connection, app, id)?,
                    Err((release, file)) => maps::by_file(connection, app, release, file)?,
                };
                // Strangers name files, too.
                if self.found.len() >= REMEMBERED {
                    self.found.clear();
                }
                self.found.insert(key, digest);
                digest
            }
        };
        digest.map_or(Ok(None), |digest| self.open(digest))
    }

    fn open(&mut self, digest: MapDigest) -> rusqlite::Result<Option<Arc<SourceMap>>> {
        if let Some(open) = self.open.get(&digest) {
            let open = open.clone();
            if self.used.back() != Some(&digest) {
                self.used.retain(|used| *used != digest);
                self.used.push_back(digest);
            }
            return Ok(open);
        }
        let Some(connection) = &self.connection else { return Ok(None) };
        let map = maps::body(connection, &digest)?.and_then(|json| SourceMap::read(&json).ok()).map(Arc::new);
        self.bytes += map.as_ref().map_or(0, |map| map.bytes());
        self.open.insert(digest, map.clone());
        self.used.push_back(digest);
        while self.bytes > MEMORY && self.used.len() > 1 {
            let Some(oldest) = self.used.pop_front() else { break };
            self.bytes -= self.open.remove(&oldest).flatten().map_or(0, |map| map.bytes());
        }
        Ok(map)
    }
}

fn position(frame: &Frame<'_>) -> Option<(u32, u32)> {
    let line = frame.lineno.get()?.parse().ok()?;
    Some((line, frame.colno.get()?.parse().ok()?))
}

/// Names that a minifier gives are other ones with the next build.
fn is_made_small(name: &str) -> bool {
    let last = name.rsplit(['.', ' ']).next().unwrap_or(name);
    last.len() <= 2 || matches!(name, "<anonymous>" | "anonymous" | "?") || last == "<anonymous>"
}

fn is_of_app(source: &str) -> bool {
    let foreign = ["node_modules/", "webpack/runtime", "webpack/bootstrap", "[turbopack]", "node:"];
    !foreign.iter().any(|foreign| source.contains(foreign))
}

/// `webpack://shop/./src/cart.ts` and `../../src/cart.ts` are `src/cart.ts`.
fn plain_source(source: &str) -> String {
    let plain = match source.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or(rest, |(_, path)| path),
        None => source,
    };
    let mut plain = plain.trim_start_matches('/');
    plain = plain.strip_prefix("[project]/").unwrap_or(plain);
    loop {
        let shorter = plain.strip_prefix("./").or_else(|| plain.strip_prefix("../"));
        match shorter {
            Some(shorter) => plain = shorter,
            None => return plain.to_owned(),
        }
    }
}

/// As it is kept beside the event.
pub(crate) fn written(located: &[Vec<Located>]) -> String {
    serde_json::to_string(located).expect("places are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_the_name_that_people_know_them_by() {
        for (source, plain) in [
            ("webpack://shop/./src/cart.ts", "src/cart.ts"),
            ("turbopack:///[project]/apps/storefront/app/page.tsx", "apps/storefront/app/page.tsx"),
            ("../../src/cart.ts", "src/cart.ts"),
            ("src/cart.ts", "src/cart.ts"),
        ] {
            assert_eq!(plain_source(source), plain, "{source}");
        }
        assert!(!is_of_app("../node_modules/react-dom/index.js") && is_of_app("../src/cart.ts"));
    }
}
