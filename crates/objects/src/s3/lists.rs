//! What is there: buckets, objects, uploads, parts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use percent_encoding::utf8_percent_encode;

use super::authenticate::Who;
use super::fault::Refusal;
use super::headers::quoted;
use super::intake::blocking;
use super::operation::{ListQuery, Target};
use super::server::{Answer, Asked, Desk, document};
use super::xml::Xml;
use crate::store::{List, Listed};

/// Names as a list in URL encoding has them.
const NAME: &percent_encoding::AsciiSet = &sigv4::SIGNED.remove(b'/').remove(b'*');

fn name(text: &str, is_url: bool) -> String {
    if is_url { utf8_percent_encode(text, NAME).to_string() } else { text.to_owned() }
}

fn owner(xml: &mut Xml, element: &str) {
    xml.within(element, |xml| {
        xml.text("ID", "roadbed");
        xml.text("DisplayName", "roadbed");
    });
}

/// Buckets that the key may know of.
pub(crate) async fn buckets(desk: &Desk, asked: &Asked) -> Result<Answer, Refusal> {
    let Who::Key(signed) = &asked.who else { return Err(Refusal::denied()) };
    let store = desk.store.clone();
    let all = blocking(move || Ok(store.buckets()?)).await?;
    let xml = Xml::root("ListAllMyBucketsResult", |xml| {
        owner(xml, "Owner");
        xml.within("Buckets", |xml| {
            for bucket in all.iter().filter(|bucket| signed.grant.knows(&bucket.name)) {
                xml.within("Bucket", |xml| {
                    xml.text("Name", &bucket.name);
                    xml.value("CreationDate", bucket.made);
                });
            }
        });
    });
    Ok(document(StatusCode::OK, xml))
}

pub(crate) async fn location(desk: &Desk, asked: &Asked) -> Result<Answer, Refusal> {
    let (store, bucket) = (desk.store.clone(), asked.target.bucket.clone());
    blocking(move || Ok(store.usage(&bucket)?)).await?;
    let mut xml = Xml::document();
    // The first region of all has no name here, and clients know.
    let region = Some(desk.settings.region.as_str()).filter(|region| *region != "us-east-1");
    xml.text("LocationConstraint", region.unwrap_or_default());
    Ok(document(StatusCode::OK, xml.end()))
}

/// Where a page ended: behind an object, or behind all that begins with a common prefix.
fn token(line: &Listed) -> String {
    let (kind, name) = match line {
        Listed::Object(head) => ('k', &head.key),
        Listed::Prefix(prefix) => ('p', prefix),
    };
    URL_SAFE_NO_PAD.encode(format!("{kind}{name}"))
}

fn read_token(token: &str) -> Result<(String, bool), Refusal> {
    let bad = || Refusal::bad("InvalidArgument", "the continuation token is none of this store");
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    match text.split_at_checked(1) {
        Some(("k", name)) => Ok((name.to_owned(), false)),
        Some(("p", name)) if !name.is_empty() => Ok((name.to_owned(), true)),
        _ => Err(bad()),
    }
}

pub(crate) async fn objects(desk: &Desk, asked: &Asked, query: ListQuery) -> Result<Answer, Refusal> {
    let (after, after_is_prefix) = match &query.token {
        Some(token) => {
            let (after, is_prefix) = read_token(token)?;
            (Some(after), is_prefix)
        }
        None => {
            // A marker of the first version may be a common prefix of the page before.
            let delimiter = query.delimiter.as_deref().filter(|_| !query.is_v2);
            let is_prefix = delimiter.zip(query.after.as_deref()).is_some_and(|(delimiter, after)| {
                after
                    .strip_prefix(query.prefix.as_str())
                    .and_then(|rest| rest.find(delimiter).map(|at| at + delimiter.len() == rest.len()))
                    == Some(true)
            });
            (query.after.clone(), is_prefix)
        }
    };
    let (store, bucket, wanted) = (desk.store.clone(), asked.target.bucket.clone(), query.clone());
    let page = blocking(move || {
        let list = List {
            prefix: &wanted.prefix,
            delimiter: wanted.delimiter.as_deref(),
            after: after.as_deref(),
            after_is_prefix,
            limit: wanted.limit,
        };
        let mut page = store.list(&bucket, &list)?;
        // A page of nothing has nothing behind it that a next one could begin at.
        page.is_more &= wanted.limit > 0;
        Ok(page)
    })
    .await?;
    let name = |text: &str| name(text, query.is_url);
    let xml = Xml::root("ListBucketResult", |xml| {
        xml.text("Name", &asked.target.bucket);
        xml.text("Prefix", &name(&query.prefix));
        if let Some(delimiter) = &query.delimiter {
            xml.text("Delimiter", &name(delimiter));
        }
        xml.value("MaxKeys", query.limit);
        if query.is_url {
            xml.text("EncodingType", "url");
        }
        if query.is_v2 {
            xml.value("KeyCount", page.lines.len());
            if let Some(token) = &query.token {
                xml.text("ContinuationToken", token);
            }
            if let Some(after) = &query.after {
                xml.text("StartAfter", &name(after));
            }
        } else {
            xml.text("Marker", &name(query.after.as_deref().unwrap_or_default()));
        }
        xml.value("IsTruncated", page.is_more);
        if let Some(last) = page.lines.last().filter(|_| page.is_more) {
            if query.is_v2 {
                xml.text("NextContinuationToken", &token(last));
            } else {
                xml.text("NextMarker", &name(last.name()));
            }
        }
        for line in &page.lines {
            match line {
                Listed::Prefix(prefix) => {
                    xml.within("CommonPrefixes", |xml| xml.text("Prefix", &name(prefix)));
                }
                Listed::Object(head) => xml.within("Contents", |xml| {
                    xml.text("Key", &name(&head.key));
                    xml.value("LastModified", head.modified);
                    xml.text("ETag", &quoted(&head.etag));
                    xml.value("Size", head.size);
                    if !query.is_v2 || query.wants_owner {
                        owner(xml, "Owner");
                    }
                    xml.text("StorageClass", "STANDARD");
                }),
            }
        }
    });
    Ok(document(StatusCode::OK, xml))
}

