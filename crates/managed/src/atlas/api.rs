//! Requests of Atlas's Admin API, version 2, each with the date of the version that it was written for.

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reconcile::Fault;
use secrets::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::Method;

use super::wire::{
    AccessEntry, AccessStatus, Cluster, CreateCluster, CreateProject, Page, Project, PutUser, Role, Schedule,
    SeenAccess, SeenUser, Snapshot, TakeSnapshot, Token, UpdateRole,
};
use crate::exchange::{Exchange, Order, Reply, Way, part};

const ROOT: &str = "/api/atlas/v2";

/// As the published description dates what is asked.
const V2023_01: &str = "application/vnd.atlas.2023-01-01+json";
const V2024_08: &str = "application/vnd.atlas.2024-08-05+json";
const V2024_10: &str = "application/vnd.atlas.2024-10-23+json";

/// Where users are that log in by a password.
pub(crate) const ADMIN: &str = "admin";

/// As many to a page as there can be.
const PER_PAGE: usize = 500;

/// Ten thousand users are not what this program looks at.
const MOST_PAGES: usize = 20;

/// An organization at Atlas, opened by a service account.
pub struct Client {
    exchange: Exchange,
    login: Secret,
    /// For an hour; another one is asked for when it is over.
    token: Mutex<Option<Secret>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

/// Whether something was made now, or was there.
#[derive(Debug)]
pub enum Made {
    Now,
    /// 409. It may be another than was wanted: whoever asked reads it and compares.
    Before(Fault),
}

impl Client {
    /// # Errors
    /// Where the API's address would send the secret in the clear.
    pub fn new(way: &Way, id: &Secret, secret: &Secret) -> Result<Self, Fault> {
        let login = Secret::new(format!("{}:{}", id.expose(), secret.expose()));
        let login = Secret::new(format!("{} {}", "Basic", STANDARD.encode(login.expose())));
        Ok(Self { exchange: Exchange::new("Atlas", way)?, login, token: Mutex::new(None) })
    }

    /// # Errors
    /// As with every request: what Atlas or the way there says.
    pub fn project(&self, name: &str) -> Result<Option<Project>, Fault> {
        self.get(&format!("/groups/byName/{}", part(name)), V2023_01)
    }

    /// # Errors
    /// As with every request.
    pub fn project_by_id(&self, id: &str) -> Result<Option<Project>, Fault> {
        self.get(&format!("/groups/{}", part(id)), V2023_01)
    }

    /// # Errors
    /// As with every request.
    pub fn create_project(&self, wanted: &CreateProject<'_>) -> Result<Made, Fault> {
        self.make("/groups", V2023_01, wanted, Vec::new())
    }

    /// # Errors
    /// As with every request.
    pub fn cluster(&self, project: &str, name: &str) -> Result<Option<Cluster>, Fault> {
        self.get(&format!("{}/clusters/{}", group(project), part(name)), V2024_08)
    }

    /// # Errors
    /// As with every request.
    pub fn create_cluster(&self, project: &str, wanted: &CreateCluster<'_>) -> Result<Made, Fault> {
        self.make(&format!("{}/clusters", group(project)), V2024_10, wanted, Vec::new())
    }

    /// # Errors
    /// As with every request.
    pub fn access(&self, project: &str) -> Result<Vec<SeenAccess>, Fault> {
        self.all(&format!("{}/accessList", group(project)))
    }

    /// One that is there already stays.
    ///
    /// # Errors
    /// As with every request.
    pub fn allow(&self, project: &str, entry: &AccessEntry<'_>) -> Result<Made, Fault> {
        self.make(&format!("{}/accessList", group(project)), V2023_01, &[entry], Vec::new())
    }

    /// # Errors
    /// As with every request.
    pub fn access_status(&self, project: &str, network: &str) -> Result<Option<AccessStatus>, Fault> {
        self.get(&format!("{}/accessList/{}/status", group(project), part(network)), V2023_01)
    }

