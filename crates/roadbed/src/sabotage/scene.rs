//! The scenes: what is broken for each task, which rows of the gate must see it, and by which words.

/// A promise, broken.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// `T1` to `T15`.
    pub task: &'static str,
    /// What is broken, for people.
    pub broken: &'static str,
    /// The checks that must see it, each with words that its observation must have: it fails for this and nothing else.
    pub rows: &'static [(&'static str, &'static str)],
    /// Checks that may see it too, each with why.
    pub consequences: &'static [(&'static str, &'static str)],
    pub cut: Cut,
}

impl Scene {
    /// Whether it is about what was deployed, so that something must be.
    pub fn wants_a_release(&self) -> bool {
        matches!(self.cut, Cut::PolicyThatNoPageWorksWith | Cut::RouteToAnotherRelease)
    }
}

/// How it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    RequiredVariableWithoutAValue,
    EnvironmentUnderAnotherName,
    UserThatNobodyAskedFor,
    RedisThatDropsCarts,
    ProgramThatIsGone,
    RedirectsElsewhere,
    SecretInALog,
    EditedWorkflow,
    PolicyThatNoPageWorksWith,
    RouteToAnotherRelease,
    AccessLogUnderAnotherName,
    NoLimits,
    FlippedByteInABackup,
    EditedRunbook,
    AppThatIsShut,
}

/// In the order of tasks.
pub const SCENES: &[Scene] = &[
    Scene {
        task: "T1",
        broken: "a required variable without a value is declared, and no app reads it",
        rows: &[("variables-are-owned", "SABOTAGED"), ("code-matches-the-matrix", "SABOTAGED")],
        consequences: &[],
        cut: Cut::RequiredVariableWithoutAValue,
    },
    Scene {
        task: "T2",
        broken: "the manifest gives the environment that runs another domain",
        rows: &[("targets-follow-branches", "what runs here is not named as")],
        consequences: &[],
        cut: Cut::EnvironmentUnderAnotherName,
    },
    Scene {
        task: "T3",
        broken: "a user of MongoDB was made by hand",
        rows: &[("mongodb-gives-least-privilege", "nobody asked for saboteur of admin")],
        consequences: &[],
        cut: Cut::UserThatNobodyAskedFor,
    },
    Scene {
        task: "T4",
        broken: "Redis was started with a policy that drops carts when it is full",
        rows: &[("redis-keeps-its-promises", "maxmemory-policy is")],
        consequences: &[],
        cut: Cut::RedisThatDropsCarts,
    },
    Scene {
        task: "T5",
        broken: "the program that an app runs in is gone",
        rows: &[("killed-instances-return", "was killed and is not back")],
        consequences: &[],
        cut: Cut::ProgramThatIsGone,
    },
    Scene {
        task: "T6",
        broken: "the edge redirects to a port where nobody is",
        rows: &[("http-redirects", ":1/")],
        consequences: &[],
        cut: Cut::RedirectsElsewhere,
    },
    Scene {
        task: "T7",
        broken: "the value of a secret stands in a log",
        rows: &[("secrets-stay-secret", "sabotage.log holds the value of")],
        consequences: &[],
        cut: Cut::SecretInALog,
    },
    Scene {
        task: "T8",
        broken: "a workflow was edited by hand",
        rows: &[("changes-are-checked", "is not as the manifest makes it")],
        consequences: &[],
        cut: Cut::EditedWorkflow,
    },
    Scene {
        task: "T9",
        broken: "the edge sends a content security policy with which no page works in a browser",
        rows: &[("failed-looks-fail-deployments", "once rendered")],
        consequences: &[],
        cut: Cut::PolicyThatNoPageWorksWith,
    },
    Scene {
        task: "T10",
        broken: "the edge leads visitors to a release that is not the one that was deployed",
        rows: &[("visitors-get-what-was-looked-at", "is routed to")],
        consequences: &[],
        cut: Cut::RouteToAnotherRelease,
    },
    Scene {
        task: "T11",
        broken: "the edge writes its access log where nobody reads it",
        rows: &[("requests-are-found-again", "no line of the access log has")],
        consequences: &[],
        cut: Cut::AccessLogUnderAnotherName,
    },
    Scene {
        task: "T12",
        broken: "the edge serves routes without limits",
        rows: &[("bursts-are-throttled", "requests at once were let in"), ("accounts-and-money-are-guarded-more", "")],
        consequences: &[],
        cut: Cut::NoLimits,
    },
    Scene {
        task: "T13",
        broken: "a byte of the repository of backups is flipped",
        rows: &[("backups-are-whole", "")],
        consequences: &[],
        cut: Cut::FlippedByteInABackup,
    },
    Scene {
        task: "T14",
        broken: "the runbook is of another time",
        rows: &[("runbook-can-be-followed", "is not as the manifest makes it")],
        consequences: &[],
        cut: Cut::EditedRunbook,
    },
    Scene {
        task: "T15",
        broken: "the edge shuts the app that a team works on, for a password that nobody has",
        rows: &[("admin-can-work", "answers 401")],
        consequences: &[
            ("apps-are-reachable", "the team comes in where visitors do"),
            ("visitors-get-what-was-looked-at", "who is turned away is not told by which release"),
            ("failed-looks-fail-deployments", "its page is looked at too"),
        ],
        cut: Cut::AppThatIsShut,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::catalogue;

    #[test]
    fn each_row_is_a_check_of_the_scenes_own_task_and_each_consequence_is_known() {
        for Scene { task, rows, consequences, .. } in SCENES {
            assert!(!rows.is_empty(), "{task} names no row");
            for (id, _) in *rows {
                assert_eq!(catalogue::promise(id).map(|promise| promise.claim.task), Some(*task), "{id}");
            }
            for (id, why) in *consequences {
                assert!(catalogue::promise(id).is_some() && !why.is_empty(), "{id}");
                assert!(rows.iter().all(|(row, _)| row != id), "{id} is both");
            }
        }
    }
}