pub(crate) async fn uploads(
    desk: &Desk,
    asked: &Asked,
    prefix: String,
    after: (String, String),
    limit: usize,
    is_url: bool,
) -> Result<Answer, Refusal> {
    let (store, bucket, wanted, from) =
        (desk.store.clone(), asked.target.bucket.clone(), prefix.clone(), after.clone());
    let mut found = blocking(move || {
        // Without an id, it is behind all uploads of that key.
        let id = if from.1.is_empty() && !from.0.is_empty() { "\u{10ffff}" } else { from.1.as_str() };
        Ok(store.uploads(&bucket, &wanted, (&from.0, id), limit + 1)?)
    })
    .await?;
    let is_more = found.len() > limit && limit > 0;
    found.truncate(limit);
    let name = |text: &str| name(text, is_url);
    let xml = Xml::root("ListMultipartUploadsResult", |xml| {
        xml.text("Bucket", &asked.target.bucket);
        xml.text("Prefix", &name(&prefix));
        xml.text("KeyMarker", &name(&after.0));
        xml.text("UploadIdMarker", &after.1);
        xml.value("MaxUploads", limit);
        if is_url {
            xml.text("EncodingType", "url");
        }
        xml.value("IsTruncated", is_more);
        if let Some(last) = found.last().filter(|_| is_more) {
            xml.text("NextKeyMarker", &name(&last.key));
            xml.text("NextUploadIdMarker", &last.id);
        }
        for upload in &found {
            xml.within("Upload", |xml| {
                xml.text("Key", &name(&upload.key));
                xml.text("UploadId", &upload.id);
                owner(xml, "Initiator");
                owner(xml, "Owner");
                xml.text("StorageClass", "STANDARD");
                xml.value("Initiated", upload.begun);
            });
        }
    });
    Ok(document(StatusCode::OK, xml))
}

pub(crate) async fn parts(
    desk: &Desk,
    asked: &Asked,
    id: String,
    after: u32,
    limit: usize,
    is_url: bool,
) -> Result<Answer, Refusal> {
    let (store, Target { bucket, key }, upload) = (desk.store.clone(), asked.target.clone(), id.clone());
    let mut found = blocking(move || Ok(store.parts(&bucket, &key, &upload, after, limit + 1)?)).await?;
    let is_more = found.len() > limit && limit > 0;
    found.truncate(limit);
    let xml = Xml::root("ListPartsResult", |xml| {
        xml.text("Bucket", &asked.target.bucket);
        xml.text("Key", &name(&asked.target.key, is_url));
        xml.text("UploadId", &id);
        owner(xml, "Initiator");
        owner(xml, "Owner");
        xml.text("StorageClass", "STANDARD");
        xml.value("PartNumberMarker", after);
        xml.value("NextPartNumberMarker", found.last().map_or(0, |part| part.number));
        xml.value("MaxParts", limit);
        xml.value("IsTruncated", is_more);
        for part in &found {
            xml.within("Part", |xml| {
                xml.value("PartNumber", part.number);
                xml.value("LastModified", part.modified);
                xml.text("ETag", &quoted(&part.etag));
                xml.value("Size", part.size);
                if let Some(checksum) = &part.checksum {
                    xml.text(&format!("Checksum{}", checksum.algorithm.to_uppercase()), &checksum.value);
                }
            });
        }
    });
    Ok(document(StatusCode::OK, xml))
}
