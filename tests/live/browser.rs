//! What somebody sees who opens the addresses in a browser.

use std::path::PathBuf;

use testkit::{Browser, repository};

use crate::stage;

/// Where pictures of the last run lie, for people to look at.
fn picture(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("screenshots").join(format!("{name}.png"))
}

#[test]
fn shop_and_admin_show_what_the_api_knows() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
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
