//! What a process keeps to itself, tried in a process of its own: it cannot be taken back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::os::fd::AsRawFd;
use std::process::Command;

const ROLE: &str = "KEEPS_MEMORY_PRIVATE";

#[test]
#[expect(clippy::disallowed_methods, reason = "a process of its own, and a look at what the kernel says of it")]
fn a_process_that_keeps_its_memory_private_still_uses_its_own_files_in_memory() {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kept_private", "--ignored", "--nocapture"])
        .env(ROLE, "1")
        .status();
    assert!(ended.unwrap().success());
}

#[test]
#[ignore = "started by the other test as a process of its own"]
#[expect(clippy::disallowed_methods, reason = "a look at what the kernel says of this process")]
fn kept_private() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    host::own::keep_memory_private().unwrap();
    let dumpable = rustix::process::dumpable_behavior().unwrap();
    assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert!(limit.current.unwrap() <= 1 && limit.maximum.unwrap() <= 1, "{limit:?}");
    // Again: whoever starts another role of the program has it already.
    host::own::keep_memory_private().unwrap();

    let file = host::sealed_file::sealed_file(b"hunter2").unwrap();
    assert_eq!(std::fs::read(host::sealed_file::path_of(file.as_raw_fd())).unwrap(), b"hunter2");
    let child = Command::new("cat").arg("/proc/self/environ").env("MARK", "seen").output().unwrap();
    assert!(String::from_utf8_lossy(&child.stdout).contains("MARK=seen"), "{child:?}");
    // A path that is too long for a socket's address goes by way of /proc/self/fd.
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("x".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let _listener = host::socket::listen_unix(&deep.join("socket")).unwrap();
    host::socket::connect_unix(&deep.join("socket")).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the system's own word for who runs this")]
fn a_user_is_called_as_the_system_calls_him() {
    let asked = Command::new("id").arg("-un").output().unwrap();
    let name = String::from_utf8(asked.stdout).unwrap();
    // Without a name `id` fails, and a number stands here.
    let expected = if asked.status.success() { name.trim().to_owned() } else { host::own::user_name() };
    assert_eq!(host::own::user_name(), expected);
    assert!(asked.status.success() || expected.starts_with("uid "), "{expected}");
}
