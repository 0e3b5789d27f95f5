//! Repositories that are somewhere else, and second ones.

use std::time::Duration;

use backup::{Destination, Freed, Keep, Place, Repository, absent, bring, take};
use host::clock::{Clock, SystemClock};

use crate::elsewhere::{self, Server};
use crate::stand::{KEY, Stand};

const KEEP: Keep = Keep { hourly: 24, daily: 7, weekly: 5, monthly: 12, any_second: Duration::from_secs(7 * 86_400) };

/// Files alone: no engine is asked.
fn sources(text: &str) -> backup::Sources {
    let large: Vec<u8> = (0..600_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    backup::Sources {
        product: "urbancart".into(),
        environment: "stand".into(),
        files: vec![("a.txt".into(), text.as_bytes().to_vec()), ("large.bin".into(), large)],
        ..backup::Sources::default()
    }
}

/// Saved, listed, read, verified, marked, thinned out and freed, as in a folder.
async fn all_of_it(server: &Server) {
    let there = server.destination.clone();
    let made = tokio::task::spawn_blocking(move || Repository::open_or_create_at(&there, KEY)).await.unwrap();
    let repository = made.unwrap();
    let first = take(&repository, sources("one"), SystemClock.now()).await.unwrap().snapshot;
    let second = take(&repository, sources("two"), SystemClock.now()).await.unwrap().snapshot;
    let there = server.destination.clone();
    tokio::task::spawn_blocking(move || {
        let again = Repository::open_at(&there, KEY).unwrap().unwrap();
        let names: Vec<String> = again.snapshots().unwrap().into_iter().map(|snapshot| snapshot.name).collect();
        assert_eq!(names, [first.name.clone(), second.name.clone()]);
        let reader = again.reader(&first.name).unwrap();
        assert_eq!(reader.read("files/a.txt").unwrap(), b"one");
        assert_eq!(reader.read("files/large.bin").unwrap().len(), 2_400_000);
        assert_eq!(again.verify(None).unwrap().damage, Vec::<String>::new());
        assert!(!again.refuses_deletes().unwrap());
        assert!(again.hold(&first.name, true).unwrap().held);
        assert_eq!(again.forget(&[first.name.clone(), second.name]).unwrap(), Freed::Done);
        assert_eq!(again.prune().unwrap(), Freed::Done);
        let left = again.snapshots().unwrap();
        assert_eq!(left.len(), 1, "what is held stays");
        assert_eq!(again.reader(&left[0].name).unwrap().read("files/a.txt").unwrap(), b"one");
        let fault = Repository::open_at(&there, "another").unwrap_err();
        assert!(fault.hint.as_deref().unwrap_or_default().contains("none of its keys"), "{fault:?}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_server_keeps_a_repository_and_a_wrong_password_is_said_without_it() {
    let server = elsewhere::rest(false);
    all_of_it(&server).await;
    let wrong = Destination { access: Some("backup:not-this".to_owned().into()), ..server.destination.clone() };
    let fault = tokio::task::spawn_blocking(move || Repository::open_at(&wrong, KEY).unwrap_err()).await.unwrap();
    let said = format!("{fault:?}");
    assert!(said.contains("401") && said.contains("secrets set") && !said.contains("not-this"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_keeps_a_repository_and_takes_no_other_key() {
    let server = elsewhere::s3();
    all_of_it(&server).await;
    let wrong = Destination { access: Some("STRANGER:not-this".to_owned().into()), ..server.destination.clone() };
    let fault = tokio::task::spawn_blocking(move || Repository::open_at(&wrong, KEY).unwrap_err()).await.unwrap();
    let said = format!("{fault:?}");
    assert!(said.contains("403") && said.contains("secrets set") && !said.contains("not-this"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_that_looks_at_signatures_keeps_a_repository_and_a_wrong_secret_or_region_is_said() {
    let server = elsewhere::own_s3();
    all_of_it(&server).await;
    let right = server.destination.clone();
    let wrong = Destination { access: Some("BACKUP:not-this".to_owned().into()), ..right.clone() };
    let mut elsewhere = right.clone();
    let Place::S3 { region, .. } = &mut elsewhere.place else { unreachable!() };
    region.push_str("-not");
    let mut outside = right;
    let Place::S3 { prefix, .. } = &mut outside.place else { unreachable!() };
    "other".clone_into(prefix);
    let reasons = ["SignatureDoesNotMatch", "the region is `eu-here-1`", "AccessDenied"];
    for (destination, why) in [wrong, elsewhere, outside].into_iter().zip(reasons) {
        let place = destination.place.to_string();
        let opened = tokio::task::spawn_blocking(move || Repository::open_at(&destination, KEY).unwrap_err());
        let said = format!("{:?}", opened.await.unwrap());
        assert!(said.contains(&place) && said.contains(why) && !said.contains("not-this"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_sftp_keeps_a_repository_and_restic_reads_it_and_strangers_are_not_believed() {
    let server = elsewhere::sftp();
    all_of_it(&server).await;
    let checked = std::process::Command::new("restic")
        .args(["--no-cache", "check", "--read-data", "--repo"])
        .arg(server.folder.path().join("backups/shop"))
        .env("RESTIC_PASSWORD", KEY)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // Somebody else answers there: nothing is told to him.
    let mut other = server.destination.clone();
    let stranger = elsewhere::sftp();
    let (Place::Sftp { host_key, .. }, Place::Sftp { host_key: strange, .. }) =
        (&mut other.place, &stranger.destination.place)
    else {
        unreachable!()
    };
    host_key.clone_from(strange);
    let fault = tokio::task::spawn_blocking(move || Repository::open_at(&other, KEY).unwrap_err()).await.unwrap();
    assert!(format!("{fault:?}").contains("verification failed"), "{fault:?}");
    let leftovers = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let ours = format!("roadbed-{}-", std::process::id());
    let left: Vec<_> =
        leftovers.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with(&ours)).collect();
    assert!(left.is_empty(), "no key stays: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_all_keys_destroys_the_first_and_not_the_copy_that_takes_nothing_away() {
    let stand = Stand::new().await;
    stand.orders(0..500).await;
    let server = elsewhere::rest(true);
    let taken = take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap().snapshot;
    stand.repository.add_key("recovery").unwrap();
    let (first, there) = (stand.repository.clone(), server.destination.clone());
    let name = taken.name.clone();
    tokio::task::spawn_blocking(move || {
        let brought = bring(&first, &there, &KEEP, true, SystemClock.now()).unwrap();
        assert_eq!((brought.snapshots, brought.refuses), (1, false));
        let again = bring(&first, &there, &KEEP, true, SystemClock.now()).unwrap();
        assert_eq!(again.snapshots, 0, "what is there is not brought twice");
        let copy = Repository::open_at(&there, "recovery").unwrap().expect("the recovery key opens the copy too");
        assert!(copy.refuses_deletes().unwrap());
        // The attacker: everything that a login of the environment allows.
        assert_eq!(copy.forget(std::slice::from_ref(&name)).unwrap(), Freed::Refused);
        copy.hold(&name, true).unwrap();
        copy.hold(&name, false).unwrap();
        assert_eq!(copy.prune().unwrap(), Freed::Done, "there is nothing to free");
        first.forget(std::slice::from_ref(&name)).unwrap();
        let after = bring(&first, &there, &KEEP, true, SystemClock.now()).unwrap();
        assert_eq!(after.gone, 0);
        assert_eq!(copy.snapshots().unwrap().len(), 1);
        assert!(absent(&first.snapshots().unwrap(), &copy.snapshots().unwrap(), &KEEP, SystemClock.now()).is_empty());
    })
    .await
    .unwrap();
    std::fs::remove_dir_all(stand.place()).unwrap();
    // Another machine, with nothing but the recovery key and the login.
    let there = server.destination.clone();
    let copy = tokio::task::spawn_blocking(move || {
        let copy = Repository::open_at(&there, "recovery").unwrap().unwrap();
        assert_eq!(copy.verify(None).unwrap().damage, Vec::<String>::new());
        copy
    });
    let copy = copy.await.unwrap();
    let mut scratch = backup::Scratch::new(&stand.scratch()).unwrap();
    let client = scratch.mongod(&stand.engines.mongod.clone().unwrap()).await.unwrap();
    let backup::Kind::Base { at: Some(at) } = taken.kind else { panic!("{taken:?}") };
    backup::rebuild(&copy, Some(at), at, &client).await.unwrap();
    assert_eq!(crate::stand::all(&client.database("shop"), "orders").await.len(), 500);
    scratch.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_follows_retention_and_is_no_second_place_for_another_repository() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Repository::open_or_create(&one.path().join("first"), KEY).unwrap();
    let there = Destination::folder(&two.path().join("copy"));
    let now = SystemClock.now();
    let mut names = Vec::new();
    for text in ["one", "two", "three"] {
        names.push(take(&first, sources(text), SystemClock.now()).await.unwrap().snapshot.name);
    }
    tokio::task::spawn_blocking(move || {
        let few = Keep { hourly: 1, daily: 0, weekly: 0, monthly: 0, any_second: Duration::ZERO };
        assert_eq!(
            bring(&first, &there, &KEEP, false, now).unwrap().snapshots,
            2,
            "the first, and the last of the hour"
        );
        let brought = bring(&first, &there, &few, false, now.after(Duration::from_secs(60))).unwrap();
        assert_eq!((brought.snapshots, brought.gone), (0, 1));
        let other = Repository::open_or_create(&one.path().join("second"), KEY).unwrap();
        let fault = bring(&other, &there, &KEEP, false, now).unwrap_err();
        assert!(fault.hint.as_deref().unwrap_or_default().contains("no copy of this repository"), "{fault:?}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_damaged_repository_it_is_said_what_can_still_be_read_and_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("repository");
    let repository = Repository::open_or_create(&place, KEY).unwrap();
    let packs = || {
        let folders = std::fs::read_dir(place.join("data")).unwrap().flatten();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten());
        files.map(|file| file.path()).collect::<std::collections::BTreeSet<_>>()
    };
    let first = take(&repository, sources("one"), SystemClock.now()).await.unwrap().snapshot;
    let before = packs();
    let second = take(&repository, sources("two, which is longer"), SystemClock.now()).await.unwrap().snapshot;
    let added: Vec<_> = packs().difference(&before).cloned().collect();
    assert!(!added.is_empty());
    tokio::task::spawn_blocking(move || {
        for pack in &added {
            let whole = std::fs::read(pack).unwrap();
            let mut bytes = whole.clone();
            bytes[7] ^= 0x20;
            std::fs::write(pack, bytes).unwrap();
            let found = repository.verify(None).unwrap();
            let name = pack.file_name().unwrap().to_str().unwrap();
            assert!(found.damage.iter().any(|line| line.contains(&name[..8])), "{name}: {:?}", found.damage);
            assert_eq!(found.readable, std::slice::from_ref(&first.name), "{found:?}");
            assert_eq!(found.lost.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&second.name], "{found:?}");
            std::fs::write(pack, whole).unwrap();
        }
        assert_eq!(repository.verify(None).unwrap().damage, Vec::<String>::new());
    })
    .await
    .unwrap();
}
