//! Workflows for GitHub Actions, made from the manifest. Pure: the same manifest makes the same files.
//!
//! ```text
//!   ci.yml                plan ─► check, one job per affected package ─► required ─► deploy-E.yml, where E builds
//!                           └───► release, what is deployed ───────────────┘              │ kept by its content
//!   deploy-F.yml          find what E deployed of this content ◄──────────────────────────┘ ─► deploy, where F is promoted to
//!   preview.yml           the preview of a pull request, up and down
//! ```
//!
//! They hold no decision: what is run is what `roadbed ci plan` says, and whether it was run is what `roadbed ci verdict` says.

mod deployment;
mod integration;
mod preview;
mod steps;

use manifest::{GeneratedFile, Workflows};

/// Where GitHub looks for them.
const FOLDER: &str = ".github/workflows";

/// The job, and the workflow, that deploys to an environment.
fn deploy_job(environment: &str) -> String {
    format!("deploy-{environment}")
}

/// All of them.
pub fn files(workflows: &Workflows) -> Vec<GeneratedFile> {
    let file = |name: &str, text: String| GeneratedFile { path: format!("{FOLDER}/{name}.yml"), text };
    let mut files = vec![file("ci", integration::text(workflows))];
    for deployed in &workflows.deployed {
        files.push(file(&deploy_job(&deployed.environment), deployment::text(workflows, deployed)));
    }
    if !workflows.previews.is_empty() {
        files.push(file("preview", preview::text(workflows)));
    }
    files
}

/// A template with its places filled in: `<name>` stands for a value. GitHub's own `${{ … }}` is left alone.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
}

#[cfg(test)]
mod tests {
    use manifest::{DeployedBranch, Program};

    use super::*;

    fn of(program: Program) -> Vec<GeneratedFile> {
        let branch = |branch: &str, environment: &str, from: Option<(&str, &str)>| DeployedBranch {
            branch: branch.to_owned(),
            environment: environment.to_owned(),
            from: from.map(|(environment, branch)| (environment.to_owned(), branch.to_owned())),
        };
        files(&Workflows {
            runner: "ubuntu-24.04".to_owned(),
            program,
            node: Some("22".to_owned()),
            previews: vec!["self-hosted".to_owned(), "previews".to_owned()],
            deployed: vec![
                branch("develop", "staging", None),
                branch("main", "production", Some(("staging", "develop"))),
            ],
            task_secrets: ["UPLOAD_TOKEN".to_owned()].into(),
            build_secrets: ["SOURCE_MAPS_TOKEN".to_owned()].into(),
        })
    }

    /// Three ways to have the program.
    fn programs() -> [Program; 3] {
        let url = "https://downloads.shop.example/roadbed".to_owned();
        [Program::Runner, Program::Source, Program::Download { url, sha256: "0".repeat(64) }]
    }

    /// Each `- uses:` or `uses:` with what it names.
    fn actions(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
    }

    #[test]
    fn every_place_is_filled_in_and_lines_end_where_they_should() {
        for file in programs().into_iter().flat_map(of) {
            let text = &file.text;
            let open = text.lines().find(|line| {
                line.find('<').is_some_and(|at| line[at + 1..].starts_with(|c: char| c.is_ascii_lowercase()))
            });
            assert_eq!(open, None, "{}", file.path);
            assert!(text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains("\n\n\n"), "{text}");
            assert_eq!(text.lines().find(|line| line.ends_with(' ') || line.contains('\t')), None, "{}", file.path);
        }
    }

    #[test]
    fn every_action_is_pinned_to_a_commit_and_says_its_version() {
        for file in programs().into_iter().flat_map(of) {
            for action in actions(&file.text).filter(|action| !action.starts_with("./")) {
                let (_, pin) = action.split_once('@').unwrap();
                let (commit, version) = pin.split_once(" # v").unwrap();
                assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
                assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{action}");
            }
        }
    }

    #[test]
    fn every_job_has_a_deadline_and_says_what_it_may() {
        for file in programs().into_iter().flat_map(of) {
            let text = &file.text;
            assert!(text.contains("\npermissions: {}\n"), "{}", file.path);
            let (_, jobs) = text.split_once("\njobs:\n").unwrap();
            let called = jobs.matches("\n    uses: ./").count();
            let runs = jobs.matches("\n    runs-on: ").count();
            assert_eq!(jobs.matches("\n    timeout-minutes: ").count(), runs, "{}", file.path);
            assert_eq!(jobs.matches("\n    permissions:").count(), runs + called, "{}", file.path);
            assert_eq!(
                text.matches("actions/checkout@").count(),
                text.matches("persist-credentials: false").count(),
                "{}",
                file.path
            );
            assert!(!text.contains("pull_request_target") && !text.contains("workflow_run:"), "{}", file.path);
        }
    }

    #[test]
    fn only_what_deploys_may_ask_for_a_token_of_identity() {
        for file in programs().into_iter().flat_map(of) {
            let mut job = "";
            for line in file.text.lines() {
                if line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':') {
                    job = line.trim().trim_end_matches(':');
                }
                if line.contains("id-token: write") {
                    assert!(job.starts_with("deploy"), "{} {job}", file.path);
                }
            }
        }
    }

    #[test]
    fn secrets_are_given_to_the_step_that_wants_them_alone() {
        for file in programs().into_iter().flat_map(of) {
            let step = |name: &str| {
                let found = file.text.split_once(&format!("- name: {name}\n"));
                found.map_or("", |(_, rest)| rest.split("      - name: ").next().unwrap())
            };
            let all = file.text.matches("secrets.").count();
            let expected = if file.path.ends_with("/ci.yml") { 2 } else { 0 };
            assert_eq!(all, expected, "{}", file.path);
            if expected > 0 {
                let given =
                    |step: &str, name: &str| step.contains(&format!("\n          {name}: ${{{{ secrets.{name} }}}}\n"));
                assert!(given(step("Lint, check, test and build"), "UPLOAD_TOKEN"), "{}", file.text);
                assert!(given(step("Build and pack"), "SOURCE_MAPS_TOKEN"), "{}", file.text);
            }
        }
    }

    #[test]
    fn deployments_and_previews_come_one_after_the_other_and_are_never_stopped_half_way() {
        for file in programs().into_iter().flat_map(of) {
            let stops = file.text.lines().filter_map(|line| line.trim().strip_prefix("cancel-in-progress: "));
            let stops: Vec<&str> = stops.collect();
            match file.path.ends_with("/ci.yml") {
                true => assert_eq!(stops, ["${{ github.event_name == 'pull_request' }}"]),
                false => assert_eq!(stops, ["false"], "{}", file.path),
            }
        }
    }

    #[test]
    fn what_strangers_say_is_in_no_script() {
        for file in programs().into_iter().flat_map(of) {
            let mut script: Option<usize> = None;
            for line in file.text.lines() {
                let depth = line.len() - line.trim_start().len();
                script = script.filter(|of| line.is_empty() || depth > *of);
                // A step's; a job may have an output of that name.
                if let Some(text) = line.trim_start().strip_prefix("run: ").filter(|_| depth == 8) {
                    assert!(!text.contains("${{"), "{}: {line}", file.path);
                    script = (text == "|").then_some(depth);
                } else if script.is_some() {
                    assert!(!line.contains("${{"), "{}: {line}", file.path);
                }
            }
        }
    }
}
