//! Whom probes and channels believe.

use std::path::Path;
use std::sync::Arc;

use acme::Trust;
use reconcile::Fault;
use rustls::ClientConfig;

use crate::settings::Trusted;

/// Whom whoever comes in by our own door believes. Read anew each time: certificates come and go.
pub(crate) fn at_our_door(trusted: &Trusted) -> Result<Arc<ClientConfig>, Fault> {
    client(&together(trusted, trusted.public || trusted.files.is_empty())?)
}

/// Whom one believes elsewhere.
pub(crate) fn elsewhere(trusted: &Trusted) -> Result<Arc<ClientConfig>, Fault> {
    client(&together(trusted, true)?)
}

/// These and nobody else.
pub(crate) fn only(file: &Path) -> Result<Arc<ClientConfig>, Fault> {
    client(&Trust::read(Some(file))?)
}

/// Public authorities.
pub(crate) fn public() -> Result<Arc<ClientConfig>, Fault> {
    client(&Trust::read(None)?)
}

fn together(trusted: &Trusted, public: bool) -> Result<Trust, Fault> {
    let mut all = if public { Some(Trust::read(None)?) } else { None };
    for file in &trusted.files {
        let trust = Trust::read(Some(file))?;
        all = Some(all.map_or_else(|| trust.clone(), |all| all.and(&trust)));
    }
    all.map_or_else(|| Trust::read(None), Ok)
}

fn client(trust: &Trust) -> Result<Arc<ClientConfig>, Fault> {
    trust.client().map_err(|error| Fault::because("cannot set up TLS", &error))
}
