//! UrbanCart with carts that go to Redis by Upstash's client and our gateway.

use std::fs;
use std::time::Duration;

use testkit::{Environment, link_repository, wait_until};

use crate::stage;

#[test]
fn carts_go_by_the_gateway_and_live_through_its_end() {
    let _stage = stage::enter();
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let path = project.path().join("roadbed.toml");
    let text = fs::read_to_string(&path).unwrap();
    let edited = text.replace("required = \"never\"\nvalue = \"tcp\"", "required = \"never\"\nvalue = \"rest\"");
    assert_ne!(edited, text, "the manifest says in another way how carts come to Redis");
    fs::write(&path, edited).unwrap();
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    shop.up_with(&["--no-gate"]);

    let (client, api) = (shop.client(), shop.url("api"));
    let headers = [("content-type", "application/json")];
    let put = client.request("PUT", &format!("{api}/cart/items/enamel-mug"), &headers, r#"{"quantity":2}"#).unwrap();
    assert_eq!(put.status, 200, "{}", put.body);
    let cookie = put.headers["set-cookie"].split(';').next().unwrap().to_owned();
    let cart = || client.request("GET", &format!("{api}/cart"), &[("cookie", cookie.as_str())], "");
    assert_eq!(cart().unwrap().json()["count"], 2);

    // Upstash's rate limiter counts there too. A minute may end in between, and begins to count anew.
    let again = || {
        let headers = [headers[0], ("cookie", cookie.as_str())];
        client.request("PUT", &format!("{api}/cart/items/enamel-mug"), &headers, r#"{"quantity":2}"#).unwrap()
    };
    let refused = (0..700).map(|_| again()).find(|answer| answer.status != 200).expect("a cart may change for ever");
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (429, true), "{}", refused.body);

    // The app has a connection to Redis neither before nor after: without the gateway there are no carts.
    let killed = shop.kill9("redis-rest");
    wait_until("the cart is there again", Duration::from_secs(30), || {
        shop.runs_anew("redis-rest", killed)?;
        let answer = cart()?;
        if answer.status == 200 && answer.json()["count"] == 2 { Ok(()) } else { Err(answer.body) }
    });
    let held = host::drill::freeze(shop.pid_of("redis-rest")).unwrap();
    let refused = cart().unwrap();
    drop(held);
    assert_eq!(refused.status, 503, "the cart came by another way: {}", refused.body);
    shop.down();
}
