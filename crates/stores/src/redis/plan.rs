//! From what was seen to what is to be done.

use std::fmt;

use super::observe::{Observed, Server};

/// One effect on Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    WriteConfiguration,
    WriteUsers,
    Start,
    /// Makes a living server read its users again; their connections are closed where something changed.
    LoadUsers,
    /// Puts and takes away users of apps, and nobody else's connection is closed.
    ChangeVersions,
    Restart,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriteConfiguration => "write the configuration",
            Self::WriteUsers => "write the users and make missing credentials",
            Self::Start => "start on the loopback port",
            Self::LoadUsers => "load the users into the running server",
            Self::ChangeVersions => "let apps in with every password that holds, and with no other",
            Self::Restart => "restart: the running server does not know us",
        })
    }
}

/// Pure.
pub(crate) fn plan(seen: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    if !seen.configuration {
        steps.push(Step::WriteConfiguration);
    }
    if !seen.users {
        steps.push(Step::WriteUsers);
    }
    // A start reads everything that was written before it.
    if !seen.configuration || !seen.runs || (seen.server == Server::Silent && seen.users) {
        steps.push(Step::Start);
        return steps;
    }
    match seen.server {
        Server::Estranged => steps.push(Step::Restart),
        Server::Differs => steps.push(Step::LoadUsers),
        Server::OtherVersions => steps.push(Step::ChangeVersions),
        Server::Agrees if seen.users => {}
        Server::Agrees | Server::Silent => steps.push(Step::LoadUsers),
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Observed = Observed { configuration: true, users: true, runs: true, server: Server::Agrees };

    #[test]
    fn a_server_that_is_as_wanted_needs_nothing() {
        assert_eq!(plan(&RIGHT), []);
    }

    #[test]
    fn other_users_are_loaded_without_a_restart() {
        assert_eq!(
            plan(&Observed { users: false, server: Server::Differs, ..RIGHT }),
            [Step::WriteUsers, Step::LoadUsers]
        );
        assert_eq!(plan(&Observed { server: Server::Differs, ..RIGHT }), [Step::LoadUsers]);
        assert_eq!(plan(&Observed { server: Server::OtherVersions, ..RIGHT }), [Step::ChangeVersions]);
        assert_eq!(plan(&Observed { server: Server::Estranged, ..RIGHT }), [Step::Restart]);
    }

    #[test]
    fn an_empty_folder_ends_in_a_start() {
        let nothing = Observed { configuration: false, users: false, runs: false, server: Server::Silent };
        assert_eq!(plan(&nothing), [Step::WriteConfiguration, Step::WriteUsers, Step::Start]);
        assert_eq!(plan(&Observed { runs: false, server: Server::Silent, ..RIGHT }), [Step::Start]);
    }
}
