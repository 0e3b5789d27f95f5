//! The token that a CI signs for this job: asked for where the job's environment says, for our audience, and kept nowhere.

use std::path::Path;
use std::sync::Arc;

use acme::Trust;
use oidc::https;
use reconcile::Fault;
use rustls::ClientConfig;
use secrets::Secret;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::cli::failure::Failure;
use crate::cli::place;
use crate::cli::project::Project;
use crate::cli::session::Session;

/// Where a job asks for its token.
const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";

/// What it shows there.
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// Certificates that are believed beside the public ones, where the CI is one's own.
const CERTIFICATES: &str = "SSL_CERT_FILE";

/// A job of a CI. Its `Debug` shows no token.
pub(super) struct Ci {
    request: Url,
    bearer: Secret,
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Ci {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ci").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Given {
    value: Zeroizing<String>,
}

impl Ci {
    /// The job that this command is run in. For whom its token is made says the manifest here, and nobody who is asked: a token for somebody
    /// else would be theirs to use.
    pub(super) fn of(session: &Session) -> Result<Self, Failure> {
        let cannot = |why: String| Fault::new("cannot show the token of this job").cause(why);
        let set = |name: &str| session.surroundings.variable(name).filter(|value| !value.is_empty());
        let (Some(url), Some(bearer)) = (set(REQUEST_URL), set(REQUEST_TOKEN)) else {
            return Err(Failure::Usage(
                cannot(format!(
                    "{REQUEST_URL} and {REQUEST_TOKEN} are not set: this is no job of a CI that signs tokens"
                ))
                .hint("in GitHub Actions give the job `permissions: { id-token: write }`; elsewhere use --token-file"),
            ));
        };
        let project = Project::load(session)?;
        let asked = session.asked_environment.as_ref().map(ToString::to_string);
        let (name, environment) = project.environment(asked.as_deref().unwrap_or(place::DEFAULT_ENVIRONMENT))?;
        let rules = environment.oidc.ok_or_else(|| {
            Failure::Usage(
                cannot(format!("{name} takes none"))
                    .hint(format!("[environments.{}.oidc] in roadbed.toml says which jobs get in", name.name)),
            )
        })?;
        let mut request = Url::parse(&url)
            .ok()
            .filter(|url| url.scheme() == "https")
            .ok_or_else(|| Failure::Usage(cannot(format!("{REQUEST_URL} does not begin with https://"))))?;
        let others: Vec<(String, String)> =
            request.query_pairs().filter(|(name, _)| name != "audience").map(|(k, v)| (k.into(), v.into())).collect();
        request.query_pairs_mut().clear().extend_pairs(others).append_pair("audience", &rules.audience);
        let certificates = set(CERTIFICATES).map(|file| session.surroundings.folder.join(file));
        let tls = tls(certificates.as_deref())?;
        Ok(Self { request, bearer: Secret::new(bearer), tls })
    }

    /// A fresh one: each is accepted once.
    pub(super) async fn token(&self) -> Result<Secret, Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Fault::because("cannot get the token of this job", error)
                .hint("the job needs `permissions: { id-token: write }`; run it again if the CI has a fault")
        };
        let answer = https::get(self.request.as_str(), &self.tls, Some(self.bearer.expose())).await;
        let answer = answer.map_err(|fault| cannot(&fault))?;
        let given: Given = serde_json::from_slice(&answer).map_err(|error| cannot(&error))?;
        Ok(Secret::new(given.value.to_string()))
    }
}

fn tls(more: Option<&Path>) -> Result<Arc<ClientConfig>, Fault> {
    let public = Trust::read(None)?;
    let trust = match more {
        Some(file) => public.and(&Trust::read(Some(file))?),
        None => public,
    };
    trust.client().map_err(|error| Fault::because("cannot speak TLS", &error))
}
