//! Who is primary, for people.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::ask::{State, ask};
use super::{Members, latest_primary};

/// One member, as anybody may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReport {
    pub unit: String,
    pub port: u16,
    /// `primary`, `secondary`, `joining`, `outside`, `silent`
    pub state: String,
}

/// Asks each member what it is.
pub async fn report(members: &Members) -> Vec<MemberReport> {
    let said = join_all(members.ports().iter().map(|port| ask(*port))).await;
    let primary = latest_primary(members.ports().iter().copied().zip(&said));
    let state = |port: u16, state: State| match state {
        State::Primary if Some(port) == primary => "primary",
        State::Primary | State::Secondary => "secondary",
        State::Joining => "joining",
        State::Outside => "outside",
        State::Silent => "silent",
    };
    let all = members.units().zip(members.ports()).zip(&said);
    all.map(|((unit, port), says)| MemberReport { unit, port: *port, state: state(*port, says.state).to_owned() })
        .collect()
}
