//! Source maps of releases, in a file of their own: a damaged one costs names in stacks, and no event.
//!
//! A map is found by the id that a bundler wrote into code and map, of the app that reports alone; else by the release and the file's
//! name, as far as the end of the path agrees.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use host::database::{self, DatabaseFault, Presence, Schema};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::source_map::{self, MAX_MAP, MapFault};

/// `rbmp` in the file's header.
const APPLICATION_ID: i32 = 0x7262_6d70;

const SCHEMA: Schema = Schema { application_id: APPLICATION_ID, migrations: &[FIRST] };

const FIRST: &str = "
CREATE TABLE bodies (digest BLOB PRIMARY KEY, bytes INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE maps (
  app TEXT NOT NULL,
  release TEXT NOT NULL,
  -- Of the code, without `.map`.
  path TEXT NOT NULL,
  name TEXT NOT NULL,
  debug_id TEXT,
  digest BLOB NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (app, release, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX maps_by_debug_id ON maps (debug_id, app) WHERE debug_id IS NOT NULL;
CREATE INDEX maps_by_name ON maps (app, name, release);
CREATE INDEX maps_by_digest ON maps (digest);
";

/// Packed maps of all apps, in bytes; the oldest go first. A release of a large shop has 10 MB.
const MAX_BYTES: i64 = 512 << 20;

/// zstd's own default: maps are written once a release.
const LEVEL: i32 = 3;

/// A map that is brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought<'m> {
    pub(crate) app: &'m str,
    /// Empty where whoever brings it names none.
    pub(crate) release: &'m str,
    /// Of the code or of the map, as the build has it.
    pub(crate) path: &'m str,
    pub(crate) debug_id: Option<&'m str>,
    pub(crate) json: &'m [u8],
}

/// What there is of an app's release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapsOfRelease {
    pub app: String,
    /// Empty for maps that are found by their debug ids alone.
    pub release: String,
    pub maps: i64,
}

/// Why a map is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepFault {
    #[error("it has more than {MAX_MAP} bytes")]
    Large,
    #[error(transparent)]
    Map(#[from] MapFault),
    #[error(transparent)]
    Database(#[from] DatabaseFault),
    #[error("cannot write it")]
    Sqlite(#[from] rusqlite::Error),
    #[error("cannot compress it")]
    Compress(#[source] std::io::Error),
}

/// By which a map is looked for.
pub(crate) type MapDigest = [u8; 32];

/// The file.
#[derive(Debug)]
pub(crate) struct Maps {
    path: PathBuf,
    writing: Mutex<()>,
    /// Grows with what is brought, so that who remembers what there is knows when to look again.
    generation: AtomicU64,
}

impl Maps {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, writing: Mutex::new(()), generation: AtomicU64::new(1) }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Nothing before the first map.
    pub(crate) fn read(&self) -> Result<Option<Connection>, DatabaseFault> {
        database::open_to_read(&self.path, SCHEMA)
    }

    /// Keeps one. Blocks. The same map of the same place twice is there once.
    pub(crate) fn keep(&self, brought: Brought<'_>, now: i64) -> Result<(), KeepFault> {
        let Brought { app, release, path, debug_id, json } = brought;
        if json.len() > MAX_MAP {
            return Err(KeepFault::Large);
        }
        let own = source_map::debug_id(json)?;
        // Now and not when the first event needs it: whoever brings it can do something about it.
        source_map::SourceMap::read(json)?;
        let debug_id = debug_id.and_then(source_map::plain_id).or(own);
        let path = path.trim_start_matches("~/").trim_start_matches('/');
        let path = path.strip_suffix(".map").unwrap_or(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        let digest: MapDigest = Sha256::digest(json).into();
        let body = zstd::bulk::compress(json, LEVEL).map_err(KeepFault::Compress)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = database::open(&self.path, SCHEMA, Presence::MayBeNew)?;
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT OR IGNORE INTO bodies (digest, bytes, body) VALUES (?1, ?2, ?3)",
            params![digest, i64::try_from(body.len()).unwrap_or(i64::MAX), body],
        )?;
        transaction.execute(
            "INSERT OR REPLACE INTO maps (app, release, path, name, debug_id, digest, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![app, release, path, name, debug_id, digest, now],
        )?;
        bound(&transaction, MAX_BYTES)?;
        transaction.commit()?;
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// What there is, release by release. Blocks.
    pub(crate) fn list(&self) -> Result<Vec<MapsOfRelease>, KeepFault> {
        let Some(connection) = self.read()? else { return Ok(Vec::new()) };
        let sql = "SELECT app, release, count(*) FROM maps GROUP BY app, release ORDER BY max(at) DESC, app, release";
        let mut statement = connection.prepare(sql)?;
        let rows = statement
            .query_map([], |row| Ok(MapsOfRelease { app: row.get(0)?, release: row.get(1)?, maps: row.get(2)? }))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Whole releases go, the one that was brought first before the others.
fn bound(transaction: &Connection, most: i64) -> rusqlite::Result<()> {
    loop {
        transaction.execute(
            "DELETE FROM bodies WHERE NOT EXISTS (SELECT 1 FROM maps WHERE maps.digest = bodies.digest)",
            [],
        )?;
        let bytes: i64 = transaction.query_row("SELECT coalesce(sum(bytes), 0) FROM bodies", [], |row| row.get(0))?;
        if bytes <= most {
            return Ok(());
        }
        let sql = "DELETE FROM maps WHERE (app, release) =
                   (SELECT app, release FROM maps GROUP BY app, release ORDER BY max(at), app LIMIT 1)";
        if transaction.execute(sql, [])? == 0 {
            return Ok(());
        }
    }
}

/// By the id that code and map share, among the app's own.
pub(crate) fn by_debug_id(maps: &Connection, app: &str, id: &str) -> rusqlite::Result<Option<MapDigest>> {
    let sql = "SELECT digest FROM maps WHERE debug_id = ?1 AND app = ?2 ORDER BY at DESC LIMIT 1";
    maps.prepare_cached(sql)?.query_row([id, app], |row| row.get(0)).optional()
}

/// By the file of a release: of those with its name the one whose path agrees furthest from the end. Nothing where two agree alike.
pub(crate) fn by_file(maps: &Connection, app: &str, release: &str, file: &str) -> rusqlite::Result<Option<MapDigest>> {
    let file = file.split(['?', '#']).next().unwrap_or(file);
    let name = file.rsplit('/').next().unwrap_or(file);
    let sql = "SELECT path, digest FROM maps WHERE app = ?1 AND name = ?2 AND release = ?3 LIMIT 1000";
    let mut statement = maps.prepare_cached(sql)?;
    let found = statement
        .query_map([app, name, release], |row| Ok((row.get::<_, String>(0)?, row.get::<_, MapDigest>(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let agrees = |path: &str| path.rsplit('/').zip(file.rsplit('/')).take_while(|(a, b)| a == b).count();
    let best = found.iter().map(|(path, _)| agrees(path)).max().unwrap_or(0);
    let mut best = found.iter().filter(|(path, _)| agrees(path) == best).map(|(_, digest)| *digest);
    let first = best.next();
    Ok(first.filter(|first| best.all(|other| other == *first)))
}

/// The map, unpacked.
pub(crate) fn body(maps: &Connection, digest: &MapDigest) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT body FROM bodies WHERE digest = ?1";
    let packed: Option<Vec<u8>> = maps.prepare_cached(sql)?.query_row([digest], |row| row.get(0)).optional()?;
    Ok(packed.and_then(|packed| zstd::bulk::decompress(&packed, MAX_MAP).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &[u8] = br#"{"version":3,"sources":["a.ts"],"names":[],"mappings":"AAAA"}"#;

    fn maps() -> (tempfile::TempDir, Maps) {
        let folder = tempfile::tempdir().unwrap();
        let maps = Maps::new(folder.path().join("maps.db"));
        (folder, maps)
    }

    #[test]
    fn a_file_is_found_by_as_much_of_its_path_as_there_is_and_never_by_a_guess() {
        let (_folder, maps) = maps();
        let other = br#"{"version":3,"sources":["b.ts"],"names":[],"mappings":"AAAA"}"#;
        let keep = |path, json| {
            maps.keep(Brought { app: "web", release: "1", path, debug_id: None, json }, 1).unwrap();
        };
        keep("dist/assets/index-a1.js.map", MAP);
        keep("dist/cart/page.js.map", MAP);
        keep("dist/shop/page.js.map", other);
        let connection = maps.read().unwrap().unwrap();
        let find = |app, release, file| by_file(&connection, app, release, file).unwrap();
        assert!(find("web", "1", "https://shop.example/assets/index-a1.js?v=2").is_some());
        assert_ne!(find("web", "1", "/srv/1/shop/page.js"), find("web", "1", "/srv/1/cart/page.js"));
        assert_eq!(find("web", "1", "/srv/1/page.js"), None, "either could be meant");
        for (app, release) in [("api", "1"), ("web", "2")] {
            assert_eq!(find(app, release, "/assets/index-a1.js"), None);
        }
    }

    #[test]
    fn what_is_no_map_is_refused_where_it_is_brought() {
        let (_folder, maps) = maps();
        let keep = |json| maps.keep(Brought { app: "web", release: "1", path: "a.js", debug_id: None, json }, 1);
        assert!(matches!(keep(b"<html>"), Err(KeepFault::Map(_))));
        assert!(matches!(keep(br#"{"mappings":"A!"}"#), Err(KeepFault::Map(MapFault::Mappings(1)))));
        assert_eq!(maps.list().unwrap(), []);
    }

    #[test]
    fn the_release_that_was_brought_first_goes_first() {
        let (_folder, maps) = maps();
        for release in 0..4_u8 {
            let json = format!(r#"{{"version":3,"sources":["{release}.ts"],"names":[],"mappings":"AAAA"}}"#);
            let release = release.to_string();
            let brought =
                Brought { app: "web", release: &release, path: "a.js", debug_id: None, json: json.as_bytes() };
            maps.keep(brought, i64::from(release.as_bytes()[0])).unwrap();
        }
        let connection = database::open(&maps.path, SCHEMA, Presence::MustExist).unwrap();
        let all: i64 = connection.query_row("SELECT sum(bytes) FROM bodies", [], |row| row.get(0)).unwrap();
        bound(&connection, all / 2).unwrap();
        let left: Vec<_> = maps.list().unwrap().into_iter().map(|one| one.release).collect();
        assert_eq!(left, ["3", "2"]);
    }
}
