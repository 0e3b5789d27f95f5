//! The store itself.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use host::clock::{Clock, SystemClock, Timestamp};
use objects::Bucket;
use objects::store::{BadKey, CHUNK, Expect, Fault, List, Listed, Metadata, PartRef, Put, Store, Sweep};
use proptest::prelude::*;

use crate::stand::{content, folder_in_memory};

/// A clock that a test moves.
#[derive(Debug)]
struct Hand(Mutex<Timestamp>);

impl Hand {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemClock.now())))
    }

    fn pass(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.after(Duration::from_secs(seconds));
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

const AT_ONCE: Sweep = Sweep { grace: Duration::ZERO, abandoned: Duration::from_secs(3600) };

fn bucket(undo: u64, quota_bytes: Option<u64>) -> Bucket {
    Bucket { undo: Duration::from_secs(undo), quota_bytes, ..Bucket::private("media") }
}

fn put(store: &Store, key: &str, content: &[u8]) -> Result<objects::store::Head, Fault> {
    store.put("media", key, Cursor::new(content.to_vec()), Put::default())
}

fn read(store: &Store, key: &str) -> Vec<u8> {
    store.get("media", key).unwrap().content.read_all().unwrap()
}

/// Files of contents.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&folder.join("blobs"), &mut found);
    found
}

#[test]
fn what_is_put_is_there_after_the_store_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.settle(&[bucket(0, None)]).unwrap();
    let long = content(1, 3 * CHUNK + 7);
    let metadata = Metadata { content_type: Some("image/png".into()), ..Metadata::default() };
    let request = Put { metadata: metadata.clone(), ..Put::default() };
    let head = store.put("media", "a/b.png", Cursor::new(long.clone()), request).unwrap();
    put(&store, "empty", b"").unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.head("media", "a/b.png").unwrap(), head);
    assert_eq!(head.metadata, metadata);
    assert_eq!(read(&store, "a/b.png"), long);
    assert_eq!(read(&store, "empty"), b"");
    let mut part = store.get("media", "a/b.png").unwrap().content;
    part.narrow(CHUNK as u64 - 3, CHUNK as u64 + 5);
    assert_eq!(part.read_all().unwrap(), long[CHUNK - 3..2 * CHUNK + 2]);
    assert!(matches!(store.get("media", "a"), Err(Fault::NoObject { .. })));
    assert!(matches!(store.get("nowhere", "a"), Err(Fault::NoBucket(_))));
}

#[test]
fn rows_that_are_gone_are_no_new_store() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    fs::remove_file(folder.path().join("objects.db")).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(Fault::Open(_))));
}

#[test]
fn keys_are_texts_and_no_paths() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.settle(&[bucket(0, None)]).unwrap();
    let longest = "k".repeat(1024);
    let fine = ["a/b.txt", "a/b.txt/c", "/", "//", "a//b/", " ", "\u{e9}", "e\u{301}", "...", ".a/..b", &longest];
    for (number, key) in fine.iter().enumerate() {
        put(&store, key, &content(number as u64, 10)).unwrap();
    }
    for (number, key) in fine.iter().enumerate() {
        assert_eq!(read(&store, key), content(number as u64, 10), "{key}");
    }
    let too_long = "k".repeat(1025);
    for (key, why) in [
        ("", BadKey::Empty),
        (too_long.as_str(), BadKey::Long(1025)),
        ("a\0b", BadKey::Nul),
        ("../a", BadKey::Dots),
        ("a/../b", BadKey::Dots),
        ("a/.", BadKey::Dots),
    ] {
        assert!(matches!(put(&store, key, b"x"), Err(Fault::BadKey(bad)) if bad == why), "{key}");
    }
    assert_eq!(store.usage("media").unwrap().objects, fine.len() as u64);
}

#[test]
fn one_content_is_one_file_and_the_sweep_leaves_it_while_somebody_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = Store::open_with(folder.path(), clock.clone()).unwrap();
    store.settle(&[bucket(0, None)]).unwrap();
    let same = content(1, 1000);
    put(&store, "a", &same).unwrap();
    put(&store, "b", &same).unwrap();
    assert_eq!(blobs(folder.path()).len(), 1);
    store.delete("media", "a", &Expect::Anything).unwrap();
    assert_eq!(store.sweep(AT_ONCE).unwrap().blobs, 0);
    assert_eq!(read(&store, "b"), same);
    let being_read = store.get("media", "b").unwrap().content;
    store.delete("media", "b", &Expect::Anything).unwrap();
    assert_eq!(store.sweep(AT_ONCE).unwrap().blobs, 0, "somebody reads it");
    assert_eq!(being_read.read_all().unwrap(), same);
    let hour = Sweep::default();
    assert_eq!(store.sweep(hour).unwrap().blobs, 0, "another process may read it");
    clock.pass(3601);
    assert_eq!(store.sweep(hour).unwrap().blobs, 1);
    assert!(blobs(folder.path()).is_empty());
}

