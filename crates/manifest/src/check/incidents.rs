//! Somebody who is called, and is nobody.

use crate::findings::Findings;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let table = &document.incidents;
    let promises = table.promises.iter().map(|(_, owner)| owner);
    for name in table.lead.iter().chain(&table.escalation).chain(promises) {
        super::known_owner(name, document, findings);
    }
    super::no_repetition(&table.escalation, findings);
    if let Some(lead) = &table.lead {
        for again in table.escalation.iter().filter(|name| name.value == lead.value) {
            findings
                .error(again.span, format!("\"{}\" leads, and was called already", lead.value))
                .hint("name who is called when nobody there answers");
        }
    }
}
