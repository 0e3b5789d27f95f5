//! Signatures of a payload that comes in chunks: each builds on the one before.

use aws_lc_rs::constant_time;

use crate::canonical::sha256_hex;
use crate::claim::Verified;

/// What the next chunk's signature must be.
#[derive(Clone, Debug)]
pub struct ChunkSigner {
    verified: Verified,
    previous: String,
}

impl ChunkSigner {
    /// Of the payload of a request whose own signature is right.
    pub fn new(verified: Verified) -> Self {
        let previous = verified.signature.clone();
        Self { verified, previous }
    }

    /// The signature of the next chunk, of which this is the digest.
    pub fn sign(&mut self, sha256: &str) -> String {
        let (stamp, scope) = (&self.verified.stamp, &self.verified.scope);
        let empty = sha256_hex(b"");
        let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{}\n{empty}\n{sha256}", self.previous);
        self.previous = self.verified.key.sign(&text);
        self.previous.clone()
    }

    /// The signature of what comes behind the last chunk: lines of `name:value`, each with its end.
    pub fn sign_trailer(&mut self, lines: &str) -> String {
        let (stamp, scope) = (&self.verified.stamp, &self.verified.scope);
        let digest = sha256_hex(lines.as_bytes());
        let text = format!("AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{scope}\n{}\n{digest}", self.previous);
        self.previous = self.verified.key.sign(&text);
        self.previous.clone()
    }

    /// Whether the next chunk, of which this is the digest, has the right signature.
    pub fn accepts(&mut self, sha256: &str, signature: &str) -> bool {
        let right = self.sign(sha256);
        constant_time::verify_slices_are_equal(right.as_bytes(), signature.as_bytes()).is_ok()
    }

    /// Whether what comes behind the last chunk has the right signature.
    pub fn accepts_trailer(&mut self, lines: &str, signature: &str) -> bool {
        let right = self.sign_trailer(lines);
        constant_time::verify_slices_are_equal(right.as_bytes(), signature.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Scope, Secret, SigningKey};

    /// From AWS's documentation: "Signature calculations for the authorization header: transferring payload in multiple chunks".
    #[test]
    fn chunks_are_signed_as_aws_shows_it() {
        let secret = Secret::new(["wJalrXUtnFEMI/K7MDENG", "bPxRfiCYEXAMPLEKEY"].join("/"));
        let scope = Scope::of_s3("20130524T000000Z", "us-east-1");
        let mut signer = ChunkSigner::new(Verified {
            key: SigningKey::new(&secret, &scope),
            stamp: "20130524T000000Z".into(),
            scope,
            signature: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".into(),
        });
        for (chunk, signature) in [
            (vec![b'a'; 65_536], "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (vec![b'a'; 1024], "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (vec![], "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            assert!(signer.accepts(&sha256_hex(&chunk), signature));
        }
        assert!(!signer.accepts(&sha256_hex(b""), "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"));
    }
}