#[test]
fn files_that_no_row_knows_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = Store::open_with(folder.path(), clock.clone()).unwrap();
    store.settle(&[bucket(0, None)]).unwrap();
    put(&store, "a", b"a").unwrap();
    let known = blobs(folder.path()).remove(0);
    let stray = known.with_file_name("f".repeat(64));
    fs::write(&stray, "x").unwrap();
    fs::write(folder.path().join("temporary/left"), "x").unwrap();
    let swept = store.sweep(AT_ONCE).unwrap();
    assert_eq!((swept.strays, swept.temporary), (1, 0));
    assert!(!stray.exists() && known.exists());
    clock.pass(3700);
    assert_eq!(store.sweep(AT_ONCE).unwrap().temporary, 1);
    assert_eq!(read(&store, "a"), b"a");
}

#[test]
fn what_was_overwritten_or_deleted_can_be_put_back_for_as_long_as_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = Store::open_with(folder.path(), clock.clone()).unwrap();
    store.settle(&[bucket(100, None)]).unwrap();
    put(&store, "a", b"first").unwrap();
    clock.pass(10);
    let then = clock.now();
    clock.pass(10);
    put(&store, "a", b"second").unwrap();
    put(&store, "new", b"new").unwrap();
    store.delete("media", "a", &Expect::Anything).unwrap();
    let kept = store.kept("media", "", None, 10).unwrap();
    let sizes: Vec<u64> = kept.iter().map(|kept| kept.head.size).collect();
    assert_eq!(sizes, [5, 6]);
    let usage = store.usage("media").unwrap();
    assert_eq!((usage.objects, usage.bytes, usage.kept, usage.kept_bytes), (1, 3, 2, 11));
    store.restore("media", kept[1].head.version).unwrap();
    assert_eq!(read(&store, "a"), b"second");
    let done = store.restore_as_of("media", "", then).unwrap();
    assert_eq!((done.restored, done.removed), (1, 1));
    assert_eq!(read(&store, "a"), b"first");
    assert!(store.head("media", "new").is_err());
    clock.pass(101);
    let swept = store.sweep(AT_ONCE).unwrap();
    assert_eq!(swept.versions, 4);
    assert!(store.kept("media", "", None, 10).unwrap().is_empty());
    assert_eq!(store.usage("media").unwrap().kept_bytes, 0);
    assert_eq!(read(&store, "a"), b"first");
}

#[test]
fn a_quota_is_never_exceeded_and_what_is_kept_gives_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.settle(&[bucket(100, Some(1000))]).unwrap();
    put(&store, "a", &content(1, 600)).unwrap();
    assert!(matches!(put(&store, "b", &content(2, 401)), Err(Fault::Quota { would_be: 1001, .. })));
    assert!(store.permit("media", "b", 401, &Expect::Anything).is_err());
    assert!(store.permit("media", "a", 1000, &Expect::Anything).is_ok(), "it takes the place of what is there");
    put(&store, "b", &content(2, 400)).unwrap();
    for number in 3..9 {
        put(&store, "a", &content(number, 600)).unwrap();
    }
    let usage = store.usage("media").unwrap();
    assert_eq!((usage.bytes, usage.kept_bytes), (1000, 600));
    assert_eq!(read(&store, "a"), content(8, 600));
    let id = store.begin_upload("media", "c", &Metadata::default()).unwrap();
    let mut writer = store.writer().unwrap();
    writer.write(b"x").unwrap();
    let over = store.commit_part("media", "c", &id, 1, writer.finish().unwrap(), None);
    assert!(matches!(over, Err(Fault::Quota { .. })), "parts count too");
}

