//! What the command line says, as transcripts: `tests/cli/cases/*.case`, each what is there before, the commands, a line of
//! dashes, and everything that the commands answer.
//!
//! ```text
//! file roadbed.toml            a file, its lines after `| `; also: append, folder, sound, hold, env, cd
//! | [product]
//! $ roadbed manifest check     a command; lines after `| ` are its stdin
//! ----------
//! $ roadbed manifest check     the same command again, and under it
//! 1| a line of stdout
//! 2| a line of stderr
//! = 2                          its exit code
//! ```
//!
//! Every case has a folder of its own, shown as `[DIR]`, and an environment of three variables. None needs anything to run.
//! `WRITE_CASES=1 cargo test -p roadbed --test cli` records what is answered now; then read the difference.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the driver starts the program and keeps its case files"
)]

mod case;
mod command;
mod pages;
mod scan;
mod secrets;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use roadbed::cli::args::Arguments;
use roadbed::cli::reference;

use crate::case::Case;

/// Set to record instead of compare.
const WRITE: &str = "WRITE_CASES";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn is_writing() -> bool {
    std::env::var_os(WRITE).is_some()
}

/// `roadbed generate` writes it.
#[test]
fn the_committed_page_of_environments_is_the_one_that_the_manifest_makes() {
    let text = fs::read_to_string(repository().join("roadbed.toml")).unwrap();
    let (manifest, _) = manifest::parse(&manifest::Source::new("roadbed.toml", text));
    let manifest = manifest.unwrap();
    let page = manifest::generated(&manifest, &stores::access::page(&manifest)).pop().unwrap();
    assert_eq!(page.path, "docs/infra/environments.md");
    let committed = fs::read_to_string(repository().join(&page.path)).unwrap();
    assert_eq!(committed, page.text, "{} is not current: run `roadbed generate`", page.path);
}

#[test]
fn every_transcript_reads_as_recorded() {
    let folder = repository().join("tests/cli/cases");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are no cases in {}", folder.display());
    let mut differing = Vec::new();
    // Side by side: some commands wait for something that does not come.
    let played: Vec<(PathBuf, Case, String)> = thread::scope(|scope| {
        let play = |path: PathBuf| {
            scope.spawn(move || {
                let case = Case::read(&path);
                let answered = case.play();
                (path, case, answered)
            })
        };
        let playing: Vec<_> = paths.into_iter().map(play).collect();
        playing.into_iter().map(|case| case.join().unwrap()).collect()
    });
    for (path, case, answered) in played {
        if answered == case.expected {
            continue;
        }
        if is_writing() {
            fs::write(&path, format!("{}{}{answered}", case.script, case::SEPARATOR)).unwrap();
        } else {
            differing.push(format!("==== {}\n{}", path.display(), difference(&case.expected, &answered)));
        }
    }
    assert!(differing.is_empty(), "{}\nrun with {WRITE}=1 to record this", differing.join("\n"));
}

/// The lines from the first that differs on: what was recorded, then what came.
fn difference(expected: &str, answered: &str) -> String {
    let same = expected.lines().zip(answered.lines()).take_while(|(a, b)| a == b).count();
    let from = |text: &str, sign: char| {
        text.lines().skip(same).take(20).map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    format!("from line {}:\n{}{}", same + 1, from(expected, '-'), from(answered, '+'))
}

#[test]
fn the_help_of_every_verb_is_recorded() {
    fn names(command: &clap::Command, before: &str, out: &mut Vec<String>) {
        out.push(format!("$ {before} --help"));
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            names(verb, &format!("{before} {}", verb.get_name()), out);
        }
    }
    let recorded = fs::read_to_string(repository().join("tests/cli/cases/help.case")).unwrap();
    let mut wanted = Vec::new();
    names(&Arguments::definition(), "roadbed", &mut wanted);
    let missing: Vec<_> = wanted.iter().filter(|line| !recorded.lines().any(|other| other == *line)).collect();
    assert!(missing.is_empty(), "tests/cli/cases/help.case does not ask for {missing:?}");
}

#[test]
fn completions_are_made_for_every_shell() {
    let here = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let answer = command::roadbed(["completions", shell].into_iter(), here.path(), &[], "");
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
        assert!(answer.stdout.contains("detach"), "the completions for {shell} do not know `up --detach`");
    }
}

#[test]
fn the_reference_page_is_current() {
    let path = repository().join(reference::PATH);
    let wanted = reference::markdown();
    if is_writing() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is not current: run `roadbed generate`", reference::PATH);
}
