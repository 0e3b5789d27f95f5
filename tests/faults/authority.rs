//! A real authority for certificates: `pebble`, with a name service of its own; and a shim before it for what it cannot do.

use std::convert::Infallible;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use certificates::{Authority, Leaf, Purpose, Subject};
use host::clock::{Clock, SystemClock};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::{Value, json};
use testkit::{Client, wait_until};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Making its key takes pebble seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Names answered for, and an authority that looks at ports of ours. Both end with this.
pub(crate) struct Pebble {
    folder: PathBuf,
    pub(crate) port: u16,
    management: u16,
    /// Ports of the name service: for questions, and for what it shall answer.
    pub(crate) names: (u16, u16),
    children: Vec<Child>,
    own: Authority,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Pebble {
    /// Starts one that issues certificates for so many seconds, and looks at these ports. It refuses every seventh number.
    pub(crate) fn start(folder: &Path, ports: (u16, u16), seconds: u32) -> Self {
        Self::start_with(folder, ports, seconds, None, &json!({}))
    }

    /// As [`Pebble::start`]: one that asks this name server, and whose configuration says more.
    pub(crate) fn start_with(
        folder: &Path,
        (http, https): (u16, u16),
        seconds: u32,
        name_server: Option<&str>,
        more: &Value,
    ) -> Self {
        fs::create_dir_all(folder).unwrap();
        let now = SystemClock.now();
        let own = Authority::make("Pebble's own door", now, Duration::from_hours(24)).unwrap();
        let (port, management) = (free_port(), free_port());
        let mut pebble = Self {
            folder: folder.to_owned(),
            port,
            management,
            names: (free_port(), free_port()),
            children: Vec::new(),
            own,
        };
        let leaf = pebble.leaf();
        fs::write(folder.join("ca.pem"), &pebble.own.certificate_pem).unwrap();
        fs::write(folder.join("cert.pem"), &leaf.chain_pem).unwrap();
        fs::write(folder.join("key.pem"), leaf.key_pem.as_str()).unwrap();
        let mut config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("cert.pem"), "privateKey": folder.join("key.pem"),
            "httpPort": http, "tlsPort": https, "certificateValidityPeriod": seconds,
        }});
        for (key, value) in more.as_object().unwrap() {
            config["pebble"][key] = value.clone();
        }
        fs::write(folder.join("pebble.json"), config.to_string()).unwrap();
        let [names, management] = [pebble.names.0, pebble.names.1].map(|port| format!("127.0.0.1:{port}"));
        pebble.spawn(
            "pebble-challtestsrv",
            &[
                "-defaultIPv6",
                "",
                "-dns01",
                &names,
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-management",
                &management,
            ],
        );
        let config = folder.join("pebble.json");
        pebble.spawn(
            "pebble",
            &["-strict", "-config", config.to_str().unwrap(), "-dnsserver", name_server.unwrap_or(&names)],
        );
        let client = Client::trusting(&folder.join("ca.pem")).patient_for(Duration::from_secs(2));
        let roots = format!("https://localhost:{}/roots/0", pebble.management);
        let mut root = String::new();
        wait_until("pebble answers", PATIENCE, || {
            root = client.get(&roots)?.body;
            client.get(&format!("https://localhost:{port}/dir")).map(drop)
        });
        fs::write(folder.join("roots.pem"), root).unwrap();
        pebble
    }

    fn spawn(&mut self, program: &str, args: &[&str]) {
        let log = fs::File::create(self.folder.join(format!("{program}.log"))).unwrap();
        let child = Command::new(program)
            .args(args)
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "15"), ("PEBBLE_AUTHZREUSE", "0")])
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn();
        self.children.push(child.unwrap_or_else(|error| panic!("{program}: {error}: ./setup installs it")));
    }

    pub(crate) fn end(&mut self) {
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn leaf(&self) -> Leaf {
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let subject =
            Subject { common_name: "localhost", organization: None, hosts: &hosts, purposes: &[Purpose::Server] };
        self.own.issue(&subject, SystemClock.now(), Duration::from_hours(12)).unwrap()
    }

    /// How one comes to its door by TLS.
    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.own.certificate_pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// A visitor who trusts what it signs, and nobody else.
    pub(crate) fn visitor(&self) -> Client {
        Client::trusting(&self.folder.join("roots.pem"))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("pebble.log")).unwrap_or_default()
    }
}

