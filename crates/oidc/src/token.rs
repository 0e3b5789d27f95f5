//! The form of a token, and its signature (RFC 7515, RFC 8725).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use manifest::Algorithm;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::keys::{Keys, algorithm};
use crate::refusal::Refusal;

/// Bytes of the longest token that is looked at. Those of GitHub have some two thousand.
pub const LONGEST: usize = 16 * 1024;

/// What of a name of a stranger's is noted.
pub(crate) const NOTED: usize = 80;

/// A token that has the form of one. Nothing that it says is believed yet. Its `Debug` shows nothing of it.
pub struct Unverified<'a> {
    text: &'a str,
    pub kid: String,
    pub algorithm: Algorithm,
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    typ: Option<String>,
    // Keys that a token brings along, and what must be understood and is not.
    jku: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
}

/// Reads the form of a token that may be signed by `allowed`.
pub fn read<'a>(text: &'a str, allowed: &[Algorithm]) -> Result<Unverified<'a>, Refusal> {
    if text.len() > LONGEST {
        return Err(Refusal::TooLong);
    }
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return Err(Refusal::NotAToken) };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::NotAToken);
    let (header, _, _) = (decoded(header)?, decoded(claims)?, decoded(signature)?);
    let header: Header =
        serde_json::from_slice(&header).map_err(|error| Refusal::Header(shortened(&error.to_string())))?;
    let said = [
        ("jku", header.jku),
        ("jwk", header.jwk),
        ("x5u", header.x5u),
        ("x5c", header.x5c),
        ("crit", header.crit),
        ("b64", header.b64),
        ("zip", header.zip),
        ("enc", header.enc),
    ];
    if let Some((name, _)) = said.iter().find(|(_, value)| value.is_some()) {
        return Err(Refusal::HeaderSays(name));
    }
    if let Some(other) = header.typ.filter(|kind| !kind.eq_ignore_ascii_case("JWT")) {
        return Err(Refusal::OtherType(shortened(&other)));
    }
    let named = header.alg.unwrap_or_default();
    let algorithm = allowed.iter().copied().find(|algorithm| algorithm.as_str() == named);
    let algorithm = algorithm.ok_or_else(|| Refusal::Algorithm(shortened(&named)))?;
    let kid = header.kid.filter(|kid| !kid.is_empty()).ok_or(Refusal::NoKeyNamed)?;
    Ok(Unverified { text, kid, algorithm })
}

impl Unverified<'_> {
    /// What it says, if its key signed it.
    pub fn verified<T: DeserializeOwned>(&self, keys: &Keys) -> Result<T, Refusal> {
        let unknown = || Refusal::UnknownKey(shortened(&self.kid));
        let key = keys.get(&self.kid).ok_or_else(unknown)?;
        let key = key.decoding(self.algorithm);
        let key = key.ok_or_else(|| Refusal::OtherKey { kid: shortened(&self.kid), algorithm: self.algorithm })?;
        // Only the signature: what is said is judged in one place, and what is missing is no yes there.
        let mut only = Validation::new(algorithm(self.algorithm));
        only.required_spec_claims.clear();
        (only.validate_exp, only.validate_nbf, only.validate_aud) = (false, false, false);
        match jsonwebtoken::decode::<T>(self.text, &key, &only) {
            Ok(data) => Ok(data.claims),
            Err(error) => Err(match error.kind() {
                jsonwebtoken::errors::ErrorKind::Json(error) => Refusal::Claims(shortened(&error.to_string())),
                jsonwebtoken::errors::ErrorKind::Utf8(error) => Refusal::Claims(shortened(&error.to_string())),
                _ => Refusal::Signature,
            }),
        }
    }
}

/// As much of a stranger's text as is noted, on one line.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(NOTED).collect()
}
