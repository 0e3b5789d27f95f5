//! A disk that is full. The root lies on a small file system that only the program and what it starts can see.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::command::{self, Running};
use crate::stage::Stage;

/// A stage whose root is on a small disk.
pub(crate) struct SmallDisk {
    pub(crate) stage: Stage,
    /// Keeps the mount for as long as it lives.
    holder: Running,
    /// Where the disk is seen from outside.
    pub(crate) seen: PathBuf,
}

impl SmallDisk {
    /// Where nobody may mount, not even in a namespace of their own, this fails: what was not tried is not proven.
    fn new() -> Self {
        // Enough for everything that the tiny project writes, with room to spare.
        Self::under(Stage::new(), "8m")
    }

    /// A disk of this size under the root of a stage that has not begun.
    pub(crate) fn under(mut stage: Stage, size: &str) -> Self {
        let place = stage.project.parent().unwrap().join("disk");
        fs::create_dir(&place).unwrap();
        let script =
            format!("mount -t tmpfs -o size={size} tmpfs {} && echo mounted && exec sleep 600", place.display());
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        let holder = command::begin("unshare".to_owned(), unshare);
        assert!(
            holder.comes_to_say("mounted"),
            "no small disk can be mounted here: allow unprivileged user namespaces, or run the tests as root"
        );
        let pid = holder.pid().to_string();
        stage.before = ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", &pid, "--", "env", "-C"]
            .map(str::to_owned)
            .into();
        stage.before.push(stage.project.display().to_string());
        stage.root = place.join("root");
        let seen = PathBuf::from(format!("/proc/{pid}/root{}", place.display()));
        Self { stage, holder, seen }
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let mut ballast = fs::File::create(self.seen.join("ballast")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let bytes = vec![0; size];
            while ballast.write_all(&bytes).is_ok() {}
        }
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.seen.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The environment first: its files are on the disk.
        self.stage.end();
        self.holder.signal("KILL");
    }
}

#[test]
fn on_a_full_disk_nothing_begins_and_with_room_again_it_does() {
    let disk = SmallDisk::new();
    disk.fill();
    disk.stage
        .roadbed("up --detach --no-gate")
        .refuses(1, &["No space left on device", "see whether the disk is full"]);
    disk.stage.is_empty();
    disk.make_room();
    disk.stage.up();
    assert_eq!(disk.stage.unit("web-1").unwrap()["state"], "running");
    disk.stage.roadbed("down").exits(0);
    disk.stage.is_empty();
}

#[test]
fn a_disk_that_fills_up_takes_nothing_down_and_stops_no_stopping() {
    let disk = SmallDisk::new();
    let stage = &disk.stage;
    stage.up();
    disk.fill();
    assert_eq!(stage.unit("web-1").unwrap()["state"], "running");
    // A change needs the journal.
    stage.edit("start = \"10s\"", "start = \"11s\"");
    stage.edit("drain = \"2s\"", "drain = \"3s\"");
    stage.server(
        "require('node:http').createServer((_, a) => a.end('tiny\\n')).listen(Number(process.env.PORT), '127.0.0.1');",
    );
    stage.roadbed("up --detach --no-gate").refuses(1, &["disk is full"]);
    assert_eq!(stage.unit("web-1").unwrap()["state"], "running");
    // What dies is started again: that must need no room.
    stage.kill("web-1");
    stage.until("it is back", || stage.unit("web-1").is_some_and(|unit| unit["state"] == "running"));
    // Visitors are served, though nothing can be written about them; by an edge that begins now, too.
    let (client, url) = (testkit::Client::trusting(&disk.seen.join("root/tls/ca.pem")), stage.url());
    let served = || client.get(&url).is_ok_and(|answer| (answer.status, answer.body.as_str()) == (200, "tiny\n"));
    assert!((0..50).all(|_| served()));
    stage.kill("edge");
    stage.until("an edge is back", served);
    assert!((0..50).all(|_| served()));
    // And everybody can leave a full disk.
    stage.roadbed("down").exits(0);
    stage.is_empty();
    disk.make_room();
    stage.up();
    assert_eq!(stage.unit("web-1").unwrap()["state"], "running");
}
