//! Pages in a real Chromium. `./setup` installs it; without it these tests fail.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test looks at the machine and fails by panicking"
)]

mod site;
mod pages;
mod browser;
