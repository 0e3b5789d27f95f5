//! Writes every page with an ordinary day in it, to be looked at without an environment:
//! `cargo run -p roadbed-console --example pages -- FOLDER`, then serve that folder.

#![allow(dead_code, clippy::unwrap_used, reason = "what tests use too, and what cannot fail in an example")]

#[path = "../tests/it/world.rs"]
mod world;

use std::path::PathBuf;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("a folder for the pages"));
    for (name, page) in world::USUAL.pages() {
        for path in page.split('"').filter(|text| text.starts_with("/assets/")) {
            let asset = web_console::assets::of(path).expect("pages name files that there are");
            write(&folder.join(path.trim_start_matches('/')), asset.text);
        }
        write(&folder.join(format!("{name}.html")), &page);
    }
}

fn write(path: &std::path::Path, text: &str) {
    host::files::create_dir(path.parent().expect("a file lies in a folder"), host::files::Access::Owner)
        .expect("a folder is made");
    host::files::write_durable(path, text.as_bytes(), host::files::Access::Owner).expect("a file is written");
}
