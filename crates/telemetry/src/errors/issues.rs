//! Issues and their events, found again; and what people decide about them.

use std::fmt;
use std::io::Read;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{event_id, words};

/// One thing that goes wrong, however often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    pub id: i64,
    pub app: String,
    pub title: String,
    pub culprit: String,
    pub level: String,
    pub platform: String,
    /// Nobody caught it.
    pub unhandled: bool,
    pub status: IssueStatus,
    /// Milliseconds since the epoch.
    pub first_seen: i64,
    pub last_seen: i64,
    /// How many events there were.
    pub events: i64,
    /// How many of these are kept: the first and the latest.
    pub kept: i64,
    pub first_release: Option<String>,
    pub last_release: Option<String>,
    /// When it came back after it was resolved.
    pub regressed_at: Option<i64>,
    /// Of a snooze.
    pub until: Option<i64>,
    pub until_events: Option<i64>,
}

/// What people decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssueStatus {
    Open,
    Resolved,
    Ignored,
    Snoozed,
}

impl IssueStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
            Self::Snoozed => "snoozed",
        }
    }

    fn of(text: &str) -> Self {
        let all = [Self::Resolved, Self::Ignored, Self::Snoozed];
        all.into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Open)
    }
}

/// One time that it went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorEvent {
    pub event_id: String,
    pub issue: i64,
    pub app: String,
    pub title: String,
    pub at: i64,
    pub received: i64,
    /// As the role knows it, whatever the client said.
    pub environment: String,
    pub release: Option<String>,
    pub request_id: Option<String>,
    pub trace_id: Option<String>,
    /// Frames in the sources, one list for each exception, where there is a source map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Value>,
    /// All that the client said, scrubbed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// Which issues are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueFilter {
    pub app: Option<String>,
    /// All, if none is named.
    pub status: Option<IssueStatus>,
    pub release: Option<String>,
    /// Words that title or culprit must have, and `request:ID`, `trace:ID`, `level:LEVEL`, `event:ID`.
    pub search: Option<String>,
    /// Only those behind this one in the list.
    pub behind: Option<Behind>,
    pub limit: Option<u32>,
}

/// Where a page of the list ended: when its last issue was last seen, and the issue. In the list others may come before it meanwhile,
/// and nothing is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    pub last_seen: i64,
    pub id: i64,
}

impl Behind {
    pub fn of(issue: &Issue) -> Self {
        Self { last_seen: issue.last_seen, id: issue.id }
    }

    /// As [`Self::to_string`] has it.
    pub fn read(text: &str) -> Option<Self> {
        let (last_seen, id) = text.split_once('.')?;
        Some(Self { last_seen: last_seen.parse().ok()?, id: id.parse().ok()? })
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.last_seen, self.id)
    }
}

/// An issue with its newest events and the releases that have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IssueDetails {
    pub issue: Issue,
    pub releases: Vec<IssueRelease>,
    /// The first one, and the latest, newest first; the newest with its body.
    pub events: Vec<ErrorEvent>,
}

/// A release that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueRelease {
    pub release: String,
    pub first_seen: i64,
    pub last_seen: i64,
    pub events: i64,
}

/// What a person decides about an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "kebab-case")]
pub enum Change {
    Open,
    /// It is back when it happens again: in any release, or where one is named, in that one or a later one.
    Resolve {
        release: Option<String>,
    },
    /// It is counted and nobody is told.
    Ignore,
    /// Until a time, or until it has happened so many times more.
    Snooze {
        until: Option<i64>,
        more_events: Option<i64>,
    },
}

const COLUMNS: &str =
    "i.id, i.app, i.title, i.culprit, i.level, i.platform, i.unhandled, i.status, i.first_seen, i.last_seen,
    i.events, i.kept, i.regressed_at, i.until, i.until_events,
    (SELECT release FROM issue_releases WHERE issue = i.id ORDER BY first_seen, release LIMIT 1),
    (SELECT release FROM issue_releases WHERE issue = i.id ORDER BY first_seen DESC, release DESC LIMIT 1)";

