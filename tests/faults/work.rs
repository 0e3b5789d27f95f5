//! Builds and installs that fail, and what the manifest names but the disk does not have.

use crate::stage::Stage;

#[test]
fn a_build_that_fails_is_told_with_its_last_lines() {
    let stage = Stage::new();
    stage.write("web/build.sh", "echo compiling\necho 'server.ts:3: no such type' >&2\nexit 4\n");
    stage.roadbed("up --detach --no-gate").refuses(
        1,
        &[
            "cannot build web",
            "ended with exit code 4",
            "server.ts:3: no such type",
            "app/web  skipped, it needs build/web",
        ],
    );
    // Nothing is remembered as built.
    stage.write("web/build.sh", "mkdir -p dist && cp server.js dist/\n");
    stage.up();
    stage.is_whole();
}

#[test]
fn a_build_that_makes_nothing_is_a_failed_one() {
    let stage = Stage::new();
    stage.write("web/build.sh", "true\n");
    stage.roadbed("up --detach --no-gate").refuses(1, &["cannot build web", "left no folder", "[apps.web.build]"]);
}

#[test]
fn a_build_reads_its_variables_and_is_made_anew_when_they_change() {
    let stage = Stage::new();
    stage.write("web/build.sh", "mkdir -p dist && cp server.js dist/ && printf %s \"$COLOUR\" > dist/colour\n");
    stage.edit(
        "[variables.SESSION_SECRET]",
        "[variables.COLOUR]\ndescription = \"x\"\napps = [\"web\"]\nclass = \"public\"\nowner = \"team\"\n\
         phase = \"build\"\nvalue = \"red\"\n\n[variables.SESSION_SECRET]",
    );
    let built = || std::fs::read_to_string(stage.project.join("web/dist/colour")).unwrap();
    stage.up();
    assert_eq!(built(), "red");
    stage.edit("value = \"red\"", "value = \"blue\"");
    stage.up().says(&["build/web: build"]);
    assert_eq!(built(), "blue");
}

#[test]
fn a_build_takes_from_the_shell_what_it_declares_and_nothing_of_that_is_kept() {
    let stage = Stage::new();
    stage.write("web/build.sh", "mkdir -p dist && cp server.js dist/ && env > dist/given\n");
    stage.edit(
        "[variables.SESSION_SECRET]",
        "[variables.UPLOAD_TOKEN]\ndescription = \"x\"\napps = [\"web\"]\nclass = \"secret\"\nowner = \"team\"\n\
         phase = \"build\"\nsource = \"ci\"\nmatch = \"upload-[a-z]+\"\n\n[variables.SESSION_SECRET]",
    );
    let up = "up --detach --no-gate";
    stage.roadbed(up).refuses(1, &["cannot build web: UPLOAD_TOKEN is required and not set", "export UPLOAD_TOKEN="]);
    let wrong = stage.roadbed_with(up, &[("UPLOAD_TOKEN", "another-thing")]);
    wrong.refuses(1, &["cannot build web: UPLOAD_TOKEN must match upload-[a-z]+"]);
    let shell = [("UPLOAD_TOKEN", "upload-onlyforthebuild"), ("OTHER_TOKEN", "of the shell")];
    stage.roadbed_with(up, &shell).exits(0);
    let given = std::fs::read_to_string(stage.project.join("web/dist/given")).unwrap();
    assert!(given.contains("UPLOAD_TOKEN=upload-onlyforthebuild\n"), "{given}");
    assert!(!given.contains("OTHER_TOKEN"), "{given}");
    // It is no input: what is built is there, and no later `up` needs it.
    stage.up();
    let kept = std::process::Command::new("grep").args(["-rl", "upload-onlyforthebuild"]).arg(&stage.root).output();
    assert_eq!(String::from_utf8_lossy(&kept.unwrap().stdout), "", "it is kept somewhere in the root");
}

#[test]
fn a_missing_app_folder_is_a_fault_of_the_manifest_with_its_place() {
    let stage = Stage::new();
    stage.edit("path = \"web\"", "path = \"wbe\"");
    for command in ["manifest check", "up --detach", "plan"] {
        stage.roadbed(command).refuses(2, &["roadbed.toml:22:8", "wbe"]);
    }
    assert!(!stage.root.exists(), "a faulty manifest leaves no trace");
}

#[test]
fn a_folder_that_goes_while_the_environment_is_up_is_told_by_the_next_up() {
    let stage = Stage::new();
    stage.up();
    std::fs::rename(stage.project.join("web"), stage.project.join("away")).unwrap();
    stage.roadbed("up --detach").refuses(2, &["roadbed.toml:22:8"]);
    // What runs goes on.
    assert_eq!(stage.unit("web-1").unwrap()["state"], "running");
}

#[test]
fn a_missing_start_file_is_told_in_node_s_own_words() {
    let stage = Stage::new();
    stage.edit("dist/server.js", "dist/main.js");
    stage
        .roadbed("up --detach --no-gate")
        .refuses(1, &["cannot start web", "Cannot find module", "dist/main.js", "exit code 1"]);
}

#[test]
fn a_program_that_is_not_installed_is_told_by_name() {
    let stage = Stage::new();
    stage.edit("start = [\"node\"", "start = [\"deno\"");
    stage.roadbed("up --detach --no-gate").refuses(1, &["cannot find the program `deno`", "PATH"]);

    let stage = Stage::new();
    stage.edit("command = [\"sh\"", "command = [\"bun\"");
    stage.roadbed("up --detach --no-gate").refuses(1, &["cannot find the program `bun`", "build/web"]);
}

#[test]
fn a_machine_without_node_is_told_what_to_install() {
    let mut stage = Stage::fresh();
    // A PATH that has a shell and nothing else.
    let bin = stage.home.join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).unwrap();
    stage.env.insert("PATH".into(), bin.display().to_string());
    stage
        .roadbed("up --detach --no-gate")
        .refuses(1, &["cannot find the program `npm`", "install Node.js 20.19 or later"]);
}

#[test]
fn a_missing_lock_file_is_told_with_the_way_to_make_one() {
    let stage = Stage::fresh();
    std::fs::remove_file(stage.project.join("package-lock.json")).unwrap();
    // The manifest names it, so that is known before anything is begun.
    stage.roadbed("up --detach --no-gate").refuses(2, &["roadbed.toml:5:33", "package-lock.json"]);
    stage.edit(", \"package-lock.json\"", "");
    stage.roadbed("up --detach --no-gate").refuses(1, &["package-lock.json", "npm install"]);
}

#[test]
fn an_install_that_fails_is_told_with_npm_s_last_lines() {
    let stage = Stage::fresh();
    // Asks for what the lock file does not have.
    let package = r#"{ "name": "tiny", "version": "1.0.0", "private": true, "dependencies": { "left-pad": "1.3.0" } }"#;
    stage.write("package.json", package);
    stage.roadbed("up --detach --no-gate").refuses(1, &["cannot install the packages", "npm ci", "Missing: left-pad"]);
    // It is tried again, not taken for installed.
    stage.roadbed("up --detach --no-gate").refuses(1, &["cannot install the packages"]);
}

#[test]
fn a_lock_file_that_is_cut_off_is_no_installed_one() {
    let stage = Stage::fresh();
    stage.write("package-lock.json", "{ \"name\": \"tiny\", \"lockf");
    stage.roadbed("up --detach --no-gate").refuses(1, &["cannot install the packages"]);
}
