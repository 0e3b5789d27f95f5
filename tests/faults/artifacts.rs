//! What `roadbed build` makes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

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
    assert!(!first.root.join("run/keeper.sock").exists(), "a build starts nothing");

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

#[test]
fn an_artifact_is_signed_by_the_environment_that_built_it_and_says_what_it_is_of() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let stage = Stage::new();
    let artifact = built(&stage);
    let text = fs::read_to_string(path(&artifact, "provenance")).unwrap();
    let envelope: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], artifact["digest"]);
    let parameters = &statement["predicate"]["buildDefinition"]["externalParameters"];
    assert_eq!(parameters["environments"], serde_json::json!(["local", "production"]));

    // Verified as anybody would, by the key that is told.
    let pem = stage.roadbed("build --public-key").exits(0).out.join("");
    let key = pem.trim_start_matches("-----BEGIN PUBLIC KEY-----").trim_end_matches("-----END PUBLIC KEY-----");
    let key = STANDARD.decode(key).unwrap();
    let kind = envelope["payloadType"].as_str().unwrap();
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    let message = [head.as_bytes(), &payload].concat();
    let signature = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, &key[12..]);
    key.verify(&message, &signature).unwrap();

    // Another build with the same key says the same; what lost its signature is signed again.
    assert_eq!(built(&stage), artifact);
    fs::remove_file(path(&artifact, "provenance")).unwrap();
    assert_eq!(built(&stage), artifact);
    assert_eq!(fs::read_to_string(path(&artifact, "provenance")).unwrap(), text);
}

#[test]
fn an_artifact_holds_the_other_packages_of_the_project_that_its_server_needs() {
    let stage = Stage::new();
    fs::create_dir_all(stage.project.join("packages/shared/dist")).unwrap();
    stage.write(
        "packages/shared/package.json",
        r#"{ "name": "@tiny/shared", "version": "0.1.0", "main": "dist/index.js" }"#,
    );
    stage.write("packages/shared/dist/index.js", "module.exports = 1;");
    fs::create_dir_all(stage.project.join("node_modules/@tiny")).unwrap();
    std::os::unix::fs::symlink("../../packages/shared", stage.project.join("node_modules/@tiny/shared")).unwrap();
    stage.write("web/package.json", r#"{ "name": "web", "dependencies": { "@tiny/shared": "*" } }"#);
    let lock = r#"{ "name": "tiny", "lockfileVersion": 3, "packages": { "": { "workspaces": ["web", "packages/*"] },
        "web": { "dependencies": { "@tiny/shared": "*" } }, "packages/shared": { "name": "@tiny/shared", "version": "0.1.0" },
        "node_modules/@tiny/shared": { "resolved": "packages/shared", "link": true } } }"#;
    stage.write("package-lock.json", lock);
    let digest: String = Sha256::digest(lock).iter().map(|byte| format!("{byte:02x}")).collect();
    stage.write("node_modules/.roadbed-lock-digest", &digest);
    let artifact = built(&stage);
    let out = stage.home.join("out");
    fs::create_dir(&out).unwrap();
    // In the test: not every tar has zstd.
    let archive = zstd::Decoder::new(fs::File::open(path(&artifact, "archive")).unwrap()).unwrap();
    tar::Archive::new(archive).unpack(&out).unwrap();
    // As Node finds it, from where it was unpacked.
    let found = std::process::Command::new("node")
        .args(["-e", "console.log(require('@tiny/shared'))"])
        .current_dir(out.join("web"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "1\n", "{found:?}");

    stage.write(
        "packages/shared/package.json",
        r#"{ "name": "@tiny/shared", "version": "0.2.0", "main": "dist/index.js" }"#,
    );
    assert_ne!(built(&stage)["inputs"], artifact["inputs"], "it is an input of the build");
}
