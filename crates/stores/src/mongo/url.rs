//! The connection string that an app is given.

use std::path::Path;

use manifest::environment;
use manifest::id::AppName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrets::{Secret, Versioned};

use super::{Members, REPLICA_SET};
use crate::ground::{Slot, user_of};

/// The app's own user on its one database.
///
/// It names the replica set, and all its members, rather than a direct connection: the driver then waits for a primary instead of failing on a
/// server that is still electing itself. The timeouts are short, so that `/ready` can say within its second that there is none.
pub fn mongo_url(
    settings: &environment::MongoDb,
    app: &AppName,
    members: impl Into<Members>,
    password: &Versioned,
) -> Secret {
    of_user(settings, &user_of(app, Slot::of(password.version)), &members.into(), &password.secret)
}

/// As [`mongo_url`], of another user of the same database.
pub(crate) fn of_user(settings: &environment::MongoDb, user: &str, members: &Members, password: &Secret) -> Secret {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let database = encode(&settings.database);
    Secret::new(format!(
        "mongodb://{user}:{password}@{hosts}/{database}\
         ?tls=true&authSource={database}&authMechanism=SCRAM-SHA-256&replicaSet={REPLICA_SET}&retryWrites=true&w=majority\
         &maxPoolSize={pool}&serverSelectionTimeoutMS=1000&connectTimeoutMS=1000&heartbeatFrequencyMS=2000",
        hosts = members.hosts(),
        pool = settings.pool,
        user = encode(user),
        password = encode(password.expose()),
    ))
}

/// The same, with the file of the authorities that the server is recognised by.
pub(crate) fn with_authorities(url: &Secret, file: &Path) -> Secret {
    let file = utf8_percent_encode(&file.to_string_lossy(), NON_ALPHANUMERIC).to_string();
    Secret::new(format!("{}&tlsCAFile={file}", url.expose()))
}

#[cfg(test)]
mod tests {
    use secrets::VersionState;

    use super::*;

    fn first(password: &str) -> Versioned {
        Versioned { secret: Secret::new(password.to_owned()), version: 1, state: VersionState::Current }
    }

    #[test]
    fn no_character_of_a_password_means_anything_in_the_url() {
        let settings = environment::MongoDb {
            external: None,
            program: None,
            min_version: "6".to_owned(),
            database: "shop-local".to_owned(),
            apps: Vec::new(),
            cache_bytes: 0,
            oplog_bytes: 0,
            members: 1,
            pool: 7,
            pools: 2,
            collections: Vec::new(),
            seed: manifest::Seed::Nothing,
            sample: String::new(),
        };
        let url = mongo_url(&settings, &AppName::new("api").unwrap(), 27017, &first("p@ss:/?#%"));
        assert_eq!(
            url.expose(),
            "mongodb://app%2Dapi:p%40ss%3A%2F%3F%23%25@127.0.0.1:27017/shop%2Dlocal?tls=true&authSource=shop%2Dlocal\
             &authMechanism=SCRAM-SHA-256&replicaSet=roadbed&retryWrites=true&w=majority\
             &maxPoolSize=7&serverSelectionTimeoutMS=1000&connectTimeoutMS=1000&heartbeatFrequencyMS=2000"
        );
    }
}
