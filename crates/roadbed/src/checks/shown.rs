//! T11: what goes wrong is on a page that somebody looks at: the forced error stands in the console, with its environment and request.

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use manifest::Console;
use secrets::SecretName;
use tokio::time::{Instant, sleep};

use super::ForcedErrorsArrive;
use crate::world::access::{CONSOLE, USER};

pub(crate) const CLAIM: Claim = Claim {
    task: "T11",
    id: "errors-are-shown",
    claim: "A forced error is on a page of the console within 5 s, with its environment and request",
    hint: "`roadbed console` opens it; `roadbed logs control` says why it shows nothing",
    impact: Impact::Observes,
};

/// From the failure to where a person sees it.
const SHOWN_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Makes something go wrong, and looks at the console as a program that may.
#[derive(Debug)]
pub struct ErrorsAreShown {
    pub forced: ForcedErrorsArrive,
    pub console: Console,
}

impl ErrorsAreShown {
    async fn look(&self, findings: &mut Findings) {
        for (app, host) in self.forced.apps() {
            match self.forced.force(app, host).await {
                Ok(request) => match self.find(&request).await {
                    Ok(seen) => findings.good(format!("{}: {seen}", app.name)),
                    Err(why) => findings.bad(format!("{}: {why}", app.name)),
                },
                Err(why) => findings.bad(format!("{}: {why}", app.name)),
            }
        }
    }

    /// Looks as long as an error may take: by the request, and then at the issue that stands there.
    async fn find(&self, request: &str) -> Result<String, String> {
        let began = Instant::now();
        loop {
            let last = match self.shown(request).await {
                Ok(issue) => {
                    let environment = self.forced.environment.reference();
                    let ms = began.elapsed().as_millis();
                    return Ok(format!("issue {issue} is shown after {ms} ms, of {environment}, with {request}"));
                }
                Err(why) => why,
            };
            if began.elapsed() >= SHOWN_WITHIN {
                return Err(format!("not shown within {} s: {last}", SHOWN_WITHIN.as_secs()));
            }
            sleep(PAUSE).await;
        }
    }

    async fn shown(&self, request: &str) -> Result<String, String> {
        let page = self.page(&format!("/requests/{request}")).await?;
        let issue = page.split("href=\"/errors/").nth(1).and_then(|rest| rest.split('"').next());
        let issue = issue.ok_or_else(|| format!("the page of request {request} names no error"))?.to_owned();
        let page = self.page(&format!("/errors/{issue}")).await?;
        let environment = format!(">{}</span>", self.forced.environment.reference());
        if !page.contains(&environment) {
            return Err(format!("the page of issue {issue} does not say its environment"));
        }
        if !page.contains(request) {
            return Err(format!("the page of issue {issue} does not name request {request}"));
        }
        Ok(issue)
    }

    async fn page(&self, path: &str) -> Result<String, String> {
        let name = SecretName::new(format!("access/{CONSOLE}"));
        let password = self.forced.secrets.get(&name).map_err(|fault| fault.to_string())?;
        let password = password.ok_or("the console has no password for programs yet")?;
        let asked = self.forced.visitor.get_as(&self.console.host, path, USER, &password.secret, PATIENCE).await;
        let answer = asked.map_err(|why| format!("the console does not answer: {why}"))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(format!("the console answers {status} to {path}")),
        }
    }
}

impl Check for ErrorsAreShown {
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
