//! Objects read, put, copied and deleted.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use percent_encoding::percent_decode_str;
use tokio::sync::OwnedSemaphorePermit;

use super::authenticate::{one, refuse_open_upload};
use super::conditions::{self, Verdict};
use super::fault::Refusal;
use super::headers::{self, quoted};
use super::intake::{self, Intake, Said, Sums, blocking};
use super::operation::{self, Target};
use super::server::{Answer, Asked, Desk, document, empty};
use super::xml::{self, Xml};
use crate::grants::Verb;
use crate::store::{Checksum, Content, Expect, Fault, Head, Put};

/// Objects that are deleted by one request, as S3 has it.
const MOST_DELETED: usize = 1000;

/// Bytes of a list of objects to delete: a thousand keys, each written as it takes most room.
const DELETE_DOCUMENT: u64 = 8 << 20;

type Overrides = Vec<(&'static str, String)>;

pub(crate) async fn get(desk: &Desk, asked: &Asked, overrides: Overrides) -> Result<Answer, Refusal> {
    let turn = desk.turn().await?;
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target.clone());
    let wanted = asked.head.headers.clone();
    let found = blocking(move || {
        let mut object = store.get(&bucket, &key)?;
        let verdict = conditions::judge(&wanted, "", &object.head)?;
        if verdict != Verdict::Wanted {
            return Ok((object.head, verdict, None));
        }
        let range = conditions::range(range_of(&wanted, &object.head)?, object.head.size)?;
        if let Some((from, length)) = range {
            object.content.narrow(from, length);
        }
        let left = object.content.left();
        // The first bytes before the answer begins: what is damaged there is an error and no broken answer.
        let first = object.content.chunk()?.unwrap_or_default();
        Ok((object.head, verdict, Some((range, left, first, object.content))))
    })
    .await?;
    let (head, verdict, content) = found;
    let Some((range, left, first, content)) = content else { return unwanted(&head, verdict) };
    let mut answer = Response::new(stream(first, content, turn));
    describe(&head, asked, overrides, range.is_none(), &mut answer);
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(left));
    if let Some((from, length)) = range {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let said = format!("bytes {from}-{}/{}", from + length - 1, head.size);
        answer.headers_mut().insert(CONTENT_RANGE, HeaderValue::from_str(&said).expect("digits are a header"));
    }
    Ok(answer)
}

/// The range that is asked for, unless it was meant for another version.
fn range_of<'a>(wanted: &'a http::HeaderMap, head: &Head) -> Result<Option<&'a str>, Refusal> {
    let range = one(wanted, "range")?;
    let is_other = match one(wanted, "if-range")? {
        None => false,
        Some(etag) if etag.starts_with('"') => etag != quoted(&head.etag),
        Some(date) => {
            httpdate::parse_http_date(date).map_or(true, |date| date != conditions::system_time(head.modified))
        }
    };
    Ok(range.filter(|_| !is_other))
}

pub(crate) async fn head(desk: &Desk, asked: &Asked, overrides: Overrides) -> Result<Answer, Refusal> {
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target.clone());
    let head = blocking(move || Ok(store.head(&bucket, &key)?)).await?;
    let verdict = conditions::judge(&asked.head.headers, "", &head)?;
    if verdict != Verdict::Wanted {
        return unwanted(&head, verdict);
    }
    let range = conditions::range(range_of(&asked.head.headers, &head)?, head.size)?;
    let mut answer = empty(StatusCode::OK);
    describe(&head, asked, overrides, range.is_none(), &mut answer);
    let length = range.map_or(head.size, |(_, length)| length);
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some((from, length)) = range {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let said = format!("bytes {from}-{}/{}", from + length - 1, head.size);
        answer.headers_mut().insert(CONTENT_RANGE, HeaderValue::from_str(&said).expect("digits are a header"));
    }
    Ok(answer)
}

