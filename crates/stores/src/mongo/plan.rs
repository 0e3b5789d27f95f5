//! From what was seen to what is to be done.

use std::fmt;

use manifest::id::AppName;
use secrets::SecretName;

use super::certificate::Certificate;
use super::members;
use super::observe::{Files, Observed, Server};
use super::own_users::OwnUser;
use super::rights::RoleKey;
use super::roles::UserKey;
use super::users::{Users, WrongUser};
use crate::ground::Slot;

/// One effect on MongoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    WriteFiles,
    CreateAdmin,
    NoteGuarded,
    Start,
    InitiateReplicaSet,
    MoveReplicaSet,
    RenewCertificate,
    LoadCertificate,
    Restart,
    ReplaceAdmin,
    PutOwnUsers(Vec<(OwnUser, Vec<&'static str>)>),
    PutRole,
    PutUser {
        app: AppName,
        slot: Slot,
        because: Vec<&'static str>,
    },
    RemoveUser(UserKey),
    RemoveRole(RoleKey),
    RetireUser(UserKey),
    /// Of a set that has more than one member.
    Member(members::Step),
    ForgetPassword(SecretName),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(step) => step.fmt(f),
            Self::WriteFiles => f.write_str("write the configuration and make missing credentials"),
            Self::CreateAdmin => f.write_str("create the administrator"),
            Self::NoteGuarded => f.write_str("note that the administrator exists"),
            Self::Start => f.write_str("start on the loopback port"),
            Self::InitiateReplicaSet => f.write_str("initiate the replica set of one"),
            Self::MoveReplicaSet => f.write_str("move the replica set to this port"),
            Self::RenewCertificate => f.write_str("renew the server's certificate"),
            Self::LoadCertificate => f.write_str("let the server load its certificate, with all connections kept"),
            Self::Restart => f.write_str("start again with a certificate that is believed"),
            Self::ReplaceAdmin => f.write_str("create the administrator in place of the former one"),
            Self::PutOwnUsers(users) => {
                let one = |(user, because): &(OwnUser, Vec<&str>)| format!("{user} ({})", because.join(", "));
                write!(f, "set our own users: {}", users.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::PutRole => f.write_str("set the rights of apps"),
            Self::PutUser { app, slot, because } => {
                let which = if *slot == Slot::First { "the" } else { "the second" };
                write!(f, "set {which} user of {app} ({})", because.join(", "))
            }
            Self::RemoveUser(user) => {
                write!(f, "remove user {} of {}, which nobody asked for", user.name, user.database)
            }
            Self::RemoveRole(role) => {
                write!(f, "remove role {} of {}, which nobody asked for", role.name, role.database)
            }
            Self::ForgetPassword(name) => write!(f, "forget {name}: its user shows a certificate"),
            Self::RetireUser(user) => {
                write!(f, "remove user {} of {}, whose password is retired", user.name, user.database)
            }
        }
    }
}

/// Pure. Where the server cannot be asked yet, the plan holds what is certain; the next look finds the rest.
pub(crate) fn plan(seen: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    if seen.files != Files::Right || seen.certificate == Certificate::Missing {
        steps.push(Step::WriteFiles);
    } else if seen.certificate == Certificate::Due {
        steps.push(Step::RenewCertificate);
    }
    if let Some(set) = &seen.set {
        steps.extend(members::plan(set));
        if set.users.is_some() {
            steps.extend(seen.obsolete.iter().cloned().map(Step::ForgetPassword));
        }
        return steps;
    }
    // Without its files right, a running server was not asked; the next look does that.
    let silent =
        seen.server == Server::Silent && seen.files == Files::Right && seen.certificate != Certificate::Missing;
    if !seen.runs || silent {
        steps.push(Step::Start);
    }
    match &seen.server {
        Server::NotBelieved => steps.push(Step::Restart),
        Server::Silent if !seen.guarded => {
            steps.push(Step::InitiateReplicaSet);
            steps.extend(first_users(seen));
        }
        Server::WithoutAdmin if seen.guarded => steps.push(Step::ReplaceAdmin),
        Server::WithoutAdmin => steps.extend(first_users(seen)),
        Server::NotInitiated => {
            steps.push(Step::InitiateReplicaSet);
            steps.extend(first_users(seen));
        }
        Server::Elsewhere => steps.push(Step::MoveReplicaSet),
        Server::Serving(serving) => {
            if !seen.guarded {
                steps.push(Step::NoteGuarded);
            }
            if seen.certificate == Certificate::Due || !serving.certificate_is_loaded {
                steps.push(Step::LoadCertificate);
            }
            steps.extend(put_right(&serving.users));
            steps.extend(seen.obsolete.iter().cloned().map(Step::ForgetPassword));
        }
        Server::Silent | Server::OneOfSeveral => {}
    }
    steps
}

pub(super) fn put_right(users: &Users) -> Vec<Step> {
    let mut steps = Vec::new();
    if !users.own.is_empty() {
        steps.push(Step::PutOwnUsers(users.own.clone()));
    }
    steps.extend(users.strangers.iter().cloned().map(Step::RemoveUser));
    steps.extend(users.strange_roles.iter().cloned().map(Step::RemoveRole));
    if users.app_role_is_wrong {
        steps.push(Step::PutRole);
    }
    let put =
        |wrong: &WrongUser| Step::PutUser { app: wrong.app.clone(), slot: wrong.slot, because: wrong.because.clone() };
    steps.extend(users.apps.iter().map(put));
    steps.extend(users.retired.iter().cloned().map(Step::RetireUser));
    steps
}

/// Everybody, where nobody is there yet.
fn first_users(seen: &Observed) -> Vec<Step> {
    let others = seen.own.iter().filter(|user| **user != OwnUser::Administrator);
    let put = |(app, slot): &(AppName, Slot)| Step::PutUser { app: app.clone(), slot: *slot, because: vec!["missing"] };
    let own = others.map(|user| (*user, vec!["missing"])).collect();
    let mut steps = vec![Step::CreateAdmin, Step::NoteGuarded, Step::PutOwnUsers(own), Step::PutRole];
    steps.extend(seen.users.iter().map(put));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::observe::Serving;

    fn told(seen: &Observed) -> Vec<String> {
        plan(seen).iter().map(Step::to_string).collect()
    }

    fn settled() -> Observed {
        let serving = Serving { certificate_is_loaded: true, users: Users::default() };
        Observed {
            files: Files::Right,
            certificate: Certificate::Right,
            guarded: true,
            runs: true,
            server: Server::Serving(serving),
            users: vec![(AppName::new("api").unwrap(), Slot::First)],
            set: None,
            own: vec![OwnUser::Administrator, OwnUser::Backup],
            obsolete: Vec::new(),
        }
    }

    #[test]
    fn a_settled_mongodb_needs_nothing() {
        assert_eq!(plan(&settled()), []);
    }

    #[test]
    fn the_administrator_is_made_before_he_is_noted_and_nobody_else_before_him() {
        for (server, runs) in [(Server::Silent, false), (Server::NotInitiated, true), (Server::WithoutAdmin, true)] {
            let steps = plan(&Observed { guarded: false, runs, server: server.clone(), ..settled() });
            let at = |step: &Step| steps.iter().position(|other| other == step);
            let (made, noted) = (at(&Step::CreateAdmin).unwrap(), at(&Step::NoteGuarded).unwrap());
            let others = steps.iter().position(|step| matches!(step, Step::PutOwnUsers(_))).unwrap();
            assert!(made < noted && noted < others, "{server:?}: {steps:?}");
            assert_eq!(at(&Step::InitiateReplicaSet).is_some(), server != Server::WithoutAdmin, "{steps:?}");
        }
    }

    #[test]
    fn who_is_found_to_be_there_is_noted_and_not_made_again() {
        assert_eq!(plan(&Observed { guarded: false, ..settled() }), [Step::NoteGuarded]);
    }

    #[test]
    fn what_stopped_is_started_and_nothing_else() {
        assert_eq!(
            told(&Observed { runs: false, server: Server::Silent, ..settled() }),
            ["start on the loopback port"]
        );
        assert_eq!(told(&Observed { server: Server::Silent, ..settled() }), ["start on the loopback port"]);
    }

    #[test]
    fn a_certificate_that_is_due_is_renewed_under_living_connections_and_one_that_ran_out_is_not_waited_for() {
        let due = Observed { certificate: Certificate::Due, ..settled() };
        let load = "let the server load its certificate, with all connections kept";
        assert_eq!(told(&due), ["renew the server's certificate", load]);
        let serving = Serving { certificate_is_loaded: false, users: Users::default() };
        assert_eq!(told(&Observed { server: Server::Serving(serving), ..settled() }), [load]);
        assert_eq!(
            told(&Observed { server: Server::NotBelieved, ..due }),
            ["renew the server's certificate", "start again with a certificate that is believed"]
        );
    }

    #[test]
    fn passwords_of_former_users_are_forgotten_last() {
        let obsolete = vec![SecretName::new("mongodb/admin")];
        let seen = Observed { server: Server::WithoutAdmin, obsolete: obsolete.clone(), ..settled() };
        assert_eq!(told(&seen), ["create the administrator in place of the former one"]);
        assert_eq!(
            plan(&Observed { obsolete: obsolete.clone(), ..settled() }),
            [Step::ForgetPassword(obsolete[0].clone())]
        );
    }
}
