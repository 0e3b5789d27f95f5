//! Where in the code a failed task says something is wrong.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use host::files;
use regex::Regex;

use crate::attempt::lines;

/// A place in a file, with what was said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Relative to the project.
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub message: String,
}

/// Code hosts show a few dozen; a lint that never ran before finds thousands.
const MOST: usize = 200;

/// `src/a.ts(3,7): error TS2322: …` of tsc; `src/a.ts:3:7 lint/…` of Biome, eslint in its `unix` form, rustc (` --> src/a.rs:3:7`).
static FORMS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [
        r"^ *(?:-->)? *([A-Za-z0-9_.@/\[\]()-]+\.[A-Za-z0-9]+)\(([0-9]+),([0-9]+)\):? *(.*)$",
        r"^ *(?:-->)? *([A-Za-z0-9_.@/\[\]()-]+\.[A-Za-z0-9]+):([0-9]+):([0-9]+):? *(.*)$",
    ]
    .map(|pattern| Regex::new(pattern).expect("the pattern is constant"))
});

/// Places in a log, each once, of files that are there.
pub fn places(project: &Path, package: &str, log: &[u8]) -> Vec<Place> {
    let mut found = BTreeSet::new();
    let mut before = String::new();
    for line in lines(log) {
        if let Some(place) = place(project, package, &line, &before) {
            found.insert(place);
        }
        if found.len() >= MOST {
            break;
        }
        if !line.trim().is_empty() {
            before = line.trim().to_owned();
        }
    }
    found.into_iter().collect()
}

fn place(project: &Path, package: &str, line: &str, before: &str) -> Option<Place> {
    // A line this long is a bundle's.
    if line.len() > 1000 {
        return None;
    }
    let found = FORMS.iter().find_map(|form| form.captures(line))?;
    let file = found[1].trim_start_matches("./");
    // Cargo says it from the workspace, scripts from their package.
    let inside = if package.is_empty() { file.to_owned() } else { format!("{package}/{file}") };
    let file = [inside, file.to_owned()].into_iter().find(|file| {
        !file.split('/').any(|part| part == ".." || part == "node_modules") && files::exists(&project.join(file))
    })?;
    let said = found[4].trim();
    // rustc says what it is about in the line before.
    let message = if said.is_empty() { before } else { said };
    let message = if message.is_empty() { "is complained about" } else { message };
    Some(Place {
        file,
        line: found[2].parse().ok()?,
        column: found[3].parse().ok().filter(|column| *column > 0)?,
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compilers_and_linters_say_is_found_in_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("apps/a/src");
        files::create_dir(&source, files::Access::Owner).unwrap();
        files::write(&source.join("x.ts"), b"", files::Access::Owner).unwrap();
        let log = "src/x.ts(3,7): error TS2322: no number\nsrc/x.ts:4:1 lint/suspicious/noConsole\nerror[E0308]: mismatched\n --> apps/a/src/x.ts:5:2\n\
                   src/gone.ts:1:1 nothing\n    at file.js:1:1\nhttps://host.ts:80:1\n";
        let found = places(folder.path(), "apps/a", log.as_bytes());
        let told: Vec<(u32, u32, &str)> =
            found.iter().map(|place| (place.line, place.column, place.message.as_str())).collect();
        assert_eq!(
            told,
            [
                (3, 7, "error TS2322: no number"),
                (4, 1, "lint/suspicious/noConsole"),
                (5, 2, "error[E0308]: mismatched")
            ]
        );
        assert!(found.iter().all(|place| place.file == "apps/a/src/x.ts"));
    }
}
