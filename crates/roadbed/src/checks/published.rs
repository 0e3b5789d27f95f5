//! T7: no secret is where everybody gets it: in the history of the project, which a clone brings along, or in what browsers load.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::site;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::Clock;
use host::files;
use leaks::{AllowList, Confidence, Finding, Ignored, Objectives, Report, Rules, STORE_VALUE};
use leaks::{Scanner, Search, SearchFault};
use manifest::environment::{App, Runs};
use manifest::{Environment, RunsIn};
use reconcile::{Fault, Root};
use secrets::Store;

use crate::leak_search;
use crate::render::leak;
use crate::render::span::{bytes, count};
use crate::wanted::Wanted;
use crate::world::project;

pub(crate) const CLAIM: Claim = Claim {
    task: "T7",
    id: "no-secret-is-published",
    claim: "No secret is in the project's history or in what browsers load",
    hint: "make what is named worthless first, then take it away; `roadbed secrets scan` shows each place, `--accept` a mistake",
    impact: Impact::Observes,
};

/// More would bury the rest of the report; `roadbed secrets scan` has them all.
const MOST_TOLD: usize = 10;

/// Searches for the values of the environment's secret store, and for what has the form of a secret.
#[derive(Debug)]
pub struct NoSecretIsPublished {
    pub root: Root,
    pub wanted: Wanted,
    pub environment: Arc<Environment>,
    pub secrets: Arc<Store>,
    pub clock: Arc<dyn Clock>,
}

impl Check for NoSecretIsPublished {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        let place = Place {
            root: self.root.clone(),
            project: project(&self.wanted.manifest).to_owned(),
            cache: self.wanted.cache.clone(),
            environment: self.environment.clone(),
            today: leak_search::day(self.clock.now()),
        };
        let secrets = self.secrets.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || place.search(&secrets)).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(fault)) => Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": "))),
                Err(panic) => Outcome::inconclusive(format!("the search broke off: {panic}")),
            }
        })
    }
}

/// Where to search.
struct Place {
    root: Root,
    project: PathBuf,
    /// What is remembered between runs lies there.
    cache: PathBuf,
    environment: Arc<Environment>,
    today: String,
}

impl Place {
    fn search(&self, store: &Store) -> Result<Outcome, Fault> {
        let scanner = Scanner::new(Rules::ours(), Some(leak_search::values(store)?));
        let list = leak_search::list_in(&self.project);
        let mut accepted = match leak_search::accepted(&list, &list.display().to_string())? {
            Some(list) => list,
            // Only tells values apart, within this run.
            None => AllowList::empty([0; 32]),
        };
        let mut findings = Findings::default();
        let search = Search { scanner: &scanner, allow: &accepted, progress: &|_| {}, threads: leak_search::threads() };
        let cannot = |fault: &SearchFault| Fault::because("cannot search for secrets", fault);
        let history = self.history(&search, &mut findings).map_err(|fault| cannot(&fault))?;
        let bundles = self.bundles(&search, &mut findings)?;
        let Report { findings: found, unread, .. } = history.join(bundles);
        let found = accepted.judge(found, &self.today);
        for finding in found.iter().take(MOST_TOLD) {
            findings.bad(leak::sentence(finding));
        }
        if found.len() > MOST_TOLD {
            findings.bad(format!("and {} more", found.len() - MOST_TOLD));
        }
        unread.iter().take(MOST_TOLD).for_each(|unread| findings.unproven(format!("not searched: {unread}")));
        Ok(findings.outcome())
    }

    fn history(&self, search: &Search<'_>, findings: &mut Findings) -> Result<Report, SearchFault> {
        if leaks::work_tree(&self.project).is_none() {
            findings.good("the project is in no git repository: there is no history");
            return Ok(Report::default());
        }
        let mut clean = leak_search::clean(&self.cache, search.scanner)?;
        let report = search.history(&self.project, Objectives::Reachable, Some(&mut clean))?;
        let extent = report.extent;
        findings.good(format!(
            "history: {} with {}, {} of them known to be clean from before",
            count(extent.commits, "commit"),
            count(extent.blobs, "file version"),
            extent.known_clean
        ));
        if extent.missing > 0 {
            let objects = count(extent.missing, "object");
            findings.good(format!("history: {objects} not in this clone, or damaged: not searched"));
        }
        Ok(report)
    }

    fn bundles(&self, search: &Search<'_>, findings: &mut Findings) -> Result<Report, Fault> {
        let mut all = Report::default();
        for app in &self.environment.apps {
            let shown = Path::new(&app.path).join(&app.build.output);
            let (folder, shown, paths) = match &app.runs {
                Runs::Static { .. } => match site::folder(&self.project, &self.root, app)? {
                    // What is served is a copy, and people know it as what their build made.
                    Some(site) => (site.clone(), format!("{}/", shown.display()), files_of_site(&site)?),
                    None => continue,
                },
                Runs::Server(_) => (self.project.clone(), String::new(), self.files_of_server(app)?),
            };
            let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
            let mut report = search
                .files(&folder, &paths, Ignored::Searched)
                .map_err(|fault| Fault::because(format!("cannot search what browsers get of {}", app.name), &fault))?;
            // Packed code reads like any assignment: of the rules only those count whose form is the issuer's own.
            report.findings.retain(|finding| finding.rule == STORE_VALUE || finding.confidence == Confidence::High);
            report.findings.iter_mut().for_each(|finding: &mut Finding| finding.file.insert_str(0, &shown));
            if report.extent.files > 0 {
                let searched = count(report.extent.files, "file");
                findings.good(format!("what browsers get of {}: {searched}, {}", app.name, bytes(report.extent.bytes)));
            }
            all = all.join(report);
        }
        Ok(all)
    }

    /// What a server hands out as it was built; nothing unless it is one of Next's.
    fn files_of_server(&self, app: &App) -> Result<Vec<PathBuf>, Fault> {
        usage::browser_files(&self.project.join(&app.path), &app.build.output, RunsIn::Both)
            .map_err(|fault| Fault::because(format!("cannot search what browsers get of {}", app.name), &fault))
    }
}

/// Without compressed siblings: they hold the same.
fn files_of_site(site: &Path) -> Result<Vec<PathBuf>, Fault> {
    let listed = usage::browser_files(site, "", RunsIn::Browsers);
    let mut files = listed.map_err(|fault| Fault::because("cannot list what the edge serves", &fault))?;
    files.retain(|path| {
        let is_packed = path.extension().is_some_and(|ending| ending == "gz" || ending == "br");
        !(is_packed && files::exists(&path.with_extension("")))
    });
    Ok(files)
}
