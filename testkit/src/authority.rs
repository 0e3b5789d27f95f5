//! An authority that speaks ACME (RFC 8555, RFC 9773) and does what a test says: what a real one does once in years.
//!
//! It checks no signature, and looks at nothing but the file on port 80. Its certificates are real.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::clock::{Clock, Timestamp};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

/// What it does, and what it has seen.
#[derive(Debug, Default)]
pub struct Script {
    /// Hangs up on everybody.
    pub is_down: bool,
    /// So many numbers are refused.
    pub refused_numbers: usize,
    /// Takes no order for so many seconds, it says.
    pub too_often: Option<u64>,
    /// When it would renew.
    pub window: Option<(Timestamp, Timestamp)>,
    /// How long certificates hold.
    pub life: Duration,
    /// Answers so many more questions, then none: whoever asks hangs.
    pub hangs_after: Option<usize>,
    /// Whether somebody hangs.
    pub hangs: bool,
    /// What was asked, in that order, such as `POST /order`.
    pub asked: Vec<String>,
    /// How many certificates it has issued.
    pub issued: usize,
    /// What orders said that they replace.
    pub replaced: Vec<String>,
    orders: Vec<Order>,
}

#[derive(Debug)]
struct Order {
    host: String,
    is_proved: bool,
    chain: Option<String>,
}

/// The authority; gone with this.
#[derive(Debug)]
pub struct ScriptedAuthority {
    pub directory: String,
    /// Its certificate, in PEM: whom visitors trust, and by which its own door is recognised.
    pub root_pem: String,
    script: Arc<Mutex<Script>>,
    serving: JoinHandle<()>,
}

impl Drop for ScriptedAuthority {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Signer {
    key: KeyPair,
    params: CertificateParams,
    clock: Arc<dyn Clock>,
    port: u16,
    /// Where hosts answer over plain HTTP.
    http: SocketAddr,
    /// From when on its certificates hold: whoever shakes hands goes by the machine's clock, which stands still beside a test's.
    begin: Timestamp,
}

struct Key(Vec<u8>);

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Signer {
    fn sign(&self, hosts: Vec<String>, key: &impl PublicKeyData, life: Duration) -> String {
        let mut params = CertificateParams::new(hosts).unwrap();
        let now = self.clock.now();
        let at = |millis: i64| Timestamp::from_unix_millis(millis).calendar();
        params.not_before = self.begin.calendar();
        params.not_after = at(now.unix_millis() + i64::try_from(life.as_millis()).unwrap());
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).unwrap().pem()
    }
}

