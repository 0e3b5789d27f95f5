//! Which member of a replica set is primary, asked of the members themselves.

use manifest::Environment;
use reconcile::{Fault, Root};
use stores::mongo::Members;
use stores::mongo::members::{MemberReport, report, unit_of};

use super::ports::PortBook;

/// The members of MongoDB's replica set; empty where there is one member, or none was started yet.
pub async fn members(root: &Root, environment: &Environment) -> Result<Vec<MemberReport>, Fault> {
    let wanted = environment.mongodb.as_ref().map_or(0, |settings| settings.members);
    let book = PortBook::open(root)?;
    let ports: Vec<u16> = (1..=wanted).filter_map(|number| book.remembered(&unit_of(number))).collect();
    if ports.len() < 2 {
        return Ok(Vec::new());
    }
    report(root, &Members::from(ports)).await
}
