//! T5 and T6: every app answers over HTTPS with a certificate that verifies, and plain HTTP leads there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use manifest::Environment;
use manifest::environment::{Access, App};

use super::Visitor;

/// A visitor is gone after this long.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const REACHABLE: Claim = Claim {
    task: "T5",
    id: "apps-are-reachable",
    claim: "Every app answers over HTTPS, with a certificate that verifies",
    hint: "`roadbed status` shows what runs, `roadbed logs APP` what it says",
    impact: Impact::Observes,
};

pub(crate) const REDIRECTS: Claim = Claim {
    task: "T6",
    id: "http-redirects",
    claim: "Plain HTTP leads to the same page over HTTPS",
    hint: "`roadbed logs edge` shows what the edge says",
    impact: Impact::Observes,
};

/// Visits the smoke pages of every app.
#[derive(Debug)]
pub struct AppsAreReachable {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
    /// Who has no certificate.
    pub stranger: Visitor,
}

impl Check for AppsAreReachable {
    fn claim(&self) -> &Claim {
        &REACHABLE
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            let visits = self.environment.apps.iter().map(|app| self.visit(app));
            for (is_good, sentence) in join_all(visits).await.into_iter().flatten() {
                if is_good { findings.good(sentence) } else { findings.bad(sentence) }
            }
            findings.outcome()
        })
    }
}

impl AppsAreReachable {
    async fn visit(&self, app: &App) -> Vec<(bool, String)> {
        let Some(host) = app.hosts.first() else { return vec![(false, format!("{} has no host name", app.name))] };
        let mut seen = Vec::new();
        if app.client_ca.is_some() {
            let url = self.visitor.https_url(host, "/");
            seen.push(match self.stranger.get(host, "/", PATIENCE).await {
                Err(why) => (false, format!("{url}: {why}")),
                Ok(answer) if answer.status == 403 => (true, format!("{url} refuses who shows no certificate")),
                Ok(answer) => (false, format!("{url} answered {} to who shows no certificate", answer.status)),
            });
        }
        for smoke in &app.smoke {
            let url = self.visitor.https_url(host, &smoke.path);
            // Without its password a protected app must be closed, and that it answers so is proof that it is there.
            let expected = if app.access == Access::Protected { 401 } else { smoke.status };
            seen.push(match self.visitor.get(host, &smoke.path, PATIENCE).await {
                Err(why) => (false, format!("{url}: {why}")),
                Ok(answer) if answer.status != expected => {
                    (false, format!("{url} answered {} and not {expected}", answer.status))
                }
                Ok(answer) => match &smoke.contains {
                    Some(text) if expected == smoke.status && !answer.body.contains(text.as_str()) => {
                        (false, format!("{url} does not contain {text:?}"))
                    }
                    _ => (true, format!("{url} answered {expected}, chain verified, {} bytes", answer.body.len())),
                },
            });
        }
        seen
    }
}

/// Asks each host for a page over plain HTTP.
#[derive(Debug)]
pub struct HttpRedirects {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
}

impl Check for HttpRedirects {
    fn claim(&self) -> &Claim {
        &REDIRECTS
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        const PATH: &str = "/any/page?with=query";
        Box::pin(async {
            let mut findings = Findings::default();
            let hosts: Vec<&str> =
                self.environment.apps.iter().filter_map(|app| app.hosts.first()).map(String::as_str).collect();
            let visits = hosts.iter().map(|host| self.visitor.get_plain(host, PATH, PATIENCE));
            for (host, outcome) in hosts.iter().zip(join_all(visits).await) {
                let wanted = self.visitor.https_url(host, PATH);
                match outcome {
                    Err(why) => findings.bad(format!("http://{host}: {why}")),
                    Ok(answer) if answer.status != 308 => {
                        findings.bad(format!("http://{host} answered {} and not 308", answer.status));
                    }
                    Ok(answer) => match answer.headers.get("location") {
                        Some(location) if *location == wanted => {
                            findings.good(format!("http://{host} leads to {wanted}"))
                        }
                        other => findings.bad(format!("http://{host} leads to {other:?} and not to {wanted}")),
                    },
                }
            }
            findings.outcome()
        })
    }
}
