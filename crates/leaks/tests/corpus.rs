//! Recall and precision on secrets of every rule in every placement, beside look-alikes.

#![expect(clippy::disallowed_methods, reason = "a test plants files")]

mod planting;

use std::collections::BTreeMap;

use leaks::{AllowList, Ignored, Rules, Scanner, Search};
use planting::example::Dice;
use planting::{lookalikes, placements};

/// Secrets of each rule in each placement.
const TOKENS: usize = 2;

#[test]
fn planted_secrets_are_found_and_look_alikes_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, content: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let mut dice = Dice::new(20_261_126);
    let mut planted = BTreeMap::new();
    for round in 0..TOKENS {
        for rule in Rules::ours().all() {
            for file in placements::everywhere(&format!("{round}-{}", rule.id), &rule.example, &mut dice) {
                put(&file.path, &file.content);
                planted.insert(file.path, (file.placement, 0));
            }
        }
    }
    let clean = lookalikes::files(5, &mut dice);
    for (path, text) in &clean {
        put(path, text.as_bytes());
    }

    let scanner = Scanner::new(Rules::ours(), None);
    let allow = AllowList::empty([1; 32]);
    let search = Search { scanner: &scanner, allow: &allow, progress: &|_| {}, threads: 1 };
    let report = search.files(folder.path(), &[folder.path()], Ignored::Searched).unwrap();
    assert_eq!(report.unread, Vec::<String>::new());
    let mut wrong = Vec::new();
    for finding in &report.findings {
        match planted.get_mut(finding.file.trim_end_matches('!')) {
            Some((_, found)) if *found == 0 => *found += 1,
            _ => wrong.push(format!("{}:{} {} {}", finding.file, finding.line, finding.rule, finding.excerpt)),
        }
    }
    let missed: Vec<String> = planted
        .iter()
        .filter(|(_, (_, found))| *found == 0)
        .map(|(path, (placement, _))| format!("{placement}: {path}"))
        .collect();
    let share =
        |part: usize, whole: usize| f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap());
    let recall = 1.0 - share(missed.len(), planted.len());
    let precision = 1.0 - share(wrong.len(), report.findings.len());
    println!(
        "{} planted, {} files of look-alikes: recall {recall:.4}, precision {precision:.4}\nmissed:\n{}\nwrong:\n{}",
        planted.len(),
        clean.len(),
        missed.join("\n"),
        wrong.join("\n")
    );
    assert!(recall >= 0.98, "recall is {recall}");
    assert!(precision >= 0.95, "precision is {precision}");
}
