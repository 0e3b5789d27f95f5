//! How long 10,000 hosts take, and 10,000 certificates: `cargo bench --profile dist -p roadbed-edge`. The promise is less than a second
//! to load either, and a look-up that takes no longer than with ten.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock itself")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certificates::{Authority, Purpose, Subject};
use edge::publish::Publisher;
use edge::tls::issued::{Chain, Store};
use edge::tls::local_ca;
use edge::tls::shelf::Shelf;
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
        cache: None,
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
    // One certificate of so many names is longer than verifiers read.
    local_ca::ensure(&root, &owner, &["*.example".to_owned()], SystemClock.now()).unwrap();
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

/// Each host with a certificate of its own, as hosts of others have.
fn with_certificates(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().canonicalize().unwrap());
    let now = SystemClock.now();
    let authority = Authority::make("Bench", now, Duration::from_hours(24 * 90)).unwrap();
    let hosts: Vec<String> = (0..count).map(|number| format!("shop-{number}.example")).collect();
    for host in &hosts {
        let hosts = std::slice::from_ref(host);
        let subject = Subject { common_name: "x", organization: None, hosts, purposes: &[Purpose::Server] };
        let leaf = authority.issue(&subject, now, Duration::from_hours(24 * 30)).unwrap();
        let directory = "https://ca.example/".to_owned();
        let chain = Chain { directory, chain_pem: leaf.chain_pem, key_pem: leaf.key_pem };
        Store::of(&root, hosts).add(&chain).unwrap();
    }
    let before = resident();
    let begin = Instant::now();
    let shelf = Shelf::load(&root, None).unwrap();
    let loaded = begin.elapsed();
    let memory = resident().saturating_sub(before);
    assert_eq!(shelf.len(), count);
    let begin = Instant::now();
    let again = Shelf::load(&root, Some(&shelf)).unwrap();
    let looked = begin.elapsed();
    let begin = Instant::now();
    for look in 0..LOOKS {
        let host = &hosts[look as usize % hosts.len()];
        assert!(black_box(again.of(black_box(host))).is_some());
    }
    let each = begin.elapsed() / LOOKS;
    println!(
        "{count} certificates: loaded in {loaded:?} with {memory} KiB, looked at again in {looked:?}, one found in {each:?}"
    );
}

/// KiB of this process in memory.
fn resident() -> u64 {
    let status = host::files::read_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn main() {
    with(10);
    with(10_000);
    with_certificates(10);
    with_certificates(10_000);
}
