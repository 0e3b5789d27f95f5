//! The days that are kept: which there are, what becomes of them, and what becomes of a damaged one.
//!
//! ```text
//!   2026-01-03.db   written, searched by index        ─ cold ─►   2026-01-01.zst   packed, searched by block   ─ old ─► removed
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::clock::Timestamp;
use host::database;
use host::files::{self, Access, FileFault};
use serde::{Deserialize, Serialize};

use super::cold::Packer;
use super::day;

const DAY: Duration = Duration::from_hours(24);

/// How much is kept, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keeping {
    /// Days with an index; those before are packed.
    pub hot_days: u32,
    pub kept_days: u32,
    /// The oldest days go before all of them together are larger.
    pub most_bytes: u64,
    /// Nothing is written where the disk has less left: others need it more.
    pub least_free_bytes: u64,
    /// Lines of one unit in one second; more are counted and not kept.
    pub most_lines_a_second: u32,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            hot_days: 2,
            kept_days: 30,
            most_bytes: 4 * 1024 * 1024 * 1024,
            least_free_bytes: 256 * 1024 * 1024,
            // Half of what a processor keeps up with: one unit leaves the others room.
            most_lines_a_second: 25_000,
        }
    }
}

/// The files of one day. Late lines of a packed day can be in a database of its own again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) hot: Option<PathBuf>,
    pub(crate) cold: Option<PathBuf>,
}

/// The folder with the days.
#[derive(Clone, Debug)]
pub(crate) struct Days {
    folder: PathBuf,
    pub(crate) keeping: Keeping,
}

