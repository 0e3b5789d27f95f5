//! What a stranger sent, read whole and unpacked, and never more of it than is allowed.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// As it comes over the wire.
pub(crate) const MAX_SENT: usize = 4 << 20;

/// Unpacked. A packed bomb is put down here.
pub(crate) const MAX_UNPACKED: usize = 8 << 20;

/// Bodies up to here are read as they come; above, only a few at once, so that memory is bounded whoever sends. Events of real
/// clients have 2 to 60 kB.
const SMALL: usize = 64 << 10;

/// How many large or packed ones are held at once: times [`MAX_UNPACKED`] is what strangers can make us take.
const LARGE_AT_ONCE: usize = 4;

/// A client that takes longer is not sending, it is holding a place.
const WITHIN: Duration = Duration::from_secs(10);

/// zstd's frames may ask for windows of gigabytes; 2^23 is what `zstd -19` uses.
const ZSTD_WINDOW: u32 = 23;

/// Why a body is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the body has more than {MAX_SENT} bytes")]
    Large,
    #[error("the body has more than {MAX_UNPACKED} bytes unpacked")]
    Bomb,
    #[error("the body did not come within {} seconds", WITHIN.as_secs())]
    Slow,
    #[error("the connection broke")]
    Cut,
    #[error("the body is not {0}")]
    NotPackedSo(String),
    #[error("nobody here unpacks {0}")]
    Unknown(String),
}

impl BodyFault {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Large | Self::Bomb => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Cut | Self::NotPackedSo(_) => StatusCode::BAD_REQUEST,
            Self::Unknown(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Reads bodies for all areas, with one bound for all of them.
#[derive(Debug)]
pub(crate) struct BodyReader {
    large: Semaphore,
}

impl BodyReader {
    pub(crate) fn new() -> Self {
        Self { large: Semaphore::new(LARGE_AT_ONCE) }
    }

    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, BodyFault> {
        timeout(WITHIN, self.read_slowly(headers, body)).await.map_err(|_| BodyFault::Slow)?
    }

    async fn read_slowly(&self, headers: &HeaderMap, mut body: Body) -> Result<Vec<u8>, BodyFault> {
        let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if said.is_some_and(|length| length > MAX_SENT) {
            return Err(BodyFault::Large);
        }
        let encoding =
            headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_lowercase());
        let encoding = encoding.filter(|encoding| !encoding.is_empty() && encoding != "identity");
        let mut place = None;
        let mut sent = Vec::with_capacity(said.unwrap_or(0).min(SMALL));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyFault::Cut)?.into_data() else { continue };
            if sent.len() + data.len() > MAX_SENT {
                return Err(BodyFault::Large);
            }
            if sent.len() + data.len() > SMALL && place.is_none() {
                place = self.large.acquire().await.ok();
            }
            sent.extend_from_slice(&data);
        }
        let Some(encoding) = encoding else { return Ok(sent) };
        if place.is_none() {
            place = self.large.acquire().await.ok();
        }
        let unpacked = unpack(&encoding, &sent);
        drop(place);
        unpacked
    }
}

fn unpack(encoding: &str, sent: &[u8]) -> Result<Vec<u8>, BodyFault> {
    let whole = match encoding {
        "gzip" | "x-gzip" => up_to(flate2::read::MultiGzDecoder::new(sent)),
        // The name is of zlib's format; some send it without.
        "deflate" => match up_to(flate2::read::ZlibDecoder::new(sent)) {
            Err(Unpacking::Wrong) => up_to(flate2::read::DeflateDecoder::new(sent)),
            read => read,
        },
        "br" => up_to(brotli::Decompressor::new(sent, 4096)),
        "zstd" => match zstd::stream::read::Decoder::new(sent) {
            Ok(mut decoder) => {
                decoder.window_log_max(ZSTD_WINDOW).map_err(|_| Unpacking::Wrong).and_then(|()| up_to(decoder))
            }
            Err(_) => Err(Unpacking::Wrong),
        },
        other => return Err(BodyFault::Unknown(other.chars().take(32).collect())),
    };
    whole.map_err(|fault| match fault {
        Unpacking::Bomb => BodyFault::Bomb,
        Unpacking::Wrong => BodyFault::NotPackedSo(encoding.to_owned()),
    })
}

enum Unpacking {
    Bomb,
    Wrong,
}

fn up_to(decoder: impl Read) -> Result<Vec<u8>, Unpacking> {
    let mut whole = Vec::new();
    let limit = u64::try_from(MAX_UNPACKED).unwrap_or(u64::MAX) + 1;
    let read: io::Result<usize> = decoder.take(limit).read_to_end(&mut whole);
    match read {
        Err(_) => Err(Unpacking::Wrong),
        Ok(_) if whole.len() > MAX_UNPACKED => Err(Unpacking::Bomb),
        Ok(_) => Ok(whole),
    }
}
