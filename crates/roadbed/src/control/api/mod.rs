//! The API of an environment over HTTPS: for who is not on this machine.
//!
//! ```text
//!   connection ─► listener (TLS, limits) ─► who is it?  ─► may they?  ─► is it a request? ─► handler ─► redacted ─► answer
//!                                           tokens          authorise    the route's types
//!                                             │                │
//!                                             └── throttle     └── record: what changes something, and what was refused
//! ```
//!
//! `route` has every route with its action and its types, once: the router, the check of who may, and the OpenAPI document are made
//! from it. `authorise` alone decides, for control's socket too.
//!
//! **Invariant:** nothing is done that `authorise` did not allow, and no token is on disk.

pub mod action;
pub mod authorise;
pub mod token;
pub mod tokens;
mod certificate;
pub mod listener;
mod throttle;
mod call;
pub mod problem;
pub mod route;
pub mod openapi;
pub mod answers;
pub mod questions;
mod reading;
mod changing;
mod exchange;
mod arriving;
pub(super) mod gate_run;
mod idempotency;
mod record;
mod keeping;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use reconcile::Fault;
use serde::{Deserialize, Serialize};

pub use keeping::{Created, Shown, ToCreate, create, list, revoke};

/// Where the API answers, as `status` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Where it is called.
    pub url: String,
    /// Why nobody can, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Fault>,
}

/// What the API of one control shares.
#[derive(Debug)]
pub struct Api {
    tokens: tokens::Tokens,
    throttle: Mutex<throttle::Throttle>,
    gate: gate_run::GateRun,
    issuer: exchange::KnownIssuer,
    arriving: arriving::OneAtATime,
    listening: Mutex<Option<Listening>>,
}

impl Api {
    pub(super) fn new(tokens: tokens::Tokens) -> Self {
        Self {
            tokens,
            throttle: Mutex::default(),
            gate: gate_run::GateRun::default(),
            issuer: exchange::KnownIssuer::default(),
            arriving: arriving::OneAtATime::default(),
            listening: Mutex::default(),
        }
    }

    /// Where it answers; `None` where the manifest has no `api`.
    pub(super) fn listening(&self) -> Option<Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn listens(&self, listening: Option<Listening>) {
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = listening;
    }
}

/// What a client calls an address. One that stands for all of the machine's is called by the first name that there is.
fn url(address: SocketAddr, hosts: &[String]) -> String {
    let host = match hosts.first() {
        Some(host) => host.clone(),
        None if address.ip().is_unspecified() || address.ip().is_loopback() => "localhost".to_owned(),
        None if address.is_ipv6() => format!("[{}]", address.ip()),
        None => address.ip().to_string(),
    };
    format!("https://{host}:{}", address.port())
}
