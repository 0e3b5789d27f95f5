//! What was found in code, app by app: what the judgement is made on.

use std::collections::BTreeSet;

use manifest::AppName;

use crate::Use;
use crate::suppression::Suppression;

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Code {
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
    /// Names in capitals that are read off any object: `environment.API_URL` of the generated accessor.
    pub named: BTreeSet<String>,
}
