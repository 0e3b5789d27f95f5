//! What happened, as people said it: on disk when the command returns, and only ever appended.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use host::clock::Timestamp;
use host::database::{self, DatabaseFault, Presence, Schema};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

const SCHEMA: Schema = Schema {
    application_id: i32::from_be_bytes(*b"rbin"),
    migrations: &["
        CREATE TABLE incident (id INTEGER PRIMARY KEY AUTOINCREMENT, environment TEXT NOT NULL) STRICT;
        CREATE TABLE entry (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            incident INTEGER NOT NULL REFERENCES incident (id),
            body TEXT NOT NULL
        ) STRICT;
        CREATE INDEX entry_of ON entry (incident, number);
        CREATE TRIGGER entry_is_append_only_u BEFORE UPDATE ON entry
            BEGIN SELECT RAISE(ABORT, 'what was said is not changed'); END;
        CREATE TRIGGER entry_is_append_only_d BEFORE DELETE ON entry
            BEGIN SELECT RAISE(ABORT, 'what was said is not taken back'); END;"],
};

/// Why the book cannot be used, or does not allow something.
#[derive(Debug, thiserror::Error)]
pub enum BookFault {
    #[error("cannot open the book of incidents")]
    Open(#[from] DatabaseFault),
    #[error("cannot use the book of incidents")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the book of incidents holds what cannot be read")]
    Json(#[from] serde_json::Error),
    #[error("no incident is open")]
    NoneOpen,
    #[error("there is no incident {0}")]
    Unknown(IncidentId),
    #[error("{0} is closed")]
    Closed(IncidentId),
    #[error("{0} is open already")]
    AlreadyOpen(IncidentId),
    #[error("customers were not told that {0} is over")]
    NotResolved(IncidentId),
}

/// `i3`: the incidents of an environment are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IncidentId(pub i64);

/// A text that names no incident.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no incident: they are named i1, i2 and so on")]
pub struct NoId(String);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("i{}", self.0))
    }
}

impl FromStr for IncidentId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let number = text.strip_prefix('i').filter(|rest| !rest.starts_with(['0', '+', '-']));
        number.and_then(|rest| rest.parse().ok()).map(Self).ok_or_else(|| NoId(text.to_owned()))
    }
}

impl TryFrom<String> for IncidentId {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        text.parse()
    }
}

impl From<IncidentId> for String {
    fn from(id: IncidentId) -> Self {
        id.to_string()
    }
}

macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $of:literal])* $variant:ident = $text:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[doc = $of])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// How bad it is.
    Severity {
        /// Nobody can buy, or data is in danger.
        Critical = "critical",
        /// Some cannot, or all are slow.
        Major = "major",
        /// It is seen, and there is a way around it.
        Minor = "minor",
    }
}

words! {
    /// How far it is, as customers are told.
    Stage {
        Investigating = "investigating",
        Identified = "identified",
        Monitoring = "monitoring",
        Resolved = "resolved",
    }
}

words! {
    /// Who does what.
    Role {
        /// Decides.
        Lead = "lead",
        /// Does what is decided.
        Operations = "operations",
        /// Writes to customers.
        Communication = "communication",
        /// Writes down what happens.
        Scribe = "scribe",
    }
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    Opened {
        severity: Severity,
        summary: String,
    },
    Noted {
        text: String,
    },
    Given {
        role: Role,
        to: String,
    },
    /// Customers were told this.
    Told {
        stage: Stage,
        message: String,
    },
    Closed,
}

/// What was said, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub by: String,
    #[serde(flatten)]
    pub what: What,
}

/// An incident, as its entries have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    pub id: IncidentId,
    pub environment: String,
    pub summary: String,
    pub severity: Severity,
    pub opened: Timestamp,
    pub closed: Option<Timestamp>,
    /// The newest that customers were told.
    pub stage: Option<Stage>,
    /// Who has which role now.
    pub roles: Vec<(Role, String)>,
    pub entries: Vec<Entry>,
}

impl Incident {
    /// What entries make of it. `None`: they do not begin with its opening.
    fn of(id: IncidentId, environment: String, entries: Vec<Entry>) -> Option<Self> {
        let first = entries.first()?;
        let What::Opened { severity, summary } = &first.what else { return None };
        let mut incident = Self {
            id,
            environment,
            summary: summary.clone(),
            severity: *severity,
            opened: first.at,
            closed: None,
            stage: None,
            roles: Vec::new(),
            entries: Vec::new(),
        };
        for entry in &entries {
            match &entry.what {
                What::Opened { .. } | What::Noted { .. } => {}
                What::Given { role, to } => {
                    incident.roles.retain(|(given, _)| given != role);
                    incident.roles.push((*role, to.clone()));
                }
                What::Told { stage, .. } => incident.stage = Some(*stage),
                What::Closed => incident.closed = Some(entry.at),
            }
        }
        incident.roles.sort();
        Some(Self { entries, ..incident })
    }

    /// Who leads, if somebody was named.
    pub fn lead(&self) -> Option<&str> {
        self.roles.iter().find(|(role, _)| *role == Role::Lead).map(|(_, who)| who.as_str())
    }
}

/// The incidents of one environment.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    connection: Connection,
}

impl Book {
    pub fn open(path: &Path) -> Result<Self, BookFault> {
        Ok(Self { path: path.to_owned(), connection: database::open(path, SCHEMA, Presence::MayBeNew)? })
    }

