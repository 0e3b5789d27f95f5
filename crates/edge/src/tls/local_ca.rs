//! Certificates for host names that exist on this machine only: an authority of this environment's own, and one leaf for all
//! its hosts.
//!
//! ```text
//!   ca.json (0600: key) ── signs ──► ca.pem (0644, what a browser is told to trust)
//!        └───────────── signs ──► leaf.json (0600: chain, key, hosts and lifetime in one file, so that they always fit)
//! ```
//!
//! **Invariant:** an authority that may have been trusted is never replaced silently while it is good, and an unreadable one is
//! an error, not a reason to make another.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use certificates::{Authority, Purpose, Subject};
use host::clock::Timestamp;
use host::files::{self, Access, FileFault};
use reconcile::Root;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("cannot make a certificate for this environment")]
    Make(#[from] certificates::Fault),
    #[error("cannot use {}: {why}", path.display())]
    Damaged { path: std::path::PathBuf, why: String },
    #[error("cannot use {}: it is the authority of another environment's root", path.display())]
    Foreign { path: std::path::PathBuf },
    #[error("cannot use the key of the certificate")]
    Key(#[source] rustls::Error),
}

impl CaFault {
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Damaged { .. } | Self::Foreign { .. } => Some(
                "remove the folder `tls` of this environment; `roadbed up` makes a new authority, to be trusted again",
            ),
            _ => None,
        }
    }
}

/// What [`ensure`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    Unchanged,
    /// The leaf is new: for other hosts, or for another year.
    LeafIssued,
    /// The authority is new too, and has to be trusted.
    AuthorityMade,
}

/// What [`state`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Current,
    /// Missing, for other hosts, or near its end.
    Due,
}

/// Whom an authority signs for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// In the authority's name, so that a browser's list of authorities tells environments apart.
    pub environment: String,
    /// Id of the root: an authority of another root is refused.
    pub root: String,
}

/// The authority as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
struct AuthorityFile {
    /// Id of the root that it signs for.
    #[serde(default)]
    root: Option<String>,
    #[serde(flatten)]
    authority: Authority,
}

/// The leaf as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
struct LeafFile {
    hosts: Vec<String>,
    /// Of the authority's certificate: another authority needs another leaf.
    authority_sha256: String,
    #[serde(flatten)]
    leaf: certificates::Leaf,
}

/// The leaf as it is served.
#[derive(Debug)]
pub struct Leaf {
    /// Lower case. Looked up in each handshake, so it takes no longer with more of them.
    named: HashSet<String>,
    pub certificate: Arc<CertifiedKey>,
}

impl Leaf {
    pub fn new(hosts: &[String], certificate: Arc<CertifiedKey>) -> Self {
        Self { named: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(), certificate }
    }

    /// Whether it is for this host, by its name or by a wildcard for what is above it.
    pub fn names(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.named.contains(&host)
            || host.split_once('.').is_some_and(|(_, above)| self.named.contains(&format!("*.{above}")))
    }
}

const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3650);
/// Apple's systems refuse leaves that live longer than 398 days, also from a local authority.
const LEAF_LIFE: Duration = Duration::from_hours(24 * 397);

fn authority_file(root: &Root) -> std::path::PathBuf {
    root.tls().join("ca.json")
}

fn leaf_file(root: &Root) -> std::path::PathBuf {
    root.tls().join("leaf.json")
}

/// Whether [`ensure`] would do anything.
pub fn state(root: &Root, owner: &Owner, hosts: &[String], now: Timestamp) -> Result<State, CaFault> {
    let Some(authority) = authority_of(root, owner)?.filter(|authority| authority.outlives(LEAF_LIFE, now)) else {
        return Ok(State::Due);
    };
    let shown = files::read_if_exists(&root.ca_certificate())?;
    let is_shown = shown.as_deref() == Some(authority.certificate_pem.as_bytes());
    let has_leaf = read_leaf(root)?.is_some_and(|leaf| is_good(&leaf, &in_order(hosts), &authority, now));
    Ok(if is_shown && has_leaf { State::Current } else { State::Due })
}

