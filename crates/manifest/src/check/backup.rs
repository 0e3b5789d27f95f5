//! Backups: not of what is thrown away anyhow.

use crate::driver::Driver;
use crate::findings::Findings;
use crate::resolve::driver_of_mongodb;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.environments.in_order() {
        let Some(backup) = &table.backup else { continue };
        if table.per.is_some() {
            findings
                .error(backup.span, format!("{} exists many times and is not backed up", name.value))
                .hint("leave the table out: what a preview has comes from its sample");
        }
        let external = document
            .services
            .mongodb
            .as_ref()
            .is_some_and(|mongodb| driver_of_mongodb(mongodb, &name.value) != Driver::Process);
        if external {
            findings
                .error(backup.span, format!("the MongoDB of {} is somebody else's, who backs it up", name.value))
                .hint("leave the table out, and look at what its provider promises");
        }
    }
}
