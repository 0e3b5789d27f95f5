//! Images for engines on other machines, by the protocol of registries: to be pulled by digest, and nothing else. There are no tags, no
//! lists and no pushes, so nobody who pulls gets anything but what they named.
//!
//! It does not ask who pulls: whoever opens the listener puts it where only the environment's own hosts come.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use host::files;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use crate::image::Layout;
use crate::image::layout::MANIFEST;
use crate::pieces::Pieces;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Engines pull three layers at a time; there may be dozens of them.
const CONNECTIONS: usize = 128;

/// As long as a sender of a request may take for its head.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// After a listener's fault, such as no descriptor being free, before it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, layout: Layout) {
    let (layout, places) = (Arc::new(layout), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = places.clone().acquire_owned().await.expect("nobody closes it");
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the images");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let layout = layout.clone();
        connections.spawn(async move {
            let answers = service_fn(|request| {
                let layout = layout.clone();
                async move { Ok::<_, Infallible>(answer(&layout, &request)) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
            // Whoever pulls may go whenever they like.
            let _ = http.serve_connection(TokioIo::new(connection), answers).await;
            drop(place);
        });
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'a> {
    /// Whether this is a registry.
    Base,
    Manifest(&'a str),
    Blob(&'a str),
}

fn asked(path: &str) -> Option<Asked<'_>> {
    let rest = path.strip_prefix("/v2/")?;
    if rest.is_empty() {
        return Some(Asked::Base);
    }
    let (rest, digest) = rest.rsplit_once('/')?;
    // The digest says which; names are for those who pull.
    let (name, kind) = rest.rsplit_once('/')?;
    match kind {
        _ if name.is_empty() => None,
        "manifests" => Some(Asked::Manifest(digest)),
        "blobs" => Some(Asked::Blob(digest)),
        _ => None,
    }
}

fn answer(layout: &Layout, request: &Request<Incoming>) -> Response<Body> {
    let is_head = request.method() == Method::HEAD;
    if !is_head && request.method() != Method::GET {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, r#"{"errors":[{"code":"UNSUPPORTED"}]}"#);
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let unknown = |code: &'static str| plain(StatusCode::NOT_FOUND, code);
    match asked(request.uri().path()) {
        Some(Asked::Base) => plain(StatusCode::OK, "{}"),
        // A tag is no digest, and so is not known.
        Some(Asked::Manifest(digest)) if layout.is_manifest(digest) => blob(layout, digest, MANIFEST, is_head)
            .unwrap_or_else(|| unknown(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)),
        Some(Asked::Manifest(_)) => unknown(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        Some(Asked::Blob(digest)) => blob(layout, digest, "application/octet-stream", is_head)
            .unwrap_or_else(|| unknown(r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#)),
        None => unknown(r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#),
    }
}

/// The blob as it lies there; whoever pulls holds it against the digest that they asked for.
fn blob(layout: &Layout, digest: &str, kind: &'static str, is_head: bool) -> Option<Response<Body>> {
    let path = layout.blob(digest).ok()?;
    let mut file = files::open(&path).ok()?;
    let length = file.metadata().ok()?.len();
    let body = if is_head {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    } else {
        let (mut out, stream) = Pieces::new();
        spawn_blocking(move || {
            if io::copy(&mut file, &mut out).and_then(|_| io::Write::flush(&mut out)).is_err() {
                out.break_off("it cannot be read to its end");
            }
        });
        BodyExt::boxed_unsync(StreamBody::new(stream.map_ok(Frame::data)))
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert("docker-content-digest", HeaderValue::from_str(digest).ok()?);
    Some(answer)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_registries_answer_and_nothing_else() {
        for (path, expected) in [
            ("/v2/", Some(Asked::Base)),
            ("/v2/roadbed/api/manifests/sha256:a", Some(Asked::Manifest("sha256:a"))),
            ("/v2/api/blobs/sha256:a", Some(Asked::Blob("sha256:a"))),
            ("/v2/api/blobs/uploads/", None),
            ("/v2/blobs/sha256:a", None),
            ("/v2//blobs/sha256:a", None),
            ("/v2/_catalog", None),
            ("/", None),
            ("/v1/", None),
        ] {
            assert_eq!(asked(path), expected, "{path}");
        }
    }
}
