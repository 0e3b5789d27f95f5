//! A page over plain HTTP, by a client that believes the plan's authorities alone.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;
use webpki::EndEntityCert;

use crate::plan::{Page, Route};
use crate::report::Complaint;

/// Pages are far smaller; more is cut off as a failure.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Makes visits.
pub(crate) struct Visitor {
    tls: TlsConnector,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Visitor {
    pub(crate) fn new(
        trusted: &Arc<RootCertStore>,
        shown: Option<Arc<dyn ResolvesClientCert>>,
    ) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted.clone());
        let config = match shown {
            Some(shown) => config.with_client_cert_resolver(shown),
            None => config.with_no_client_auth(),
        };
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// `GET` of an address, without following where it leads.
    pub(crate) async fn get(&self, url: &Url, route: &Route) -> Result<Answer, AnyError> {
        let stream = TcpStream::connect(route.to).await?;
        if url.scheme() == "https" {
            exchange(self.shake_hands(stream, route).await?, url, route).await
        } else {
            exchange(stream, url, route).await
        }
    }

    /// What Chromium calls the pin of a host: the digest of its key. The chain to it was verified by the time this returns.
    pub(crate) async fn pin(&self, route: &Route) -> Result<String, AnyError> {
        let stream = self.shake_hands(TcpStream::connect(route.to).await?, route).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let leaf = chain.first().ok_or("the server showed no certificate")?;
        let key = EndEntityCert::try_from(leaf)?.subject_public_key_info();
        Ok(STANDARD.encode(Sha256::digest(&key)))
    }

    async fn shake_hands(&self, stream: TcpStream, route: &Route) -> Result<TlsStream<TcpStream>, AnyError> {
        Ok(self.tls.connect(ServerName::try_from(route.host.clone())?, stream).await?)
    }
}

async fn exchange<S>(stream: S, url: &Url, route: &Route) -> Result<Answer, AnyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the sender is dropped at the end of this function.
    tokio::spawn(connection);
    let path: Uri = url[url::Position::BeforePath..url::Position::AfterQuery].parse()?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = Request::get(path).header("host", authority).header("accept", "text/html,application/json");
    for header in &route.headers {
        request = request.header(&header.name, &header.value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await?.to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

impl Answer {
    /// What is not as the page should be.
    pub(crate) fn complaints(&self, page: &Page) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        if self.status.as_u16() != page.status {
            let leads_to = self.text_of("location").filter(|_| self.status.is_redirection());
            complaints.push(Complaint::Status { expected: page.status, found: self.status.as_u16(), leads_to });
        }
        for header in &page.headers {
            let found = self.text_of(&header.name);
            if found.as_ref() != Some(&header.value) {
                let (name, expected) = (header.name.clone(), header.value.clone());
                complaints.push(Complaint::Header { name, expected, found });
            }
        }
        if let Some(text) = &page.contains
            && !String::from_utf8_lossy(&self.body).contains(text.as_str())
        {
            complaints.push(Complaint::NoMarker { text: text.clone() });
        }
        complaints
    }

    fn text_of(&self, header: &str) -> Option<String> {
        self.headers.get(header).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}
