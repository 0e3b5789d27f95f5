//! T12: what is protected refuses strangers, whatever they show.

use std::sync::Arc;
use std::time::Duration;

use edge::access::session::{Session, Signer};
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use host::clock::Clock;
use manifest::Environment;
use manifest::environment::{Access, App};
use tokio::time::{Instant, sleep};

use super::Visitor;

/// A visitor is gone after this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// An edge that has just been started is told within a second by which key sessions are signed.
const TOLD: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
const MINUTE_MS: i64 = 60_000;

pub(crate) const CLAIM: Claim = Claim {
    task: "T12",
    id: "protected-refuses-strangers",
    claim: "What is protected lets in who signed in and nobody else: not without a session, nor by one that is forged, over or for another host",
    hint: "`roadbed up` publishes who may see what; `roadbed access list` shows who is signed in",
    impact: Impact::Observes,
};

/// Knocks at every protected app as strangers do, and as somebody who signed in.
#[derive(Debug)]
pub struct ProtectedRefusesStrangers {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
    pub signer: Arc<Signer>,
    pub clock: Arc<dyn Clock>,
}

impl Check for ProtectedRefusesStrangers {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            for app in self.environment.apps.iter().filter(|app| app.access == Access::Protected) {
                self.knock(app, &mut findings).await;
            }
            findings.outcome()
        })
    }
}

impl ProtectedRefusesStrangers {
    async fn knock(&self, app: &App, findings: &mut Findings) {
        let Some(host) = app.hosts.first() else { return findings.bad(format!("{} has no host name", app.name)) };
        let url = self.visitor.https_url(host, "/");
        // Where nobody gets in by a good session, that nobody gets in by a bad one proves nothing.
        let good = self.signer.sign(&self.session(host));
        match self.is_let_in(host, &good).await {
            Ok(()) => findings.good(format!("{url} lets in a session that was made for it")),
            Err(why) => findings.bad(format!("{url} refuses a session that was made for it: {why}")),
        }
        let stranger = Signer::from_seed(&[0; 32]);
        let now = self.clock.now().unix_millis();
        let over = Session { from_ms: now - 2 * MINUTE_MS, until_ms: now - MINUTE_MS, ..self.session(host) };
        let elsewhere = Session { hosts: vec!["elsewhere.invalid".to_owned()], ..self.session(host) };
        for (what, shown) in [
            ("nothing", None),
            ("a session that a stranger signed", Some(stranger.sign(&self.session(host)))),
            ("a session whose end was written anew", Some(later(&self.signer.sign(&over), &self.session(host)))),
            ("a session that is over", Some(self.signer.sign(&over))),
            ("a session for another host", Some(self.signer.sign(&elsewhere))),
        ] {
            let mut headers = vec![("x-roadbed-user".to_owned(), "root".to_owned())];
            headers.extend(shown.map(|shown| ("cookie".to_owned(), cookie(&shown))));
            match self.visitor.get_showing(host, "/", &headers, PATIENCE).await {
                Err(why) => findings.bad(format!("{url}: {why}")),
                Ok(answer) if answer.status != 401 => {
                    findings.bad(format!("{url} answered {} to who showed {what}", answer.status));
                }
                Ok(answer) if !answer.headers.get("x-robots-tag").is_some_and(|told| told.contains("noindex")) => {
                    findings.bad(format!("{url} lets search engines list what it refuses"));
                }
                Ok(_) => findings.good(format!("{url} refuses who shows {what}")),
            }
        }
    }

    async fn is_let_in(&self, host: &str, shown: &str) -> Result<(), String> {
        let deadline = Instant::now() + TOLD;
        loop {
            let headers = [("cookie".to_owned(), cookie(shown))];
            match self.visitor.get_showing(host, "/", &headers, PATIENCE).await {
                Ok(answer) if answer.status != 401 => return Ok(()),
                Ok(_) if Instant::now() < deadline => sleep(PAUSE).await,
                Ok(answer) => return Err(format!("status {}", answer.status)),
                Err(why) => return Err(why),
            }
        }
    }

    fn session(&self, host: &str) -> Session {
        let now = self.clock.now().unix_millis();
        Session {
            id: "gate".to_owned(),
            user: "gate".to_owned(),
            email: None,
            hosts: vec![host.to_ascii_lowercase()],
            from_ms: now,
            until_ms: now + MINUTE_MS,
        }
    }
}

fn cookie(shown: &str) -> String {
    format!("{}={shown}", edge::access::SESSION)
}

/// What another session says, with the signature of this one.
fn later(signed: &str, said: &Session) -> String {
    let other = Signer::from_seed(&[0; 32]).sign(said);
    let (said, _) = other.rsplit_once('.').unwrap_or_default();
    let (_, signature) = signed.rsplit_once('.').unwrap_or_default();
    format!("{said}.{signature}")
}
