//! A content as it comes: undone from its chunks, written, and compared with all that is said of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sigv4::{ChunkSigner, UNSIGNED_PAYLOAD};
use tokio::task::spawn_blocking;

use super::authenticate::{Who, one};
use super::checksum::{Algorithm, Running};
use super::chunked::{Broken, Decoder, Signing};
use super::fault::Refusal;
use crate::store::{Checksum, Digest, Writer, Written};

/// Bytes that are handed to the disk at once.
const BATCH: usize = 64 << 10;

/// What a request says of the content that it brings.
#[derive(Debug)]
pub(crate) struct Said {
    /// Bytes of the content.
    pub(crate) length: u64,
    sha256: Option<Digest>,
    md5: Option<[u8; 16]>,
    sum: Option<(Algorithm, Option<String>)>,
    decoder: Option<Decoder>,
}

impl Said {
    /// # Errors
    /// Where it says too little, or what nobody here can compute.
    pub(crate) fn read(head: &Parts, who: &Who) -> Result<Self, Refusal> {
        Self::read_with(head, who, Sums::OfDocument)
    }

    fn read_with(head: &Parts, who: &Who, sums: Sums) -> Result<Self, Refusal> {
        let payload = match who {
            Who::Key(signed) => signed.payload.as_str(),
            Who::Anybody => UNSIGNED_PAYLOAD,
        };
        let signing = || match who {
            Who::Key(signed) => Ok(Signing::Signed(Box::new(ChunkSigner::new(signed.verified.clone())))),
            Who::Anybody => Err(Refusal::denied()),
        };
        let (mut sha256, mut decoder) = (None, None);
        match payload {
            UNSIGNED_PAYLOAD => {}
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => decoder = Some(Decoder::new(Signing::Unsigned, true)),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => decoder = Some(Decoder::new(signing()?, false)),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => decoder = Some(Decoder::new(signing()?, true)),
            digest => {
                let read = digest.parse().ok();
                let bad = || Refusal::bad("InvalidArgument", "x-amz-content-sha256 is no digest that is known here");
                sha256 = Some(read.ok_or_else(bad)?);
            }
        }
        let name = if decoder.is_some() { "x-amz-decoded-content-length" } else { "content-length" };
        let missing = || Refusal::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", format!("say `{name}`"));
        let length = one(&head.headers, name)?.ok_or_else(missing)?;
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse().ok().filter(|_| is_number);
        let length = length.ok_or_else(|| Refusal::invalid(format!("`{name}` is no number")))?;
        let md5 = match one(&head.headers, "content-md5")? {
            None => None,
            Some(text) => {
                let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
                Some(bytes.ok_or_else(|| Refusal::bad("InvalidDigest", "content-md5 is no MD5 in base64"))?)
            }
        };
        let sum = match sums {
            Sums::OfDocument => sum(head, decoder.is_some())?,
            Sums::OfObject => None,
        };
        Ok(Self { length, sha256, md5, sum, decoder })
    }
}

/// Which checksum comes in a header, or behind the content.
fn sum(head: &Parts, is_chunked: bool) -> Result<Option<(Algorithm, Option<String>)>, Refusal> {
    const BEGINS: &str = "x-amz-checksum-";
    let mut sums = Vec::new();
    for (name, value) in &head.headers {
        let Some(name) = name.as_str().strip_prefix(BEGINS) else { continue };
        if matches!(name, "mode" | "algorithm" | "type") {
            continue;
        }
        let algorithm = Algorithm::of(name).ok_or_else(|| Refusal::unknown(format_args!("`{BEGINS}{name}`")))?;
        let value = value.to_str().unwrap_or_default().to_owned();
        sums.push((algorithm, Some(value)));
    }
    for named in head.headers.get_all("x-amz-trailer") {
        let named = named.to_str().unwrap_or_default();
        let algorithm = named.trim().to_ascii_lowercase().strip_prefix(BEGINS).and_then(Algorithm::of);
        let algorithm = algorithm.ok_or_else(|| Refusal::unknown(format_args!("a trailer `{named}`")))?;
        if !is_chunked {
            return Err(Refusal::invalid("a trailer needs a payload in chunks"));
        }
        sums.push((algorithm, None));
    }
    if sums.len() > 1 {
        return Err(Refusal::invalid("one checksum is enough"));
    }
    let sum = sums.pop();
    if let Some((algorithm, Some(value))) = &sum
        && STANDARD.decode(value).map_or(true, |bytes| bytes.len() != algorithm.length())
    {
        return Err(Refusal::invalid(format!("`{BEGINS}{}` is none", algorithm.name())));
    }
    Ok(sum)
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Signature => Self::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", broken.to_string()),
            Broken::Cut => Self::bad("IncompleteBody", broken.to_string()),
            Broken::Line | Broken::End | Broken::More => Self::invalid(broken.to_string()),
        }
    }
}

/// A content that is coming.
#[derive(Debug)]
pub(crate) struct Intake {
    writer: Writer,
    size: u64,
    length: u64,
    decoder: Option<Decoder>,
    running: Option<Running>,
    said_sum: Option<(Algorithm, Option<String>)>,
    sha256: Option<Digest>,
    md5: Option<[u8; 16]>,
}