const MOST: u32 = 1_000;

pub(crate) fn list(connection: &Connection, filter: &IssueFilter) -> rusqlite::Result<Vec<Issue>> {
    let mut rare: Vec<String> = Vec::new();
    let mut wheres: Vec<String> = Vec::new();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut add = |clause: &str, value: Box<dyn ToSql>| {
        values.push(value);
        wheres.push(clause.replace('?', &format!("?{}", values.len())));
    };
    if let Some(app) = &filter.app {
        add("i.app = ?", Box::new(app.clone()));
    }
    if let Some(status) = filter.status {
        add("i.status = ?", Box::new(status.as_str()));
    }
    if let Some(release) = &filter.release {
        add("i.id IN (SELECT issue FROM issue_releases WHERE release = ?)", Box::new(release.clone()));
    }
    if let Some(Behind { last_seen, id }) = filter.behind {
        // The latest first, and of the same moment the one that was made last. The former finds the place by the index.
        add("i.last_seen <= ?", Box::new(last_seen));
        add(&format!("(i.last_seen < {last_seen} OR i.id < ?)"), Box::new(id));
    }
    for word in filter.search.iter().flat_map(|search| search.split_whitespace()).take(20) {
        match word.split_once(':') {
            Some(("request", id)) => {
                add("i.id IN (SELECT issue FROM events WHERE request_id = ?)", Box::new(id.to_owned()))
            }
            Some(("trace", id)) => {
                add("i.id IN (SELECT issue FROM events WHERE trace_id = ?)", Box::new(id.to_owned()))
            }
            Some(("level", level)) => add("i.level = ?", Box::new(level.to_owned())),
            Some(("event", id)) => {
                add("i.id IN (SELECT issue FROM events WHERE event_id = ?)", Box::new(event_id::bytes(id)));
            }
            _ => {
                let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                add("i.title || ' ' || i.culprit LIKE ? ESCAPE '\\'", Box::new(format!("%{escaped}%")));
                rare.extend(words::asked(word));
            }
        }
    }
    if let Some(asked) = words::narrowed(connection, &rare)? {
        add("i.id IN (SELECT rowid FROM issue_words WHERE issue_words MATCH ?)", Box::new(asked));
    }
    let clause = if wheres.is_empty() { String::new() } else { format!("WHERE {}", wheres.join(" AND ")) };
    let limit = filter.limit.unwrap_or(100).min(MOST);
    let sql = format!("SELECT {COLUMNS} FROM issues i {clause} ORDER BY i.last_seen DESC, i.id DESC LIMIT {limit}");
    let mut statement = connection.prepare(&sql)?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    statement.query_map(values.as_slice(), issue)?.collect()
}

fn issue(row: &Row<'_>) -> rusqlite::Result<Issue> {
    Ok(Issue {
        id: row.get(0)?,
        app: row.get(1)?,
        title: row.get(2)?,
        culprit: row.get(3)?,
        level: row.get(4)?,
        platform: row.get(5)?,
        unhandled: row.get(6)?,
        status: IssueStatus::of(row.get_ref(7)?.as_str()?),
        first_seen: row.get(8)?,
        last_seen: row.get(9)?,
        events: row.get(10)?,
        kept: row.get(11)?,
        regressed_at: row.get(12)?,
        until: row.get(13)?,
        until_events: row.get(14)?,
        first_release: row.get(15)?,
        last_release: row.get(16)?,
    })
}

