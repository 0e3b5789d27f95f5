//! How a client writes its headers: names in their order, the protocol, and what it says it takes. It is for who reads the log, to tell
//! one program from another behind many addresses; it refuses nobody, since two browsers of one version are alike.

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};
use http::request::Parts;
use sha2::{Digest, Sha256};

/// Names that come and go with the request and not with the program.
const PASSING: [&str; 8] =
    ["cookie", "referer", "content-length", "content-type", "authorization", "host", "x-request-id", "if-none-match"];

/// The first 64 bits of a digest.
pub fn of(parts: &Parts) -> u64 {
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", parts.version));
    for name in parts.headers.keys().filter(|name| !PASSING.contains(&name.as_str())) {
        hash.update(name.as_str());
        hash.update([0]);
    }
    for name in [ACCEPT_ENCODING, ACCEPT_LANGUAGE] {
        hash.update(parts.headers.get(name).map_or(&[][..], |value| value.as_bytes()));
        hash.update([0]);
    }
    let digest = hash.finalize();
    u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_is_alike_whatever_it_asks_for() {
        let parts = |names: &[(&str, &str)]| {
            let request =
                names.iter().fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
            request.body(()).unwrap().into_parts().0
        };
        let one = of(&parts(&[("accept", "*/*"), ("accept-encoding", "gzip"), ("cookie", "a=1")]));
        assert_eq!(one, of(&parts(&[("accept", "text/html"), ("accept-encoding", "gzip")])));
        assert_ne!(one, of(&parts(&[("accept-encoding", "gzip"), ("accept", "*/*")])), "another order");
        assert_ne!(one, of(&parts(&[("accept", "*/*"), ("accept-encoding", "br")])));
    }
}
