//! Whether a gate saw what was broken, and nothing else.

use gate::{Evidence, Report, Verdict};
use serde::Serialize;

use super::Scene;

/// One row of the gate, as far as it stopped holding or should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub id: String,
    pub verdict: Verdict,
    pub observed: Vec<String>,
    pub took_ms: u64,
    /// Why it is a consequence of what was broken, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consequence: Option<&'static str>,
}

/// What a gate made of a scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Noticed {
    /// The scene's rows that saw it.
    pub rows: Vec<Row>,
    /// The scene's rows that should have seen it and did not, or saw something else.
    pub blind: Vec<Row>,
    /// Rows that were known to see it too.
    pub consequences: Vec<Row>,
    /// Rows that stopped holding and have nothing to do with it.
    pub strangers: Vec<Row>,
}

impl Noticed {
    /// By its own rows, all of them, and by no other's.
    pub fn exactly(&self) -> bool {
        !self.rows.is_empty() && self.blind.is_empty() && self.strangers.is_empty()
    }

    /// The rows of which one look is not enough: on a machine that is busy with other things any row may come too late once.
    pub fn doubtful(&self) -> Vec<String> {
        self.blind.iter().chain(&self.strangers).map(|row| row.id.clone()).collect()
    }
}

/// A report with what a later one says of some of its rows.
pub fn with_later(report: Report, later: Report) -> Report {
    let rows = report.checks.into_iter().map(|evidence| {
        let again = later.checks.iter().find(|again| again.id == evidence.id);
        again.cloned().unwrap_or(evidence)
    });
    Report::new(report.environment, rows.collect())
}

/// Holds a gate against what a scene says. Rows of the scene that this environment does not promise are asked for nothing.
pub fn judge(scene: &Scene, report: &Report) -> Noticed {
    let mut noticed = Noticed { rows: Vec::new(), blind: Vec::new(), consequences: Vec::new(), strangers: Vec::new() };
    for evidence in &report.checks {
        let holds = evidence.verdict == Verdict::Holds;
        let consequence = scene.consequences.iter().find(|(id, _)| *id == evidence.id).map(|(_, why)| *why);
        match scene.rows.iter().find(|(id, _)| *id == evidence.id) {
            Some((_, words)) if !holds && says(evidence, words) => noticed.rows.push(row(evidence, None)),
            Some(_) => noticed.blind.push(row(evidence, None)),
            None if holds => {}
            None if consequence.is_some() => noticed.consequences.push(row(evidence, consequence)),
            None => noticed.strangers.push(row(evidence, None)),
        }
    }
    noticed
}

fn says(evidence: &Evidence, words: &str) -> bool {
    evidence.observed.iter().any(|seen| seen.contains(words))
}

/// What a row saw that is as promised would bury what is not.
fn row(evidence: &Evidence, consequence: Option<&'static str>) -> Row {
    let is_bad = |seen: &&String| ["BROKEN: ", "UNPROVEN: "].iter().any(|mark| seen.starts_with(mark));
    let bad: Vec<String> = evidence.observed.iter().filter(is_bad).cloned().collect();
    let observed = if bad.is_empty() { evidence.observed.clone() } else { bad };
    Row { id: evidence.id.clone(), verdict: evidence.verdict, observed, took_ms: evidence.took_ms, consequence }
}

#[cfg(test)]
mod tests {
    use host::clock::Timestamp;

    use super::super::Cut;
    use super::*;

    const SCENE: Scene = Scene {
        task: "T6",
        broken: "redirects",
        rows: &[("own", "port 1")],
        consequences: &[("known", "it comes in there too")],
        cut: Cut::RedirectsElsewhere,
    };

    fn judged(rows: &[(&str, Verdict, &str)]) -> Noticed {
        let evidence = |(id, verdict, observed): &(&str, Verdict, &str)| Evidence {
            task: "T6".into(),
            id: (*id).into(),
            claim: "c".into(),
            verdict: *verdict,
            observed: vec![(*observed).into()],
            at: Timestamp::from_unix_millis(0),
            took_ms: 1,
            hint: None,
        };
        judge(&SCENE, &Report::new("local".into(), rows.iter().map(evidence).collect()))
    }

    #[test]
    fn its_own_row_for_its_own_reason_and_a_known_consequence_are_exactly_it() {
        assert!(judged(&[("own", Verdict::Fails, "leads to port 1"), ("other", Verdict::Holds, "")]).exactly());
        let noticed = judged(&[("own", Verdict::Fails, "leads to port 1"), ("known", Verdict::Fails, "")]);
        assert!(noticed.exactly());
        assert_eq!(noticed.consequences[0].consequence, Some("it comes in there too"));
    }

    #[test]
    fn a_row_that_holds_or_fails_for_another_reason_is_blind() {
        assert_eq!(judged(&[("own", Verdict::Holds, "leads to port 1")]).blind.len(), 1);
        assert_eq!(judged(&[("own", Verdict::Fails, "nobody answers")]).blind.len(), 1);
    }

    #[test]
    fn a_row_of_something_else_is_a_stranger_even_where_it_is_only_unsure() {
        let noticed = judged(&[("own", Verdict::Fails, "port 1"), ("other", Verdict::Inconclusive, "")]);
        assert_eq!(noticed.strangers[0].id, "other");
        assert!(!noticed.exactly());
    }

    #[test]
    fn a_later_look_counts_in_place_of_the_one_before() {
        let report = |verdict| {
            let row = Evidence {
                task: "T6".into(),
                id: "other".into(),
                claim: "c".into(),
                verdict,
                observed: Vec::new(),
                at: Timestamp::from_unix_millis(0),
                took_ms: 1,
                hint: None,
            };
            Report::new("local".into(), vec![row])
        };
        assert!(with_later(report(Verdict::Fails), report(Verdict::Holds)).holds);
        assert!(!with_later(report(Verdict::Holds), report(Verdict::Fails)).holds);
    }

    #[test]
    fn a_gate_without_the_scenes_rows_has_noticed_nothing() {
        assert!(!judged(&[("other", Verdict::Holds, "")]).exactly());
    }
}
