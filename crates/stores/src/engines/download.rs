//! A plain download: goes on where it was interrupted, and is worth nothing until its SHA-256 is right.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use host::files::{self, Access, FileFault};
use reconcile::Fault;
use ureq::Agent;

use super::address::Address;
use super::checksum::{self, ChecksumFault};
use super::fetch::Job;
use super::network::{Network, NetworkFault, PlainHttp};

/// What to download.
#[derive(Clone, Debug)]
pub struct Download {
    pub from: Address,
    pub network: Network,
    /// 0 if unknown.
    pub size: u64,
    pub sha256: String,
    pub to: PathBuf,
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
    #[error(transparent)]
    Network(#[from] NetworkFault),
    #[error("cannot reach {from}")]
    Unreachable {
        from: Address,
        #[source]
        source: Box<ureq::Error>,
    },
    #[error("{from} is or leads to an address that may not be used: only https is")]
    Astray { from: Address },
    #[error(
        "the connection to {from} broke {done} bytes into the file, {attempts} times in a row without any progress"
    )]
    Broken {
        from: Address,
        done: u64,
        attempts: u32,
        #[source]
        source: std::io::Error,
    },
    #[error("{from} answered with status {status}")]
    Status { from: Address, status: u16 },
    #[error("{from} sends {found} bytes or more, expected {expected}")]
    TooLong { from: Address, expected: u64, found: u64 },
    #[error("nobody waits for the download any more")]
    Abandoned,
}

impl DownloadFault {
    /// Whether a client that knows more than we do, such as a password or a certificate, may succeed.
    pub(crate) fn is_for_another_client(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Unreachable { .. } | Self::Astray { .. } | Self::Status { .. })
    }

    /// As the fault of a fetch.
    pub(crate) fn of(self, job: &Job<'_>) -> Fault {
        let fault = Fault::because(job.fault().message, &self);
        match self {
            Self::File(file) => job.file_fault(&file),
            Self::Checksum(_) => fault.hint("the file was removed; fetch it again, and if it differs again, tell us"),
            Self::Unreachable { .. } | Self::Broken { .. } => fault
                .hint("check the network and the proxy settings, then try again: the download goes on where it stopped")
                .retry_safe(),
            _ => fault,
        }
    }
}

/// So often in a row may a connection break without a byte in between.
const ATTEMPTS: u32 = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that sends nothing for so long is gone.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Where a file stands among those that are fetched together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Bytes of the files before it.
    pub(crate) before: u64,
    /// Bytes of all.
    pub(crate) total: u64,
}

/// The folder for downloads of a fetch job. It outlives a process that is killed.
pub(crate) fn folder(job: &Job<'_>) -> Result<PathBuf, Fault> {
    let folder = job.workshop().join("download");
    files::create_dir(&folder, Access::Owner).map_err(|fault| job.file_fault(&fault))?;
    Ok(folder)
}

/// Downloads for a fetch job, with progress.
pub(crate) async fn run(job: &Job<'_>, download: Download, share: Share) -> Result<(), DownloadFault> {
    let watch = Arc::new(Watch::default());
    let _abandon = AbandonOnDrop(Arc::clone(&watch));
    let seen = Arc::clone(&watch);
    let running = tokio::task::spawn_blocking(move || fetch(&download, &seen));
    tokio::pin!(running);
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    let tell = || job.bytes(share.before + watch.done.load(Ordering::Relaxed), share.total);
    loop {
        tokio::select! {
            result = &mut running => {
                tell();
                return result.unwrap_or(Err(DownloadFault::Abandoned)); // The runtime is going down.
            }
            _ = tick.tick() => tell(),
        }
    }
}

/// A thread cannot be cancelled, but it can be told that nobody waits.
struct AbandonOnDrop(Arc<Watch>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }
}

