//! Where the secret store of a root is, where its keys are, and who works with it: what the store is told from outside.

use std::path::PathBuf;
use std::sync::Arc;

use host::clock::{Clock, SystemClock};
use reconcile::Root;
use secrets::{Actor, Neighbour, Seat, UserKeys, Via};

use crate::control::identity::Identity;
use crate::roots::Roots;
use crate::wanted::Wanted;

/// The store as control works with it.
pub fn of_control(root: &Root, id: &str, clock: &Arc<dyn Clock>, want: &Wanted) -> Seat {
    let keys = UserKeys { state: want.state.clone(), config: want.config.clone() };
    Seat { clock: clock.clone(), ..seat(root, id, &want.environment, keys) }
}

/// The store of a root as a person works with it.
pub fn of_person(root: &Root, identity: &Identity, roots: &Roots, reason: &str, identities: Vec<PathBuf>) -> Seat {
    Seat {
        identities,
        // Where they cannot be told there is nothing to compare with.
        others: roots.others(identity).unwrap_or_default().into_iter().map(neighbour).collect(),
        actor: actor(Via::Cli, reason),
        ..of_root(root, identity, roots)
    }
}

/// The store of a root, for control's own looks at it.
pub fn of_root(root: &Root, identity: &Identity, roots: &Roots) -> Seat {
    seat(root, &identity.id, &identity.environment, roots.keys())
}

fn neighbour(other: crate::roots::Other) -> Neighbour {
    Neighbour { environment: other.identity.environment, file: other.root.secret_store() }
}

fn actor(via: Via, reason: &str) -> Actor {
    Actor { user: host::own::user_name(), origin: origin(host::own::user()), via, reason: reason.to_owned() }
}

/// From where a user of this machine does something.
pub(crate) fn origin(user: u32) -> String {
    format!("{}, user {user}", host::machine::name())
}

fn seat(root: &Root, id: &str, environment: &str, keys: UserKeys) -> Seat {
    Seat {
        file: root.secret_store(),
        before: root.secrets_before(),
        state: root.state(),
        install: id.to_owned(),
        environment: environment.to_owned(),
        keys,
        identities: Vec::new(),
        others: Vec::new(),
        actor: actor(Via::Control, ""),
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
    }
}
