//! The connection string that an app is given.

use manifest::id::AppName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrets::Secret;

use crate::ground::user_of;

/// The app's own user. The prefix of its keys is no part of the URL: the app is told it separately.
pub fn redis_url(app: &AppName, port: u16, secret: &Secret) -> Secret {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    Secret::new(format!("redis://{}:{}@127.0.0.1:{port}", encode(&user_of(app)), encode(secret.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_password_means_anything_in_the_url() {
        let url = redis_url(&AppName::new("api").unwrap(), 6379, &Secret::new("p@ss:/?#%".to_owned()));
        assert_eq!(url.expose(), "redis://app%2Dapi:p%40ss%3A%2F%3F%23%25@127.0.0.1:6379");
    }
}
