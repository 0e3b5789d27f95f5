//! A real name server (Knot DNS) with a zone that takes updates, and a second one that copies it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::tools;

/// Knot, and those of its libraries that not every machine has.
const KNOT: [&str; 11] = [
    "knot",
    "libknot13",
    "libzscanner4",
    "libdnssec9",
    "liblmdb0",
    "liburcu8",
    "libcap-ng0",
    "libedit2",
    "libxdp1",
    "libbpf1",
    "libelf1",
];

/// One running server; ends with this.
#[derive(Debug)]
pub struct NameServer {
    /// `HOST:PORT`.
    pub address: String,
    folder: PathBuf,
    child: Child,
}

/// Name of the key that updates are signed with.
pub const KEY: &str = "roadbed.test";

/// And the key, in base64.
pub const SECRET: &str = "bm9ib2R5LWVsc2Uta25vd3MtdGhpcy1vbmUtYXQtYWxs";

impl NameServer {
    /// Two for one zone: the first takes updates, the second copies them. `records` are lines of the zone.
    ///
    /// # Panics
    /// Where they cannot be had or do not start.
    pub fn two(folder: &Path, zone: &str, records: &str) -> [Self; 2] {
        let ports: [u16; 2] =
            std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let [first, second] = ports;
        let remote = |port: u16| format!("remote:\n  - id: other\n    address: 127.0.0.1@{port}\n");
        let of_first = format!(
            "key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n{}\
             acl:\n  - id: update\n    key: {KEY}\n    action: update\n  - id: copy\n    address: 127.0.0.1\n    action: transfer\n\
             zone:\n  - domain: {zone}\n    file: zone\n    acl: [update, copy]\n    notify: other\n    zonefile-sync: -1\n    \
             journal-content: all\n",
            remote(second)
        );
        let of_second = format!(
            "{}acl:\n  - id: told\n    address: 127.0.0.1\n    action: notify\nzone:\n  - domain: {zone}\n    master: other\n    \
             acl: told\n",
            remote(first)
        );
        let [at_first, at_second] = ["first", "second"].map(|name| folder.join(name));
        for at in [&at_first, &at_second] {
            fs::create_dir_all(at.join("db")).unwrap();
        }
        let zone = format!(
            "$TTL 60\n@ SOA ns1 admin 1 2 1 86400 1\n@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A 127.0.0.1\n{records}\n"
        );
        fs::write(at_first.join("zone"), zone).unwrap();
        [Self::start(at_first, first, &of_first), Self::start(at_second, second, &of_second)]
    }

    fn start(folder: PathBuf, port: u16, rest: &str) -> Self {
        let place = folder.display();
        let configuration = format!(
            "server:\n    rundir: {place}\n    listen: 127.0.0.1@{port}\ndatabase:\n    storage: {place}/db\nlog:\n  - target: stderr\n    \
             any: info\ntemplate:\n  - id: default\n    storage: {place}\n{rest}"
        );
        fs::write(folder.join("knot.conf"), configuration).unwrap();
        let child = Self::spawn(&folder);
        Self { address: format!("127.0.0.1:{port}"), folder, child }
    }

    fn spawn(folder: &Path) -> Child {
        let knot = tools::of_debian(&KNOT);
        let machine = std::env::consts::ARCH;
        let libraries =
            ["usr/lib", "lib"].map(|at| knot.join(format!("{at}/{machine}-linux-gnu")).display().to_string());
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        Command::new(knot.join("usr/sbin/knotd"))
            .arg("-c")
            .arg(folder.join("knot.conf"))
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("knotd: {error}"))
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Ends it, hard.
    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again with what it has on disk.
    pub fn start_again(&mut self) {
        self.end();
        self.child = Self::spawn(&self.folder);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.end();
    }
}
