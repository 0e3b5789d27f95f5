//! Passing a request for the console to control, over control's own socket: nobody else on this machine can be at the other end, so
//! what we say there of a visitor is believed.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::access::Who;
use crate::body::Body;
use crate::guard::Asked;
use crate::headers;
use crate::refusal::Refusal;

/// Which session it is, so that control can look up what it grants, and whether it was ended.
pub const SESSION: HeaderName = HeaderName::from_static("x-roadbed-session");
/// From where, for the audit log.
pub const CLIENT: HeaderName = HeaderName::from_static("x-roadbed-client");
/// Where control takes them.
pub const PREFIX: &str = "/console";

/// What a form of ours holds is far less, in bytes.
const LONGEST_FORM: usize = 16 * 1024;
/// A form comes whole or not at all.
const FORM_PATIENCE: Duration = Duration::from_secs(10);
/// Control may ask telemetry to search the logs of a month.
const CONTROL_PATIENCE: Duration = Duration::from_secs(20);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Asks control. Of the visitor's headers it gets what it reads, and none that says who it is but by us.
pub async fn answer(
    control: &Path,
    (parts, body): (&Parts, Incoming),
    asked: &Asked,
    who: &Who,
) -> Result<Response<Body>, Refusal> {
    let read = timeout(FORM_PATIENCE, Limited::new(body, LONGEST_FORM).collect()).await;
    let form = match read {
        Ok(Ok(form)) => form.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(Refusal::BodyTooLong),
        Ok(Err(_)) => return Err(Refusal::UploadBroken),
        Err(_) => return Err(Refusal::UploadStalled),
    };
    let mut request = Request::new(Full::new(form));
    *request.method_mut() = parts.method.clone();
    let target = format!("{PREFIX}{}", asked.target);
    *request.uri_mut() = target.parse().map_err(|_| Refusal::Malformed)?;
    let told = request.headers_mut();
    told.insert(http::header::HOST, HeaderValue::from_static("control"));
    for name in [ACCEPT, CONTENT_TYPE, HeaderName::from_static("sec-fetch-site")] {
        if let Some(value) = parts.headers.get(&name) {
            told.insert(name, value.clone());
        }
    }
    who.tell(told);
    let said = |text: &str| HeaderValue::from_str(text).ok();
    if let (Who::Person(session), Some(client)) = (who, said(&asked.client.to_string())) {
        told.extend(said(&session.id).map(|id| (SESSION, id)));
        told.insert(CLIENT, client);
    }
    match timeout(CONTROL_PATIENCE, exchange(control, request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the console is not served: control does not answer");
            Err(Refusal::DoorUnattended)
        }
        Err(_) => Err(Refusal::DoorUnattended),
    }
}

async fn exchange(control: &Path, request: Request<Full<Bytes>>) -> Result<Response<Body>, AnyError> {
    let stream = host::socket::connect_unix(control)?;
    stream.set_nonblocking(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(UnixStream::from_std(stream)?)).await?;
    // Ends with the answer, or when nobody reads it any more.
    tokio::spawn(connection);
    let mut response = sender.send_request(request).await?;
    headers::toward_visitor(response.headers_mut());
    Ok(response.map(Body::Control))
}
