//! Names as types, so that an app's name is never taken for an environment's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a name: {rule}")]
pub struct NotAName {
    pub text: String,
    pub rule: &'static str,
}

/// The grammar of a name, as a regular expression for editors.
pub(crate) trait NameRule {
    const PATTERN: &'static str;
}

const NAME_PATTERN: &str = "^[a-z][a-z0-9-]{0,30}$";
const NAME_RULE: &str = "a name starts with a letter a-z, goes on with a-z, 0-9 or '-', and has at most 31 characters";
const VARIABLE_PATTERN: &str = "^[A-Z][A-Z0-9_]{0,63}$";
const VARIABLE_RULE: &str = "a variable starts with A-Z, goes on with A-Z, 0-9 or '_', and has at most 64 characters";

/// `[a-z][a-z0-9-]{0,30}`: safe in a host name, a path, a database name and an argument.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 31
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

const MIGRATION_PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,62}$";
const MIGRATION_RULE: &str =
    "a migration starts with a letter a-z or a digit, goes on with a-z, 0-9 or '-', and has at most 63 characters";

/// Migrations mostly begin with a number.
fn is_migration(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|byte| is_plain(byte) || byte == b'-')
}

const COLLECTION_PATTERN: &str = "^(?!system\\.)[A-Za-z_][A-Za-z0-9_.-]{0,63}$";
const COLLECTION_RULE: &str = "a collection starts with a letter or '_', goes on with letters, digits, '_', '.' or '-', has at most 64 characters \
     and does not begin with \"system.\"";

/// What every driver and shell can write without quotes; names that begin with `system.` are the server's.
fn is_collection(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 64
        && !text.starts_with("system.")
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_variable(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_uppercase())
        && bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $valid:ident, $pattern:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn new(text: &str) -> Result<Self, NotAName> {
                if $valid(text) { Ok(Self(text.to_owned())) } else { Err(NotAName { text: text.to_owned(), rule: $rule }) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl NameRule for $name {
            const PATTERN: &'static str = $pattern;
        }

        impl TryFrom<String> for $name {
            type Error = NotAName;
            fn try_from(text: String) -> Result<Self, NotAName> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// The product, for example `urbancart`.
    ProductName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// An app, for example `storefront`.
    AppName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// An environment, for example `staging`.
    EnvName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// An owner: a team or a person, for example `payments`.
    OwnerName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// Somebody who logs in, for example `anna`.
    PersonName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// Something that is watched, for example `checkout`.
    MonitorName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// Somebody who is told, for example `oncall`.
    ChannelName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// A service elsewhere that gets errors, lines or numbers, for example `grafana`.
    ExportName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// A second repository of backups, for example `offsite`.
    CopyName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// A bucket of the object storage, for example `products`.
    BucketName, is_name, NAME_PATTERN, NAME_RULE
);
name_type!(
    /// A collection of MongoDB, for example `orders`.
    CollectionName, is_collection, COLLECTION_PATTERN, COLLECTION_RULE
);
name_type!(
    /// A change of data, for example `0007-order-numbers`.
    MigrationName, is_migration, MIGRATION_PATTERN, MIGRATION_RULE
);
name_type!(
    /// A variable, for example `MONGODB_URL`.
    VarName, is_variable, VARIABLE_PATTERN, VARIABLE_RULE
);
