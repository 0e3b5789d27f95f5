//! What could not be shown or done, to which thing, why, and what to do.

use maud::html;

use crate::context::Context;
use crate::frame::{self, Shows};
use crate::marks::{self, Mark};
use crate::words::cut;

/// A page instead of the one that was asked for.
pub fn told(context: &Context, title: &str, causes: &[String], hint: Option<&str>) -> String {
    let body = html! {
        header .top { h1 { (marks::shape(Mark::Warn)) (cut(title, 300)) } }
        @for cause in causes.iter().take(10) { p { (cut(cause, 400)) } }
        @if let Some(hint) = hint { p { strong { "What to do: " } (cut(hint, 400)) } }
        p { a href="/" { "To the overview" } }
    };
    frame::page(context, None, Shows::AsItWas, title, &body)
}
