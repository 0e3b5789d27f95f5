//! Who comes by way of the gateway that speaks Upstash's REST: an app's own user, or one that reads its keys.
//!
//! Both follow from the one password that an app has: so they are made, rotated and taken away with it.

use std::sync::Arc;

use host::clock::Clock;
use manifest::id::AppName;
use rustls::ClientConfig;
use secrets::{Secret, Versioned};

use crate::engines::checksum;
use crate::ground::{Slot, user_of};
use crate::tls;

/// What is between a password and the one of the reader. Another word would make other passwords.
const READER: &str = "roadbed redis rest reader 1";

/// How the name of an app's reader ends. No app's name has a dot.
const SUFFIX: &str = ".r";

/// The app's own user, as its connection string has it.
pub fn app(app: &AppName, password: &Versioned) -> (String, Secret) {
    (user_of(app, Slot::of(password.version)), Secret::new(password.secret.expose().to_owned()))
}

/// Who reads the app's keys and writes none. Whoever has this password does not know the app's: a digest does not go back.
pub fn reader(app: &AppName, password: &Versioned) -> (String, Secret) {
    let text = Secret::new(format!("{READER}\0{}", password.secret.expose()));
    let name = format!("{}{SUFFIX}", user_of(app, Slot::of(password.version)));
    (name, Secret::new(checksum::of_bytes(text.expose().as_bytes())))
}

/// The app's user beside whom this one reads; the name itself where it is no reader's.
pub(super) fn without_reader(name: &str) -> &str {
    name.strip_suffix(SUFFIX).unwrap_or(name)
}

/// How a gateway shakes hands with Redis: it believes these authorities, in PEM, by this clock.
pub fn tls(authorities: &str, clock: Arc<dyn Clock>) -> Arc<ClientConfig> {
    Arc::new(tls::believing(tls::authorities(authorities), clock))
}