fn describe(head: &Head, asked: &Asked, overrides: Overrides, is_whole: bool, answer: &mut Answer) {
    let wants_checksum =
        is_whole && asked.head.headers.get("x-amz-checksum-mode").is_some_and(|mode| mode.as_bytes() == b"ENABLED");
    headers::describe(head, wants_checksum, answer.headers_mut());
    for (name, value) in overrides {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}

fn unwanted(head: &Head, verdict: Verdict) -> Result<Answer, Refusal> {
    if verdict == Verdict::Failed {
        return Err(Refusal::unmet());
    }
    let mut answer = empty(StatusCode::NOT_MODIFIED);
    headers::describe(head, false, answer.headers_mut());
    answer.headers_mut().remove("content-type");
    Ok(answer)
}

/// Bytes as they are read and found to be right. Where one is not, the connection breaks before the end that was announced.
fn stream(
    first: Bytes,
    content: Content,
    turn: OwnedSemaphorePermit,
) -> http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error> {
    let rest =
        futures_util::stream::try_unfold((Some(first), content, turn), |(first, mut content, turn)| async move {
            if let Some(first) = first {
                return Ok(Some((Frame::data(first), (None, content, turn))));
            }
            if content.left() == 0 {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || content.chunk().map(|bytes| (bytes, content))).await;
            match read {
                Ok(Ok((Some(bytes), content))) => Ok(Some((Frame::data(bytes), (None, content, turn)))),
                Ok(Ok((None, _))) => Ok(None),
                Ok(Err(fault)) => {
                    tracing::error!(%fault, "an object cannot be read to its end");
                    Err(io::Error::other("the object is damaged"))
                }
                Err(_) => Err(io::Error::other("the object cannot be read")),
            }
        });
    StreamBody::new(rest).boxed_unsync()
}

pub(crate) async fn put(desk: &Desk, asked: Asked, body: &mut Option<Incoming>) -> Result<Answer, Refusal> {
    if let Some(claim) = asked.who.by_address() {
        refuse_open_upload(&asked.head, claim, false)?;
    }
    let said = Said::read(&asked.head, &asked.who)?;
    let most = desk.largest(&asked.target.bucket, desk.limits.object);
    if said.length > most {
        return Err(Refusal::bad(
            "EntityTooLarge",
            format!("an object that comes as one has at most {most} bytes here"),
        ));
    }
    let mut metadata = headers::metadata(&asked.head.headers)?;
    let expect = conditions::expect(&asked.head.headers)?;
    let _turn = desk.turn().await?;
    let (store, Target { bucket, key }, length) = (desk.store.clone(), asked.target.clone(), said.length);
    let wanted = expect.clone();
    let intake = blocking(move || {
        store.permit(&bucket, &key, length, &wanted)?;
        Ok(Intake::new(store.writer()?, said))
    })
    .await?;
    let intake = intake::take(intake, body.take().expect("nobody took it before")).await?;
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target);
    let head = blocking(move || {
        let (written, checksum) = intake.finish()?;
        metadata.checksum = checksum;
        Ok(store.commit(&bucket, &key, written, Put { metadata, expect, etag: None })?)
    })
    .await?;
    let mut answer = empty(StatusCode::OK);
    note(&head.etag, head.metadata.checksum.as_ref(), &mut answer);
    Ok(answer)
}

/// Says in an answer what was put.
pub(crate) fn note(etag: &str, checksum: Option<&Checksum>, answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.insert("etag", HeaderValue::from_str(&quoted(etag)).expect("an ETag is ASCII"));
    if let Some(checksum) = checksum {
        let name = HeaderName::from_bytes(format!("x-amz-checksum-{}", checksum.algorithm).as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&checksum.value)) {
            headers.insert(name, value);
        }
    }
}

/// The object that a copy is made of, which whoever asks must be able to read.
pub(crate) fn source(desk: &Desk, asked: &Asked) -> Result<Target, Refusal> {
    let text = one(&asked.head.headers, "x-amz-copy-source")?.unwrap_or_default();
    if text.contains("?versionId=") {
        return Err(Refusal::unknown("a copy of a version"));
    }
    let bad = || Refusal::bad("InvalidArgument", "x-amz-copy-source is not BUCKET/KEY");
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| bad())?;
    let (bucket, key) = decoded.strip_prefix('/').unwrap_or(&decoded).split_once('/').ok_or_else(bad)?;
    asked.who.may(Verb::Read, bucket, key, &desk.settings)?;
    crate::store::check_key(key).map_err(Fault::from)?;
    Ok(operation::Target { bucket: bucket.to_owned(), key: key.to_owned() })
}

