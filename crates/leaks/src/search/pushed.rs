//! What a push brings, searched before it is taken in.

use std::path::Path;

use gix_hash::ObjectId;

use super::{Report, Search, SearchFault, past};
use crate::git::history::Walk;
use crate::git::references::{self, Reference};
use crate::git::{GitFault, Repository};

impl Search<'_> {
    /// The commits, messages and files that are new with `tips` (object ids in hex, as a pre-receive hook is given them).
    ///
    /// Until the push is taken in its objects lie in a `quarantine`, which git names in `GIT_QUARANTINE_PATH`.
    pub fn pushed(&self, folder: &Path, tips: &[String], quarantine: Option<&Path>) -> Result<Report, SearchFault> {
        let repository = Repository::of(folder)?.with_quarantine(quarantine);
        let references = references::read(&repository)?;
        let mut report = Report { unread: references.unread, ..Report::default() };
        let mut objects = repository.objects()?;
        let mut before = Walk::from(&references.all);
        before.commits(&mut objects, &mut drop, &|_| {});
        let mut starts = Vec::new();
        for tip in tips {
            let target = ObjectId::from_hex(tip.as_bytes()).map_err(|_| GitFault::NoObject { text: tip.clone() })?;
            // A ref that is removed.
            if !target.is_null() {
                starts.push(Reference { name: tip.clone(), target });
            }
        }
        let walk = Walk::beyond(before, &starts);
        let history = self.walk(walk, &mut objects, &mut report);
        let mut order: Vec<ObjectId> = history.blobs.keys().copied().collect();
        order.sort_unstable();
        report.extent.commits = history.commits.len();
        report.extent.blobs = order.len();
        let searched = self.blobs(&repository, &history, &order)?;
        report.unread.extend(searched.unread);
        report.extent.bytes += searched.bytes;
        report.extent.missing += history.missing + searched.missing;
        report.findings.extend(past::place(&mut objects, &history, None, searched.findings));
        Ok(report)
    }
}
