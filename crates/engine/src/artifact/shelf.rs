//! Where artifacts lie: one archive per digest, with its record and its bill of materials beside it.
//!
//! ```text
//!   DIGEST.tar.zst   DIGEST.cdx.json   DIGEST.json (the record, written last: what has one is whole)
//!   DIGEST.intoto.jsonl (signed provenance, a line per environment that built it)
//!   inputs/APP-INPUTS (the digest that these inputs became)
//! ```

use std::path::{Path, PathBuf};

use host::files::{self, Access, FileFault};
use secrets::Secret;
use secrets::jwk::{NotAKey, PublicKey};
use serde::{Deserialize, Serialize};

use super::archive::{self, ArchiveFault};
use super::attestation::{self, AttestationFault, Attestor};
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

/// Why an artifact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TakeFault {
    #[error("the artifact {0} is not here")]
    Missing(Digest),
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("the artifact {} of {app} is refused", digest.short())]
    Refused {
        app: String,
        digest: Digest,
        #[source]
        why: AttestationFault,
    },
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
}

impl TakeFault {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => "`roadbed build` makes it",
            Self::Refused { .. } => {
                "`roadbed build --env E`, with the environment that shall use it, builds and signs it"
            }
            Self::Archive(_) => "it is damaged: `roadbed build` makes it again once it is taken off the shelf",
            Self::File(_) => "see whether the disk is full and the folder is yours",
        }
    }
}

