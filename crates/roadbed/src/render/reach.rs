//! How to reach an environment whose names lead elsewhere.

use std::path::Path;

/// Names under `.localhost` are this machine to every resolver; others are what DNS says of them.
fn is_known_here(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Host and port of `https://HOST[:PORT]`.
fn host_and_port(url: &str) -> Option<(&str, &str)> {
    let authority = url.strip_prefix("https://")?;
    Some(authority.split_once(':').unwrap_or((authority, "443")))
}

/// A command that reaches `url` on this machine, whatever DNS says; `None` where its name leads here anyway.
pub fn by_hand(url: &str, ca_file: &Path) -> Option<String> {
    let (host, port) = host_and_port(url).filter(|(host, _)| !is_known_here(host))?;
    Some(format!("curl --cacert {} --resolve {host}:{port}:127.0.0.1 {url}/", ca_file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_dns_does_not_know_yet_are_reached_by_their_address() {
        let of = |url| by_hand(url, Path::new("ca.pem"));
        assert_eq!(of("https://api.shop.localhost:8443"), None);
        assert_eq!(
            of("https://api.shop.example").as_deref(),
            Some("curl --cacert ca.pem --resolve api.shop.example:443:127.0.0.1 https://api.shop.example/")
        );
        assert_eq!(
            of("https://api.shop.example:24001").as_deref(),
            Some("curl --cacert ca.pem --resolve api.shop.example:24001:127.0.0.1 https://api.shop.example:24001/")
        );
    }
}
