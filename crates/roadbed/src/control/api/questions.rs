//! What requests hold. What is read here has the form that the description promises: nothing is looked at twice.

use std::borrow::Cow;

use delivery::{DeploymentId, ReleaseId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// A text of a form: its type, its pattern, and what reads it.
macro_rules! texts {
    ($($(#[doc = $doc:literal])* $name:ident, $pattern:literal, $most:literal, $is:expr;)*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let is: fn(&str) -> bool = $is;
                if text.is_empty() || text.chars().count() > $most || !is(&text) {
                    return Err(D::Error::custom(concat!("a text does not match ", $pattern)));
                }
                Ok(Self(text))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": concat!($($doc),*).trim(),
                    "pattern": $pattern,
                    "minLength": 1,
                    "maxLength": $most,
                })
            }
        }
    )* };
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_line(text: &str) -> bool {
    !text.chars().any(|c| c < ' ' || c == '\u{7f}')
}

texts! {
    /// A digest of SHA-256.
    Sha256Text, "^[0-9a-f]{64}$", 64, |text| is_hex(text, 64);
    /// A commit of git.
    CommitText, "^[0-9a-f]{40}$", 40, |text| is_hex(text, 40);
    /// A name of an app, a check or a task.
    NameText, "^[A-Za-z0-9][A-Za-z0-9-]*$", 64, is_name;
    /// A line of text.
    LineText, "^[^\\u0000-\\u001f\\u007f]+$", 200, is_line;
}

/// A release: `r12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseName(pub ReleaseId);

/// A deployment: `d7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentName(pub DeploymentId);

impl JsonSchema for ReleaseName {
    fn schema_name() -> Cow<'static, str> {
        "ReleaseName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A release: `r12`.", "pattern": "^r[1-9][0-9]{0,17}$" })
    }
}

impl JsonSchema for DeploymentName {
    fn schema_name() -> Cow<'static, str> {
        "DeploymentName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A deployment: `d7`.", "pattern": "^d[1-9][0-9]{0,17}$" })
    }
}

/// A route that takes no parameters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// No event has a number that JavaScript could not tell from the next.
pub(super) const MOST_EVENTS: u64 = (1 << 53) - 1;

/// Nobody waits longer in one request: proxies on the way give up after half a minute or more.
pub(super) const LONGEST_WAIT: u8 = 25;

/// From where to follow a deployment, and how long to wait for something to happen.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// The number of the last event that is known already.
    #[serde(default)]
    #[schemars(range(min = 0, max = MOST_EVENTS))]
    pub after: u64,
    /// Seconds to wait where nothing has happened since, at most 25.
    #[serde(default)]
    #[schemars(range(min = 0, max = LONGEST_WAIT))]
    pub wait: u8,
}

/// What to deploy. The manifest is the one that the environment has, or that of the release: nobody changes rules from elsewhere.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ToDeploy {
    /// A release that the environment had before, once more.
    Release(OfRelease),
    /// A new release of artifacts that the environment has on its shelf, one of each app.
    Artifacts(OfArtifacts),
}

/// A release that the environment had before.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfRelease {
    pub release: ReleaseName,
}

/// A new release.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfArtifacts {
    #[schemars(length(min = 1, max = 64))]
    pub artifacts: Vec<OnShelf>,
    /// The commit that they were built from.
    #[serde(default)]
    pub commit: Option<CommitText>,
    #[serde(default)]
    pub branch: Option<LineText>,
    /// Who wrote it: nobody approves of their own. Default: whoever asks.
    #[serde(default)]
    pub author: Option<LineText>,
}

/// An artifact on the environment's shelf.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnShelf {
    pub app: NameText,
    pub digest: Sha256Text,
}

