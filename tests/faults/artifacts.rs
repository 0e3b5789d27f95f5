//! What `roadbed build` makes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::stage::Stage;

/// The one artifact that a build made.
fn built(stage: &Stage) -> Value {
    let answer = stage.roadbed("build --json").exits(0);
    let document: Value = serde_json::from_str(&answer.out.join("\n")).unwrap();
    let artifacts = document["artifacts"].as_array().unwrap();
    assert_eq!(artifacts.len(), 1, "{document}");
    artifacts[0].clone()
}

fn path(artifact: &Value, key: &str) -> PathBuf {
    PathBuf::from(artifact[key].as_str().unwrap())
}

#[test]
fn the_same_sources_make_the_same_artifact_wherever_they_lie() {
    let (first, second) = (Stage::new(), Stage::new());
    let (one, other) = (built(&first), built(&second));
    assert_eq!(one["digest"], other["digest"]);
    assert_eq!(fs::read(path(&one, "archive")).unwrap(), fs::read(path(&other, "archive")).unwrap());
    let bill: Value = serde_json::from_slice(&fs::read(path(&one, "bill_of_materials")).unwrap()).unwrap();
    assert_eq!((bill["bomFormat"].as_str(), bill["specVersion"].as_str()), (Some("CycloneDX"), Some("1.5")));
    assert!(!first.root.exists(), "a build is no environment's");

    first.server("// another one\n");
    let changed = built(&first);
    assert_ne!(changed["digest"], one["digest"]);
    assert!(path(&one, "archive").exists(), "what was built before stays: somebody may go back to it");
}

#[test]
fn what_is_packed_is_not_packed_again_and_what_a_crash_left_is() {
    let stage = Stage::new();
    let first = stage.roadbed("build").exits(0);
    assert!(first.err.iter().any(|line| line.contains("artifact/web: pack")), "{first:?}");
    let again = stage.roadbed("build").exits(0);
    assert!(!again.err.iter().any(|line| line.contains("artifact/web: pack")), "{again:?}");
    // As after a kill between archive and record.
    let artifact = built(&stage);
    fs::remove_file(Path::new(&path(&artifact, "archive")).with_extension("").with_extension("json")).unwrap();
    let mended = stage.roadbed("build").exits(0);
    assert!(mended.err.iter().any(|line| line.contains("artifact/web: pack")), "{mended:?}");
    assert_eq!(built(&stage), artifact);
}

#[test]
fn an_artifact_holds_nothing_from_outside_and_says_what_it_would_have_taken() {
    let stage = Stage::new();
    fs::write(stage.home.join("private"), "not for others").unwrap();
    let link = format!("mkdir -p dist && cp *.js dist/ && ln -sf {} dist/key\n", stage.home.join("private").display());
    stage.write("web/build.sh", &link);
    stage.roadbed("build").refuses(1, &["cannot pack web", "leads out of the artifact"]);
}

#[test]
fn an_app_that_is_no_part_of_the_lock_file_is_refused() {
    let stage = Stage::new();
    stage.write("web/package.json", "{ \"name\": \"web\", \"dependencies\": { \"left-pad\": \"1\" } }");
    stage.roadbed("build").refuses(1, &["cannot pack web", "does not know the workspace web", "npm install"]);
}