/// Makes sure that there is an authority, and a leaf of it for exactly these hosts with a third of its life left.
pub fn ensure(root: &Root, owner: &Owner, hosts: &[String], now: Timestamp) -> Result<Ensured, CaFault> {
    files::create_dir(&root.tls(), Access::Owner)?;
    let (authority, made) = match authority_of(root, owner)?.filter(|authority| authority.outlives(LEAF_LIFE, now)) {
        Some(authority) => (authority, false),
        None => (make_authority(root, owner, now)?, true),
    };
    // Written after the key file, in which it is too: a crash between the two is mended here.
    files::write_if_changed(&root.ca_certificate(), authority.certificate_pem.as_bytes(), Access::Everyone)?;

    let wanted = in_order(hosts);
    if !made && read_leaf(root)?.is_some_and(|leaf| is_good(&leaf, &wanted, &authority, now)) {
        return Ok(Ensured::Unchanged);
    }
    issue_leaf(root, &authority, wanted, now)?;
    Ok(if made { Ensured::AuthorityMade } else { Ensured::LeafIssued })
}

/// Signs a key for somebody else of this environment, who keeps it to themselves; None before the first [`ensure`].
pub fn issue(
    root: &Root,
    owner: &Owner,
    subject: &Subject<'_>,
    now: Timestamp,
    length: Duration,
) -> Result<Option<certificates::Leaf>, CaFault> {
    let Some(authority) = authority_of(root, owner)? else { return Ok(None) };
    Ok(Some(authority.issue(subject, now, length)?))
}

/// Makes the authority of another root this one's: for a root that is adopted with all that lies in it. It keeps its name,
/// under which it may have been trusted.
pub fn take_over(root: &Root, owner: &Owner) -> Result<(), CaFault> {
    match read_authority(root)? {
        Some(authority) => {
            write_json(&authority_file(root), &AuthorityFile { root: Some(owner.root.clone()), ..authority })
        }
        None => Ok(()),
    }
}

/// The order in which a table lists its hosts changes nothing.
fn in_order(hosts: &[String]) -> Vec<String> {
    let mut hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The leaf, ready to serve; None before the first [`ensure`].
pub fn load(root: &Root) -> Result<Option<Leaf>, CaFault> {
    let Some(leaf) = read_leaf(root)? else { return Ok(None) };
    let damaged =
        |error: rustls::pki_types::pem::Error| CaFault::Damaged { path: leaf_file(root), why: error.to_string() };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(leaf.leaf.chain_pem.as_bytes()).collect::<Result<_, _>>().map_err(damaged)?;
    let key = PrivateKeyDer::from_pem_slice(leaf.leaf.key_pem.as_bytes()).map_err(damaged)?;
    let certificate = CertifiedKey::from_der(chain, key, &super::provider()).map_err(CaFault::Key)?;
    Ok(Some(Leaf::new(&leaf.hosts, Arc::new(certificate))))
}

/// The authority, if it is this root's.
fn authority_of(root: &Root, owner: &Owner) -> Result<Option<Authority>, CaFault> {
    match read_authority(root)? {
        Some(file) if file.root.as_ref().is_some_and(|root| *root != owner.root) => {
            Err(CaFault::Foreign { path: authority_file(root) })
        }
        file => Ok(file.map(|file| file.authority)),
    }
}

fn read_authority(root: &Root) -> Result<Option<AuthorityFile>, CaFault> {
    let path = authority_file(root);
    let Some(bytes) = files::read_if_exists(&path)? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(authority) => Ok(Some(authority)),
        Err(error) => Err(CaFault::Damaged { path, why: error.to_string() }),
    }
}

