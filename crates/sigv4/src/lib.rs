//! Requests signed as AWS does it, version 4: signed by us, and judged by us.
//!
//! ```text
//!   method, path, query, headers, payload ─► canonical request ─► string to sign ─┐
//!   secret, day, region, service ──────────► signing key ─────────────────────────┴─► signature
//! ```
//!
//! Paths are S3's: encoded once, and never normalised, because a key may have `//` in it.
//!
//! **Invariant:** signatures are compared in constant time, and a secret is in no output, no error and no debug text.

mod moment;
mod canonical;
mod key;
mod sign;
mod claim;
mod chunks;

pub use canonical::{Request, SIGNED, decoded_pairs, encoded, sha256_hex};
pub use chunks::ChunkSigner;
pub use claim::{Claim, Malformed, Means, Refusal, Verified};
pub use key::{Key, Scope, Secret, SigningKey};
pub use moment::{read_stamp, stamp};
pub use sign::{UNSIGNED_PAYLOAD, authorization, presign};