impl ScriptedAuthority {
    /// Listens. Hosts are proved at `http`, whatever they are called.
    ///
    /// # Panics
    /// Where no socket can be had.
    pub async fn start(clock: Arc<dyn Clock>, http: SocketAddr) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Scripted authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let now = clock.now().unix_millis();
        params.not_before = Timestamp::from_unix_millis(now - 86_400_000).calendar();
        params.not_after = Timestamp::from_unix_millis(now + 86_400_000 * 4000).calendar();
        let root_pem = params.self_signed(&key).unwrap().pem();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let begin = Timestamp::from_unix_millis(now - 3_600_000);
        let signer = Arc::new(Signer { key, params, clock, port, http, begin });
        let own = KeyPair::generate().unwrap();
        let leaf = signer.sign(vec!["localhost".to_owned()], &own, Duration::from_hours(24 * 300));
        let leaf = pem_to_der(&leaf);
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.into()], PrivateKeyDer::try_from(own.serialize_der()).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let script = Arc::new(Mutex::new(Script { life: Duration::from_hours(24 * 90), ..Script::default() }));
        let shared = Arc::clone(&script);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script, signer) = (acceptor.clone(), shared.clone(), signer.clone());
                tokio::spawn(async move {
                    if script.lock().unwrap().is_down {
                        return;
                    }
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let (script, signer) = (script.clone(), signer.clone());
                        async move { Ok::<_, Infallible>(answer(request, &script, &signer).await) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { directory: format!("https://localhost:{port}/dir"), root_pem, script, serving }
    }

    /// What it does, to be changed.
    ///
    /// # Panics
    /// Where somebody panicked who held it.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

async fn answer(request: Request<Incoming>, script: &Mutex<Script>, signer: &Signer) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let hangs = {
        let mut script = script.lock().unwrap();
        script.asked.push(format!("{} {path}", parts.method));
        match script.hangs_after.as_mut() {
            Some(0) => {
                script.hangs = true;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    // A host is looked at before anything is locked.
    if let Some(at) = path.strip_prefix("/proof/") {
        let at: usize = at.parse().unwrap();
        let host = script.lock().unwrap().orders[at].host.clone();
        let seen = file_at(signer.http, &host, at).await;
        script.lock().unwrap().orders[at].is_proved = seen;
    }
    let mut script = script.lock().unwrap();
    if parts.method == Method::POST && script.refused_numbers > 0 {
        script.refused_numbers -= 1;
        return problem("badNonce", StatusCode::BAD_REQUEST, None);
    }
    let payload = payload(&body);
    let url = |path: String| format!("https://localhost:{}{path}", signer.port);
    let number = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.parse::<usize>().ok());
    if path == "/dir" {
        return said(
            StatusCode::OK,
            None,
            &json!({
                "newNonce": url("/nonce".into()), "newAccount": url("/account".into()), "newOrder": url("/order".into()),
                "renewalInfo": url("/renewal".into()),
            }),
        );
    }
    if path == "/account" {
        return said(StatusCode::CREATED, Some(url("/account/1".into())), &json!({ "status": "valid" }));
    }
    if path.starts_with("/renewal/") {
        let now = signer.clock.now().unix_millis();
        let far = |days: i64| Timestamp::from_unix_millis(now + days * 86_400_000);
        let (begin, end) = script.window.unwrap_or((far(58), far(59)));
        let window = json!({ "start": begin.to_string(), "end": end.to_string() });
        let text = json!({ "suggestedWindow": window }).to_string();
        return Response::builder().header("retry-after", "21600").body(Full::from(text)).unwrap();
    }
    if path == "/order" {
        if let Some(seconds) = script.too_often {
            return problem("rateLimited", StatusCode::TOO_MANY_REQUESTS, Some(seconds));
        }
        let host = payload["identifiers"][0]["value"].as_str().unwrap().to_owned();
        let replaces = payload["replaces"].as_str().map(str::to_owned);
        script.replaced.extend(replaces.clone());
        script.orders.push(Order { host, is_proved: false, chain: None });
        let at = script.orders.len() - 1;
        let mut told = told_of(&script.orders[at], at, signer);
        if let Some(replaces) = replaces {
            told["replaces"] = replaces.into();
        }
        return said(StatusCode::CREATED, Some(url(format!("/order/{at}"))), &told);
    }
    if let Some(at) = number("/order/") {
        return said(StatusCode::OK, None, &told_of(&script.orders[at], at, signer));
    }
    if let Some(at) = number("/name/").or_else(|| number("/proof/")) {
        let order = &script.orders[at];
        let status = if order.is_proved { "valid" } else { "pending" };
        let challenge = json!({ "type": "http-01", "url": url(format!("/proof/{at}")), "token": format!("token-{at}"),
            "status": status });
        if path.starts_with("/proof/") {
            return said(StatusCode::OK, None, &challenge);
        }
        return said(
            StatusCode::OK,
            None,
            &json!({ "status": status, "challenges": [challenge],
            "identifier": { "type": "dns", "value": order.host } }),
        );
    }
    if let Some(at) = number("/finalize/") {
        let csr = URL_SAFE_NO_PAD.decode(payload["csr"].as_str().unwrap()).unwrap();
        let (_, csr) = X509CertificationRequest::from_der(&csr).unwrap();
        let key = csr.certification_request_info.subject_pki.subject_public_key.data.to_vec();
        let chain = signer.sign(vec![script.orders[at].host.clone()], &Key(key), script.life);
        script.orders[at].chain = Some(chain);
        script.issued += 1;
        return said(StatusCode::OK, None, &told_of(&script.orders[at], at, signer));
    }
    if let Some(at) = number("/chain/") {
        let chain = script.orders[at].chain.clone().unwrap();
        return Response::builder().header("replay-nonce", "n").body(Full::from(chain)).unwrap();
    }
    // The number itself.
    said(StatusCode::OK, None, &json!({}))
}

fn told_of(order: &Order, at: usize, signer: &Signer) -> Value {
    let url = |path: String| format!("https://localhost:{}{path}", signer.port);
    let status = match (order.is_proved, &order.chain) {
        (_, Some(_)) => "valid",
        (true, None) => "ready",
        (false, None) => "pending",
    };
    let mut told = json!({
        "status": status, "identifiers": [{ "type": "dns", "value": order.host }],
        "authorizations": [url(format!("/name/{at}"))], "finalize": url(format!("/finalize/{at}")),
    });
    if order.chain.is_some() {
        told["certificate"] = url(format!("/chain/{at}")).into();
    }
    told
}

/// Whether the host answers for the token of this order.
async fn file_at(http: SocketAddr, host: &str, at: usize) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let look = async {
        let mut stream = tokio::net::TcpStream::connect(http).await?;
        let path = format!("/.well-known/acme-challenge/token-{at}");
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok::<_, std::io::Error>(text.contains(&format!("token-{at}.")))
    };
    look.await.unwrap_or(false)
}

fn payload(body: &[u8]) -> Value {
    let jws: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = jws["payload"].as_str().and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok()).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

fn said(status: StatusCode, location: Option<String>, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status).header("replay-nonce", "n");
    if let Some(location) = location {
        response = response.header("location", location);
    }
    response.body(Full::from(value.to_string())).unwrap()
}

fn problem(kind: &str, status: StatusCode, wait: Option<u64>) -> Response<Full<Bytes>> {
    let text = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "as the script says" });
    let mut response = Response::builder().status(status).header("replay-nonce", "n");
    if let Some(wait) = wait {
        response = response.header("retry-after", wait.to_string());
    }
    response.header("content-type", "application/problem+json").body(Full::from(text.to_string())).unwrap()
}