/// By what it says, and not by what fits: the fault of what does not fit is told.
impl<'de> Deserialize<'de> for ToDeploy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Map::deserialize(deserializer)?;
        let of_release = value.contains_key("release");
        let value = serde_json::Value::Object(value);
        match of_release {
            true => serde_json::from_value(value).map(Self::Release).map_err(D::Error::custom),
            false => {
                let of: OfArtifacts = serde_json::from_value(value).map_err(D::Error::custom)?;
                match of.artifacts.len() {
                    1..=64 => Ok(Self::Artifacts(of)),
                    _ => Err(D::Error::custom("`artifacts` has 1 to 64 items")),
                }
            }
        }
    }
}

/// Bytes of an artifact, which come one after the other. Without bytes it asks how many are there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    pub app: NameText,
    pub digest: Sha256Text,
    /// Digest of what went into the build.
    pub inputs: Sha256Text,
    /// Bytes of the archive, unpacked.
    #[serde(deserialize_with = "whole")]
    #[schemars(range(min = 0, max = MOST_BYTES))]
    pub bytes: u64,
    /// Bytes of the archive as it is sent.
    #[serde(deserialize_with = "whole")]
    #[schemars(range(min = 1, max = MOST_BYTES))]
    pub packed_bytes: u64,
    #[serde(deserialize_with = "whole")]
    #[schemars(range(min = 0, max = MOST_BYTES))]
    pub files: u64,
    #[serde(deserialize_with = "whole")]
    #[schemars(range(min = 0, max = MOST_BYTES))]
    pub packages: u64,
    /// The commit that it was built from.
    #[serde(default)]
    pub commit: Option<CommitText>,
    /// Where these bytes begin.
    #[serde(deserialize_with = "whole")]
    #[schemars(range(min = 0, max = MOST_BYTES))]
    pub from: u64,
    /// Bytes of the archive, as base64: a mebibyte at most.
    #[serde(default)]
    #[schemars(
        length(max = 1_398_104),
        regex(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")
    )]
    pub content: String,
}

/// A whole number, however it is written: JSON has one kind of numbers, and `7.0` is seven.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let written = || number.as_f64().filter(|number| number.fract() == 0.0).map(|number| format!("{number:.0}"));
    let whole = number.as_u64().or_else(|| written()?.parse().ok());
    whole.ok_or_else(|| D::Error::custom("a number is not whole, or less than nothing"))
}

/// No artifact is larger.
pub(super) const MOST_BYTES: u64 = 4 << 30;

/// Somebody's yes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToApprove {
    /// The digest of the deployment that was looked at: it is approved, and nothing that came in its place.
    pub digest: Sha256Text,
}

/// Where to go back to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToRollBack {
    /// Default: the release that served before.
    #[serde(default)]
    pub to: Option<ReleaseName>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which promises to look at.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToProve {
    /// Ids of checks or tasks; empty: all.
    #[serde(default)]
    pub only: Vec<NameText>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deploys(value: Value) -> Result<ToDeploy, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn what_does_not_have_its_form_is_told_with_its_reason() {
        assert!(matches!(deploys(json!({"release": "r3"})), Ok(ToDeploy::Release(_))));
        let artifact = json!({"app": "web", "digest": "0".repeat(64)});
        assert!(matches!(deploys(json!({"artifacts": [artifact]})), Ok(ToDeploy::Artifacts(_))));
        for (value, why) in [
            (json!({}), "missing field `artifacts`"),
            (json!({"artifacts": []}), "1 to 64"),
            (json!({"release": "r0"}), "they are called r1"),
            (json!({"release": "r3", "manifest": "x"}), "unknown field `manifest`"),
            (json!({"release": "r3", "artifacts": []}), "unknown field `artifacts`"),
            (json!({"artifacts": [{"app": "web", "digest": "0"}]}), "[0-9a-f]{64}"),
            (json!({"artifacts": [artifact], "author": "two\nlines"}), "does not match"),
            (json!([1]), "expected a map"),
        ] {
            let error = deploys(value.clone()).unwrap_err();
            assert!(error.contains(why), "{value}: {error}");
        }
    }
}
