//! `Cache-Status` (RFC 9211): what became of a request here, and why.

use http::HeaderValue;
use http::header::HeaderName;

use crate::request::Bypass;
use crate::storable::Refused;

/// Why the app was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    Bypass(Bypass),
    /// Nothing was there.
    UriMiss,
    /// What was there is for others.
    VaryMiss,
    /// What was there is over.
    Stale,
    /// What was there was not good enough for whoever asks.
    Request,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Hit {
        /// Seconds that are left; negative: since it is over.
        left: i64,
        is_collapsed: bool,
    },
    /// Given after the app said that it is still right.
    Validated { why: Forward, left: i64 },
    /// Given because the app did not answer, or only that it cannot.
    InsteadOfError { left: i64 },
    Forwarded {
        why: Forward,
        /// Whether the answer is kept. `None`: it was not looked at.
        kept: Option<Result<(), Refused>>,
    },
}

impl Told {
    pub const HEADER: HeaderName = HeaderName::from_static("cache-status");

    /// The word for it in the access log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit { left, .. } if left <= 0 => "stale",
            Self::Hit { is_collapsed: true, .. } => "collapsed",
            Self::Hit { .. } => "hit",
            Self::Validated { .. } => "validated",
            Self::InsteadOfError { .. } => "stale-if-error",
            Self::Forwarded { why: Forward::Bypass(_), .. } => "bypass",
            Self::Forwarded { kept: Some(Ok(())), .. } => "stored",
            Self::Forwarded { .. } => "miss",
        }
    }

    pub fn value(self) -> HeaderValue {
        let text = match self {
            Self::Hit { left, is_collapsed: false } => format!("roadbed; hit; ttl={left}"),
            Self::Hit { left, is_collapsed: true } => format!("roadbed; hit; ttl={left}; collapsed"),
            Self::Validated { why, left } => format!("roadbed; fwd={}; fwd-status=304; ttl={left}", word(why)),
            Self::InsteadOfError { left } => format!("roadbed; hit; ttl={left}; detail=stale-if-error"),
            Self::Forwarded { why: Forward::Bypass(Bypass::Method), .. } => "roadbed; fwd=method".to_owned(),
            Self::Forwarded { why: Forward::Bypass(why), .. } => format!("roadbed; fwd=bypass; detail={}", why.word()),
            Self::Forwarded { why, kept: Some(Ok(())) } => format!("roadbed; fwd={}; stored", word(why)),
            Self::Forwarded { why, kept: Some(Err(refused)) } => {
                format!("roadbed; fwd={}; detail={}", word(why), refused.word())
            }
            Self::Forwarded { why, kept: None } => format!("roadbed; fwd={}", word(why)),
        };
        HeaderValue::from_str(&text).expect("words and numbers are fit for a header")
    }
}

fn word(why: Forward) -> &'static str {
    match why {
        Forward::Bypass(_) => "bypass",
        Forward::UriMiss => "uri-miss",
        Forward::VaryMiss => "vary-miss",
        Forward::Stale => "stale",
        Forward::Request => "request",
    }
}
