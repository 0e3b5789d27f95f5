//! From what was seen to what is to be done.

use std::fmt;

use manifest::id::AppName;

use super::members;
use super::observe::{Files, Observed, Server, Serving, WrongUser};
use super::place::Mode;
use super::roles::UserKey;
use crate::ground::Slot;

/// One effect on MongoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    WriteFiles,
    StartFirstBoot,
    CreateAdmin,
    NoteGuarded,
    Start,
    InitiateReplicaSet,
    MoveReplicaSet,
    CorrectAdmin,
    PutRole,
    PutUser {
        app: AppName,
        slot: Slot,
        because: Vec<&'static str>,
    },
    RemoveUser(UserKey),
    RetireUser(UserKey),
    /// Of a set that has more than one member.
    Member(members::Step),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(step) => step.fmt(f),
            Self::WriteFiles => f.write_str("write the configuration and make missing credentials"),
            Self::StartFirstBoot => f.write_str("start without a port, reachable by us only"),
            Self::CreateAdmin => f.write_str("create the administrator"),
            Self::NoteGuarded => f.write_str("note that the administrator exists"),
            Self::Start => f.write_str("start on the loopback port"),
            Self::InitiateReplicaSet => f.write_str("initiate the replica set of one"),
            Self::MoveReplicaSet => f.write_str("move the replica set to this port"),
            Self::CorrectAdmin => f.write_str("correct the administrator's roles"),
            Self::PutRole => f.write_str("set the rights of apps"),
            Self::PutUser { app, slot, because } => {
                let which = if *slot == Slot::First { "the" } else { "the second" };
                write!(f, "set {which} user of {app} ({})", because.join(", "))
            }
            Self::RemoveUser(user) => {
                write!(f, "remove user {} of {}, which nobody asked for", user.name, user.database)
            }
            Self::RetireUser(user) => {
                write!(f, "remove user {} of {}, whose password is retired", user.name, user.database)
            }
        }
    }
}

/// Pure. Where the server cannot be asked yet, the plan holds what is certain; the next look finds the rest.
pub(crate) fn plan(seen: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    if seen.files != Files::Right {
        steps.push(Step::WriteFiles);
    }
    if !seen.guarded {
        match seen.server {
            Server::FirstBoot { admin: true } => {}
            Server::FirstBoot { admin: false } => steps.push(Step::CreateAdmin),
            _ => steps.extend([Step::StartFirstBoot, Step::CreateAdmin]),
        }
        steps.extend([Step::NoteGuarded, Step::Start, Step::InitiateReplicaSet, Step::PutRole]);
        steps.extend(missing_users(seen));
        return steps;
    }
    if let Some(set) = &seen.set {
        steps.extend(members::plan(set));
        return steps;
    }
    // Without its files right, a running server was not asked; the next look does that.
    let silent = seen.server == Server::Silent && seen.files == Files::Right;
    if seen.runs != Some(Mode::Serving) || silent {
        steps.push(Step::Start);
    }
    match &seen.server {
        Server::NotInitiated => {
            steps.extend([Step::InitiateReplicaSet, Step::PutRole]);
            steps.extend(missing_users(seen));
        }
        Server::Elsewhere => steps.push(Step::MoveReplicaSet),
        Server::Serving(serving) => steps.extend(put_right(serving)),
        Server::Silent | Server::FirstBoot { .. } | Server::OneOfSeveral => {}
    }
    steps
}

pub(super) fn put_right(serving: &Serving) -> Vec<Step> {
    let mut steps = Vec::new();
    if !serving.admin_is_right {
        steps.push(Step::CorrectAdmin);
    }
    steps.extend(serving.strangers.iter().cloned().map(Step::RemoveUser));
    if !serving.role_is_right {
        steps.push(Step::PutRole);
    }
    let put =
        |wrong: &WrongUser| Step::PutUser { app: wrong.app.clone(), slot: wrong.slot, because: wrong.because.clone() };
    steps.extend(serving.apps.iter().map(put));
    steps.extend(serving.retired.iter().cloned().map(Step::RetireUser));
    steps
}

/// Everybody, where nobody is there yet.
fn missing_users(seen: &Observed) -> impl Iterator<Item = Step> {
    let put = |(app, slot): &(AppName, Slot)| Step::PutUser { app: app.clone(), slot: *slot, because: vec!["missing"] };
    seen.users.iter().map(put)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seen: &Observed) -> Vec<String> {
        plan(seen).iter().map(Step::to_string).collect()
    }

    fn settled() -> Observed {
        let serving = Serving {
            admin_is_right: true,
            role_is_right: true,
            apps: Vec::new(),
            strangers: Vec::new(),
            retired: Vec::new(),
        };
        Observed {
            files: Files::Right,
            guarded: true,
            runs: Some(Mode::Serving),
            server: Server::Serving(serving),
            users: vec![(AppName::new("api").unwrap(), Slot::First)],
            set: None,
        }
    }

    #[test]
    fn a_settled_mongodb_needs_nothing() {
        assert_eq!(plan(&settled()), []);
    }

    #[test]
    fn no_port_is_opened_before_the_administrator_is_noted() {
        for server in
            [Server::Silent, Server::FirstBoot { admin: false }, Server::FirstBoot { admin: true }, settled().server]
        {
            for runs in [None, Some(Mode::FirstBoot), Some(Mode::Serving)] {
                let steps = plan(&Observed { guarded: false, runs, server: server.clone(), ..settled() });
                let at = |step: &Step| steps.iter().position(|other| other == step);
                let (noted, started) = (at(&Step::NoteGuarded).unwrap(), at(&Step::Start).unwrap());
                assert!(noted < started, "{steps:?}");
                assert!(server == Server::FirstBoot { admin: true } || at(&Step::CreateAdmin).is_some(), "{steps:?}");
            }
        }
    }

    #[test]
    fn what_stopped_is_started_and_nothing_else() {
        assert_eq!(told(&Observed { runs: None, server: Server::Silent, ..settled() }), ["start on the loopback port"]);
        assert_eq!(told(&Observed { server: Server::Silent, ..settled() }), ["start on the loopback port"]);
    }
}
