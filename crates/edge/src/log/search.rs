//! Finding one request again.

use std::path::Path;

use host::files::{self, FileFault};

use super::writer::{KEPT, numbered};

/// The lines of one request, the newest first, in the log and in those that were moved aside.
///
/// # Errors
/// Where a log cannot be read.
pub fn lines_of(path: &Path, request_id: &str) -> Result<Vec<serde_json::Value>, FileFault> {
    let mut found = Vec::new();
    let all = std::iter::once(path.to_owned()).chain((1..=KEPT).map(|age| numbered(path, age)));
    for file in all {
        let Some(bytes) = files::read_if_exists(&file)? else { continue };
        let text = String::from_utf8_lossy(&bytes);
        // Most lines are of others: only what has the id at all is read.
        let lines = text.lines().rev().filter(|line| line.contains(request_id));
        let lines = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        found.extend(lines.filter(|line| line["request_id"] == request_id));
    }
    Ok(found)
}
