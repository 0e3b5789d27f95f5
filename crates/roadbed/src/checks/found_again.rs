//! T11: whoever has the number of a request finds what the edge and the apps wrote about it.

use std::sync::Arc;
use std::time::Duration;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use manifest::Environment;
use manifest::environment::{App, Runs};
use telemetry::TelemetryClient;
use telemetry::logs::{ACCESS, Filter, Question, Record};
use tokio::time::{Instant, sleep};

use super::Visitor;

/// A visitor is gone after this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who looks for a request that has just failed does not wait longer.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// So many of an app's latest lines say whether it writes the numbers of requests at all.
const LATEST: usize = 200;

/// Nothing is there in any app: the answer does not matter, its number does.
const PATH: &str = "/roadbed-finds-this-again";

pub(crate) const CLAIM: Claim = Claim {
    task: "T11",
    id: "requests-are-found-again",
    claim: "Within 5 s the number of a request finds its line in the access log and its app's, which name the same trace",
    hint: "`roadbed status` shows whether telemetry runs; `roadbed logs telemetry` says why it keeps nothing",
    impact: Impact::Observes,
};

/// Asks each app once, and looks for what was written about it.
#[derive(Debug)]
pub struct RequestsAreFoundAgain {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
    pub telemetry: TelemetryClient,
}

impl Check for RequestsAreFoundAgain {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            for app in self.environment.apps.iter().filter(|app| app.client_ca.is_none()) {
                match self.tried(app).await {
                    Ok(sentence) => findings.good(format!("{}: {sentence}", app.name)),
                    Err(sentence) => findings.bad(format!("{}: {sentence}", app.name)),
                }
            }
            findings.outcome()
        })
    }
}

impl RequestsAreFoundAgain {
    async fn tried(&self, app: &App) -> Result<String, String> {
        let answer = self.visitor.get(&app.hosts[0], PATH, PATIENCE).await?;
        let id = answer.headers.get("x-request-id").ok_or("its answer has no number")?;
        let began = Instant::now();
        let mut seen = self.lines(id).await?;
        while began.elapsed() < FOUND_WITHIN && !(seen.0.is_some() && seen.1.is_some()) {
            // An app that writes nothing about requests is not waited for.
            if seen.0.as_ref().is_some_and(|access| !was_reached(app, access)) {
                break;
            }
            if seen.0.is_some() && !self.writes_numbers(app).await? {
                break;
            }
            sleep(PAUSE).await;
            seen = self.lines(id).await?;
        }
        let took = began.elapsed().as_millis();
        let (access, own) = seen;
        let access = access.ok_or_else(|| format!("no line of the access log has {id} after {took} ms"))?;
        let trace = access.trace_id.clone().ok_or_else(|| format!("the access log names no trace for {id}"))?;
        let Some(own) = own else {
            return if was_reached(app, &access) && self.writes_numbers(app).await? {
                Err(format!("it wrote nothing that is found by {id} within {took} ms, as it does for other requests"))
            } else {
                Ok(format!("{id} is in the access log, of trace {trace}; the app itself writes nothing of requests"))
            };
        };
        match own.trace_id {
            Some(other) if other != trace => {
                Err(format!("{id} is of trace {trace} to the edge and of {other} to the app"))
            }
            _ => Ok(format!("{id} is in the access log and in the app's within {took} ms, of trace {trace}")),
        }
    }

    /// What the edge, and what anybody else wrote about a request.
    async fn lines(&self, id: &str) -> Result<(Option<Record>, Option<Record>), String> {
        let filter = Filter { request: Some(id.to_owned()), ..Filter::default() };
        let question = Question { filter, limit: 100, after: None };
        let answer = self.telemetry.logs(&question).await.map_err(|fault| fault.message)?;
        let (access, own): (Vec<_>, Vec<_>) = answer.lines.into_iter().partition(|record| record.source.unit == ACCESS);
        Ok((access.into_iter().next(), own.into_iter().next()))
    }

    async fn writes_numbers(&self, app: &App) -> Result<bool, String> {
        let filter = Filter { names: Some(vec![app.name.to_string()]), ..Filter::default() };
        let question = Question { filter, limit: LATEST, after: None };
        let answer = self.telemetry.logs(&question).await.map_err(|fault| fault.message)?;
        Ok(answer.lines.iter().any(|record| record.request_id.is_some()))
    }
}

/// Whether an instance was asked: not where the edge serves files, or wants a password first.
fn was_reached(app: &App, access: &Record) -> bool {
    let line: serde_json::Value = serde_json::from_str(&access.line).unwrap_or_default();
    matches!(app.runs, Runs::Server(_)) && line["upstream"].is_string()
}
