//! Secrets by name and age. No value ever comes here.

use host::clock::Timestamp;
use maud::html;

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::marks::{self, Mark};
use crate::words::{ago, cut};

/// A secret without its value.
#[derive(Clone, Debug)]
pub struct SecretState {
    pub name: String,
    pub class: String,
    /// What processes that start now get.
    pub version: Option<u32>,
    pub since: Option<Timestamp>,
    /// Versions that are still let in beside it, by their state.
    pub others: Vec<(u32, String)>,
    pub is_overdue: bool,
}

pub fn secrets(context: &Context, all: &[SecretState]) -> String {
    let overdue = all.iter().filter(|secret| secret.is_overdue).count();
    let body = html! {
        header .top {
            h1 { "Secrets" }
            @if overdue > 0 { (marks::state(Mark::Warn, &format!("{overdue} overdue"))) } @else if !all.is_empty() { (marks::state(Mark::Good, "none overdue")) }
        }
        p .soft { "Names, versions and ages. Values are in the store, sealed, and are shown nowhere here." }
        @if all.is_empty() { (frame::nothing("There are no secrets.", "")) } @else {
            div .wide tabindex="0" role="region" aria-label="Secrets" {
                table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Class" } th .number scope="col" { "Version" } th scope="col" { "Age" } th scope="col" { "Also let in" } th scope="col" { "State" } } }
                    tbody { @for secret in all {
                        tr data-row {
                            th .id scope="row" { (cut(&secret.name, 120)) }
                            td { (secret.class) }
                            td .number { @match secret.version { Some(version) => (version), None => "–" } }
                            td .soft { @if let Some(since) = secret.since { (ago(since, context.now)) } }
                            td { @for (version, state) in &secret.others { span .tag { (version) " " (state) } } }
                            td { @if secret.is_overdue { (marks::state(Mark::Warn, "overdue")) } @else { (marks::state(Mark::Good, "in time")) } }
                        }
                    } }
                }
            }
        }
    };
    frame::page(context, Some(Place::Secrets), Shows::AsItWas, "Secrets", &body)
}