pub(crate) async fn copy(desk: &Desk, asked: &Asked) -> Result<Answer, Refusal> {
    if let Some(claim) = asked.who.by_address()
        && !claim.signs("x-amz-copy-source")
    {
        return Err(Refusal::not_signed("x-amz-copy-source"));
    }
    let from = source(desk, asked)?;
    let replaces = match one(&asked.head.headers, "x-amz-metadata-directive")? {
        None | Some("COPY") => false,
        Some("REPLACE") => true,
        Some(_) => return Err(Refusal::bad("InvalidArgument", "x-amz-metadata-directive is COPY or REPLACE")),
    };
    if !replaces && from == asked.target {
        return Err(Refusal::invalid("a copy onto itself changes nothing: replace its metadata, or copy it elsewhere"));
    }
    let fresh = headers::metadata(&asked.head.headers)?;
    let expect = conditions::expect(&asked.head.headers)?;
    let (store, to, wanted) = (desk.store.clone(), asked.target.clone(), asked.head.headers.clone());
    let head = blocking(move || {
        let source = store.head(&from.bucket, &from.key)?;
        if conditions::judge(&wanted, "x-amz-copy-source-", &source)? != Verdict::Wanted {
            return Err(Refusal::unmet());
        }
        let mut metadata = if replaces { fresh } else { source.metadata.clone() };
        metadata.checksum = source.metadata.checksum;
        let put = Put { metadata, expect, etag: None };
        Ok(store.copy((&from.bucket, source.version), &to.bucket, &to.key, put)?)
    })
    .await?;
    let xml = Xml::root("CopyObjectResult", |xml| {
        xml.text("ETag", &quoted(&head.etag));
        xml.value("LastModified", head.modified);
    });
    Ok(document(StatusCode::OK, xml))
}

pub(crate) async fn delete(desk: &Desk, asked: &Asked) -> Result<Answer, Refusal> {
    let expect = conditions::expect(&asked.head.headers)?;
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target.clone());
    blocking(move || Ok(store.delete(&bucket, &key, &expect)?)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn delete_many(desk: &Desk, asked: Asked, body: Incoming) -> Result<Answer, Refusal> {
    let bytes = intake::document(&asked.head, &asked.who, body, DELETE_DOCUMENT, Sums::OfDocument).await?;
    let malformed = || Refusal::bad("MalformedXML", "the list of objects to delete is none");
    let list = xml::read(&bytes).filter(|root| root.name == "Delete").ok_or_else(malformed)?;
    let is_quiet = list.text_of("Quiet") == Some("true");
    let objects: Vec<&xml::Element> = list.inside.iter().filter(|element| element.name == "Object").collect();
    if objects.is_empty() || objects.len() > MOST_DELETED {
        return Err(malformed());
    }
    let mut keys = Vec::with_capacity(objects.len());
    for object in objects {
        let key = object.text_of("Key").filter(|key| !key.is_empty()).ok_or_else(malformed)?;
        if object.text_of("VersionId").is_some() {
            return Err(Refusal::unknown("deletion of a version"));
        }
        let expect = object.text_of("ETag").map_or(Expect::Anything, |etag| {
            Expect::Etag(Some(etag.trim_matches('"').to_owned()).filter(|etag| etag != "*"))
        });
        let permitted = asked.who.may(Verb::Delete, &asked.target.bucket, key, &desk.settings);
        keys.push((key.to_owned(), expect, permitted));
    }
    let (store, bucket) = (desk.store.clone(), asked.target.bucket);
    let outcomes = blocking(move || {
        let open: Vec<(&str, &Expect)> = keys
            .iter()
            .filter(|(.., permitted)| permitted.is_ok())
            .map(|(key, expect, _)| (key.as_str(), expect))
            .collect();
        let mut done = store.delete_many(&bucket, &open)?.into_iter();
        let outcomes = keys.into_iter().map(|(key, _, permitted)| {
            let outcome = permitted.and_then(|()| {
                let done = done.next().expect("an answer for each key");
                done.map(drop).map_err(Refusal::from)
            });
            (key, outcome)
        });
        Ok(outcomes.collect::<Vec<_>>())
    })
    .await?;
    let xml = Xml::root("DeleteResult", |xml| {
        for (key, outcome) in outcomes {
            match outcome {
                Ok(()) if is_quiet => {}
                Ok(()) => xml.within("Deleted", |xml| xml.text("Key", &key)),
                Err(refusal) => xml.within("Error", |xml| {
                    xml.text("Key", &key);
                    xml.text("Code", refusal.code);
                    xml.text("Message", &refusal.message);
                }),
            }
        }
    });
    Ok(document(StatusCode::OK, xml))
}
