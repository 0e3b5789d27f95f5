//! The grammar of addresses: `/BUCKET/KEY?w=640&q=75&fit=cover`.
//!
//! What is asked for is read once, into the one form that cache and signature know. Two addresses that mean the same are one
//! picture; an address that could mean two things is refused.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Settings;

/// As S3 has it.
const MOST_KEY_BYTES: usize = 1024;

/// What stays as it is in the canonical path, as in S3's signatures.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a picture is answered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Jpeg,
    Png,
    Webp,
    /// Made in the slow lane: until it is there, WebP or what else is accepted is answered.
    Avif,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Webp, Self::Avif];

    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Avif => "avif",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
        }
    }
}

/// How a picture comes into a box of width and height. It is never enlarged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Whole, in the box or smaller.
    #[default]
    Inside,
    /// Fills the box; what is over at two sides is cut off.
    Cover,
    /// Whole, with a border that fills the box: transparent, or white where the format has no transparency.
    Contain,
}

impl Fit {
    fn name(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Cover => "cover",
            Self::Contain => "contain",
        }
    }
}

/// What is wanted of a picture. All absent: as it is, encoded anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Variant {
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// 1 to 100.
    pub quality: Option<u8>,
    pub fit: Option<Fit>,
    /// `None`: by what the client accepts.
    pub format: Option<Format>,
}

/// A request that was understood and is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub bucket: String,
    pub key: String,
    pub variant: Variant,
}

/// Why it is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("cannot read the path: {0}; it is /BUCKET/KEY")]
    Path(&'static str),
    #[error("cannot read the query: {0}")]
    Query(String),
    #[error("{0} is not among the sizes and qualities that may be asked for without a signature")]
    NotAllowed(String),
    #[error("the signature is not right for this path and these parameters")]
    Signature,
}

impl Refused {
    /// Malformed is 400, forbidden is 403.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::NotAllowed(_) | Self::Signature)
    }
}

/// The key of signatures: HMAC-SHA256.
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    pub fn new(key: &[u8]) -> Self {
        Self(Zeroizing::new(key.to_vec()))
    }

    /// The value of `s` for an address, whose bucket and key are as the store has them: base64url of the HMAC of
    /// `/BUCKET/KEY?PARAMETERS`, escaped as S3 does it, parameters in the order w, h, q, fit, format as far as they are given.
    pub fn sign(&self, bucket: &str, key: &str, variant: &Variant) -> String {
        URL_SAFE_NO_PAD.encode(self.tag(bucket, key, variant))
    }

    fn tag(&self, bucket: &str, key: &str, variant: &Variant) -> hmac::Tag {
        hmac::sign(&self.key(), signed(bucket, key, variant).as_bytes())
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }

    fn is_right(&self, signature: &str, bucket: &str, key: &str, variant: &Variant) -> bool {
        URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|tag| hmac::verify(&self.key(), signed(bucket, key, variant).as_bytes(), &tag).is_ok())
    }
}

fn signed(bucket: &str, key: &str, variant: &Variant) -> String {
    format!("{}?{}", path(bucket, key), variant.query())
}

/// The canonical path.
pub fn path(bucket: &str, key: &str) -> String {
    let mut path = format!("/{bucket}");
    for segment in key.split('/') {
        path.push('/');
        path.extend(utf8_percent_encode(segment, PLAIN));
    }
    path
}

impl Variant {
    /// Whether the object is wanted as it is.
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// The parameters in their one order; empty where there are none.
    pub fn query(&self) -> String {
        let given = [
            self.width.map(|width| format!("w={width}")),
            self.height.map(|height| format!("h={height}")),
            self.quality.map(|quality| format!("q={quality}")),
            self.fit.map(|fit| format!("fit={}", fit.name())),
            self.format.map(|format| format!("format={}", format.name())),
        ];
        given.into_iter().flatten().collect::<Vec<_>>().join("&")
    }

    /// What makes no difference is left out, so that it makes no second picture.
    #[must_use]
    pub fn canonical(mut self, quality: u8) -> Self {
        if self.width.is_none() || self.height.is_none() || self.fit == Some(Fit::Inside) {
            self.fit = None;
        }
        if self.format == Some(Format::Png) || self.quality == Some(quality) {
            self.quality = None;
        }
        self
    }
}

/// Three to 63 of `a-z`, `0-9`, `-` and `.`, as S3 has it.
pub fn is_bucket(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'.')
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain)
        && !name.contains("..")
}

