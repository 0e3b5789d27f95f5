//! T6: what browsers are told about HTTPS, and certificates that last and renew themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use acme::Trust;
use certificates::Issued;
use futures_util::future::join_all;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use host::clock::Clock;
use manifest::{Environment, Hsts};
use reconcile::Root;
use tokio::time::{Instant, sleep};

use super::Visitor;
use crate::control::renewing::{self, CertificateStatus, door};
use crate::wanted::Wanted;

/// A visitor is gone after this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first certificate is ordered when the environment is up already: some seconds, of which the authority takes most.
const FIRST_ORDER: Duration = Duration::from_secs(15);

pub(crate) const STAYS: Claim = Claim {
    task: "T6",
    id: "browsers-stay-with-https",
    claim: "Browsers are told to come by HTTPS alone, as the manifest says, and nothing of the kind on localhost",
    hint: "`hsts` of [environments.NAME.tls] in roadbed.toml says what they are told; `roadbed up` publishes it",
    impact: Impact::Observes,
};

pub(crate) const RENEWS: Claim = Claim {
    task: "T6",
    id: "certificates-renew",
    claim: "Every host shows a certificate that visitors trust, with days left, and the next one is seen to",
    hint: "`roadbed status` shows what is in the way, `roadbed domains check` whether an authority gets through",
    impact: Impact::Observes,
};

/// Compares what each host tells with what the manifest says.
#[derive(Debug)]
pub struct BrowsersStayWithHttps {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
}

impl Check for BrowsersStayWithHttps {
    fn claim(&self) -> &Claim {
        &STAYS
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            // Aliases too: it is the bare domain that browsers are shipped with.
            let hosts: Vec<&String> = self.environment.apps.iter().flat_map(|app| &app.hosts).collect();
            let visits = hosts.iter().map(|host| self.visitor.get(host, "/", PATIENCE));
            for (host, outcome) in hosts.iter().zip(join_all(visits).await) {
                let wanted = wanted(host, self.environment.tls.hsts);
                match outcome.map(|answer| answer.headers.get("strict-transport-security").cloned()) {
                    Err(why) => findings.bad(format!("{host}: {why}")),
                    Ok(told) if told == wanted => findings.good(match told {
                        Some(told) => format!("{host} tells: {told}"),
                        None => format!("{host} is of this machine alone, and tells nothing"),
                    }),
                    Ok(told) => findings.bad(format!("{host} tells {told:?} and not {wanted:?}")),
                }
            }
            findings.outcome()
        })
    }
}

/// Worked out from the manifest, not from what was published.
fn wanted(host: &str, hsts: Option<Hsts>) -> Option<String> {
    if host == "localhost" || host.ends_with(".localhost") {
        return None;
    }
    let year = Hsts { max_age: Duration::from_hours(24 * 365), subdomains: false, preload: false };
    let Hsts { max_age, subdomains, preload } = hsts.unwrap_or(year);
    let subdomains = if subdomains { "; includeSubDomains" } else { "" };
    let preload = if preload { "; preload" } else { "" };
    Some(format!("max-age={}{subdomains}{preload}", max_age.as_secs()))
}

/// Shakes hands with each host as a visitor who trusts nobody else, and reads what stands in the way of the next certificate.
#[derive(Debug)]
pub struct CertificatesRenew {
    pub environment: Arc<Environment>,
    pub wanted: Wanted,
    pub root: Root,
    /// Whom visitors trust.
    pub trust: Trust,
    pub https_port: u16,
    pub clock: Arc<dyn Clock>,
}

impl Check for CertificatesRenew {
    fn claim(&self) -> &Claim {
        &RENEWS
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            match self.issued().await {
                Err(why) => findings.bad(why),
                Ok(Some(status)) => tell(&status, &mut findings),
                Ok(None) => {}
            }
            let door = door::address(self.environment.network.bind, self.https_port);
            let hosts: Vec<&String> = self.environment.apps.iter().flat_map(|app| &app.hosts).collect();
            let shown = join_all(hosts.iter().map(|host| door::handshake(door, host, &self.trust))).await;
            for (host, shown) in hosts.iter().zip(shown) {
                match shown.map_err(|why| why.to_string()).and_then(|der| Issued::of(&der).map_err(|no| no.to_string()))
                {
                    Err(why) => findings.bad(format!("{host}: {why}")),
                    Ok(issued) => self.judge(host, &issued, &mut findings),
                }
            }
            if self.environment.tls.on_demand.is_some() {
                self.look_at_others(door, &mut findings).await;
            }
            findings.outcome()
        })
    }
}

