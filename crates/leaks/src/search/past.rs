//! The search of a history: walk it, read each blob once, say which commits have what was found.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix_hash::ObjectId;
use gix_object::Kind;
use gix_odb::store::iter::Ordering as Order;

use super::{Objectives, Report, Search, SearchFault, Step, WHOLE};
use crate::clean::Clean;
use crate::finding::{Finding, Source};
use crate::git::history::{History, Message, MessageKind, Met, Walk};
use crate::git::owners::{self, Owned};
use crate::git::references;
use crate::git::{GitFault, Objects, Repository};

/// Blobs that a thread takes at a time.
const BATCH: usize = 64;

impl Search<'_> {
    /// All history: refs of every kind, tags, notes, stash, messages, what only logs know.
    pub fn history(&self, folder: &Path, which: Objectives, clean: Option<&mut Clean>) -> Result<Report, SearchFault> {
        let repository = Repository::of(folder)?;
        let references = references::read(&repository)?;
        let mut report = Report { unread: references.unread.clone(), ..Report::default() };
        for log in &references.logs {
            self.content(Source::GitFile, &log.name, &log.text, &mut report);
        }
        let mut objects = repository.objects()?;
        let mut history = self.walk(Walk::from(&references.all), &mut objects, &mut report);
        report.extent.commits = history.commits.len();
        let order = self.order(&repository, &objects, &mut history, which, clean.as_deref(), &mut report)?;
        report.extent.blobs = history.blobs.len();
        let searched = self.blobs(&repository, &history, &order)?;
        if let Some(clean) = clean {
            clean.add(searched.clean);
            clean.save()?;
        }
        report.unread.extend(searched.unread);
        report.extent.bytes += searched.bytes;
        report.extent.missing += history.missing + searched.missing;
        report.findings.extend(place(&mut objects, &history, references.head, searched.findings));
        Ok(report)
    }

    /// Walks from `starts`, searching messages on the way.
    pub(super) fn walk(&self, mut walk: Walk, objects: &mut Objects, report: &mut Report) -> History {
        let mut messages = Report::default();
        let mut search = |message: Message| {
            let source = match message.kind {
                MessageKind::Commit => Source::CommitMessage,
                MessageKind::Tag => Source::TagMessage,
            };
            self.content(source, &message.of.to_string(), &message.text, &mut messages);
        };
        walk.commits(objects, &mut search, &|commits| (self.progress)(Step::Commits(commits)));
        let history = walk.files(objects);
        for finding in &mut messages.findings {
            finding.first_commit = (finding.source == Source::CommitMessage).then(|| finding.file.clone());
            finding.last_commit = finding.first_commit.clone();
        }
        report.findings.append(&mut messages.findings);
        history
    }

    /// The blobs to search, in the order in which they lie in their packs.
    fn order(
        &self,
        repository: &Repository,
        objects: &Objects,
        history: &mut History,
        which: Objectives,
        clean: Option<&Clean>,
        report: &mut Report,
    ) -> Result<Vec<ObjectId>, SearchFault> {
        let is_known = |id: &ObjectId| clean.is_some_and(|clean| clean.holds(id));
        report.extent.known_clean = history.blobs.keys().filter(|id| is_known(id)).count();
        if which == Objectives::Reachable && report.extent.known_clean == history.blobs.len() {
            return Ok(Vec::new());
        }
        let listing = |why: String| GitFault::Listing { folder: repository.shared.clone(), why };
        let all = objects.store.store_ref().iter().map_err(|error| listing(error.to_string()))?;
        let all = all.with_ordering(Order::PackAscendingOffsetThenLooseLexicographical);
        let mut order = Vec::new();
        let mut taken = HashSet::new();
        for id in all {
            let id = id.map_err(|error| listing(error.to_string()))?;
            if !taken.insert(id) {
                continue;
            }
            if which == Objectives::All {
                history.blobs.entry(id).or_insert_with(|| Met { path: String::new() });
            }
            if history.blobs.contains_key(&id) && !is_known(&id) {
                order.push(id);
            }
        }
        // Trees name blobs that a partial clone does not have.
        report.extent.missing += history.blobs.keys().filter(|id| !taken.contains(*id)).count();
        Ok(order)
    }

    pub(super) fn blobs(
        &self,
        repository: &Repository,
        history: &History,
        order: &[ObjectId],
    ) -> Result<Searched, SearchFault> {
        let next = AtomicUsize::new(0);
        let together = Mutex::new(Searched::default());
        let work = || -> Result<(), SearchFault> {
            let mut objects = repository.objects()?;
            let mut own = Searched::default();
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                let Some(batch) = order.get(start..order.len().min(start + BATCH)).filter(|batch| !batch.is_empty())
                else {
                    break;
                };
                for id in batch {
                    self.blob(&mut objects, id, &history.blobs[id].path, &mut own);
                }
                (self.progress)(Step::Blobs(order.len().min(start + BATCH), order.len()));
            }
            together.lock().expect("no thread panics with it").append(own);
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a search does not panic"))
        })?;
        Ok(together.into_inner().expect("no thread panics with it"))
    }

    fn blob(&self, objects: &mut Objects, id: &ObjectId, path: &str, own: &mut Searched) {
        match objects.size(id) {
            Some(size) if size > WHOLE => {
                own.unread.push(format!("{path} ({id}): larger than {} MiB", WHOLE >> 20));
                return;
            }
            Some(_) => {}
            None => {
                own.missing += 1;
                return;
            }
        }
        let Some(data) = objects.read(id) else {
            own.missing += 1;
            return;
        };
        if path.is_empty() && data.kind == Kind::Tree {
            return;
        }
        let source = if path.is_empty() { Source::Unreachable } else { Source::History };
        let mut report = Report::default();
        self.content(source, path, data.data, &mut report);
        own.bytes += u64::try_from(data.data.len()).expect("a length fits");
        if report.findings.is_empty() && report.unread.is_empty() {
            own.clean.push(*id);
        }
        own.unread.append(&mut report.unread);
        for mut finding in report.findings {
            finding.blob = Some(id.to_string());
            own.findings.push((*id, finding));
        }
    }
}

