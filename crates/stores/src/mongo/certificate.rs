//! What mongod shows to whoever connects, and whom it believes: two files beside its configuration.
//!
//! ```text
//!   ca.pem            every authority whose certificates are believed; public
//!   certificate.pem   see `shown_certificate`
//! ```

use std::path::PathBuf;
use std::time::Duration;

use certificates::{Authority, Purpose, Subject};
use host::clock::Timestamp;
use host::files::{self, Access};
use reconcile::{Fault, Root};
use rustls_pki_types::CertificateDer;

use super::handshake::{self, Shown};
use super::place::Place;
use super::{Mongo, UNIT};
use crate::Ground;
use crate::authority::SERVER_LIFE;
use crate::engines::checksum;
use crate::ground::file_fault;
use crate::shown_certificate::{self, Note};

/// Members of a replica set are known by organisation and unit. Our clients have another unit: mongod makes no user of what
/// could be a member.
const UNIT_OF_MEMBERS: &str = "members";

/// In the folder of mongod's configuration.
const CA_FILE: &str = "ca.pem";

/// The files as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    Right,
    Missing,
    /// Too old, or made for other hosts or by an authority that is not the newest.
    Due,
}

/// What a server shows to whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Nobody is there, or he does not speak TLS.
    Nothing,
    /// What we cannot believe, such as one that has run out.
    NotBelieved,
    /// One that is good, and not the one in its file.
    Another,
    ItsFile,
}

/// Where our clients find the authorities: beside the first member's configuration.
pub(crate) fn ca_file(root: &Root) -> PathBuf {
    root.conf().join(UNIT).join(CA_FILE)
}

impl Place {
    /// Where the authorities are that this mongod believes.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.conf.join(CA_FILE)
    }

    /// Where its key and certificate are.
    pub(super) fn certificate_file(&self) -> PathBuf {
        self.conf.join("certificate.pem")
    }
}

/// Looks at the files of all members: one that is missing is said before one that is due.
pub(super) fn look_at_all(mongo: &Mongo) -> Result<Certificate, Fault> {
    let mut seen = Certificate::Right;
    for place in mongo.places() {
        match look(mongo, place)? {
            Certificate::Missing => return Ok(Certificate::Missing),
            Certificate::Due => seen = Certificate::Due,
            Certificate::Right => {}
        }
    }
    Ok(seen)
}

/// Looks at the files of one member.
pub(super) fn look(mongo: &Mongo, place: &Place) -> Result<Certificate, Fault> {
    let fault = |fault| file_fault(&place.name, &fault);
    let Some(trusted) = mongo.ground.trusted()? else { return Ok(Certificate::Missing) };
    let Some(known) = files::read_if_exists(&place.ca_file()).map_err(fault)? else {
        return Ok(Certificate::Missing);
    };
    if !files::exists(&place.certificate_file()) {
        return Ok(Certificate::Missing);
    }
    let Some(note) = Note::in_file(&place.certificate_file(), &place.name)? else { return Ok(Certificate::Due) };
    let Some(by) = fingerprints(&mongo.ground)?.into_iter().next() else { return Ok(Certificate::Missing) };
    let is_fresh = !note.life.is_due(mongo.ground.clock.now());
    let is_right = is_fresh && note == Note::new(note.life, by, &trusted) && known == trusted.as_bytes();
    Ok(if is_right { Certificate::Right } else { Certificate::Due })
}

/// Makes what is not right. The authorities come first: a certificate of one that is not there would start no server.
pub(super) fn renew(mongo: &Mongo, place: &Place) -> Result<(), Fault> {
    if look(mongo, place)? == Certificate::Right {
        return Ok(());
    }
    let fault = |fault| file_fault(&place.name, &fault);
    let trusted = mongo.ground.trusted()?.ok_or_else(|| Fault::new("the data services have no authority yet"))?;
    let hosts = shown_certificate::hosts();
    let subject = Subject {
        common_name: UNIT,
        organization: Some((&mongo.ground.id, UNIT_OF_MEMBERS)),
        hosts: &hosts,
        // A member of a replica set is a client of the others.
        purposes: &[Purpose::Server, Purpose::Client],
    };
    let leaf = mongo.ground.issue(&subject, SERVER_LIFE)?;
    let by = fingerprints(&mongo.ground)?.into_iter().next().unwrap_or_default();
    let text = Note::new(leaf.life, by, &trusted).with(&leaf);
    files::write_if_changed(&place.ca_file(), trusted.as_bytes(), Access::Owner).map_err(fault)?;
    files::write_if_changed(&place.certificate_file(), text.as_bytes(), Access::OwnerReadOnly).map(drop).map_err(fault)
}

/// Asks a server for its certificate.
pub(super) async fn shown_by(mongo: &Mongo, place: &Place) -> Result<Shows, Fault> {
    let trusted = mongo.ground.trusted()?.unwrap_or_default();
    Ok(match handshake::shown(place.port, &trusted, mongo.ground.clock.now()).await {
        Shown::Nothing => Shows::Nothing,
        Shown::Certificate { is_believed: false, .. } => Shows::NotBelieved,
        Shown::Certificate { certificate, .. } if in_file(place)?.as_ref() == Some(&certificate) => Shows::ItsFile,
        Shown::Certificate { .. } => Shows::Another,
    })
}

/// The certificate in the file, as a server that has loaded it shows it.
fn in_file(place: &Place) -> Result<Option<CertificateDer<'static>>, Fault> {
    shown_certificate::in_file(&place.certificate_file(), &place.name)
}

/// An authority, as data says whose it is: by its key, since a certificate of it that was lost is made again.
pub(crate) fn fingerprint(authority: &Authority) -> Result<String, Fault> {
    let key = authority.public_key().map_err(|fault| Fault::because("cannot tell whose data this is", &fault))?;
    Ok(checksum::of_bytes(&key))
}

/// The authorities whose fingerprint our data may carry, the one that signs first.
pub(crate) fn fingerprints(ground: &Ground) -> Result<Vec<String>, Fault> {
    ground.authorities()?.iter().map(fingerprint).collect()
}

/// Our own clients' certificates: for as long as the longest thing that they do, which is to build an index.
pub(crate) const CLIENT_LIFE: Duration = Duration::from_hours(3);

/// Whether a certificate of a client that was issued at `since` still opens new connections.
pub(crate) fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    now >= since && now.since(since) < CLIENT_LIFE / 2
}
