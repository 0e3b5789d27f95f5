//! What is kept, for whom, and how it is taken back.

use std::sync::atomic::Ordering;

use media::Settings;

use crate::pictures::read;
use crate::role::{Role, settings, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_who_ask_at_once_cost_one_picture() {
    let role = Role::start(settings()).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    let requests = (0..50).map(|_| role.get("/shop/shoe.jpg?w=1080", &[]));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!(role.media.pictures_begun(), 1);
    // What cannot be made is not tried by each of them either.
    role.put("broken.jpg", &read("quarters.jpg")[..5000]);
    let requests = (0..50).map(|_| role.get("/shop/broken.jpg?w=1080", &[]));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| answer.status == 422), "{}", answers[0].text());
    assert_eq!(role.media.pictures_begun(), 2);
    assert!(answers.iter().all(|answer| answer.header("cache-control") == "no-store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_one_answer_however_it_is_written() {
    let role = Role::start(settings()).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    for target in [
        "/shop/shoe.jpg?w=320",
        "/shop/%73hoe.jpg?w=320",
        "/shop/shoe.jpg?q=75&w=320",
        "/shop/shoe.jpg?w=320&fit=cover",
    ] {
        assert_eq!(role.get(target, &[]).await.status, 200, "{target}");
    }
    assert_eq!(role.media.pictures_begun(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_picture_under_the_same_name_is_seen() {
    let role = Role::start(Settings { fresh_seconds: 0, stale_seconds: 0, ..settings() }).await;
    role.put("shoe.png", &read("half.png"));
    let first = role.get("/shop/shoe.png?w=160", &[]).await;
    let again = role.get("/shop/shoe.png?w=160", &[]).await;
    assert_eq!(first.header("etag"), again.header("etag"));
    assert_eq!(role.media.pictures_begun(), 1, "the origin said that nothing changed");
    role.put("shoe.png", &read("quarters.png"));
    let other = role.get("/shop/shoe.png?w=160", &[]).await;
    assert_ne!(first.header("etag"), other.header("etag"));
    // A store that does not answer takes away nothing that is kept.
    role.origin.is_away.store(true, Ordering::SeqCst);
    let kept = role.get("/shop/shoe.png?w=160", &[]).await;
    assert_eq!((kept.status.as_u16(), kept.header("etag")), (200, other.header("etag")));
    assert_eq!(role.get("/shop/shoe.png?w=320", &[]).await.status, 502);
    role.origin.is_away.store(false, Ordering::SeqCst);
    std::fs::remove_file(role.file("shoe.png")).unwrap();
    until("what is gone is gone here", || async { role.get("/shop/shoe.png?w=160", &[]).await.status == 404 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_answer_is_given_at_once_and_replaced_behind_it() {
    let role = Role::start(Settings { fresh_seconds: 0, stale_seconds: 3600, ..settings() }).await;
    role.put("shoe.png", &read("half.png"));
    let first = role.get("/shop/shoe.png?w=160", &[]).await;
    role.put("shoe.png", &read("quarters.png"));
    let stale = role.get("/shop/shoe.png?w=160", &[]).await;
    assert_eq!(first.header("etag"), stale.header("etag"));
    until("the other picture is there", || async {
        role.get("/shop/shoe.png?w=160", &[]).await.header("etag") != first.header("etag")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_taken_back_by_key_prefix_and_tag() {
    let role = Role::start(settings()).await;
    for name in ["a/one.png", "a/two.png", "b/three.png"] {
        role.put(name, &read("half.png"));
    }
    role.put("b/three.png.tags", b"season, shoes");
    let begun = || role.media.pictures_begun();
    let all = || async {
        for name in ["a/one.png", "a/two.png", "b/three.png"] {
            assert_eq!(role.get(&format!("/shop/{name}?w=160"), &[]).await.status, 200, "{name}");
        }
    };
    all().await;
    all().await;
    assert_eq!(begun(), 3);
    for (selector, count) in [
        (r#"{"key": "shop/a/one.png"}"#, 1),
        (r#"{"prefix": "shop/a/"}"#, 2),
        (r#"{"tag": "shoes"}"#, 1),
        (r#"{"tag": "hats"}"#, 0),
        (r#"{"prefix": "shop/"}"#, 3),
    ] {
        let before = begun();
        assert_eq!(role.purge(selector).await, format!("{{\"purged\":{count}}}"), "{selector}");
        all().await;
        assert_eq!(begun(), before + count, "{selector}");
    }
    assert!(role.admin("POST", "/-/purge", br#"{"everything": 1}"#).await.status.is_client_error());
    assert_eq!(role.get("/-/purge", &[]).await.status, 400, "it is not among what visitors reach");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_being_made_when_it_was_taken_back_is_not_kept() {
    for selector in [r#"{"key": "shop/shoe.png"}"#, r#"{"prefix": "shop/"}"#, r#"{"tag": "shoes"}"#] {
        let folder = tempfile::tempdir().unwrap();
        let role = Role::start(Settings { folder: Some(folder.path().to_owned()), ..settings() }).await;
        role.put("shoe.png", &read("half.png"));
        role.put("shoe.png.tags", b"shoes");
        let held = role.origin.held.write().await;
        let old = async {
            let answer = role.get("/shop/shoe.png?w=160", &[]).await;
            assert_eq!(answer.status, 200);
            answer
        };
        let purged = async {
            until("the old one is on its way", || async { role.origin.opened.load(Ordering::SeqCst) == 1 }).await;
            role.put("shoe.png", &read("quarters.png"));
            role.purge(selector).await;
            drop(held);
            role.get("/shop/shoe.png?w=160", &[]).await
        };
        let (old, new) = tokio::join!(old, purged);
        assert_ne!(old.header("etag"), new.header("etag"), "{selector}");
        let kept = role.get("/shop/shoe.png?w=160", &[]).await;
        assert_eq!(kept.header("etag"), new.header("etag"), "{selector}");
        assert_eq!(role.media.pictures_begun(), 2, "{selector}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_keeps_what_it_may_and_a_restart_keeps_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let most = 40_000;
    let kept =
        Settings { folder: Some(folder.path().join("cache")), disk_bytes: most, memory_bytes: 10_000, ..settings() };
    let role = Role::start(kept.clone()).await;
    for number in 0..30 {
        role.put(&format!("{number}.jpg"), &read("quarters.jpg"));
    }
    let on_disk = || -> u64 {
        let files = std::fs::read_dir(folder.path().join("cache")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    for number in 0..30 {
        assert_eq!(role.get(&format!("/shop/{number}.jpg?w=320"), &[]).await.status, 200);
        assert!(on_disk() <= most, "{} bytes", on_disk());
    }
    assert!(on_disk() > most / 2, "{} bytes", on_disk());
    assert!(role.metric("memory_bytes").await <= 10_000);
    assert_eq!(role.metric("disk_bytes").await, on_disk());

    let role = role.again(kept.clone()).await;
    assert_eq!(role.metric("disk_bytes").await, on_disk());
    let last = role.get("/shop/29.jpg?w=320", &[]).await;
    assert_eq!((last.status.as_u16(), role.media.pictures_begun()), (200, 0));
    assert_eq!(role.metric("disk_hits_total").await, 1);
    // A byte that turned on the disk is not delivered.
    for file in std::fs::read_dir(folder.path().join("cache")).unwrap() {
        let file = file.unwrap().path();
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    std::fs::write(folder.path().join("cache/0000"), b"a stranger's").unwrap();
    let role = role.again(kept).await;
    assert_eq!(role.get("/shop/29.jpg?w=320", &[]).await.body, last.body);
    assert_eq!(role.media.pictures_begun(), 1);
    assert!(!folder.path().join("cache/0000").exists());
}

/// What is asked for again and again stays, whoever reads everything once meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawler_pushes_out_nothing_that_is_used() {
    let role = Role::start(Settings { memory_bytes: 30_000, ..settings() }).await;
    role.put("hot.png", &read("half.png"));
    for _ in 0..5 {
        role.get("/shop/hot.png?w=160", &[]).await;
    }
    for number in 0..60 {
        role.put(&format!("{number}.png"), &read("half.png"));
        assert_eq!(role.get(&format!("/shop/{number}.png?w=160"), &[]).await.status, 200);
    }
    assert!(role.metric("memory_bytes").await <= 30_000);
    let before = role.media.pictures_begun();
    assert_eq!(role.get("/shop/hot.png?w=160", &[]).await.status, 200);
    assert_eq!(role.media.pictures_begun(), before);
}
