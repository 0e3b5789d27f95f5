//! The smoke pages of an environment, as a plan: every page by the public way in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use delivery::Place;
use manifest::Environment;
use manifest::environment::{Access, App, Smoke};
use reconcile::Fault;
use secrets::SecretName;
use smoke::{Header, Page, Plan, Redact, Rendering, Route, Seen};
use url::Url;

use super::World;
use super::access;

/// The first visit to a page that fetches from a cold API took 2 s on two busy cores.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);

/// A page that is late takes all of its time, twice; nobody waits for more than a few of those.
const DEADLINE: Duration = Duration::from_secs(240);

/// What a run takes beside the manifest.
#[derive(Debug)]
pub struct Means {
    /// Path of Chromium, where there is one.
    pub browser: Option<PathBuf>,
    /// Folder for pictures and consoles.
    pub evidence: Option<PathBuf>,
    pub redact: Redact,
}

impl World {
    /// The smoke pages of these apps, all if none is named. Who looks at instances that the public does not see yet gives the
    /// plan's routes other addresses.
    pub fn smoke_plan(&self, apps: &[String], means: Means) -> Result<Plan, Fault> {
        let is_asked = |app: &&App| apps.is_empty() || apps.iter().any(|name| name == app.name.as_str());
        let pages = self.environment.apps.iter().filter(is_asked);
        self.plan_of(&self.environment, pages, self.addresses.https, &[], means)
    }

    /// The smoke pages of a release that visitors do not get yet: at the public addresses, by its own door, and of no other release.
    pub fn candidate_plan(&self, place: Place, release: &str, means: Means) -> Result<Plan, Fault> {
        let fleet = self.fleets.iter().find(|fleet| fleet.place == place);
        let fleet = fleet.ok_or_else(|| Fault::new(format!("nothing runs in {place}")))?;
        let door = self.addresses.candidate.ok_or_else(|| Fault::new("the edge has no door for what is not public"))?;
        let header = Header { name: reconcile::ports::RELEASE_HEADER.to_owned(), value: release.to_owned() };
        self.plan_of(&fleet.environment, fleet.environment.apps.iter(), door, &[header], means)
    }

    /// `door` is the port of this machine by which all is asked for, `headers` what every answer has.
    fn plan_of<'a>(
        &self,
        environment: &Environment,
        apps: impl Iterator<Item = &'a App>,
        door: u16,
        headers: &[Header],
        means: Means,
    ) -> Result<Plan, Fault> {
        let mut pages = Vec::new();
        for app in apps {
            for smoke in &app.smoke {
                pages.push(Page { headers: headers.to_vec(), ..self.page(app, smoke)? });
            }
        }
        Ok(Plan {
            pages,
            // All apps: a page may call another app's host.
            routes: environment
                .apps
                .iter()
                .map(|app| self.routes_to(app, door))
                .collect::<Result<Vec<_>, _>>()?
                .concat(),
            trusted: self.trust()?.roots(),
            shown: self.shown_to_sites()?,
            browser: means.browser,
            page_deadline: PAGE_DEADLINE,
            deadline: DEADLINE,
            evidence: means.evidence,
            scratch: PathBuf::from(self.wanted.tools.get("TMPDIR").map_or("/tmp", String::as_str)),
            redact: means.redact,
        })
    }

    fn page(&self, app: &App, smoke: &Smoke) -> Result<Page, Fault> {
        let host = app.hosts.first().ok_or_else(|| Fault::new(format!("{} has no host name", app.name)))?;
        let address = format!("https://{host}:{}{}", self.addresses.https, smoke.path);
        let url = Url::parse(&address).map_err(|error| Fault::because(format!("cannot visit {address}"), &error))?;
        let rendering = smoke.rendering.as_ref().map(|wanted| {
            let texts = wanted.text.iter().cloned().map(Seen::Text);
            let elements = wanted.elements.iter().cloned().map(Seen::Element);
            Rendering { seen: texts.chain(elements).collect(), ignored_errors: wanted.ignored_errors.clone() }
        });
        let (status, contains) = (smoke.status, smoke.contains.clone());
        Ok(Page { name: format!("{} {}", app.name, smoke.path), url, status, contains, headers: Vec::new(), rendering })
    }

    /// The public ways to an app, with the password of one that is protected.
    fn routes_to(&self, app: &App, door: u16) -> Result<Vec<Route>, Fault> {
        let mut headers = Vec::new();
        if app.access == Access::Protected {
            let name = SecretName::new(format!("access/{}", app.name));
            let kept = self.secrets.get(&name);
            let kept = kept.map_err(|fault| Fault::because(format!("cannot see {} as a visitor", app.name), &fault))?;
            headers.extend(kept.map(|kept| {
                let login = STANDARD.encode(format!("{}:{}", access::USER, kept.secret.expose()));
                Header { name: "authorization".to_owned(), value: format!("Basic {login}") }
            }));
        }
        let port = self.addresses.https;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, door));
        let route = |host: &String| Route { host: host.clone(), port, to, headers: headers.clone() };
        Ok(app.hosts.iter().map(route).collect())
    }
}
