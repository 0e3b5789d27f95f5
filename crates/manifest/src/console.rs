//! Where people look at an environment.

use crate::record::record;
use crate::scalars::Host;
use crate::source::At;
use crate::tls::MailAddress;

record! {
    /// The console: pages that show how an environment is doing, for people who signed in. `roadbed console` prints a link that signs
    /// somebody in once; where `sign_in` is said, whoever is let in there may look, too. Without this table there is none.
    pub(crate) struct ConsoleTable {
        /// What comes before the environment's domain; `@` is the domain itself.
        host: At<Host> = "console",
        /// Addresses of people who sign in at the provider and may change things: decide about errors, run the gate, call a deployment
        /// off, go back. Everybody else who signs in there may look.
        operators: At<Vec<At<MailAddress>>> = [],
    }
}

/// Where people look at an environment, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// In lower case.
    pub host: String,
    /// In lower case.
    pub operators: Vec<String>,
}

impl ConsoleTable {
    pub(crate) fn resolve(&self, domain: &str) -> Console {
        Console {
            host: self.host.on(domain).to_ascii_lowercase(),
            operators: self.operators.iter().map(|operator| operator.0.to_lowercase()).collect(),
        }
    }
}
