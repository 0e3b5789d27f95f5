//! What reads strangers' bytes, each as a function of bytes that panics where a promise is broken.
//!
//! ```text
//!   corpus/TARGET/*  ─► tests/smoke.rs      every build: the seeds, and mutations of a fixed sequence
//!                    └► hunt (libFuzzer)    `cargo xtask fuzz TARGET --minutes 30`: whatever reaches something new
//! ```
//!
//! **Invariant:** a target touches no disk, no network and no clock, so that an input fails always or never.

pub mod documents;
pub mod fields;
pub mod requests;
pub mod gateway;
pub mod media;
pub mod objects;

/// A reader and what is promised of it.
pub type Target = fn(&[u8]);

/// All targets, by the name of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("heads", requests::heads),
    ("guard", requests::guard),
    ("path", requests::path),
    ("announcement", requests::announcement),
    ("frames", requests::frames),
    ("range", fields::range),
    ("encoding", fields::encoding),
    ("cookie", fields::cookie),
    ("forwarded_for", fields::forwarded_for),
    ("routes", documents::routes),
    ("manifest", documents::manifest),
    ("template", documents::template),
    ("upstash_token", gateway::token),
    ("upstash_request", gateway::request),
    ("upstash_answer", gateway::answer),
    ("media_variant", media::variant),
    ("sigv4", objects::sigv4),
    ("s3_chunked", objects::s3_chunked),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
