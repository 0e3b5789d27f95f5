//! `package.json`, as far as it tells what a folder is.

use std::collections::BTreeMap;
use std::path::Path;

use host::files;
use serde::Deserialize;

use crate::survey::SurveyFault;

/// One package.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Package {
    pub(crate) name: Option<String>,
    pub(crate) main: Option<String>,
    pub(crate) scripts: BTreeMap<String, String>,
    pub(crate) dependencies: BTreeMap<String, serde_json::Value>,
    pub(crate) dev_dependencies: BTreeMap<String, serde_json::Value>,
    workspaces: Workspaces,
}

/// A list, or a table that has one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum Workspaces {
    List(Vec<String>),
    Table {
        packages: Vec<String>,
    },
    #[default]
    None,
}

impl Package {
    /// The package of a folder; `None` where there is no `package.json`.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, SurveyFault> {
        let path = folder.join("package.json");
        let Some(text) = files::read_if_exists(&path)? else { return Ok(None) };
        serde_json::from_slice(&text).map(Some).map_err(|source| SurveyFault::Package { path, source })
    }

    /// Whether it runs with one of these.
    pub(crate) fn uses(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.dependencies.contains_key(*name))
    }

    /// Whether it runs or is built with one of these.
    pub(crate) fn is_made_with(&self, names: &[&str]) -> bool {
        self.uses(names) || names.iter().any(|name| self.dev_dependencies.contains_key(*name))
    }

    /// Folders of its workspaces, where it has any: as they are written, `apps/*` among them.
    pub(crate) fn workspaces(&self) -> &[String] {
        match &self.workspaces {
            Workspaces::List(list) | Workspaces::Table { packages: list } => list,
            Workspaces::None => &[],
        }
    }

    pub(crate) fn script(&self, name: &str) -> Option<&str> {
        self.scripts.get(name).map(String::as_str)
    }
}
