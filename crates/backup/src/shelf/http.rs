//! Requests to servers that keep files.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ureq::http::{Method, Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

use super::{Because, Pace, Unmet};

/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// No file of a repository is larger: packs are a tenth of it.
const LARGEST: u64 = 1 << 30;

#[derive(Clone, Debug)]
pub(crate) struct Http {
    agent: Agent,
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Http {
    pub(crate) fn new(authorities: &[u8]) -> Result<Self, String> {
        let authorities: Vec<Certificate<'static>> = ureq::tls::parse_pem(authorities)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                Ok(_) => None,
                Err(error) => Some(Err(format!("cannot read the certificates to believe: {error}"))),
            })
            .collect::<Result<_, _>>()?;
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(authorities)))
            .build();
        let config = Agent::config_builder()
            // Who logs in would be told to whomever the answer names.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(SILENCE / 2))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .user_agent(concat!("roadbed/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls);
        Ok(Self { agent: config.build().into() })
    }

    /// Asks. `headers` may have what nobody may read: they are in no error.
    pub(crate) fn ask(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, String)],
        content: Option<(&[u8], &Pace)>,
    ) -> Result<Answer, Unmet> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let unusable =
            |_| Unmet::new(format!("{url} cannot be asked: a header of the request is no text"), Because::Else);
        let sent = match content {
            Some((content, pace)) => {
                let mut pieces = pace.pieces(content);
                let request = request.header("content-length", content.len().to_string());
                self.agent.run(request.body(SendBody::from_reader(&mut pieces)).map_err(unusable)?)
            }
            None => self.agent.run(request.body(()).map_err(unusable)?),
        };
        let mut answer = sent.map_err(|error| unreachable(url, &error))?;
        let status = answer.status();
        let mut body = Vec::new();
        if method != Method::HEAD {
            let mut reader = answer.body_mut().with_config().limit(LARGEST).reader();
            reader
                .read_to_end(&mut body)
                .map_err(|error| Unmet::new(format!("the answer of {url} broke off: {error}"), Because::Passing))?;
        }
        Ok(Answer { status, body: body.into() })
    }
}

fn unreachable(url: &str, error: &ureq::Error) -> Unmet {
    let because = match error {
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => {
            Because::Passing
        }
        _ => Because::Else,
    };
    Unmet::new(format!("{url} does not answer: {error}"), because)
}

/// What a status that is no success means.
pub(crate) fn unmet(what: &str, answer: &Answer) -> Unmet {
    let because = match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED | StatusCode::CONFLICT => {
            Because::Refused
        }
        StatusCode::NOT_FOUND => Because::Absent,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Because::Passing,
        status if status.is_server_error() => Because::Passing,
        _ => Because::Else,
    };
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]).into_owned();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = if text.is_empty() { String::new() } else { format!(": {text}") };
    Unmet::new(format!("{what} was answered with {}{said}", answer.status), because)
}
