//! A site of a few bad pages and a good one, on a port of loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::clock::{Clock, SystemClock, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use smoke::{Page, PageReport, Plan, Redact, Rendering, Report, Route, Seen, SmokeFault};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// The name under which Chromium knows the site. It is in no directory of names, so only the plan's route leads there.
pub(crate) const HOST: &str = "shop.example";

/// Long for a page on loopback, short for a test that waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

const GOOD: &str = "<!doctype html><title>Good</title><link rel=icon href=data:,>
<h1 id=title>Loading</h1><p hidden id=hidden>Hidden text</p><img src=/dot.png><img loading=lazy style='margin-top:9000px' src=/dot.png>
<script>fetch('/late').then(r => r.text()).then(t => document.getElementById('title').textContent = t)</script>";

/// One red pixel.
const PNG: [u8; 69] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 144, 119, 83,
    222, 0, 0, 0, 12, 73, 68, 65, 84, 8, 215, 99, 248, 207, 192, 0, 0, 3, 1, 1, 0, 24, 221, 141, 176, 0, 0, 0, 0, 73,
    69, 78, 68, 174, 66, 96, 130,
];

/// The site, while it is not dropped.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    trusted: Arc<RootCertStore>,
    requests: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    pub(crate) async fn plain() -> Self {
        Self::serve(None).await
    }

    /// Over TLS, with a certificate of an authority that the plan trusts.
    pub(crate) async fn tls() -> Self {
        let now = Timestamp::from_unix_millis(SystemClock.now().unix_millis());
        let day = Duration::from_secs(86_400);
        let authority = certificates::Authority::make("test", now, day).unwrap();
        let hosts = [HOST.to_owned()];
        let subject = certificates::Subject {
            common_name: HOST,
            organization: None,
            hosts: &hosts,
            purposes: &[certificates::Purpose::Server],
        };
        let leaf = authority.issue(&subject, now, day).unwrap();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).unwrap()).unwrap();
        let mut site = Self::serve(Some(TlsAcceptor::from(Arc::new(config)))).await;
        site.trusted = Arc::new(trusted);
        site
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, log) = (tls.clone(), log.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, &log).await;
                            }
                        }
                        None => answer(stream, &log).await,
                    }
                });
            }
        });
        Self {
            address,
            folder: tempfile::tempdir().unwrap(),
            trusted: Arc::new(RootCertStore::empty()),
            requests,
            server,
        }
    }

    pub(crate) fn page(&self, path: &str) -> Page {
        let scheme = if self.trusted.is_empty() { "http" } else { "https" };
        Page {
            name: path.to_owned(),
            url: Url::parse(&format!("{scheme}://{HOST}:{}{path}", self.address.port())).unwrap(),
            status: 200,
            contains: None,
            headers: Vec::new(),
            rendering: Some(Rendering::default()),
        }
    }

    pub(crate) fn plan(&self, pages: Vec<Page>) -> Plan {
        let route = Route { host: HOST.to_owned(), port: self.address.port(), to: self.address, headers: Vec::new() };
        Plan {
            pages,
            routes: vec![route],
            trusted: self.trusted.clone(),
            shown: None,
            browser: Some(chromium()),
            page_deadline: PATIENCE,
            deadline: PATIENCE * 6,
            evidence: Some(self.evidence()),
            scratch: self.folder.path().to_owned(),
            redact: Redact::new(|text| text.replace("sk_live_secret", "(secret)")),
        }
    }

    pub(crate) fn evidence(&self) -> PathBuf {
        self.folder.path().join("evidence")
    }

    /// Request lines and headers that came in.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Profiles of browsers that are still there.
    pub(crate) fn profiles(&self) -> Vec<PathBuf> {
        let all = host::files::list(self.folder.path()).unwrap();
        all.into_iter().filter(|path| name(path).starts_with("roadbed-browser-")).collect()
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

pub(crate) fn chromium() -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    smoke::find(&path).expect("no browser in PATH; run ./setup, which installs one")
}

pub(crate) async fn run(plan: &Plan) -> Result<Report, SmokeFault> {
    smoke::run(plan, &SystemClock).await
}

/// The only page of a report, and what is said about it.
pub(crate) fn only(report: &Report) -> (&PageReport, Vec<String>) {
    let [page] = report.pages.as_slice() else { panic!("{report:?}") };
    (page, page.complaints.iter().map(ToString::to_string).collect())
}

pub(crate) fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, log: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        log.lock().unwrap().push(head.clone());
        let path = head.split_whitespace().nth(1).unwrap_or_default();
        if path == "/never" {
            std::future::pending::<()>().await;
        }
        let (status, kind, body) = content(path);
        let extra = if status == 302 { "location: https://other.example/\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-release: r1\r\ncontent-length: {}\r\n{extra}\r\n",
            body.len()
        );
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn content(path: &str) -> (u16, &'static str, Vec<u8>) {
    let html = |body: &str| {
        (200, "text/html; charset=utf-8", format!("<!doctype html><link rel=icon href=data:,>{body}").into_bytes())
    };
    match path {
        "/" => (200, "text/html; charset=utf-8", GOOD.as_bytes().to_vec()),
        "/late" => (200, "text/plain", b"UrbanCart\nis open".to_vec()),
        "/dot.png" => (200, "image/png", PNG.to_vec()),
        "/throws" => {
            html("<script>setTimeout(() => { throw new Error('cart is undefined sk_live_secret') }, 200)</script>")
        }
        "/rejects" => html("<script>Promise.reject(new Error('nobody waits'))</script>"),
        "/errors" => html("<script>console.error('known: analytics', {a: 1}); console.warn('only a warning')</script>"),
        "/picture" => html("<img src=/gone.png>"),
        "/script" => html("<script src=/gone.js></script>"),
        "/never-loads" => html("<img src=/never>"),
        "/spins" => html("<h1>busy</h1><script>for (;;) {}</script>"),
        "/goes" => html("<script>location.href = 'https://other.example/login'</script>"),
        "/asks" => html("<h1>asked</h1><script>alert('hello')</script>"),
        "/stranger" => html(
            "<h1>x</h1><script>fetch('http://10.1.2.3/').catch(() => document.querySelector('h1').textContent = 'kept in')</script>",
        ),
        "/redirects" => (302, "text/plain", Vec::new()),
        "/broken" => (500, "text/html", b"<h1>oops</h1>".to_vec()),
        _ => (404, "text/plain", b"no such page".to_vec()),
    }
}
