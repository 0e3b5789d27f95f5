//! Networks that are kept out, and networks that never are, each until a moment: what operators write.

use std::collections::HashMap;
use std::net::IpAddr;

use host::clock::Timestamp;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Entries of the longest list. One has some 200 bytes here, two megabytes together.
pub const MOST: usize = 10_000;

/// One network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// An address, or a network such as `203.0.113.0/24`.
    pub network: String,
    pub verdict: Verdict,
    /// From then on it counts no more; `None`: until it is taken from the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Block,
    /// It would be kept out: the access log says so.
    ShadowBlock,
    /// Never kept out, whatever else says so, and never taken for a scanner.
    Allow,
}

/// Why a network is not put on a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotListed {
    #[error("{0:?} is neither an address nor a network such as 203.0.113.0/24")]
    NoNetwork(String),
    #[error("{0} has this machine itself in it")]
    ThisMachine(IpNet),
    #[error("{0} is a larger part of the internet than anybody blocks: /8 of IPv4 and /19 of IPv6 are the largest")]
    TooLarge(IpNet),
    #[error("{0} has the proxy {1} in it, by which visitors come")]
    Proxy(IpNet, IpNet),
}

/// Reads what an operator wrote: the network, without what stands behind its prefix.
pub fn read(text: &str) -> Result<IpNet, NotListed> {
    let none = || NotListed::NoNetwork(text.chars().take(80).collect());
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse::<IpNet>().map_err(|_| none())?,
    };
    // `::ffff:192.0.2.0/120` would never be met: addresses are looked up in their short form.
    if let IpNet::V6(v6) = network
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err(none());
    }
    Ok(network.trunc())
}

/// Whether a network may be kept out: not the operator's own machine, not half of the internet, not who stands before us.
pub fn may_be_blocked(network: IpNet, proxies: &[IpNet]) -> Result<(), NotListed> {
    let own: [IpNet; 2] = ["127.0.0.0/8", "::1/128"].map(|text| text.parse().expect("loopback is a network"));
    if own.iter().any(|own| overlap(own, &network)) {
        return Err(NotListed::ThisMachine(network));
    }
    let shortest = if matches!(network, IpNet::V4(_)) { 8 } else { 19 };
    if network.prefix_len() < shortest {
        return Err(NotListed::TooLarge(network));
    }
    match proxies.iter().find(|proxy| overlap(proxy, &network)) {
        Some(proxy) => Err(NotListed::Proxy(network, *proxy)),
        None => Ok(()),
    }
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// Lists made ready: one look per length of prefix that there is, however many networks there are.
#[derive(Debug, Default)]
pub struct Lists {
    networks: HashMap<IpNet, Listed>,
    /// The longest first.
    v4: Vec<u8>,
    v6: Vec<u8>,
}

impl Lists {
    /// What is no network is passed over: it was refused where it was written.
    pub fn of(listed: &[Listed]) -> Self {
        let mut lists = Self::default();
        for one in listed.iter().take(MOST) {
            let Ok(network) = read(&one.network) else { continue };
            let lengths = if matches!(network, IpNet::V4(_)) { &mut lists.v4 } else { &mut lists.v6 };
            if !lengths.contains(&network.prefix_len()) {
                lengths.push(network.prefix_len());
            }
            lists.networks.insert(network, one.clone());
        }
        lists.v4.sort_unstable_by(|a, b| b.cmp(a));
        lists.v6.sort_unstable_by(|a, b| b.cmp(a));
        lists
    }

    /// What is said of an address: an allowance wherever it stands, else what the smallest network says. Nothing is ever said of this
    /// machine itself.
    pub fn of_client(&self, address: IpAddr, now: Timestamp) -> Option<&Listed> {
        if self.networks.is_empty() || address.to_canonical().is_loopback() {
            return None;
        }
        let address = address.to_canonical();
        let lengths = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let mut smallest = None;
        for length in lengths {
            let network = IpNet::new(address, *length).expect("a length of this family").trunc();
            let Some(listed) = self.networks.get(&network) else { continue };
            if listed.until_ms.is_some_and(|until| now.unix_millis() >= until) {
                continue;
            }
            if listed.verdict == Verdict::Allow {
                return Some(listed);
            }
            smallest.get_or_insert(listed);
        }
        smallest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(network: &str, verdict: Verdict, until_ms: Option<i64>) -> Listed {
        Listed { network: network.to_owned(), verdict, until_ms, reason: network.to_owned() }
    }

    #[test]
    fn an_allowance_wins_then_the_smallest_network_and_each_until_its_end() {
        let lists = Lists::of(&[
            listed("203.0.113.0/24", Verdict::Block, None),
            listed("203.0.113.8/29", Verdict::ShadowBlock, None),
            listed("203.0.113.9", Verdict::Allow, Some(1000)),
            listed("2001:db8::/32", Verdict::Block, Some(1000)),
            listed("no network", Verdict::Block, None),
        ]);
        let said = |address: &str, now: i64| {
            let found = lists.of_client(address.parse().unwrap(), Timestamp::from_unix_millis(now));
            found.map(|listed| listed.verdict)
        };
        assert_eq!(said("203.0.113.1", 0), Some(Verdict::Block));
        assert_eq!(said("::ffff:203.0.113.1", 0), Some(Verdict::Block), "one address in two notations");
        assert_eq!(said("203.0.113.10", 0), Some(Verdict::ShadowBlock));
        assert_eq!(said("203.0.113.9", 999), Some(Verdict::Allow));
        assert_eq!(said("203.0.113.9", 1000), Some(Verdict::ShadowBlock), "its end has come");
        assert_eq!(said("2001:db8:ffff::1", 0), Some(Verdict::Block));
        assert_eq!(said("2001:db8:ffff::1", 1000), None);
        assert_eq!(said("2001:db9::1", 0), None);
        assert_eq!(said("198.51.100.1", 0), None);
    }

    #[test]
    fn nobody_locks_himself_out() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for refused in
            ["127.0.0.1", "0.0.0.0/0", "::/0", "::1", "127.0.0.0/16", "1.0.0.0/7", "2000::/3", "10.1.2.3", "10.0.0.0/8"]
        {
            let network = read(refused).unwrap();
            assert!(may_be_blocked(network, &proxies).is_err(), "{refused}");
        }
        for may in ["203.0.113.0/24", "203.0.113.7/24", "2001:db8::/32", "11.0.0.0/8", "192.0.2.1"] {
            assert_eq!(may_be_blocked(read(may).unwrap(), &proxies), Ok(()), "{may}");
        }
        assert_eq!(read("203.0.113.7/24").unwrap().to_string(), "203.0.113.0/24");
        for none in ["", "all", "203.0.113", "203.0.113.0/33", "::ffff:127.0.0.0/104", "1.2.3.4/", "example.com"] {
            assert!(read(none).is_err(), "{none}");
        }
        // Also what was written by other means.
        let lists = Lists::of(&[listed("127.0.0.0/8", Verdict::Block, None)]);
        assert!(lists.of_client("127.0.0.1".parse().unwrap(), Timestamp::from_unix_millis(0)).is_none());
    }
}
