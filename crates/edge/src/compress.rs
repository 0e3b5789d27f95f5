//! An app's answer, made smaller on its way. Files lie compressed in their folders already ([`crate::files`]).
//!
//! What was written so far goes out whenever the app makes a pause: a page that is rendered in pieces still arrives in pieces.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::{Body as _, Frame};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::body::{Body, Broken};
use crate::files::encoding::{self, Encoding};

/// An answer that fits into one packet arrives no sooner for being smaller.
const LEAST: u64 = 1400;

/// Levels at which a core still compresses faster than a visitor's line takes it.
const GZIP_LEVEL: u32 = 5;
const ZSTD_LEVEL: i32 = 3;

/// 128 KiB of window (two to the power of this): memory is for every answer under way, and pages are hardly larger.
const ZSTD_WINDOW: u32 = 17;

/// So much is gathered before it goes out.
const PIECE: usize = 16 * 1024;

/// What a visitor's request says about what may be done with the answer.
#[derive(Debug)]
pub struct Wish {
    encoding: Option<Encoding>,
}

impl Wish {
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let offered = [Encoding::Zstd, Encoding::Gzip, Encoding::Identity];
        let wanted = || encoding::wanted(headers.get_all(ACCEPT_ENCODING));
        // An answer to HEAD has nothing that could be smaller.
        let chosen = (*method != Method::HEAD).then(|| wanted().into_iter().find(|one| offered.contains(one)));
        Self { encoding: chosen.flatten().filter(|one| *one != Encoding::Identity) }
    }
}

/// Compresses an answer if the visitor can read it then, and if it becomes smaller.
pub fn answer(response: Response<Body>, wish: &Wish) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    // Kept answers too: what is kept is what the app said.
    let is_of_app = matches!(body, Body::App(_) | Body::Collected(_) | Body::Full(_));
    if !is_of_app || !is_worth_it(head.status, &head.headers, &body) {
        return Response::from_parts(head, body);
    }
    // Caches on the way: another visitor may not be able to read this one.
    if !varies_by_encoding(&head.headers) {
        head.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    let encoder = match wish.encoding.map(Encoder::new) {
        Some(Ok(encoder)) => encoder,
        // There is always the answer as it is.
        Some(Err(_)) | None => return Response::from_parts(head, body),
    };
    let name = wish.encoding.map_or("identity", Encoding::name);
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(ACCEPT_RANGES);
    weaken(&mut head.headers);
    Response::from_parts(head, Body::Compressed(Box::new(Compressed::new(body, encoder))))
}

fn is_worth_it(status: StatusCode, headers: &HeaderMap, body: &Body) -> bool {
    let has_all = status.is_success() && status != StatusCode::NO_CONTENT && status != StatusCode::PARTIAL_CONTENT;
    let is_final = headers.contains_key(CONTENT_ENCODING) || headers.contains_key(CONTENT_RANGE);
    let forbids = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("no-transform"));
    has_all
        && !is_final
        && !headers.get_all(CACHE_CONTROL).iter().any(forbids)
        && headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_text)
        && body.size_hint().exact().is_none_or(|length| length >= LEAST)
}

/// Pictures, films and archives are compressed already; a stream of events is many small answers.
fn is_text(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let named = ["application/json", "application/javascript", "application/xml", "application/wasm"];
    kind != "text/event-stream"
        && (kind.starts_with("text/")
            || kind.ends_with("+json")
            || kind.ends_with("+xml")
            || named.contains(&kind.as_str()))
}

fn varies_by_encoding(headers: &HeaderMap) -> bool {
    let names = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    names.map(str::trim).any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"))
}

/// The bytes are others now, and what they mean is the same (RFC 9110, section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let weak = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(ETAG, weak);
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(encoding: Encoding) -> io::Result<Self> {
        match encoding {
            Encoding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
                Ok(Self::Zstd(encoder))
            }
            Encoding::Gzip => Ok(Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)))),
            Encoding::Brotli | Encoding::Identity => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn written(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// A body that is compressed while it passes.
pub struct Compressed {
    app: Body,
    /// None: it has ended.
    encoder: Option<Encoder>,
    /// Whether something was written since the last flush.
    holds_back: bool,
    trailers: Option<HeaderMap>,
}

impl std::fmt::Debug for Compressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressed").field("app", &self.app).finish_non_exhaustive()
    }
}

impl Compressed {
    fn new(app: Body, encoder: Encoder) -> Self {
        Self { app, encoder: Some(encoder), holds_back: false, trailers: None }
    }

    pub fn has_ended(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            let polled = Pin::new(&mut self.app).poll_frame(cx);
            if polled.is_pending() && self.holds_back {
                self.holds_back = false;
                encoder.writer().flush().map_err(Broken::Compression)?;
                let piece = std::mem::take(encoder.written());
                if !piece.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
                }
            }
            match ready!(polled).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => {
                    encoder.writer().write_all(&data).map_err(Broken::Compression)?;
                    self.holds_back = true;
                    if encoder.written().len() < PIECE {
                        continue;
                    }
                    let piece = std::mem::take(encoder.written());
                    return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
                }
                Some(Err(frame)) => self.trailers = frame.into_trailers().ok(),
                None => {}
            }
            // Trailers or nothing: no data follows.
            let rest = self.encoder.take().map_or(Ok(Vec::new()), Encoder::finish).map_err(Broken::Compression)?;
            if !rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
            }
        }
    }
}
