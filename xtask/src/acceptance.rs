//! `cargo xtask acceptance`: the requirements one by one, each proved by tests of a clean clone, and a report of it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// A test, by its target and its whole name.
type Proof = (&'static str, &'static str);

/// A task of the requirements: its number, what shall be seen, and the tests that see it.
const TASKS: &[(&str, &str, &[Proof])] = &[
    (
        "T1",
        "every required variable in code has a documented source and owner",
        &[("live", "environments::a_payment_key_that_is_missing_is_named_with_its_owner_and_the_way_to_set_it")],
    ),
    ("T2", "the deployment target is inferred from the branch alone", &[("cli", "")]),
    (
        "T3",
        "staging's credentials cannot get at production's data",
        &[("live", "environments::all_four_environments_are_up_at_once_and_none_gets_into_another")],
    ),
    ("T4", "Redis answers the API's health check in each environment", &[("live", "drill::")]),
    (
        "T5",
        "all three apps are reachable",
        &[("live", "first_hour::one_command_gives_three_addresses_and_a_gate_that_holds")],
    ),
    ("T6", "HTTP leads to HTTPS, and certificates renew themselves", &[("faults", "certificates::")]),
    ("T7", "no secret is in history or logs; keys are rotated", &[("live", "rotation::"), ("live", "secrecy::")]),
    ("T8", "a pull request whose checks fail is not merged", &[("ci", "merge_gate::"), ("ci", "workflows::")]),
    (
        "T9",
        "a failed look fails the deployment",
        &[("ci", "deploys::"), ("faults", "deployments::a_release_that_is_broken_is_seen_by_nobody")],
    ),
    ("T10", "a deployment to production is approved and says what it is of", &[("live", "pushes::")]),
    ("T11", "a forced error is shown, with its environment", &[("faults", "found_again::"), ("live", "console::")]),
    ("T12", "a burst is throttled", &[("faults", "limits::")]),
    ("T13", "a restore brings a sample of the data back", &[("live", "backups::")]),
    (
        "T14",
        "a rollback is rehearsed and done without a question, by the runbook alone",
        &[
            ("faults", "runbook::"),
            ("faults", "deployments::a_release_goes_live_beside_the_one_before_and_one_can_go_back_at_once"),
        ],
    ),
    (
        "T15",
        "each team can work, and each promise of the gate is seen to break",
        &[("live", "sabotage::"), ("faults", "runbook::a_team_is_told")],
    ),
];

/// What became of a task.
struct Proved {
    outcome: Result<usize, String>,
    took: Duration,
}

/// Proves all of it, and writes the report as it goes.
pub(crate) fn run(report: &Path) -> ExitCode {
    let clone = match clone() {
        Ok(clone) => clone,
        Err(why) => {
            eprintln!("there is no clean clone: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut proved = Vec::new();
    for (task, what, proofs) in TASKS {
        eprintln!("{task}: {what}");
        let begun = Instant::now();
        let outcome = prove(&clone, proofs);
        proved.push(Proved { outcome, took: begun.elapsed() });
        let text = markdown(&proved);
        if let Err(error) = std::fs::write(report, text) {
            eprintln!("cannot write {}: {error}", report.display());
            return ExitCode::FAILURE;
        }
    }
    eprintln!("the report is in {}", report.display());
    if proved.iter().all(|task| task.outcome.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was committed, and nothing else: set up as a newcomer does.
fn clone() -> Result<PathBuf, String> {
    let folder = xtask::repository().join("target/acceptance");
    let clone = folder.join("clone");
    let _ = std::fs::remove_dir_all(&clone);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-hardlinks"]).arg(xtask::repository()).arg(&clone);
    succeeds(git)?;
    let mut setup = Command::new("./setup");
    setup.current_dir(&clone);
    succeeds(setup)?;
    Ok(clone)
}

fn succeeds(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

/// How many tests ran. A name that matches no test proves nothing.
fn prove(clone: &Path, proofs: &[Proof]) -> Result<usize, String> {
    if proofs.is_empty() {
        return Err("no test proves it".to_owned());
    }
    let mut all = 0;
    for (target, name) in proofs {
        let output = Command::new("cargo")
            .args(["test", "--quiet", "--package", "roadbed", "--test", target, name])
            .current_dir(clone)
            .output()
            .map_err(|error| format!("cannot start cargo: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let ran = passed(&said);
        match (output.status.success(), ran) {
            (true, 1..) => all += ran,
            (true, 0) => return Err(format!("no test of {target} is called {name}")),
            (false, _) => {
                let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("---- ")).collect();
                return Err(format!("{target} {name}: {}", failed.join(", ")));
            }
        }
    }
    Ok(all)
}

/// Of `test result: ok. 3 passed; 0 failed; …`.
fn passed(said: &str) -> usize {
    let counts = said
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok());
    counts.sum()
}

fn markdown(proved: &[Proved]) -> String {
    let holding = proved.iter().filter(|task| task.outcome.is_ok()).count();
    let mut text = format!("# Acceptance\n\n{holding} of {} tasks are proved.\n\n", TASKS.len());
    text += "| task | shall be seen | proved | took |\n| --- | --- | --- | ---: |\n";
    for ((task, what, _), Proved { outcome, took }) in TASKS.iter().zip(proved) {
        let outcome = match outcome {
            Ok(1) => "✓ by a test".to_owned(),
            Ok(tests) => format!("✓ by {tests} tests"),
            Err(why) => format!("✗ {}", why.replace('|', "\\|").replace('\n', " ")),
        };
        let _ = writeln!(text, "| {task} | {what} | {outcome} | {} s |", took.as_secs());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_test_has_proves_nothing_and_neither_does_a_task_without_one() {
        assert_eq!(passed("running 3 tests\n...\ntest result: ok. 3 passed; 0 failed; 0 ignored\n"), 3);
        assert_eq!(passed("test result: ok. 0 passed; 0 failed; 12 filtered out\n"), 0);
        assert_eq!(passed("test result: FAILED. 1 passed; 1 failed\n"), 0);
        assert!(prove(Path::new("/"), &[]).is_err());
    }

    #[test]
    fn there_are_fifteen_tasks_and_each_is_in_the_report() {
        let proved: Vec<Proved> =
            TASKS.iter().map(|_| Proved { outcome: Err("a | b".into()), took: Duration::ZERO }).collect();
        let text = markdown(&proved);
        assert_eq!(TASKS.len(), 15);
        for (number, (task, ..)) in TASKS.iter().enumerate() {
            assert_eq!(*task, format!("T{}", number + 1));
            assert!(text.contains(&format!("| {task} |")), "{text}");
        }
        assert!(text.contains("0 of 15") && text.contains("a \\| b"));
    }
}
