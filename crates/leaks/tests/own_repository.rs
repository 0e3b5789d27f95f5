//! The house keeps its own rules.

#![expect(clippy::disallowed_methods, reason = "a test reads its repository")]

use std::path::Path;

use leaks::{AllowList, Ignored, Rules, Scanner, Search};

/// Whether an entry has expired is for `roadbed secrets scan` to say: a test does not fail because time passes.
const DAY: &str = "2026-11-26";

#[test]
fn the_files_of_this_repository_hold_no_secret() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there");
    let text = std::fs::read_to_string(top.join("leaks-allow.toml")).expect("the list is there");
    let mut allow = AllowList::parse(&text).expect("the list is sound");
    let scanner = Scanner::new(Rules::ours(), None);
    let search = Search { scanner: &scanner, allow: &allow, progress: &|_| {}, threads: 1 };
    let report = search.files(&top, &[&top], Ignored::LeftOut).expect("the files are searched");
    assert!(report.extent.files > 300, "{:?}", report.extent);
    let findings = allow.judge(report.findings, DAY);
    assert!(findings.is_empty(), "{findings:#?}");
}
