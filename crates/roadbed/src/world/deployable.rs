//! What deployments look at: the instances of a slot, its pages, and a visitor who comes in by the edge.

use acme::Trust;
use delivery::{Place, Role};
use manifest::AppName;
use manifest::environment::Access;
use reconcile::Fault;
use reconcile::ports::Certificates;
use secrets::{Secret, SecretName};

use super::fleet::Origin;
use super::{DEV_START, World, access, project};
use crate::checks::Visitor;
use crate::process_model::{One, Pair, Visit};

/// One process of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    pub port: u16,
    /// Path that says whether it is ready.
    pub ready: String,
}

/// One page that must be as the manifest says.
#[derive(Debug)]
pub struct Page {
    pub host: String,
    pub path: String,
    pub contains: Option<String>,
    /// User and password, where the app is protected.
    pub login: Option<(&'static str, Secret)>,
}

impl World {
    /// Who comes in by the edge's public sockets.
    pub fn visitor(&self) -> Result<Visitor, Fault> {
        Visitor::new(&self.trust()?, self.shown_to_sites()?, self.addresses.http, self.addresses.https)
    }

    /// Asks each development server for its pages. It compiles one when somebody first asks for it, and how long that takes is nothing
    /// that was promised. What does not answer here is seen again by whoever looks at answers.
    pub async fn compile_what_is_developed(&self) -> Result<(), Fault> {
        let visitor = self.visitor()?;
        let developed = self.fleets.iter().flat_map(|fleet| &fleet.running).filter(|one| one.dev.is_some());
        for app in developed.map(|one| &one.app) {
            let Some(host) = app.hosts.first() else { continue };
            for page in &app.smoke {
                if let Err(why) = visitor.get(host, &page.path, DEV_START).await {
                    tracing::warn!(app = %app.name, page = page.path, "a development server does not answer: {why}");
                }
            }
        }
        Ok(())
    }

    /// As [`World::visitor`], who has nothing to show to sites that ask for a certificate.
    pub fn stranger(&self) -> Result<Visitor, Fault> {
        Visitor::new(&self.trust()?, None, self.addresses.http, self.addresses.https)
    }

    /// Whom visitors believe: who issues the public certificates, where the manifest names one; else the environment's own authority.
    pub fn public_trust(&self) -> Result<Trust, Fault> {
        if self.addresses.certificates == Certificates::Local {
            return self.own_trust();
        }
        let file = |roots: &Option<String>| roots.as_ref().map(|file| project(&self.wanted.manifest).join(file));
        let mut all: Option<Trust> = None;
        for authority in &self.environment.tls.authorities {
            let trust = Trust::read(file(&authority.roots).as_deref())?;
            all = Some(all.map_or_else(|| trust.clone(), |all| all.and(&trust)));
        }
        all.map_or_else(|| Trust::read(None), Ok)
    }

    /// Whom we believe at our own door, where a new host has the environment's own certificate until one is issued for it.
    pub fn trust(&self) -> Result<Trust, Fault> {
        match self.addresses.certificates {
            Certificates::Local => self.own_trust(),
            Certificates::Issued => Ok(self.public_trust()?.and(&self.own_trust()?)),
        }
    }

    fn own_trust(&self) -> Result<Trust, Fault> {
        Trust::read(Some(&self.ground.root.ca_certificate()))
    }

    /// Every process in a slot.
    pub fn instances_in(&self, place: Place) -> Vec<Instance> {
        let fleet = self.fleets.iter().filter(|fleet| fleet.place == place);
        let servers =
            fleet.flat_map(|fleet| fleet.running.iter().filter_map(move |one| Some((fleet, &one.app, one.server()?))));
        servers
            .flat_map(|(fleet, app, server)| {
                let ports = self.addresses.instances(place, &app.name).iter().enumerate();
                ports
                    .map(|(index, port)| Instance {
                        name: fleet.name().instance(&app.name, index),
                        port: *port,
                        ready: server.ready.clone(),
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The instances of apps that visitors reach.
    pub fn live_instances(&self) -> Vec<Instance> {
        let live = self.fleets.iter().find(|fleet| fleet.role == Role::Live);
        live.map_or_else(Vec::new, |live| self.instances_in(live.place))
    }

    /// The two instances of an app that are tried out, with what to ask them beside its smoke pages.
    pub(crate) fn pair(&self, app: &AppName, visits: &[Visit]) -> Result<Pair, Fault> {
        let none = || Fault::new(format!("{app} does not run here")).hint("`roadbed up` or `roadbed deploy` first");
        let fleet = self.fleets.iter().find(|fleet| fleet.place == Place::Trial).ok_or_else(none)?;
        let one = fleet.running.iter().find(|one| one.app.name == *app).ok_or_else(none)?;
        let server = one.server().ok_or_else(none)?;
        let instances = self.instances_in(Place::Trial).into_iter();
        let instances: Vec<One> = instances.map(|Instance { name, port, .. }| One { name, port }).collect();
        let folder = match &one.origin {
            Origin::Release { folder, .. } => folder.clone(),
            Origin::Project => project(&self.wanted.manifest).to_owned(),
        };
        let smoke = one.app.smoke.iter().map(|page| Visit::get(&page.path));
        let mut all: Vec<Visit> = Vec::new();
        for visit in visits.iter().cloned().chain(smoke) {
            if !all.contains(&visit) {
                all.push(visit);
            }
        }
        if all.is_empty() {
            all.push(Visit::get("/"));
        }
        Ok(Pair {
            app: app.to_string(),
            host: one.app.hosts.first().cloned().unwrap_or_else(|| "localhost".to_owned()),
            instances: instances.try_into().map_err(|_| none())?,
            ready: server.ready,
            drain: server.drain_deadline,
            visits: all,
            folder: folder.join(&one.app.path),
        })
    }

    /// The smoke pages of the apps in a slot.
    pub fn pages_of(&self, place: Place) -> Result<Vec<Page>, Fault> {
        let mut pages = Vec::new();
        for fleet in self.fleets.iter().filter(|fleet| fleet.place == place) {
            for app in fleet.running.iter().map(|one| &one.app) {
                let Some(host) = app.hosts.first() else { continue };
                for smoke in &app.smoke {
                    let login = match app.access {
                        Access::Public => None,
                        Access::Protected => Some((access::USER, self.password_of(app.name.as_str())?)),
                    };
                    pages.push(Page {
                        host: host.clone(),
                        path: smoke.path.clone(),
                        contains: smoke.contains.clone(),
                        login,
                    });
                }
            }
        }
        Ok(pages)
    }

    fn password_of(&self, app: &str) -> Result<Secret, Fault> {
        let name = SecretName::new(format!("access/{app}"));
        let found = self.secrets.get(&name);
        let found =
            found.map_err(|fault| Fault::because(format!("cannot look at {app}"), &fault).hint(fault.hint()))?;
        let found = found.ok_or_else(|| Fault::new(format!("cannot look at {app}: it has no password yet")))?;
        Ok(found.secret)
    }
}
