//! A plain download: goes on where it was interrupted, and is worth nothing until its SHA-256 is right.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use host::files::{self, Access, FileFault};
use reconcile::Fault;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::checksum::{self, ChecksumFault};
use super::fetch::{Job, off_thread};

/// What to download.
#[derive(Clone, Debug)]
pub struct Download {
    pub url: String,
    /// 0 if unknown.
    pub size: u64,
    pub sha256: String,
    pub to: PathBuf,
    /// Certificates to trust, as PEM: the system's own.
    pub trusted: Vec<u8>,
}

/// Seen by whoever waits, and how they say that they no longer do.
#[derive(Debug, Default)]
pub struct Watch {
    pub done: AtomicU64,
    pub abandoned: AtomicBool,
}

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadFault {
    #[error("cannot keep what was downloaded")]
    File(#[from] FileFault),
    #[error(transparent)]
    Checksum(#[from] ChecksumFault),
    #[error("cannot reach {url}")]
    Unreachable {
        url: String,
        #[source]
        source: Box<ureq::Error>,
    },
    #[error("the connection to {url} broke {done} bytes into the file, {attempts} times in a row without any progress")]
    Broken {
        url: String,
        done: u64,
        attempts: u32,
        #[source]
        source: std::io::Error,
    },
    #[error("{url} answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} sends {found} bytes or more, expected {expected}")]
    TooLong { url: String, expected: u64, found: u64 },
    #[error("nobody waits for the download any more")]
    Abandoned,
    #[error("cannot read the certificates to trust")]
    Certificates(#[source] Box<ureq::Error>),
}

/// So often in a row may a connection break without a byte in between.
const ATTEMPTS: u32 = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that sends nothing for so long is gone.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Where distributions keep the certificates that the system trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Downloads for a fetch job, with progress. Returns the path of the checked file.
pub(crate) async fn into(job: &Job<'_>, url: &str, size: u64, sha256: &str) -> Result<PathBuf, Fault> {
    let folder = job.workshop().join("download");
    files::create_dir(&folder, Access::Owner).map_err(|fault| job.file_fault(&fault))?;
    let trusted =
        trusted(job.machine.env.get("SSL_CERT_FILE").map(Path::new)).map_err(|fault| job.file_fault(&fault))?;
    let to = folder.join(&sha256[..16]);
    let download = Download { url: url.to_owned(), size, sha256: sha256.to_owned(), to: to.clone(), trusted };

    let watch = Arc::new(Watch::default());
    let _abandon = AbandonOnDrop(Arc::clone(&watch));
    let seen = Arc::clone(&watch);
    let running = off_thread(job, move || fetch(&download, &seen));
    tokio::pin!(running);
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let result = loop {
        tokio::select! {
            result = &mut running => break result?,
            _ = tick.tick() => job.bytes(watch.done.load(Ordering::Relaxed), size),
        }
    };
    result.map(|()| to).map_err(|fault| match fault {
        DownloadFault::File(file) => job.file_fault(&file),
        DownloadFault::Unreachable { .. } | DownloadFault::Broken { .. } => Fault::because(job.fault().message, &fault)
            .hint("check the network and the proxy settings, then try again: the download goes on where it stopped")
            .retry_safe(),
        other => Fault::because(job.fault().message, &other),
    })
}

/// A thread cannot be cancelled, but it can be told that nobody waits.
struct AbandonOnDrop(Arc<Watch>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }
}

fn trusted(named: Option<&Path>) -> Result<Vec<u8>, FileFault> {
    if let Some(path) = named {
        return files::read(path);
    }
    for bundle in BUNDLES {
        if let Some(bytes) = files::read_if_exists(Path::new(bundle))? {
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

/// Downloads, blocking. What arrived before a failure stays in `.part` for the next attempt; a wrong file is removed.
pub fn fetch(download: &Download, watch: &Watch) -> Result<(), DownloadFault> {
    let part = part_of(&download.to);
    let agent = agent(download)?;
    let mut failures = 0;
    loop {
        let before = length(&part)?;
        watch.done.store(before, Ordering::Relaxed);
        match attempt(&agent, download, &part, before, watch) {
            Ok(()) => break,
            Err(DownloadFault::Broken { source, .. }) => {
                let done = length(&part)?;
                failures = if done > before { 0 } else { failures + 1 };
                if failures >= ATTEMPTS {
                    return Err(DownloadFault::Broken { url: download.url.clone(), done, attempts: failures, source });
                }
                std::thread::sleep(Duration::from_millis(100) * 4_u32.pow(failures));
            }
            Err(fault) => return Err(fault),
        }
    }
    checksum::verify(&part, &download.sha256)?;
    files::rename(&part, &download.to)?;
    Ok(())
}

/// Where an unfinished download lies.
pub fn part_of(to: &Path) -> PathBuf {
    to.with_extension("part")
}

fn agent(download: &Download) -> Result<Agent, DownloadFault> {
    let certificates = ureq::tls::parse_pem(&download.trusted)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(fault) => Some(Err(fault)),
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| DownloadFault::Certificates(Box::new(fault)))?;
    let tls = TlsConfig::builder()
        // Named here: a provider picked by build features would change with somebody else's dependency.
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .build();
    // Plain HTTP only to this machine itself, where nobody listens in: tests serve files so.
    let loopback = download.url.starts_with("http://127.0.0.1:");
    Ok(Agent::config_builder()
        .https_only(!loopback)
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(STALL_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .build()
        .new_agent())
}

fn attempt(agent: &Agent, download: &Download, part: &Path, have: u64, watch: &Watch) -> Result<(), DownloadFault> {
    if download.size != 0 && have == download.size {
        return Ok(()); // Killed between the last byte and the check.
    }
    let unreachable = |source| DownloadFault::Unreachable { url: download.url.clone(), source: Box::new(source) };
    let mut request = agent.get(&download.url);
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(unreachable)?;
    let mut done = match response.status().as_u16() {
        206 if starts_at(&response) == Some(have) => have,
        // The server does not resume, or what we have is not part of its file: from the start.
        200 => 0,
        206 | 416 if have > 0 => {
            files::remove(part)?;
            return attempt(agent, download, part, 0, watch);
        }
        status => return Err(DownloadFault::Status { url: download.url.clone(), status }),
    };
    if done == 0 && have > 0 {
        files::remove(part)?;
    }
    let mut file = files::open_append(part, Access::Owner)?;
    let announced = response.body().content_length().map(|rest| rest + done);
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        if watch.abandoned.load(Ordering::Relaxed) {
            return Err(DownloadFault::Abandoned);
        }
        let broken = |source| DownloadFault::Broken { url: download.url.clone(), done, attempts: 1, source };
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                file.write_all(&buffer[..n]).map_err(|source| FileFault::new("write", part, source))?;
                done += n as u64;
                watch.done.store(done, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(broken(source)),
        }
        if download.size != 0 && done > download.size {
            files::remove(part)?;
            return Err(DownloadFault::TooLong { url: download.url.clone(), expected: download.size, found: done });
        }
    }
    file.sync_all().map_err(|source| FileFault::new("sync", part, source))?;
    // A connection that ends early without an error is as broken as any.
    if announced.is_some_and(|total| done < total) || (download.size != 0 && done < download.size) {
        let source = std::io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection early");
        return Err(DownloadFault::Broken { url: download.url.clone(), done, attempts: 1, source });
    }
    Ok(())
}

/// The first byte of a partial answer: `Content-Range: bytes 100-199/200`.
fn starts_at<B>(response: &ureq::http::Response<B>) -> Option<u64> {
    response.headers().get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn length(path: &Path) -> Result<u64, FileFault> {
    match files::metadata(path) {
        Ok(meta) => Ok(meta.len()),
        Err(fault) if fault.is_not_found() => Ok(0),
        Err(fault) => Err(fault),
    }
}
