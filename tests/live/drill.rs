//! The gate takes stores away to see what happens. Killed in the middle of that, it must not leave them away.

use std::thread;
use std::time::Duration;

use host::process::table;
use testkit::{Environment, wait_until};

use crate::stage;

const HEALED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_check_that_is_killed_leaves_no_store_stopped_or_frozen() {
    let _stage = stage::enter_alone();
    let shop = stage::urbancart();
    shop.up_with(&["--no-gate"]);
    let mongodb = shop.pid_of("mongodb");

    thread::scope(|scope| {
        let asked = scope.spawn(|| shop.roadbed(&["ready", "--only", "readiness-follows-the-stores"]));
        wait_until("the check has both stores away", Duration::from_secs(20), || away(&shop, mongodb));
        shop.kill9("control");
        assert_ne!(asked.join().unwrap().code, 0, "a check that was cut off proves nothing");
    });

    wait_until("both stores are back", HEALED_WITHIN, || match away(&shop, mongodb) {
        Err(seen) if seen == BOTH_HERE => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(shop.pid_of("mongodb"), mongodb, "it was let run again, not replaced");
    let (client, ready) = (shop.client(), format!("{}/ready", shop.url("api")));
    wait_until("the api is ready", HEALED_WITHIN, || match client.get(&ready) {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

const BOTH_HERE: &str = "redis is running, mongod is not frozen";

/// Whether Redis is on hold and MongoDB frozen; otherwise what is.
fn away(shop: &Environment, mongodb: u32) -> Result<(), String> {
    let redis = shop.unit("redis").map_or("gone".to_owned(), |unit| unit.state);
    let is_frozen = table::entry(mongodb).is_some_and(|entry| entry.state == 'T');
    match (redis.as_str(), is_frozen) {
        ("held", true) => Ok(()),
        (redis, is_frozen) => Err(format!("redis is {redis}, mongod is {}frozen", if is_frozen { "" } else { "not " })),
    }
}
