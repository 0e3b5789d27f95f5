//! The workflows that the manifest makes: what tools that know them say, and what happens when they run.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::runner::Runner;
use crate::stage::Stage;
use crate::tools;

/// Tasks note that they ran; `test` fails where a file says so.
fn pipeline(stage_folder: &Path) -> String {
    let ran = stage_folder.join("ran");
    let note = |task: &str| format!("echo $(basename $PWD) {task} >> {}", ran.display());
    format!(
        "[ci.tasks.lint]\ncommand = [\"/bin/sh\", \"-c\", \"{}\"]\n\
         [ci.tasks.test]\ncommand = [\"/bin/sh\", \"-c\", \"{}; echo 3 passing; ! grep -q broken index.js\"]\n\
         [ci.tasks.build]\ncommand = [\"/bin/sh\", \"-c\", \"mkdir -p dist; cp index.js dist/index.html\"]\n",
        note("lint"),
        note("test"),
    )
}

/// A workspace with workflows, whose `main` has them.
fn staged() -> Stage {
    let stage = Stage::new("");
    stage.git(&["checkout", "--quiet", "main"]);
    let manifest = stage.read("shop/roadbed.toml");
    let manifest = manifest.replace("[branches]\n", "[branches]\ndevelop = \"staging\"\n")
        + "[environments.staging]\ndomain = \"staging.shop.example\"\n\
           [environments.preview]\nper = \"pull-request\"\ndomain = \"pr-{pr}.shop.example\"\n\
           [ci.workflows]\npromote.production = \"staging\"\npreviews = [\"self-hosted\"]\n"
        + &pipeline(&stage.path(""));
    stage.write("shop/roadbed.toml", &manifest);
    assert_eq!(stage.run(&["generate"]).code, 0);
    stage.commit();
    stage.git(&["checkout", "--quiet", "-B", "change"]);
    stage
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Every way to have the program is another text.
#[test]
fn actionlint_and_zizmor_find_nothing_in_the_workflows() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let stage = staged();
    lint(&repository);
    lint(&stage.path("shop"));
    let digest = "0".repeat(64);
    let download = format!(
        "[ci.workflows]\nnode = \"22\"\ndownload = {{ url = \"https://shop.example/roadbed\", sha256 = \"{digest}\" }}\n"
    );
    stage.write("shop/roadbed.toml", &stage.read("shop/roadbed.toml").replace("[ci.workflows]\n", &download));
    let made = stage.run(&["generate"]);
    assert_eq!(made.code, 0, "{made:?}");
    lint(&stage.path("shop"));
    // Neither of them is content with anything.
    let path = "shop/.github/workflows/ci.yml";
    stage.write(
        path,
        &stage
            .read(path)
            .replace("needs: plan\n", "needs: plann\n")
            .replace("permissions: {}\n", "permissions: write-all\n"),
    );
    for tool in [actionlint(&stage.path("shop")), zizmor(&stage.path("shop"))] {
        assert!(!tool.status.success(), "{tool:?}");
    }
}

fn actionlint(folder: &Path) -> Output {
    Command::new("node").arg(tools::actionlint()).arg(".github/workflows/*.yml").current_dir(folder).output().unwrap()
}

fn zizmor(folder: &Path) -> Output {
    let mut zizmor = Command::new(tools::zizmor());
    zizmor.args(["--offline", "--no-progress", "--strict-collection"]).arg(folder.join(".github/workflows"));
    zizmor.output().unwrap()
}

#[track_caller]
fn lint(folder: &Path) {
    let files = fs::read_dir(folder.join(".github/workflows")).unwrap().count();
    assert_eq!(files, 4);
    let lint = actionlint(folder);
    let said = String::from_utf8_lossy(&lint.stdout);
    assert!(lint.status.success() && said.contains("4 workflow file"), "{folder:?}: {said}\n{lint:?}");
    let audit = zizmor(folder);
    let said = [audit.stdout, audit.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    assert!(audit.status.success(), "{folder:?}: {said}");
}

#[test]
fn a_change_to_one_app_runs_that_app_only_and_what_fails_or_is_left_out_is_red() {
    let stage = staged();
    let runner = Runner::new(&stage);

    let nothing = runner.pull_request();
    assert!(nothing.is_green(), "{nothing:?}");
    assert_eq!(
        (nothing.job("required"), nothing.job("api"), stage.read("ran")),
        (Some(true), None, String::new()),
        "{nothing:?}"
    );
    nothing.says("check was skipped, as the plan says");

    stage.write("shop/apps/api/index.js", "2\n");
    stage.commit();
    let one = runner.pull_request();
    assert!(one.is_green(), "{one:?}");
    assert_eq!(lines(&stage.read("ran")), ["api lint", "api test"]);
    assert_eq!((one.job("required"), one.job("Deploy to staging")), (Some(true), None), "{one:?}");

    stage.write("shop/apps/web/index.js", "broken\n");
    stage.commit();
    let failed = runner.pull_request();
    assert!(!failed.is_green() && failed.job("required") == Some(false), "{failed:?}");
    failed.says("check failed");

    // Somebody makes the workflow pass by leaving the check out.
    let workflow = stage.read("shop/.github/workflows/ci.yml");
    let left_out = workflow.replace("if: fromJSON(needs.plan.outputs.plan || '{}').jobs.check", "if: false");
    assert_ne!(left_out, workflow);
    stage.write("shop/.github/workflows/ci.yml", &left_out);
    stage.commit();
    let drifted = runner.pull_request();
    assert!(
        !drifted.is_green() && drifted.job("Plan") == Some(false) && drifted.job("required") == Some(false),
        "{drifted:?}"
    );
    drifted.says("not as the manifest makes them");
    let unseen = left_out.replace("run: roadbed generate --check", "run: 'true'");
    stage.write("shop/.github/workflows/ci.yml", &unseen);
    stage.commit();
    let skipped = runner.pull_request();
    assert!(
        !skipped.is_green() && skipped.job("Plan") == Some(true) && skipped.job("required") == Some(false),
        "{skipped:?}"
    );
    skipped.says("check was skipped, and the plan says that it runs");
}
