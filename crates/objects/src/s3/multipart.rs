//! Objects that come in parts.

use http::StatusCode;
use hyper::body::Incoming;

use super::authenticate::{one, refuse_open_upload};
use super::checksum::{self, Algorithm, Kind};
use super::conditions::{self, Verdict};
use super::fault::Refusal;
use super::headers::{self, quoted};
use super::intake::{self, Intake, Said, Sums, blocking};
use super::object::{note, source};
use super::operation::Target;
use super::server::{Answer, Asked, Desk, document, empty};
use super::xml::{self, Xml};
use crate::store::{Checksum, Fault, MOST_PARTS, Part, PartRef};

/// Bytes of a list of parts: ten thousand, each with a digest.
const COMPLETE_DOCUMENT: u64 = 4 << 20;

pub(crate) async fn begin(desk: &Desk, asked: &Asked) -> Result<Answer, Refusal> {
    let headers = &asked.head.headers;
    let mut metadata = headers::metadata(headers)?;
    let kind = one(headers, "x-amz-checksum-type")?;
    if let Some(name) = one(headers, "x-amz-checksum-algorithm")? {
        let unknown = || Refusal::unknown(format_args!("the checksum `{name}` of this kind"));
        let algorithm = Algorithm::of(name).ok_or_else(unknown)?;
        let kind = Kind::of(kind, algorithm).ok_or_else(unknown)?;
        // What it is, is known when all parts have come; until then, of which kind it is to be.
        metadata.checksum = Some(Checksum { algorithm: algorithm.name().to_owned(), value: kind.name().to_owned() });
    } else if kind.is_some() {
        return Err(Refusal::invalid("x-amz-checksum-type needs x-amz-checksum-algorithm"));
    }
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target.clone());
    let said = metadata.checksum.clone();
    let id = blocking(move || Ok(store.begin_upload(&bucket, &key, &metadata)?)).await?;
    let xml = Xml::root("InitiateMultipartUploadResult", |xml| {
        xml.text("Bucket", &asked.target.bucket);
        xml.text("Key", &asked.target.key);
        xml.text("UploadId", &id);
    });
    let mut answer = document(StatusCode::OK, xml);
    if let Some(said) = said {
        for (name, value) in
            [("x-amz-checksum-algorithm", said.algorithm.to_uppercase()), ("x-amz-checksum-type", said.value)]
        {
            let value = http::HeaderValue::from_str(&value).expect("names of checksums are ASCII");
            answer.headers_mut().insert(name, value);
        }
    }
    Ok(answer)
}

pub(crate) async fn put_part(
    desk: &Desk,
    asked: Asked,
    body: &mut Option<Incoming>,
    id: String,
    number: u32,
) -> Result<Answer, Refusal> {
    if let Some(claim) = asked.who.by_address() {
        refuse_open_upload(&asked.head, claim, true)?;
    }
    let said = Said::read(&asked.head, &asked.who)?;
    if said.length > desk.limits.object {
        return Err(Refusal::bad("EntityTooLarge", format!("a part has at most {} bytes", desk.limits.object)));
    }
    let _turn = desk.turn().await?;
    let (store, Target { bucket, key }, upload) = (desk.store.clone(), asked.target.clone(), id.clone());
    let intake = blocking(move || {
        store.upload(&bucket, &key, &upload)?;
        Ok(Intake::new(store.writer()?, said))
    })
    .await?;
    let intake = intake::take(intake, body.take().expect("nobody took it before")).await?;
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target);
    let part = blocking(move || {
        let (written, checksum) = intake.finish()?;
        Ok(store.commit_part(&bucket, &key, &id, number, written, checksum.as_ref())?)
    })
    .await?;
    let mut answer = empty(StatusCode::OK);
    note(&part.etag, part.checksum.as_ref(), &mut answer);
    Ok(answer)
}

/// A part that is a part of another object.
pub(crate) async fn copy_part(desk: &Desk, asked: &Asked, id: String, number: u32) -> Result<Answer, Refusal> {
    let from = source(desk, asked)?;
    let range = one(&asked.head.headers, "x-amz-copy-source-range")?.map(str::to_owned);
    let most = desk.limits.object;
    let _turn = desk.turn().await?;
    let (store, Target { bucket, key }, wanted) =
        (desk.store.clone(), asked.target.clone(), asked.head.headers.clone());
    let part = blocking(move || {
        store.upload(&bucket, &key, &id)?;
        let mut object = store.get(&from.bucket, &from.key)?;
        if conditions::judge(&wanted, "x-amz-copy-source-", &object.head)? != Verdict::Wanted {
            return Err(Refusal::unmet());
        }
        if let Some((first, length)) = conditions::range(range.as_deref(), object.head.size)? {
            object.content.narrow(first, length);
        }
        if object.content.left() > most {
            return Err(Refusal::bad("EntityTooLarge", format!("a part has at most {most} bytes")));
        }
        let mut writer = store.writer()?;
        while let Some(bytes) = object.content.chunk()? {
            writer.write(&bytes)?;
        }
        Ok(store.commit_part(&bucket, &key, &id, number, writer.finish()?, None)?)
    })
    .await?;
    let xml = Xml::root("CopyPartResult", |xml| {
        xml.text("ETag", &quoted(&part.etag));
        xml.value("LastModified", part.modified);
    });
    Ok(document(StatusCode::OK, xml))
}

