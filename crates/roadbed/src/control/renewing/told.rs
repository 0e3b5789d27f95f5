//! How things stand with the public certificate, for `status` and the gate.

use acme::book::Book;
use acme::{Situation, renewal};
use edge::tls::issued::Store;
use host::clock::Timestamp;
use manifest::Environment;
use reconcile::ports::Certificates;
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use super::register::{Entry, Register};
use crate::wanted::Wanted;
use crate::world;

/// The certificate that an authority issued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Name of who signed it; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where it was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    pub hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// When the next one is ordered, if nothing is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews_at: Option<Timestamp>,
    /// What went wrong last, where nothing has made it good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// What is in the way of the next certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub why: String,
    /// How often in a row.
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it is tried again there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Timestamp>,
}

/// How things stand; `None` where certificates are the environment's own.
pub fn status(
    root: &Root,
    environment: &Environment,
    want: &Wanted,
    now: Timestamp,
) -> Result<Option<CertificateStatus>, Fault> {
    if world::certificates_of(environment, want) == Certificates::Local {
        return Ok(None);
    }
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot read the certificate", error);
    let directories: Vec<String> =
        environment.tls.authorities.iter().map(|authority| authority.directory.clone()).collect();
    let book = Book::read(&super::folder(root), &directories, now).map_err(|fault| cannot(&fault))?;
    let held = Store::new(root).newest().map_err(|fault| cannot(&fault))?;
    let trouble = trouble(&book, now);
    let Some(held) = held else { return Ok(Some(CertificateStatus { trouble, ..CertificateStatus::default() })) };
    let hosts = held.issued.hosts.clone();
    let situation = Situation { directories: &directories, hosts: &hosts, held: Some(&held.issued), now };
    Ok(Some(CertificateStatus {
        issuer: Some(held.issued.issuer.clone()),
        directory: Some(held.directory.clone()),
        not_after: Some(held.issued.life.end),
        renews_at: Some(renewal::due(&situation, &book)),
        hosts,
        trouble,
    }))
}

fn trouble(book: &Book, now: Timestamp) -> Option<Trouble> {
    book.last_setback().map(|(directory, setback)| Trouble {
        why: setback.why.clone(),
        failures: book.standing_of(directory).failures,
        since: Some(setback.at),
        again: setback.over(now),
    })
}

/// A host of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    pub host: String,
    pub standing: Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// When an app last permitted it.
    pub permitted_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Files of certificates that cannot be read any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// How things stand with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Served,
    /// There is no certificate yet.
    Waiting,
    /// It is permitted no more, and served until its certificate ends.
    Ending,
}

/// How things stand with the hosts of others that were permitted, by name.
pub fn of_others(root: &Root, environment: &Environment, now: Timestamp) -> Result<Vec<HostStatus>, Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot read the certificates", error);
    let folder = super::folder(root);
    let directories: Vec<String> =
        environment.tls.authorities.iter().map(|authority| authority.directory.clone()).collect();
    let shelf = Store::hosts(root).map_err(|fault| cannot(&fault))?;
    let register = Register::read(&folder, &shelf, now)?;
    let one = |(host, entry): (String, Entry)| {
        let looked = Store::of(root, std::slice::from_ref(&host)).look().map_err(|fault| cannot(&fault))?;
        let book = Book::read(&folder.join("hosts").join(&host), &directories, now).map_err(|fault| cannot(&fault))?;
        Ok(HostStatus {
            standing: match (&looked.held, entry.ended_at) {
                (Some(_), Some(_)) => Standing::Ending,
                (Some(_), None) => Standing::Served,
                (None, _) => Standing::Waiting,
            },
            not_after: looked.held.map(|held| held.issued.life.end),
            permitted_at: entry.permitted_at,
            trouble: trouble(&book, now),
            damaged: looked.damaged.into_iter().map(|(path, why)| format!("{}: {why}", path.display())).collect(),
            host,
        })
    };
    register.hosts.into_iter().map(one).collect()
}
