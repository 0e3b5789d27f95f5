//! What was found in code, app by app: what the judgement is made on.

use std::collections::BTreeSet;

use manifest::AppName;

use crate::suppression::Suppression;
use crate::{Place, Use};

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct ProjectCode {
    pub apps: Vec<AppCode>,
    /// In files that belong to no app: workflows, compose files, Dockerfiles beside the apps.
    pub shared: Vec<Use>,
    pub suppressions: Vec<Suppression>,
    /// Files that could not be read, each with the app whose it is and the reason.
    pub unreadable: Vec<(Option<AppName>, crate::Place, String)>,
    pub files: usize,
    pub bytes: u64,
}

/// The code of one app, its tests aside.
#[derive(Clone, Debug)]
pub struct AppCode {
    pub app: AppName,
    pub uses: Vec<Use>,
    /// Files that visitors' browsers load.
    pub in_browsers: BTreeSet<String>,
    /// Files whose code runs before routing, and in no browser.
    pub at_edge: BTreeSet<String>,
    /// Names in capitals that are read off any object: `environment.API_URL` of the generated accessor.
    pub named: BTreeSet<String>,
    pub inlined: Vec<Inlined>,
    pub shown_prefixes: Vec<ShownPrefix>,
}

impl AppCode {
    /// The code of an app in which nothing was found yet.
    pub fn new(app: AppName) -> Self {
        Self {
            app,
            uses: Vec::new(),
            in_browsers: BTreeSet::new(),
            at_edge: BTreeSet::new(),
            named: BTreeSet::new(),
            inlined: Vec::new(),
            shown_prefixes: Vec::new(),
        }
    }
}

/// The settings of a build tool write the value of a variable into what browsers load: `env` of Next, `define` of Vite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inlined {
    pub place: Place,
    pub variable: String,
    /// What the value is called there.
    pub shown_as: String,
}

/// Every variable that begins so is shown to browsers: `envPrefix` of Vite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPrefix {
    pub place: Place,
    pub prefix: String,
}