/// What a request asks for, in its one form.
///
/// # Errors
/// Where it cannot be read as exactly one thing, and where it may not be asked for.
pub fn read(path: &str, query: Option<&str>, settings: &Settings, key: Option<&SigningKey>) -> Result<Asked, Refused> {
    let (bucket, name) = address(path)?;
    let (variant, signature) = parameters(query.unwrap_or_default(), settings)?;
    match (signature, key) {
        (Some(signature), Some(key)) if key.is_right(signature, &bucket, &name, &variant) => {}
        (Some(_), _) => return Err(Refused::Signature),
        (None, _) => allowed(&variant, settings)?,
    }
    Ok(Asked { bucket, key: name, variant: variant.canonical(settings.quality) })
}

fn address(path: &str) -> Result<(String, String), Refused> {
    let rest = path.strip_prefix('/').ok_or(Refused::Path("it does not begin with /"))?;
    let (bucket, rest) = rest.split_once('/').ok_or(Refused::Path("it names no key"))?;
    if !is_bucket(bucket) {
        return Err(Refused::Path("that is no name of a bucket"));
    }
    let segments: Vec<String> = rest.split('/').map(segment).collect::<Result<_, _>>()?;
    let key = segments.join("/");
    if key.len() > MOST_KEY_BYTES {
        return Err(Refused::Path("the key is longer than 1024 bytes"));
    }
    Ok((bucket.to_owned(), key))
}

/// One segment of a key. What some server on the way could take for two segments, for none or for another place is refused.
fn segment(text: &str) -> Result<String, Refused> {
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        if !hex(at + 1) || !hex(at + 2) {
            return Err(Refused::Path("a % is not followed by two hexadecimal digits"));
        }
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| Refused::Path("it is not UTF-8"))?;
    if decoded.is_empty() || decoded == "." || decoded == ".." {
        return Err(Refused::Path("a segment is empty, `.` or `..`"));
    }
    if decoded.chars().any(|char| char == '/' || char == '\\' || char.is_control()) {
        return Err(Refused::Path("it has an escaped slash, a backslash or a control character"));
    }
    Ok(decoded.into_owned())
}

fn parameters<'a>(query: &'a str, settings: &Settings) -> Result<(Variant, Option<&'a str>), Refused> {
    let (mut variant, mut signature) = (Variant::default(), None);
    if query.is_empty() {
        return Ok((variant, signature));
    }
    let side = |value: &str| number(value, settings.limits.side);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let fault = |what: &str| Refused::Query(format!("`{name}` {what}"));
        let taken = match name {
            "w" => variant.width.replace(side(value).ok_or_else(|| fault("is a number of pixels"))?).is_some(),
            "h" => variant.height.replace(side(value).ok_or_else(|| fault("is a number of pixels"))?).is_some(),
            "q" => {
                let quality = number(value, 100).and_then(|quality| u8::try_from(quality).ok());
                variant.quality.replace(quality.ok_or_else(|| fault("is between 1 and 100"))?).is_some()
            }
            "fit" => {
                let fit = [Fit::Inside, Fit::Cover, Fit::Contain].into_iter().find(|fit| fit.name() == value);
                variant.fit.replace(fit.ok_or_else(|| fault("is inside, cover or contain"))?).is_some()
            }
            "format" => {
                let known = Format::ALL.into_iter().find(|format| format.name() == value);
                let offered = known.filter(|format| crate::accept::is_offered(*format, &settings.formats));
                variant.format.replace(offered.ok_or_else(|| fault("is none of the formats"))?).is_some()
            }
            "s" => signature.replace(value).is_some(),
            // Not shown as it came: it is a stranger's text.
            _ => return Err(Refused::Query("parameters are w, h, q, fit, format and s".to_owned())),
        };
        if taken {
            return Err(fault("is given twice"));
        }
    }
    Ok((variant, signature))
}

/// A number in its one form: no sign, no zero in front.
fn number(text: &str, most: u32) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|number| plain && *number <= most)
}

fn allowed(variant: &Variant, settings: &Settings) -> Result<(), Refused> {
    let unlisted = |name: &str, value: String| Err(Refused::NotAllowed(format!("{name}={value}")));
    match *variant {
        Variant { width: Some(width), .. } if !settings.widths.contains(&width) => unlisted("w", width.to_string()),
        Variant { height: Some(height), .. } if !settings.heights.contains(&height) => {
            unlisted("h", height.to_string())
        }
        Variant { quality: Some(quality), .. }
            if quality != settings.quality && !settings.qualities.contains(&quality) =>
        {
            unlisted("q", quality.to_string())
        }
        // A whole picture of a camera keeps the slow lane busy for half a minute.
        Variant { format: Some(Format::Avif), width: None, height: None, .. } => {
            unlisted("format", "avif without a size".to_owned())
        }
        _ => Ok(()),
    }
}
