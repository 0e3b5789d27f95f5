//! What a member says of itself to anybody.

use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::config::port_of;
use crate::mongo::client::{Address, Identity, Trust, command, connect};
use crate::start::accepts;

/// On loopback, one that is silent for so long is frozen.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What a member is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody listens, or nobody answers.
    Silent,
    /// In no set that it knows of: not initiated, or not among those that its configuration names.
    Outside,
    /// In the set, and not yet of use: it looks for the others or copies their data.
    Joining,
    Secondary,
    Primary,
}

impl State {
    /// Whether it has the data and a say in what is written.
    pub(crate) fn is_healthy(self) -> bool {
        matches!(self, Self::Primary | Self::Secondary)
    }
}

/// An answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) state: State,
    /// Which election made it primary; later ones are greater.
    pub(crate) election: Option<ObjectId>,
    /// The port of who it takes for primary.
    pub(crate) knows_primary: Option<u16>,
}

impl Says {
    pub(crate) fn nothing() -> Self {
        Self { state: State::Silent, election: None, knows_primary: None }
    }

    fn of(hello: &Document) -> Self {
        let is = |key: &str| hello.get_bool(key).unwrap_or(false);
        let state = if is("isWritablePrimary") {
            State::Primary
        } else if is("secondary") {
            State::Secondary
        } else if hello.contains_key("setName") {
            State::Joining
        } else {
            State::Outside
        };
        Self {
            state,
            election: hello.get_object_id("electionId").ok(),
            knows_primary: hello.get_str("primary").ok().and_then(port_of),
        }
    }
}

/// Whoever is not recognised says nothing: he may be anybody, or one of ours whose certificate has run out.
pub(crate) async fn ask(port: u16, trust: &Trust) -> Says {
    // The driver waits half a second after a refused connection: ask it only when there is somebody.
    if !accepts(port).await {
        return Says::nothing();
    }
    let address = Address::Port { port, trust: trust.clone() };
    let Ok(client) = connect(&address, Identity::Stranger) else { return Says::nothing() };
    match tokio::time::timeout(PATIENCE, command(&client, "admin", doc! { "hello": 1 })).await {
        Ok(Ok(hello)) => Says::of(&hello),
        _ => Says::nothing(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_says_is_what_it_is() {
        let state = |hello: Document| Says::of(&hello).state;
        assert_eq!(state(doc! { "isreplicaset": true, "isWritablePrimary": false }), State::Outside);
        assert_eq!(state(doc! { "setName": "roadbed", "secondary": false }), State::Joining);
        assert_eq!(state(doc! { "setName": "roadbed", "secondary": true }), State::Secondary);
        assert_eq!(state(doc! { "setName": "roadbed", "isWritablePrimary": true }), State::Primary);
        let says = Says::of(&doc! { "setName": "roadbed", "secondary": true, "primary": "127.0.0.1:20003" });
        assert_eq!(says.knows_primary, Some(20_003));
    }
}
