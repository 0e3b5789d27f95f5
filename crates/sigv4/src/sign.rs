//! Requests of our own, signed.

use std::time::Duration;

use crate::canonical::{Request, canonical, encoded, signed_names};
use crate::key::{Key, Scope, SigningKey, string_to_sign};

/// Stands for the digest of a payload that is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The value of `authorization`. The request has `host` and `x-amz-date`, which is `stamp`, among its headers.
pub fn authorization(request: &Request<'_>, key: &Key, scope: &Scope, stamp: &str) -> String {
    let to_sign = string_to_sign(stamp, scope, &canonical(request, None));
    let signature = SigningKey::new(&key.secret, scope).sign(&to_sign);
    let names = signed_names(request.headers);
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", key.id)
}

/// The whole query of an address that somebody else may ask for until it expires. The request's headers are those that they must send
/// too, with `host` among them; its query is what the address says besides.
pub fn presign(request: &Request<'_>, key: &Key, scope: &Scope, stamp: &str, expires: Duration) -> String {
    let names = signed_names(request.headers);
    let and = if request.query.is_empty() { "" } else { "&" };
    let query = format!(
        "{}{and}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={stamp}&X-Amz-Expires={}&X-Amz-SignedHeaders={}",
        request.query,
        encoded(&format!("{}/{scope}", key.id)),
        expires.as_secs(),
        encoded(&names),
    );
    let to_sign = string_to_sign(stamp, scope, &canonical(&Request { query: &query, ..*request }, None));
    format!("{query}&X-Amz-Signature={}", SigningKey::new(&key.secret, scope).sign(&to_sign))
}

#[cfg(test)]
mod tests {
    use host::clock::Timestamp;

    use super::*;
    use crate::key::Secret;
    use crate::moment::stamp;

    fn key(id: &str, secret: [&str; 2]) -> Key {
        Key { id: id.to_owned(), secret: Secret::new(secret.join("/")) }
    }

    /// Of the published suite (`aws-sig-v4-test-suite`): its service is called `service`.
    fn of_suite(method: &str, path: &str, query: &str, headers: &[(&str, &str)], payload: &[u8]) -> String {
        let key = key("AKIDEXAMPLE", ["wJalrXUtnFEMI", "K7MDENG+bPxRfiCYEXAMPLEKEY"]);
        let scope = Scope { day: "20150830".into(), region: "us-east-1".into(), service: "service".into() };
        let moment = "20150830T123600Z";
        let mut all = vec![("host", "example.amazonaws.com"), ("x-amz-date", moment)];
        all.extend(headers);
        let payload = crate::sha256_hex(payload);
        let request = Request { method, path, query, headers: &all, payload: &payload };
        let authorization = authorization(&request, &key, &scope, moment);
        authorization.rsplit_once('=').unwrap().1.to_owned()
    }

    #[test]
    fn requests_of_the_published_suite_have_its_signatures() {
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(of_suite("GET", "/", "", &[], b""), vanilla);
        let empty_key = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb";
        assert_eq!(of_suite("GET", "/", "Param1=value1", &[], b""), empty_key);
        let order = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        assert_eq!(of_suite("GET", "/", "Param2=value2&Param1=value1", &[], b""), order);
        let utf8 = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85";
        assert_eq!(of_suite("GET", "/\u{1234}", "", &[], b""), utf8);
        let utf8_query = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04";
        assert_eq!(of_suite("GET", "/", "\u{1234}=bar", &[], b""), utf8_query);
        let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        assert_eq!(of_suite("POST", "/", "", &[], b""), post);
        let form = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(of_suite("POST", "/", "", &headers, b"Param1=value1"), form);
        let trimmed = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736";
        assert_eq!(
            of_suite("GET", "/", "", &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")], b""),
            trimmed
        );
    }

    /// From AWS's documentation of S3: "Get bucket (list objects)", "Put object", "Presigned GET" of its examples.
    #[test]
    fn requests_are_signed_as_aws_shows_it() {
        let key = key("AKIAIOSFODNN7EXAMPLE", ["wJalrXUtnFEMI/K7MDENG", "bPxRfiCYEXAMPLEKEY"]);
        let moment = stamp(Timestamp::from_unix_millis(1_369_353_600_000));
        assert_eq!(moment, "20130524T000000Z");
        let scope = Scope::of_s3(&moment, "us-east-1");
        let empty = crate::sha256_hex(b"");
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let headers = [host, ("x-amz-content-sha256", empty.as_str()), ("x-amz-date", &moment)];
        let list =
            Request { method: "GET", path: "/", query: "max-keys=2&prefix=J", headers: &headers, payload: &empty };
        let signed = authorization(&list, &key, &scope, &moment);
        assert!(signed.ends_with("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"), "{signed}");

        let content = crate::sha256_hex(b"Welcome to Amazon S3.");
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            host,
            ("x-amz-content-sha256", content.as_str()),
            ("x-amz-date", &moment),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let put = Request { method: "PUT", path: "/test$file.text", query: "", headers: &headers, payload: &content };
        let signed = authorization(&put, &key, &scope, &moment);
        assert!(signed.ends_with("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"), "{signed}");

        let get = Request { method: "GET", path: "/test.txt", query: "", headers: &[host], payload: UNSIGNED_PAYLOAD };
        let query = presign(&get, &key, &scope, &moment, Duration::from_secs(86_400));
        assert!(query.ends_with("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"), "{query}");
    }
}
