//! What goes wrong, or is made to.

use std::fs;

use crate::stage::{Stage, wait_until};

const BUILD: &str =
    "[ci.tasks.build]\ncommand = [\"/bin/sh\", \"-c\", \"echo build >> ran; mkdir -p dist; echo made > dist/out\"]\n";

#[test]
fn a_damaged_result_is_found_and_made_again() {
    let stage = Stage::new(BUILD);
    let build = ["ci", "run", "api", "--json"];
    assert_eq!(stage.run(&build).outcomes(), ["api build succeeded"]);
    for file in ["outputs.tar.zst", "record.json", "log.zst"] {
        let kept = stage.kept("trusted").pop().unwrap().join(file);
        let mut bytes = fs::read(&kept).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        fs::write(&kept, bytes).unwrap();
        let again = stage.run(&build);
        assert_eq!((again.code, again.outcomes()), (0, vec!["api build succeeded".to_owned()]), "{file}: {again:?}");
        assert_eq!(stage.run(&build).outcomes(), ["api build cached"], "{file}");
    }
    assert_eq!(stage.read("shop/apps/api/dist/out"), "made\n");
}

#[test]
fn two_runs_at_once_and_a_killed_one_do_not_harm_each_other() {
    let stage = Stage::new(
        "[ci.tasks.build]\ncommand = [\"/bin/sh\", \"-c\", \"mkdir -p dist; head -c 20000000 /dev/urandom > dist/out; echo x >> dist/out\"]\n",
    );
    let mut killed = stage.command(&["ci", "run", "--all"]).spawn().unwrap();
    wait_until("something being kept", || {
        fs::read_dir(stage.path("home/.cache/roadbed/ci/making")).is_ok_and(|mut left| left.next().is_some())
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    let runs: Vec<_> = (0..2).map(|_| stage.command(&["ci", "run", "--all", "--quiet"]).spawn().unwrap()).collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert!(stage.run(&["ci", "run", "--all", "--json"]).outcomes().iter().all(|outcome| outcome.ends_with("cached")));
    assert_eq!(
        fs::read_dir(stage.path("home/.cache/roadbed/ci/making")).unwrap().count(),
        0,
        "what the killed one left is swept"
    );
}

#[test]
fn a_task_that_hangs_is_killed_with_all_that_it_started() {
    let stage = Stage::new(
        "[ci.tasks.test]\ndeadline = \"1s\"\ncommand = [\"/bin/sh\", \"-c\", \"setsid sleep 4711 & echo $! > ran; setsid sleep 4711 & echo $! >> ran; sleep 4711\"]\n",
    );
    let answer = stage.run(&["ci", "run", "api", "--json"]);
    assert_eq!((answer.code, answer.outcomes()), (1, vec!["api test failed".to_owned()]));
    assert!(answer.json()["jobs"][0]["why"].as_str().unwrap().contains("did not end within 1 s and was killed"));
    let pids = stage.read("shop/apps/api/ran");
    assert_eq!(pids.lines().count(), 2);
    let is_gone =
        |pid: &str| !fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("4711"));
    wait_until("their end", || pids.lines().all(is_gone));
}

/// Runs a task that writes and writes, with a fifth of a gigabyte of memory; what was kept of its output.
fn flooded(command: &str) -> String {
    let stage = Stage::new(&format!("[ci.tasks.lint]\ncommand = [\"/bin/sh\", \"-c\", \"{command}; echo the end\"]\n"));
    let program = stage.command(&[]);
    let mut bounded = std::process::Command::new("prlimit");
    bounded.arg("--data=200000000").arg(program.get_program()).args(["ci", "run", "api", "--json", "-v"]);
    bounded.current_dir(stage.path("shop")).env_clear();
    bounded.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let answer = crate::stage::answer(&bounded.output().unwrap());
    assert_eq!(answer.outcomes(), ["api lint succeeded"]);
    let shown = answer.out.len() + answer.err.len();
    assert!(shown < 50 << 20, "{shown} bytes are shown");
    let kept = stage.cached_bytes();
    assert!(kept.len() < 10 << 20, "{} bytes are kept", kept.len());
    String::from_utf8_lossy(&kept).into_owned()
}

#[test]
fn a_flood_of_output_is_neither_kept_whole_nor_in_memory() {
    // A gigabyte, and as many lines as a processor writes in a moment.
    for command in ["yes \\\"$(printf %2000s x)\\\" | head -c 1G", "yes | head -c 10M"] {
        let kept = flooded(command);
        assert!(kept.contains("lines left out") && kept.contains("the end"), "{command}");
    }
}

#[test]
fn what_untrusted_code_made_is_never_taken_by_a_trusted_run() {
    let stage = Stage::new(BUILD);
    let event = r#"{"pull_request": {"number": 7, "head": {"repo": {"full_name": "them/shop"}}, "base": {"repo": {"full_name": "us/shop"}}}}"#;
    stage.write("event.json", event);
    let path = stage.path("event.json").display().to_string();
    let fork = [("GITHUB_ACTIONS", "true"), ("GITHUB_EVENT_PATH", path.as_str())];
    let run = ["ci", "run", "api", "--json"];
    assert_eq!(stage.run_with(&run, &fork).outcomes(), ["api build succeeded"]);
    assert_eq!(stage.run_with(&run, &fork).outcomes(), ["api build cached"], "its own it may use");
    assert_eq!(stage.kept("trusted").len(), 0);
    assert_eq!(stage.run(&run).outcomes(), ["api build succeeded"], "a trusted run makes it itself");
    let other = ["ci", "run", "api", "--json", "--untrusted", "pr-8"];
    assert_eq!(stage.run(&other).outcomes(), ["api build cached"], "what is trusted is for everybody");
}

#[test]
fn tests_that_pass_without_a_test_have_failed() {
    let stage = Stage::new(
        "[ci.tasks.test]\ncommand = [\"/bin/echo\", \"# pass 0\"]\nin.\"apps/web\".command = [\"/bin/true\"]\nin.\"packages/ui\".min_tests = 0\n",
    );
    let why = |name: &str| {
        stage.run(&["ci", "run", name, "--only", "test", "--json"]).json()["jobs"][0]["why"].as_str().map(str::to_owned)
    };
    assert!(why("api").unwrap().contains("after 0 tests, and at least 1 must run"));
    assert!(why("web").unwrap().contains("says of no test that it ran"));
    assert_eq!(why("ui"), None);
}

#[test]
fn secrets_are_in_no_key_and_no_log_and_other_values_are_other_results() {
    let stage = Stage::new(
        "[ci.tasks.lint]\nenv = [\"FLAVOUR\"]\nsecrets = [\"UPLOAD_TOKEN\"]\ncommand = [\"/bin/sh\", \"-c\", \"echo $FLAVOUR $UPLOAD_TOKEN $SHELL_SECRET; echo $UPLOAD_TOKEN | base64 -w0\"]\n",
    );
    let run = |token: &str, flavour: &str| {
        let variables = [("UPLOAD_TOKEN", token), ("FLAVOUR", flavour), ("SHELL_SECRET", "of-nobody-here")];
        let answer = stage.run_with(&["ci", "run", "api", "--json", "-v"], &variables);
        assert!(!format!("{answer:?}").contains(token), "{answer:?}");
        answer.outcomes().remove(0)
    };
    assert_eq!(run("hunter2-hunter2-hunter2", "sweet"), "api lint succeeded");
    assert_eq!(run("another-value-than-before", "sweet"), "api lint cached");
    assert_eq!(run("another-value-than-before", "sour"), "api lint succeeded");
    let kept = String::from_utf8_lossy(&stage.cached_bytes()).into_owned();
    assert!(kept.contains("sweet ‹UPLOAD_TOKEN›"), "{kept}");
    assert!(!kept.contains("hunter2") && !kept.contains("aHVudGVyMi") && !kept.contains("of-nobody-here"));
}

#[test]
fn what_succeeds_only_at_a_second_attempt_is_flaky_and_not_kept() {
    let stage = Stage::new(
        "[ci.tasks.lint]\nretries = 1\ncommand = [\"/bin/sh\", \"-c\", \"test -e ran && rm ran || { touch ran; exit 1; }\"]\n",
    );
    for _ in 0..2 {
        let answer = stage.run(&["ci", "run", "api", "--json", "--junit", "../junit.xml"]);
        assert_eq!((answer.code, &answer.json()["jobs"][0]["flaky"]), (0, &serde_json::Value::Bool(true)));
        assert!(stage.read("junit.xml").contains("<flakyFailure"));
    }
    assert_eq!(stage.kept("trusted").len(), 0);
    let undeclared = "[ci.tasks.lint]\ncommand = [\"/bin/sh\", \"-c\", \"echo once >> ran; exit 1\"]\n";
    let stage = Stage::new(undeclared);
    assert_eq!(stage.run(&["ci", "run", "api", "--json"]).outcomes(), ["api lint failed"]);
    assert_eq!(stage.read("shop/apps/api/ran"), "once\n", "tried again only where that is declared");
}

#[test]
fn a_task_that_changes_its_own_files_is_not_kept() {
    let stage = Stage::new("[ci.tasks.lint]\ncommand = [\"/bin/sh\", \"-c\", \"echo 2 > index.js\"]\n");
    assert_eq!(stage.run(&["ci", "run", "api", "--json"]).outcomes(), ["api lint succeeded"]);
    assert_eq!(stage.kept("trusted").len(), 0);
}

#[test]
fn a_circle_of_builds_is_refused() {
    let stage = Stage::new(BUILD);
    stage.write("shop/packages/ui/package.json", r#"{"name": "ui", "dependencies": {"web": "*"}}"#);
    let answer = stage.run(&["ci", "run", "web"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("apps/web build → packages/ui build → apps/web build"), "{answer:?}");
}

#[test]
fn what_cannot_be_run_says_so() {
    let stage = Stage::new("[ci.tasks.lint]\ncommand = [\"no-such-program\"]\n");
    let answer = stage.run(&["ci", "run", "api", "--only", "lint", "--json"]);
    assert!(answer.json()["jobs"][0]["why"].as_str().unwrap().contains("there is no program `no-such-program`"));
    assert_eq!(stage.run(&["ci", "run", "api", "--only", "tset"]).code, 2);
    assert_eq!(stage.run(&["ci", "run", "nobody"]).code, 2);
    assert_eq!(stage.run(&["ci", "run", "api", "--only", "test"]).code, 2, "nothing to run is no success");
}