/// So many hosts of others are visited, those with the newest certificates: what went wrong lately shows there.
const OTHERS: usize = 20;

impl CertificatesRenew {
    /// How things stand with the authority; waits for the first certificate, since an environment is up before it has one.
    async fn issued(&self) -> Result<Option<CertificateStatus>, String> {
        let deadline = Instant::now() + FIRST_ORDER;
        loop {
            let status = renewing::status(&self.root, &self.environment, &self.wanted, self.clock.now());
            let status = status.map_err(|fault| fault.to_string())?;
            let is_awaited = status.as_ref().is_some_and(|status| status.issuer.is_none() && status.trouble.is_none());
            if !is_awaited || Instant::now() >= deadline {
                return Ok(status);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Hosts of others are to be shown what is kept for them. That one is not renewed is no promise of ours that is broken: a name that
    /// its owner leads elsewhere cannot be proved any more.
    async fn look_at_others(&self, door: SocketAddr, findings: &mut Findings) {
        let (root, environment, now) = (self.root.clone(), self.environment.clone(), self.clock.now());
        // With very many it takes a second.
        let read = tokio::task::spawn_blocking(move || renewing::of_others(&root, &environment, now)).await;
        let mut others = match read {
            Ok(Ok(others)) => others,
            Ok(Err(fault)) => return findings.bad(fault.to_string()),
            Err(error) => return findings.bad(error.to_string()),
        };
        for damaged in others.iter().flat_map(|other| &other.damaged) {
            findings.bad(format!("a certificate is damaged: {damaged}"));
        }
        others.retain(|other| other.not_after.is_some_and(|end| now < end));
        others.sort_by_key(|other| std::cmp::Reverse(other.not_after));
        let newest = &others[..others.len().min(OTHERS)];
        let shown = join_all(newest.iter().map(|other| door::handshake(door, &other.host, &self.trust))).await;
        for (other, shown) in newest.iter().zip(shown) {
            if let Err(why) = shown {
                findings.bad(format!("{}: {why}", other.host));
            }
        }
        findings.good(format!("{} hosts of others have a certificate", others.len()));
    }

    fn judge(&self, host: &str, issued: &Issued, findings: &mut Findings) {
        let (end, issuer) = (issued.life.end, &issued.issuer);
        let length = end.since(issued.life.begin);
        let left = end.since(self.clock.now());
        // A third is left when the next one is due, a half of short ones: whoever comes to a sixth has tried in vain.
        if left < length / 6 {
            findings.bad(format!("{host}: its certificate ends at {end}, and there is no other yet"));
        } else {
            findings.good(format!("{host}: signed by {issuer}, {} days left", left.as_secs() / 86_400));
        }
    }
}

fn tell(status: &CertificateStatus, findings: &mut Findings) {
    match (&status.directory, &status.trouble) {
        (None, None) => findings.bad("no certificate was issued yet"),
        (None, Some(trouble)) => findings.bad(format!("no certificate was issued yet: {}", trouble.why)),
        (Some(directory), trouble) => {
            if let Some(renews) = status.renews_at {
                findings.good(format!("ordered at {directory}, renewed at {renews}"));
            }
            if let Some(trouble) = trouble {
                // While the one that is served lives long enough, it is no broken promise.
                findings.good(format!("{} failed attempts in a row, the last: {}", trouble.failures, trouble.why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_told_nothing_and_others_what_the_manifest_says() {
        let hsts = Hsts { max_age: Duration::from_secs(600), subdomains: true, preload: true };
        assert_eq!(wanted("www.shop.localhost", Some(hsts)), None);
        assert_eq!(wanted("www.shop.example", None).unwrap(), "max-age=31536000");
        assert_eq!(wanted("www.shop.example", Some(hsts)).unwrap(), "max-age=600; includeSubDomains; preload");
    }
}