    /// # Errors
    /// As with every request.
    pub fn role(&self, project: &str, name: &str) -> Result<Option<Role>, Fault> {
        self.get(&format!("{}/customDBRoles/roles/{}", group(project), part(name)), V2023_01)
    }

    /// # Errors
    /// As with every request.
    pub fn create_role(&self, project: &str, role: &Role) -> Result<Made, Fault> {
        self.make(&format!("{}/customDBRoles/roles", group(project)), V2023_01, role, Vec::new())
    }

    /// # Errors
    /// As with every request.
    pub fn update_role(&self, project: &str, role: &Role) -> Result<(), Fault> {
        let path = format!("{}/customDBRoles/roles/{}", group(project), part(&role.role_name));
        let body = UpdateRole { actions: &role.actions, inherited_roles: &role.inherited_roles };
        self.change(Method::PATCH, &path, V2023_01, Some(&body), Vec::new())
    }

    /// # Errors
    /// As with every request.
    pub fn users(&self, project: &str) -> Result<Vec<SeenUser>, Fault> {
        self.all(&format!("{}/databaseUsers", group(project)))
    }

    /// # Errors
    /// As with every request. No fault holds the password.
    pub fn create_user(&self, user: &PutUser<'_>) -> Result<Made, Fault> {
        self.make(&format!("{}/databaseUsers", group(user.group_id)), V2023_01, user, vec![user.password])
    }

    /// # Errors
    /// As with every request. No fault holds the password.
    pub fn update_user(&self, user: &PutUser<'_>) -> Result<(), Fault> {
        let path = format!("{}/databaseUsers/{ADMIN}/{}", group(user.group_id), part(user.username));
        self.change(Method::PATCH, &path, V2023_01, Some(user), vec![user.password])
    }

    /// Takes a user away, and ends its connections. One that is gone already is fine.
    ///
    /// # Errors
    /// As with every request.
    pub fn delete_user(&self, project: &str, name: &str) -> Result<(), Fault> {
        let path = format!("{}/databaseUsers/{ADMIN}/{}", group(project), part(name));
        self.send(&Method::DELETE, &path, V2023_01, None, Vec::new())?.found().map(drop)
    }

    /// # Errors
    /// As with every request.
    pub fn schedule(&self, project: &str, cluster: &str) -> Result<Option<Schedule>, Fault> {
        self.get(&schedule(project, cluster), V2024_08)
    }

    /// Snapshots that were taken stay as they are.
    ///
    /// # Errors
    /// As with every request.
    pub fn set_schedule(&self, project: &str, cluster: &str, wanted: &Schedule) -> Result<(), Fault> {
        self.change(Method::PATCH, &schedule(project, cluster), V2024_08, Some(wanted), Vec::new())
    }

    /// # Errors
    /// As with every request.
    pub fn snapshots(&self, project: &str, cluster: &str) -> Result<Vec<Snapshot>, Fault> {
        self.all(&snapshots(project, cluster))
    }

    /// # Errors
    /// As with every request.
    pub fn take_snapshot(&self, project: &str, cluster: &str, wanted: &TakeSnapshot<'_>) -> Result<(), Fault> {
        self.change(Method::POST, &snapshots(project, cluster), V2023_01, Some(wanted), Vec::new())
    }

    /// Waits a moment.
    pub(crate) fn pause(&self, time: Duration) {
        (self.exchange.pause)(time);
    }

    fn get<T: DeserializeOwned>(&self, path: &str, media: &str) -> Result<Option<T>, Fault> {
        let found = self.send(&Method::GET, path, media, None, Vec::new())?.found()?;
        found.map(|found| read(found, path)).transpose()
    }

