//! Environments on hosts of their own: network namespaces, joined by cables of their own.

use std::process::{Command, Output};

use crate::stage::Stage;

/// A host that ends with its test.
pub(crate) struct Host {
    name: String,
}

impl Host {
    pub(crate) fn new(role: &str) -> Self {
        let host = Self { name: format!("rb-{role}-{}", std::process::id()) };
        ip(&format!("netns add {}", host.name));
        ip(&format!("-n {} link set lo up", host.name));
        host
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lays a cable to another host; `network` is the beginning of both addresses.
    fn join(&self, other: &Self, network: &str) {
        let (here, there) =
            (format!("{}-{}", &other.name[..4], std::process::id()), "cable".to_owned() + &other.name[3..4]);
        ip(&format!("link add {here} netns {} type veth peer name {there} netns {}", self.name, other.name));
        for (host, cable, last) in [(self, here, 1), (other, there, 2)] {
            ip(&format!("-n {} addr add {network}.{last}/24 dev {cable}", host.name));
            ip(&format!("-n {} link set {cable} up", host.name));
        }
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let output = Command::new("ip").args(["netns", "exec", &self.name, program]).args(args).output();
        output.expect("ip is in PATH: ./setup installs it")
    }

    /// Whether a connection to this address comes about.
    fn reaches(&self, address: &str, port: u64) -> Reached {
        // bash's own connections: nothing else need be installed. Where nobody answers it would try for two minutes.
        let attempt = format!("exec 3<>/dev/tcp/{address}/{port}");
        match self.run("timeout", &["3", "bash", "-c", &attempt]).status.code() {
            Some(0) => Reached::Yes,
            Some(124) => Reached::NoAnswer,
            _ => Reached::Refused,
        }
    }

    fn tables(&self) -> String {
        String::from_utf8(self.run("nft", &["list", "ruleset"]).stdout).unwrap()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reached {
    Yes,
    Refused,
    NoAnswer,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("ip is in PATH: ./setup installs it");
    // There is no other way to see two hosts on one machine, so without it nothing is claimed.
    assert!(output.status.success(), "`ip {words}` takes root: {}", String::from_utf8_lossy(&output.stderr));
}

fn port_of(stage: &Stage, socket: &str) -> u64 {
    let text = std::fs::read_to_string(stage.root.join("state/ports.json")).unwrap();
    let book: serde_json::Value = serde_json::from_str(&text).unwrap();
    find(&book, socket).unwrap_or_else(|| panic!("{socket} is not in {book}"))
}

fn find(json: &serde_json::Value, key: &str) -> Option<u64> {
    let object = json.as_object()?;
    object.get(key).and_then(serde_json::Value::as_u64).or_else(|| object.values().find_map(|value| find(value, key)))
}

#[test]
fn visitors_come_from_where_the_manifest_says_and_nobody_else_reaches_anything() {
    let (shop, customer, stranger) = (Host::new("shop"), Host::new("customer"), Host::new("stranger"));
    shop.join(&customer, "10.87.1");
    shop.join(&stranger, "10.87.2");
    let orphan = "table inet roadbed_0123 { chain owner { counter comment \"root /nowhere/at/all\"; }; }";
    assert!(shop.run("nft", &[orphan]).status.success(), "nft is in PATH: ./setup installs it");

    let mut stage = Stage::new();
    stage.before = ["ip", "netns", "exec", &shop.name].map(str::to_owned).into();
    stage.edit(
        "domain = \"tiny.localhost\"",
        "domain = \"tiny.localhost\"\nnetwork = { bind = \"0.0.0.0\", visitors = [\"10.87.1.0/24\"], enforce = \"required\" }",
    );
    stage.up();
    let (https, instance) = (port_of(&stage, "https"), port_of(&stage, "web-1"));
    assert_eq!(shop.reaches("127.0.0.1", https), Reached::Yes);
    assert_eq!(customer.reaches("10.87.1.1", https), Reached::Yes);
    assert_eq!(stranger.reaches("10.87.2.1", https), Reached::NoAnswer);
    assert_eq!(customer.reaches("10.87.1.1", instance), Reached::Refused, "instances listen on loopback only");
    assert!(shop.tables().contains(&format!("root {}", stage.root.display())), "{}", shop.tables());
    assert!(!shop.tables().contains("/nowhere/at/all"), "the rules of an environment that is gone stay");

    // What somebody else took away comes back, and a second time changes nothing.
    shop.run("nft", &["flush", "ruleset"]);
    stage.up();
    assert_eq!(stranger.reaches("10.87.2.1", https), Reached::NoAnswer);
    let again = stage.up();
    assert!(!again.err.join("\n").contains("reach a port"), "{:?}", again.err);

    stage.roadbed("down").exits(0);
    assert!(!shop.tables().contains("roadbed_"), "{}", shop.tables());
}

#[test]
fn without_a_packet_filter_what_requires_one_does_not_come_up() {
    let stage = Stage::new();
    stage.edit("domain = \"tiny.localhost\"", "domain = \"tiny.localhost\"\nnetwork = { enforce = \"required\" }");
    // An account that may not use it is as good as a machine that has none.
    let mut stage = stage;
    stage.before = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"].map(str::to_owned).into();
    let refused = stage.roadbed("up --detach --no-gate").exits(1);
    let told = refused.err.join("\n");
    assert!(told.contains("cannot use the packet filter of this machine"), "{told}");
    stage.roadbed("down").exits(0);
}
