//! Data services and roles: whether they run, and how full they are.

use maud::html;

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::marks::{self, Mark};
use crate::words::cut;

/// A process that is no app.
#[derive(Clone, Debug)]
pub struct ServiceState {
    pub name: String,
    /// `data service`, `role of Roadbed`.
    pub kind: &'static str,
    pub state: String,
    pub is_well: bool,
    /// `primary`, `replica`.
    pub role: Option<String>,
    pub pid: Option<u32>,
    pub restarts: u32,
}

/// Figures of one data service, as it says itself: its name, and what each figure is called and is.
pub type Figures = (String, Vec<(String, String)>);

/// `full` are figures by service; or why nobody could ask.
pub fn services(context: &Context, all: &[ServiceState], full: &Result<Vec<Figures>, String>) -> String {
    let body = html! {
        header .top { h1 { "Data services" } }
        div .wide tabindex="0" role="region" aria-label="Processes" {
            table {
                thead { tr { th scope="col" { "Process" } th scope="col" { "State" } th scope="col" { "What" } th scope="col" { "Role" } th .number scope="col" { "Process id" } th .number scope="col" { "Restarts" } } }
                tbody { @for one in all {
                    tr data-row {
                        th scope="row" { a href=(crate::words::query("/logs", &[("of", Some(&one.name))])) { (one.name) } }
                        td { (marks::state(if one.is_well { Mark::Good } else { Mark::Bad }, &one.state)) }
                        td { (one.kind) }
                        td { (one.role.as_deref().unwrap_or("–")) }
                        td .number { @match one.pid { Some(pid) => (pid), None => "–" } }
                        td .number { (one.restarts) }
                    }
                } }
            }
        }
        section aria-labelledby="full" {
            h2 #full { "How full they are" }
            @match full {
                Err(why) => div .nothing { p { (marks::state(Mark::Idle, "Unknown")) } p .soft { (cut(why, 300)) } },
                Ok(full) => div .cards { @for (name, figures) in full {
                    article { h3 { (name) }
                        dl .facts { @for (name, value) in figures { div { dt { (name) } dd { (cut(value, 120)) } } } }
                    }
                } },
            }
        }
    };
    frame::page(context, Some(Place::Services), Shows::AsItWas, "Data services", &body)
}
