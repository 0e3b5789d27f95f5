//! What somebody sees who opens the addresses in a browser.

use std::fs;
use std::path::PathBuf;

use testkit::{Browser, Environment, link_repository, repository};

use crate::stage;

/// One page takes a proof of work.
const WORK: &str = "\n[environments.local.abuse]\nchallenges = [{ app = \"storefront\", path = \"/products/wool-throw\", difficulty = 12 }]\n";

/// Where pictures of the last run lie, for people to look at.
fn picture(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("screenshots").join(format!("{name}.png"))
}

#[test]
fn shop_and_admin_show_what_the_api_knows() {
    let _stage = stage::enter();
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let manifest = project.path().join("roadbed.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text + WORK).unwrap();
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    shop.up_with(&["--no-gate"]);
    let browser = Browser::of(&shop);
    let (storefront, admin) = (shop.url("storefront"), shop.url("admin"));

    let page = browser.document(&storefront);
    expect(&page, &["UrbanCart, <span>", r#"data-state="available""#, "Bicycle Bell", "Wool Throw", "€22.00"]);
    browser.screenshot(&storefront, 1280, 1600, &picture("storefront"));
    browser.screenshot(&storefront, 480, 1400, &picture("storefront-narrow"));
    let product = format!("{storefront}/products/bicycle-bell");
    expect(&browser.document(&product), &["Bicycle Bell", "One clear note, turned from brass."]);
    browser.screenshot(&product, 1280, 1000, &picture("product"));

    // A browser works for this one by itself; a program that does not is not let in.
    let guarded = format!("{storefront}/products/wool-throw");
    let asked = shop.client().get(&guarded).unwrap();
    assert_eq!((asked.status, asked.body.contains("One moment")), (403, true), "{}", asked.body);
    expect(&browser.document(&guarded), &["Wool Throw", "€"]);

    // These two are empty files until their scripts have asked the API, across origins.
    let page = browser.document(&admin);
    expect(&page, &["<h1>Products</h1>", "8 in the catalogue", "Bicycle Bell", "<b>local</b>"]);
    browser.screenshot(&admin, 1280, 1000, &picture("admin-products"));
    let status = format!("{admin}/status");
    let page = browser.document(&status);
    expect(
        &page,
        &["All systems ready", r#"data-store="mongodb" data-ok="true""#, r#"data-store="redis" data-ok="true""#],
    );
    browser.screenshot(&status, 1280, 800, &picture("admin-status"));
}

#[track_caller]
fn expect(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "the page does not show {part:?}:\n{page}");
    }
}
