//! Values that must come up nowhere: every byte that an environment left behind is searched for them.

use std::fs;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use secrets::Secret;
use secrets::redact::encodings;

/// Where one of `values` is found, in any of the notations that a secret may be written in: below `folder`, and in `said`.
pub(crate) fn found(values: &[String], folder: &Path, said: &str) -> Vec<String> {
    let secrets: Vec<Secret> = values.iter().map(|value| Secret::new(value.clone())).collect();
    let needles: Vec<_> = secrets.iter().flat_map(encodings).collect();
    let needles = AhoCorasick::new(needles.iter().map(|needle| needle.as_slice())).unwrap();
    let mut found: Vec<String> = Vec::new();
    let mut look = |place: String, bytes: &[u8]| {
        if let Some(hit) = needles.find(bytes) {
            let around = hit.start().saturating_sub(60)..(hit.end() + 20).min(bytes.len());
            found.push(format!("{place} at byte {}: {}", hit.start(), String::from_utf8_lossy(&bytes[around])));
        }
    };
    look("what commands said".to_owned(), said.as_bytes());
    // The sealed store is searched like everything else.
    for path in files_below(folder) {
        look(format!("the name {}", path.display()), path.as_os_str().as_encoded_bytes());
        // Gone meanwhile, or a socket.
        if let Ok(bytes) = fs::read(&path) {
            look(path.display().to_string(), &bytes);
        }
    }
    found
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            // Links lead to what others wrote, or to what is found by itself.
            _ => {}
        }
    }
    found
}
