//! What all pages have in common: navigation, who looks, where one searches.

use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::context::{Context, PLACES, Place};
use crate::marks;

/// What a browser may do with a page of ours: take our own two files, and send forms back. No script and no style of a page itself.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether a page shows by itself what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Live,
    AsItWas,
}

pub(crate) fn page(context: &Context, place: Option<Place>, shows: Shows, title: &str, body: &Markup) -> String {
    let live = (shows == Shows::Live).then_some("/live");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (context.environment) " · " (context.product) }
                link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
                link rel="stylesheet" href=(assets::STYLE.path());
                script src=(assets::SCRIPT.path()) {}
            }
            body data-live=[live] {
                a .skip href="#content" { "Skip to the content" }
                (bar(context, place))
                main #content tabindex="-1" {
                    @if let Some(notice) = &context.notice {
                        p .notice role="status" { (notice) }
                    }
                    (body)
                }
                (keys())
            }
        }
    };
    page.into_string()
}

fn bar(context: &Context, place: Option<Place>) -> Markup {
    html! {
        header .bar {
            div .brand {
                svg .logo viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" {
                    path d="M8.2 3 3 21M15.8 3 21 21M12 4v3m0 3.5v3M12 17v3" {}
                }
                a href="/" { (context.product) }
                (marks::environment(&context.environment))
            }
            form .find action="/search" role="search" {
                label .quiet for="find" { "Find a request, a trace or words" }
                input #find name="q" type="search" placeholder="Find" autocomplete="off" spellcheck="false";
                kbd aria-hidden="true" { "/" }
            }
            nav aria-label="Pages" {
                ul {
                    @for (of, path, name, key) in PLACES {
                        li {
                            a href=(path) aria-current=[(place == Some(of)).then_some("page")] data-key=(key) { (name) }
                        }
                    }
                }
            }
            div .who {
                span .name { (context.user) }
                span .role { (context.role.as_str()) }
                button #theme type="button" hidden { "Light or dark" }
                a href="/.roadbed/sign-out" { "Sign out" }
            }
        }
    }
}

/// Shown by `?`, where scripts run.
fn keys() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl {
                div { dt { kbd { "/" } } dd { "Find" } }
                div { dt { kbd { "j" } " " kbd { "k" } } dd { "Next and previous row" } }
                div { dt { kbd { "Enter" } } dd { "Open the row" } }
                @for (_, _, name, key) in PLACES {
                    div { dt { kbd { "g" } " " kbd { (key) } } dd { (name) } }
                }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// A form that changes something: one button, and the token of the session.
pub(crate) fn button(context: &Context, action: &str, class: &str, text: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        form .act method="post" action=(action) {
            input type="hidden" name="token" value=(context.token);
            @for (name, value) in fields {
                input type="hidden" name=(name) value=(value);
            }
            button .(class) { (text) }
        }
    }
}

/// What stands where nothing is.
pub(crate) fn nothing(text: &str, more: &str) -> Markup {
    html! { div .nothing { p { (text) } @if !more.is_empty() { p .soft { (more) } } } }
}
