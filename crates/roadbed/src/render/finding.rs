//! Findings in code, each with its line and a mark below the place.

use std::collections::BTreeSet;

use manifest::{Diagnostic, Severity, Source};
use usage::Finding;

use crate::render::diagnostic;
use crate::render::paint::Paint;
use crate::render::span::count;

/// The lines of one finding. `shown` is its file as the user would type it, `text` what stands in it now.
pub fn lines(finding: &Finding, shown: &str, text: &str, paint: Paint) -> Vec<String> {
    let (line, column) = (finding.place.line as usize, finding.place.column as usize);
    let start = offset(text, line, column);
    // From the door to the end of the name, `process.env.API_URL`, if the name stands on this line.
    let rest = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let marked = rest.find(finding.name.as_str()).map_or(1, |at| at + finding.name.len());
    let id = paint.faint(format!("[{}]", finding.id));
    let diagnostic = Diagnostic {
        file: shown.to_owned(),
        line,
        column,
        severity: finding.severity,
        message: finding.message.clone(),
        hint: Some(finding.hint.clone()),
        span: (start..start + marked).into(),
    };
    let source = Source::new(shown, text);
    let mut lines = diagnostic::lines(&diagnostic, &source, paint);
    if let Some(place) = lines.get_mut(1) {
        *place = format!("{place} {id}");
    }
    lines
}

fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    before + rest.char_indices().nth(column.saturating_sub(1)).map_or(0, |(at, _)| at)
}

/// How many there are, in one line.
pub fn summary(findings: &[Finding], files: usize, uses: usize) -> String {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let places: BTreeSet<&str> = findings.iter().map(|finding| finding.place.file.as_str()).collect();
    let seen = format!("{} in {}", count(uses, "use"), count(files, "file"));
    match (errors, warnings) {
        (0, 0) => format!("code and manifest agree: {seen}"),
        (0, _) => format!("code and manifest agree, with {}: {seen}", count(warnings, "warning")),
        (_, 0) => format!("{} in {}, of {seen}", count(errors, "error"), count(places.len(), "file")),
        (_, _) => format!(
            "{} and {} in {}, of {seen}",
            count(errors, "error"),
            count(warnings, "warning"),
            count(places.len(), "file")
        ),
    }
}