/// What the shim says in place of the authority.
#[derive(Debug, Default)]
pub(crate) struct Says {
    /// Seconds from now that a renewal window begins and ends.
    pub(crate) window: Option<(i64, i64)>,
    /// Seconds for which no order is taken.
    pub(crate) too_often: Option<u64>,
    /// What orders said that they replace.
    pub(crate) replaced: Vec<String>,
}

/// Stands before pebble, which knows no renewal information (RFC 9773) and no limits.
pub(crate) struct Shim {
    pub(crate) port: u16,
    pub(crate) says: Arc<Mutex<Says>>,
    _runtime: tokio::runtime::Runtime,
}

impl Shim {
    pub(crate) fn before(pebble: &Pebble) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let says = Arc::new(Mutex::new(Says::default()));
        let leaf = pebble.leaf();
        let chain = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (behind, shared) = (pebble.connector(), says.clone());
        let to = pebble.port;
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, says, behind) = (acceptor.clone(), shared.clone(), behind.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let (says, behind) = (says.clone(), behind.clone());
                        async move { Ok::<_, Infallible>(answer(request, &says, behind, (port, to)).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, says, _runtime: runtime }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }
}

async fn answer(
    request: Request<Incoming>,
    says: &Arc<Mutex<Says>>,
    behind: TlsConnector,
    (port, to): (u16, u16),
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = parts.uri.path().to_owned();
    if path.starts_with("/renewal/") {
        let (begin, end) = says.lock().unwrap().window.unwrap_or((3600, 7200));
        let time = |seconds: i64| {
            let millis = SystemClock.now().unix_millis() + seconds * 1000;
            host::clock::Timestamp::from_unix_millis(millis).to_string()
        };
        let window = json!({ "suggestedWindow": { "start": time(begin), "end": time(end) } });
        return told(StatusCode::OK, &[("retry-after", "1")], window.to_string());
    }
    let is_order = path.ends_with("/order-plz");
    let mut replaces = None;
    if is_order {
        if let Some(seconds) = says.lock().unwrap().too_often {
            let problem =
                json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "status": 429 });
            let headers =
                [("retry-after", seconds.to_string()), ("content-type", "application/problem+json".to_owned())];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            return told(StatusCode::TOO_MANY_REQUESTS, &headers, problem.to_string());
        }
        let jws: Value = serde_json::from_slice(&body).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(jws["payload"].as_str().unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        replaces = payload["replaces"].as_str().map(str::to_owned);
        says.lock().unwrap().replaced.extend(replaces.clone());
    }
    // As it came, host and all: by that pebble makes its addresses, and what is signed names them.
    let forwarded = async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", to)).await?;
        let stream = behind.connect("localhost".try_into()?, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (head, body) = sender.send_request(Request::from_parts(parts, Full::new(body))).await?.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((head, text))
    };
    let (head, mut text) = match forwarded.await {
        Ok(answer) => answer,
        Err(error) => return told(StatusCode::BAD_GATEWAY, &[], error.to_string()),
    };
    if let Ok(mut value) = serde_json::from_str::<Value>(&text) {
        if value.get("newOrder").is_some() {
            value["renewalInfo"] = format!("https://localhost:{port}/renewal").into();
            text = value.to_string();
        } else if let Some(replaces) = replaces.filter(|_| head.status == StatusCode::CREATED) {
            value["replaces"] = replaces.into();
            text = value.to_string();
        }
    }
    let kept: Vec<(&str, &str)> = head
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "content-length" | "connection" | "transfer-encoding"))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    told(head.status, &kept, text)
}

fn told(status: StatusCode, headers: &[(&str, &str)], text: String) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(Bytes::from(text))).unwrap()
}