#[test]
fn a_bit_that_rots_is_found_on_read_and_by_scrub_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.settle(&[bucket(0, None)]).unwrap();
    let long = content(1, 2 * CHUNK + 100);
    let head = put(&store, "photo", &long).unwrap();
    put(&store, "fine", &content(2, 10)).unwrap();
    let file = blobs(folder.path()).into_iter().find(|path| path.ends_with(head.digest.hex())).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[CHUNK + 5] ^= 4;
    fs::write(&file, &bytes).unwrap();
    let mut whole = store.get("media", "photo").unwrap().content;
    assert_eq!(whole.chunk().unwrap().unwrap(), long[..CHUNK], "what comes before it is right");
    assert!(matches!(whole.chunk(), Err(Fault::Damaged { .. })));
    let mut part = store.get("media", "photo").unwrap().content;
    part.narrow(CHUNK as u64 + 50, 10);
    assert!(matches!(part.chunk(), Err(Fault::Damaged { .. })), "other bytes of the chunk are not believed either");
    let scrubbed = store.scrub(|_| {}).unwrap();
    assert_eq!((scrubbed.blobs, scrubbed.damaged.len()), (2, 1));
    assert_eq!((scrubbed.damaged[0].bucket.as_str(), scrubbed.damaged[0].key.as_str()), ("media", "photo"));
    assert!(store.heal(&head.digest, Cursor::new(b"another")).is_err());
    store.heal(&head.digest, Cursor::new(long.clone())).unwrap();
    assert!(store.scrub(|_| {}).unwrap().damaged.is_empty());
    assert_eq!(read(&store, "photo"), long);
    fs::write(&file, &bytes[..10]).unwrap();
    assert_eq!(store.scrub(|_| {}).unwrap().damaged.len(), 1, "cut off");
    fs::remove_file(&file).unwrap();
    assert_eq!(store.scrub(|_| {}).unwrap().damaged.len(), 1, "missing");
    put(&store, "again", &long).unwrap();
    assert!(store.scrub(|_| {}).unwrap().damaged.is_empty(), "the same content, put again, mends it");
}

#[test]
fn parts_become_one_object_only_when_they_are_what_was_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = Store::open_with(folder.path(), clock.clone()).unwrap();
    store.settle(&[bucket(0, None)]).unwrap();
    let id = store.begin_upload("media", "big", &Metadata::default()).unwrap();
    let part = |number: u32, bytes: &[u8]| {
        let mut writer = store.writer().unwrap();
        writer.write(bytes).unwrap();
        let part = store.commit_part("media", "big", &id, number, writer.finish().unwrap(), None).unwrap();
        PartRef { number, etag: part.etag, checksum: None }
    };
    let (first, last) = (content(1, 5 << 20), content(2, 77));
    let (one, two) = (part(1, &first), part(2, &last));
    let complete = |parts: &[PartRef]| store.complete_upload("media", "big", &id, parts, &Expect::Anything, |_| None);
    assert!(matches!(complete(&[two.clone(), one.clone()]), Err(Fault::PartOrder)));
    assert!(matches!(complete(&[]), Err(Fault::PartOrder)));
    let wrong = PartRef { etag: two.etag.clone(), ..one.clone() };
    assert!(matches!(complete(&[wrong]), Err(Fault::BadPart { number: 1 })));
    let three = part(3, &last);
    assert!(matches!(complete(&[one.clone(), two.clone(), three]), Err(Fault::SmallPart { number: 2, .. })));
    assert!(
        matches!(store.head("media", "big"), Err(Fault::NoObject { .. })),
        "nothing is there before it is complete"
    );
    assert_eq!(store.usage("media").unwrap().part_bytes, (5 << 20) + 154);
    let head = complete(&[one, two]).unwrap();
    assert!(head.etag.ends_with("-2"));
    assert_eq!(read(&store, "big"), [first.clone(), last.clone()].concat());
    let mut over_the_seam = store.get("media", "big").unwrap().content;
    over_the_seam.narrow((5 << 20) - 2, 4);
    assert_eq!(over_the_seam.read_all().unwrap(), [&first[(5 << 20) - 2..], &last[..2]].concat());
    assert_eq!(store.usage("media").unwrap().part_bytes, 0);
    let left = store.begin_upload("media", "left", &Metadata::default()).unwrap();
    clock.pass(3601);
    assert_eq!(store.sweep(AT_ONCE).unwrap().uploads, 1);
    assert!(matches!(store.abort_upload("media", "left", &left), Err(Fault::NoUpload(_))));
    assert_eq!(read(&store, "big").len(), (5 << 20) + 77);
}

