//! Sites that are files.

use std::path::Path;

use crate::app::App;
use crate::visitor::{Reply, exchange, get, read_until, tls};
use crate::world::{SHOP, World, folder_site, shop};

const SCRIPT: &str = "assets/index-BqZx81fA.js";

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

async fn stage() -> (World, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    write(&site, "index.html", "<h1>home</h1>");
    write(&site, SCRIPT, "plain script");
    write(&site, &format!("{SCRIPT}.br"), "brotli");
    write(&site, &format!("{SCRIPT}.gz"), "gzip");
    write(&site, "docs/index.html", "docs");
    write(&site, "letters.txt", "0123456789");
    write(&site, ".env", "SECRET=1");
    write(folder.path(), "outside.txt", "outside");
    std::os::unix::fs::symlink(folder.path().join("outside.txt"), site.join("link.txt")).unwrap();
    std::os::unix::fs::symlink(folder.path(), site.join("up")).unwrap();
    let world = World::new().await;
    world.publish(vec![folder_site(&site)]).await;
    (world, folder)
}

async fn fetch(world: &World, path: &str, lines: &str) -> Reply {
    get(world, SHOP, path, lines).await
}

#[tokio::test]
async fn the_visitors_favourite_encoding_is_sent() {
    let (world, _folder) = stage().await;
    let script = format!("/{SCRIPT}");
    for (accept, encoding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "brotli"),
        ("br;q=0.1, gzip", Some("gzip"), "gzip"),
        ("zstd", None, "plain script"),
        ("br;q=0", None, "plain script"),
    ] {
        let reply = fetch(&world, &script, &format!("Accept-Encoding: {accept}\r\n")).await;
        assert_eq!((reply.header("content-encoding"), reply.text()), (encoding, body), "{accept}");
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
        assert_eq!(reply.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    let reply = fetch(&world, "/letters.txt", "Accept-Encoding: br\r\n").await;
    assert_eq!((reply.header("vary"), reply.header("cache-control")), (None, Some("no-cache")));
}

#[tokio::test]
async fn what_the_visitor_has_is_not_sent_again() {
    let (world, folder) = stage().await;
    let first = fetch(&world, "/letters.txt", "").await;
    let (tag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    assert!(tag.starts_with('"'));
    let again = fetch(&world, "/letters.txt", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)));
    assert_eq!(fetch(&world, "/letters.txt", &format!("If-Modified-Since: {date}\r\n")).await.status, 304);
    assert_eq!(fetch(&world, "/letters.txt", "If-None-Match: \"other\"\r\n").await.status, 200);
    // The same size at nearly the same time: only its content is different.
    write(folder.path(), "site/letters.txt", "9876543210");
    let changed = fetch(&world, "/letters.txt", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!((changed.status, changed.text()), (200, "9876543210"));
    let encoded = fetch(&world, &format!("/{SCRIPT}"), "Accept-Encoding: br\r\n").await;
    let plain = fetch(&world, &format!("/{SCRIPT}"), "").await;
    assert_ne!(encoded.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_as_one() {
    let (world, _folder) = stage().await;
    let part = fetch(&world, "/letters.txt", "Range: bytes=2-4\r\n").await;
    assert_eq!((part.status, part.text()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(fetch(&world, "/letters.txt", "Range: bytes=-2\r\n").await.text(), "89");
    let beyond = fetch(&world, "/letters.txt", "Range: bytes=10-\r\n").await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    let whole = fetch(&world, "/letters.txt", "Range: bytes=0-1\r\nIf-Range: \"old\"\r\n").await;
    assert_eq!((whole.status, whole.text()), (200, "0123456789"));
    let tag = whole.header("etag").unwrap();
    let same = fetch(&world, "/letters.txt", &format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n")).await;
    assert_eq!((same.status, same.text()), (206, "01"));
}

#[tokio::test]
async fn the_apps_own_router_gets_navigations_and_nothing_else() {
    let (world, _folder) = stage().await;
    let html = "Accept: text/html,application/xhtml+xml\r\n";
    assert_eq!(fetch(&world, "/", "").await.text(), "<h1>home</h1>");
    let page = fetch(&world, "/status", html).await;
    assert_eq!((page.status, page.text(), page.header("cache-control")), (200, "<h1>home</h1>", Some("no-cache")));
    assert_eq!(fetch(&world, "/status", "Accept: */*\r\n").await.status, 404);
    assert_eq!(fetch(&world, "/gone.js", html).await.status, 404);
    assert_eq!(fetch(&world, "/status", &format!("{html}Sec-Fetch-Mode: cors\r\n")).await.status, 404);
    let docs = fetch(&world, "/docs", html).await;
    assert_eq!((docs.status, docs.header("location")), (308, Some("/docs/")));
    assert_eq!(fetch(&world, "/docs/", html).await.text(), "docs");
}

#[tokio::test]
async fn nothing_outside_the_folder_is_sent() {
    let (world, _folder) = stage().await;
    for path in [
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/docs/..%2f..%2foutside.txt",
        "/docs/%5c..%5coutside.txt",
        "/link.txt",
        "/up/outside.txt",
        "/up/site/letters.txt",
        "/.env",
        "/letters.txt%00.html",
        "/letters.txt/",
        "/%ff",
        "/assets",
    ] {
        let reply = fetch(&world, path, "").await;
        assert_eq!(reply.status, 404, "{path} gave {:?}", reply.text());
        assert!(!reply.text().contains("outside") && !reply.text().contains("SECRET"), "{path}");
    }
}

#[tokio::test]
async fn a_head_has_everything_but_the_body_and_other_methods_are_none() {
    let (world, _folder) = stage().await;
    let mut stream = tls(&world, SHOP).await;
    let wire = format!("HEAD /letters.txt HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, wire.as_bytes()).await.unwrap();
    let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await.unwrap()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 10"), "{head}");
    // The next answer follows at once: there was no body in between.
    let wire = format!("POST /letters.txt HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 0\r\n\r\n");
    let reply = exchange(&mut stream, wire.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn public_settings_are_served_with_every_kind_of_site() {
    let (world, folder) = stage().await;
    let check = async || {
        let reply = fetch(&world, "/config.json", "").await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
        let config: serde_json::Value = serde_json::from_str(reply.text()).unwrap();
        assert_eq!(config["PUBLIC_API_URL"], "https://api.shop.localhost");
    };
    check().await;
    let app = App::saying("the app").await;
    let config = folder_site(folder.path()).config;
    world.publish(vec![reconcile::ports::Site { config, ..shop(app.port) }]).await;
    check().await;
    assert_eq!(fetch(&world, "/other", "").await.text(), "the app");
}

#[tokio::test]
async fn a_large_file_arrives_whole() {
    let (world, folder) = stage().await;
    let large: String = (0..400_000).map(|at| format!("{at:08}\n")).collect();
    write(folder.path(), "site/large.csv", &large);
    let reply = fetch(&world, "/large.csv", "").await;
    assert!(reply.text() == large, "{} bytes of {}", reply.body.len(), large.len());
}
