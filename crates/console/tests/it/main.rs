//! Pages, made of what apps and strangers may say.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests write pages where a browser finds them")]

mod axe;
mod hostile;
mod world;
