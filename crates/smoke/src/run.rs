//! All pages of a plan, one after the other.

use std::path::PathBuf;
use std::time::Duration;

use host::clock::Clock;
use host::files::{self, Access, FileFault};
use tokio::time::{Instant, timeout, timeout_at};

use crate::browser::{BROWSERS, Browser, BrowserFault};
use crate::devtools::DevTools;
use crate::plan::{Page, Plan, Rendering};
use crate::render::{Rendered, render};
use crate::report::{Complaint, PageReport, Report, Verdict};
use crate::visit::Visitor;

/// A cold start of Chromium took 2.4 s on two busy cores.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub enum SmokeFault {
    #[error("{page} must be rendered, and there is no browser (looked for {})", BROWSERS.join(", "))]
    NoBrowser { page: String },
    #[error("the plan does not say how {host} is reached, the host of {page}")]
    NoRoute { page: String, host: String },
    #[error("an authority of the plan is no certificate")]
    Trust(#[source] rustls::Error),
    #[error("cannot keep what pages look like")]
    Evidence(#[source] FileFault),
}

impl SmokeFault {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoBrowser { .. } => {
                "install Chromium (Debian: `apt install chromium`), or name it with ROADBED_BROWSER"
            }
            Self::NoRoute { .. } | Self::Trust(_) => "this is a fault of Roadbed: tell us",
            Self::Evidence(_) => "see whether the disk is full",
        }
    }
}

/// Looks at every page of the plan. What is wrong with a page is in the report, and so is a browser that goes away; an error means
/// that nothing was looked at.
///
/// # Errors
/// Where the plan cannot be followed: no browser for a page that must be rendered, a host without a route, no place for evidence.
pub async fn run(plan: &Plan, clock: &dyn Clock) -> Result<Report, SmokeFault> {
    for page in &plan.pages {
        if page.rendering.is_some() && plan.browser.as_deref().is_none_or(|path| !files::exists(path)) {
            return Err(SmokeFault::NoBrowser { page: page.name.clone() });
        }
        if plan.route(&page.url).is_none() {
            let host = page.url.host_str().unwrap_or_default().to_owned();
            return Err(SmokeFault::NoRoute { page: page.name.clone(), host });
        }
    }
    let visitor = Visitor::new(&plan.trusted, plan.shown.clone()).map_err(SmokeFault::Trust)?;
    if let Some(folder) = &plan.evidence {
        files::create_dir(folder, Access::Owner).map_err(SmokeFault::Evidence)?;
    }
    let mut running = Running { plan, visitor, end: Instant::now() + plan.deadline, chromium: Chromium::NotYet };
    let mut report = Report::default();
    for page in &plan.pages {
        let began = clock.instant();
        let mut seen = running.look_at(page).await?;
        seen.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        report.pages.push(seen);
    }
    report.browser = running.chromium.version();
    Ok(report)
}

struct Running<'a> {
    plan: &'a Plan,
    visitor: Visitor,
    end: Instant,
    chromium: Chromium,
}

enum Chromium {
    NotYet,
    // Boxed: the others are small.
    Runs(Box<Runs>),
    /// Why there is none any more.
    Gone(String),
}

struct Runs {
    browser: Browser,
    devtools: DevTools,
    version: String,
}

impl Chromium {
    fn version(&self) -> Option<String> {
        if let Self::Runs(runs) = self { Some(runs.version.clone()) } else { None }
    }
}

