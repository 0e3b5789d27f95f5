//! Members killed at random while orders are written: nothing that was acknowledged is lost, and nothing is there twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc, oid::ObjectId};
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{IndexOptions, ReadConcern};
use mongodb::{Collection, IndexModel};
use reconcile::Resource;
use reconcile::ports::Units;

use crate::members::{as_app, free_ports, report_of, settled};
use crate::stand::{Stand, until};

const KILLS: usize = 30;

/// The seed is printed, and taken from `CHAOS_SEED`, so that a storm that found something can be had again.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) * 7_919 + 1);
        Self(seed)
    }

    /// SplitMix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Orders as an app writes them: tried again under the same key until they are acknowledged.
async fn write(orders: Collection<Document>, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicI64>) -> u64 {
    let mut retries = 0;
    for key in 0_i64.. {
        loop {
            if stop.load(Ordering::Relaxed) {
                return retries;
            }
            match orders.insert_one(doc! { "_id": ObjectId::new(), "key": key }).await {
                Ok(_) => break,
                // It was written, by a try whose answer was lost. Whether a majority has it, only a majority can tell.
                Err(error) if is_duplicate(&error) => {
                    let majority = orders.find_one(doc! { "key": key }).read_concern(ReadConcern::majority()).await;
                    if matches!(majority, Ok(Some(_))) {
                        break;
                    }
                }
                Err(_) => {}
            }
            retries += 1;
        }
        acknowledged.store(key + 1, Ordering::Relaxed);
    }
    retries
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == 11_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_random_kills_lose_no_acknowledged_write_and_double_none() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let mongo = settled(&stand, &ports).await;
    let mut dice = Dice::new();
    println!("CHAOS_SEED={}", dice.0);
    let orders: Collection<Document> = as_app(&stand, &ports).await.database("shop-local").collection("orders");
    let unique = IndexOptions::builder().unique(true).build();
    orders.create_index(IndexModel::builder().keys(doc! { "key": 1 }).options(unique).build()).await.unwrap();

    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let writing = tokio::spawn(write(orders.clone(), stop.clone(), acknowledged.clone()));
    // The keeper of this stand starts what died when it is asked what there is.
    let keeping = tokio::spawn({
        let units = stand.units.clone();
        async move {
            loop {
                let _ = units.list().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });

    let began = Instant::now();
    let units = ["mongodb", "mongodb-2", "mongodb-3"];
    let (mut kills, mut of_primary) = (0, 0);
    while kills < KILLS {
        let before = acknowledged.load(Ordering::Relaxed);
        let states = report_of(&stand, &ports).await;
        let first = usize::try_from(dice.below(3)).unwrap();
        let burst = if dice.below(4) == 0 { 2 } else { 1 };
        for member in (0..burst).map(|step| (first + step) % 3) {
            of_primary += usize::from(states[member].state == "primary");
            stand.units.kill(units[member]);
            kills += 1;
        }
        // Mostly as soon as writing goes on, with a member that still catches up; sometimes when all is well.
        let is_patient = dice.below(6) == 0;
        until("writing goes on", || async { acknowledged.load(Ordering::Relaxed) > before + 3 }).await;
        if is_patient {
            until("all are back", || async {
                report_of(&stand, &ports).await.iter().all(|one| ["primary", "secondary"].contains(&one.state.as_str()))
            })
            .await;
        }
    }
    println!("{kills} kills in {:?}, {of_primary} of a primary", began.elapsed());
    stop.store(true, Ordering::Relaxed);
    let retries = writing.await.unwrap();
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    until("all are back", || async {
        report_of(&stand, &ports).await.iter().all(|one| ["primary", "secondary"].contains(&one.state.as_str()))
    })
    .await;
    keeping.abort();

    let mut found: BTreeMap<i64, u32> = BTreeMap::new();
    let all: Vec<Document> = orders.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    for order in all {
        *found.entry(order.get_i64("key").unwrap()).or_default() += 1;
    }
    println!("{acknowledged} acknowledged, {} found, {retries} tried again", found.len());
    let lost: Vec<i64> = (0..acknowledged).filter(|key| !found.contains_key(key)).collect();
    let doubled: Vec<i64> = found.iter().filter(|(_, times)| **times > 1).map(|(key, _)| *key).collect();
    // How much was written between the kills is for the machine to say; between any two of them something was.
    assert!(acknowledged > i64::try_from(KILLS).unwrap(), "hardly anything was written: {acknowledged}");
    assert_eq!((lost, doubled), (vec![], vec![]));
    let seen = mongo.observe().await.unwrap();
    assert_eq!(mongo.plan(&seen), [], "{seen:#?}");
}
