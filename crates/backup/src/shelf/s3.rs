//! An object store that speaks S3: five requests, signed as AWS does it.

use bytes::Bytes;
use host::clock::{Clock, SystemClock};
use quick_xml::Reader;
use quick_xml::events::Event;
use rustic_core::{FileType, Id};
use sigv4::{Key, Request, Scope, Secret, encoded, sha256_hex};
use ureq::http::{Method, StatusCode};
use zeroize::Zeroizing;

use super::http::{Answer, Http, unmet};
use super::{Because, Pace, Shelf, Unmet, id_of, path_of, size};

pub(crate) struct S3 {
    /// `https://HOST[:PORT]`.
    endpoint: String,
    bucket: String,
    /// Empty, or ends with `/`.
    prefix: String,
    region: String,
    key: Key,
    http: Http,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("at", &self.shown()).finish_non_exhaustive()
    }
}

impl S3 {
    pub(crate) fn new(
        endpoint: &str,
        bucket: &str,
        prefix: &str,
        region: &str,
        key: (String, Zeroizing<String>),
        http: Http,
    ) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let (endpoint, bucket, region) = (endpoint.to_owned(), bucket.to_owned(), region.to_owned());
        let key = Key { id: key.0, secret: Secret::new(key.1.as_str()) };
        Self { endpoint, bucket, prefix, region, key, http }
    }

    /// `object` is absent for requests to the bucket itself.
    fn ask(
        &self,
        method: &Method,
        object: Option<&str>,
        query: &[(&str, &str)],
        range: Option<String>,
        content: Option<(&[u8], &Pace)>,
    ) -> Result<Answer, Unmet> {
        let path = match object {
            Some(object) => format!("{}{object}", self.prefix).split('/').map(encoded).collect::<Vec<_>>().join("/"),
            None => String::new(),
        };
        let path = if object.is_some() { format!("/{}/{path}", self.bucket) } else { format!("/{}", self.bucket) };
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let query = query.join("&");
        let host = self.endpoint.split_once("://").map_or(self.endpoint.as_str(), |(_, host)| host);
        let content_sha256 = sha256_hex(content.map_or(&[][..], |(content, _)| content));
        let stamp = sigv4::stamp(SystemClock.now());
        let signed =
            [("host", host), ("x-amz-content-sha256", content_sha256.as_str()), ("x-amz-date", stamp.as_str())];
        let request =
            Request { method: method.as_str(), path: &path, query: &query, headers: &signed, payload: &content_sha256 };
        let scope = Scope::of_s3(&stamp, &self.region);
        let mut headers = vec![
            ("authorization", sigv4::authorization(&request, &self.key, &scope, &stamp)),
            ("x-amz-content-sha256", content_sha256.clone()),
            ("x-amz-date", stamp.clone()),
        ];
        headers.extend(range.map(|range| ("range", range)));
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{query}", self.endpoint);
        let answer = self.http.ask(method, &url, &headers, content)?;
        if answer.status.is_success() { Ok(answer) } else { Err(unmet(&format!("{method} {url}"), &answer)) }
    }
}

impl Shelf for S3 {
    fn shown(&self) -> String {
        format!("s3:{}/{}/{}", self.endpoint, self.bucket, self.prefix.trim_end_matches('/'))
    }

    /// The file itself is asked for, which is small: an answer to HEAD says of no refusal why.
    fn has_repository(&self) -> Result<bool, Unmet> {
        match self.ask(&Method::GET, Some("config"), &[], None, None) {
            Ok(_) => Ok(true),
            Err(unmet) if unmet.because == Because::Absent => Ok(false),
            Err(unmet) => Err(unmet),
        }
    }

