//! Reads the code below a folder and prints which variables it uses: `scan_folder FOLDER [WRAPPER…]`. For benches/usage.py.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeSet;
use std::path::Path;

use usage::Name;
use usage::code::read;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else { return println!("usage: scan_folder FOLDER [WRAPPER…]") };
    let wrappers: Vec<String> = arguments.collect();
    match read(Path::new(&folder), "", &wrappers) {
        Ok(code) => {
            let names: BTreeSet<&str> = code
                .uses
                .iter()
                .filter_map(|seen| match &seen.used.name {
                    Name::Exact(name) | Name::Pattern(name) => Some(name.as_str()),
                    Name::Computed | Name::Whole(_) => None,
                })
                .collect();
            println!("files {}", code.files.len());
            println!("bytes {}", code.bytes);
            println!("uses {}", code.uses.len());
            for (place, why) in &code.unreadable {
                println!("unreadable {place}: {why}");
            }
            for name in names {
                println!("name {name}");
            }
        }
        Err(fault) => println!("failed {fault}"),
    }
}
