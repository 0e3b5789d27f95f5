//! Tasks of the repository: `cargo xtask fuzz TARGET --minutes N`, `cargo xtask acceptance`, `cargo xtask release`,
//! `cargo xtask newcomer`.

#![expect(clippy::disallowed_methods, reason = "it starts cargo and a fuzzer; this crate is not the product")]
#![expect(clippy::print_stderr, reason = "it speaks to whoever started it")]

mod acceptance;
mod newcomer;
mod release;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "cargo xtask acceptance [--report FILE]

Runs .ci/run in a clean clone of what is committed, and writes which of the requirements its tests prove (target/acceptance/report.md).
It takes as long as all tests, an hour or more.

cargo xtask release [--binary FILE] [--check]

Makes what is given to others, in target/release-artifacts: the optimised program (or FILE, built before), a Debian package, a recipe for a
container image, man pages, completions, a bill of materials, SHA256SUMS. With --check the package is installed, used and removed, below
a folder. It takes binutils and dpkg, and compiling takes ten minutes or more.

cargo xtask newcomer --deb FILE [--mirror URL]

Makes a Debian that has nothing but the package (debootstrap, as root), and does in a clone what the pages tell a newcomer: up, break, deploy,
back, lose the machine, restore. It takes the network and a quarter of an hour.

cargo xtask fuzz TARGET [--minutes N]

Looks for inputs that break a promise of TARGET (fuzz/src/lib.rs has them all), for N minutes (30). It begins with fuzz/corpus/TARGET;
what it finds out is kept in target/fuzz/corpus, and an input that broke the promise in target/fuzz/findings.";

/// What libFuzzer needs of the compiler: counters on every edge, and what is compared. `cargo-fuzz` asks for the same; without its
/// address sanitizer, which only nightly compilers have, and which finds nothing where `unsafe` is denied.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=4";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["acceptance"] => acceptance::run(&xtask::repository().join("target/acceptance/report.md")),
        ["acceptance", "--report", file] => acceptance::run(Path::new(file)),
        ["release"] => release::run(None, false),
        ["release", "--check"] => release::run(None, true),
        ["release", "--binary", file] => release::run(Some(Path::new(file)), false),
        ["release", "--binary", file, "--check"] => release::run(Some(Path::new(file)), true),
        ["newcomer", "--deb", deb] => newcomer::run(Path::new(deb), None),
        ["newcomer", "--deb", deb, "--mirror", mirror] => newcomer::run(Path::new(deb), Some(mirror)),
        ["fuzz", target] => fuzz(target, 30),
        ["fuzz", target, "--minutes", minutes] => match minutes.parse() {
            Ok(minutes) => fuzz(target, minutes),
            Err(_) => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn fuzz(target: &str, minutes: u64) -> ExitCode {
    let seeds = xtask::repository().join("fuzz/corpus").join(target);
    if target.contains('/') || !seeds.is_dir() {
        eprintln!("{target} is no target: it has no seeds in fuzz/corpus");
        return ExitCode::from(2);
    }
    let build = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| xtask::repository().join("target"), PathBuf::from);
    let build = build.join("fuzz");
    // Named, so that the flags are for what is looked at and not for what builds it.
    let machine = env!("XTASK_HOST");
    let built = Command::new("cargo")
        .args(["build", "--package", "roadbed-fuzz", "--features", "engine", "--bin", "hunt", "--profile", "fuzz"])
        .args(["--target", machine])
        .env("CARGO_TARGET_DIR", &build)
        .env("RUSTFLAGS", COVERAGE)
        .current_dir(xtask::repository())
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return ExitCode::FAILURE;
    }
    let (corpus, findings) = (build.join("corpus").join(target), build.join("findings"));
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder).expect("a folder can be made beside the build");
    }
    let hunted = Command::new(build.join(machine).join("fuzz/hunt"))
        .env("ROADBED_FUZZ_TARGET", target)
        .args([&corpus, &seeds])
        .arg(format!("-max_total_time={}", minutes * 60))
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
        .status();
    if hunted.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
