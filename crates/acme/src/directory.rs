//! What an authority says of itself.

use bytes::Bytes;
use http::Request;
use instant_acme::{BodyWrapper, HttpClient};
use serde::Deserialize;

use crate::Trust;
use crate::order::Failure;
use crate::wire::Wire;

#[derive(Deserialize)]
struct Directory {
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    caa_identities: Vec<String>,
}

/// The names by which this authority is allowed in CAA records (RFC 8555, section 7.1.1).
pub async fn caa_identities(directory: &str, trust: &Trust) -> Result<Vec<String>, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::here("the directory cannot be read", error);
    let wire = Wire::new(trust.client().map_err(|error| failed(&error))?);
    let request = Request::get(directory).header("user-agent", "roadbed").body(BodyWrapper::<Bytes>::default());
    let request = request.map_err(|error| failed(&error))?;
    let mut response = wire.request(request).await.map_err(|error| failed(&error))?;
    let bytes = response.body.into_bytes().await.map_err(|error| failed(error.as_ref()))?;
    let directory: Directory = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
    Ok(directory.meta.caa_identities)
}
