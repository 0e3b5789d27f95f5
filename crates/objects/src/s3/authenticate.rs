//! Who asks: a key whose signature is right, or nobody in particular.

use std::sync::Arc;
use std::time::Duration;

use host::clock::Timestamp;
use http::request::Parts;
use http::{HeaderMap, Method};
use sigv4::{Claim, Means, Request, Secret, UNSIGNED_PAYLOAD, Verified};

use super::fault::Refusal;
use crate::grants::{Grant, Grants, Verb};
use crate::settings::Settings;

/// How long an address may be good for. S3's own bound is a week; a form is sent within minutes.
pub const LONGEST_ADDRESS: Duration = Duration::from_secs(3600);

/// Who asks.
#[derive(Debug)]
pub(crate) enum Who {
    Anybody,
    Key(Box<Signed>),
}

/// A request whose signature is right.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) grant: Arc<Grant>,
    pub(crate) claim: Claim,
    pub(crate) verified: Verified,
    /// What it says of its payload: a digest, or a word.
    pub(crate) payload: String,
}

impl Who {
    /// Refuses what may not be done, whether or not there is anything to do it with.
    pub(crate) fn may(&self, verb: Verb, bucket: &str, key: &str, settings: &Settings) -> Result<(), Refusal> {
        let is_public = verb == Verb::Read && settings.bucket(bucket).is_some_and(|bucket| bucket.public_read);
        match self {
            _ if is_public => Ok(()),
            Self::Key(signed) if signed.grant.permits(verb, bucket, key) => Ok(()),
            _ => Err(Refusal::denied()),
        }
    }

    pub(crate) fn knows(&self, bucket: &str) -> Result<(), Refusal> {
        match self {
            Self::Key(signed) if signed.grant.knows(bucket) => Ok(()),
            _ => Err(Refusal::denied()),
        }
    }

    pub(crate) fn is_anybody(&self) -> bool {
        matches!(self, Self::Anybody)
    }

    /// Whether it came by an address that somebody signed for somebody else.
    pub(crate) fn by_address(&self) -> Option<&Claim> {
        match self {
            Self::Key(signed) if matches!(signed.claim.means, Means::Query { .. }) => Some(&signed.claim),
            _ => None,
        }
    }
}

/// # Errors
/// Where something in it says that it is signed, and that is not so.
pub(crate) fn who(head: &Parts, grants: &Grants, region: &str, now: Timestamp) -> Result<Who, Refusal> {
    let query = head.uri.query().unwrap_or_default();
    let authorization = one(&head.headers, "authorization")?;
    let of_query =
        Claim::of_query(query).map_err(|bad| Refusal::bad("AuthorizationQueryParametersError", bad.to_string()))?;
    let claim = match (authorization, of_query) {
        (None, None) => return Ok(Who::Anybody),
        (Some(_), Some(_)) => return Err(Refusal::invalid("only one signature can be in a request")),
        (Some(authorization), None) => {
            let date = one(&head.headers, "x-amz-date")?.unwrap_or_default();
            Claim::of_header(authorization, date)
                .map_err(|bad| Refusal::bad("AuthorizationHeaderMalformed", bad.to_string()))?
        }
        (None, Some(claim)) => claim,
    };
    let payload = payload(head, &claim)?;
    let mut headers = Vec::with_capacity(claim.signed_headers.len());
    for name in &claim.signed_headers {
        let host = head.uri.authority().map(http::uri::Authority::as_str).filter(|_| name == "host");
        if let Some(host) = host {
            headers.push((name.as_str(), host));
            continue;
        }
        for value in head.headers.get_all(name) {
            let value = std::str::from_utf8(value.as_bytes())
                .map_err(|_| Refusal::invalid(format!("the header `{name}` is no UTF-8")))?;
            headers.push((name.as_str(), value));
        }
    }
    let request =
        Request { method: head.method.as_str(), path: head.uri.path(), query, headers: &headers, payload: &payload };
    let grant = grants.of(&claim.key_id);
    // An id that nobody has costs what another costs.
    let nobody = Secret::new("nobody's");
    let secret = grant.as_ref().map_or(&nobody, |grant| &grant.secret);
    let verdict = claim.verify(&request, secret, region, "s3", now);
    let forbidden = |code, message: String| Refusal::new(http::StatusCode::FORBIDDEN, code, message);
    let Some(grant) = grant else {
        return Err(forbidden("InvalidAccessKeyId", "no key of this store has this id".to_owned()));
    };
    let verified = verdict.map_err(|refusal| match refusal {
        sigv4::Refusal::Mismatch => forbidden("SignatureDoesNotMatch", refusal.to_string()),
        sigv4::Refusal::Skewed => forbidden("RequestTimeTooSkewed", refusal.to_string()),
        sigv4::Refusal::Expired => forbidden("AccessDenied", "Request has expired".to_owned()),
        sigv4::Refusal::Scope => Refusal::bad(
            "AuthorizationHeaderMalformed",
            format!("it is signed for `{}`; the region is `{region}`, the service `s3`", claim.scope.region),
        ),
    })?;
    if let Means::Query { expires } = claim.means
        && !(Duration::from_secs(1)..=LONGEST_ADDRESS).contains(&expires)
    {
        let most = LONGEST_ADDRESS.as_secs();
        return Err(Refusal::bad(
            "AuthorizationQueryParametersError",
            format!("X-Amz-Expires is between 1 and {most}"),
        ));
    }
    // Whoever has an address could otherwise make of it what was never signed: a copy, other metadata, another owner.
    for name in head.headers.keys() {
        if name.as_str().starts_with("x-amz-") && !claim.signs(name.as_str()) {
            return Err(Refusal::not_signed(&format!("the header `{name}`")));
        }
    }
    if one(&head.headers, "x-amz-security-token")?.is_some() || query.contains("X-Amz-Security-Token") {
        return Err(forbidden("InvalidToken", "this store gives no temporary keys".to_owned()));
    }
    Ok(Who::Key(Box::new(Signed { grant, claim, verified, payload })))
}

/// Refuses to take an object by an address that leaves open what, and how much of it, may be sent.
pub(crate) fn refuse_open_upload(head: &Parts, claim: &Claim, is_part: bool) -> Result<(), Refusal> {
    debug_assert_eq!(head.method, Method::PUT);
    if !claim.signs("content-length") {
        return Err(Refusal::not_signed("content-length of an upload by an address"));
    }
    if !is_part && !claim.signs("content-type") {
        return Err(Refusal::not_signed("content-type of an upload by an address"));
    }
    Ok(())
}

fn payload(head: &Parts, claim: &Claim) -> Result<String, Refusal> {
    const NAME: &str = "x-amz-content-sha256";
    let said = one(&head.headers, NAME)?;
    match claim.means {
        Means::Header => {
            said.map(str::to_owned).ok_or_else(|| Refusal::invalid("the header x-amz-content-sha256 is missing"))
        }
        Means::Query { .. } => {
            let in_query = sigv4::decoded_pairs(head.uri.query().unwrap_or_default())
                .find(|(name, _)| name == b"X-Amz-Content-Sha256")
                .map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
            let said = said.filter(|_| claim.signs(NAME)).map(str::to_owned).or(in_query);
            Ok(said.unwrap_or_else(|| UNSIGNED_PAYLOAD.to_owned()))
        }
    }
}

/// The value of a header that can be there once.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::invalid(format!("the header `{name}` is there twice")));
    }
    let text = std::str::from_utf8(first.as_bytes());
    text.map(Some).map_err(|_| Refusal::invalid(format!("the header `{name}` is no UTF-8")))
}
