//! What redis-server shows to whoever connects, and whom it believes: two files beside its configuration.
//!
//! ```text
//!   ca.pem            every authority whose certificates are believed; public
//!   certificate.pem   see `shown_certificate`
//! ```

use certificates::{Life, Purpose, Subject};
use host::files::{self, Access};
use reconcile::Fault;
use rustls_pki_types::CertificateDer;

use super::Redis;
use super::place::Place;
use crate::authority::SERVER_LIFE;
use crate::engines::checksum;
use crate::ground::file_fault;
use crate::shown_certificate::{self, Note};

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
    let Some(note) = Note::in_file(&place.certificate_file(), place.unit_name())? else { return Ok(false) };
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
        hosts: &shown_certificate::hosts(),
        // A replica is a client of its primary.
        purposes: &[Purpose::Server, Purpose::Client],
    };
    let leaf = redis.ground.issue(&subject, SERVER_LIFE)?;
    let text = describe(leaf.life, &authority.certificate_pem, &trusted).with(&leaf);
    files::create_dir(&place.conf, Access::Owner)
        .and_then(|()| files::write_if_changed(&place.authorities_file(), trusted.as_bytes(), Access::Owner))
        .and_then(|_| files::write_durable(&place.certificate_file(), text.as_bytes(), Access::OwnerReadOnly))
        .map_err(|fault| file_fault(place.unit_name(), &fault))
}

/// The certificate in the file, as a server that has loaded it shows it.
pub(super) fn in_file(place: &Place) -> Result<Option<CertificateDer<'static>>, Fault> {
    shown_certificate::in_file(&place.certificate_file(), place.unit_name())
}

fn describe(life: Life, authority_pem: &str, trusted: &str) -> Note {
    Note::new(life, checksum::of_bytes(authority_pem.as_bytes()), trusted)
}
