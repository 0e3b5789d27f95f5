//! What visitors have already is not deployed over while a promise is broken that no deployment mends: doors that are open, secrets that
//! are out. Two people can say that it is right all the same, and that stays written down.

use delivery::Policy;
use gate::{Evidence, Verdict};
use manifest::ServedEnvironment;
use reconcile::Fault;

use crate::checks::catalogue;
use crate::control::Control;
use crate::wanted::{self, Wanted};

/// So many people say that it is right.
const PEOPLE: u32 = 2;

/// Why it is asked for although promises are broken, in words for the record; `None`: none is.
pub(super) fn despite(
    control: &Control,
    want: &Wanted,
    trusted: &[String],
    reason: Option<&str>,
) -> Result<Option<String>, Fault> {
    if !is_guarded(&wanted::manifest_as_wanted(want)?.served_environments(), want) {
        return Ok(None);
    }
    let newest = control.ledger.newest_of_each();
    let newest = newest.map_err(|fault| Fault::because("cannot tell whether every promise holds", &fault))?;
    let broken = broken(&newest);
    if broken.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = broken.iter().map(|evidence| evidence.id.as_str()).collect();
    let Some(reason) = reason else {
        let mut fault = Fault::new(format!("nothing is deployed to {}: {} does not hold", want.environment, names.join(", ")))
            .hint(format!(
                "mend it, then `roadbed ready --env {} --only {}`; if it must be now, `roadbed deploy --despite REASON` asks two people",
                want.environment,
                names.join(",")
            ));
        fault.causes = broken.iter().flat_map(|evidence| said(evidence)).collect();
        return Err(fault);
    };
    let people = trusted.len();
    if people < PEOPLE as usize {
        return Err(Fault::new(format!(
            "nothing is deployed to {}: {} does not hold",
            want.environment,
            names.join(", ")
        ))
        .cause(format!(
            "{PEOPLE} people would have to say that it is right, and the release's manifest and the one that is in force both name {people}"
        ))
        .hint("`[people]` of the manifest names those who may approve"));
    }
    Ok(Some(format!("asked for although {} does not hold: {reason}", names.join(", "))))
}

/// Whose word counts: who asks brings a manifest of his own, and would name himself in it.
pub(super) fn trusted(policy: &Policy, now: &Policy) -> Vec<String> {
    policy.approvers.iter().filter(|person| now.approvers.contains(person)).cloned().collect()
}

/// With the word of two people of these.
pub(super) fn stricter(policy: Policy, now: &Policy, trusted: Vec<String>) -> Policy {
    Policy { approvals: policy.approvals.max(now.approvals).max(PEOPLE), approvers: trusted, ..policy }
}

/// What is promoted to, or approved, is what visitors have.
fn is_guarded(served: &[ServedEnvironment], want: &Wanted) -> bool {
    let own = served.iter().find(|environment| environment.name.as_str() == want.environment);
    own.is_some_and(|environment| environment.from.is_some() || environment.approvals > 0)
}

/// What was seen broken at the newest look, and is not mended by deploying.
fn broken(newest: &[Evidence]) -> Vec<&Evidence> {
    let blocks = |evidence: &&Evidence| evidence.verdict == Verdict::Fails && catalogue::blocks(&evidence.id);
    newest.iter().filter(blocks).collect()
}

fn said(evidence: &Evidence) -> impl Iterator<Item = String> + '_ {
    let seen = evidence.observed.iter().filter(|seen| seen.starts_with("BROKEN"));
    seen.map(move |seen| format!("{} at {}: {seen}", evidence.id, evidence.at))
}

#[cfg(test)]
mod tests {
    use host::clock::Timestamp;

    use super::*;

    #[test]
    fn only_what_no_deployment_mends_is_in_its_way() {
        let seen = |id: &str, verdict| Evidence {
            task: "T3".into(),
            id: id.into(),
            claim: "c".into(),
            verdict,
            observed: vec!["BROKEN: open".into(), "fine".into()],
            at: Timestamp::from_unix_millis(0),
            took_ms: 1,
            hint: None,
        };
        let newest = [
            seen("apps-are-reachable", Verdict::Fails),
            seen("mongodb-guards-its-door", Verdict::Fails),
            seen("redis-guards-its-door", Verdict::Inconclusive),
        ];
        let found = broken(&newest);
        assert_eq!(found.iter().map(|evidence| evidence.id.as_str()).collect::<Vec<_>>(), ["mongodb-guards-its-door"]);
        assert_eq!(said(found[0]).count(), 1);
    }

    #[test]
    fn two_people_say_so_whom_the_manifest_in_force_knows_as_well() {
        let of = |approvals: u32, people: &[&str]| Policy {
            approvals,
            approvers: people.iter().map(|name| (*name).to_owned()).collect(),
            ..Policy::default()
        };
        let (asked, now) = (of(0, &["ann", "eve", "mallory"]), of(1, &["ann", "bob"]));
        let people = trusted(&asked, &now);
        assert_eq!(people, ["ann"]);
        let strict = stricter(asked, &now, people);
        assert_eq!((strict.approvals, strict.approvers), (2, vec!["ann".to_owned()]));
        assert_eq!(stricter(of(0, &[]), &of(3, &[]), Vec::new()).approvals, 3);
    }
}
