//! States by shape and by colour: whoever sees no colours sees the shapes.

use maud::{Markup, html};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    /// Goes on by itself.
    Busy,
    Warn,
    Bad,
    /// Nothing can be said, or is wanted.
    Idle,
}

impl Mark {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Idle => "idle",
        }
    }
}

/// The shape alone; what it means stands beside it.
pub(crate) fn shape(mark: Mark) -> Markup {
    html! {
        svg .mark .(mark.class()) viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" {
            @match mark {
                Mark::Good => circle cx="6" cy="6" r="5" {},
                Mark::Busy => path d="M6 1a5 5 0 1 0 5 5h-2a3 3 0 1 1-3-3z" {},
                Mark::Warn => path d="M6 .8 11.6 11H.4z" {},
                Mark::Bad => path d="M6 .4 11.6 6 6 11.6.4 6z" {},
                Mark::Idle => circle .hollow cx="6" cy="6" r="4" {},
            }
        }
    }
}

pub(crate) fn state(mark: Mark, text: &str) -> Markup {
    html! { span .state .(mark.class()) { (shape(mark)) (text) } }
}

/// Which environment: its name is said on every page, and production in its own colour.
pub(crate) fn environment(name: &str) -> Markup {
    let class = match name {
        "production" => "production",
        "staging" => "staging",
        "local" => "local",
        _ => "other",
    };
    html! { span .env .(class) { (name) } }
}

pub(crate) fn level(level: &str) -> Mark {
    match level {
        "fatal" | "error" => Mark::Bad,
        "warning" | "warn" => Mark::Warn,
        _ => Mark::Idle,
    }
}
