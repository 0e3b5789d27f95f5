//! The gate's answer for one environment.

use serde::{Deserialize, Serialize};

use crate::{Evidence, Verdict};

/// All evidence of one run. This is what `roadbed ready --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub environment: String,
    /// True only if there was something to prove and every check holds: inconclusive is not good enough.
    pub holds: bool,
    pub checks: Vec<Evidence>,
}

impl Report {
    pub fn new(environment: String, checks: Vec<Evidence>) -> Self {
        let holds = !checks.is_empty() && checks.iter().all(|evidence| evidence.verdict == Verdict::Holds);
        Self { environment, holds, checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::clock::Timestamp;

    fn report(verdicts: &[Verdict]) -> Report {
        let evidence = |verdict| Evidence {
            task: "T1".into(),
            id: "x".into(),
            claim: "y".into(),
            verdict,
            observed: Vec::new(),
            at: Timestamp::from_unix_millis(0),
            took_ms: 0,
            hint: None,
        };
        Report::new("local".into(), verdicts.iter().map(|verdict| evidence(*verdict)).collect())
    }

    #[test]
    fn only_a_full_set_of_holding_checks_holds() {
        assert!(report(&[Verdict::Holds, Verdict::Holds]).holds);
        assert!(!report(&[Verdict::Holds, Verdict::Fails]).holds);
        assert!(!report(&[Verdict::Holds, Verdict::Inconclusive]).holds);
        assert!(!report(&[]).holds);
    }
}
