//! How many connections each client has open: one alone must not take the places of all others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

/// Whoever is given an address of version 6 is given at least 64 bits of them.
const V6_PREFIX: u32 = 64;

/// Counts connections by client.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    crowd: Arc<Crowd>,
    client: IpAddr,
}

impl Crowd {
    /// `most` connections of each client.
    pub fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// Counts one more; `None` where a client has as many as it may have.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Guest> {
        let client = client(peer);
        let mut open = self.open.lock().expect("nobody panics while holding it");
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Guest { crowd: Arc::clone(self), client })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock().expect("nobody panics while holding it");
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            // As many entries as there are clients connected, and no more.
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

/// Who an address belongs to, as far as an address tells.
fn client(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (Ipv6Addr::BITS - V6_PREFIX))).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(crowd: &Arc<Crowd>, peer: &str) -> Option<Guest> {
        crowd.enter(peer.parse().unwrap())
    }

    #[test]
    fn a_client_has_its_places_and_no_others() {
        let crowd = Arc::new(Crowd::new(2));
        let first = enter(&crowd, "192.0.2.1").unwrap();
        let _second = enter(&crowd, "192.0.2.1").unwrap();
        assert!(enter(&crowd, "192.0.2.1").is_none());
        assert!(enter(&crowd, "::ffff:192.0.2.1").is_none(), "the same client, written otherwise");
        assert!(enter(&crowd, "192.0.2.2").is_some(), "another client");
        drop(first);
        assert!(enter(&crowd, "192.0.2.1").is_some());
    }

    #[test]
    fn all_addresses_of_a_subscriber_are_one_client() {
        let crowd = Arc::new(Crowd::new(1));
        let _one = enter(&crowd, "2001:db8:1:2::1").unwrap();
        assert!(enter(&crowd, "2001:db8:1:2:ffff::9").is_none());
        assert!(enter(&crowd, "2001:db8:1:3::1").is_some());
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let crowd = Arc::new(Crowd::new(1));
        for last in 0..1000_u32 {
            drop(crowd.enter(IpAddr::V4(last.into())).unwrap());
        }
        assert!(crowd.open.lock().unwrap().is_empty());
    }
}
