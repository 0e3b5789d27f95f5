//! Everything that can be searched, brought to the scanner: files, streams, staged files, history.

mod past;
mod pushed;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use gix_hash::ObjectId;
use host::files::{self, FileFault};

use crate::allow::AllowList;
use crate::archive;
use crate::finding::{Finding, Source};
use crate::git::{GitFault, Objects, Repository, What, history, index, references};
use crate::scan::Scanner;
use crate::stream::Chunks;
use crate::tree::{self, Ignored, TreeFault};

/// Why a search cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SearchFault {
    #[error(transparent)]
    Git(#[from] GitFault),
    #[error(transparent)]
    File(#[from] FileFault),
    #[error(transparent)]
    Tree(#[from] TreeFault),
    #[error("cannot read the stream")]
    Stream(#[source] std::io::Error),
}

/// How far a long search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commits read so far.
    Commits(usize),
    /// Blobs searched, of how many.
    Blobs(usize, usize),
    /// Files searched so far.
    Files(usize),
}

/// What a search looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Extent {
    pub files: usize,
    pub commits: usize,
    /// Files of the history, each content once.
    pub blobs: usize,
    /// Of those: known to be clean from an earlier run.
    pub known_clean: usize,
    pub bytes: u64,
    /// Objects that this clone does not have, or that are damaged.
    pub missing: usize,
}

/// What came of a search.
#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// What could be read in part or not at all, with the reason.
    pub unread: Vec<String>,
    pub extent: Extent,
}

/// Which objects of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objectives {
    /// Those that a ref, a log or an operation under way leads to.
    Reachable,
    /// Also those that nothing leads to and that git has not collected yet.
    All,
}

/// A search under way.
pub struct Search<'a> {
    pub scanner: &'a Scanner,
    pub allow: &'a AllowList,
    pub progress: &'a (dyn Fn(Step) + Sync),
    /// Threads that search blobs.
    pub threads: usize,
}

impl std::fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Larger files are searched in pieces, larger archives and blobs are told as unread.
const WHOLE: u64 = 512 << 20;
const IN_PIECES: u64 = 64 << 20;

impl Search<'_> {
    /// Files and folders below `top`; findings name them relative to it.
    pub fn files(&self, top: &Path, paths: &[&Path], ignored: Ignored) -> Result<Report, SearchFault> {
        let mut report = Report::default();
        for path in paths {
            tree::each(path, ignored, &mut |file| {
                let name = file.strip_prefix(top).unwrap_or(file).to_string_lossy().into_owned();
                self.file(file, &name, &mut report)?;
                (self.progress)(Step::Files(report.extent.files));
                Ok::<_, SearchFault>(())
            })?;
        }
        Ok(report)
    }

    fn file(&self, path: &Path, name: &str, report: &mut Report) -> Result<(), SearchFault> {
        let size = match files::metadata(path) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => return Ok(()),
            // A link that leads nowhere, a file that went away, one that is not ours to read.
            Err(fault) => {
                report.unread.push(fault.to_string());
                return Ok(());
            }
        };
        report.extent.files += 1;
        report.extent.bytes += size;
        if size <= IN_PIECES {
            match files::read(path) {
                Ok(bytes) => self.content(Source::File, name, &bytes, report),
                Err(fault) => report.unread.push(fault.to_string()),
            }
            return Ok(());
        }
        let head = files::read_prefix(path, 512)?.unwrap_or_default();
        if !archive::is_archive(&head) {
            return self.pieces(Source::File, name, files::open(path)?, report);
        }
        if size > WHOLE {
            report.unread.push(format!("{name}: an archive of more than {} MiB", WHOLE >> 20));
            return Ok(());
        }
        self.content(Source::File, name, &files::read(path)?, report);
        Ok(())
    }

    /// A stream, for example a log on standard input.
    pub fn stream(&self, name: &str, stream: impl Read) -> Result<Report, SearchFault> {
        let mut report = Report::default();
        self.pieces(Source::Input, name, stream, &mut report)?;
        Ok(report)
    }

    fn pieces(&self, source: Source, name: &str, stream: impl Read, report: &mut Report) -> Result<(), SearchFault> {
        let mut chunks = Chunks::new(stream);
        while let Some(hits) = chunks.next(self.scanner).map_err(SearchFault::Stream)? {
            for hit in hits {
                let value = self.allow.name(hit.value.bytes());
                report.findings.push(Finding::new(hit, source, name, value));
            }
        }
        if source == Source::Input {
            report.extent.bytes += chunks.bytes();
        }
        Ok(())
    }

    /// What the next commit would add or change.
    pub fn staged(&self, folder: &Path) -> Result<Report, SearchFault> {
        let repository = Repository::of(folder)?;
        let mut objects = repository.objects()?;
        let before = files_of_head(&mut objects, references::read(&repository)?.head);
        let mut report = Report::default();
        for staged in index::read(&repository)? {
            if before.get(&staged.path) == Some(&staged.id) {
                continue;
            }
            report.extent.files += 1;
            match objects.read(&staged.id) {
                Some(data) => self.content(Source::Staged, &staged.path, data.data, &mut report),
                None => report.extent.missing += 1,
            }
        }
        Ok(report)
    }

    fn content(&self, source: Source, name: &str, bytes: &[u8], report: &mut Report) {
        let Report { findings, .. } = report;
        let unpacked = archive::visit(name, bytes, &mut |name, bytes| {
            for hit in self.scanner.scan(bytes) {
                let value = self.allow.name(hit.value.bytes());
                findings.push(Finding::new(hit, source, name, value));
            }
        });
        report.unread.extend(unpacked.unread);
    }
}

fn files_of_head(objects: &mut Objects, head: Option<ObjectId>) -> HashMap<String, ObjectId> {
    let mut found = HashMap::new();
    let tree = head.and_then(|head| {
        let data = objects.read(&head)?;
        history::tree_of(data.data)
    });
    let mut open: Vec<(ObjectId, String)> = tree.map(|tree| (tree, String::new())).into_iter().collect();
    while let Some((id, folder)) = open.pop() {
        for entry in objects.tree(&id).unwrap_or_default() {
            let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            match entry.what {
                What::Folder => open.push((entry.id, path)),
                What::File => {
                    found.insert(path, entry.id);
                }
            }
        }
    }
    found
}

impl Report {
    /// Joins two searches; what both found at one place is one finding, with what either knows of it.
    pub fn join(mut self, other: Self) -> Self {
        for finding in other.findings {
            let same = |known: &&mut Finding| known.in_head.is_none() && known.is_same_place(&finding);
            match self.findings.iter_mut().find(same) {
                Some(known) if finding.in_head == Some(true) => {
                    known.blob = finding.blob;
                    known.first_commit = finding.first_commit;
                    known.last_commit = finding.last_commit;
                    known.in_head = finding.in_head;
                    known.versions = finding.versions;
                }
                _ => self.findings.push(finding),
            }
        }
        self.unread.extend(other.unread);
        self.extent.files += other.extent.files;
        self.extent.commits += other.extent.commits;
        self.extent.blobs += other.extent.blobs;
        self.extent.known_clean += other.extent.known_clean;
        self.extent.bytes += other.extent.bytes;
        self.extent.missing += other.extent.missing;
        self
    }
}
