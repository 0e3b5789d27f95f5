//! The connection string that an app is given.

use manifest::id::AppName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrets::{Secret, Versioned};

use crate::ground::{Slot, user_of};

/// The app's own user. The prefix of its keys is no part of the URL: the app is told it separately.
pub fn redis_url(app: &AppName, port: u16, password: &Versioned) -> Secret {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let user = encode(&user_of(app, Slot::of(password.version)));
    Secret::new(format!("rediss://{user}:{}@127.0.0.1:{port}", encode(password.secret.expose())))
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
        let url = redis_url(&AppName::new("api").unwrap(), 6379, &first("p@ss:/?#%"));
        assert_eq!(url.expose(), "rediss://app%2Dapi:p%40ss%3A%2F%3F%23%25@127.0.0.1:6379");
    }
}
