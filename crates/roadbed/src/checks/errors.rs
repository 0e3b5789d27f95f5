//! T11: what goes wrong is seen: an error that is forced in an app, and one that a page reports, are found by their request.
//!
//! An app that has the variable `FAULT_TOKEN` fails on demand, at `POST /debug/error` with the token in `x-fault-token`. Where none
//! may fail on demand, as in production, an error is reported with the app's own key by the way that its pages take.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use host::clock::Clock;
use manifest::Environment;
use manifest::environment::{App, Fact};
use secrets::{SecretName, Store};
use telemetry::{ErrorEvent, Project, TelemetryClient};
use tokio::time::{sleep, timeout};

use super::Visitor;
use crate::world::errors::{app_secret, is_told};

pub(crate) const CLAIM: Claim = Claim {
    task: "T11",
    id: "forced-errors-arrive",
    claim: "A forced error is found within 5 s, with its environment, release and request",
    hint: "`roadbed logs telemetry` shows what arrives; `roadbed errors` shows what is kept",
    impact: Impact::Observes,
};

/// From the failure to where a person finds it.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

/// A look into an index. One that takes longer is answered by nobody.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(50);

/// The variable that lets an app fail on demand.
const FAULT_TOKEN: &str = "FAULT_TOKEN";

/// Makes something go wrong in each app that reports errors.
#[derive(Clone, Debug)]
pub struct ForcedErrorsArrive {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
    pub secrets: Arc<Store>,
    pub telemetry: TelemetryClient,
    pub clock: Arc<dyn Clock>,
}

impl ForcedErrorsArrive {
    /// Whether any app of an environment reports errors.
    pub fn has_work(environment: &Environment) -> bool {
        environment.apps.iter().any(|app| {
            !app.hosts.is_empty()
                && (is_told(environment, app, &Fact::ErrorsDsn) || is_told(environment, app, &Fact::ErrorsPublicDsn))
        })
    }

    async fn look(&self, findings: &mut Findings) {
        for (app, host) in self.apps() {
            let tried =
                if self.fails_on_demand(app) { self.fail(app, host).await } else { self.report(app, host).await };
            match tried {
                Ok(seen) => findings.good(seen),
                Err(why) => findings.bad(format!("{}: {why}", app.name)),
            }
        }
    }

    /// Apps that report errors, with the host of each.
    pub(super) fn apps(&self) -> impl Iterator<Item = (&App, &str)> {
        self.environment.apps.iter().filter_map(|app| {
            let reports =
                [Fact::ErrorsDsn, Fact::ErrorsPublicDsn].iter().any(|fact| is_told(&self.environment, app, fact));
            Some((app, app.hosts.first()?.as_str())).filter(|_| reports)
        })
    }

    fn fails_on_demand(&self, app: &App) -> bool {
        let mut variables = self.environment.variables_of(&app.name);
        is_told(&self.environment, app, &Fact::ErrorsDsn)
            && variables.any(|variable| variable.name.as_str() == FAULT_TOKEN)
    }

    /// Makes something go wrong; says at which request.
    pub(super) async fn force(&self, app: &App, host: &str) -> Result<String, String> {
        if self.fails_on_demand(app) { self.fail_now(host).await } else { self.report_now(app, host).await }
    }

    /// The app itself fails, and reports it.
    async fn fail(&self, app: &App, host: &str) -> Result<String, String> {
        let request = self.fail_now(host).await?;
        let (event, ms) = self.find(&request).await?;
        let release = event.release.as_deref().filter(|release| !release.is_empty());
        let release = release.ok_or("its error says no release")?;
        self.is_of_here(&event, app)?;
        Ok(format!(
            "{} failed on demand: issue {} after {ms} ms, of {} release {release}",
            app.name, event.issue, event.environment
        ))
    }

    async fn fail_now(&self, host: &str) -> Result<String, String> {
        let name = SecretName::variable(FAULT_TOKEN);
        let token = self.secrets.get(&name).map_err(|fault| fault.to_string())?;
        let token = token.ok_or("there is no FAULT_TOKEN yet")?;
        let headers = [("x-fault-token", token.secret.expose())];
        let answer = self.visitor.post(host, "/debug/error", &headers, Bytes::new(), PATIENCE).await?;
        if answer.status != 500 {
            return Err(format!("it was to fail, and answered {}", answer.status));
        }
        answer.headers.get("x-request-id").cloned().ok_or_else(|| "its answer names no request".to_owned())
    }

    /// As a page would.
    async fn report(&self, app: &App, host: &str) -> Result<String, String> {
        let request = self.report_now(app, host).await?;
        let (event, ms) = self.find(&request).await?;
        self.is_of_here(&event, app)?;
        Ok(format!("a page of {} reported: issue {} after {ms} ms, of {}", app.name, event.issue, event.environment))
    }

    async fn report_now(&self, app: &App, host: &str) -> Result<String, String> {
        let name = app_secret(&app.name);
        let key = self.secrets.get(&name).map_err(|fault| fault.to_string())?;
        let key = Project::page_key(key.ok_or("it has no key yet")?.secret.expose());
        let project = Project::id_of(app.name.as_str());
        // In hexadecimal: one in ten of as many decimal digits is a card's number to whoever scrubs what comes in.
        let request = format!("gate-{:x}", self.clock.now().unix_millis());
        let event = serde_json::json!({
            "level": "info", "platform": "other", "release": "gate", "logger": "gate",
            "message": "The gate tried whether errors arrive", "fingerprint": ["roadbed-gate"], "tags": { "request_id": request },
        });
        let body = format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n");
        let path = format!("{}api/{project}/envelope/?sentry_key={key}", reconcile::ports::TELEMETRY_PATH);
        let answer = self.visitor.post(host, &path, &[], body.into(), PATIENCE).await?;
        if answer.status != 200 {
            return Err(format!("what its pages report is answered with {}", answer.status));
        }
        Ok(request)
    }

    fn is_of_here(&self, event: &ErrorEvent, app: &App) -> Result<(), String> {
        let here = self.environment.reference().to_string();
        if event.environment != here {
            return Err(format!("its error is kept as of {}", event.environment));
        }
        if event.app != app.name.as_str() {
            return Err(format!("its error is kept as {}\u{2019}s", event.app));
        }
        Ok(())
    }

    async fn find(&self, request: &str) -> Result<(ErrorEvent, u128), String> {
        let began = self.clock.instant();
        loop {
            let search = format!("request:{request}");
            let asked = timeout(ANSWERS_WITHIN, self.telemetry.error_events(&search)).await;
            let waited = self.clock.instant().saturating_duration_since(began);
            let last = match asked {
                Ok(Ok(mut events)) if !events.is_empty() => return Ok((events.remove(0), waited.as_millis())),
                Ok(Ok(_)) => "no error of that request is there".to_owned(),
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => "telemetry does not answer".to_owned(),
            };
            if waited >= FOUND_WITHIN {
                return Err(format!("not found within {} s: {last}", FOUND_WITHIN.as_secs()));
            }
            sleep(PAUSE).await;
        }
    }
}

impl Check for ForcedErrorsArrive {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            self.look(&mut findings).await;
            findings.outcome()
        })
    }
}