/// The name of a day.
pub(crate) fn name_of(time: Timestamp) -> String {
    let date = time.calendar().date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    let millis = i64::try_from((DAY * days).as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(now.unix_millis().saturating_sub(millis))
}

impl Days {
    pub(crate) fn new(folder: PathBuf, keeping: Keeping) -> Result<Self, FileFault> {
        files::create_dir(&folder, Access::Owner)?;
        Ok(Self { folder, keeping })
    }

    pub(crate) fn database(&self, day: &str) -> PathBuf {
        self.folder.join(format!("{day}.db"))
    }

    /// By their names, the oldest first.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, Files>, FileFault> {
        let mut days: BTreeMap<String, Files> = BTreeMap::new();
        for path in files::list(&self.folder)? {
            let Some(day) = path.file_stem().and_then(|stem| stem.to_str()).filter(|day| day.len() == 10) else {
                continue;
            };
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("db") => days.entry(day.to_owned()).or_default().hot = Some(path.clone()),
                Some("zst") => days.entry(day.to_owned()).or_default().cold = Some(path.clone()),
                _ => {}
            }
        }
        Ok(days)
    }

    /// The day in whose file a line of this time is written now. A line that comes late lies in the oldest that is written to, one
    /// from the future in tomorrow's. `None`: nobody wants it any more.
    pub(crate) fn day_for(&self, time: Timestamp, now: Timestamp) -> Option<String> {
        if name_of(time) < name_of(days_before(now, self.keeping.kept_days)) {
            return None;
        }
        let earliest = days_before(now, self.keeping.hot_days.saturating_sub(1));
        Some(name_of(time.max(earliest).min(now.after(DAY))))
    }

    /// Moves a damaged day out of the way, for whoever can do something with it.
    pub(crate) fn set_aside(&self, day: &str, now: Timestamp) -> Result<PathBuf, FileFault> {
        let path = self.database(day);
        let aside = self.folder.join(format!("{day}.damaged-{}", now.unix_millis()));
        files::rename(&path, &aside)?;
        for end in ["-wal", "-shm"] {
            let beside = PathBuf::from(format!("{}{end}", path.display()));
            if files::exists(&beside) {
                files::rename(&beside, &PathBuf::from(format!("{}{end}", aside.display())))?;
            }
        }
        Ok(aside)
    }

    /// Packs what is cold and removes what is old. Returns what could not be packed, and why.
    pub(crate) fn tidy(&self, now: Timestamp) -> Result<Vec<(String, String)>, FileFault> {
        self.recover()?;
        let mut faults = Vec::new();
        let hot_from = name_of(days_before(now, self.keeping.hot_days.saturating_sub(1)));
        let tomorrow = name_of(now.after(DAY));
        for (day, found) in self.all()? {
            // What the clock said before it was set back is nobody's tomorrow.
            if let Some(hot) = &found.hot
                && (day < hot_from || day > tomorrow)
                && let Err(error) = self.pack(&day, hot, found.cold.as_deref())
            {
                faults.push((day, error.to_string()));
            }
        }
        self.prune(now)?;
        Ok(faults)
    }

    /// What a crash left of a day that was being packed: the packed file counts once the database is marked as done with.
    fn recover(&self) -> Result<(), FileFault> {
        for path in files::list(&self.folder)? {
            let packed = path.with_extension("zst");
            let begun = path.with_extension("zst-new");
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("done") => {
                    if files::exists(&begun) {
                        files::rename(&begun, &packed)?;
                    }
                    remove(&path)?;
                }
                Some("zst-new") if !files::exists(&path.with_extension("done")) && files::exists(&path) => {
                    remove(&path)?
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn pack(&self, day: &str, hot: &Path, cold: Option<&Path>) -> io::Result<()> {
        let other = |error: &dyn std::error::Error| io::Error::other(error.to_string());
        let Some(connection) = database::open_to_read(hot, day::SCHEMA).map_err(|fault| other(&fault))? else {
            return Err(io::Error::other("it is of another version"));
        };
        let begun = self.folder.join(format!("{day}.zst-new"));
        let mut file = files::open_append(&begun, Access::Owner).map_err(|fault| fault.source)?;
        if let Some(cold) = cold {
            io::copy(&mut files::open(cold).map_err(|fault| fault.source)?, &mut file)?;
        }
        let mut packer = Packer::new(BufWriter::new(file));
        {
            let sources = day::sources(&connection).map_err(|error| other(&error))?;
            let query = format!("SELECT {} FROM lines ORDER BY id", day::COLUMNS);
            let mut statement = connection.prepare(&query).map_err(|error| other(&error))?;
            let mut rows = statement.query([]).map_err(|error| other(&error))?;
            while let Some(row) = rows.next().map_err(|error| other(&error))? {
                packer.push(&day::record(row, &sources).map_err(|error| other(&error))?.1)?;
            }
        }
        packer.finish()?.flush()?;
        drop(connection);
        files::sync_file(&begun).map_err(|fault| fault.source)?;
        let done = self.folder.join(format!("{day}.done"));
        // From here on a crash goes on, before it begins again.
        let moved = files::rename(hot, &done).and_then(|()| files::sync_dir(&self.folder));
        let moved = moved.and_then(|()| files::rename(&begun, &self.folder.join(format!("{day}.zst"))));
        moved.and_then(|()| remove(&done)).map_err(|fault| fault.source)?;
        for end in ["-wal", "-shm"] {
            remove(&PathBuf::from(format!("{}{end}", hot.display()))).map_err(|fault| fault.source)?;
        }
        Ok(())
    }

    /// Removes what is too old, or too much. What is written now stays.
    pub(crate) fn prune(&self, now: Timestamp) -> Result<(), FileFault> {
        let kept_from = name_of(days_before(now, self.keeping.kept_days));
        let (today, tomorrow) = (name_of(now), name_of(now.after(DAY)));
        let days = self.all()?;
        let mut goes: Vec<&String> = days.keys().filter(|day| **day < kept_from).collect();
        // Days that have not come yet go first, where there are more than there can be.
        let ahead: Vec<&String> = days.keys().filter(|day| **day > tomorrow).collect();
        let spare = (days.len() - goes.len()).saturating_sub(self.keeping.kept_days as usize + 2);
        goes.extend(ahead.into_iter().rev().take(spare));
        let mut total: u64 = 0;
        for (day, found) in days.iter().rev() {
            total += self.bytes(found);
            if total > self.keeping.most_bytes && *day != today && !goes.contains(&day) {
                goes.push(day);
            }
        }
        for day in goes {
            for end in ["db", "db-wal", "db-shm", "zst"] {
                remove(&self.folder.join(format!("{day}.{end}")))?;
            }
        }
        let damaged =
            |path: &PathBuf| path.extension().is_some_and(|end| end.to_string_lossy().starts_with("damaged-"));
        for path in files::list(&self.folder)?.into_iter().filter(damaged) {
            if path.file_stem().is_some_and(|stem| *stem.to_string_lossy() < *kept_from) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn bytes(&self, found: &Files) -> u64 {
        let size = |path: &PathBuf| files::metadata(path).map_or(0, |meta| meta.len());
        found.hot.iter().chain(&found.cold).map(size).sum()
    }

    /// How much lies here.
    pub(crate) fn total_bytes(&self) -> Result<u64, FileFault> {
        Ok(self.all()?.values().map(|found| self.bytes(found)).sum())
    }

    /// Whether the disk has room for more.
    pub(crate) fn has_room(&self) -> Result<bool, FileFault> {
        Ok(files::free_bytes(&self.folder)? >= self.keeping.least_free_bytes)
    }
}

fn remove(path: &Path) -> Result<(), FileFault> {
    if files::exists(path) { files::remove(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_767_225_600_000); // 2026-01-01

    fn days(keeping: Keeping) -> (tempfile::TempDir, Days) {
        let folder = tempfile::tempdir().unwrap();
        let days = Days::new(folder.path().join("logs"), keeping).unwrap();
        (folder, days)
    }

    fn names(days: &Days) -> Vec<String> {
        let all = days.all().unwrap();
        all.iter().map(|(day, files)| format!("{day}{}", if files.hot.is_some() { "" } else { " cold" })).collect()
    }

    #[test]
    fn lines_lie_where_they_are_looked_for() {
        let (_folder, days) = days(Keeping::default());
        let of = |days_ago: i64| {
            let time = Timestamp::from_unix_millis(NOW.unix_millis() - days_ago * 86_400_000);
            days.day_for(time, NOW)
        };
        assert_eq!(of(0).as_deref(), Some("2026-01-01"));
        assert_eq!(of(1).as_deref(), Some("2025-12-31"));
        assert_eq!(of(9).as_deref(), Some("2025-12-31"));
        assert_eq!(of(31), None);
        assert_eq!(of(-3650).as_deref(), Some("2026-01-02"));
    }

    #[test]
    fn cold_days_are_packed_and_old_ones_go() {
        let (_folder, days) = days(Keeping::default());
        for day in ["2025-11-30", "2025-12-20", "2025-12-31", "2026-01-01", "2033-05-05"] {
            drop(day::Day::open(&days.database(day)).unwrap());
        }
        assert_eq!(days.tidy(NOW).unwrap(), []);
        assert_eq!(names(&days), ["2025-12-20 cold", "2025-12-31", "2026-01-01", "2033-05-05 cold"]);
        let small = Days { keeping: Keeping { most_bytes: 1, ..Keeping::default() }, ..days };
        small.prune(NOW).unwrap();
        // The last one has no line in it, and no byte.
        assert_eq!(names(&small), ["2026-01-01", "2033-05-05 cold"]);
    }

    #[test]
    fn a_crash_while_a_day_is_packed_neither_loses_nor_doubles_it() {
        let (_folder, days) = days(Keeping::default());
        let at = |end: &str| days.folder.join(format!("2025-12-01.{end}"));
        let write = |end: &str| files::write(&at(end), b"x", Access::Owner).unwrap();
        write("zst-new");
        days.recover().unwrap();
        assert!(!files::exists(&at("zst-new")));
        write("zst-new");
        write("done");
        days.recover().unwrap();
        assert!(files::exists(&at("zst")) && !files::exists(&at("done")) && !files::exists(&at("zst-new")));
        write("done");
        days.recover().unwrap();
        assert!(files::exists(&at("zst")) && !files::exists(&at("done")));
    }
}
