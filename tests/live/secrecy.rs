//! The search with which every environment of these tests ends, seen to find.

use std::fs;
use std::path::Path;

use testkit::{Environment, copy_folder, repository};

use crate::stage;

/// The smallest product, up; it made a secret.
fn tiny(project: &Path) -> (Environment, String) {
    copy_folder(&repository().join("tests/faults/project"), project);
    let tiny = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project);
    tiny.up_with(&["--no-gate", "--free-ports"]);
    let secret = host::process::table::environment(tiny.pid_of("web-1"))["SESSION_SECRET"].clone();
    (tiny, secret)
}

#[test]
#[should_panic(expected = "a secret came up")]
fn a_secret_in_a_file_fails_the_test_that_left_it() {
    let _stage = stage::enter();
    let project = tempfile::tempdir().unwrap();
    let (tiny, secret) = tiny(project.path());
    fs::write(tiny.root().join("logs/careless.log"), secret).unwrap();
}

#[test]
#[should_panic(expected = "a secret came up")]
fn a_secret_that_a_command_says_fails_the_test_that_asked_for_it() {
    let _stage = stage::enter();
    let project = tempfile::tempdir().unwrap();
    let (tiny, _) = tiny(project.path());
    let _ = tiny.roadbed(&["secrets", "get", "SESSION_SECRET", "--reason", "to see it"]).expect(0);
}

#[test]
fn a_test_may_say_that_it_shows_a_secret() {
    let _stage = stage::enter();
    let project = tempfile::tempdir().unwrap();
    let (tiny, secret) = tiny(project.path());
    tiny.shows("SESSION_SECRET");
    let got = tiny.roadbed(&["secrets", "get", "SESSION_SECRET", "--reason", "to see it"]).expect(0);
    assert_eq!(got.stdout.trim(), secret);
}
