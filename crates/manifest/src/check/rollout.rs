//! Approvals that nobody could give, and names that releases need.

use crate::findings::Findings;
use crate::id::AppName;
use crate::tables::Document;

/// What instances of a release are told apart by: `api-blue-1`.
const SLOTS: [&str; 3] = ["-blue", "-green", "-trial"];

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, _) in document.apps.iter() {
        let other = SLOTS.iter().find_map(|slot| name.as_str().strip_suffix(slot));
        let other = other.and_then(|other| AppName::new(other).ok()).filter(|other| document.apps.has(other));
        if let Some(other) = other {
            findings
                .error(name.span, format!("an app cannot be called \"{}\" beside \"{other}\"", name.value))
                .hint("instances of a release are called like that; choose another name");
        }
    }
    let known = document.people.in_order().len();
    for (name, table) in document.environments.iter() {
        let rollout = &table.rollout;
        for approver in &rollout.approvers {
            if !document.people.has(&approver.value) {
                findings
                    .error(approver.span, format!("there is no person \"{}\"", approver.value))
                    .hint("name somebody of [people], with the SSH key that tells who they are");
            }
        }
        if let Some(streams) = rollout.drain_streams.as_ref().filter(|streams| streams.value.0 > rollout.keep_warm.0) {
            findings
                .error(
                    streams.span,
                    "drain_streams is longer than keep_warm, after which the release before is stopped",
                )
                .hint("lower `drain_streams`, or raise `keep_warm`");
        }
        let Some(approvals) = &rollout.approvals else { continue };
        let may = if rollout.approvers.is_empty() { known } else { rollout.approvers.len() };
        // An author who may approve is one fewer: nobody approves of their own.
        if may < approvals.value.0 as usize {
            let wanted = approvals.value.0;
            findings
                .error(approvals.span, format!("{} asks for {wanted} approvals, and {may} may give one", name.value))
                .hint("add people to [people], or lower `approvals`");
        }
    }
}
