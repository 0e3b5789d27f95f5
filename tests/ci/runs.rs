//! What is run, and what is taken from before.

use crate::stage::Stage;

/// Every task notes that it ran; builds make a file out of what they depend on.
const TASKS: &str = r#"
[ci.tasks.lint]
command = ["/bin/sh", "-c", "echo lint >> ran; echo linted"]
[ci.tasks.test]
command = ["/bin/sh", "-c", "echo test >> ran; echo '  3 passing'"]
[ci.tasks.build]
command = ["/bin/sh", "-c", "echo build >> ran; mkdir -p dist/sub; cat index.js ../../packages/ui/dist/sub/out 2>/dev/null > dist/sub/out; true"]
"#;

#[test]
fn a_change_to_one_app_runs_that_app_only_and_nothing_changed_is_green() {
    let stage = Stage::new(TASKS);
    let nothing = stage.run(&["ci", "run", "--json"]);
    assert_eq!((nothing.code, nothing.outcomes().len()), (0, 0), "{nothing:?}");
    stage.write("shop/apps/api/index.js", "2\n");
    let plan = stage.run(&["ci", "plan", "--json"]).json();
    assert_eq!(plan["affected"][0]["name"], "api");
    assert_eq!(plan["affected"][0]["path"], "apps/api");
    assert_eq!(plan["affected"][0]["why"][0], "1 file changed: index.js");
    assert_eq!((plan["affected"].as_array().unwrap().len(), plan["hash"].as_str().unwrap().len()), (1, 64));
    let one = stage.run(&["ci", "run", "--json"]);
    assert_eq!(one.code, 0, "{one:?}");
    assert_eq!(one.outcomes(), ["api build succeeded", "api lint succeeded", "api test succeeded"]);
    assert_eq!((stage.read("shop/apps/web/ran"), one.json()["jobs"][1]["tests"].as_u64()), (String::new(), Some(3)));
}

#[test]
fn what_was_had_before_is_not_run_again_and_its_files_are_put_back() {
    let stage = Stage::new(TASKS);
    let first = stage.run(&["ci", "run", "--all", "--json"]);
    assert_eq!((first.code, first.outcomes().len()), (0, 9), "{first:?}");
    assert_eq!(stage.read("shop/apps/web/dist/sub/out"), "1\n1\n", "ui is built before web");
    let ran = stage.read("shop/apps/web/ran");
    std::fs::remove_dir_all(stage.path("shop/apps/web/dist")).unwrap();
    stage.write("shop/packages/ui/dist/left-over", "of another build");
    let second = stage.run(&["ci", "run", "--all", "--json"]);
    assert!(second.outcomes().iter().all(|outcome| outcome.ends_with("cached")), "{second:?}");
    let sum = |answer: &crate::stage::Answer, key: &str| {
        answer.json()["jobs"].as_array().unwrap().iter().map(|job| job[key].as_u64().unwrap()).sum::<u64>()
    };
    let saved = (second.json()["saved_ms"].as_u64().unwrap(), sum(&second, "saved_ms"));
    assert_eq!(
        (saved, sum(&first, "saved_ms")),
        ((sum(&first, "took_ms"), sum(&first, "took_ms")), 0),
        "the time that they took then"
    );
    assert_eq!(stage.read("shop/apps/web/ran"), ran);
    assert_eq!(stage.read("shop/apps/web/dist/sub/out"), "1\n1\n");
    assert!(!stage.path("shop/packages/ui/dist/left-over").exists() && !stage.path("shop/.roadbed-ci").exists());
    // A change in ui builds web anew; taking it back finds both again.
    stage.write("shop/packages/ui/index.js", "9\n");
    let changed = stage.run(&["ci", "run", "--only", "build", "--json"]);
    assert_eq!(changed.outcomes(), ["ui build succeeded", "web build succeeded"]);
    assert_eq!(stage.read("shop/apps/web/dist/sub/out"), "1\n9\n");
    stage.git(&["checkout", "--quiet", "."]);
    assert!(stage.run(&["ci", "run", "web", "--json"]).outcomes().iter().all(|outcome| outcome.ends_with("cached")));
    assert_eq!(stage.read("shop/apps/web/dist/sub/out"), "1\n1\n");
    let forced = stage.run(&["ci", "run", "api", "--only", "lint", "--force", "--json"]);
    assert_eq!(forced.outcomes(), ["api lint succeeded"]);
}

#[test]
fn a_failure_stops_the_rest_unless_one_goes_on() {
    let stage = Stage::new(
        "[ci.tasks.lint]\ncommand = [\"/bin/sh\", \"-c\", \"echo src/no.ts:1:1 is bad; exit 3\"]\nin.\"packages/ui\".command = [\"/bin/sleep\", \"60\"]\n\
         [ci.tasks.test]\nneeds = [\"lint\"]\ncommand = [\"/bin/true\"]\nmin_tests = 0\n",
    );
    let stopped = stage.run(&["ci", "run", "--all", "--json", "--jobs", "3"]);
    assert_eq!(stopped.code, 1);
    let failed = stopped.json()["jobs"].as_array().unwrap().iter().filter(|job| job["outcome"] == "failed").count();
    assert!((1..=2).contains(&failed) && stopped.outcomes().contains(&"ui lint stopped".to_owned()), "{stopped:?}");
    let went_on =
        stage.run(&["ci", "run", "api", "web", "--only", "lint,test", "--json", "--keep-going", "--jobs", "1"]);
    assert_eq!(went_on.outcomes(), ["api lint failed", "api test skipped", "web lint failed", "web test skipped"]);
    let told = stage.run(&["ci", "run", "api", "--only", "lint"]);
    assert!(
        told.err.contains("api lint failed")
            && told.err.contains("exit code 3")
            && told.err.contains("src/no.ts:1:1 is bad"),
        "{told:?}"
    );
}

#[test]
fn reports_say_what_came_of_it() {
    let stage = Stage::new(
        "[ci.tasks.lint]\ncommand = [\"/bin/sh\", \"-c\", \"echo 'index.js:1:2 <bad> & \\u001b[31mred\\u001b[0m \\u0001'; exit 1\"]\n",
    );
    stage.write("shop/apps/api/index.js", "2\n");
    let words = ["ci", "run", "--junit", "junit.xml", "--sarif", "ci.sarif"];
    let answer = stage.run_with(&words, &[("GITHUB_STEP_SUMMARY", "summary.md"), ("GITHUB_ACTIONS", "true")]);
    assert_eq!(answer.code, 1);
    let junit = stage.read("shop/junit.xml");
    assert!(junit.contains("<testsuites name=\"roadbed ci\" tests=\"1\" failures=\"1\""), "{junit}");
    assert!(junit.contains("classname=\"api\" name=\"lint\"") && junit.contains("&lt;bad&gt; &amp; red"), "{junit}");
    let sarif: serde_json::Value = serde_json::from_str(&stage.read("shop/ci.sarif")).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(
        (place["artifactLocation"]["uri"].as_str(), place["region"]["startColumn"].as_u64()),
        (Some("apps/api/index.js"), Some(2))
    );
    let summary = stage.read("shop/summary.md");
    assert!(
        summary.contains("✗ 1 failed")
            && summary.contains("| api | lint | ✗ failed |")
            && summary.contains("&lt;bad&gt;"),
        "{summary}"
    );
    // What a task writes cannot speak to the runner.
    let group: Vec<&str> = answer.err.lines().skip_while(|line| !line.starts_with("::group::api lint")).collect();
    assert!(group[1].starts_with("::stop-commands::") && group.contains(&"::endgroup::"), "{answer:?}");
}
