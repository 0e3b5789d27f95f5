//! Results as Markdown, for the page of a job.

use std::fmt::Write;
use std::time::Duration;

use crate::attempt::lines;
use crate::jobs::Job;
use crate::plan::Plan;
use crate::run::{Done, Outcome};

/// Lines of a failed task. A job's summary is cut off at a mebibyte.
const SHOWN: usize = 60;

/// The text.
pub fn summary(plan: &Plan, jobs: &[Job], done: &[Done], took: Duration) -> String {
    let mut text = String::new();
    let all = || jobs.iter().zip(done);
    let count = |outcome: Outcome| done.iter().filter(|done| done.outcome == outcome).count();
    let saved: Duration = done.iter().map(|done| done.saved).sum();
    let failed = count(Outcome::Failed);
    let verdict = if failed > 0 { format!("✗ {failed} failed") } else { "✓ everything succeeded".to_owned() };
    let _ = writeln!(text, "## roadbed ci: {verdict}\n");
    let _ = writeln!(
        text,
        "{} of {} packages affected. {} tasks run, {} from the cache, in {}; {} saved.\n",
        plan.affected.len(),
        plan.packages,
        count(Outcome::Succeeded) + failed,
        count(Outcome::Cached),
        time(took),
        time(saved),
    );
    if !jobs.is_empty() {
        let _ = writeln!(text, "| package | task | | took | tests |\n| --- | --- | --- | ---: | ---: |");
    }
    for (job, done) in all() {
        let (mark, took) = match done.outcome {
            Outcome::Succeeded if done.is_flaky() => (format!("⚠ flaky: attempt {}", done.attempts), done.took),
            Outcome::Succeeded => ("✓".to_owned(), done.took),
            Outcome::Cached => ("✓ cached".to_owned(), done.saved),
            Outcome::Failed => ("✗ failed".to_owned(), done.took),
            Outcome::Skipped | Outcome::Stopped => ("– not run".to_owned(), done.took),
        };
        let tests = done.tests.map_or_else(String::new, |tests| tests.to_string());
        let _ = writeln!(text, "| {} | {} | {mark} | {} | {tests} |", cell(&job.package), cell(&job.task), time(took));
    }
    for affected in &plan.affected {
        let _ = write!(
            text,
            "{}",
            if affected == &plan.affected[0] { "\n<details><summary>Why</summary>\n\n" } else { "" }
        );
        let _ = writeln!(text, "- **{}**: {}", cell(&affected.name), cell(&affected.why.join("; ")));
    }
    if !plan.affected.is_empty() {
        let _ = writeln!(text, "\n</details>");
    }
    for (job, done) in all().filter(|(_, done)| done.outcome == Outcome::Failed) {
        let why = done.why.as_deref().unwrap_or_default();
        let _ = writeln!(text, "\n### {}: {}\n\n<pre>", cell(&job.name()), cell(why));
        let mut last: Vec<String> = lines(&done.log).rev().take(SHOWN).map(|line| escaped(&line)).collect();
        last.reverse();
        let _ = writeln!(text, "{}\n</pre>", last.join("\n"));
    }
    text
}

fn time(took: Duration) -> String {
    match took.as_secs() {
        0 => format!("{} ms", took.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// What a package is called is said by whoever made it: it must not become markup.
fn cell(text: &str) -> String {
    escaped(text).replace('|', "\\|").replace(['\n', '\r'], " ").replace('`', "'")
}

fn escaped(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control() || *c == '\t').collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
