//! The tables of a store. Names, versions and times can be read by whoever has the file; values and keys cannot.

use std::path::Path;

use host::database::{self, Schema};

use crate::fault::StoreFault;

/// Whether this program could read a store that another uses now; changes nothing.
pub fn refuse_newer(file: &Path) -> Result<(), StoreFault> {
    database::refuse_newer(file, SCHEMA).map_err(StoreFault::of_database)
}

pub(super) const SCHEMA: Schema = Schema {
    // "rbse"
    application_id: 0x7262_7365,
    migrations: &[
        "
        CREATE TABLE store (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            install TEXT NOT NULL,
            environment TEXT NOT NULL,
            -- Counts changes of values and keys.
            epoch INTEGER NOT NULL,
            -- The environment's key that is in use.
            kver INTEGER NOT NULL,
            -- Seed of the key that signs the end of the audit log, sealed with the environment's key.
            signer BLOB NOT NULL,
            signer_public BLOB NOT NULL
        ) STRICT;
        -- The environment's key, as an age file for all recipients.
        CREATE TABLE keys (kver INTEGER PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;
        -- The same, sealed to each pair of three recipients: the first's age file holds the second's.
        CREATE TABLE break_glass (
            first TEXT NOT NULL, second TEXT NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (first, second)
        ) STRICT;
        CREATE TABLE recipients (
            name TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            added INTEGER NOT NULL,
            -- When it was last seen to open something; NULL: not yet.
            proved INTEGER,
            -- Sealed with the environment's key: what the answer to the open challenge is.
            answer BLOB,
            -- Says that this row was written by somebody who could open the store.
            tag BLOB NOT NULL
        ) STRICT;
        CREATE TABLE versions (
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            class TEXT NOT NULL,
            state TEXT NOT NULL,
            created INTEGER NOT NULL,
            changed INTEGER NOT NULL,
            fingerprint BLOB,
            fingerprint_key BLOB,
            kver INTEGER NOT NULL,
            -- The version's own key, sealed with the environment's; NULL: destroyed.
            dek BLOB,
            PRIMARY KEY (name, version)
        ) STRICT;
        CREATE INDEX fingerprints ON versions (fingerprint) WHERE fingerprint IS NOT NULL;
        -- Apart from `versions`, so that another key for the environment touches no value.
        CREATE TABLE sealed_values (
            name TEXT NOT NULL, version INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (name, version)
        ) STRICT;
        CREATE TABLE audit (
            seq INTEGER PRIMARY KEY,
            time INTEGER NOT NULL,
            actor TEXT NOT NULL,
            via TEXT NOT NULL,
            action TEXT NOT NULL,
            environment TEXT NOT NULL,
            name TEXT NOT NULL,
            version INTEGER,
            reason TEXT NOT NULL,
            recipient TEXT NOT NULL,
            previous BLOB NOT NULL,
            hash BLOB NOT NULL
        ) STRICT;
        CREATE INDEX audit_by_recipient ON audit (recipient, name, version);
    ",
        "
        ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT '';
        ALTER TABLE audit ADD COLUMN details TEXT NOT NULL DEFAULT '';
    ",
    ],
};
