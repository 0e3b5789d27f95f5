//! Every target over its corpus, and over mutations of it: a fixed sequence, so that what fails once fails always.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads the corpus and fails by panicking")]

use std::path::{Path, PathBuf};

/// So many mutations of the corpus of each target: seconds for all of them, without optimisation.
const MUTATIONS: usize = 4000;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

#[test]
fn every_target_keeps_its_promise_over_its_corpus_and_mutations_of_it() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 16).unwrap() % below
    };
    for (name, target) in fuzz::TARGETS {
        let corpus = corpus(name);
        assert!(corpus.len() >= 2, "{name} has {} seeds", corpus.len());
        for (file, bytes) in &corpus {
            println!("{}", file.display());
            target(bytes);
        }
        for _ in 0..MUTATIONS {
            let mut bytes = corpus[next(corpus.len())].1.clone();
            for _ in 0..=next(5) {
                let at = next(bytes.len() + 1);
                match next(5) {
                    0 if at < bytes.len() => bytes[at] = b"\r\n:, \t;0chunked\x00\x7f\xff{}$\"'=./%"[next(26)],
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    2 => bytes.insert(at, u8::try_from(next(256)).unwrap()),
                    3 => bytes.truncate(at.max(1)),
                    _ => {
                        let other = &corpus[next(corpus.len())].1;
                        let from = next(other.len());
                        let until = from + next((other.len() - from).min(64)) + 1;
                        bytes.splice(at..at, other[from..until.min(other.len())].iter().copied());
                    }
                }
            }
            target(&bytes);
        }
    }
}

#[test]
fn a_corpus_without_a_target_looks_for_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(fuzz::target(name.to_str().unwrap()).is_some(), "{name:?} is no target");
    }
}
