//! Header fields that are read for what they mean.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use edge::compress::Wish;
use edge::files::encoding::{self, Encoding};
use edge::files::freshness::{Validators, is_unchanged};
use edge::files::range::{self, Part};
use edge::proxies::Proxies;
use edge::rate_limit::identity::Identity;
use http::header::{ACCEPT_ENCODING, COOKIE, HeaderName, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

/// Lines, as values of one field each.
fn lines(bytes: &[u8]) -> impl Iterator<Item = HeaderValue> {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok())
}

/// The first byte is the file's length, then lines for `Range`, `If-Range`, `If-None-Match` and `If-Modified-Since`: the part lies in
/// the file, and there is none of another version.
pub fn range(bytes: &[u8]) {
    let Some((&length, rest)) = bytes.split_first() else { return };
    let length = u64::from(length);
    let names = [RANGE, IF_RANGE, http::header::IF_NONE_MATCH, http::header::IF_MODIFIED_SINCE];
    let headers: HeaderMap = names.into_iter().zip(lines(rest)).collect();
    let validators = Validators { etag: "\"a\"", modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1000) };
    let _ = is_unchanged(&headers, &validators);
    if let Part::Bytes { first, last } = range::wanted(&Method::GET, &headers, &validators, length) {
        assert!(first <= last && last < length, "{first}-{last} of {length}");
        let condition = headers.get(IF_RANGE);
        assert!(condition.is_none_or(|condition| condition == "\"a\"" || condition.len() > 8), "{condition:?}");
    }
}

/// `Accept-Encoding`: nothing twice, always something, and what is answered compressed was asked for.
pub fn encoding(bytes: &[u8]) {
    let values: Vec<HeaderValue> = lines(bytes).collect();
    let wanted = encoding::wanted(&values);
    assert!(wanted.contains(&Encoding::Identity));
    assert!(encoding::ALL.iter().all(|one| wanted.iter().filter(|other| *other == one).count() <= 1));
    let text: String = values.iter().filter_map(|value| value.to_str().ok()).collect();
    for one in wanted.iter().filter(|one| **one != Encoding::Identity) {
        assert!(text.contains('*') || text.to_ascii_lowercase().contains(one.name()), "{one:?} for {text:?}");
    }
    let _ = Wish::of(&Method::GET, &values.into_iter().map(|value| (ACCEPT_ENCODING, value)).collect());
}

/// `Cookie`: whose session it is depends on its value alone, and nobody has one without the cookie.
pub fn cookie(bytes: &[u8]) {
    let headers: HeaderMap = lines(bytes).map(|value| (COOKIE, value)).collect();
    let identity = Identity::session(&headers, "sid");
    if identity.is_some() {
        let text: String = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
        assert!(text.contains("sid="), "{text:?}");
    }
    let others: HeaderMap =
        headers.iter().map(|(_, value)| (HeaderName::from_static("x-cookie"), value.clone())).collect();
    assert_eq!(Identity::session(&others, "sid"), None);
}

/// `X-Forwarded-For`: who is not believed is taken for himself, and nobody is taken for a proxy while somebody stands before it.
pub fn forwarded_for(bytes: &[u8]) {
    let headers: HeaderMap = lines(bytes).map(|value| (HeaderName::from_static("x-forwarded-for"), value)).collect();
    let stranger = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    let proxies = Proxies { networks: vec!["10.0.0.0/8".parse().expect("a network")], announce: false };
    assert_eq!(proxies.client(stranger, &headers), stranger);
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let client = proxies.client(proxy, &headers);
    assert_eq!(client, client.to_canonical());
    if headers.is_empty() {
        assert_eq!(client, proxy);
    }
}
