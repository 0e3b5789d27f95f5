//! A disk that is full: a small file system that only one process can see.

use std::process::Command;

use crate::child;

/// Room for the reserve and as much again three times over, without which there would be none.
const SIZE: &str = "96m";

#[test]
fn on_a_full_disk_services_go_on_and_people_wait() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    std::fs::create_dir(&place).unwrap();
    let child = child::command("reads_on_a_full_disk", &place, "a");
    let script = format!("mount -t tmpfs -o size={SIZE} tmpfs {} && exec \"$@\"", place.display());
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    unshare.arg(child.get_program()).args(child.get_args());
    for (name, value) in child.get_envs() {
        unshare.env(name, value.unwrap());
    }
    let done = unshare.output().unwrap();
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && out.contains("SAID done"),
        "where nobody may mount, not even in a namespace of their own, this fails\n{out}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