impl Intake {
    pub(crate) fn new(writer: Writer, said: Said) -> Self {
        Self {
            writer,
            size: 0,
            length: said.length,
            decoder: said.decoder,
            running: said.sum.as_ref().map(|(algorithm, _)| Running::new(*algorithm)),
            said_sum: said.sum,
            sha256: said.sha256,
            md5: said.md5,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let Self { writer, size, length, decoder, running, .. } = self;
        let mut take = |content: &[u8]| {
            *size += content.len() as u64;
            if *size > *length {
                return Err(Refusal::bad("IncompleteBody", "there is more content than the request says"));
            }
            if let Some(running) = running {
                running.update(content);
            }
            Ok(writer.write(content)?)
        };
        match decoder {
            None => take(bytes),
            Some(decoder) => decoder.feed(bytes, take),
        }
    }

    /// All of it, when it is what the request says that it is.
    pub(crate) fn finish(mut self) -> Result<(Written, Option<Checksum>), Refusal> {
        let trailers = self.decoder.take().map(Decoder::finish).transpose()?.unwrap_or_default();
        if self.size != self.length {
            return Err(Refusal::bad("IncompleteBody", "there is less content than the request says"));
        }
        let mut checksum = None;
        if let Some(((algorithm, said), running)) = self.said_sum.zip(self.running) {
            let name = format!("x-amz-checksum-{}", algorithm.name());
            let behind = || trailers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
            let said = said
                .or_else(behind)
                .ok_or_else(|| Refusal::invalid(format!("`{name}` was announced and is missing")))?;
            let computed = running.finish();
            if computed.value != said {
                return Err(Refusal::bad(
                    "BadDigest",
                    format!("the content has another {} than it says", algorithm.name()),
                ));
            }
            checksum = Some(computed);
        }
        let written = self.writer.finish()?;
        if self.sha256.is_some_and(|sha256| sha256 != written.digest) {
            return Err(Refusal::bad("XAmzContentSHA256Mismatch", "the content has another SHA-256 than was signed"));
        }
        if self.md5.is_some_and(|md5| md5 != written.md5) {
            return Err(Refusal::bad("BadDigest", "the content has another MD5 than it says"));
        }
        Ok((written, checksum))
    }
}

/// Does on a thread that may block. What panics there is a fault of ours.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(Refusal::internal()))
}

/// Takes a body to its end. A connection that gives nothing for long is cut by whoever holds it.
pub(crate) async fn take(mut intake: Intake, mut body: Incoming) -> Result<Intake, Refusal> {
    let mut batch: Vec<Bytes> = Vec::new();
    let mut gathered = 0;
    loop {
        let frame = body.frame().await.transpose();
        let frame = frame.map_err(|_| Refusal::bad("IncompleteBody", "the content was cut off"))?;
        let is_end = frame.is_none();
        if let Some(Ok(bytes)) = frame.map(hyper::body::Frame::into_data) {
            gathered += bytes.len();
            batch.push(bytes);
        }
        if gathered >= BATCH || (is_end && gathered > 0) {
            let full = std::mem::take(&mut batch);
            gathered = 0;
            intake = blocking(move || {
                for bytes in &full {
                    intake.feed(bytes)?;
                }
                Ok(intake)
            })
            .await?;
        }
        if is_end {
            return Ok(intake);
        }
    }
}

/// Of what a checksum in a header is, where a request brings a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    OfDocument,
    /// That the document makes of parts.
    OfObject,
}

/// The checksum that an object is to have when it is complete.
pub(crate) fn sum_of_object(head: &Parts) -> Result<Option<(Algorithm, String)>, Refusal> {
    const BEGINS: &str = "x-amz-checksum-";
    for (name, value) in &head.headers {
        let Some(name) = name.as_str().strip_prefix(BEGINS).filter(|name| *name != "type") else { continue };
        let algorithm = Algorithm::of(name).ok_or_else(|| Refusal::unknown(format_args!("`{BEGINS}{name}`")))?;
        return Ok(Some((algorithm, value.to_str().unwrap_or_default().to_owned())));
    }
    Ok(None)
}

/// Takes a document of at most so many bytes.
pub(crate) async fn document(
    head: &Parts,
    who: &Who,
    mut body: Incoming,
    most: u64,
    sums: Sums,
) -> Result<Vec<u8>, Refusal> {
    let mut said = Said::read_with(head, who, sums)?;
    if said.length > most {
        return Err(Refusal::bad("MaxMessageLengthExceeded", format!("a document has at most {most} bytes")));
    }
    let mut whole = Vec::new();
    let mut decoder = said.decoder.take();
    let mut running = said.sum.as_ref().map(|(algorithm, _)| Running::new(*algorithm));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::bad("IncompleteBody", "the document was cut off"))?;
        let Ok(bytes) = frame.into_data() else { continue };
        let mut keep = |bytes: &[u8]| {
            whole.extend_from_slice(bytes);
            if whole.len() as u64 > said.length {
                return Err(Refusal::bad("IncompleteBody", "there is more of the document than the request says"));
            }
            Ok(())
        };
        match &mut decoder {
            None => keep(&bytes)?,
            Some(decoder) => decoder.feed(&bytes, keep)?,
        }
    }
    let trailers = decoder.map(Decoder::finish).transpose()?.unwrap_or_default();
    let bad = |what: &str| Refusal::bad("BadDigest", format!("the document has another {what} than it says"));
    if let (Some(running), Some((algorithm, value))) = (&mut running, &said.sum) {
        running.update(&whole);
        let name = format!("x-amz-checksum-{}", algorithm.name());
        let behind = trailers.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let value = value.as_ref().or(behind).cloned();
        let computed = std::mem::replace(running, Running::new(*algorithm)).finish().value;
        if value.as_deref() != Some(computed.as_str()) {
            return Err(bad("checksum"));
        }
    }
    if said.sha256.is_some_and(|sha256| sigv4::sha256_hex(&whole) != sha256.hex()) {
        return Err(Refusal::bad("XAmzContentSHA256Mismatch", "the document has another SHA-256 than was signed"));
    }
    let md5: [u8; 16] = <md5::Md5 as md5::Digest>::digest(&whole).into();
    if said.md5.is_some_and(|said| said != md5) {
        return Err(bad("MD5"));
    }
    Ok(whole)
}
