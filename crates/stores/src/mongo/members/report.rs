//! Who is primary, for people.

use futures_util::future::join_all;
use host::files;
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use super::ask::{Says, State, ask};
use super::{Members, latest_primary};
use crate::ground::file_fault;
use crate::mongo::certificate::ca_file;
use crate::mongo::{Trust, UNIT};

/// One member, as anybody may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReport {
    pub unit: String,
    pub port: u16,
    /// `primary`, `secondary`, `joining`, `outside`, `silent`
    pub state: String,
}

/// Asks each member what it is. Whoever looks needs no secret store: the authorities lie beside the configuration.
///
/// # Errors
/// Where the file of the authorities cannot be read.
pub async fn report(root: &Root, members: &Members) -> Result<Vec<MemberReport>, Fault> {
    let known = files::read_if_exists(&ca_file(root)).map_err(|fault| file_fault(UNIT, &fault))?;
    let trust = Trust::Authorities(String::from_utf8(known.unwrap_or_default()).unwrap_or_default());
    let said = join_all(members.ports().iter().map(|port| ask(*port, &trust))).await;
    let primary = latest_primary(members.ports().iter().copied().zip(&said));
    let state = |port: u16, state: State| match state {
        State::Primary if Some(port) == primary => "primary",
        State::Primary | State::Secondary => "secondary",
        State::Joining => "joining",
        State::Outside => "outside",
        State::Silent => "silent",
    };
    let all = members.units().zip(members.ports()).zip(&said);
    let one = |((unit, port), says): ((String, &u16), &Says)| MemberReport {
        unit,
        port: *port,
        state: state(*port, says.state).to_owned(),
    };
    Ok(all.map(one).collect())
}
