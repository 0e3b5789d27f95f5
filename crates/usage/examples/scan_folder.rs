//! Reads the code below a folder and prints which variables it uses: `scan_folder FOLDER [WRAPPER…]`. For benches/usage.py.
//!
//! With `TIMES=n` it only looks for uses, n times over texts that it has read before: what a round costs is the difference
//! between two such runs.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeSet;
use std::path::Path;

use usage::code::{Filter, read};
use usage::javascript::{self, Dialect};
use usage::{Name, walk};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else { return println!("usage: scan_folder FOLDER [WRAPPER…]") };
    let wrappers: Vec<String> = arguments.collect();
    let times = std::env::var("TIMES").ok().and_then(|times| times.parse().ok());
    let told = match times {
        Some(times) => look_only(Path::new(&folder), &wrappers, times),
        None => everything(Path::new(&folder), &wrappers),
    };
    println!("{}", told.unwrap_or_else(|fault| format!("failed {fault}")));
}

fn everything(folder: &Path, wrappers: &[String]) -> Result<String, walk::WalkFault> {
    let code = read(folder, "", wrappers)?;
    let names: BTreeSet<&str> = code
        .uses
        .iter()
        .filter_map(|seen| match &seen.used.name {
            Name::Exact(name) | Name::Pattern(name) => Some(name.as_str()),
            Name::Computed | Name::Whole(_) => None,
        })
        .collect();
    let mut lines = vec![
        format!("files {}", code.files.len()),
        format!("bytes {}", code.bytes),
        format!("uses {}", code.uses.len()),
    ];
    lines.extend(code.unreadable.iter().map(|(place, why)| format!("unreadable {place}: {why}")));
    lines.extend(names.into_iter().map(|name| format!("name {name}")));
    Ok(lines.join("\n"))
}

fn look_only(folder: &Path, wrappers: &[String], times: usize) -> Result<String, walk::WalkFault> {
    let mut texts: Vec<(String, Dialect)> = Vec::new();
    for file in walk::files(folder, "")? {
        texts.push((host::files::read_string(&folder.join(&file.path))?, file.dialect));
    }
    let filter = Filter::new(wrappers);
    let (mut passed, mut uses, mut unreadable) = (0, 0, 0);
    for _ in 0..times {
        (passed, uses, unreadable) = (0, 0, 0);
        for (text, dialect) in texts.iter().filter(|(text, _)| filter.passes(text)) {
            passed += text.len();
            match javascript::uses(text, *dialect, wrappers) {
                Ok(extracted) => uses += extracted.uses.len(),
                Err(_) => unreadable += 1,
            }
        }
    }
    let bytes: usize = texts.iter().map(|(text, _)| text.len()).sum();
    let files = texts.len();
    Ok(format!("files {files}\nbytes {bytes}\npassed {passed}\nuses {uses}\nunreadable {unreadable}"))
}
