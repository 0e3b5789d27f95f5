//! The gate's report for those who read it elsewhere.

use std::time::Duration;

use gate::{Evidence, Report, Verdict};
use host::clock::Timestamp;
use manifest::Incidents;
use reports::badge::{Colour, badge};
use reports::html::{Mark, Row, Section, page};
use reports::{Case, Suite, junit};

use crate::checks::catalogue;
use crate::cli::ready_args::ReportFormat;
use crate::render::{gate as rows, sarif};

/// The report in a format. `incidents` says who answers for what.
pub fn of(format: ReportFormat, report: &Report, incidents: Option<&Incidents>, now: Timestamp) -> String {
    match format {
        ReportFormat::Html => html(report, incidents, now),
        ReportFormat::Junit => {
            let document = junit::junit(&format!("roadbed ready, {}", report.environment), &suites(report));
            String::from_utf8(document).expect("what is written as text is text")
        }
        ReportFormat::Sarif => {
            serde_json::to_string_pretty(&sarif::promises(report)).expect("what is printed is plain data") + "\n"
        }
        ReportFormat::Badge => {
            let holding = report.checks.iter().filter(|evidence| evidence.verdict == Verdict::Holds).count();
            let (what, colour) = match (report.checks.len(), report.holds) {
                (0, _) => ("nothing is proven".to_owned(), Colour::Grey),
                (all, true) => (format!("{all} hold"), Colour::Good),
                (all, false) => (format!("{holding} of {all} hold"), Colour::Bad),
            };
            badge(&format!("promises, {}", report.environment), &what, colour)
        }
    }
}

/// Evidence task by task, in the order in which it comes.
fn by_task(report: &Report) -> Vec<(&str, Vec<&Evidence>)> {
    let mut tasks: Vec<(&str, Vec<&Evidence>)> = Vec::new();
    for evidence in &report.checks {
        match tasks.iter_mut().find(|(task, _)| *task == evidence.task) {
            Some((_, all)) => all.push(evidence),
            None => tasks.push((&evidence.task, vec![evidence])),
        }
    }
    tasks
}

fn suites(report: &Report) -> Vec<Suite> {
    let case = |evidence: &Evidence| Case {
        name: evidence.id.clone(),
        took: Duration::from_millis(evidence.took_ms),
        verdict: match evidence.verdict {
            Verdict::Holds => reports::Verdict::Passed,
            // What could not be tried is not as good as what was.
            Verdict::Inconclusive => reports::Verdict::Failed(format!("inconclusive: {}", evidence.claim)),
            Verdict::Fails => reports::Verdict::Failed(evidence.claim.clone()),
        },
        output: evidence.observed.iter().chain(&evidence.hint).map(String::as_str).collect::<Vec<_>>().join("\n"),
    };
    let suite = |(task, all): (&str, Vec<&Evidence>)| Suite {
        name: task.to_owned(),
        cases: all.into_iter().map(case).collect(),
    };
    by_task(report).into_iter().map(suite).collect()
}

fn html(report: &Report, incidents: Option<&Incidents>, now: Timestamp) -> String {
    let row = |evidence: &Evidence| {
        let Evidence { task, id, claim, verdict, observed, at, took_ms, hint } = evidence;
        let mut details = vec![("check".to_owned(), id.clone()), ("seen".to_owned(), format!("{at}, in {took_ms} ms"))];
        if let Some(owner) = incidents.and_then(|incidents| incidents.answers_for(task, id)) {
            details.push(("owner".to_owned(), rows::answers(owner)));
        }
        if let Some(listed) = catalogue::promise(id) {
            details.push(("looked at".to_owned(), catalogue::period(listed.period)));
            details.push(("a look does".to_owned(), listed.blast.to_owned()));
        }
        details.extend(hint.iter().map(|hint| ("hint".to_owned(), hint.clone())));
        let verdict = match verdict {
            Verdict::Holds => Mark::Holds,
            Verdict::Fails => Mark::Fails,
            Verdict::Inconclusive => Mark::Unknown,
        };
        Row { verdict, what: claim.clone(), details, seen: observed.clone() }
    };
    let section = |(task, all): (&str, Vec<&Evidence>)| Section {
        heading: task.to_owned(),
        rows: all.into_iter().map(row).collect(),
    };
    let sections: Vec<Section> = by_task(report).into_iter().map(section).collect();
    let holding = report.checks.iter().filter(|evidence| evidence.verdict == Verdict::Holds).count();
    let summary = format!("{holding} of {} promises hold; written {now}", report.checks.len());
    page(&format!("The readiness gate of {}", report.environment), &summary, &sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdict: Verdict) -> Report {
        let evidence = |task: &str, id: &str, verdict| Evidence {
            task: task.into(),
            id: id.into(),
            claim: format!("{id} <holds>"),
            verdict,
            observed: vec!["BROKEN: it & that".into()],
            at: Timestamp::from_unix_millis(0),
            took_ms: 1234,
            hint: (verdict != Verdict::Holds).then(|| "mend it".to_owned()),
        };
        let checks = vec![
            evidence("T3", "doors", Verdict::Holds),
            evidence("T4", "redis", verdict),
            evidence("T3", "rights", Verdict::Holds),
        ];
        Report::new("staging".into(), checks)
    }

    fn text(format: ReportFormat, verdict: Verdict) -> String {
        of(format, &report(verdict), None, Timestamp::from_unix_millis(0))
    }

    #[test]
    fn what_could_not_be_tried_has_passed_in_no_format() {
        for verdict in [Verdict::Fails, Verdict::Inconclusive] {
            let junit = text(ReportFormat::Junit, verdict);
            assert!(
                junit.contains("tests=\"3\" failures=\"1\"") && junit.contains("BROKEN: it &amp; that\nmend it"),
                "{junit}"
            );
            assert!(junit.contains("<testsuite name=\"T3\" tests=\"2\""), "{junit}");
            assert!(text(ReportFormat::Badge, verdict).contains("2 of 3 hold"));
            let html = text(ReportFormat::Html, verdict);
            assert!(
                html.contains(" open>") && html.contains("redis &lt;holds&gt;") && html.contains("2 of 3 promises"),
                "{html}"
            );
            let sarif: serde_json::Value = serde_json::from_str(&text(ReportFormat::Sarif, verdict)).unwrap();
            let results = sarif["runs"][0]["results"].as_array().unwrap();
            assert_eq!((results.len(), &results[0]["ruleId"]), (1, &"redis".into()));
            assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][1]["id"], "redis");
        }
        assert!(text(ReportFormat::Badge, Verdict::Holds).contains("3 hold"));
        assert!(!text(ReportFormat::Html, Verdict::Holds).contains(" open>"));
    }
}
