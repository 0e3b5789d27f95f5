//! Small sources and what is found in them: `tests/javascript/*.cases`. Each begins with `=== what it shows`, which may be
//! followed by `| dialect` and `| wrappers`; behind `---` stand the uses as `line:column name`, with what else is true of them.
//!
//! Run with `WRITE_CASES=1` to record what is found now, then read the difference.

#![expect(clippy::disallowed_methods, reason = "the driver reads and records its case files")]

use std::path::{Path, PathBuf};

use usage::javascript::{self, Dialect, Extracted, HandedTo, Shared, Unreadable};
use usage::{Fallback, How, Language, Name};

struct Case {
    head: String,
    source: String,
    expected: String,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javascript");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the cases lie there").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn cases(text: &str) -> Vec<Case> {
    // Code has `===` too, but not at the beginning of a line.
    let text = format!("\n{text}");
    let each = text.split("\n=== ").skip(1).map(|case| {
        let (head, body) = case.split_once('\n').expect("a case has a source");
        let (source, expected) = body.split_once("\n---").unwrap_or((body, ""));
        let source = format!("{}\n", source.trim_end());
        Case { head: head.to_owned(), source, expected: expected.trim().to_owned() }
    });
    each.collect()
}

fn read(case: &Case) -> Result<Extracted, Unreadable> {
    let mut parts = case.head.split('|').map(str::trim).skip(1);
    let dialect = Dialect::of(&format!("a.{}", parts.next().unwrap_or("ts"))).expect("a known dialect");
    let wrappers: Vec<String> = parts.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    javascript::uses(&case.source, dialect, &wrappers)
}

fn shown(read: Result<Extracted, Unreadable>) -> String {
    let extracted = match read {
        Ok(extracted) => extracted,
        Err(fault) => return format!("{}:{} unreadable: {}", fault.line, fault.column, fault.why),
    };
    let mut lines = Vec::new();
    for used in &extracted.uses {
        let name = match &used.name {
            Name::Exact(name) | Name::Pattern(name) => name.clone(),
            Name::Computed => "computed".to_owned(),
            Name::Whole(by) => format!("whole by {by}"),
        };
        let how = match used.how {
            How::Read => "",
            How::Write => ", written",
            How::Remove => ", removed",
            How::Test => ", tested",
            How::Schema => ", in a schema",
            How::Wrapper => ", by a reader",
            How::BuildInput => ", as an input",
        };
        let fallback = if used.fallback == Fallback::Literal { ", or a literal" } else { "" };
        let language = if used.language == Language::ImportMeta { " (meta)" } else { "" };
        let handed = used.handed.as_ref().map_or(String::new(), |handed| {
            let to = match handed.to {
                HandedTo::Argument(index) => format!("argument {index}"),
                HandedTo::Schema => "a schema".to_owned(),
            };
            format!(" -> {} of {}, {to}", handed.name, handed.specifier)
        });
        lines.push(format!("{}:{} {name}{language}{how}{fallback}{handed}", used.line, used.column));
    }
    for export in &extracted.exports {
        let shared = match &export.shared {
            Shared::Environment(_) => "the environment".to_owned(),
            Shared::Process => "process".to_owned(),
            Shared::Reader { method: None, parameter, .. } => format!("a reader by argument {parameter}"),
            Shared::Reader { method: Some(method), parameter, .. } => {
                format!("a reader {method} by argument {parameter}")
            }
        };
        lines.push(format!("exports {} as {shared}", export.name));
    }
    lines.join("\n")
}

#[test]
fn what_is_found_in_small_sources() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("a file of cases is text");
        let mut recorded = String::new();
        for case in cases(&text) {
            count += 1;
            let found = shown(read(&case));
            if found != case.expected {
                wrong.push(format!("{}\n{}expected:\n{}\nfound:\n{found}\n", case.head, case.source, case.expected));
            }
            recorded.push_str(&format!(
                "=== {}\n{}---\n{found}{}\n",
                case.head,
                case.source,
                if found.is_empty() { "" } else { "\n" }
            ));
        }
        if std::env::var_os("WRITE_CASES").is_some() {
            std::fs::write(&file, recorded).expect("the cases can be recorded");
        }
    }
    assert!(count >= 60, "{count} cases");
    assert!(wrong.is_empty() || std::env::var_os("WRITE_CASES").is_some(), "{}", wrong.join("\n"));
}
