//! Why a token is not accepted. It is for the audit log: whoever showed the token is told that it was refused, and no more.

use host::clock::Timestamp;
use manifest::Algorithm;

use crate::https::AskFault;
use crate::keys::KeysFault;

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is longer than a token is")]
    TooLong,
    #[error("it is not three parts of base64url, joined by dots")]
    NotAToken,
    #[error("its header is not one: {0}")]
    Header(String),
    #[error("its header has `{0}`, which nobody here believes")]
    HeaderSays(&'static str),
    #[error("its header says it is {0:?}, and no JWT")]
    OtherType(String),
    #[error("its header does not say which key signed it")]
    NoKeyNamed,
    #[error("it is signed by {0:?}, which is not among the algorithms of the manifest")]
    Algorithm(String),
    #[error("the issuer has no key {0:?}")]
    UnknownKey(String),
    #[error("the keys of the issuer cannot be had")]
    NoKeys(#[source] NoKeys),
    #[error("the key {kid:?} is not for {algorithm}")]
    OtherKey { kid: String, algorithm: Algorithm },
    #[error("its signature is wrong")]
    Signature,
    #[error("what it says cannot be read: {0}")]
    Claims(String),
    #[error("it does not say `{0}`")]
    Missing(&'static str),
    #[error("it is of the issuer {0:?}")]
    OtherIssuer(String),
    #[error("it is for {0}, and not for this environment alone")]
    OtherAudience(String),
    #[error("it is over since {0}")]
    Over(Timestamp),
    #[error("it does not hold before {0}")]
    NotYet(Timestamp),
    #[error("it says that it was made at {0}, which is to come")]
    FromTheFuture(Timestamp),
    #[error("it was made at {0}, longer ago than one is taken for")]
    TooOld(Timestamp),
    #[error("it is made to hold from {from} to {to}, which no token of a job is")]
    Life { from: Timestamp, to: Timestamp },
    #[error("its `{claim}` is {found:?}")]
    Other { claim: &'static str, found: String },
    #[error("its `{0}` is not of the form that it has")]
    Form(&'static str),
    #[error("it was accepted before")]
    Replayed,
    #[error("it was made before this book of accepted tokens began: whether it was accepted before, nobody knows")]
    BeforeTheBook,
    #[error("the clock was set back: a token was accepted at {0}")]
    ClockSetBack(Timestamp),
    #[error("no CI is let in here")]
    NotOffered,
}

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKeys {
    #[error(transparent)]
    Ask(#[from] AskFault),
    #[error(transparent)]
    Read(#[from] KeysFault),
    #[error("they were asked for a moment ago, in vain")]
    AskedJustNow,
}

impl Refusal {
    /// Whether the same token may be accepted a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NoKeys(_))
    }
}
