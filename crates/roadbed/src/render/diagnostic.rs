//! A fault of the manifest with its line and a mark below the place.

use manifest::{Diagnostic, Severity, Source};

use crate::render::fault::hint;
use crate::render::paint::Paint;
use crate::render::span::count;

/// The lines of one fault.
pub fn lines(diagnostic: &Diagnostic, source: &Source, paint: Paint) -> Vec<String> {
    let Diagnostic { file, line, column, severity, message, .. } = diagnostic;
    let word = match severity {
        Severity::Error => paint.bad("error:"),
        Severity::Warning => paint.caution("warning:"),
    };
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let mut lines = vec![
        format!("{word} {}", paint.strong(message)),
        format!("{gutter}{} {file}:{line}:{column}", paint.faint("-->")),
    ];
    if let Some(text) = source.text.lines().nth(line.saturating_sub(1)) {
        lines.push(format!("{gutter} {}", paint.faint("|")));
        lines.push(format!("{} {text}", paint.faint(format!("{number} |"))));
        lines.push(format!("{gutter} {} {}", paint.faint("|"), paint.bad(mark(diagnostic, source, text))));
    }
    lines.extend(diagnostic.hint.iter().map(|text| format!("{gutter} {} {}", paint.faint("="), hint(text, paint))));
    lines
}

/// Blanks up to the place (tabs stay tabs, so that it lines up), then a caret for each marked character of this line.
fn mark(diagnostic: &Diagnostic, source: &Source, text: &str) -> String {
    let before = diagnostic.column.saturating_sub(1);
    let blanks: String = text.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let marked = source.text.get(diagnostic.span.start..diagnostic.span.end).map_or(1, |marked| marked.chars().count());
    let left = text.chars().count().saturating_sub(before);
    blanks + &"^".repeat(marked.clamp(1, left.max(1)))
}

/// All faults, one blank line between, and how many there are of each kind.
pub fn all(diagnostics: &[Diagnostic], source: &Source, paint: Paint) -> Vec<String> {
    let mut out = Vec::new();
    for diagnostic in diagnostics {
        out.extend(lines(diagnostic, source, paint));
        out.push(String::new());
    }
    out.push(summary(diagnostics, &source.file));
    out
}

fn summary(diagnostics: &[Diagnostic], file: &str) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    match (errors, warnings) {
        (0, 0) => format!("{file} has no faults"),
        (0, _) => format!("{file} has {}", count(warnings, "warning")),
        (_, 0) => format!("{file} has {}", count(errors, "error")),
        (_, _) => format!("{file} has {} and {}", count(errors, "error"), count(warnings, "warning")),
    }
}
