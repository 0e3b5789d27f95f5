//! `roadbed ci plan`: what a change affects.

use std::path::{Path, PathBuf};

use ci::changes::Checkout;
use ci::jobs::{self, Surroundings, Wanted};
use ci::pipeline::{Occasion, pipeline};
use ci::plan::{Plan, Request, plan};
use ci::trees::Changed;
use host::files::{self, Access};
use manifest::Ci;
use reconcile::Fault;

use crate::cli::ci_args::CiPlan;
use crate::cli::ci_surroundings::Hosted;
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
    let occasion = args.github.then(|| Hosted::of(session).occasion(session)).transpose()?;
    let base = args.base.as_deref().or(occasion.as_ref().map(|occasion| occasion.base.as_str()));
    // The start took code that planning has no use for.
    host::resident::give_back();
    let mut plan = subject.plan(session, &checkout, &changed, base)?;
    host::resident::give_back();
    let output = &session.output;
    if let Some(occasion) = &occasion {
        tell_github(session, &subject, occasion, &plan)?;
    }
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

/// Sets the outputs of this step.
fn tell_github(session: &Session, subject: &Subject, occasion: &Occasion, plan: &Plan) -> Result<(), Failure> {
    use std::io::Write;
    let file = session.surroundings.variable("GITHUB_OUTPUT").filter(|file| !file.is_empty()).ok_or_else(|| {
        Failure::Usage(
            Fault::new("cannot set outputs: there is no $GITHUB_OUTPUT")
                .hint("--github is for jobs of GitHub Actions; `roadbed ci plan --json` works anywhere"),
        )
    })?;
    let jobs =
        jobs::jobs(plan, &subject.ci, &Wanted::Affected, &[], &Surroundings::default()).map_err(Failure::Usage)?;
    let deployed = subject.project.as_ref().and_then(|project| project.manifest.workflows());
    let deployed = deployed.map(|workflows| workflows.deployed).unwrap_or_default();
    let (pipeline, parts) = pipeline(occasion, plan, &jobs, &deployed);
    // JSON of serde_json has no line ends, so no name can add an output of its own.
    let plan = serde_json::to_string(&pipeline).expect("a plan is plain data");
    let matrix = serde_json::to_string(&parts).expect("a matrix is plain data");
    let text = format!("plan={plan}\nmatrix={matrix}\n");
    let file = session.surroundings.folder.join(file);
    let written = files::open_append(&file, Access::Everyone)?.write_all(text.as_bytes());
    written.map_err(|error| files::FileFault::new("append to", &file, error))?;
    Ok(())
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
