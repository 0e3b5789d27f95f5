//! Who stands between visitors and us, such as a load balancer or a CDN: only whom the manifest names is believed about who a
//! visitor is.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    pub networks: Vec<IpNet>,
    /// Whether their connections begin with the PROXY protocol's header.
    pub announce: bool,
}

impl Proxies {
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The visitor behind a connection from `peer`.
    ///
    /// Each proxy writes who it was asked by at the end of the list, so the list is read from there, as far as those who wrote are
    /// believed. What stands before is whatever a visitor wanted to say.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for entry in entries {
            // Who wrote nonsense is believed no further.
            let Some(before) = address(entry.trim()) else { return client };
            client = before;
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }
}

/// An address as proxies write it, some of them with a port.
fn address(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    entry.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> Proxies {
        let networks = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|network| network.parse().unwrap()).to_vec();
        Proxies { networks, announce: false }
    }

    fn client(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        proxies().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_whom_the_manifest_names_is_believed() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn the_list_is_read_from_its_end_as_far_as_its_writers_are_believed() {
        assert_eq!(client("10.0.0.1", &["192.0.2.66, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.66", "198.51.100.1 , 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.66, nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client("2001:db8:ffff::1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["198.51.100.1:5678"]), "198.51.100.1");
    }

    proptest! {
        #[test]
        fn whatever_a_visitor_writes_he_stays_who_he_is(written in "[ -~]{0,60}", octet in 1_u8..255) {
            let visitor = format!("203.0.113.{octet}");
            let list = format!("{written}, {visitor}");
            prop_assert_eq!(client("10.0.0.1", &[&list]), visitor.clone());
            prop_assert_eq!(client("10.0.0.1", &[&written, &visitor]), visitor.clone());
            prop_assert_eq!(client(&visitor, &[&written]), visitor);
        }
    }
}
