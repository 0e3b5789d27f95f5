//! Which changes of data were made here. A change is noted after its program ended well, so one that is not noted may have been
//! made: it is made again, which its author has seen to.

use host::clock::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::book::{Book, BookFault};

/// A change of data that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub app: String,
    pub name: String,
    /// It took away what earlier releases needed.
    pub contracts: bool,
    pub at: Timestamp,
    pub took_ms: i64,
}

impl Book {
    /// The earliest first.
    pub fn migrations(&self) -> Result<Vec<Made>, BookFault> {
        let connection = self.connection();
        let mut statement =
            connection.prepare("SELECT app, name, contracts, at, took_ms FROM migration ORDER BY number")?;
        let rows = statement.query_map([], |row| {
            Ok(Made {
                app: row.get(0)?,
                name: row.get(1)?,
                contracts: row.get(2)?,
                at: Timestamp::from_unix_millis(row.get(3)?),
                took_ms: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Notes a change that was made; a second time is fine.
    pub fn note_migration(&self, made: &Made) -> Result<(), BookFault> {
        self.change(|transaction| {
            transaction.execute(
                "INSERT INTO migration (app, name, contracts, at, took_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (app, name) DO NOTHING",
                params![made.app, made.name, made.contracts, made.at.unix_millis(), made.took_ms],
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use host::clock::SystemClock;
    use host::database::Presence;

    use super::*;

    fn made(name: &str, contracts: bool) -> Made {
        Made { app: "api".into(), name: name.into(), contracts, at: Timestamp::from_unix_millis(7), took_ms: 3 }
    }

    #[test]
    fn what_was_made_is_known_once_and_only_whoever_has_the_book_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let open =
            || Book::open(&folder.path().join("delivery.db"), Presence::MayBeNew, Arc::new(SystemClock)).unwrap();
        let book = open();
        book.note_migration(&made("0002-b", true)).unwrap();
        book.note_migration(&made("0001-a", false)).unwrap();
        book.note_migration(&Made { took_ms: 99, ..made("0002-b", true) }).unwrap();
        let next = open();
        assert_eq!(next.migrations().unwrap(), [made("0002-b", true), made("0001-a", false)]);
        let late = book.note_migration(&made("0003-c", false));
        assert!(matches!(late, Err(BookFault::Fenced)), "{late:?}");
    }
}
