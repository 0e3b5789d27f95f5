//! What is wrong with a use, as it is told.

use std::fmt;

use manifest::{AppName, FindingKind, Severity};

use crate::Place;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub id: Id,
    /// The variable. Where the name is not known, what stands for it: `TENANT_*_URL`, `process.env`.
    pub name: String,
    /// The app whose code or declaration it is about; none for files that belong to no app.
    pub app: Option<AppName>,
    pub place: Place,
    pub severity: Severity,
    /// A sentence without full stop.
    pub message: String,
    pub hint: String,
}

/// Stable names of findings: scripts, suppressions and SARIF go by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// About a use of a variable; may be meant to be.
    Use(FindingKind),
    /// A file cannot be read, so that nobody knows what it uses.
    Unreadable,
    /// A suppression does not say why.
    SuppressionWithoutReason,
    /// A suppression names a kind of finding that there is not.
    SuppressionUnknown,
    /// A suppression suppresses nothing.
    SuppressionUnused,
    /// A value that must not be public is in what browsers load.
    CanaryInOutput,
}

impl Id {
    pub const ALL: [Self; 16] = [
        Self::Use(FindingKind::Undeclared),
        Self::Use(FindingKind::Unused),
        Self::Use(FindingKind::NotAConsumer),
        Self::Use(FindingKind::SecretInPublicName),
        Self::Use(FindingKind::ServerVariableInClient),
        Self::Use(FindingKind::ServerVariableAtEdge),
        Self::Use(FindingKind::ComputedName),
        Self::Use(FindingKind::WholeEnvironment),
        Self::Use(FindingKind::LiteralForASecret),
        Self::Use(FindingKind::FrozenAtBuild),
        Self::Use(FindingKind::Write),
        Self::Unreadable,
        Self::SuppressionWithoutReason,
        Self::SuppressionUnknown,
        Self::SuppressionUnused,
        Self::CanaryInOutput,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Use(kind) => kind.as_str(),
            Self::Unreadable => "unreadable",
            Self::SuppressionWithoutReason => "suppression-without-reason",
            Self::SuppressionUnknown => "suppression-unknown",
            Self::SuppressionUnused => "suppression-unused",
            Self::CanaryInOutput => "canary-in-output",
        }
    }

    /// What it means, for whoever meets it for the first time.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Use(FindingKind::Undeclared) => "Code reads a variable that roadbed.toml does not declare",
            Self::Use(FindingKind::Unused) => "A variable is declared for an app that never reads it",
            Self::Use(FindingKind::NotAConsumer) => "An app reads a variable that it does not receive",
            Self::Use(FindingKind::SecretInPublicName) => {
                "A sensitive variable has a name that build tools show visitors"
            }
            Self::Use(FindingKind::ServerVariableInClient) => {
                "Code that runs in visitors' browsers reads a variable of the server"
            }
            Self::Use(FindingKind::ServerVariableAtEdge) => {
                "Code that runs before routing reads a variable of the server"
            }
            Self::Use(FindingKind::ComputedName) => "Code reads a variable whose name only the running program knows",
            Self::Use(FindingKind::WholeEnvironment) => "Code hands on the environment as a whole",
            Self::Use(FindingKind::LiteralForASecret) => "The value of a sensitive variable stands in the code",
            Self::Use(FindingKind::FrozenAtBuild) => "A variable of the run time is read while the app is built",
            Self::Use(FindingKind::Write) => "Code changes its own environment",
            Self::Unreadable => "A file cannot be read, so that nobody knows which variables it uses",
            Self::SuppressionWithoutReason => "A suppression does not say why",
            Self::SuppressionUnknown => "A suppression names a kind of finding that there is not",
            Self::SuppressionUnused => "A suppression suppresses nothing",
            Self::CanaryInOutput => "A value that must not be public is in what browsers load",
        }
    }

    pub(crate) fn kind_named(text: &str) -> Option<FindingKind> {
        Self::ALL.into_iter().find_map(|id| match id {
            Self::Use(kind) if kind.as_str() == text => Some(kind),
            _ => None,
        })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
