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
