//! Where artifacts lie: one archive per digest, with its record and its bill of materials beside it.
//!
//! ```text
//!   DIGEST.tar.zst   DIGEST.cdx.json   DIGEST.json (the record, written last: what has one is whole)
//!   inputs/APP-INPUTS (the digest that these inputs became)
//! ```

use std::path::{Path, PathBuf};

use host::files::{self, Access, FileFault};
use serde::{Deserialize, Serialize};

use super::archive::{self, ArchiveFault};
use super::content::Content;
use super::{Digest, bill};

/// All artifacts that were built here.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

/// What is known of an artifact. What `roadbed build --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub app: String,
    pub digest: Digest,
    /// Digest of what went into the build.
    pub inputs: String,
    /// Of the archive, unpacked.
    pub bytes: u64,
    pub packed_bytes: u64,
    pub files: usize,
    /// Packages of npm that are in it beside those that the build bundled.
    pub packages: usize,
}

impl Shelf {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The artifact that these inputs of an app became, if it is here.
    pub fn made_of(&self, app: &str, inputs: &str) -> Result<Option<Record>, FileFault> {
        let Some(digest) = files::read_if_exists(&self.note(app, inputs))? else { return Ok(None) };
        match String::from_utf8_lossy(&digest).parse() {
            Ok(digest) => self.get(&digest),
            // A note that is damaged is as good as none: packing again is cheap.
            Err(_) => Ok(None),
        }
    }

    pub fn get(&self, digest: &Digest) -> Result<Option<Record>, FileFault> {
        let record = files::read_if_exists(&self.path(digest, "json"))?;
        let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        Ok(record.filter(|record| record.digest == *digest && files::exists(&self.archive(digest))))
    }

    pub fn archive(&self, digest: &Digest) -> PathBuf {
        self.path(digest, "tar.zst")
    }

    pub fn bill(&self, digest: &Digest) -> PathBuf {
        self.path(digest, "cdx.json")
    }

    /// Packs and keeps. What is there already stays: it is the same.
    pub fn put(&self, app: &str, inputs: &str, content: &Content) -> Result<Record, ArchiveFault> {
        files::create_dir(&self.folder.join("inputs"), Access::Owner)?;
        let fresh = self.folder.join(format!(".{app}.{}.new", host::own::pid()));
        files::remove(&fresh)?;
        let packed = archive::pack(&content.items, &fresh).inspect_err(|_| {
            let _ = files::remove(&fresh);
        })?;
        let record = Record {
            app: app.to_owned(),
            inputs: inputs.to_owned(),
            bytes: packed.bytes,
            packed_bytes: files::metadata(&fresh)?.len(),
            files: content.items.len(),
            packages: content.packages.len(),
            digest: packed.digest,
        };
        files::rename(&fresh, &self.archive(&record.digest))?;
        let bill = bill::of(app, &record.digest, &content.packages);
        let bill = serde_json::to_vec_pretty(&bill).expect("plain data");
        files::write_durable(&self.bill(&record.digest), &bill, Access::Owner)?;
        let text = serde_json::to_vec_pretty(&record).expect("plain data");
        files::write_durable(&self.path(&record.digest, "json"), &text, Access::Owner)?;
        files::write_durable(&self.note(app, inputs), record.digest.as_str().as_bytes(), Access::Owner)?;
        Ok(record)
    }

    fn note(&self, app: &str, inputs: &str) -> PathBuf {
        self.folder.join("inputs").join(format!("{app}-{inputs}"))
    }

    fn path(&self, digest: &Digest, end: &str) -> PathBuf {
        self.folder.join(format!("{digest}.{end}"))
    }
}

/// Where the artifacts of a machine's builds lie, below the cache folder.
pub fn folder(cache: &Path) -> PathBuf {
    cache.join("artifacts")
}

#[cfg(test)]
mod tests {
    use super::super::content::{Item, ItemKind};
    use super::*;

    struct Project {
        folder: tempfile::TempDir,
        shelf: Shelf,
    }

    impl Project {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let shelf = Shelf::new(folder.path().join("shelf"));
            Self { folder, shelf }
        }

        fn item(&self, name: &str, text: &str, executable: bool) -> Item {
            let source = self.folder.path().join("project").join(name);
            files::create_dir(source.parent().unwrap(), Access::Everyone).unwrap();
            files::write(&source, text.as_bytes(), Access::Everyone).unwrap();
            Item { name: name.to_owned(), kind: ItemKind::File { source, executable } }
        }

