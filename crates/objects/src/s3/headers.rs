//! What is said about an object in headers, in both directions.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::authenticate::one;
use super::checksum::Kind;
use super::conditions::system_time;
use super::fault::Refusal;
use crate::store::{Head, Metadata};

/// Bytes of a client's own metadata, names and values: as S3 has it.
const MOST_METADATA: usize = 2 << 10;

const META: &str = "x-amz-meta-";

/// Headers of S3 that mean something here, or nothing that would be missed. Another one asks for what is not done, and is not passed
/// over: whoever asks for encryption must not believe to have it.
const KNOWN: &[&str] = &[
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-type",
    "x-amz-checksum-mode",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-metadata-directive",
    "x-amz-request-payer",
    "x-amz-user-agent",
];

/// Headers whose one value is what is done anyway.
const ONLY: &[(&str, &[&str])] = &[
    ("x-amz-acl", &["private", "bucket-owner-full-control"]),
    ("x-amz-storage-class", &["STANDARD"]),
    ("x-amz-tagging-directive", &["COPY"]),
];

/// Refuses headers that ask for what is not done here.
pub(crate) fn refuse_unknown(headers: &HeaderMap) -> Result<(), Refusal> {
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") || name.starts_with(META) || KNOWN.contains(&name) {
            continue;
        }
        let only = ONLY.iter().find(|(known, _)| *known == name);
        if !only.is_some_and(|(_, values)| values.iter().any(|known| known.as_bytes() == value.as_bytes())) {
            return Err(Refusal::unknown(format_args!("the header `{name}` with this value")));
        }
    }
    Ok(())
}

/// What a request says about the object that it puts.
pub(crate) fn metadata(headers: &HeaderMap) -> Result<Metadata, Refusal> {
    let own = |name: &str| Ok::<_, Refusal>(one(headers, name)?.map(str::to_owned).filter(|value| !value.is_empty()));
    let mut metadata = Metadata {
        content_type: own("content-type")?,
        cache_control: own("cache-control")?,
        content_disposition: own("content-disposition")?,
        content_encoding: own("content-encoding")?.and_then(without_chunks),
        content_language: own("content-language")?,
        expires: own("expires")?,
        ..Metadata::default()
    };
    let mut bytes = 0;
    for name in headers.keys().filter_map(|name| name.as_str().strip_prefix(META)) {
        let values: Vec<&str> = headers
            .get_all(format!("{META}{name}"))
            .iter()
            .map(|value| std::str::from_utf8(value.as_bytes()).map_err(|_| Refusal::invalid("metadata is no UTF-8")))
            .collect::<Result<_, _>>()?;
        let value = values.join(",");
        bytes += name.len() + value.len();
        metadata.user.insert(name.to_owned(), value);
    }
    if bytes > MOST_METADATA {
        return Err(Refusal::bad(
            "MetadataTooLarge",
            format!("metadata has {bytes} bytes, and {MOST_METADATA} is the most"),
        ));
    }
    Ok(metadata)
}

/// How the content came is not what it is.
fn without_chunks(encoding: String) -> Option<String> {
    let kept: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|one| !one.eq_ignore_ascii_case("aws-chunked")).collect();
    Some(kept.join(", ")).filter(|kept| !kept.is_empty())
}

/// Headers of an answer about an object.
pub(crate) fn describe(head: &Head, wants_checksum: bool, to: &mut HeaderMap) {
    let metadata = &head.metadata;
    let mut put = |name: &'static str, value: Option<&str>| {
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
            to.insert(HeaderName::from_static(name), value);
        }
    };
    put("content-type", Some(metadata.content_type.as_deref().unwrap_or("binary/octet-stream")));
    put("cache-control", metadata.cache_control.as_deref());
    put("content-disposition", metadata.content_disposition.as_deref());
    put("content-encoding", metadata.content_encoding.as_deref());
    put("content-language", metadata.content_language.as_deref());
    put("expires", metadata.expires.as_deref());
    put("etag", Some(&quoted(&head.etag)));
    put("last-modified", Some(&httpdate::fmt_http_date(system_time(head.modified))));
    put("accept-ranges", Some("bytes"));
    // What somebody put is what it says it is, and nothing that a browser makes of it.
    put("x-content-type-options", Some("nosniff"));
    for (name, value) in &metadata.user {
        let name = HeaderName::from_bytes(format!("{META}{name}").as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            to.insert(name, value);
        }
    }
    if let Some(checksum) = metadata.checksum.as_ref().filter(|checksum| wants_checksum && !checksum.value.is_empty()) {
        let kind = Kind::of_value(&checksum.value).name();
        let name = HeaderName::from_bytes(format!("x-amz-checksum-{}", checksum.algorithm).as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&checksum.value)) {
            to.insert(name, value);
            to.insert("x-amz-checksum-type", HeaderValue::from_static(kind));
        }
    }
}

pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
