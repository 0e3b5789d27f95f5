//! A backup makes way for a database that has become slow.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup::{Course, Sources, take_along};
use host::clock::{Clock, SystemClock};
use mongodb::bson::{Bson, doc};
use objects::store::Put;
use objects::{Bucket, Store};

use crate::stand::{Stand, noise};

const BUCKET: &str = "shop-media";

/// As many answers as a backup measures before it begins.
const UNDISTURBED: i32 = 9;

impl Stand {
    /// From now on MongoDB answers late, or no more so.
    async fn slow(&self, mode: impl Into<Bson>) {
        let late = doc! { "failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 60 };
        let told = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": late };
        self.client.database("admin").run_command(told).await.unwrap();
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_no_further_while_mongodb_is_busier_than_it_may_be() {
    const OBJECTS: u64 = 60;
    const EACH: usize = 2_500_000;
    let stand = Stand::that_can_be_slowed().await;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&folder.path().join("objects")).unwrap());
    store.settle(&[Bucket::private(BUCKET)]).unwrap();
    for number in 0..OBJECTS {
        store.put(BUCKET, &number.to_string(), Cursor::new(noise(number, EACH)), Put::default()).unwrap();
    }
    // No documents: nothing else waits.
    let sources = Sources { objects: Some(store), ..stand.sources() };
    let course = Arc::new(Course::new(3));
    stand.slow(doc! { "skip": UNDISTURBED }).await;
    let taking = {
        let (repository, course) = (stand.repository.clone(), course.clone());
        tokio::spawn(async move { take_along(&repository, sources, SystemClock.now(), &course).await })
    };
    until("it never waits", || course.waits()).await;
    // What was on its way has been counted.
    let mut before = u64::MAX;
    until("it goes on", || std::mem::replace(&mut before, course.done()) == course.done()).await;
    let all = OBJECTS * EACH as u64;
    assert!(course.waits() && course.done() < all && !taking.is_finished(), "{} of {all}", course.done());
    stand.slow("off").await;
    let taken = taking.await.unwrap().unwrap();
    assert!(!course.waits());
    assert!(course.done() >= all && taken.contents.objects.unwrap().buckets[0].bytes == all);
}