        fn content(&self) -> Content {
            let link = Item { name: "app/latest".to_owned(), kind: ItemKind::Link { target: "bin/run".to_owned() } };
            let mut items = vec![
                self.item("app/server.js", "serve()", false),
                self.item("app/bin/run", "#!/usr/bin/env node", true),
                link,
                // Longer than a name of the oldest tar may be.
                self.item(&format!("app/{}/x.js", "d".repeat(180)), "x", false),
            ];
            items.sort();
            Content { items, packages: Vec::new() }
        }
    }

    #[test]
    fn the_same_content_has_the_same_digest_and_comes_back_as_it_was() {
        use std::os::unix::fs::PermissionsExt;
        let (first, second) = (Project::new(), Project::new());
        let record = first.shelf.put("api", "1", &first.content()).unwrap();
        assert_eq!(second.shelf.put("api", "2", &second.content()).unwrap().digest, record.digest);
        assert_eq!(first.shelf.made_of("api", "1").unwrap(), Some(record.clone()));
        assert_eq!(first.shelf.made_of("api", "2").unwrap(), None);

        let out = first.folder.path().join("out");
        archive::unpack(&first.shelf.archive(&record.digest), &record.digest, &out).unwrap();
        assert_eq!(files::read_string(&out.join("app/latest")).unwrap(), "#!/usr/bin/env node");
        let mode = |name: &str| files::metadata(&out.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("app/bin/run"), mode("app/server.js")), (0o755, 0o644));
        assert!(files::exists(&out.join(format!("app/{}/x.js", "d".repeat(180)))));

        let other = first.content();
        first.item("app/server.js", "serve(2)", false);
        assert_ne!(first.shelf.put("api", "3", &other).unwrap().digest, record.digest);
    }

    #[test]
    fn a_damaged_or_foreign_archive_is_refused() {
        let project = Project::new();
        let record = project.shelf.put("api", "1", &project.content()).unwrap();
        let archive = project.shelf.archive(&record.digest);
        let out = |name: &str| project.folder.path().join(name);
        let other = Digest::of(&[0; 32]);
        let fault = archive::unpack(&archive, &other, &out("a")).unwrap_err();
        assert!(matches!(fault, ArchiveFault::Other { .. }), "{fault}");
        archive::hold(&archive, &record.digest).unwrap();
        assert!(matches!(archive::hold(&archive, &other), Err(ArchiveFault::Other { .. })));

        let mut bytes = files::read(&archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        files::write(&archive, &bytes, Access::Owner).unwrap();
        archive::unpack(&archive, &record.digest, &out("b")).unwrap_err();
        archive::hold(&archive, &record.digest).unwrap_err();
        files::write(&archive, &bytes[..middle], Access::Owner).unwrap();
        archive::unpack(&archive, &record.digest, &out("c")).unwrap_err();
    }

    #[test]
    fn nothing_is_unpacked_outside_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        type Make = fn(&mut tar::Builder<Vec<u8>>);
        let cases: [(&str, Make); 3] = [
            ("a name that climbs", |tar| {
                let mut header = tar::Header::new_gnu();
                header.set_size(1);
                header.as_old_mut().name[..9].copy_from_slice(b"../escape");
                header.set_mode(0o644);
                header.set_cksum();
                tar.append(&header, &b"x"[..]).unwrap();
            }),
            ("a link that climbs", |tar| {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, "app/link", "../../escape").unwrap();
            }),
            ("a device", |tar| {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Char);
                header.set_size(0);
                tar.append_data(&mut header, "null", std::io::empty()).unwrap();
            }),
        ];
        for (number, (told, make)) in cases.into_iter().enumerate() {
            let mut tar = tar::Builder::new(Vec::new());
            make(&mut tar);
            let path = folder.path().join(format!("{number}.tar.zst"));
            let packed = zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap();
            files::write(&path, &packed, Access::Owner).unwrap();
            let fault = archive::unpack(&path, &Digest::of(&[0; 32]), &folder.path().join(format!("out{number}")));
            assert!(matches!(fault, Err(ArchiveFault::LeadsOut(_) | ArchiveFault::Strange(_))), "{told}: {fault:?}");
        }
        assert!(!files::exists(&folder.path().join("escape")));
    }
}
