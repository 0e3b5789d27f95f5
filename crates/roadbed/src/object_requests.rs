//! Requests to object storage that Roadbed signs itself.

use std::io;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderName, HeaderValue};
use host::clock::Timestamp;
use reconcile::Fault;
use secrets::{Secret, Store};
use sigv4::{Key, Request, Scope, UNSIGNED_PAYLOAD, authorization, stamp};

use crate::loopback;
use crate::world::objects::REGION;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What a request without a query says of who sends it. Its payload is not signed: it goes over loopback, or has none.
pub(crate) fn headers(
    key: &Key,
    method: &str,
    host: &str,
    path: &str,
    now: Timestamp,
) -> Vec<(HeaderName, HeaderValue)> {
    let stamp = stamp(now);
    let signed = [("host", host), ("x-amz-content-sha256", UNSIGNED_PAYLOAD), ("x-amz-date", stamp.as_str())];
    let request = Request { method, path, query: "", headers: &signed, payload: UNSIGNED_PAYLOAD };
    let said = authorization(&request, key, &Scope::of_s3(&stamp, REGION), &stamp);
    let value = |text: &str| HeaderValue::from_str(text).expect("a signature is ASCII");
    vec![(AUTHORIZATION, value(&said)), (DATE, value(&stamp)), (CONTENT, value(UNSIGNED_PAYLOAD))]
}

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub body: &'a [u8],
}

/// Who asks the object storage of an environment, on loopback.
pub(crate) struct Caller {
    pub port: u16,
    pub key: Key,
    pub now: Timestamp,
}

/// An operation of its own is answered in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

impl Caller {
    /// The status, and the beginning of what is said.
    pub(crate) async fn ask(&self, asked: &Asked<'_>) -> io::Result<(u16, String)> {
        let host = format!("127.0.0.1:{}", self.port);
        let signed = headers(&self.key, asked.method, &host, asked.path, self.now);
        let mut request = format!("{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", asked.method, asked.path);
        for (name, value) in &signed {
            request += &format!("{name}: {}\r\n", value.to_str().expect("a signature is ASCII"));
        }
        request += &format!("Content-Length: {}\r\n\r\n", asked.body.len());
        let (status, said) = loopback::ask(self.port, &request, asked.body, PATIENCE).await?;
        Ok((status, String::from_utf8_lossy(&said).chars().take(200).collect()))
    }
}

/// What all keys of an environment follow from.
pub(crate) fn root(secrets: &Store) -> Result<Secret, Fault> {
    let name = stores::objects::root_secret();
    let found = secrets.get(&name).map_err(|fault| Fault::because(format!("cannot read {name}"), &fault))?;
    let found = found.ok_or_else(|| Fault::new("object storage is not provisioned"))?;
    Ok(found.secret)
}

/// The key with which Roadbed looks after what it promises.
pub(crate) fn operator(secrets: &Store) -> Result<Key, Fault> {
    let key = stores::objects::Key::named(stores::objects::OPERATOR, &root(secrets)?);
    Ok(Key { id: key.id, secret: sigv4::Secret::new(key.secret.expose()) })
}
