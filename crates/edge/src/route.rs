//! From a host name to the site that answers there.

use std::sync::Arc;

use crate::connection::{Door, Visitor};
use crate::guard::{self, Asked};
use crate::refusal::Refusal;
use crate::snapshot::{Host, Site, Snapshot};

/// Where a request goes.
#[derive(Debug)]
pub enum Route {
    Site(Arc<Site>),
    /// The site has its home at this address.
    Elsewhere(String),
}

pub fn find(snapshot: &Snapshot, visitor: &Visitor, asked: &Asked) -> Result<Route, Refusal> {
    if let Door::Internal(socket) = &visitor.door {
        guard::check_internal_host(&visitor.door, &asked.host)?;
        let site = snapshot.internal.get(socket.as_ref()).ok_or(Refusal::UnknownHost)?;
        return Ok(Route::Site(Arc::clone(site)));
    }
    // Whoever means to look at the next release is never shown the present one.
    let hosts = if visitor.door == Door::Candidate { &snapshot.candidate } else { &snapshot.hosts };
    let Some(host) = hosts.get(&asked.host) else {
        let site = snapshot.site_of_others(&asked.host).ok_or(Refusal::UnknownHost)?;
        return match visitor.door {
            Door::Https => Ok(Route::Site(Arc::clone(site))),
            Door::Http => Ok(Route::Elsewhere(home(snapshot, &asked.host, asked))),
            Door::Candidate | Door::Internal(_) => Err(Refusal::UnknownHost),
        };
    };
    match (host, &visitor.door) {
        (Host::Site(site), Door::Https | Door::Candidate) => Ok(Route::Site(Arc::clone(site))),
        // An alias, or plain HTTP: one redirect brings both home.
        (Host::Site(site), _) => Ok(Route::Elsewhere(home(snapshot, &site.canonical, asked))),
        (Host::Alias { canonical }, _) => Ok(Route::Elsewhere(home(snapshot, canonical, asked))),
    }
}

fn home(snapshot: &Snapshot, canonical: &str, asked: &Asked) -> String {
    match snapshot.table.https_port {
        443 => format!("https://{canonical}{}", asked.target),
        port => format!("https://{canonical}:{port}{}", asked.target),
    }
}