    /// All of a list, page by page.
    fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let place = format!("{path}?itemsPerPage={PER_PAGE}&pageNum={page}");
            let found: Page<T> = self.get(&place, V2023_01)?.ok_or_else(|| gone(path))?;
            let is_last = found.results.len() < PER_PAGE;
            all.extend(found.results);
            if is_last {
                return Ok(all);
            }
        }
        Err(Fault::new(format!("cannot read {path} at Atlas: it has more than {MOST_PAGES} pages")).hint("tidy it up"))
    }

    fn make<T: Serialize + ?Sized>(
        &self,
        path: &str,
        media: &str,
        body: &T,
        hidden: Vec<&Secret>,
    ) -> Result<Made, Fault> {
        let body = serde_json::to_vec(body).expect("what is sent is JSON");
        match self.send(&Method::POST, path, media, Some(body), hidden)? {
            Reply::Done(_) => Ok(Made::Now),
            Reply::Conflict(fault) => Ok(Made::Before(fault)),
            Reply::Nothing => Err(gone(path)),
            Reply::Locked(fault) => Err(fault),
        }
    }

    fn change<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Option<&T>,
        hidden: Vec<&Secret>,
    ) -> Result<(), Fault> {
        let body = body.map(|body| serde_json::to_vec(body).expect("what is sent is JSON"));
        self.send(&method, path, media, body, hidden)?.found()?.map(drop).ok_or_else(|| gone(path))
    }

    /// With a token that is renewed when it is over: what is refused for that was not done, so it is sent again.
    fn send(
        &self,
        method: &Method,
        path: &str,
        media: &str,
        body: Option<Vec<u8>>,
        hidden: Vec<&Secret>,
    ) -> Result<Reply, Fault> {
        let path = format!("{ROOT}{path}");
        let fresh = self.held().is_none();
        let token = match self.held() {
            Some(token) => token,
            None => self.open()?,
        };
        let order = |authorization, body| Order {
            method: method.clone(),
            path: &path,
            authorization,
            media,
            sent_as: None,
            body,
            hidden: hidden.clone(),
        };
        match self.exchange.send(&order(&token, body.clone()))? {
            Reply::Locked(_) if !fresh => {
                let token = self.open()?;
                self.exchange.send(&order(&token, body))
            }
            reply => Ok(reply),
        }
    }

    fn held(&self) -> Option<Secret> {
        let token = self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        token.as_ref().map(Secret::duplicate)
    }

    /// A token for an hour.
    fn open(&self) -> Result<Secret, Fault> {
        let path = "/api/oauth/token";
        let order = Order {
            method: Method::POST,
            path,
            authorization: &self.login,
            media: "application/json",
            sent_as: Some("application/x-www-form-urlencoded"),
            body: Some(b"grant_type=client_credentials".to_vec()),
            hidden: Vec::new(),
        };
        let found = self.exchange.send(&order)?.found()?.ok_or_else(|| gone(path))?;
        let Token { access_token } = read(found, path)?;
        let token = Secret::new(format!("Bearer {access_token}"));
        let mut held = self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *held = Some(token.duplicate());
        Ok(token)
    }
}

fn group(project: &str) -> String {
    format!("/groups/{}", part(project))
}

fn schedule(project: &str, cluster: &str) -> String {
    format!("{}/clusters/{}/backup/schedule", group(project), part(cluster))
}

fn snapshots(project: &str, cluster: &str) -> String {
    format!("{}/clusters/{}/backup/snapshots", group(project), part(cluster))
}

fn gone(path: &str) -> Fault {
    Fault::new(format!("Atlas has nothing at {path}"))
        .cause("it went meanwhile, or the service account may not see it")
        .hint("give the service account `Organization Project Creator`, and `Project Owner` of what it did not make")
}

fn read<T: DeserializeOwned>(found: Value, path: &str) -> Result<T, Fault> {
    // Of a token only its kind would be said; the error quotes no values but short ones, so none is passed on here.
    let wrong = |error: serde_json::Error| {
        Fault::new(format!("cannot understand what Atlas says of {path}"))
            .cause(format!("{:?} error at column {}", error.classify(), error.column()))
            .hint("see whether `api` in roadbed.toml is right, or take a Roadbed that knows this answer")
    };
    serde_json::from_value(found).map_err(wrong)
}
