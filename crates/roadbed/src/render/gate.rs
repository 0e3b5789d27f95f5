//! The gate's rows: claim, verdict, what was observed, how long it took.

use gate::{Evidence, Report, Standing, Verdict};
use manifest::Owner;

use crate::checks::catalogue;
use crate::control::wire::Explained;
use crate::render::paint::{Paint, printable};
use crate::render::span;
use crate::render::table::Table;

/// How much of the evidence is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Observations only where a promise does not hold.
    Trouble,
    /// All observations.
    Everything,
}

/// The row of one check, and its observations below.
pub fn row(evidence: &Evidence, detail: Detail, paint: Paint) -> Vec<String> {
    let Evidence { task, id, claim, verdict, observed, took_ms, hint, .. } = evidence;
    let verdict_shown = match verdict {
        Verdict::Holds => paint.good("✓ holds       "),
        Verdict::Fails => paint.bad("✗ fails       "),
        Verdict::Inconclusive => paint.caution("? inconclusive"),
    };
    let mut lines = vec![format!(
        "{verdict_shown}  {task:<3}  {claim}  {}",
        paint.faint(format!("[{id}, {}]", span::time(*took_ms)))
    )];
    if detail == Detail::Everything || *verdict != Verdict::Holds {
        lines.extend(
            observed.iter().map(|sentence| format!("{:16}{}", "", paint.faint(format!("- {}", printable(sentence))))),
        );
    }
    lines.extend(hint.iter().map(|hint| format!("{:16}hint: {hint}", "")));
    lines
}

/// What a check promises, what it does, and how it stands.
pub fn explained(promise: &Explained, standing: Option<&Standing>, owner: Option<&Owner>, paint: Paint) -> Vec<String> {
    let does = match promise.disrupts {
        true => "breaks something for a moment and watches it heal",
        false => "only looks",
    };
    let stands = match standing {
        None => "it was never tested here".to_owned(),
        Some(Standing { verdict, since, looks, broken, .. }) => {
            format!("{} since {since}; {looks} looks, {broken} of them saw otherwise", word(*verdict))
        }
    };
    let listed = catalogue::promise(&promise.id);
    let reaches = listed.map_or("not listed", |listed| listed.blast).to_owned();
    let looked = listed.map_or_else(|| "when asked".to_owned(), |listed| catalogue::period(listed.period));
    let answers = owner.map_or_else(|| "nobody is named: `[incidents]` of the manifest".to_owned(), answers);
    let mut lines = vec![paint.strong(format!("{:<3}  {}", promise.task, promise.id))];
    for (what, text) in [
        ("promises", &promise.claim),
        ("the check", &does.to_owned()),
        ("reaches", &reaches),
        ("period", &looked),
        ("owner", &answers),
        ("stands", &stands),
        ("if not", &promise.hint),
    ] {
        lines.push(format!("     {}{text}", paint.faint(format!("{what:<11}"))));
    }
    lines
}

/// `platform, platform@shop.example`
pub fn answers(owner: &Owner) -> String {
    format!("{}, {}", owner.name, printable(&owner.contact))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// Since when each promise holds, or does not.
pub fn history(standings: &[Standing], paint: Paint) -> Vec<String> {
    let mut table = Table::new(["TASK", "PROMISE", "VERDICT", "SINCE", "LAST LOOK", "LOOKS", "BROKEN", "LAST BROKEN"]);
    for Standing { task, id, verdict, since, last, looks, broken, last_broken, .. } in standings {
        let last_broken = last_broken.as_ref().map_or_else(String::new, |trouble| trouble.at.to_string());
        let [since, last, looks, broken] = [since.to_string(), last.to_string(), looks.to_string(), broken.to_string()];
        table.row(vec![task.clone(), id.clone(), word(*verdict).to_owned(), since, last, looks, broken, last_broken]);
    }
    let mut lines = table.lines();
    for Standing { id, verdict, last_broken, .. } in standings {
        let Some(trouble) = last_broken.as_ref().filter(|_| *verdict != Verdict::Holds) else { continue };
        lines.push(String::new());
        lines.push(paint.bad(format!("{id}, at {}", trouble.at)));
        lines.extend(trouble.observed.iter().map(|seen| format!("  - {}", printable(seen))));
    }
    lines
}

/// The gate's answer in one sentence.
pub fn summary(report: &Report, paint: Paint) -> String {
    let count = |verdict| report.checks.iter().filter(|evidence| evidence.verdict == verdict).count();
    let all = report.checks.len();
    match (report.holds, count(Verdict::Fails), count(Verdict::Inconclusive)) {
        (true, ..) => format!("{} {all} of {all} promises hold in {}", paint.good("✓"), report.environment),
        _ if all == 0 => format!("{} nothing was checked, so nothing is proven", paint.caution("?")),
        (false, fails, unproven) => {
            let holding = count(Verdict::Holds);
            format!(
                "{} {holding} of {all} promises hold in {}: {fails} broken, {unproven} inconclusive",
                paint.bad("✗"),
                report.environment
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::clock::Timestamp;

    fn evidence(verdict: Verdict) -> Evidence {
        Evidence {
            task: "T3".into(),
            id: "redirects".into(),
            claim: "HTTP redirects to HTTPS".into(),
            verdict,
            observed: vec!["301 from http://www".into()],
            at: Timestamp::from_unix_millis(0),
            took_ms: 1_234,
            hint: (verdict != Verdict::Holds).then(|| "look at the edge".into()),
        }
    }

    #[test]
    fn a_holding_row_is_short_and_a_failing_one_shows_what_was_seen() {
        let holds = row(&evidence(Verdict::Holds), Detail::Trouble, Paint::Plain);
        assert_eq!(holds, ["✓ holds         T3   HTTP redirects to HTTPS  [redirects, 1.2 s]"]);
        let fails = row(&evidence(Verdict::Fails), Detail::Trouble, Paint::Plain);
        assert_eq!(fails[0], "✗ fails         T3   HTTP redirects to HTTPS  [redirects, 1.2 s]");
        assert_eq!(fails[1], "                - 301 from http://www");
        assert_eq!(fails[2], "                hint: look at the edge");
    }

    #[test]
    fn the_summary_counts() {
        let report =
            |verdicts: &[Verdict]| Report::new("local".into(), verdicts.iter().copied().map(evidence).collect());
        let said = |verdicts: &[Verdict]| summary(&report(verdicts), Paint::Plain);
        assert_eq!(said(&[Verdict::Holds]), "✓ 1 of 1 promises hold in local");
        assert_eq!(
            said(&[Verdict::Holds, Verdict::Fails, Verdict::Inconclusive]),
            "✗ 1 of 3 promises hold in local: 1 broken, 1 inconclusive"
        );
        assert_eq!(said(&[]), "? nothing was checked, so nothing is proven");
    }
}
