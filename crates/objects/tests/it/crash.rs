//! Processes that die in the midst of it, and disks that are full.

use std::fs;
use std::io::{BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use objects::store::{Expect, Fault, List, Listed, Metadata, Put, Sweep};
use objects::{Bucket, Store};

use crate::stand::content;

const FOLDER: &str = "OBJECTS_OF_CHILD";
const ROUND: &str = "ROUND_OF_CHILD";

fn buckets() -> [Bucket; 1] {
    [Bucket { undo: Duration::from_secs(3600), ..Bucket::private("media") }]
}

fn child(test: &str, folder: &Path) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--ignored", "--nocapture", "--test-threads", "1"]).env(FOLDER, folder);
    child
}

fn place() -> PathBuf {
    std::env::var_os(FOLDER).expect("its parent says where").into()
}

/// What object `number` of a round holds: some are of several chunks.
fn object(round: u64, number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(5) { 700_000 } else { 3000 };
    content(round * 1_000_000 + number, length)
}

/// The child of the test below.
#[test]
#[ignore = "it writes until its parent kills it"]
fn writes_until_it_is_killed() {
    let store = Arc::new(Store::open(&place()).unwrap());
    store.settle(&buckets()).unwrap();
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = store.clone();
            scope.spawn(move || {
                for number in (thread..).step_by(3) {
                    let key = format!("r{round}/{number}");
                    store.put("media", &key, Cursor::new(object(round, number)), Put::default()).unwrap();
                    println!("\nPUT {round} {number}");
                    // One that is overwritten all the time, and one that comes and goes.
                    store.put("media", "same", Cursor::new(object(round, number)), Put::default()).unwrap();
                    store.put("media", "brief", Cursor::new(b"brief"), Put::default()).unwrap();
                    store.delete("media", "brief", &Expect::Anything).unwrap();
                    let id = store.begin_upload("media", "parts", &Metadata::default()).unwrap();
                    let mut writer = store.writer().unwrap();
                    writer.write(&object(round, number)).unwrap();
                    let written = writer.finish().unwrap();
                    let part = store.commit_part("media", "parts", &id, 1, written, None).unwrap();
                    let part = objects::store::PartRef { number: 1, etag: part.etag, checksum: None };
                    let complete = store.complete_upload("media", "parts", &id, &[part], &Expect::Anything, |_| None);
                    complete.unwrap();
                    if number.is_multiple_of(10) {
                        let _ = store.sweep(Sweep { grace: Duration::ZERO, abandoned: Duration::from_secs(60) });
                    }
                }
            });
        }
    });
}

