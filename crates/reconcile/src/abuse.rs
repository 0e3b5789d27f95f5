//! What the edge concludes by itself about visitors, as the route table carries it.

use serde::{Deserialize, Serialize};

use crate::rate_limits::Rate;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abuse {
    /// Whether anybody is refused; else the access log says who would be.
    #[serde(default)]
    pub enforce: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanners: Option<Scanners>,
    /// Whether crawlers are verified by the name service.
    #[serde(default)]
    pub crawlers: bool,
    /// What one that was verified may, in place of other limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crawler_rate: Option<Rate>,
    /// Whether the access log has a fingerprint of headers.
    #[serde(default)]
    pub fingerprints: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<Challenge>,
}

/// Clients that ask for what only scanners ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanners {
    /// So many within ten minutes.
    pub after: u32,
    pub keep_out_ms: u64,
    /// Forbidden to robots, and linked nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honeypot: Option<String>,
    /// Paths of the list that this product really has.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Pages that take a proof of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub app: String,
    pub path: String,
    pub bits: u32,
}
