//! What `benches/leaks.py` measures: a search of files or of a history, and the planted corpus as files.
//!
//! ```text
//! scan_speed files DIR            scan_speed history DIR [CACHE]            scan_speed plant DIR TOKENS
//! ```

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program for the bench")]

#[path = "../tests/planting/mod.rs"]
mod planting;

use std::path::Path;

use leaks::{AllowList, Clean, Ignored, Objectives, Report, Rules, Scanner, Search};
use planting::example::Dice;
use planting::{lookalikes, placements};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let scanner = Scanner::new(Rules::ours(), None);
    let allow = AllowList::empty([1; 32]);
    let search = |threads| Search { scanner: &scanner, allow: &allow, progress: &|_| {}, threads };
    let report = match words.as_slice() {
        ["files", folder] => {
            let folder = Path::new(folder);
            search(1).files(folder, &[folder], Ignored::Searched).expect("the folder is searched")
        }
        ["history", folder] => {
            search(1).history(Path::new(folder), Objectives::Reachable, None).expect("the history is searched")
        }
        ["history", folder, cache] => {
            let mut clean = Clean::open(Path::new(cache), &scanner).expect("the cache opens");
            let found = search(1).history(Path::new(folder), Objectives::Reachable, Some(&mut clean));
            found.expect("the history is searched")
        }
        ["plant", folder, tokens] => return plant(Path::new(folder), tokens.parse().expect("a number")),
        _ => panic!("files DIR, history DIR [CACHE], or plant DIR TOKENS"),
    };
    show(&report);
}

fn show(report: &Report) {
    for finding in &report.findings {
        println!("{}", serde_json::to_string(finding).expect("a finding is plain data"));
    }
    println!("{}", serde_json::to_string(&report.extent).expect("an extent is plain data"));
}

/// One secret a file, in a folder of its placement; look-alikes beside them.
fn plant(folder: &Path, tokens: usize) {
    let mut dice = Dice::new(20_261_126);
    let put = |path: &Path, content: &[u8]| {
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder is made");
        std::fs::write(path, content).expect("the file is written");
    };
    for round in 0..tokens {
        for rule in Rules::ours().all() {
            for file in placements::everywhere(&format!("{round}-{}", rule.id), &rule.example, &mut dice) {
                put(&folder.join("planted").join(&file.path), &file.content);
            }
        }
    }
    for (path, text) in lookalikes::files(5, &mut dice) {
        put(&folder.join("clean").join(path), text.as_bytes());
    }
}
