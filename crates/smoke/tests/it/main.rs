//! Pages in a real Chromium. `./setup` installs it; without it these tests fail.

mod site;
mod pages;
mod browser;