/// Why an artifact cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum AttestFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("the key that signs artifacts is damaged")]
    Key(#[from] NotAKey),
    #[error("its signature file is damaged: {}", .0.display())]
    Damaged(PathBuf),
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

    /// Where an archive is written that comes from elsewhere, until [`Shelf::receive`] has looked at it.
    pub fn arriving(&self, digest: &Digest) -> Result<PathBuf, FileFault> {
        files::create_dir(&self.folder, Access::Owner)?;
        let fresh = self.folder.join(format!(".{digest}.arriving"));
        files::remove(&fresh)?;
        Ok(fresh)
    }

    /// Keeps an archive that was packed elsewhere and lies at [`Shelf::arriving`], if it is what its digest says. Nobody has signed it by
    /// that: until somebody does it is used by nobody.
    pub fn receive(&self, app: &str, inputs: &str, digest: &Digest, fresh: &Path) -> Result<Record, ArchiveFault> {
        let inspected = archive::inspect(fresh, digest)?;
        let packed_bytes = files::metadata(fresh)?.len();
        files::sync_file(fresh)?;
        files::rename(fresh, &self.archive(digest))?;
        let (app, inputs, digest) = (app.to_owned(), inputs.to_owned(), digest.clone());
        let (bytes, files) = (inspected.bytes, inspected.files);
        let record = Record { app, inputs, bytes, packed_bytes, files, packages: 0, digest };
        let text = serde_json::to_vec_pretty(&record).expect("plain data");
        files::write_durable(&self.path(&record.digest, "json"), &text, Access::Owner)?;
        Ok(record)
    }

    /// Where its signed provenance lies.
    pub fn attestation(&self, digest: &Digest) -> PathBuf {
        self.path(digest, "intoto.jsonl")
    }

    /// Whether this key said where an artifact comes from.
    pub fn is_attested(&self, digest: &Digest, by: &PublicKey) -> Result<bool, FileFault> {
        let file = files::read_if_exists(&self.attestation(digest))?;
        Ok(file.is_some_and(|file| attestation::has_line_of(&file, by)))
    }

    /// Says where an artifact comes from, beside what others say. Whoever calls this has packed it from its sources just now.
    pub fn attest(&self, record: &Record, by: &Attestor) -> Result<(), AttestFault> {
        let path = self.attestation(&record.digest);
        let mut file = files::read_if_exists(&path)?.unwrap_or_default();
        if attestation::has_line_of(&file, by.public()) {
            return Ok(());
        }
        if !file.is_empty() && !attestation::is_whole(&file) {
            return Err(AttestFault::Damaged(path));
        }
        file.extend_from_slice(by.line(record)?.as_bytes());
        files::write_durable(&path, &file, Access::Owner)?;
        Ok(())
    }

    /// Says in our name what somebody said whom we believe: so what one environment built another one uses, unchanged.
    pub fn endorse(&self, digest: &Digest, believed: &[PublicKey], key: &Secret) -> Result<(), TakeFault> {
        let record = self.get(digest)?.ok_or_else(|| TakeFault::Missing(digest.clone()))?;
        let path = self.attestation(digest);
        let file = files::read_if_exists(&path)?;
        let refused = |why| TakeFault::Refused { app: record.app.clone(), digest: digest.clone(), why };
        if let Some(file) = attestation::endorsed(file.as_deref(), &record, believed, key).map_err(refused)? {
            files::write_durable(&path, &file, Access::Owner)?;
        }
        Ok(())
    }

    /// Unpacks an artifact into a folder that did not exist. Who signed it is looked at first, then every byte of it: nothing of
    /// what is refused is used.
    pub fn take(&self, digest: &Digest, trusted: &[PublicKey], folder: &Path) -> Result<Record, TakeFault> {
        let record = self.signed(digest, trusted)?;
        archive::unpack(&self.archive(digest), digest, folder)?;
        Ok(record)
    }

    /// Looks at who signed an artifact, and at nothing else of it.
    pub fn signed(&self, digest: &Digest, trusted: &[PublicKey]) -> Result<Record, TakeFault> {
        let record = self.get(digest)?.ok_or_else(|| TakeFault::Missing(digest.clone()))?;
        let file = files::read_if_exists(&self.attestation(digest))?;
        attestation::verify(file.as_deref(), &record, trusted).map_err(|why| TakeFault::Refused {
            app: record.app.clone(),
            digest: digest.clone(),
            why,
        })?;
        Ok(record)
    }

    /// Puts the rest beside an archive that [`Shelf::receive`] has kept: its record, its bill and who signed it, as they were on another
    /// shelf. Lines of those who signed it here stay.
    pub fn complete(&self, record: &Record, bill: Option<&[u8]>, signed: &[u8]) -> Result<(), FileFault> {
        let path = self.attestation(&record.digest);
        let here = files::read_if_exists(&path)?.filter(|here| attestation::is_whole(here)).unwrap_or_default();
        let mut all = here.clone();
        for line in signed.split_inclusive(|byte| *byte == b'\n') {
            if !here.split_inclusive(|byte| *byte == b'\n').any(|own| own == line) {
                all.extend_from_slice(line);
            }
        }
        if let Some(bill) = bill {
            files::write_durable(&self.bill(&record.digest), bill, Access::Owner)?;
        }
        files::write_durable(&path, &all, Access::Owner)?;
        let text = serde_json::to_vec_pretty(record).expect("plain data");
        files::write_durable(&self.path(&record.digest, "json"), &text, Access::Owner)
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
    fn what_nobody_signed_or_a_stranger_is_not_unpacked() {
        use super::super::provenance::Origin;
        let attestor = || Attestor::new(secrets::jwk::generate().unwrap(), Origin::default()).unwrap();
        let (ours, other) = (attestor(), attestor());
        let project = Project::new();
        let record = project.shelf.put("api", "1", &project.content()).unwrap();
        let out = project.folder.path().join("out");
        let take = |trusted: &[PublicKey]| project.shelf.take(&record.digest, trusted, &out);
        let refused = |fault: TakeFault| match fault {
            TakeFault::Refused { why, .. } => why,
            other => panic!("{other}"),
        };
        assert_eq!(refused(take(&[ours.public().clone()]).unwrap_err()), AttestationFault::Missing);
        project.shelf.attest(&record, &other).unwrap();
        let by = vec![other.public().kid.clone()];
        assert_eq!(refused(take(&[ours.public().clone()]).unwrap_err()), AttestationFault::Untrusted { by });
        assert!(!files::exists(&out), "nothing of it was unpacked");
        project.shelf.attest(&record, &ours).unwrap();
        project.shelf.attest(&record, &ours).unwrap();
        let lines = files::read_string(&project.shelf.attestation(&record.digest)).unwrap().lines().count();
        assert_eq!(lines, 2, "one line for each who built it");
        assert_eq!(take(&[ours.public().clone()]).unwrap(), record);
        let absent = Digest::of(&[9; 32]);
        let fault = project.shelf.take(&absent, &[], &out.join("x")).unwrap_err();
        assert!(matches!(fault, TakeFault::Missing(_)), "{fault}");

        files::write(&project.shelf.attestation(&record.digest), b"{", Access::Owner).unwrap();
        assert!(matches!(project.shelf.attest(&record, &ours), Err(AttestFault::Damaged(_))));
        let fault = project.shelf.take(&record.digest, &[ours.public().clone()], &out.join("y")).unwrap_err();
        assert_eq!(refused(fault), AttestationFault::Malformed);
    }

    #[test]
    fn what_was_packed_elsewhere_is_kept_when_it_is_what_its_digest_says_and_used_when_somebody_signed_it() {
        let (there, here) = (Project::new(), Project::new());
        let record = there.shelf.put("api", "1", &there.content()).unwrap();
        let bytes = files::read(&there.shelf.archive(&record.digest)).unwrap();
        let arrives = |bytes: &[u8]| {
            let fresh = here.shelf.arriving(&record.digest).unwrap();
            files::write(&fresh, bytes, Access::Owner).unwrap();
            here.shelf.receive("api", "1", &record.digest, &fresh)
        };
        arrives(&bytes[..bytes.len() / 2]).unwrap_err();
        let other = there.shelf.put("api", "2", &Content { items: Vec::new(), packages: Vec::new() }).unwrap();
        let of_other = files::read(&there.shelf.archive(&other.digest)).unwrap();
        assert!(matches!(arrives(&of_other), Err(ArchiveFault::Other { .. })));
        assert_eq!(here.shelf.get(&record.digest).unwrap(), None);
        assert_eq!(arrives(&bytes).unwrap(), record);
        assert_eq!(here.shelf.get(&record.digest).unwrap(), Some(record.clone()));
        let attestor = Attestor::new(secrets::jwk::generate().unwrap(), Default::default()).unwrap();
        let take = || here.shelf.take(&record.digest, &[attestor.public().clone()], &here.folder.path().join("out"));
        assert!(matches!(take(), Err(TakeFault::Refused { .. })));
        let other = Attestor::new(secrets::jwk::generate().unwrap(), Default::default()).unwrap();
        here.shelf.attest(&record, &other).unwrap();
        there.shelf.attest(&record, &attestor).unwrap();
        let (bill, signed) =
            (files::read(&there.shelf.bill(&record.digest)).unwrap(), there.shelf.attestation(&record.digest));
        let signed = files::read(&signed).unwrap();
        for _ in 0..2 {
            here.shelf.complete(&record, Some(&bill), &signed).unwrap();
        }
        take().unwrap();
        here.shelf.signed(&record.digest, &[other.public().clone()]).unwrap();
        let lines = files::read_string(&here.shelf.attestation(&record.digest)).unwrap().lines().count();
        assert_eq!(lines, 2, "those who signed it here, and those who did there");
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