#[test]
fn a_snapshot_is_one_moment_and_holds_the_sweep() {
    let folder = folder_in_memory();
    let store = Store::open(folder.path()).unwrap();
    store.settle(&[bucket(0, None), Bucket::private("other")]).unwrap();
    for number in 0..1100 {
        // Many keys, few contents: what is tried here is rows.
        put(&store, &format!("k{number:04}"), &content(number % 7, 10)).unwrap();
    }
    store.put("other", "x", Cursor::new(b"x"), Put::default()).unwrap();
    let snapshot = store.snapshot().unwrap();
    store.delete("media", "k0000", &Expect::Anything).unwrap();
    put(&store, "later", b"later").unwrap();
    assert!(matches!(store.sweep(AT_ONCE), Err(Fault::Held)));
    let mut keys = Vec::new();
    for entry in snapshot {
        let entry = entry.unwrap();
        let bytes: Vec<u8> = entry.pieces.iter().flat_map(|piece| fs::read(&piece.path).unwrap()).collect();
        assert_eq!(bytes.len() as u64, entry.head.size);
        keys.push(format!("{}/{}", entry.bucket, entry.head.key));
    }
    let mut expected: Vec<String> = (0..1100).map(|number| format!("media/k{number:04}")).collect();
    expected.push("other/x".into());
    assert_eq!(keys, expected);
    store.sweep(AT_ONCE).unwrap();
}

#[test]
fn buckets_are_those_that_are_declared_and_none_with_objects_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let made = store.settle(&[bucket(0, None), Bucket::private("other")]).unwrap();
    assert_eq!(made.made, ["media", "other"]);
    put(&store, "a", b"a").unwrap();
    let refused = store.settle(&[Bucket::private("third")]);
    assert!(matches!(refused, Err(Fault::NotEmpty { objects: 1, .. })));
    assert_eq!(store.buckets().unwrap().len(), 2, "nothing was done");
    let settled = store.settle(&[bucket(5, Some(7))]).unwrap();
    assert_eq!(settled.dropped, ["other"]);
    assert_eq!(store.usage("media").unwrap().quota, Some(7));
    assert!(store.settle(&[Bucket::private("../etc")]).is_err());
}

/// What S3's rules say, without any cleverness.
fn listed(keys: &[String], list: &List<'_>) -> (Vec<String>, bool) {
    let mut names = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(list.prefix)) {
        let rest = &key[list.prefix.len()..];
        let cut = list.delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        let name = cut.map_or(key.clone(), |length| key[..list.prefix.len() + length].to_owned());
        let passed =
            list.after.is_some_and(|after| key.as_str() <= after || (list.after_is_prefix && key.starts_with(after)));
        if !passed && names.last() != Some(&name) {
            names.push(name);
        }
    }
    let is_more = names.len() > list.limit;
    names.truncate(list.limit);
    (names, is_more)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_those_that_s3_describes(
        keys in prop::collection::btree_set("[ab/\u{10ffff}]{1,5}", 1..25), prefix in "[ab/]{0,2}", after in "[ab/]{0,3}", limit in 1_usize..6
    ) {
        let folder = folder_in_memory();
        let store = Store::open(folder.path()).unwrap();
        store.settle(&[bucket(0, None)]).unwrap();
        let keys: Vec<String> = keys.into_iter().collect();
        for key in &keys {
            put(&store, key, b"x").unwrap();
        }
        for delimiter in [None, Some("/"), Some("ab")] {
            let mut list = List { prefix: &prefix, delimiter, after: Some(&after).filter(|after| !after.is_empty()).map(String::as_str), after_is_prefix: false, limit };
            let all = listed(&keys, &List { limit: 1000, ..list.clone() }).0;
            let mut gathered = Vec::new();
            let mut last: Option<Listed>;
            loop {
                let page = store.list("media", &list).unwrap();
                let names: Vec<String> = page.lines.iter().map(|line| line.name().to_owned()).collect();
                prop_assert_eq!(&(names.clone(), page.is_more), &listed(&keys, &list));
                gathered.extend(names);
                if !page.is_more {
                    break;
                }
                last = page.lines.last().cloned();
                let last = last.as_ref().unwrap();
                // Leaked so that the next page may borrow it: a test is short.
                list.after = Some(Box::leak(last.name().to_owned().into_boxed_str()));
                list.after_is_prefix = matches!(last, Listed::Prefix(_));
            }
            prop_assert_eq!(gathered, all);
        }
    }
}

/// A content without a name.
fn written(store: &Store, content: &[u8]) -> objects::store::Written {
    let mut writer = store.writer().unwrap();
    writer.write(content).unwrap();
    writer.finish().unwrap()
}

