//! The database of errors: one file, one writer.

use host::database::Schema;

/// `rber` in the file's header.
const APPLICATION_ID: i32 = 0x7262_6572;

pub(crate) const SCHEMA: Schema = Schema { application_id: APPLICATION_ID, migrations: &[FIRST] };

const FIRST: &str = "
CREATE TABLE position (only INTEGER PRIMARY KEY CHECK (only = 1), segment INTEGER NOT NULL, offset INTEGER NOT NULL) STRICT;

CREATE TABLE issues (
  id INTEGER PRIMARY KEY,
  app TEXT NOT NULL,
  key BLOB NOT NULL,
  -- Which way of grouping made the key.
  way INTEGER NOT NULL,
  title TEXT NOT NULL,
  culprit TEXT NOT NULL,
  level TEXT NOT NULL,
  platform TEXT NOT NULL,
  unhandled INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('open', 'resolved', 'ignored', 'snoozed')),
  -- Snoozed until a time, or until there are so many events.
  until INTEGER,
  until_events INTEGER,
  resolved_at INTEGER,
  resolved_in TEXT,
  regressed_at INTEGER,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  -- How many there were, and how many of these are kept.
  events INTEGER NOT NULL,
  kept INTEGER NOT NULL,
  UNIQUE (app, key)
) STRICT;
CREATE INDEX issues_by_last_seen ON issues (last_seen);

CREATE TABLE issue_releases (
  issue INTEGER NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  release TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  events INTEGER NOT NULL,
  PRIMARY KEY (issue, release)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
  app TEXT NOT NULL,
  release TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  PRIMARY KEY (app, release)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  event_id BLOB NOT NULL,
  app TEXT NOT NULL,
  issue INTEGER NOT NULL,
  at INTEGER NOT NULL,
  received INTEGER NOT NULL,
  release TEXT,
  request_id TEXT,
  trace_id TEXT,
  -- Frames as the sources have them, where there is a source map.
  symbols TEXT,
  -- JSON, by zstd.
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_event_id ON events (event_id, app);
CREATE INDEX events_by_issue ON events (issue);
CREATE INDEX events_by_request ON events (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX events_by_trace ON events (trace_id) WHERE trace_id IS NOT NULL;

CREATE TABLE sessions (
  app TEXT NOT NULL,
  release TEXT NOT NULL,
  hour INTEGER NOT NULL,
  sessions INTEGER NOT NULL,
  errored INTEGER NOT NULL,
  crashed INTEGER NOT NULL,
  PRIMARY KEY (app, release, hour)
) STRICT, WITHOUT ROWID;

-- What was counted of a session that may still change.
CREATE TABLE open_sessions (
  app TEXT NOT NULL,
  sid TEXT NOT NULL,
  outcome INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (app, sid)
) STRICT, WITHOUT ROWID;

-- What was taken and is not kept: kinds that nobody keeps, floods, what could not be read.
CREATE TABLE counts (
  app TEXT NOT NULL,
  what TEXT NOT NULL,
  day INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (app, what, day)
) STRICT, WITHOUT ROWID;
";
