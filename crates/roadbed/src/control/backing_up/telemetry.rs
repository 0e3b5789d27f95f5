//! What apps reported, for a backup: of each database a copy as it is at one moment, and the rest as it lies there.

use std::fs::File;
use std::path::{Path, PathBuf};

use backup::{FileSource, TelemetrySources};
use host::files::{self, Access};
use reconcile::Fault;

/// What is on its way to a receiver is no past, and nobody wants it twice.
const ON_ITS_WAY: &str = "exports";

/// Smaller files are held: whoever replaces one meanwhile spoils no backup.
const SMALL: u64 = 1 << 20;

/// So much stays free while a copy is made.
const SPARE: u64 = 256 << 20;

/// All that is below `folder`. What cannot be read is left out, and said; `copies` is for the time of the copying.
pub(super) fn sources(folder: &Path, copies: &Path) -> Result<TelemetrySources, Fault> {
    let mut all = Vec::new();
    below(folder, &mut all)?;
    files::create_dir(copies, Access::Owner).map_err(|fault| cannot(&fault))?;
    let mut found = TelemetrySources::default();
    for path in all {
        let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) else { continue };
        match source(name, &path, copies) {
            Ok(Some(source)) => found.files.push(source),
            Ok(None) => {}
            // Packed or removed meanwhile.
            Err(_) if !files::exists(&path) => {}
            Err(why) => found.left_out.push(format!("telemetry/{name}: {why}")),
        }
    }
    files::remove_dir(copies).map_err(|fault| cannot(&fault))?;
    Ok(found)
}

fn cannot(fault: &files::FileFault) -> Fault {
    Fault::because("cannot read what apps reported", fault)
}

fn below(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), Fault> {
    for path in files::list(folder).map_err(|fault| cannot(&fault))? {
        if files::is_link(&path) || path.file_name().is_some_and(|name| name == ON_ITS_WAY) {
            continue;
        }
        if files::is_dir(&path) {
            below(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

/// `None` for what is no past: parts of a database that are in its copy, locks, what is being packed.
fn source(name: &str, path: &Path, copies: &Path) -> Result<Option<FileSource>, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let open = |path: &Path| -> Result<File, String> { files::open(path).map_err(|fault| fault.source.to_string()) };
    match path.extension().and_then(|end| end.to_str()).unwrap_or_default() {
        "db" => {
            let copy = copies.join("copy.db");
            files::remove(&copy).map_err(|fault| told(&fault))?;
            let size = files::metadata(path).map_err(|fault| told(&fault))?.len();
            let free = files::free_bytes(copies).map_err(|fault| told(&fault))?;
            if free < size + SPARE {
                return Err(format!("a copy of {size} bytes finds no room, {free} are free"));
            }
            host::database::copy(path, &copy).map_err(|fault| told(&fault))?;
            let file = open(&copy)?;
            // Its name goes, it stays until it is saved.
            files::remove(&copy).map_err(|fault| told(&fault))?;
            FileSource::of_file(name, file).map(Some).map_err(|error| told(&error))
        }
        // Written beside, and renamed.
        "zst" => FileSource::of_file(name, open(path)?).map(Some).map_err(|error| told(&error)),
        "json" if files::metadata(path).is_ok_and(|about| about.len() <= SMALL) => {
            let content = files::read(path).map_err(|fault| told(&fault))?;
            Ok(Some(FileSource::of_bytes(name, content)))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_copied_packed_days_are_read_and_what_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (reported, copies) = (folder.path().join("telemetry"), folder.path().join("copies"));
        let write = |name: &str, content: &[u8]| {
            let path = reported.join(name);
            files::create_dir(path.parent().unwrap(), Access::Owner).unwrap();
            files::write(&path, content, Access::Owner).unwrap();
        };
        write("logs/2026-11-26.zst", b"packed");
        write("logs/2026-11-25.zst-new", b"half");
        write("logs/2026-11-27.db", b"this is no database, whatever its name says: it is damaged");
        write("logs/2026-11-27.db-wal", b"");
        write("minutes.json", b"{}");
        write("exports/queue.db", b"on its way");
        let errors = reported.join("errors/errors.db");
        files::create_dir(errors.parent().unwrap(), Access::Owner).unwrap();
        host::database::copy(&database(folder.path()), &errors).unwrap();

        let found = sources(&reported, &copies).unwrap();
        let mut names: Vec<String> = found.files.iter().map(|file| file.path().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["errors/errors.db", "logs/2026-11-26.zst", "minutes.json"]);
        assert_eq!(found.left_out.len(), 1);
        assert!(found.left_out[0].starts_with("telemetry/logs/2026-11-27.db: "), "{:?}", found.left_out);
        assert!(!files::exists(&copies));
        let nothing = sources(&folder.path().join("absent"), &copies).unwrap();
        assert!(nothing.files.is_empty() && nothing.left_out.is_empty());
    }

    /// A database that is none of telemetry's, which is as good.
    fn database(folder: &Path) -> PathBuf {
        let path = folder.join("journal.db");
        drop(journal::Journal::open(
            &path,
            host::database::Presence::MayBeNew,
            std::sync::Arc::new(host::clock::SystemClock),
        ));
        path
    }
}
