//! The tables.

use host::database::Schema;

/// `freed` of a blob is when a sweep first saw that nobody refers to it. `gone` of a version is when it was overwritten or deleted; the
/// one without is the object. Sizes of a bucket are sums kept with each change, so that a quota costs no scan.
pub(super) const SCHEMA: Schema = Schema {
    // "objs"
    application_id: 0x6f62_6a73,
    migrations: &["
CREATE TABLE bucket (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    made INTEGER NOT NULL,
    quota INTEGER,
    undo INTEGER NOT NULL,
    objects INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0,
    kept_bytes INTEGER NOT NULL DEFAULT 0,
    part_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE blob (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    chunks BLOB NOT NULL,
    freed INTEGER
) STRICT;
CREATE TABLE version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket INTEGER NOT NULL REFERENCES bucket (id),
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    digest BLOB NOT NULL,
    parts INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    modified INTEGER NOT NULL,
    gone INTEGER
) STRICT;
CREATE UNIQUE INDEX object ON version (bucket, key) WHERE gone IS NULL;
CREATE INDEX version_of ON version (bucket, key, id);
CREATE INDEX leaving ON version (bucket, gone) WHERE gone IS NOT NULL;
CREATE TABLE piece (
    version INTEGER NOT NULL REFERENCES version (id),
    number INTEGER NOT NULL,
    blob INTEGER NOT NULL REFERENCES blob (id),
    PRIMARY KEY (version, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX piece_of ON piece (blob);
CREATE TABLE upload (
    id TEXT PRIMARY KEY,
    bucket INTEGER NOT NULL REFERENCES bucket (id),
    key TEXT NOT NULL,
    metadata TEXT NOT NULL,
    begun INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_of ON upload (bucket, key, id);
CREATE TABLE part (
    upload TEXT NOT NULL REFERENCES upload (id),
    number INTEGER NOT NULL,
    blob INTEGER NOT NULL REFERENCES blob (id),
    size INTEGER NOT NULL,
    md5 BLOB NOT NULL,
    checksum TEXT,
    modified INTEGER NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_of ON part (blob);
CREATE TABLE probe (only INTEGER PRIMARY KEY CHECK (only = 1), at INTEGER NOT NULL) STRICT;
"],
};
