//! What clients of the store of objects send before anybody believes them.

use objects::s3::chunked::{Broken, Decoder, Signing};
use objects::s3::{conditions, operation, xml};
use sigv4::{Claim, Means};

/// A line that may be a header's signature, one with its date, and one that may be a query's: what is read names a host among what is
/// signed, and an operation is never of what nobody may name.
pub fn sigv4(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let (authorization, date) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let query = lines.next().unwrap_or_default();
    if let Ok(claim) = Claim::of_header(authorization, date) {
        assert!(claim.signs("host") && claim.means == Means::Header && !claim.key_id.is_empty());
    }
    if let Ok(Some(claim)) = Claim::of_query(query) {
        assert!(claim.signs("host") && claim.means != Means::Header);
    }
    if let Ok(target) = operation::target(authorization, Some("media.example"), date) {
        for method in [http::Method::GET, http::Method::PUT, http::Method::POST, http::Method::DELETE] {
            let _ = operation::Operation::of(&method, &target, query);
        }
    }
    if let Ok(Some((from, length))) = conditions::range(Some(date), 1000) {
        assert!(length > 0 && from + length <= 1000);
    }
    let _ = xml::read(bytes);
}

/// A payload in chunks: in whatever pieces it comes, the same comes out of it, and never more than went in.
pub fn s3_chunked(bytes: &[u8]) {
    let decode = |step: usize| {
        let (mut decoder, mut content) = (Decoder::new(Signing::Unsigned, true), Vec::new());
        for piece in bytes.chunks(step) {
            decoder.feed(piece, |bytes| {
                content.extend_from_slice(bytes);
                Ok::<_, Broken>(())
            })?;
        }
        decoder.finish().map(|trailers| (content, trailers))
    };
    let whole = decode(bytes.len().max(1));
    if let Ok((content, _)) = &whole {
        assert!(content.len() < bytes.len());
    }
    assert_eq!(whole.is_ok(), decode(3).is_ok());
    if let (Ok(whole), Ok(pieces)) = (whole, decode(1)) {
        assert_eq!(whole, pieces);
    }
}
