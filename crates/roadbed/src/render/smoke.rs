//! Smoke pages: what is wrong with each, and where its picture is.

use smoke::{PageReport, Report, Verdict};

use crate::render::gate::Detail;
use crate::render::paint::{Paint, printable};
use crate::render::span;

/// One page a line, what is wrong with it below, and a sentence at the end.
pub fn lines(report: &Report, environment: &str, detail: Detail, paint: Paint) -> Vec<String> {
    let shown = report.pages.iter().filter(|page| detail == Detail::Everything || page.verdict != Verdict::Holds);
    let mut lines: Vec<String> = shown.flat_map(|page| page_lines(page, detail, paint)).collect();
    lines.push(summary(report, environment, paint));
    lines
}

fn page_lines(page: &PageReport, detail: Detail, paint: Paint) -> Vec<String> {
    let verdict = match page.verdict {
        Verdict::Holds => paint.good("✓ holds   "),
        Verdict::Fails => paint.bad("✗ fails   "),
        Verdict::Unproven => paint.caution("? unproven"),
    };
    let (name, took) = (printable(&page.name), span::time(page.took_ms));
    let mut lines = vec![format!("{verdict}  {name}  {}", paint.faint(format!("[{}, {took}]", page.url)))];
    let below = |text: String| format!("{:12}- {}", "", printable(&text));
    lines.extend(page.complaints.iter().map(|complaint| below(complaint.to_string())));
    if detail == Detail::Everything || page.verdict != Verdict::Holds {
        let kept = page.screenshot.iter().chain(page.console.iter().filter(|_| page.verdict != Verdict::Holds));
        lines.extend(kept.map(|path| paint.faint(below(path.display().to_string()))));
    }
    lines
}

fn summary(report: &Report, environment: &str, paint: Paint) -> String {
    let all = report.pages.len();
    let holding = report.pages.iter().filter(|page| page.verdict == Verdict::Holds).count();
    match (report.holds(), all) {
        (_, 0) => format!("{} no page was looked at: no app has `smoke` pages", paint.caution("?")),
        (true, _) => format!("{} {all} of {all} pages hold in {environment}", paint.good("✓")),
        (false, _) => format!("{} {holding} of {all} pages hold in {environment}", paint.bad("✗")),
    }
}