#[test]
fn what_comes_back_from_a_backup_is_what_it_was_or_does_not_come() {
    let folder = tempfile::tempdir().unwrap();
    let from = Store::open(&folder.path().join("from")).unwrap();
    from.settle(&[bucket(0, None)]).unwrap();
    let pieces = [content(1, 5 << 20), content(2, 70_000)];
    let id = from.begin_upload("media", "parts", &Metadata::default()).unwrap();
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(&pieces) {
        let part = from.commit_part("media", "parts", &id, number, written(&from, piece), None).unwrap();
        parts.push(PartRef { number, etag: part.etag, checksum: None });
    }
    let head = from.complete_upload("media", "parts", &id, &parts, &Expect::Anything, |_| None).unwrap();
    let small = put(&from, "small", b"small").unwrap();

    let to = Store::open(&folder.path().join("to")).unwrap();
    to.settle(&[bucket(3600, Some(6 << 20))]).unwrap();
    let then = Timestamp::from_unix_millis(1_000_000);
    let returning = |head: &objects::store::Head, pieces: Vec<objects::store::Written>| objects::store::Returning {
        bucket: "media".into(),
        head: head.clone(),
        pieces,
        modified: then,
    };
    let both = || pieces.iter().map(|piece| written(&to, piece)).collect::<Vec<_>>();
    let mut swapped = both();
    swapped.reverse();
    for wrong in [swapped, vec![written(&to, &pieces[0])], Vec::new()] {
        let fault = to.put_back(vec![returning(&small, vec![written(&to, b"small")]), returning(&head, wrong)]);
        assert!(matches!(fault, Err(Fault::OtherContent)), "{fault:?}");
    }
    assert_eq!(to.usage("media").unwrap().objects, 0, "all of them or none");
    let back = to.put_back(vec![returning(&small, vec![written(&to, b"small")]), returning(&head, both())]).unwrap();
    assert_eq!((&back[1].etag, back[1].parts, back[1].digest, back[1].modified), (&head.etag, 2, head.digest, then));
    assert_eq!(read(&to, "parts"), pieces.concat());
    assert_eq!(back[0].etag, small.etag);
    // In place of what is there, which is kept; and within the quota.
    put(&to, "small", b"another").unwrap();
    let _ = to.put_back(vec![returning(&small, vec![written(&to, b"small")])]).unwrap();
    assert_eq!(read(&to, "small"), b"small");
    let other = objects::store::Head { key: "once more".into(), ..head };
    let fault = to.put_back(vec![returning(&other, both())]);
    assert!(matches!(fault, Err(Fault::Quota { .. })), "{fault:?}");
    assert_eq!(to.usage("media").unwrap().objects, 2);
}

#[test]
fn what_a_snapshot_had_stays_for_as_long_as_somebody_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.settle(&[bucket(0, None)]).unwrap();
    put(&store, "a", b"what a holds").unwrap();
    let (hold, mut content) = {
        let mut snapshot = store.snapshot().unwrap();
        let version = snapshot.next().unwrap().unwrap().head.version;
        store.delete("media", "a", &Expect::Anything).unwrap();
        let entry = snapshot.entry("media", version).unwrap();
        assert_eq!(entry.head.key, "a", "as it was at that moment");
        (snapshot.hold().unwrap(), snapshot.content(&entry).unwrap())
    };
    // By another process's store, which knows of nothing that is read here.
    let other = Store::open(folder.path()).unwrap();
    assert!(matches!(other.sweep(AT_ONCE), Err(Fault::Held)));
    assert_eq!(content.chunk().unwrap().unwrap().as_ref(), b"what a holds");
    drop((hold, content));
    let _ = other.sweep(AT_ONCE).unwrap();
    assert_eq!(blobs(folder.path()).len(), 0);
}

#[test]
fn what_root_puts_into_a_store_belongs_to_whom_the_store_belongs() {
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("objects");
    let made = Store::open(&place).unwrap();
    made.settle(&[bucket(0, None)]).unwrap();
    drop(made);
    let all = || {
        let listed = std::process::Command::new("find").arg(&place).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().lines().map(PathBuf::from).collect::<Vec<_>>()
    };
    if all().iter().any(|path| chown(path, Some(12_345), Some(12_345)).is_err()) {
        // Only root gives away what is its own.
        return;
    }
    let store = Store::open(&place).unwrap();
    put(&store, "a", b"of somebody else").unwrap();
    let snapshot = store.snapshot().unwrap();
    let strange: Vec<PathBuf> =
        all().into_iter().filter(|path| fs::metadata(path).is_ok_and(|about| about.uid() != 12_345)).collect();
    assert_eq!(strange, Vec::<PathBuf>::new());
    drop(snapshot);
}
