//! Backups: not of what is thrown away anyhow, and copies that are somewhere else.

use crate::driver::Driver;
use crate::findings::Findings;
use crate::repository_place::RepositoryPlace;
use crate::resolve::driver_of_mongodb;
use crate::scalars::SshKey;
use crate::source::At;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.environments.in_order() {
        let Some(backup) = &table.backup else { continue };
        if table.per.is_some() {
            findings
                .error(backup.span, format!("{} exists many times and is not backed up", name.value))
                .hint("leave the table out: what a preview has comes from its sample");
        }
        let external = document
            .services
            .mongodb
            .as_ref()
            .is_some_and(|mongodb| driver_of_mongodb(mongodb, &name.value) != Driver::Process);
        if external {
            findings
                .error(backup.span, format!("the MongoDB of {} is somebody else's, who backs it up", name.value))
                .hint("leave the table out, and look at what its provider promises");
        }
        let table = &backup.value;
        known_by_a_key(&table.repository, table.host_key.as_ref(), findings);
        let mut places = vec![&table.repository.value];
        for (name, copy) in table.copies.in_order() {
            known_by_a_key(&copy.repository, copy.host_key.as_ref(), findings);
            if places.contains(&&copy.repository.value) {
                findings
                    .error(copy.repository.span, format!("the copy {} lies where another repository lies", name.value))
                    .hint("name another place: what is lost is lost with its copy");
            }
            places.push(&copy.repository.value);
        }
    }
}

/// Whoever answers in place of a host gets all backups, unless the host is known.
fn known_by_a_key(place: &At<RepositoryPlace>, key: Option<&At<SshKey>>, findings: &mut Findings) {
    match (&place.value, key) {
        (RepositoryPlace::Sftp { host, .. }, None) => {
            findings
                .error(place.span, format!("nothing says by which key {host} is known"))
                .hint(format!("`ssh-keyscan -t ed25519 {host}` shows it: compare it there, then write host_key = \"ssh-ed25519 AAAA…\""));
        }
        (RepositoryPlace::Sftp { .. }, Some(_)) | (_, None) => {}
        (place, Some(key)) => {
            findings
                .error(key.span, format!("{place} is reached without SSH, and has no host key"))
                .hint("leave host_key out");
        }
    }
}