impl Running<'_> {
    async fn look_at(&mut self, page: &Page) -> Result<PageReport, SmokeFault> {
        let mut complaints = Vec::new();
        let mut status = None;
        let is_there = match self.visit(page).await {
            Ok((found, said)) => {
                status = Some(found);
                complaints.extend(said);
                true
            }
            Err(complaint) => {
                complaints.push(complaint);
                false
            }
        };
        let (mut screenshot, mut console) = (None, None);
        if let Some(wanted) = page.rendering.as_ref().filter(|_| is_there) {
            match self.render(page, wanted).await {
                Ok(rendered) => {
                    (screenshot, console) = self.keep(page, &rendered)?;
                    complaints.extend(rendered.complaints);
                }
                Err(why) => complaints.push(Complaint::Unproven { why }),
            }
        }
        let complaints = self.told(complaints);
        let (name, url) = (page.name.clone(), page.url.to_string());
        let verdict = Verdict::of(&complaints);
        Ok(PageReport { name, url, verdict, status, complaints, took_ms: 0, screenshot, console })
    }

    /// Without secrets, and each once: HTTP and browser may say the same.
    fn told(&self, complaints: Vec<Complaint>) -> Vec<Complaint> {
        let mut told: Vec<Complaint> = Vec::new();
        for complaint in complaints {
            let complaint = complaint.map(|text| self.plan.redact.apply(text));
            let is_known = |known: &Complaint| match (known, &complaint) {
                (Complaint::Status { found: known, .. }, Complaint::Status { found, .. }) => known == found,
                _ => *known == complaint,
            };
            if !told.iter().any(is_known) {
                told.push(complaint);
            }
        }
        told
    }

    async fn visit(&self, page: &Page) -> Result<(u16, Vec<Complaint>), Complaint> {
        let route = self.plan.route(&page.url).expect("looked for before the run");
        let patience = self.patience();
        if patience.is_zero() {
            return Err(Complaint::Unproven { why: self.over() });
        }
        match timeout(patience, self.visitor.get(&page.url, route)).await {
            Ok(Ok(answer)) => Ok((answer.status.as_u16(), answer.complaints(page))),
            Ok(Err(error)) => Err(Complaint::Unreachable { why: in_full(error.as_ref()) }),
            Err(_) => {
                Err(Complaint::Unreachable { why: format!("no whole answer within {} ms", patience.as_millis()) })
            }
        }
    }

    async fn render(&mut self, page: &Page, wanted: &Rendering) -> Result<Rendered, String> {
        if matches!(self.chromium, Chromium::NotYet) {
            self.chromium = match self.start().await {
                Ok(runs) => Chromium::Runs(Box::new(runs)),
                Err(why) => Chromium::Gone(why),
            };
        }
        let patience = self.patience();
        if patience.is_zero() {
            return Err(self.over());
        }
        let runs = match &mut self.chromium {
            Chromium::Runs(runs) => runs,
            Chromium::Gone(why) => return Err(why.clone()),
            Chromium::NotYet => return Err("the browser was not started".to_owned()),
        };
        let rendering = render(&mut runs.devtools, &page.url, page.status, wanted, &self.plan.routes, patience);
        let lost = match rendering.await {
            Ok(rendered) => return Ok(rendered),
            Err(lost) => lost,
        };
        // One that closed its pipes has ended or is about to; one that only says nonsense is killed.
        let why = timeout(Duration::from_secs(1), runs.browser.end_in_words()).await.unwrap_or_else(|_| in_full(&lost));
        self.chromium = Chromium::Gone(why.clone());
        Err(why)
    }

    async fn start(&self) -> Result<Runs, String> {
        let mut pins = Vec::new();
        for route in self.plan.routes.iter().filter(|_| !self.plan.trusted.is_empty()) {
            // A host whose chain does not verify is one that Chromium will not believe either.
            if let Ok(Ok(pin)) = timeout(self.patience(), self.visitor.pin(route)).await {
                pins.push(pin);
            }
        }
        let program = self.plan.browser.as_deref().expect("looked for before the run");
        let cannot = |fault: BrowserFault| in_full(&fault);
        let (browser, pipes) = Browser::start(program, &self.plan.scratch, &self.plan.routes, &pins).map_err(cannot)?;
        let mut devtools = DevTools::new(pipes);
        let by = self.end.min(Instant::now() + START_DEADLINE);
        match timeout_at(by, devtools.ask("Browser.getVersion", &serde_json::json!({}))).await {
            Ok(Ok(version)) => {
                let version = version["product"].as_str().unwrap_or_default().to_owned();
                Ok(Runs { browser, devtools, version })
            }
            Ok(Err(_)) => {
                let ended = timeout(Duration::from_secs(1), browser.end_in_words()).await;
                let ended = ended.unwrap_or_else(|_| "the browser does not answer".to_owned());
                Err(browser.last_words().map_or(ended.clone(), |words| format!("{ended}: {words}")))
            }
            Err(_) => Err(format!("the browser did not answer within {} s of its start", START_DEADLINE.as_secs())),
        }
    }

    fn keep(&self, page: &Page, rendered: &Rendered) -> Result<(Option<PathBuf>, Option<PathBuf>), SmokeFault> {
        let Some(folder) = &self.plan.evidence else { return Ok((None, None)) };
        let name: String =
            page.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(100).collect();
        let number = self.plan.pages.iter().position(|other| other == page).unwrap_or(0);
        let path = |end: &str| folder.join(format!("{number:02}-{}.{end}", name.trim_matches('-')));
        let console = path("console.txt");
        let lines: Vec<String> = rendered.console.iter().map(|line| self.plan.redact.apply(line)).collect();
        let said = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        files::replace(&console, said.as_bytes(), Access::Owner).map_err(SmokeFault::Evidence)?;
        let mut screenshot = None;
        if let Some(picture) = &rendered.screenshot {
            let path = path("png");
            files::replace(&path, picture, Access::Owner).map_err(SmokeFault::Evidence)?;
            screenshot = Some(path);
        }
        Ok((screenshot, Some(console)))
    }

    /// How long one look at a page may take now.
    fn patience(&self) -> Duration {
        self.plan.page_deadline.min(self.end.saturating_duration_since(Instant::now()))
    }

    fn over(&self) -> String {
        format!("the {} s for all pages were over", self.plan.deadline.as_secs())
    }
}

/// An error and what is behind it, in one line.
fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
