//! kill -9 of everybody, in any order, while visitors look and order.
//!
//! Four visitors never stop. Whoever got an answer to an order (the API gives it after a majority of MongoDB has the order)
//! writes it down. A watcher looks all the time whether something runs twice. After each blow everything must be there again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Client, Environment, processes_of, wait_until};

use crate::stage;

const UNITS: [&str; 11] = [
    "control",
    "edge",
    "telemetry",
    "mongodb",
    "redis",
    "redis-cache",
    "redis-rest",
    "objects",
    "media",
    "api-1",
    "storefront-1",
];

/// Each is killed at once. The pairs take away who would bring the other back.
const BLOWS: [&[&str]; 16] = [
    &["control"],
    &["redis-rest"],
    &["objects"],
    &["media"],
    &["edge"],
    &["keeper"],
    &["telemetry"],
    &["mongodb"],
    &["redis"],
    &["api-1"],
    &["storefront-1"],
    &["keeper", "control"],
    &["keeper", "edge"],
    &["keeper", "mongodb"],
    &["keeper", "redis", "api-1"],
    &["mongodb", "redis", "redis-cache"],
];

/// Printed when a storm fails, so that it can be had again.
const STORMS: [u64; 2] = [0x5eed, 0xb1ade];
const HAILS: [u64; 3] = [4, 6, 0x5eed];

/// Two seconds were seen: a database recovers its journal, a driver looks for it each two seconds. An app's patience with a
/// start is 30 s and more: whoever waits for something that nobody starts is found out.
const HEALED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn whatever_is_killed_comes_back_and_no_order_is_lost() {
    let _stage = stage::enter_alone();
    let shop = stage::urbancart();
    shop.up_with(&["--no-gate"]);
    let watch =
        Watch { urls: [shop.url("storefront"), shop.url("api")], client: shop.client(), over: AtomicBool::new(false) };
    let orders = Orders::default();

    thread::scope(|scope| {
        // Whatever happens to this thread, the others must end.
        let _over = EndOnDrop(&watch.over);
        for visitor in 0..2 {
            let (watch, orders) = (&watch, &orders);
            scope.spawn(move || watch.until_over(|| drop(watch.client.get(&format!("{}/products", watch.urls[1])))));
            scope.spawn(move || watch.order_until_over(visitor, orders));
        }
        let twice = scope.spawn(|| watch.for_doubles(&shop));
        let start = Instant::now();
        for seed in STORMS {
            storm(&shop, &watch, seed, start);
        }
        for seed in HAILS {
            hail(&shop, &watch, seed);
        }
        watch.over.store(true, Ordering::Relaxed);
        assert_eq!(twice.join().unwrap(), BTreeSet::new(), "a unit ran twice at once");
    });

    let orders = orders.0.into_inner().unwrap();
    assert!(orders.len() > 50, "the visitors got through with {} orders only", orders.len());
    all_are_there(&watch, &orders);
    wait_until("every promise holds again", Duration::from_secs(180), || {
        let report = shop.ready(&[]);
        if report["holds"] == true { Ok(()) } else { Err(format!("{report:#}")) }
    });
    let doubles = processes_of(shop.root());
    let names: BTreeSet<&str> = doubles.iter().map(|(_, unit)| unit.as_str()).collect();
    let all = UNITS.len() + 1;
    assert_eq!((doubles.len(), names.len()), (all, all), "every unit and the keeper, each once: {doubles:?}");
}

/// One blow after the other, each in its turn healed.
fn storm(shop: &Environment, watch: &Watch, seed: u64, start: Instant) {
    for blow in shuffled(seed) {
        let killed = strike(shop, blow);
        let struck = Instant::now();
        let what = format!("{blow:?} is healed (seed {seed:#x}, {} s into the storm)", start.elapsed().as_secs());
        wait_until(&what, HEALED_WITHIN, || watch.is_whole(shop, &killed));
        eprintln!("storm {seed:#x}: {blow:?} healed after {} ms", struck.elapsed().as_millis());
    }
}

/// The blows without waiting for anything: who is just coming back is hit again.
fn hail(shop: &Environment, watch: &Watch, seed: u64) {
    let mut random = Random(seed);
    for blow in shuffled(seed) {
        // Not all three that can bring each other back at once: nobody would be left to do it.
        let living: BTreeSet<String> = processes_of(shop.root()).into_iter().map(|(_, unit)| unit).collect();
        let saviours =
            ["keeper", "control", "edge"].iter().filter(|unit| living.contains(**unit) && !blow.contains(unit));
        if saviours.count() > 0 {
            strike(shop, blow);
        }
        thread::sleep(Duration::from_millis(random.below(700)));
    }
    let struck = Instant::now();
    wait_until(&format!("the hail is over (seed {seed:#x})"), HEALED_WITHIN, || watch.is_whole(shop, &[]));
    eprintln!("hail {seed:#x}: healed after {} ms", struck.elapsed().as_millis());
}

