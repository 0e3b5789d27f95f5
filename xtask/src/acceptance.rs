//! `cargo xtask acceptance`: the gate of a clean clone, and a report that holds the requirements against what its tests said.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

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
    (
        "T13",
        "a restore brings a sample of the data back",
        &[("live", "backups::"), ("live", "recovery::"), ("live", "power::")],
    ),
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

/// Of each test that ran, by target and name, whether it passed the last time.
type Ran = BTreeMap<(String, String), bool>;

/// How many tests prove a task, or why it is not proved.
type Outcome = Result<usize, String>;

/// Runs the gate in a clean clone, and writes the report of what it said.
pub(crate) fn run(report: &Path) -> ExitCode {
    let folder = xtask::repository().join("target/acceptance");
    let output = folder.join("output.txt");
    let clean = folder.join("clone");
    let (holds, ran) = match clone(&clean).and_then(|()| gate(&clean, &output)) {
        Ok(ran) => ran,
        Err(why) => {
            eprintln!("nothing was proved: {why}");
            return ExitCode::FAILURE;
        }
    };
    let outcomes: Vec<Outcome> = TASKS.iter().map(|(_, _, proofs)| proved(&ran, proofs)).collect();
    if let Err(error) = std::fs::write(report, markdown(&outcomes, &commit(&clean), holds)) {
        eprintln!("cannot write {}: {error}", report.display());
        return ExitCode::FAILURE;
    }
    eprintln!("the report is in {}, what the tests said in {}", report.display(), output.display());
    if holds && outcomes.iter().all(Result::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was committed, and nothing else.
fn clone(clone: &Path) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(clone);
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-hardlinks"]).arg(xtask::repository()).arg(clone);
    let status = git.status().map_err(|error| format!("cannot start git: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("git clone ended with {status}")) }
}

/// What was looked at, whatever was committed since.
fn commit(clone: &Path) -> String {
    let said = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(clone).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}

/// Sets up, builds and tests as the README says: whether all of it passed, and each test.
fn gate(clone: &Path, output: &Path) -> Result<(bool, Ran), String> {
    let cannot = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
    let mut kept = std::fs::File::create(output).map_err(|error| cannot("keep what is said", error))?;
    // Both in the order in which they are said.
    let (said, end) = std::io::pipe().map_err(|error| cannot("hear what is said", error))?;
    let mut gate = Command::new(clone.join(".ci/run"));
    gate.current_dir(clone).stdin(Stdio::null());
    gate.stdout(end.try_clone().map_err(|error| cannot("hear what is said", error))?).stderr(end);
    let mut running = gate.spawn().map_err(|error| cannot("start .ci/run", error))?;
    // Its own ends of the pipe: it would never be over.
    drop(gate);
    let mut heard = Heard::default();
    for line in BufReader::new(said).split(b'\n') {
        let line = line.map_err(|error| cannot("hear what is said", error))?;
        kept.write_all(&[line.as_slice(), b"\n"].concat()).map_err(|error| cannot("keep what is said", error))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        // How far it is, and what fails, for whoever waits an hour for it.
        if line.trim_start().starts_with("Running ") || line.contains("... FAILED") {
            eprintln!("{}", line.trim());
        }
        heard.hear(&line);
    }
    let status = running.wait().map_err(|error| cannot("wait for .ci/run", error))?;
    Ok((status.success(), heard.ran))
}

/// What `cargo test` says, as far as it was heard.
#[derive(Default)]
struct Heard {
    target: String,
    ran: Ran,
}

impl Heard {
    fn hear(&mut self, line: &str) {
        if line.trim_start().starts_with("Running ") {
            // …/deps/live-0123456789abcdef)
            let file = line.rsplit('/').next().and_then(|file| file.rsplit_once('-'));
            self.target = file.map(|(name, _)| name.to_owned()).unwrap_or_default();
            return;
        }
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) else {
            return;
        };
        if let "ok" | "FAILED" = outcome {
            self.ran.insert((self.target.clone(), name.to_owned()), outcome == "ok");
        }
    }
}

/// How many tests passed that prove it. A name that matches no test proves nothing.
fn proved(ran: &Ran, proofs: &[Proof]) -> Outcome {
    if proofs.is_empty() {
        return Err("no test proves it".to_owned());
    }
    let mut all = 0;
    for (target, name) in proofs {
        let found = ran.iter().filter(|((of, test), _)| of == target && test.starts_with(name));
        let (passed, failed): (Vec<_>, Vec<_>) = found.partition(|(_, passed)| **passed);
        if let Some(((_, test), _)) = failed.first() {
            return Err(format!("{target} {test} failed"));
        }
        if passed.is_empty() {
            return Err(format!("no test of {target} is called {name}"));
        }
        all += passed.len();
    }
    Ok(all)
}

fn markdown(outcomes: &[Outcome], commit: &str, holds: bool) -> String {
    let holding = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let all = if holds { "All of its tests passed." } else { "Not all of its tests passed." };
    let mut text = format!("# Acceptance of {commit}\n\n{holding} of {} tasks are proved. {all}\n\n", TASKS.len());
    text += "| task | shall be seen | proved |\n| --- | --- | --- |\n";
    for ((task, what, _), outcome) in TASKS.iter().zip(outcomes) {
        let outcome = match outcome {
            Ok(1) => "✓ by a test".to_owned(),
            Ok(tests) => format!("✓ by {tests} tests"),
            Err(why) => format!("✗ {}", why.replace('|', "\\|").replace('\n', " ")),
        };
        let _ = writeln!(text, "| {task} | {what} | {outcome} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Ran {
        let mut heard = Heard::default();
        lines.iter().for_each(|line| heard.hear(line));
        heard.ran
    }

    #[test]
    fn a_name_that_no_test_has_proves_nothing_and_neither_does_a_task_without_one() {
        let ran = heard(&[
            "     Running ../../tests/live/main.rs (/root/target/debug/deps/live-0123456789abcdef)",
            "test drill::one ... ok",
            "test drill::two has been running for over 60 seconds",
            "test drill::two ... ok",
            "test storm::all ... FAILED",
        ]);
        assert_eq!(proved(&ran, &[("live", "drill::")]), Ok(2));
        assert!(proved(&ran, &[("live", "drill::"), ("live", "nothing::")]).is_err());
        assert!(proved(&ran, &[("faults", "drill::")]).is_err());
        assert!(proved(&ran, &[("live", "storm::")]).is_err());
        assert!(proved(&ran, &[]).is_err());
    }

    #[test]
    fn what_passed_alone_the_second_time_passed() {
        let running = "Running ../../tests/live/main.rs (/root/target/debug/deps/live-0123456789abcdef)";
        let ran = heard(&[running, "test storm::all ... FAILED", running, "test storm::all ... ok"]);
        assert_eq!(proved(&ran, &[("live", "storm::all")]), Ok(1));
    }

    #[test]
    fn there_are_fifteen_tasks_and_each_is_in_the_report() {
        let outcomes: Vec<Outcome> = TASKS.iter().map(|_| Err("a | b".into())).collect();
        let text = markdown(&outcomes, "0123456", false);
        assert_eq!(TASKS.len(), 15);
        for (number, (task, ..)) in TASKS.iter().enumerate() {
            assert_eq!(*task, format!("T{}", number + 1));
            assert!(text.contains(&format!("| {task} |")), "{text}");
        }
        assert!(text.contains("0 of 15") && text.contains("a \\| b"));
    }
}
