//! What redis-server shows to whoever connects, and whom it believes: two files beside its configuration.
//!
//! ```text
//!   ca.pem            every authority whose certificates are believed; public
//!   certificate.pem   a line for us, then key and chain: one file, so that a crash leaves no key without its certificate
//! ```
//!
//! The line says for when and by whom the certificate was made, so that looking needs no reader of certificates.

use certificates::{Life, Purpose, Subject};
use host::files::{self, Access};
use reconcile::Fault;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Redis;
use super::place::Place;
use crate::authority::SERVER_LIFE;
use crate::engines::checksum;
use crate::ground::file_fault;

const BEGINNING: &str = "# roadbed ";

/// As clients name the server.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// The first line of the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    life: Life,
    hosts: Vec<String>,
    /// Digest of the authority that signed.
    by: String,
    /// Digest of all that were believed then: the server reads them anew together with its certificate.
    trusted: String,
}

/// Whether both files are as they should be: neither old, nor of an authority that is not the present one.
pub(super) fn is_right(redis: &Redis) -> Result<bool, Fault> {
    let (Some(authority), Some(trusted)) = (redis.ground.authority()?, redis.ground.trusted()?) else {
        return Ok(false);
    };
    if !redis.ground.has_all_authorities()? {
        return Ok(false);
    }
    let place = &redis.place;
    let known =
        files::read_if_exists(&place.authorities_file()).map_err(|fault| file_fault(place.unit_name(), &fault))?;
    let Some(text) = read(place)? else { return Ok(false) };
    let Some(note) = note(&text).filter(|_| shown(&text).is_some()) else { return Ok(false) };
    let is_fresh = !note.life.is_due(redis.ground.clock.now());
    let wanted = describe(note.life, &authority.certificate_pem, &trusted);
    Ok(is_fresh && note == wanted && known.as_deref() == Some(trusted.as_bytes()))
}

/// Makes both files. The authorities come first: a certificate of one that is not there would be believed by nobody.
pub(super) fn write(redis: &Redis) -> Result<(), Fault> {
    let place = &redis.place;
    let authority = redis.ground.make_authority()?;
    let trusted = redis.ground.trusted()?.ok_or_else(|| Fault::new("the data services have no authority yet"))?;
    let subject = Subject {
        common_name: place.unit_name(),
        organization: None,
        hosts: &HOSTS.map(str::to_owned),
        // A replica is a client of its primary.
        purposes: &[Purpose::Server, Purpose::Client],
    };
    let leaf = redis.ground.issue(&subject, SERVER_LIFE)?;
    let note = describe(leaf.life, &authority.certificate_pem, &trusted);
    let note = serde_json::to_string(&note).expect("texts and numbers encode");
    let text = Zeroizing::new(format!("{BEGINNING}{note}\n{}{}", *leaf.key_pem, leaf.chain_pem));
    files::create_dir(&place.conf, Access::Owner)
        .and_then(|()| files::write_if_changed(&place.authorities_file(), trusted.as_bytes(), Access::Owner))
        .and_then(|_| files::write_durable(&place.certificate_file(), text.as_bytes(), Access::OwnerReadOnly))
        .map_err(|fault| file_fault(place.unit_name(), &fault))
}

/// The certificate in the file, as a server that has loaded it shows it.
pub(super) fn in_file(place: &Place) -> Result<Option<CertificateDer<'static>>, Fault> {
    Ok(read(place)?.and_then(|text| shown(&text)))
}

fn describe(life: Life, authority_pem: &str, trusted: &str) -> Note {
    Note {
        life,
        hosts: HOSTS.map(str::to_owned).to_vec(),
        by: checksum::of_bytes(authority_pem.as_bytes()),
        trusted: checksum::of_bytes(trusted.as_bytes()),
    }
}

fn read(place: &Place) -> Result<Option<Zeroizing<String>>, Fault> {
    let bytes =
        files::read_if_exists(&place.certificate_file()).map_err(|fault| file_fault(place.unit_name(), &fault))?;
    // What is no text is no certificate: another one is made in its place.
    Ok(bytes.map(|bytes| Zeroizing::new(String::from_utf8(bytes).unwrap_or_default())))
}

fn note(text: &str) -> Option<Note> {
    serde_json::from_str(text.lines().next()?.strip_prefix(BEGINNING)?).ok()
}

fn shown(text: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(text.as_bytes()).ok()
}
