//! `roadbed ci plan`: what a change affects.

use std::path::{Path, PathBuf};

use ci::changes::Checkout;
use ci::plan::{Plan, Request, plan};
use ci::trees::Changed;
use manifest::Ci;
use reconcile::Fault;

use crate::cli::ci_args::CiPlan;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::{MANIFEST, Session};
use crate::render::paint::printable;
use crate::render::span::count;

/// What is looked at: a project with a manifest, or the folder where one stands.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) folder: PathBuf,
    pub(crate) ci: Ci,
    pub(crate) manifest: String,
    pub(crate) project: Option<Project>,
}

impl Subject {
    /// Changes are found without a manifest too.
    pub(crate) fn of(session: &Session) -> Result<Self, Failure> {
        if !session.has_manifest() {
            let folder = session.surroundings.folder.clone();
            return Ok(Self { folder, ci: Ci::default(), manifest: MANIFEST.to_owned(), project: None });
        }
        let path = session.manifest()?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let manifest = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let project = Project::load(session)?;
        Ok(Self { folder, ci: project.manifest.ci(), manifest, project: Some(project) })
    }

    /// What is affected, with what is not committed.
    pub(crate) fn plan(
        &self,
        session: &Session,
        checkout: &Checkout,
        changed: &Changed,
        base: Option<&str>,
    ) -> Result<Plan, Fault> {
        // GitHub names the branch that a pull request goes to.
        let by_github = || session.surroundings.variable("GITHUB_BASE_REF").filter(|name| !name.is_empty());
        let by_github = by_github().map(|name| format!("origin/{name}"));
        let base = base.or(by_github.as_deref());
        plan(&Request { checkout, changed, base, ci: &self.ci, manifest: &self.manifest })
    }
}

pub async fn run(session: &Session, args: &CiPlan) -> Result<Exit, Failure> {
    let subject = Subject::of(session)?;
    let checkout = Checkout::of(&subject.folder)?;
    let changed = match args.committed {
        true => Changed::new(),
        false => checkout.uncommitted("", &session.surroundings.tools()).await?,
    };
    // The start took code that planning has no use for.
    host::resident::give_back();
    let mut plan = subject.plan(session, &checkout, &changed, args.base.as_deref())?;
    let output = &session.output;
    if let Some(name) = &args.explain {
        let lines = plan.explain(name).map_err(Failure::Usage)?;
        if output.is_json() {
            output.json(&lines)?;
        } else {
            lines.iter().try_for_each(|line| output.line(printable(line)))?;
        }
        return Ok(Exit::Done);
    }
    if output.is_json() {
        output.json(&plan)?;
        return Ok(Exit::Done);
    }
    for affected in &plan.affected {
        let why = affected.why.join("; ");
        output.line(format!(
            "{}  {}",
            output.data.strong(printable(&affected.name)),
            output.data.faint(printable(&why))
        ))?;
    }
    for gone in &plan.deleted {
        output.line(format!(
            "{}  {}",
            output.data.strong(printable(&gone.name)),
            output.data.faint(format!("is gone ({})", printable(&gone.path)))
        ))?;
    }
    output.note(summary(&plan));
    Ok(Exit::Done)
}

/// In a line.
pub(crate) fn summary(plan: &Plan) -> String {
    let against = match &plan.base {
        Some(base) => format!("compared with {}", &base[..12]),
        None => "nothing is common with the base, so everything is new".to_owned(),
    };
    let with = if plan.uncommitted { ", with what is not committed" } else { "" };
    // Whoever stands on the base itself compares it with itself.
    let hint = match plan.base.as_ref() == Some(&plan.head) && plan.affected.is_empty() {
        true => " (this is the base itself: `--base HEAD^` shows what its last commit affects)",
        false => "",
    };
    format!("{} of {} affected, {against}{with}{hint}", plan.affected.len(), count(plan.packages, "package"))
}