    /// Refuses the book of another root; see [`database::bind`].
    pub fn of(self, owner: &str) -> Result<Self, BookFault> {
        database::bind(&self.connection, &self.path, owner)?;
        Ok(self)
    }

    /// Opens an incident. One at a time: two would be told apart by nobody at night.
    pub fn begin(&mut self, environment: &str, entry: &Entry) -> Result<IncidentId, BookFault> {
        if let Some(open) = self.current()? {
            return Err(BookFault::AlreadyOpen(open.id));
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("INSERT INTO incident (environment) VALUES (?1)", [environment])?;
        let id = transaction.last_insert_rowid();
        let body = serde_json::to_string(entry)?;
        transaction.execute("INSERT INTO entry (incident, body) VALUES (?1, ?2)", params![id, body])?;
        transaction.commit()?;
        Ok(IncidentId(id))
    }

    /// Adds to an open one.
    pub fn add(&mut self, id: IncidentId, entry: &Entry) -> Result<Incident, BookFault> {
        let incident = self.incident(id)?;
        if incident.closed.is_some() {
            return Err(BookFault::Closed(id));
        }
        if entry.what == What::Closed && incident.stage.is_some_and(|stage| stage != Stage::Resolved) {
            return Err(BookFault::NotResolved(id));
        }
        let body = serde_json::to_string(entry)?;
        self.connection.execute("INSERT INTO entry (incident, body) VALUES (?1, ?2)", params![id.0, body])?;
        self.incident(id)
    }

    pub fn incident(&self, id: IncidentId) -> Result<Incident, BookFault> {
        let environment = "SELECT environment FROM incident WHERE id = ?1";
        let environment = self.connection.query_row(environment, [id.0], |row| row.get(0)).optional()?;
        let environment = environment.ok_or(BookFault::Unknown(id))?;
        let mut statement = self.connection.prepare("SELECT body FROM entry WHERE incident = ?1 ORDER BY number")?;
        let bodies = statement.query_map([id.0], |row| row.get::<_, String>(0))?;
        let entries =
            bodies.map(|body| Ok(serde_json::from_str(&body?)?)).collect::<Result<Vec<Entry>, BookFault>>()?;
        Incident::of(id, environment, entries).ok_or(BookFault::Unknown(id))
    }

    /// All of them, the newest first.
    pub fn all(&self) -> Result<Vec<Incident>, BookFault> {
        let mut statement = self.connection.prepare("SELECT id FROM incident ORDER BY id DESC")?;
        let ids = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        ids.into_iter().map(|id| self.incident(IncidentId(id))).collect()
    }

    /// The one that is open.
    pub fn current(&self) -> Result<Option<Incident>, BookFault> {
        Ok(self.all()?.into_iter().find(|incident| incident.closed.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, what: What) -> Entry {
        Entry { at: Timestamp::from_unix_millis(seconds * 1000), by: "anna".into(), what }
    }

    fn opened() -> What {
        What::Opened { severity: Severity::Major, summary: "orders fail".into() }
    }

    #[test]
    fn an_incident_is_what_was_said_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incidents.db");
        let mut book = Book::open(&path).unwrap().of("root-1").unwrap();
        let id = book.begin("staging", &at(1, opened())).unwrap();
        assert_eq!(id.to_string(), "i1");
        for who in ["bert", "carl"] {
            book.add(id, &at(2, What::Given { role: Role::Lead, to: who.into() })).unwrap();
        }
        book.add(id, &at(3, What::Told { stage: Stage::Investigating, message: "we look".into() })).unwrap();
        assert!(matches!(book.add(id, &at(4, What::Closed)), Err(BookFault::NotResolved(_))));
        book.add(id, &at(5, What::Told { stage: Stage::Resolved, message: "over".into() })).unwrap();
        // Another command, after a crash of this one.
        drop(book);
        assert!(matches!(Book::open(&path).unwrap().of("root-2"), Err(BookFault::Open(_))));
        let mut book = Book::open(&path).unwrap().of("root-1").unwrap();
        let read = book.current().unwrap().unwrap();
        assert_eq!((read.lead(), read.stage, read.entries.len()), (Some("carl"), Some(Stage::Resolved), 5));
        let closed = book.add(id, &at(6, What::Closed)).unwrap();
        assert_eq!(closed.closed, Some(Timestamp::from_unix_millis(6000)));
        assert!(matches!(book.add(id, &at(7, What::Noted { text: "late".into() })), Err(BookFault::Closed(_))));
        assert_eq!(book.current().unwrap(), None);
    }

    #[test]
    fn two_are_not_open_at_once_and_what_was_said_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::open(&folder.path().join("incidents.db")).unwrap();
        let first = book.begin("staging", &at(1, opened())).unwrap();
        assert!(matches!(book.begin("staging", &at(2, opened())), Err(BookFault::AlreadyOpen(open)) if open == first));
        let refused = book.connection.execute("DELETE FROM entry", []).unwrap_err();
        assert!(refused.to_string().contains("not taken back"), "{refused}");
        book.add(first, &at(3, What::Closed)).unwrap();
        assert_eq!(book.begin("staging", &at(4, opened())).unwrap(), IncidentId(2));
        assert_eq!(book.all().unwrap().len(), 2);
        assert!(matches!(book.incident(IncidentId(9)), Err(BookFault::Unknown(_))));
        assert!("i07".parse::<IncidentId>().is_err() && "7".parse::<IncidentId>().is_err());
    }
}
