//! A picture of a product: chosen in the admin, sent to object storage by the browser, delivered in the size that a page asks for.

use std::path::PathBuf;
use std::time::Duration;

use secrets::SecretName;
use serde_json::Value;
use testkit::{Environment, repository, run, wait_until};

use crate::stage;

const BROWSER: [&str; 1] = ["playwright-core@1.64.1"];

#[test]
fn a_picture_chosen_in_the_admin_is_on_the_storefront_and_lives_through_the_end_of_its_processes() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
    shop.up_with(&["--no-gate"]);
    let key = stage::store_of(&shop).get(&SecretName::variable("UPLOAD_TOKEN")).unwrap().unwrap();

    let seen = in_a_browser(&shop, key.secret.expose());
    assert!(seen["admin"]["width"] == 160, "the admin shows another picture: {seen:#}");
    let shown = &seen["storefront"];
    let address = shown["address"].as_str().unwrap();
    assert!(address.starts_with("https://media."), "{seen:#}");
    assert_eq!(shown["type"], "image/webp", "{seen:#}");
    assert_eq!(shown["sniff"], "nosniff", "{seen:#}");
    // What a page asks for follows from how wide it shows it; the picture that was sent is 1000 wide.
    assert!([320, 640, 960].iter().any(|width| shown["width"] == *width), "{seen:#}");

    // Who has no key changes nothing, and what is not delivered in a width of the manifest is in none.
    let client = shop.client();
    let (place, json) =
        (format!("{}/products/enamel-mug/picture", shop.url("api")), ("content-type", "application/json"));
    assert_eq!(client.post(&place, &[json], r#"{"type":"image/png","bytes":10}"#).unwrap().status, 401);
    let original = address.split('?').next().unwrap();
    assert_eq!(client.get(&format!("{original}?w=641")).unwrap().status, 403);
    let stranger = original.replace("urbancart-local-products", "urbancart-production-products");
    assert_eq!(client.get(&format!("{stranger}?w=320")).unwrap().status, 404);

    for unit in ["objects", "media"] {
        let killed = shop.kill9(unit);
        wait_until("the picture is there again", Duration::from_secs(30), || {
            shop.runs_anew(unit, killed)?;
            // In a width that nobody asked for yet, so that it is made anew.
            let width = if unit == "objects" { 480 } else { 1280 };
            let answer = client.request("GET", &format!("{original}?w={width}"), &[("accept", "image/jpeg")], "")?;
            let is_picture = answer.headers.get("content-type").is_some_and(|kind| kind == "image/jpeg");
            if answer.status == 200 && is_picture {
                Ok(())
            } else {
                Err(format!("{} {:?}", answer.status, answer.headers))
            }
        });
    }
    shop.down();
}

/// What the admin shows after a picture was chosen there, and the storefront after that.
fn in_a_browser(shop: &Environment, key: &str) -> Value {
    let variables = shop.variables();
    let path = variables.get("PATH").map_or("", String::as_str);
    let node = host::process::find_in_path("node", path).expect("node is in PATH");
    let browser = ["chromium", "chromium-browser", "google-chrome"];
    let browser = browser.iter().find_map(|name| host::process::find_in_path(name, path)).expect("see ./setup");
    let script = repository().join("tests/live/pictures/admin.mjs");
    let mut variables = variables.clone();
    let playwright = testkit::tools::of_npm(&BROWSER).join("node_modules/playwright-core/index.js");
    let told = [
        ("PLAYWRIGHT", playwright),
        ("BROWSER", browser),
        ("ADMIN", PathBuf::from(shop.url("admin"))),
        ("STOREFRONT", PathBuf::from(shop.url("storefront"))),
        ("UPLOAD_KEY", PathBuf::from(key)),
    ];
    variables.extend(told.map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned())));
    let script = script.to_string_lossy().into_owned();
    run(&node, &[&script], shop.scratch(), &variables, Duration::from_secs(120)).expect(0).json()
}
