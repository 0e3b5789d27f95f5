//! Who looks, at what, when.

use host::clock::Timestamp;

/// What somebody may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look.
    Viewer,
    /// Decide about errors, run the gate, call off and roll back, back up and rehearse.
    Operator,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// A page that the navigation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Overview,
    Errors,
    Logs,
    Gate,
    Deliveries,
    Services,
    Backups,
    Secrets,
    Audit,
}

/// The navigation, from top to bottom: the page, its path, its name, and the key that follows `g`.
pub(crate) const PLACES: [(Place, &str, &str, &str); 9] = [
    (Place::Overview, "/", "Overview", "o"),
    (Place::Errors, "/errors", "Errors", "e"),
    (Place::Logs, "/logs", "Logs", "l"),
    (Place::Gate, "/gate", "Gate", "t"),
    (Place::Deliveries, "/deployments", "Deployments", "d"),
    (Place::Services, "/services", "Data services", "s"),
    (Place::Backups, "/backups", "Backups", "b"),
    (Place::Secrets, "/secrets", "Secrets", "k"),
    (Place::Audit, "/audit", "Audit", "a"),
];

/// What every page is told.
#[derive(Clone, Debug)]
pub struct Context {
    pub product: String,
    /// `local`, `preview/pr-42`.
    pub environment: String,
    /// Who signed in.
    pub user: String,
    pub role: Role,
    /// Goes with every form of this session.
    pub token: String,
    pub now: Timestamp,
    /// Said once at the top: what was just done.
    pub notice: Option<String>,
}

impl Context {
    pub(crate) fn may_change(&self) -> bool {
        self.role == Role::Operator
    }
}
