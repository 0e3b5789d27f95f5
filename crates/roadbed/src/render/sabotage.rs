//! What was broken, who noticed, and in what time.

use crate::cli::ready_sabotage::{Outcome, Played};
use crate::render::paint::{Paint, printable};
use crate::render::span;
use crate::sabotage::Row;

/// A word of a row's observation is enough to see that it is about what was broken.
const MOST_SHOWN: usize = 3;

/// One task.
pub fn lines(played: &Played, paint: Paint) -> Vec<String> {
    let word = match played.outcome {
        Outcome::Noticed => paint.good("✓ noticed  "),
        Outcome::Missed => paint.bad("✗ missed   "),
        Outcome::NotTried => paint.caution("? not tried"),
    };
    let Played { task, broken, why, noticed, noticed_ms, mended_ms, .. } = played;
    let what = why.as_deref().or(*broken).unwrap_or_default();
    let took = match noticed {
        Some(_) => {
            let (noticed, mended) = (span::time(*noticed_ms), span::time(*mended_ms));
            paint.faint(format!("  [seen after {noticed}, mended in {mended}]"))
        }
        None => String::new(),
    };
    let mut lines = vec![format!("{word}  {task:<3}  {what}{took}")];
    let Some(noticed) = noticed else { return lines };
    lines.extend(noticed.rows.iter().flat_map(|one| row("", one, paint)));
    lines.extend(noticed.consequences.iter().flat_map(|one| row("as a consequence: ", one, paint)));
    lines.extend(noticed.blind.iter().flat_map(|one| row("did not see it: ", one, paint)));
    lines.extend(noticed.strangers.iter().flat_map(|one| row("has nothing to do with it: ", one, paint)));
    lines
}

fn row(before: &str, row: &Row, paint: Paint) -> Vec<String> {
    let why = row.consequence.map(|why| format!(" ({why})")).unwrap_or_default();
    let mut lines = vec![format!("{:13}{before}{}{why}", "", row.id)];
    let seen = row.observed.iter().take(MOST_SHOWN);
    lines.extend(seen.map(|seen| format!("{:13}{}", "", paint.faint(format!("- {}", printable(seen))))));
    lines
}

/// All of them in one sentence.
pub fn summary(noticed: usize, missed: usize, not_tried: usize, paint: Paint) -> String {
    let all = noticed + missed + not_tried;
    let mark = if missed == 0 && noticed > 0 { paint.good("✓") } else { paint.bad("✗") };
    let rest = [(missed, "missed"), (not_tried, "not tried")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!(", {count} {word}"))
        .collect::<String>();
    format!("{mark} {noticed} of {all} sabotages were noticed by their own checks and no other's{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_tried_is_never_counted_as_noticed() {
        assert_eq!(
            summary(12, 0, 3, Paint::Plain),
            "✓ 12 of 15 sabotages were noticed by their own checks and no other's, 3 not tried"
        );
        assert!(summary(0, 0, 1, Paint::Plain).starts_with('✗'));
        assert!(summary(14, 1, 0, Paint::Plain).starts_with('✗'));
    }
}
