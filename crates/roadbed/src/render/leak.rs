//! One finding of the search for secrets, for people.

use leaks::{Confidence, Finding, Source};

use crate::render::paint::{Paint, printable};

/// What it is, where, since when, and the line with the secret masked.
pub fn lines(finding: &Finding, paint: Paint) -> Vec<String> {
    let label = match finding.confidence {
        Confidence::Low => paint.caution("maybe:"),
        Confidence::Medium | Confidence::High => paint.bad("secret:"),
    };
    let rule = finding.store_value.as_ref().unwrap_or(&finding.rule);
    let mut lines = vec![
        format!("{label} {} {}", paint.strong(printable(&finding.description)), paint.faint(format!("[{rule}]"))),
        format!("  {} {}", paint.faint("-->"), printable(&place(finding))),
    ];
    if let Some(history) = history(finding) {
        lines.push(format!("  {} {history}", paint.faint("in ")));
    }
    lines.push(format!("  {} {}", paint.faint(" | "), printable(&finding.excerpt)));
    lines
}

/// In one line, for the gate: what, where, since when.
pub fn sentence(finding: &Finding) -> String {
    let commits = history(finding).map(|history| format!(", in {history}")).unwrap_or_default();
    format!("{}: {}{commits}", place(finding), finding.description)
}

fn place(finding: &Finding) -> String {
    let file = match finding.source {
        Source::CommitMessage => format!("message of commit {}", short(&finding.file)),
        Source::TagMessage => format!("message of tag {}", short(&finding.file)),
        Source::GitFile => format!(".git/{}", finding.file),
        Source::Unreachable => format!("object {}, which nothing leads to", finding.blob.as_deref().map_or("?", short)),
        Source::File | Source::Staged | Source::History | Source::Input => finding.file.clone(),
    };
    let encoded = finding.encoded.map(|encoded| format!(", in {encoded}")).unwrap_or_default();
    format!("{file}:{}:{}{encoded}", finding.line, finding.column)
}

fn history(finding: &Finding) -> Option<String> {
    let (first, last) = (finding.first_commit.as_deref()?, finding.last_commit.as_deref()?);
    let commits = if first == last { short(first).to_owned() } else { format!("{}..{}", short(first), short(last)) };
    let commits = match finding.versions {
        Some(versions) if versions > 1 => format!("{commits}, {versions} versions of the file"),
        _ => commits,
    };
    Some(match finding.in_head {
        Some(true) => format!("{commits}, still in HEAD"),
        Some(false) => format!("{commits}, no longer in HEAD"),
        None => commits,
    })
}

/// Enough of an id to be told from others.
fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}
