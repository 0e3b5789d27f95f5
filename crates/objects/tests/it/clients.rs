//! Clients that others wrote.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use crate::stand::{Stand, content};

const BOTO: &str = "boto3==1.44.8";

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn boto3_gets_what_it_may_and_is_refused_the_rest() {
    let stand = Stand::new();
    let output = Command::new("python3")
        .arg(script("negative.py"))
        .env("PYTHONPATH", testkit::tools::of_python(BOTO))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ENDPOINT", stand.endpoint())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(!stand.folder.path().join("other").exists() && stand.store.usage("other").unwrap().objects == 1);
}

const JAVASCRIPT: [&str; 2] = ["@aws-sdk/client-s3@3.1175.0", "@aws-sdk/s3-request-presigner@3.1169.0"];

#[test]
fn the_sdk_of_javascript_puts_gets_streams_and_signs_addresses() {
    let stand = Stand::new();
    let output = Command::new("node")
        .arg(script("sdk.mjs"))
        .env("PACKAGES", testkit::tools::of_npm(&JAVASCRIPT))
        .env("ENDPOINT", stand.endpoint())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(stand.store.usage("media").unwrap().objects, 0);
}

/// So many small files; `OBJECTS_FILES=10000` for as many as a shop has.
fn files() -> u64 {
    std::env::var("OBJECTS_FILES").map_or(2_000, |files| files.parse().unwrap())
}

fn rclone(stand: &Stand, arguments: &[&str]) -> Output {
    let output = Command::new("rclone")
        .args(["--config", "/dev/null", "--transfers", "16", "--checkers", "32", "--retries", "1"])
        .args(arguments)
        // Of this transport it cannot use what a machine says about authorities.
        .env_remove("AWS_CA_BUNDLE")
        .env("RCLONE_CONFIG_HERE_TYPE", "s3")
        .env("RCLONE_CONFIG_HERE_PROVIDER", "Other")
        .env("RCLONE_CONFIG_HERE_ENDPOINT", stand.endpoint())
        .env("RCLONE_CONFIG_HERE_REGION", "eu-here-1")
        .env("RCLONE_CONFIG_HERE_ACCESS_KEY_ID", "MEDIA")
        .env("RCLONE_CONFIG_HERE_SECRET_ACCESS_KEY", "media-alone")
        .output()
        .expect("rclone is there: `./setup` installs it");
    assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    output
}

fn sums(folder: &Path) -> Vec<(String, String)> {
    let mut sums = Vec::new();
    for group in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(group.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let sum = Sha256::digest(fs::read(&path).unwrap());
            sums.push((name, sum.iter().map(|byte| format!("{byte:02x}")).collect()));
        }
    }
    sums.sort();
    sums
}

#[test]
fn rclone_syncs_thousands_of_files_there_and_back() {
    let (stand, files) = (Stand::in_memory(), files());
    let place = tempfile::tempdir().unwrap();
    let (here, back) = (place.path().join("here"), place.path().join("back"));
    for number in 0..files {
        let group = here.join(format!("g {}", number % 50));
        if number < 50 {
            fs::create_dir_all(&group).unwrap();
        }
        let length = usize::try_from(number % 900).unwrap();
        fs::write(group.join(format!("f\u{e9} {number}")), content(number, length)).unwrap();
    }
    fs::write(here.join("g 0/large"), content(1, 11 << 20)).unwrap();
    let (here_text, back_text) = (here.to_str().unwrap(), back.to_str().unwrap());
    rclone(
        &stand,
        &["sync", "--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M", "--s3-no-head", here_text, "here:media/sync"],
    );
    assert_eq!(stand.store.usage("media").unwrap().objects, files + 1);
    rclone(&stand, &["sync", "here:media/sync", back_text]);
    assert_eq!(sums(&here), sums(&back));
    rclone(&stand, &["check", "--size-only", here_text, "here:media/sync"]);
    fs::remove_dir_all(here.join("g 1")).unwrap();
    rclone(&stand, &["sync", here_text, "here:media/sync"]);
    assert_eq!(stand.store.usage("media").unwrap().objects, files + 1 - files / 50);
}