pub(crate) fn details(connection: &Connection, id: i64, environment: &str) -> rusqlite::Result<Option<IssueDetails>> {
    let sql = format!("SELECT {COLUMNS} FROM issues i WHERE i.id = ?1");
    let Some(issue) = connection.query_row(&sql, [id], issue).optional()? else { return Ok(None) };
    let sql = "SELECT release, first_seen, last_seen, events FROM issue_releases WHERE issue = ?1 ORDER BY first_seen DESC LIMIT 100";
    let mut statement = connection.prepare(sql)?;
    let releases = statement.query_map([id], |row| {
        Ok(IssueRelease { release: row.get(0)?, first_seen: row.get(1)?, last_seen: row.get(2)?, events: row.get(3)? })
    })?;
    let releases = releases.collect::<rusqlite::Result<_>>()?;
    let found = "(e.id IN (SELECT id FROM events WHERE issue = ?1 ORDER BY id DESC LIMIT 20)
                 OR e.id = (SELECT min(id) FROM events WHERE issue = ?1))";
    let mut events = events(connection, found, &[&id], environment)?;
    for later in events.iter_mut().skip(1) {
        later.body = None;
    }
    Ok(Some(IssueDetails { issue, releases, events }))
}

/// Events of a request, of a trace, or with an id: whole.
pub(crate) fn find_events(
    connection: &Connection,
    search: &str,
    environment: &str,
) -> rusqlite::Result<Vec<ErrorEvent>> {
    match search.split_once(':') {
        Some(("request", id)) => events(connection, "e.request_id = ?1", &[&id], environment),
        Some(("trace", id)) => events(connection, "e.trace_id = ?1", &[&id], environment),
        Some(("event", id)) => events(connection, "e.event_id = ?1", &[&event_id::bytes(id)], environment),
        _ => Ok(Vec::new()),
    }
}

fn events(
    connection: &Connection,
    clause: &str,
    values: &[&dyn ToSql],
    environment: &str,
) -> rusqlite::Result<Vec<ErrorEvent>> {
    let sql = format!(
        "SELECT e.event_id, e.issue, e.app, i.title, e.at, e.received, e.release, e.request_id, e.trace_id, e.symbols, e.body
         FROM events e JOIN issues i ON i.id = e.issue WHERE {clause} ORDER BY e.id DESC LIMIT 100"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(values, |row| {
        let sources: Option<String> = row.get(9)?;
        Ok(ErrorEvent {
            event_id: event_id::text(row.get(0)?),
            issue: row.get(1)?,
            app: row.get(2)?,
            title: row.get(3)?,
            at: row.get(4)?,
            received: row.get(5)?,
            environment: environment.to_owned(),
            release: row.get(6)?,
            request_id: row.get(7)?,
            trace_id: row.get(8)?,
            sources: sources.and_then(|text| serde_json::from_str(&text).ok()),
            body: body(row.get_ref(10)?.as_blob()?),
        })
    })?;
    rows.collect()
}

fn body(packed: &[u8]) -> Option<Value> {
    let mut json = Vec::new();
    zstd::stream::read::Decoder::new(packed).ok()?.take(8 << 20).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Whether there is such an issue.
pub(crate) fn change(connection: &mut Connection, id: i64, change: &Change, now: i64) -> rusqlite::Result<bool> {
    let to = "UPDATE issues SET status = ?2, until = ?3, until_events = ?4, resolved_at = ?5, resolved_in = ?6 WHERE id = ?1";
    let changed = match change {
        Change::Open => {
            connection.execute(to, params![id, "open", None::<i64>, None::<i64>, None::<i64>, None::<&str>])?
        }
        Change::Ignore => {
            connection.execute(to, params![id, "ignored", None::<i64>, None::<i64>, None::<i64>, None::<&str>])?
        }
        Change::Resolve { release } => {
            connection.execute(to, params![id, "resolved", None::<i64>, None::<i64>, now, release])?
        }
        Change::Snooze { until, more_events } => {
            let known = "SELECT events FROM issues WHERE id = ?1";
            let known: Option<i64> = connection.query_row(known, [id], |row| row.get(0)).optional()?;
            let until_events = known.and_then(|known| Some(known.saturating_add((*more_events)?)));
            connection.execute(to, params![id, "snoozed", until, until_events, None::<i64>, None::<&str>])?
        }
    };
    Ok(changed > 0)
}
