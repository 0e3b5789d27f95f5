//! Who did what: the log that is chained and signed.

use host::clock::Timestamp;
use maud::html;

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::words::{ago, cut};

/// A row of the log.
#[derive(Clone, Debug)]
pub struct Noted {
    pub number: u64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    /// About which secret, session or token.
    pub name: String,
    pub version: Option<u32>,
    pub origin: String,
    pub details: String,
}

/// The newest first.
pub fn audit(context: &Context, rows: &[Noted], all: usize) -> String {
    let body = html! {
        header .top { h1 { "Audit" } span .soft { "the newest " (rows.len()) " of " (all) " rows; `roadbed secrets audit verify` holds the chain" } }
        @if rows.is_empty() { (frame::nothing("Nothing was noted yet.", "")) } @else {
            div .wide tabindex="0" role="region" aria-label="Audit" {
                table {
                    thead { tr { th .number scope="col" { "Row" } th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "Did" } th scope="col" { "About" } th scope="col" { "From" } th scope="col" { "Details" } } }
                    tbody { @for row in rows {
                        tr data-row {
                            td .number .soft { (row.number) }
                            td .soft { (ago(row.at, context.now)) }
                            td { (cut(&row.actor, 60)) }
                            td { (cut(&row.action, 40)) }
                            td .id { (cut(&row.name, 80)) @if let Some(version) = row.version { "@" (version) } }
                            td .soft { (cut(&row.origin, 60)) }
                            td .soft .grow { (cut(&row.details, 120)) }
                        }
                    } }
                }
            }
        }
    };
    frame::page(context, Some(Place::Audit), Shows::AsItWas, "Audit", &body)
}