/// Kills whoever of these lives. Returns their pids.
fn strike(shop: &Environment, blow: &[&str]) -> Vec<u32> {
    let victims: Vec<u32> = processes_of(shop.root())
        .into_iter()
        .filter(|(_, unit)| blow.contains(&unit.as_str()))
        .map(|(pid, _)| pid)
        .collect();
    for pid in &victims {
        // Gone by itself meanwhile, perhaps: a keeper that another was faster than.
        let _ = host::drill::kill(*pid);
    }
    victims
}

struct Watch {
    /// Storefront and API.
    urls: [String; 2],
    client: Client,
    over: AtomicBool,
}

/// What was acknowledged: idempotency key to the order's id.
#[derive(Default)]
struct Orders(Mutex<BTreeMap<String, String>>);

impl Watch {
    fn until_over(&self, work: impl Fn()) {
        while !self.over.load(Ordering::Relaxed) {
            work();
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Orders, and asks again with the same key until there is an answer, as a good client does.
    fn order_until_over(&self, visitor: usize, orders: &Orders) {
        for number in 0.. {
            let key = format!("storm-{visitor}-{number}");
            loop {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(id) = self.order(&key) {
                    orders.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, id);
                    break;
                }
                thread::sleep(Duration::from_millis(100));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// `None` if nothing was promised.
    fn order(&self, key: &str) -> Option<String> {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let body = r#"{"items":[{"slug":"enamel-mug","quantity":1}]}"#;
        let answer =
            self.client.patient_for(Duration::from_secs(8)).post(&format!("{}/orders", self.urls[1]), &headers, body);
        let answer = answer.ok().filter(|answer| answer.status == 201)?;
        Some(answer.json()["id"].as_str().unwrap().to_owned())
    }

    /// Every unit runs, none of them as a process that was killed, and both apps answer from their stores.
    fn is_whole(&self, shop: &Environment, killed: &[u32]) -> Result<(), String> {
        let there = processes_of(shop.root());
        if let Some(pid) = killed.iter().find(|pid| there.iter().any(|(other, _)| other == *pid)) {
            return Err(format!("{pid} is still dying"));
        }
        let ran = shop.roadbed(&["status", "--json"]);
        if ran.code != 0 {
            return Err(ran.stderr);
        }
        let status = ran.json();
        let running: BTreeSet<&str> = status["units"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|unit| unit["state"] == "running" && unit["pid"].is_u64())
            .filter_map(|unit| unit["name"].as_str())
            .collect();
        if running != BTreeSet::from(UNITS) {
            return Err(status.to_string());
        }
        let client = self.client.patient_for(Duration::from_secs(5));
        for (url, words) in [(&self.urls[0], "Enamel Mug"), (&format!("{}/ready", self.urls[1]), r#""ready""#)] {
            let answer = client.get(url).map_err(|why| format!("{url}: {why}"))?;
            if answer.status != 200 || !answer.body.contains(words) {
                let body: String = answer.body.chars().take(300).collect();
                return Err(format!("{url} answered {}: {body}", answer.status));
            }
        }
        Ok(())
    }

    /// Units that were seen with two processes at once. Two keepers are none: the second finds the lock held, and goes.
    fn for_doubles(&self, shop: &Environment) -> BTreeSet<String> {
        let (mut seen, mut before) = (BTreeSet::new(), BTreeSet::new());
        while !self.over.load(Ordering::Relaxed) {
            let there = processes_of(shop.root());
            let pairs = UNITS.iter().filter_map(|unit| {
                let pids: Vec<u32> = there.iter().filter(|(_, other)| other == unit).map(|(pid, _)| *pid).collect();
                (pids.len() > 1).then(|| format!("{unit}: {pids:?}"))
            });
            let now: BTreeSet<String> = pairs.collect();
            // What a role starts, a keeper or a program of the machine, looks like the role until it begins: two looks tell.
            seen.extend(now.intersection(&before).cloned());
            before = now;
            thread::sleep(Duration::from_millis(150));
        }
        seen
    }
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn all_are_there(watch: &Watch, orders: &BTreeMap<String, String>) {
    let ids: BTreeSet<&String> = orders.values().collect();
    assert_eq!(ids.len(), orders.len(), "two keys were given the same order");
    let mut lost = Vec::new();
    for (key, id) in orders {
        let url = format!("{}/orders/{id}", watch.urls[1]);
        let answer = watch.client.get(&url).unwrap_or_else(|why| panic!("{url}: {why}"));
        if answer.status != 200 {
            lost.push(format!("{key}: {} for {id}", answer.status));
        }
        // The same key still means the same order: nothing was made twice.
        if key.ends_with('7') && watch.order(key).as_ref() != Some(id) {
            lost.push(format!("{key} was given another order than {id}"));
        }
    }
    eprintln!("storm: {} orders acknowledged", orders.len());
    assert!(lost.is_empty(), "of {} acknowledged orders: {lost:?}", orders.len());
}

fn shuffled(seed: u64) -> Vec<&'static [&'static str]> {
    let mut random = Random(seed);
    let mut blows = BLOWS.to_vec();
    for last in (1..blows.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap();
        blows.swap(last, other);
    }
    blows
}

/// Splitmix: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
