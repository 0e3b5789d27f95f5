//! Secrets that apps and builds say aloud.

use crate::stage::Stage;

#[test]
fn an_app_that_logs_its_secret_is_heard_without_it() {
    let stage = Stage::new();
    stage.server(
        "const say = process.env.SESSION_SECRET;\n\
         console.log('raw', say, 'base64', Buffer.from(say).toString('base64'), 'hex', Buffer.from(say).toString('hex'));\n\
         console.error(JSON.stringify({ url: `redis://app:${encodeURIComponent(say)}@cache/` }));\n\
         require('node:http').createServer((_, answer) => answer.end('ok')).listen(process.env.PORT, process.env.HOST);\n",
    );
    stage.up();
    let told = stage.roadbed("logs web").exits(0).out.join("\n");
    assert!(told.contains("raw ‹SESSION_SECRET@1› base64 ‹SESSION_SECRET@1›"), "{told}");
    assert!(told.contains("redis://app:‹SESSION_SECRET@1›@cache/"), "{told}");
    let pid = stage.pid_of("web-1").expect("it runs");
    let secret = host::process::table::environment(pid)["SESSION_SECRET"].clone();
    let log = std::fs::read_to_string(stage.root.join("logs/web-1.log")).unwrap();
    assert!(!log.contains(&secret) && !told.contains(&secret));
}

#[test]
fn a_build_that_says_what_it_was_given_is_heard_without_it() {
    let stage = Stage::new();
    stage.write("web/build.sh", "echo \"uploading with $UPLOAD_TOKEN\"; exit 1\n");
    stage.edit(
        "[variables.SESSION_SECRET]",
        "[variables.UPLOAD_TOKEN]\ndescription = \"x\"\napps = [\"web\"]\nclass = \"secret\"\nowner = \"team\"\n\
         phase = \"build\"\nsource = \"ci\"\n\n[variables.SESSION_SECRET]",
    );
    let answer = stage.roadbed_with("up --detach --no-gate", &[("UPLOAD_TOKEN", "upload-onlyforthebuild")]);
    let answer = answer.refuses(1, &["cannot build web", "uploading with ‹UPLOAD_TOKEN›"]);
    assert!(![answer.out, answer.err].concat().join("\n").contains("onlyforthebuild"));
}

/// What every one of these tests ends with can fail: here somebody did write it down.
#[test]
#[should_panic(expected = "a secret came up")]
fn a_test_that_leaves_a_secret_somewhere_fails() {
    let stage = Stage::new();
    stage.up();
    let pid = stage.pid_of("web-1").expect("it runs");
    let secret = host::process::table::environment(pid)["SESSION_SECRET"].clone();
    std::fs::write(stage.home.join("notes.txt"), format!("do not forget: {secret}")).unwrap();
}
