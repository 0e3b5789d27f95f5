//! Who may do what, where: one function, and what it does not allow is refused.

use std::fmt;
use std::str::FromStr;

use manifest::PersonName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::tokens::TokenId;

/// Where something is done: an environment, and the root that it lives in. A root that was copied is another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub environment: String,
    pub root: String,
}

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything that is no secret.
    Viewer,
    /// Deploy, call deployments off, go back.
    Deployer,
    /// Say yes to a release, as the person whom the token names, or no.
    Approver,
    /// As a deployer, and run the gate. No approvals: those are a person's.
    Operator,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Deployer, Self::Approver, Self::Operator];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Approver => "approver",
            Self::Operator => "operator",
        }
    }

    fn may(self, action: Action) -> bool {
        use Action::{
            Approve, Cancel, Deploy, ReadDeployments, ReadGate, ReadOwnToken, ReadReleases, ReadStatus, RollBack,
            RunGate, SendArtifact,
        };
        let looks = matches!(action, ReadOwnToken | ReadStatus | ReadReleases | ReadDeployments | ReadGate);
        let deploys = matches!(action, SendArtifact | Deploy | Cancel | RollBack);
        match self {
            Self::Viewer => looks,
            Self::Deployer => looks || deploys,
            Self::Approver => looks || matches!(action, Approve | Cancel),
            Self::Operator => looks || deploys || action == RunGate,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: there are viewer, deployer, approver and operator")]
pub struct NotARole(String);

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| NotARole(text.to_owned()))
    }
}

/// Whether a token holds by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Holds,
    Expired,
    Revoked,
}

/// Whoever showed a token that was once made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    pub id: TokenId,
    /// For whom or what it was made.
    pub name: String,
    pub role: Role,
    /// Whom it stands for, if for anybody.
    pub person: Option<PersonName>,
    pub scope: Scope,
    pub standing: Standing,
}

impl Bearer {
    /// What the book of deployments calls whoever asks: a person by name; a machine never as a person could be called.
    pub fn called(&self) -> String {
        match &self.person {
            Some(person) => person.to_string(),
            None => format!("token {} ({})", self.id, self.name),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Showed no token, or one that was never made here.
    Nobody,
    /// Comes by control's socket, and is the user whom control works for, or root.
    Owner,
    /// Comes by control's socket, and is neither.
    Stranger {
        uid: u32,
    },
    Bearer(Bearer),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this takes a token of this environment")]
    Unknown,
    #[error("the token {0} is expired")]
    Expired(TokenId),
    #[error("the token {0} was revoked")]
    Revoked(TokenId),
    #[error("the token {id} is of {of}, and not of {asked}")]
    OtherEnvironment { id: TokenId, of: String, asked: String },
    #[error("the token {id} is of {}, a copy or the origin of this environment", of.environment)]
    OtherRoot { id: TokenId, of: Scope },
    #[error("the role {role} may not {}", action.as_str())]
    NotInRole { role: Role, action: Action },
    #[error("an approval is a person's, and the token {0} names nobody")]
    NoPerson(TokenId),
    #[error("user {0} has nothing to say here")]
    Stranger(u32),
}

impl Refusal {
    /// Whether another token would help, and not another role.
    pub fn is_about_identity(&self) -> bool {
        matches!(self, Self::Unknown | Self::Expired(_) | Self::Revoked(_) | Self::OtherRoot { .. })
    }
}

/// Whether `actor` may do `action` at `place`. What is not allowed here is refused.
pub fn authorise(actor: &Actor, action: Action, place: &Scope) -> Result<(), Refusal> {
    // It describes this program, not an environment.
    if action == Action::ReadDescription {
        return Ok(());
    }
    let bearer = match actor {
        Actor::Nobody => return Err(Refusal::Unknown),
        Actor::Stranger { uid } => return Err(Refusal::Stranger(*uid)),
        // Whoever has the machine has the environment. Whose word an approval is, its own proof says.
        Actor::Owner => return Ok(()),
        Actor::Bearer(bearer) => bearer,
    };
    let id = bearer.id;
    match bearer.standing {
        Standing::Expired => return Err(Refusal::Expired(id)),
        Standing::Revoked => return Err(Refusal::Revoked(id)),
        Standing::Holds => {}
    }
    if bearer.scope.root != place.root {
        return Err(Refusal::OtherRoot { id, of: bearer.scope.clone() });
    }
    if bearer.scope.environment != place.environment {
        let (of, asked) = (bearer.scope.environment.clone(), place.environment.clone());
        return Err(Refusal::OtherEnvironment { id, of, asked });
    }
    if !bearer.role.may(action) {
        return Err(Refusal::NotInRole { role: bearer.role, action });
    }
    if action == Action::Approve && bearer.person.is_none() {
        return Err(Refusal::NoPerson(id));
    }
    Ok(())
}

#[cfg(test)]
#[path = "authorise_tests.rs"]
mod tests;
