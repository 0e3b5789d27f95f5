//! How long 10,000 hosts take: `cargo bench --profile dist -p roadbed-edge`. The promise is less than a second to load, and a look-up
//! that takes no longer than with ten.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock itself")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use edge::publish::Publisher;
use edge::tls::local_ca;
use host::clock::{Clock, SystemClock};
use reconcile::Root;
use reconcile::ports::{RouteTable, Site, SiteAccess, Target};

const LOOKS: u32 = 1_000_000;

fn with(hosts: usize) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().canonicalize().unwrap());
    let site = |number: usize| Site {
        app: format!("shop-{number}"),
        hosts: vec![format!("shop-{number}.example")],
        target: Target::Files { folder: folder.path().to_owned(), spa_fallback: None },
        access: SiteAccess::Public,
        client_authorities: None,
        config: None,
        key_set: None,
        internal_socket: None,
        release: None,
        kept: Vec::new(),
        headers: std::collections::BTreeMap::new(),
    };
    let sites: Vec<Site> = (0..hosts).map(site).collect();
    let names: Vec<String> = sites.iter().flat_map(|site| site.hosts.clone()).collect();
    let owner = local_ca::Owner { environment: "bench".to_owned(), root: "1".to_owned() };
    local_ca::ensure(&root, &owner, &names, SystemClock.now()).unwrap();
    let publisher = Publisher::resume(root.clone(), Arc::new(SystemClock)).unwrap();
    let table = RouteTable { environment: "bench".to_owned(), https_port: 443, sites, ..RouteTable::default() };
    let begin = Instant::now();
    publisher.publish(table, None).unwrap();
    let published = begin.elapsed();
    // As an edge that starts again finds it.
    let begin = Instant::now();
    let publisher = Publisher::resume(root, Arc::new(SystemClock)).unwrap();
    let loaded = begin.elapsed();
    let serving = publisher.serving();
    let begin = Instant::now();
    for look in 0..LOOKS {
        let host = &names[look as usize % names.len()];
        assert!(black_box(serving.load().certificate(black_box(host))).is_some());
    }
    let each = begin.elapsed() / LOOKS;
    println!("{hosts} hosts: published in {published:?}, loaded in {loaded:?}, a certificate found in {each:?}");
}

fn main() {
    with(10);
    with(10_000);
}
