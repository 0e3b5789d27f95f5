//! Which format a client takes, by its `Accept`.

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use crate::Format;

/// JPEG and PNG are understood by everybody, so they need no setting.
pub fn is_offered(format: Format, formats: &BTreeSet<Format>) -> bool {
    matches!(format, Format::Jpeg | Format::Png) || formats.contains(&format)
}

/// Whether a client takes a format beside JPEG and PNG.
///
/// Wildcards do not count: clients that know no WebP send `*/*` too.
pub fn takes(headers: &HeaderMap, format: Format) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(format.content_type()));
        named && parts.all(|part| !is_zero(part))
    })
}

/// `q=0`, `q=0.0`: the client says that it does not take it.
fn is_zero(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
}
