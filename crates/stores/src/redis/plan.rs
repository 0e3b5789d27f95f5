//! From what was seen to what is to be done.

use std::fmt;

use super::observe::{Observed, Server};

/// One effect on Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    WriteConfiguration,
    WriteUsers,
    WriteCertificate,
    Start,
    /// Makes a living server read its users again; their connections are closed where something changed.
    LoadUsers,
    /// Puts and takes away users of apps, and nobody else's connection is closed.
    ChangeVersions,
    /// Makes a living server show the certificate that was written. Connections that are open stay so.
    LoadCertificate,
    /// Sets in a living server what somebody else has changed there.
    SetParameters,
    Restart,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriteConfiguration => "write the configuration",
            Self::WriteUsers => "write the users and make missing credentials",
            Self::WriteCertificate => "issue a certificate of its own",
            Self::Start => "start on the loopback port",
            Self::LoadUsers => "load the users into the running server",
            Self::ChangeVersions => "let apps in with every password that holds, and with no other",
            Self::LoadCertificate => "show the new certificate, and keep all connections",
            Self::SetParameters => "set memory, eviction and persistence as declared",
            Self::Restart => "restart: the running server does not know us, or nobody believes what it shows",
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
    if !seen.certificate {
        steps.push(Step::WriteCertificate);
    }
    // A start reads everything that was written before it.
    if !seen.configuration || !seen.runs || (seen.server == Server::Silent && seen.users && seen.certificate) {
        steps.push(Step::Start);
        return steps;
    }
    match seen.server {
        Server::Estranged | Server::NotBelieved => {
            steps.push(Step::Restart);
            return steps;
        }
        Server::Differs => steps.push(Step::LoadUsers),
        Server::OtherVersions => steps.push(Step::ChangeVersions),
        Server::OtherParameters => steps.push(Step::SetParameters),
        Server::OlderCertificate => steps.push(Step::LoadCertificate),
        Server::Agrees if seen.users => {}
        Server::Agrees | Server::Silent => steps.push(Step::LoadUsers),
    }
    if !seen.certificate && seen.server != Server::OlderCertificate {
        steps.push(Step::LoadCertificate);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Observed =
        Observed { configuration: true, certificate: true, users: true, runs: true, server: Server::Agrees };

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
    fn another_certificate_closes_no_connection_unless_nobody_believes_the_old_one() {
        let renewed = [Step::WriteCertificate, Step::LoadCertificate];
        assert_eq!(plan(&Observed { certificate: false, ..RIGHT }), renewed);
        assert_eq!(plan(&Observed { server: Server::OlderCertificate, ..RIGHT }), [Step::LoadCertificate]);
        assert_eq!(plan(&Observed { certificate: false, server: Server::OlderCertificate, ..RIGHT }), renewed);
        assert_eq!(
            plan(&Observed { certificate: false, server: Server::NotBelieved, ..RIGHT }),
            [Step::WriteCertificate, Step::Restart]
        );
    }

    #[test]
    fn an_empty_folder_ends_in_a_start() {
        let nothing =
            Observed { configuration: false, certificate: false, users: false, runs: false, server: Server::Silent };
        assert_eq!(plan(&nothing), [Step::WriteConfiguration, Step::WriteUsers, Step::WriteCertificate, Step::Start]);
        assert_eq!(plan(&Observed { runs: false, server: Server::Silent, ..RIGHT }), [Step::Start]);
    }
}