/// Downloads, blocking. What arrived before a failure stays in `.part` for the next attempt; a wrong file is removed. A file
/// that an earlier, killed process finished is used.
pub fn fetch(download: &Download, watch: &Watch) -> Result<(), DownloadFault> {
    if files::exists(&download.to) && checksum::verify(&download.to, &download.sha256).is_ok() {
        watch.done.store(download.size, Ordering::Relaxed);
        return Ok(());
    }
    let part = part_of(&download.to);
    let agent = agent(download);
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
                    return Err(DownloadFault::Broken {
                        from: download.from.clone(),
                        done,
                        attempts: failures,
                        source,
                    });
                }
                std::thread::sleep(Duration::from_millis(100) * 4_u32.pow(failures));
            }
            Err(fault) => return Err(fault),
        }
    }
    files::remove(&edition_of(&part))?;
    checksum::verify(&part, &download.sha256)?;
    files::rename(&part, &download.to)?;
    Ok(())
}

/// Where an unfinished download lies.
pub fn part_of(to: &Path) -> PathBuf {
    to.with_extension("part")
}

/// Beside an unfinished download: which edition of the file it is a part of, as the server named it.
fn edition_of(part: &Path) -> PathBuf {
    part.with_extension("edition")
}

fn agent(download: &Download) -> Agent {
    let loopback = !download.from.is_https() && download.from.host() == "127.0.0.1";
    Agent::config_builder()
        .https_only(download.network.plain_http == PlainHttp::Loopback && !loopback)
        .tls_config(download.network.tls())
        .proxy(download.network.proxy())
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(STALL_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .build()
        .new_agent()
}

fn attempt(agent: &Agent, download: &Download, part: &Path, have: u64, watch: &Watch) -> Result<(), DownloadFault> {
    if download.size != 0 && have == download.size {
        return Ok(()); // Killed between the last byte and the check.
    }
    // Packed on the way, a range would be one of other bytes.
    let mut request = agent.get(download.from.uri()).header("accept-encoding", "identity");
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
        // Of another edition a server then sends the whole, instead of a rest that does not fit.
        if let Some(edition) = files::read_if_exists(&edition_of(part))? {
            request = request.header("if-range", edition);
        }
    }
    let mut response = request.call().map_err(|source| match source {
        // Their messages are addresses, and those may hold a signature.
        ureq::Error::RequireHttpsOnly(_) | ureq::Error::BadUri(_) => {
            DownloadFault::Astray { from: download.from.clone() }
        }
        source => DownloadFault::Unreachable { from: download.from.clone(), source: Box::new(source) },
    })?;
    let mut done = match response.status().as_u16() {
        206 if starts_at(&response) == Some(have) => have,
        // The server does not resume, or what we have is not part of its file: from the start.
        200 => 0,
        206 | 416 if have > 0 => {
            files::remove(part)?;
            return attempt(agent, download, part, 0, watch);
        }
        status => return Err(DownloadFault::Status { from: download.from.clone(), status }),
    };
    if done == 0 {
        if have > 0 {
            files::remove(part)?;
        }
        match edition(&response) {
            Some(edition) => files::write(&edition_of(part), edition, Access::Owner)?,
            None => files::remove(&edition_of(part))?,
        }
    }
    let mut file = files::open_append(part, Access::Owner)?;
    let announced = response.body().content_length().map(|rest| rest + done);
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let broken = |source| DownloadFault::Broken { from: download.from.clone(), done, attempts: 1, source };
        match body.read(&mut buffer) {
            Ok(0) => break,
            // Before the write: the file may belong to somebody else by now.
            Ok(_) if watch.abandoned.load(Ordering::Relaxed) => return Err(DownloadFault::Abandoned),
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
            return Err(DownloadFault::TooLong { from: download.from.clone(), expected: download.size, found: done });
        }
    }
    file.sync_all().map_err(|source| FileFault::new("sync", part, source))?;
    // A connection that ends early without an error is as broken as any.
    if announced.is_some_and(|total| done < total) || (download.size != 0 && done < download.size) {
        let source = std::io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection early");
        return Err(DownloadFault::Broken { from: download.from.clone(), done, attempts: 1, source });
    }
    Ok(())
}

/// What `If-Range` may name: a strong tag, else the time of the last change.
fn edition<B>(response: &ureq::http::Response<B>) -> Option<&[u8]> {
    let header = |name| response.headers().get(name).map(|value| value.as_bytes());
    header("etag").filter(|tag| tag.starts_with(b"\"")).or_else(|| header("last-modified"))
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
