//! Routes on disk, and the one way in which they change: durable first, then served.
//!
//! ```text
//!   edge/routes.json            {"format":1,"generation":7,"sha256":"…","epoch":3}\n  and the table, in one file
//!   edge/routes.previous.json   the generation before
//! ```
//!
//! Each names the root that it was written for: the routes of another environment lead to another environment's apps.
//! A file whose digest does not fit, or of another root, is damaged: then the previous generation is served. When that is damaged too, the edge says
//! so on every page until somebody publishes: it never takes a lost table for an empty one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwap;
use host::clock::Clock;
use host::files::{self, Access};
use reconcile::Root;
use reconcile::ports::{Certificates, RouteTable, Traffic};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fault::EdgeFault;
use crate::snapshot::{Rejected, Serving, Snapshot};
use crate::tls::shown::Shown;
use crate::upstream::Instance;

/// What [`Publisher::publish`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub generation: u64,
    pub changed: bool,
}

/// The only writer of the routes, on disk and in memory.
#[derive(Debug)]
pub struct Publisher {
    root: Root,
    clock: Arc<dyn Clock>,
    serving: Arc<ArcSwap<Serving>>,
    /// Locked for a whole publication: one after the other.
    last: Mutex<Last>,
    /// Every instance that was ever routed to and still has something under way, or still is.
    known: Mutex<Vec<Weak<Instance>>>,
}

/// What was given out last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    pub generation: u64,
    /// Of the control that published. A lower one has been replaced, whatever it believes.
    pub epoch: u64,
}

impl Publisher {
    /// Serves what is on disk, as far as it can be trusted.
    pub fn resume(root: Root, clock: Arc<dyn Clock>) -> Result<Self, EdgeFault> {
        files::create_dir(&root.routes(), Access::Owner)?;
        let (serving, last) = match read_back(&root) {
            Stored::Nothing => (Serving::Nothing, Last::default()),
            Stored::Table { last, table } => (serve_again(&root, *table, last.generation, clock.as_ref())?, last),
            Stored::Damaged { last } => (damaged(&root), last),
        };
        let publisher = Self {
            root,
            clock,
            serving: Arc::new(ArcSwap::from_pointee(serving)),
            last: Mutex::new(last),
            known: Mutex::default(),
        };
        if let Ok(snapshot) = publisher.serving.load().snapshot() {
            publisher.know(snapshot);
        }
        Ok(publisher)
    }

    /// What each instance did for visitors. One by two ways, of its host and of its internal socket, is told once.
    pub fn traffic(&self) -> Vec<Traffic> {
        let mut known = self.known.lock().expect("no holder panics");
        known.retain(|instance| instance.strong_count() > 0);
        let mut all: BTreeMap<String, Traffic> = BTreeMap::new();
        for traffic in known.iter().filter_map(Weak::upgrade).map(|instance| instance.traffic()) {
            match all.get_mut(&traffic.instance) {
                None => {
                    all.insert(traffic.instance.clone(), traffic);
                }
                Some(other) => {
                    other.in_flight += traffic.in_flight;
                    other.streams += traffic.streams;
                    other.answered += traffic.answered;
                    other.failed += traffic.failed;
                    other.by_time.iter_mut().zip(traffic.by_time).for_each(|(sum, more)| *sum += more);
                }
            }
        }
        all.into_values().collect()
    }

    /// Every instance of this name: by the host of its app, by its internal socket, and from before it was routed to anew.
    pub fn named(&self, name: &str) -> Vec<Arc<Instance>> {
        let known = self.known.lock().expect("no holder panics");
        known.iter().filter_map(Weak::upgrade).filter(|instance| instance.name == name).collect()
    }

