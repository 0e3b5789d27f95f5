//! Where an environment is asked from elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use crate::record::record;
use crate::scalars::{Age, Domain};
use crate::shape::{self, text_shape};
use crate::source::At;
use crate::target::Instance;

record! {
    /// The API of an environment over HTTPS: for deployments, approvals and rollbacks from elsewhere, each with a token of
    /// `roadbed token create`. Without this table nobody listens.
    pub(crate) struct ApiTable {
        /// Address of this machine and port that control listens at. With port 0 a free one is picked once and remembered.
        listen: At<Listening> = "127.0.0.1:0",
        /// Names by which it is called, beside `localhost` and that address: its certificate is for them. `{pr}` and `{branch}` as
        /// in `domain`.
        hosts: Vec<At<Domain>> = [],
        /// Longest time for which a token may be made.
        tokens_last: At<Age> = "90d",
    }
}

/// The API of an environment, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Port 0: a free one, remembered.
    pub listen: SocketAddr,
    pub hosts: Vec<String>,
    pub tokens_last: Duration,
}

impl ApiTable {
    pub(crate) fn resolve(&self, instance: Option<&Instance>) -> Api {
        Api {
            listen: self.listen.0,
            hosts: self.hosts.iter().map(|host| host.value.of(instance)).collect(),
            tokens_last: self.tokens_last.value.0,
        }
    }
}

/// An address of this machine, with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listening(pub(crate) SocketAddr);

impl shape::Text for Listening {
    const WANTS: &'static str = "an IP address with a port";
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:0", "0.0.0.0:7443", "[::1]:7443"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        text.parse().map(Self).map_err(|_| {
            Some("write an address of this machine and a port: \"127.0.0.1:0\" is any free one on loopback".to_owned())
        })
    }

    fn stand_in() -> Self {
        Self(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}
text_shape!(Listening);