#[test]
fn whoever_is_killed_loses_nothing_that_was_acknowledged_and_leaves_no_half_object() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..8_u64 {
        let mut child = child("crash::writes_until_it_is_killed", folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after a number of acknowledgements that differs, so at ever other moments.
        let enough = 3 + round * 4;
        let mut count = 0;
        for line in lines.map_while(Result::ok) {
            let Some(rest) = line.strip_prefix("PUT ") else { continue };
            let Some((_, number)) = rest.split_once(' ') else { continue };
            // A line that was cut off says another number.
            acknowledged.push((round, number.parse::<u64>().unwrap()));
            count += 1;
            if count == enough {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        assert!(count == enough, "the child of round {round} ended by itself");

        let store = Store::open(folder.path()).unwrap();
        for (round, number) in &acknowledged {
            let found = store.get("media", &format!("r{round}/{number}")).unwrap().content.read_all().unwrap();
            assert!(found == object(*round, *number), "r{round}/{number}");
        }
        let (mut objects, mut bytes) = (0, 0);
        for line in store.list("media", &List { limit: 100_000, ..List::default() }).unwrap().lines {
            let Listed::Object(head) = line else { unreachable!("there is no delimiter") };
            let found = store.get("media", &head.key).unwrap().content.read_all().unwrap();
            assert_eq!(found.len() as u64, head.size, "{}", head.key);
            objects += 1;
            bytes += head.size;
        }
        let usage = store.usage("media").unwrap();
        assert_eq!((usage.objects, usage.bytes), (objects, bytes), "sums are those of what is there");
        store.sweep(Sweep { grace: Duration::ZERO, abandoned: Duration::ZERO }).unwrap();
        assert!(store.scrub(|_| {}).unwrap().damaged.is_empty());
        assert_eq!(store.usage("media").unwrap().part_bytes, 0);
    }
}

/// Room for a store, and little else.
const SIZE: &str = "12m";

/// The child of the test below: on a file system that only it sees.
#[test]
#[ignore = "its parent gives it a disk"]
fn writes_on_a_full_disk() {
    let store = Store::open(&place()).unwrap();
    store.settle(&[Bucket::private("media")]).unwrap();
    store.put("media", "first", Cursor::new(content(1, 2 << 20)), Put::default()).unwrap();
    // Somebody else's, who makes room in the end: to delete needs some too, for the row that says so.
    let spare = place().join("spare");
    fs::write(&spare, content(3, 500_000)).unwrap();
    let mut number = 2;
    let fault = loop {
        match store.put("media", &format!("more/{number}"), Cursor::new(content(number, 700_000)), Put::default()) {
            Ok(_) => number += 1,
            Err(fault) => break fault,
        }
        assert!(number < 100, "the disk is never full");
    };
    assert!(fault.is_full(), "{fault:?}");
    // Down to the last page, where rows do not fit either.
    let filler = place().join("filler");
    let mut at = 1 << 20;
    while at > 100 {
        let mut bytes = fs::read(&filler).unwrap_or_default();
        bytes.resize(bytes.len() + at, 7);
        if fs::write(&filler, &bytes).is_err() {
            at /= 2;
        }
    }
    for small in 0..50 {
        let outcome = store.put("media", &format!("small/{small}"), Cursor::new(content(small, 5000)), Put::default());
        if let Err(fault) = outcome {
            assert!(fault.is_full(), "{fault:?}");
        }
    }
    assert!(store.check().is_err(), "it says that it cannot be written");
    assert_eq!(store.get("media", "first").unwrap().content.read_all().unwrap(), content(1, 2 << 20));
    assert!(matches!(store.get("media", &format!("more/{number}")), Err(Fault::NoObject { .. })));
    fs::remove_file(filler).unwrap();
    fs::remove_file(spare).unwrap();
    store.check().unwrap();
    store.delete("media", "first", &Expect::Anything).unwrap();
    store.sweep(Sweep { grace: Duration::ZERO, abandoned: Duration::ZERO }).unwrap();
    store.put("media", "after", Cursor::new(content(9, 1 << 20)), Put::default()).unwrap();
    for other in 2..number {
        let found = store.get("media", &format!("more/{other}")).unwrap().content.read_all().unwrap();
        assert_eq!(found, content(other, 700_000));
    }
    println!("\nSAID done");
}

#[test]
fn on_a_full_disk_nothing_is_half_put_and_what_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    fs::create_dir(&place).unwrap();
    let child = child("crash::writes_on_a_full_disk", &place);
    let script = format!("mount -t tmpfs -o size={SIZE} tmpfs {} && exec \"$@\"", place.display());
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    unshare.arg(child.get_program()).args(child.get_args()).env(FOLDER, &place);
    let done = unshare.output().unwrap();
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && out.contains("SAID done"),
        "where nobody may mount, not even in a namespace of their own, this fails\n{out}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// The child of the test below: a client that sends parts of an object.
#[test]
#[ignore = "it sends until its parent kills it"]
fn sends_parts_until_it_is_killed() {
    let address = std::env::var("SERVER").unwrap();
    let mut client = crate::protocol::Client::new(address.parse().unwrap(), "MEDIA", "media-alone");
    let begun = client.ask("POST", "/media/huge", "uploads", &[], b"");
    assert_eq!(begun.status, 200, "{}", begun.text());
    let text = begun.text();
    let id = text.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    for number in 1..=10_000 {
        let part = content(number, 5 << 20);
        let put = client.ask("PUT", "/media/huge", &format!("partNumber={number}&uploadId={id}"), &[], &part);
        assert_eq!(put.status, 200, "{}", put.text());
        println!("\nPART {number}");
    }
}

#[test]
fn of_an_upload_whose_client_is_killed_nothing_is_ever_listed() {
    let stand = crate::stand::Stand::new();
    let mut child = child("crash::sends_parts_until_it_is_killed", stand.folder.path())
        .env("SERVER", stand.address.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let parts = lines.map_while(Result::ok).filter(|line| line.starts_with("PART ")).take(4).count();
    // In the midst of the fifth.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(parts, 4);
    let page = stand.store.list("media", &List { limit: 10, ..List::default() }).unwrap();
    assert!(page.lines.is_empty(), "{page:?}");
    let begun = stand.store.uploads("media", "", ("", ""), 10).unwrap();
    assert_eq!(begun.len(), 1);
    let came = stand.store.parts("media", "huge", &begun[0].id, 0, 100).unwrap();
    assert!(came.len() >= 4 && came.iter().all(|part| part.size == 5 << 20), "{came:?}");
    // What was in the air is gone when its connection is.
    let temporary = stand.folder.path().join("temporary");
    let until = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(&temporary).unwrap().count() > 0 {
        assert!(Instant::now() < until, "a temporary file is left");
        std::thread::sleep(Duration::from_millis(20));
    }
    stand.store.abort_upload("media", "huge", &begun[0].id).unwrap();
    assert_eq!(stand.store.usage("media").unwrap().part_bytes, 0);
}