    fn know(&self, snapshot: &Snapshot) {
        let mut known = self.known.lock().expect("no holder panics");
        known.retain(|instance| instance.strong_count() > 0);
        for instance in snapshot.pools().flat_map(|pool| pool.all()) {
            if !known.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(instance))) {
                known.push(Arc::downgrade(instance));
            }
        }
    }

    /// Refuses who has been replaced. Of whom nothing is known of the kind is let through: a person with the edge's socket.
    pub fn fence(&self, epoch: Option<u64>) -> Result<(), EdgeFault> {
        refuse_stale(*self.last.lock().expect("no holder panics"), epoch)
    }

    pub fn serving(&self) -> Arc<ArcSwap<Serving>> {
        Arc::clone(&self.serving)
    }

    /// Makes a table durable and serves it. The same table again reads certificate and credentials anew, which may have
    /// changed beside it. Blocks on the disk: not for the request path.
    pub fn publish(&self, table: RouteTable, epoch: Option<u64>) -> Result<Outcome, EdgeFault> {
        let mut last = self.last.lock().expect("no holder panics");
        refuse_stale(*last, epoch)?;
        let epoch = epoch.unwrap_or(last.epoch);
        let serving = self.serving.load_full();
        let before = serving.snapshot().ok();
        let certificates = certificates_for(&self.root, &table, before.map(|before| &before.certificates))?;
        let is_same = before.is_some_and(|before| before.table == table);
        let generation = if is_same { last.generation } else { last.generation + 1 };
        // Everything that can fail comes before anything that changes.
        let next = Snapshot::build(table, generation, certificates, before, self.clock.instant())?;
        if !is_same || epoch != last.epoch {
            let next_last = Last { generation, epoch };
            write(&self.root, &next.table, next_last)?;
            *last = next_last;
        }
        self.know(&next);
        self.serving.store(Arc::new(Serving::Snapshot(Box::new(next))));
        Ok(Outcome { generation, changed: !is_same })
    }
}

impl Publisher {
    /// Shows the certificates that are on disk now.
    pub fn take_up_certificates(&self) -> Result<(), EdgeFault> {
        let serving = self.serving.load_full();
        match serving.snapshot() {
            Ok(snapshot) => self.publish(snapshot.table.clone(), None).map(drop),
            // With the first table they are read anyway.
            Err(_) => Ok(()),
        }
    }
}

fn refuse_stale(last: Last, epoch: Option<u64>) -> Result<(), EdgeFault> {
    match epoch {
        Some(asked) if asked < last.epoch => Err(Rejected::Fenced { asked, known: last.epoch }.into()),
        _ => Ok(()),
    }
}

/// Certificates for all hosts of a table.
fn certificates_for(root: &Root, table: &RouteTable, before: Option<&Shown>) -> Result<Shown, EdgeFault> {
    let mut hosts = table.sites.iter().chain(&table.candidate).flat_map(|site| &site.hosts);
    let shown = Shown::load(root, table.certificates, before)?;
    match hosts.find(|host| !shown.names(host)) {
        Some(host) => Err(Rejected::NoCertificate { host: host.clone() }.into()),
        None => Ok(shown),
    }
}

/// What a lost table said of certificates nobody knows; an issued one is there where it said so.
fn damaged(root: &Root) -> Serving {
    Serving::Damaged(Shown::load(root, Certificates::Issued, None).unwrap_or_else(|fault| {
        tracing::error!(%fault, "no certificate: visitors cannot even be told over HTTPS");
        Shown::default()
    }))
}

