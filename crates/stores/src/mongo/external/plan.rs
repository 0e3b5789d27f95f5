//! From what was seen to what is to be done, and to what is only told.

use std::fmt;

use manifest::id::AppName;

use super::look::Observed;
use crate::ground::Slot;
use crate::mongo::UserKey;
use crate::mongo::users::WrongUser;

/// One effect on somebody else's MongoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    MakeCredentials,
    PutRole,
    PutUser {
        app: AppName,
        slot: Slot,
        because: Vec<&'static str>,
    },
    /// One of ours that nobody wants any more.
    RemoveUser(UserKey),
    RetireUser(UserKey),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeCredentials => f.write_str("make missing credentials"),
            Self::PutRole => f.write_str("set the rights of apps on the external server"),
            Self::PutUser { app, slot, because } => {
                let which = if *slot == Slot::First { "the" } else { "the second" };
                write!(f, "set {which} user of {app} on the external server ({})", because.join(", "))
            }
            Self::RemoveUser(user) => {
                write!(f, "remove user {} of {}, which we made and nobody asks for", user.name, user.database)
            }
            Self::RetireUser(user) => {
                write!(f, "remove user {} of {}, whose password is retired", user.name, user.database)
            }
        }
    }
}

/// Pure.
pub(super) fn plan(seen: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    if !seen.has_credentials {
        steps.push(Step::MakeCredentials);
    }
    if seen.role_is_wrong {
        steps.push(Step::PutRole);
    }
    let put =
        |wrong: &WrongUser| Step::PutUser { app: wrong.app.clone(), slot: wrong.slot, because: wrong.because.clone() };
    steps.extend(seen.apps.iter().map(put));
    steps.extend(seen.unwanted.iter().cloned().map(Step::RemoveUser));
    steps.extend(seen.retired.iter().cloned().map(Step::RetireUser));
    steps
}

/// What others have there, in the environment's own database. It is theirs to take away.
pub(super) fn drift(seen: &Observed) -> Vec<String> {
    let users = seen.strangers.iter().map(|user| {
        format!(
            "user {} of {} is not of this environment; it is left alone, as whoever made it may need it",
            user.name, user.database
        )
    });
    let roles = seen
        .strange_roles
        .iter()
        .map(|role| format!("role {} of {} is not of this environment; it is left alone", role.name, role.database));
    users.chain(roles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_told_and_left_alone() {
        let stranger = UserKey { database: "shop_x".to_owned(), name: "reports".to_owned() };
        let seen = Observed { has_credentials: true, strangers: vec![stranger.clone()], ..Observed::default() };
        assert_eq!(plan(&seen), []);
        assert!(drift(&seen)[0].starts_with("user reports of shop_x is not of this environment"), "{:?}", drift(&seen));
        let ours = Observed { unwanted: vec![stranger.clone()], strangers: Vec::new(), ..seen };
        assert_eq!(plan(&ours), [Step::RemoveUser(stranger)]);
    }

    #[test]
    fn rights_are_there_before_who_has_them() {
        let missing = WrongUser { app: AppName::new("api").unwrap(), slot: Slot::First, because: vec!["missing"] };
        let seen = Observed { role_is_wrong: true, apps: vec![missing], ..Observed::default() };
        let told: Vec<String> = plan(&seen).iter().map(Step::to_string).collect();
        assert_eq!(
            told,
            [
                "make missing credentials",
                "set the rights of apps on the external server",
                "set the user of api on the external server (missing)"
            ]
        );
    }
}
