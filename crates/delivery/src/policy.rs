//! How deployments of an environment are done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the manifest says of an environment's deployments, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How many people have to approve. 0: none.
    pub approvals: u32,
    /// Who may, by name; empty: whoever the manifest knows.
    pub approvers: Vec<String>,
    /// An approval that nobody gave in time is refused.
    pub approval_lasts: Duration,
    /// How long a release is watched before it counts as live.
    pub verify: Duration,
    /// The share of failed answers (5xx) that is too many, in thousandths, beside what the release before had.
    pub most_failed_per_mille: u32,
    /// How many times slower than the release before is too slow, for 99 of 100 answers.
    pub most_slower: u32,
    /// How long the release before stays ready to be switched back to.
    pub keep_warm: Duration,
    /// Longest time for requests under way, before a release that was left is stopped.
    pub drain: Duration,
    /// So many releases that served well can be rolled back to.
    pub keep_releases: u32,
    /// Somebody says that the release can do without what a change of data took away.
    #[serde(default)]
    pub across_contract: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            approvals: 0,
            approvers: Vec::new(),
            approval_lasts: Duration::from_secs(24 * 60 * 60),
            verify: Duration::from_secs(10),
            most_failed_per_mille: 10,
            most_slower: 4,
            keep_warm: Duration::from_secs(15 * 60),
            drain: Duration::from_secs(30),
            keep_releases: 5,
            across_contract: false,
        }
    }
}

/// Somebody's word on one deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub by: String,
    /// What was approved: [`crate::deployment::Deployment::digest`].
    pub digest: String,
}

/// Why somebody's word does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} made this release, and nobody approves of their own")]
    OwnRelease(String),
    #[error("{0} may not approve here")]
    NotAnApprover(String),
    #[error("{0} has approved already")]
    Twice(String),
    #[error("it is another release by now: {wanted} was approved, {found} waits")]
    OtherDigest { wanted: String, found: String },
}

impl Policy {
    /// Whether somebody's word counts, beside those that were given.
    ///
    /// # Errors
    /// Says why not.
    pub fn judge(&self, word: &Approval, digest: &str, authors: &[&str], given: &[Approval]) -> Result<(), Refusal> {
        let by = word.by.clone();
        if word.digest != digest {
            return Err(Refusal::OtherDigest { wanted: word.digest.clone(), found: digest.to_owned() });
        }
        if authors.contains(&by.as_str()) {
            return Err(Refusal::OwnRelease(by));
        }
        if !self.approvers.is_empty() && !self.approvers.contains(&by) {
            return Err(Refusal::NotAnApprover(by));
        }
        if given.iter().any(|other| other.by == by && other.digest == digest) {
            return Err(Refusal::Twice(by));
        }
        Ok(())
    }

    /// Whether enough people approved of this very release.
    pub fn is_approved(&self, digest: &str, given: &[Approval]) -> bool {
        let people: std::collections::BTreeSet<&str> =
            given.iter().filter(|word| word.digest == digest).map(|word| word.by.as_str()).collect();
        people.len() >= self.approvals as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(by: &str, digest: &str) -> Approval {
        Approval { by: by.to_owned(), digest: digest.to_owned() }
    }

    #[test]
    fn only_others_who_may_approve_once_and_of_what_waits() {
        let policy =
            Policy { approvals: 2, approvers: vec!["ann".into(), "bob".into(), "cid".into()], ..Policy::default() };
        let given = [word("ann", "d1")];
        let judge = |by: &str, digest: &str| policy.judge(&word(by, digest), "d1", &["cid"], &given);
        assert_eq!(judge("bob", "d1"), Ok(()));
        assert_eq!(judge("cid", "d1"), Err(Refusal::OwnRelease("cid".into())));
        assert_eq!(judge("eve", "d1"), Err(Refusal::NotAnApprover("eve".into())));
        assert_eq!(judge("ann", "d1"), Err(Refusal::Twice("ann".into())));
        assert_eq!(judge("bob", "d2"), Err(Refusal::OtherDigest { wanted: "d2".into(), found: "d1".into() }));
    }

    #[test]
    fn approvals_of_another_release_and_of_the_same_person_do_not_add_up() {
        let policy = Policy { approvals: 2, ..Policy::default() };
        assert!(!policy.is_approved("d1", &[word("ann", "d1"), word("bob", "d2")]));
        assert!(!policy.is_approved("d1", &[word("ann", "d1"), word("ann", "d1")]));
        assert!(policy.is_approved("d1", &[word("ann", "d1"), word("bob", "d1")]));
        assert!(Policy::default().is_approved("d1", &[]));
    }
}