/// At start nobody is there to be told "no": serve as much as can be served, and say what is missing.
fn serve_again(root: &Root, table: RouteTable, generation: u64, clock: &dyn Clock) -> Result<Serving, EdgeFault> {
    let certificates = certificates_for(root, &table, None).unwrap_or_else(|fault| {
        tracing::error!(%fault, "serving without TLS until routes are published again");
        Shown::default()
    });
    Ok(match Snapshot::build(table, generation, certificates, None, clock.instant()) {
        Ok(snapshot) => Serving::Snapshot(Box::new(snapshot)),
        Err(fault) => {
            tracing::error!(%fault, "the stored routes cannot be served any more");
            damaged(root)
        }
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    generation: u64,
    sha256: String,
    #[serde(default)]
    root: Option<PathBuf>,
    #[serde(default)]
    epoch: u64,
}

const FORMAT: u32 = 1;

fn current(root: &Root) -> PathBuf {
    root.routes().join("routes.json")
}

fn previous(root: &Root) -> PathBuf {
    root.routes().join("routes.previous.json")
}

fn write(root: &Root, table: &RouteTable, last: Last) -> Result<(), EdgeFault> {
    let content = encode(&place(root), table, last)?;
    // A damaged current file must not push a good previous one out.
    if let Ok(Some(bytes)) = files::read_if_exists(&current(root))
        && decode(&place(root), &bytes).is_ok()
    {
        files::write_durable(&previous(root), &bytes, Access::Owner)?;
    }
    Ok(files::write_durable(&current(root), &content, Access::Owner)?)
}

fn digest(generation: u64, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(generation.to_be_bytes());
    hasher.update(body);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the disk holds.
#[derive(Debug)]
enum Stored {
    Nothing,
    Table { last: Last, table: Box<RouteTable> },
    Damaged { last: Last },
}

fn read_back(root: &Root) -> Stored {
    let (newest, before) = (read_one(root, &current(root)), read_one(root, &previous(root)));
    match (newest, before) {
        (Ok(None), Ok(None)) => Stored::Nothing,
        (Ok(Some((last, table))), _) => Stored::Table { last, table: Box::new(table) },
        (lost, Ok(Some((last, table)))) => {
            let why = lost.err().map_or_else(|| "it is gone".to_owned(), |fault| fault.to_string());
            tracing::error!(%why, generation = last.generation, "the current routes are lost: serving the previous generation");
            // The lost one may have been of a later control.
            let epoch = last.epoch.max(guess(&current(root)).epoch);
            Stored::Table { last: Last { epoch, ..last }, table: Box::new(table) }
        }
        (newest, before) => {
            for fault in [newest.err(), before.err()].into_iter().flatten() {
                tracing::error!(%fault, "routes are lost");
            }
            tracing::error!(
                "no copy of the routes can be trusted: every request is answered with 503 until they are published again"
            );
            Stored::Damaged { last: guess(&current(root)) }
        }
    }
}

fn read_one(root: &Root, path: &Path) -> Result<Option<(Last, RouteTable)>, EdgeFault> {
    match files::read_if_exists(path)? {
        None => Ok(None),
        Some(bytes) => {
            decode(&place(root), &bytes).map(Some).map_err(|why| EdgeFault::Damaged { path: path.to_owned(), why })
        }
    }
}

/// However the root was named, this is where it lies.
fn place(root: &Root) -> PathBuf {
    files::canonical(root.path()).unwrap_or_else(|_| root.path().to_owned())
}

/// A table as it lies on the disk of the root at `place`.
pub fn encode(place: &Path, table: &RouteTable, last: Last) -> Result<Vec<u8>, EdgeFault> {
    let body = serde_json::to_vec_pretty(table).map_err(EdgeFault::Encode)?;
    let Last { generation, epoch } = last;
    let sha256 = digest(generation, &body);
    let header = Header { format: FORMAT, generation, sha256, root: Some(place.to_owned()), epoch };
    let mut content = serde_json::to_vec(&header).map_err(EdgeFault::Encode)?;
    content.push(b'\n');
    content.extend_from_slice(&body);
    Ok(content)
}

/// Reads it back; an error says what is wrong with it.
pub fn decode(place: &Path, bytes: &[u8]) -> Result<(Last, RouteTable), String> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("it has no header line")?;
    let header: Header = serde_json::from_slice(&bytes[..end]).map_err(|error| error.to_string())?;
    if header.format != FORMAT {
        return Err(format!("it has format {}, and this edge reads {FORMAT}", header.format));
    }
    let body = &bytes[end + 1..];
    if digest(header.generation, body) != header.sha256 {
        return Err("its content does not fit its digest".to_owned());
    }
    if let Some(other) = header.root.filter(|written_for| *written_for != place) {
        return Err(format!("it was written for {}", other.display()));
    }
    let table = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok((Last { generation: header.generation, epoch: header.epoch }, table))
}

/// Numbers to go on from, so that a generation is not given out twice: the header may have survived.
fn guess(path: &Path) -> Last {
    let bytes = files::read_if_exists(path).ok().flatten().unwrap_or_default();
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let header = serde_json::from_slice::<Header>(line).ok();
    header.map_or_else(Last::default, |header| Last { generation: header.generation, epoch: header.epoch })
}