    /// Objects need no folders, and buckets are made by those who pay for them.
    fn create(&self) -> Result<(), Unmet> {
        Ok(())
    }

    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Unmet> {
        if kind == FileType::Config {
            return Ok(if self.has_repository()? { vec![(Id::default(), 0)] } else { Vec::new() });
        }
        let prefix = format!("{}{}/", self.prefix, kind.dirname());
        let (mut all, mut token) = (Vec::new(), None::<String>);
        loop {
            let mut query = Vec::new();
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            query.extend([("list-type", "2"), ("prefix", prefix.as_str())]);
            let answer = self.ask(&Method::GET, None, &query, None, None)?;
            let page = page(&answer.body).map_err(|why| {
                Unmet::new(format!("{} is no list of objects as S3 gives it: {why}", self.shown()), Because::Else)
            })?;
            let files =
                page.objects.iter().filter_map(|(key, bytes)| Some((id_of(key.rsplit('/').next()?)?, size(*bytes))));
            all.extend(files);
            token = page.next;
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    fn read(&self, kind: FileType, id: &Id, part: Option<(u32, u32)>) -> Result<Bytes, Unmet> {
        let range = part.map(|(offset, length)| {
            format!("bytes={offset}-{}", u64::from(offset) + u64::from(length).saturating_sub(1))
        });
        let answer = self.ask(&Method::GET, Some(&path_of(kind, id)), &[], range, None)?;
        match part {
            // All of it came.
            Some((offset, _)) if answer.status == StatusCode::OK => {
                Ok(answer.body.slice((offset as usize).min(answer.body.len())..))
            }
            _ => Ok(answer.body),
        }
    }

    fn write(&self, kind: FileType, id: &Id, content: &[u8], pace: &Pace) -> Result<(), Unmet> {
        self.ask(&Method::PUT, Some(&path_of(kind, id)), &[], None, Some((content, pace))).map(drop)
    }

    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Unmet> {
        match self.ask(&Method::DELETE, Some(&path_of(kind, id)), &[], None, None) {
            Err(unmet) if unmet.because == Because::Absent => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

/// A page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    objects: Vec<(String, u64)>,
    next: Option<String>,
}

fn page(xml: &[u8]) -> Result<Page, String> {
    let mut reader = Reader::from_reader(xml);
    let (mut page, mut path, mut text) = (Page::default(), Vec::<String>::new(), String::new());
    let mut object = (String::new(), 0);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                path.push(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
                text.clear();
            }
            Event::Text(piece) => text.push_str(&piece.decode().map_err(|error| error.to_string())?),
            Event::GeneralRef(name) => {
                let name: &[u8] = &name;
                let known = match name {
                    b"amp" => "&",
                    b"lt" => "<",
                    b"gt" => ">",
                    b"quot" => "\"",
                    b"apos" => "'",
                    _ => return Err("it has names that are not defined".to_owned()),
                };
                text.push_str(known);
            }
            Event::End(_) => {
                let at: Vec<&str> = path.iter().map(String::as_str).collect();
                match at.as_slice() {
                    ["ListBucketResult", "Contents", "Key"] => object.0 = std::mem::take(&mut text),
                    ["ListBucketResult", "Contents", "Size"] => {
                        object.1 = text.trim().parse().map_err(|_| "a size is no number".to_owned())?;
                    }
                    ["ListBucketResult", "Contents"] => page.objects.push(std::mem::take(&mut object)),
                    ["ListBucketResult", "NextContinuationToken"] => page.next = Some(std::mem::take(&mut text)),
                    _ => {}
                }
                path.pop();
            }
            Event::Eof if path.is_empty() => return Ok(page),
            Event::Eof => return Err("it is cut off".to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_page_by_page_and_what_is_cut_off_is_no_list() {
        let xml = b"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name><NextContinuationToken>a&amp;b</NextContinuationToken>\
            <Contents><Key>p/keys/ab</Key><Size>12</Size></Contents><Contents><Size>3</Size><Key>c</Key></Contents></ListBucketResult>";
        let read = page(xml).unwrap();
        assert_eq!(read.objects, [("p/keys/ab".to_owned(), 12), ("c".to_owned(), 3)]);
        assert_eq!(read.next.as_deref(), Some("a&b"));
        assert!(page(&xml[..xml.len() - 30]).is_err());
    }
}