/// What one thread, or all of them, found in blobs.
#[derive(Default)]
pub(super) struct Searched {
    pub(super) findings: Vec<(ObjectId, Finding)>,
    clean: Vec<ObjectId>,
    pub(super) unread: Vec<String>,
    pub(super) bytes: u64,
    pub(super) missing: usize,
}

impl Searched {
    fn append(&mut self, mut other: Self) {
        self.findings.append(&mut other.findings);
        self.clean.append(&mut other.clean);
        self.unread.append(&mut other.unread);
        self.bytes += other.bytes;
        self.missing += other.missing;
    }
}

/// Says of each finding which commits have its file and where it is in the last of them, and makes one finding of all versions
/// of a file that have the same secret.
pub(super) fn place(
    objects: &mut Objects,
    history: &History,
    head: Option<ObjectId>,
    findings: Vec<(ObjectId, Finding)>,
) -> Vec<Finding> {
    let mut blobs: Vec<ObjectId> = findings.iter().map(|(blob, _)| *blob).collect();
    blobs.sort_unstable();
    blobs.dedup();
    let owned = if blobs.is_empty() { HashMap::new() } else { owners::of(objects, history, head, &blobs) };
    let mut placed: Vec<(Option<&Owned>, Finding)> = Vec::new();
    for (blob, mut finding) in findings {
        let owned = owned.get(&blob);
        finding.in_head = Some(owned.is_some_and(|owned| owned.in_head));
        finding.versions = Some(1);
        if let Some(owned) = owned {
            finding.first_commit = Some(owned.first.to_string());
            finding.last_commit = Some(owned.last.to_string());
            // Members of an archive go with it.
            let member = finding.file.strip_prefix(history.blobs[&blob].path.as_str()).unwrap_or_default();
            finding.file = owned.path.as_ref().map_or(finding.file.clone(), |path| format!("{path}{member}"));
        }
        placed.push((owned, finding));
    }
    // The last version first, and of all versions the one in HEAD.
    placed.sort_by_key(|(owned, finding)| {
        Reverse((
            finding.in_head,
            owned.map(|owned| owned.span.1),
            finding.blob.clone(),
            Reverse((finding.line, finding.column)),
        ))
    });
    let mut known: HashMap<[String; 3], usize> = HashMap::new();
    let mut firsts: Vec<Option<usize>> = Vec::new();
    let mut lasts: Vec<Option<String>> = Vec::new();
    let mut all: Vec<Finding> = Vec::new();
    for (owned, finding) in placed {
        let what = finding.store_value.clone().unwrap_or_else(|| finding.rule.clone());
        let key = [what, finding.file.clone(), finding.value.clone()];
        let begins = owned.map(|owned| owned.span.0);
        let Some(&at) = known.get(&key).filter(|at| all[**at].blob != finding.blob) else {
            known.entry(key).or_insert(all.len());
            firsts.push(begins);
            lasts.push(finding.blob.clone());
            all.push(finding);
            continue;
        };
        // Twice in one version is one version.
        if lasts[at] != finding.blob {
            all[at].versions = all[at].versions.map(|versions| versions + 1);
            lasts[at].clone_from(&finding.blob);
        }
        if begins < firsts[at] {
            firsts[at] = begins;
            all[at].first_commit = finding.first_commit;
        }
    }
    all.sort_by(|one, other| (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column)));
    all
}
