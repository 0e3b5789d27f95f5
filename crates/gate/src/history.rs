//! Since when each promise has held, or has not: read off the evidence.

use std::collections::BTreeMap;

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Evidence, Verdict};

/// One promise, as the evidence has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub task: String,
    pub id: String,
    pub claim: String,
    /// Of the newest look.
    pub verdict: Verdict,
    /// The first of the unbroken line of looks that saw the same as the newest.
    pub since: Timestamp,
    pub last: Timestamp,
    pub looks: u64,
    /// How many of them saw that it does not hold, or could not tell.
    pub broken: u64,
    /// The newest of those, and what was seen.
    pub last_broken: Option<Trouble>,
}

/// A look that did not see a promise hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub at: Timestamp,
    pub verdict: Verdict,
    pub observed: Vec<String>,
}

/// Where each promise stands, in the order of tasks. `evidence` comes as it was taken, the oldest first.
pub fn standings(evidence: impl IntoIterator<Item = Evidence>) -> Vec<Standing> {
    let mut all: BTreeMap<String, Standing> = BTreeMap::new();
    for Evidence { task, id, claim, verdict, observed, at, .. } in evidence {
        let standing = all.entry(id.clone()).or_insert_with(|| Standing {
            task: task.clone(),
            id,
            claim: claim.clone(),
            verdict,
            since: at,
            last: at,
            looks: 0,
            broken: 0,
            last_broken: None,
        });
        if standing.verdict != verdict {
            standing.since = at;
        }
        // A later version may word the same promise better.
        (standing.task, standing.claim, standing.verdict, standing.last) = (task, claim, verdict, at);
        standing.looks += 1;
        if verdict != Verdict::Holds {
            standing.broken += 1;
            // What is broken is said; what was fine beside it is not.
            let observed = observed.into_iter().filter(|seen| seen.starts_with("BROKEN") || verdict != Verdict::Fails);
            standing.last_broken = Some(Trouble { at, verdict, observed: observed.collect() });
        }
    }
    let mut all: Vec<Standing> = all.into_values().collect();
    let number = |task: &str| task.trim_start_matches('T').parse::<u32>().unwrap_or(u32::MAX);
    all.sort_by(|left, right| (number(&left.task), &left.id).cmp(&(number(&right.task), &right.id)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(task: &str, id: &str, verdict: Verdict, at: i64) -> Evidence {
        Evidence {
            task: task.into(),
            id: id.into(),
            claim: "a promise".into(),
            verdict,
            observed: vec!["BROKEN: it".into(), "fine".into()],
            at: Timestamp::from_unix_millis(at),
            took_ms: 1,
            hint: None,
        }
    }

    #[test]
    fn since_when_it_holds_is_the_first_look_after_the_last_that_saw_otherwise() {
        use Verdict::{Fails, Holds, Inconclusive};
        let seen = [(Holds, 1), (Fails, 2), (Inconclusive, 3), (Holds, 4), (Holds, 5)];
        let evidence = seen.map(|(verdict, at)| look("T12", "limits", verdict, at));
        let evidence = evidence.into_iter().chain([look("T3", "doors", Fails, 6)]);
        let all = standings(evidence);
        assert_eq!(all.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["doors", "limits"]);
        let at = Timestamp::from_unix_millis;
        let limits = &all[1];
        assert_eq!((limits.verdict, limits.since, limits.last), (Holds, at(4), at(5)));
        assert_eq!((limits.looks, limits.broken), (5, 2));
        assert_eq!(limits.last_broken.as_ref().unwrap().at, at(3));
        assert_eq!(all[0].last_broken.as_ref().unwrap().observed, ["BROKEN: it"]);
        assert_eq!(standings([]), []);
    }
}
