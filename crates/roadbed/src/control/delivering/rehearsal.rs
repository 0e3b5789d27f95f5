//! What a rollback does, told before it is done: by the same machine that does it.

use std::collections::BTreeSet;

use delivery::machine::{self, Course};
use delivery::{DeploymentId, Kind, Release, State};
use serde::{Deserialize, Serialize};

/// What it goes through, and what becomes of each app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// In this order, where nothing fails.
    pub states: Vec<State>,
    /// In the order of their names.
    pub apps: Vec<AppChange>,
    /// Whether another manifest is in force then.
    pub manifest_changes: bool,
    /// Under way now: it is waited for.
    pub waits_for: Option<DeploymentId>,
}

/// What becomes of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppChange {
    pub app: String,
    /// Digest of what visitors get now. Absent: nothing that was deployed.
    pub from: Option<String>,
    /// Digest of what they get then. Absent: nothing.
    pub to: Option<String>,
    /// Variables that it gets and did not get before, or the other way round. What secrets hold stays as it is now.
    pub settings: Vec<String>,
}

impl AppChange {
    pub fn changes(&self) -> bool {
        self.from != self.to || !self.settings.is_empty()
    }
}

/// Pure. `live` is what serves now.
pub(super) fn of(live: Option<&Release>, to: &Release, is_warm: bool, under_way: Option<DeploymentId>) -> Rehearsal {
    let course = Course { kind: Kind::Rollback, needs_approval: false, is_warm };
    let digest = |release: &Release, app: &str| release.contents.artifact(app).map(|artifact| artifact.digest.clone());
    let named = |release: &Release, app: &str| -> BTreeSet<String> {
        release.contents.settings.get(app).into_iter().flatten().map(|line| name_of(line).to_owned()).collect()
    };
    let names: BTreeSet<&str> = live
        .into_iter()
        .chain([to])
        .flat_map(|release| release.contents.artifacts.iter().map(|artifact| artifact.app.as_str()))
        .collect();
    let change = |app: &str| {
        let then = named(to, app);
        // What was built in the project has no line in the book.
        let now = live.map_or_else(|| then.clone(), |live| named(live, app));
        AppChange {
            app: app.to_owned(),
            from: live.and_then(|live| digest(live, app)),
            to: digest(to, app),
            settings: now.symmetric_difference(&then).cloned().collect(),
        }
    };
    Rehearsal {
        states: machine::states(course),
        apps: names.into_iter().map(change).collect(),
        manifest_changes: live.is_none_or(|live| live.contents.manifest_digest != to.contents.manifest_digest),
        waits_for: under_way,
    }
}

/// Of `NAME=secret@3` and `NAME as the manifest says`.
fn name_of(line: &str) -> &str {
    line.split(['=', ' ']).next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use delivery::release::{Contents, Origin};
    use delivery::{Artifact, ReleaseId};
    use host::clock::Timestamp;

    use super::*;

    fn release(id: i64, artifacts: &[(&str, &str)], settings: &[&str]) -> Release {
        let artifact =
            |(app, digest): &(&str, &str)| Artifact { app: (*app).to_owned(), digest: (*digest).to_owned(), bytes: 1 };
        Release {
            id: ReleaseId(id),
            made_at: Timestamp::from_unix_millis(0),
            stable: true,
            contents: Contents {
                artifacts: artifacts.iter().map(artifact).collect(),
                manifest: String::new(),
                manifest_digest: String::new(),
                settings: BTreeMap::from([(
                    "api".to_owned(),
                    settings.iter().map(|line| (*line).to_owned()).collect(),
                )]),
                origin: Origin::default(),
                author: "ann".into(),
            },
        }
    }

    #[test]
    fn it_says_what_becomes_of_each_app_and_of_its_settings() {
        let live = release(
            2,
            &[("api", "b"), ("new", "n"), ("web", "w")],
            &["KEY=variable/KEY@2", "LOG as the manifest says", "NEW unset"],
        );
        let to = release(1, &[("api", "a"), ("web", "w")], &["KEY=variable/KEY@1", "LOG as the manifest says"]);
        let told = of(Some(&live), &to, false, None);
        let [api, new, web] = told.apps.as_slice() else { panic!("{told:?}") };
        assert_eq!(
            (api.from.as_deref(), api.to.as_deref(), api.settings.as_slice()),
            (Some("b"), Some("a"), &["NEW".to_owned()][..])
        );
        assert_eq!((new.to.as_deref(), new.changes()), (None, true));
        assert!(!web.changes());
        assert!(told.states.contains(&State::Smoking));
        assert!(!of(Some(&live), &to, true, None).states.contains(&State::Smoking));
    }
}
