//! What a token says. Everything may be missing here: what must be there is for [`crate::judge`] to say.

use serde::Deserialize;

/// What a token of GitHub Actions says, and others that say the same. What is not named here counts for nothing, least of all `sub`, which
/// is made of names that can be given to somebody else. A claim that stands twice is refused by the reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Claims {
    pub iss: Option<String>,
    pub aud: Option<Audience>,
    /// Seconds since the Unix epoch, as all three.
    pub exp: Option<i64>,
    pub nbf: Option<i64>,
    pub iat: Option<i64>,
    pub jti: Option<String>,
    pub repository_id: Option<String>,
    pub repository_owner_id: Option<String>,
    /// For people to read, and for nothing else.
    pub repository: Option<String>,
    #[serde(rename = "ref")]
    pub git_ref: Option<String>,
    pub ref_type: Option<String>,
    pub sha: Option<String>,
    pub event_name: Option<String>,
    pub workflow_ref: Option<String>,
    pub job_workflow_ref: Option<String>,
    pub environment: Option<String>,
    pub runner_environment: Option<String>,
    pub run_id: Option<String>,
    pub run_attempt: Option<String>,
}

/// For whom a token is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// The only one.
    pub fn only(&self) -> Option<&str> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => match many.as_slice() {
                [one] => Some(one),
                _ => None,
            },
        }
    }

    pub(crate) fn told(&self) -> String {
        match self {
            Self::One(one) => format!("{one:?}"),
            Self::Many(many) => format!("{many:?}"),
        }
    }
}
