//! Which app and release a unit is of: by the routes that the edge serves, which change without a word to us.

use std::collections::HashMap;
use std::path::PathBuf;

use host::files::{self, Stamp};
use reconcile::Root;
use reconcile::ports::{RouteTable, Target};

use super::record::Source;

/// Known units.
#[derive(Debug)]
pub(crate) struct Origins {
    path: PathBuf,
    stamp: Option<Stamp>,
    apps: Vec<String>,
    units: HashMap<String, (String, Option<String>)>,
}

impl Origins {
    pub(crate) fn new(root: &Root, apps: &[String]) -> Self {
        let mut apps = apps.to_vec();
        // `api-admin-1` is of `api-admin`, not of `api`.
        apps.sort_by_key(|app| std::cmp::Reverse(app.len()));
        Self { path: root.routes().join("routes.json"), stamp: None, apps, units: HashMap::new() }
    }

    /// Looks again, if the routes changed.
    pub(crate) fn look(&mut self) {
        let Ok(stamp) = files::stamp(&self.path) else { return };
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        let Ok(Some(bytes)) = files::read_if_exists(&self.path) else { return };
        // A line of the edge's own, then the table. A damaged one tells nothing new: the edge says so itself.
        let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else { return };
        let Ok(table) = serde_json::from_slice::<RouteTable>(&bytes[at..]) else { return };
        for site in table.sites.iter().chain(&table.candidate) {
            if let Target::Instances { upstreams, .. } = &site.target {
                for upstream in upstreams {
                    self.units.insert(upstream.instance.clone(), (site.app.clone(), site.release.clone()));
                }
            }
        }
    }

    /// Adds what is known to where a line came from.
    pub(crate) fn enrich(&self, source: &mut Source) {
        if source.app.is_some() {
            return;
        }
        if let Some((app, release)) = self.units.get(&source.unit) {
            source.app = Some(app.clone());
            source.release = source.release.take().or_else(|| release.clone());
            return;
        }
        let is_of = |app: &&String| source.unit.strip_prefix(app.as_str()).is_some_and(|rest| rest.starts_with('-'));
        source.app = self.apps.iter().find(is_of).cloned();
    }
}
