//! Values that must come up nowhere: every byte that an environment left behind is searched for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrets::Secret;
use secrets::redact::Needles;

/// What is searched: whole folders, what commands said, and what builds made since a time.
#[derive(Debug)]
pub struct Left<'a> {
    /// Everything below it was written by the environment.
    pub folder: &'a Path,
    /// Folders that others share: only what was written since `begun` is this environment's.
    pub built: &'a [PathBuf],
    pub begun: SystemTime,
    pub said: &'a str,
}

/// Where one of `values`, each with its name, is found in any of the notations that a secret may be written in.
pub fn found(values: &[(String, String)], left: &Left<'_>) -> Vec<String> {
    let secrets: Vec<(&String, Secret)> =
        values.iter().map(|(name, value)| (name, Secret::new(value.clone()))).collect();
    let needles = Needles::new(secrets.iter().map(|(name, secret)| ((*name).clone(), secret))).unwrap();
    assert!(needles.too_short().is_empty(), "too short to be searched for: {:?}", needles.too_short());
    let mut found: Vec<String> = Vec::new();
    let mut look = |place: String, bytes: &[u8]| {
        if let Some(hit) = needles.find(bytes).first() {
            let around = hit.place.start.saturating_sub(60)..(hit.place.end + 20).min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[around]).into_owned();
            found.push(format!("{place} has {} at byte {}: {text}", hit.name, hit.place.start));
        }
    };
    look("what commands said".to_owned(), left.said.as_bytes());
    // The sealed store is searched like everything else.
    let written = files_below(left.folder);
    let built = left.built.iter().flat_map(|folder| files_below(folder)).filter(|path| is_since(path, left.begun));
    for path in written.into_iter().chain(built) {
        look(format!("the name {}", path.display()), path.as_os_str().as_encoded_bytes());
        // Gone meanwhile, or a socket.
        if let Ok(bytes) = fs::read(&path) {
            look(path.display().to_string(), &bytes);
        }
    }
    found
}

fn is_since(path: &Path, begun: SystemTime) -> bool {
    fs::metadata(path).and_then(|meta| meta.modified()).is_ok_and(|changed| changed >= begun)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const VALUE: &str = "k3PxZ-marker-77ab'q";

    struct Planted {
        folder: tempfile::TempDir,
        built: tempfile::TempDir,
    }

    impl Planted {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), built: tempfile::tempdir().unwrap() }
        }

        fn found(&self, said: &str, begun: SystemTime) -> Vec<String> {
            let built = [self.built.path().to_owned()];
            let left = Left { folder: self.folder.path(), built: &built, begun, said };
            super::found(&[("PAYMENT".to_owned(), VALUE.to_owned())], &left)
        }
    }

    #[test]
    fn a_value_is_found_wherever_it_was_written_and_in_whatever_notation() {
        let planted = Planted::new();
        let long_ago = SystemTime::UNIX_EPOCH;
        fs::create_dir_all(planted.folder.path().join("a/b")).unwrap();
        fs::write(planted.folder.path().join("a/b/harmless"), "nothing").unwrap();
        assert_eq!(planted.found("all is well", long_ago), Vec::<String>::new());
        // `echo -n VALUE | base64`, and as JSON would have it in a log's line.
        for text in [VALUE.to_owned(), "azNQeFotbWFya2VyLTc3YWIncQ==".to_owned(), "k3PxZ-marker-77ab%27q".to_owned()] {
            assert_eq!(planted.found(&text, long_ago).len(), 1, "said {text}");
            let log = planted.folder.path().join("a/b/log");
            fs::write(&log, format!("x{text}y")).unwrap();
            assert_eq!(planted.found("", long_ago).len(), 1, "wrote {text}");
            fs::remove_file(log).unwrap();
        }
        fs::write(planted.folder.path().join(VALUE), "").unwrap();
        assert_eq!(planted.found("", long_ago).len(), 1, "a name");
    }

    #[test]
    fn of_what_others_built_only_what_is_new_is_searched() {
        let planted = Planted::new();
        fs::write(planted.built.path().join("bundle.js"), VALUE).unwrap();
        let hour = Duration::from_secs(3600);
        assert_eq!(planted.found("", SystemTime::now() - hour).len(), 1);
        assert_eq!(planted.found("", SystemTime::now() + hour), Vec::<String>::new());
    }
}
