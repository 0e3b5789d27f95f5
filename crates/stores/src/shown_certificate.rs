//! The file with a data service's key and certificate. Its first line says for when, for whom and by whom it was made, so that
//! looking needs no reader of certificates; all in one file, so that a crash leaves no key without its certificate.

use std::path::Path;

use certificates::{Leaf, Life};
use host::files;
use reconcile::Fault;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::engines::checksum;
use crate::ground::file_fault;

const BEGINNING: &str = "# roadbed ";

/// How clients on this machine name a server.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

pub(crate) fn hosts() -> Vec<String> {
    HOSTS.map(str::to_owned).to_vec()
}

/// The first line of the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    #[serde(flatten)]
    pub(crate) life: Life,
    hosts: Vec<String>,
    /// Which authority signed it.
    by: String,
    /// Digest of all that were believed then: the server reads them anew with its certificate, and only then.
    trusted: String,
}

impl Note {
    pub(crate) fn new(life: Life, by: String, trusted: &str) -> Self {
        Self { life, hosts: hosts(), by, trusted: checksum::of_bytes(trusted.as_bytes()) }
    }

    /// What the file says. `None` where there is none, or none that a server could load.
    pub(crate) fn in_file(file: &Path, unit: &str) -> Result<Option<Self>, Fault> {
        let Some(text) = read(file, unit)? else { return Ok(None) };
        let note = || serde_json::from_str(text.lines().next()?.strip_prefix(BEGINNING)?).ok();
        Ok(first_certificate(&text).and_then(|_| note()))
    }

    /// The whole file.
    pub(crate) fn with(&self, leaf: &Leaf) -> Zeroizing<String> {
        let note = serde_json::to_string(self).expect("texts and numbers encode");
        Zeroizing::new(format!("{BEGINNING}{note}\n{}{}", *leaf.key_pem, leaf.chain_pem))
    }
}

/// The certificate in the file, as a server that has loaded it shows it.
pub(crate) fn in_file(file: &Path, unit: &str) -> Result<Option<CertificateDer<'static>>, Fault> {
    Ok(read(file, unit)?.and_then(|text| first_certificate(&text)))
}

fn read(file: &Path, unit: &str) -> Result<Option<Zeroizing<String>>, Fault> {
    let bytes = files::read_if_exists(file).map_err(|fault| file_fault(unit, &fault))?;
    // What is no text is no certificate: another one is made in its place.
    Ok(bytes.map(|bytes| Zeroizing::new(String::from_utf8(bytes).unwrap_or_default())))
}

fn first_certificate(text: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(text.as_bytes()).ok()
}
