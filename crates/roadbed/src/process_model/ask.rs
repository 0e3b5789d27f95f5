//! Asks one instance, past the edge: as the edge would, by the host that visitors name.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A first page of a fresh process may be slow; slower is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that visitors make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

impl Visit {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: "GET".into(), path: path.into(), body: String::new() }
    }

    /// `PATH`, or `METHOD PATH BODY`. `None` if it is neither.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('/') && !text.contains(' ') {
            return Some(Self::get(text));
        }
        let mut words = text.splitn(3, ' ');
        let (method, path) = (words.next()?, words.next()?);
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        let body = words.next().unwrap_or_default().to_owned();
        (is_method && path.starts_with('/')).then(|| Self { method: method.into(), path: path.into(), body })
    }

    /// Changes nothing, so that it may be asked again and compared.
    pub(crate) fn only_looks(&self) -> bool {
        self.method == "GET"
    }
}

impl std::fmt::Display for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What an instance said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// Name to value, of the cookies that it gave.
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) body: String,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Makes a request on a connection of its own. An error is a sentence.
pub(crate) async fn ask(
    port: u16,
    host: &str,
    visit: &Visit,
    cookies: &BTreeMap<String, String>,
) -> Result<Said, String> {
    let asking = async {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder()
            .method(visit.method.as_str())
            .uri(&visit.path)
            .header("host", host)
            .header("connection", "close")
            .header("x-forwarded-proto", "https");
        if !visit.body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        if !cookies.is_empty() {
            let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", all.join("; "));
        }
        let request = request.body(Full::new(Bytes::from(visit.body.clone())))?;
        let talk = async {
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let given = head.headers.get_all("set-cookie").iter().filter_map(|value| cookie(value.to_str().ok()?));
            let cookies = given.collect();
            let body = body.collect().await?.to_bytes();
            Ok::<_, AnyError>(Said {
                status: head.status.as_u16(),
                cookies,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        let (said, _) = tokio::join!(talk, connection);
        said
    };
    match timeout(PATIENCE, asking).await {
        Ok(said) => said.map_err(|error: AnyError| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn cookie(header: &str) -> Option<(String, String)> {
    let (name, value) = header.split(';').next()?.split_once('=')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_a_path_or_a_method_with_path_and_body() {
        assert_eq!(Visit::read("/cart"), Some(Visit::get("/cart")));
        let put = Visit::read("PUT /cart/items/a {\"quantity\": 1}").unwrap();
        assert_eq!(
            (put.method.as_str(), put.path.as_str(), put.body.as_str()),
            ("PUT", "/cart/items/a", "{\"quantity\": 1}")
        );
        assert!(!put.only_looks());
        assert!(["", "cart", "put /cart", "PUT cart", "https://x/"].iter().all(|text| Visit::read(text).is_none()));
    }
}