/// An unreadable leaf is no loss: it is issued again.
fn read_leaf(root: &Root) -> Result<Option<LeafFile>, CaFault> {
    Ok(files::read_if_exists(&leaf_file(root))?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn is_good(file: &LeafFile, hosts: &[String], authority: &Authority, now: Timestamp) -> bool {
    file.hosts == hosts
        && file.authority_sha256 == fingerprint(&authority.certificate_pem)
        && !file.leaf.life.is_due(now)
}

fn make_authority(root: &Root, owner: &Owner, now: Timestamp) -> Result<Authority, CaFault> {
    let name = format!("Roadbed authority of {}", owner.environment);
    let authority = Authority::make(&name, now, AUTHORITY_LIFE)?;
    let file = AuthorityFile { root: Some(owner.root.clone()), authority };
    write_json(&authority_file(root), &file)?;
    Ok(file.authority)
}

fn issue_leaf(root: &Root, authority: &Authority, hosts: Vec<String>, now: Timestamp) -> Result<(), CaFault> {
    let damaged = |fault| match fault {
        certificates::Fault::Key(source) => CaFault::Damaged { path: authority_file(root), why: source.to_string() },
        other => CaFault::Make(other),
    };
    let subject = Subject {
        common_name: hosts.first().map_or("roadbed", String::as_str),
        organization: None,
        hosts: &hosts,
        purposes: &[Purpose::Server],
    };
    let leaf = authority.issue(&subject, now, LEAF_LIFE).map_err(damaged)?;
    let authority_sha256 = fingerprint(&authority.certificate_pem);
    write_json(&leaf_file(root), &LeafFile { hosts, authority_sha256, leaf })
}

fn write_json(path: &std::path::Path, value: &impl Serialize) -> Result<(), CaFault> {
    let text = serde_json::to_vec_pretty(value).expect("texts and numbers encode");
    Ok(files::write_durable(path, &text, Access::Owner)?)
}

fn fingerprint(pem: &str) -> String {
    hex(&Sha256::digest(pem.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn owner() -> Owner {
        Owner { environment: "local".to_owned(), root: "1".to_owned() }
    }

    const DAY: Duration = Duration::from_hours(24);
    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    fn after(now: Timestamp, duration: Duration) -> Timestamp {
        Timestamp::from_unix_millis(now.unix_millis() + i64::try_from(duration.as_millis()).unwrap())
    }

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn authority_of(root: &Root) -> Vec<u8> {
        files::read(&root.ca_certificate()).unwrap()
    }

    #[test]
    fn a_second_time_changes_nothing_and_other_hosts_change_the_leaf_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let two = hosts(&["www.shop.localhost", "api.shop.localhost"]);
        assert_eq!(state(&root, &owner(), &two, NOW).unwrap(), State::Due);
        assert_eq!(ensure(&root, &owner(), &two, NOW).unwrap(), Ensured::AuthorityMade);
        assert_eq!(state(&root, &owner(), &two, NOW).unwrap(), State::Current);
        files::remove(&root.ca_certificate()).unwrap();
        assert_eq!(state(&root, &owner(), &two, NOW).unwrap(), State::Due);
        assert_eq!(ensure(&root, &owner(), &two, NOW).unwrap(), Ensured::Unchanged);
        let authority = authority_of(&root);
        assert_eq!(ensure(&root, &owner(), &two, NOW).unwrap(), Ensured::Unchanged);
        let turned = hosts(&["api.shop.localhost", "www.shop.localhost"]);
        assert_eq!(ensure(&root, &owner(), &turned, NOW).unwrap(), Ensured::Unchanged);
        assert_eq!(ensure(&root, &owner(), &hosts(&["www.shop.localhost"]), NOW).unwrap(), Ensured::LeafIssued);
        assert_eq!(authority_of(&root), authority);
        let leaf = load(&root).unwrap().unwrap();
        assert!(leaf.names("WWW.shop.localhost") && !leaf.names("shop.localhost"));
        let wild = Leaf::new(&["*.shop.localhost".to_owned()], leaf.certificate);
        assert!(wild.names("api.shop.localhost") && !wild.names("a.b.shop.localhost") && !wild.names("shop.localhost"));
    }

    #[test]
    fn a_leaf_is_renewed_at_two_thirds_of_its_life_and_the_authority_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let one = hosts(&["a.localhost"]);
        ensure(&root, &owner(), &one, NOW).unwrap();
        assert_eq!(ensure(&root, &owner(), &one, after(NOW, DAY * 264)).unwrap(), Ensured::Unchanged);
        assert_eq!(ensure(&root, &owner(), &one, after(NOW, DAY * 265)).unwrap(), Ensured::LeafIssued);
        assert_eq!(ensure(&root, &owner(), &one, after(NOW, DAY * 3300)).unwrap(), Ensured::AuthorityMade);
    }

    #[test]
    fn keys_are_for_the_owner_and_the_certificate_for_everyone() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        ensure(&root, &owner(), &hosts(&["a.localhost"]), NOW).unwrap();
        let mode = |path: &std::path::Path| files::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&authority_file(&root)), 0o600);
        assert_eq!(mode(&leaf_file(&root)), 0o600);
        assert_eq!(mode(&root.ca_certificate()), 0o644);
    }

    #[test]
    fn a_damaged_authority_is_an_error_and_a_damaged_leaf_is_issued_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let one = hosts(&["a.localhost"]);
        ensure(&root, &owner(), &one, NOW).unwrap();
        files::write_durable(&leaf_file(&root), b"{", Access::Owner).unwrap();
        assert_eq!(ensure(&root, &owner(), &one, NOW).unwrap(), Ensured::LeafIssued);
        files::write_durable(&authority_file(&root), b"{", Access::Owner).unwrap();
        let fault = ensure(&root, &owner(), &one, NOW).unwrap_err();
        assert!(matches!(fault, CaFault::Damaged { .. }) && fault.hint().is_some());
    }
}