pub(crate) async fn complete(desk: &Desk, asked: Asked, body: Incoming, id: String) -> Result<Answer, Refusal> {
    let expect = conditions::expect(&asked.head.headers)?;
    let bytes = intake::document(&asked.head, &asked.who, body, COMPLETE_DOCUMENT, Sums::OfObject).await?;
    let malformed = || Refusal::bad("MalformedXML", "the list of parts is none");
    let list = xml::read(&bytes).filter(|root| root.name == "CompleteMultipartUpload").ok_or_else(malformed)?;
    let mut parts = Vec::new();
    for part in list.inside.iter().filter(|element| element.name == "Part") {
        let number = part.text_of("PartNumber").and_then(|number| number.trim().parse().ok()).ok_or_else(malformed)?;
        let etag = part.text_of("ETag").ok_or_else(malformed)?.trim().trim_matches('"').to_owned();
        let checksum = part.inside.iter().find(|element| element.name.starts_with("Checksum"));
        parts.push(PartRef { number, etag, checksum: checksum.map(|element| element.text.clone()) });
    }
    if parts.len() > MOST_PARTS as usize {
        return Err(malformed());
    }
    let said = intake::sum_of_object(&asked.head)?;
    let most = desk.largest(&asked.target.bucket, desk.limits.multipart);
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target.clone());
    let head = blocking(move || {
        let upload = match store.upload(&bucket, &key, &id) {
            Err(fault @ Fault::NoUpload(_)) => return store.completed(&bucket, &key, &parts)?.ok_or(fault.into()),
            upload => upload?,
        };
        let size: u64 = store
            .parts(&bucket, &key, &id, 0, MOST_PARTS as usize)?
            .iter()
            .filter(|part| parts.binary_search_by_key(&part.number, |named| named.number).is_ok())
            .map(|part| part.size)
            .sum();
        if size > most {
            return Err(Refusal::bad("EntityTooLarge", format!("an object has at most {most} bytes")));
        }
        let wanted = upload.metadata.checksum.and_then(|wanted| {
            let algorithm = Algorithm::of(&wanted.algorithm)?;
            Some((algorithm, Kind::of(Some(&wanted.value), algorithm)?))
        });
        let whole = |parts: &[Part]| {
            let (algorithm, kind) = wanted?;
            let sums: Vec<(&Checksum, u64)> = parts
                .iter()
                .filter_map(|part| Some((part.checksum.as_ref()?, part.size)))
                .filter(|(sum, _)| sum.algorithm == algorithm.name())
                .collect();
            if sums.len() == parts.len() { checksum::of_parts(algorithm, kind, &sums) } else { None }
        };
        if let Some((algorithm, said)) = said {
            let known = store.parts(&bucket, &key, &id, 0, MOST_PARTS as usize)?;
            let known: Vec<Part> = known
                .into_iter()
                .filter(|part| parts.binary_search_by_key(&part.number, |named| named.number).is_ok())
                .collect();
            let computed = whole(&known).filter(|sum| sum.algorithm == algorithm.name());
            if computed.is_none_or(|sum| sum.value != said) {
                return Err(Refusal::bad("BadDigest", "the object has another checksum than the request says"));
            }
        }
        Ok(store.complete_upload(&bucket, &key, &id, &parts, &expect, whole)?)
    })
    .await?;
    let xml = Xml::root("CompleteMultipartUploadResult", |xml| {
        xml.text("Bucket", &asked.target.bucket);
        xml.text("Key", &asked.target.key);
        xml.text("ETag", &quoted(&head.etag));
        if let Some(checksum) = &head.metadata.checksum {
            xml.text(&format!("Checksum{}", checksum.algorithm.to_uppercase()), &checksum.value);
            xml.text("ChecksumType", Kind::of_value(&checksum.value).name());
        }
    });
    Ok(document(StatusCode::OK, xml))
}

pub(crate) async fn abort(desk: &Desk, asked: &Asked, id: String) -> Result<Answer, Refusal> {
    let (store, Target { bucket, key }) = (desk.store.clone(), asked.target.clone());
    blocking(move || Ok(store.abort_upload(&bucket, &key, &id)?)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
