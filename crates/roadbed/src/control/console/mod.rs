//! The console, as the edge asks for it: who is it, what do they see, what do they change.
//!
//! ```text
//!   edge ─ /console/… ─► visitor: session, what it grants ─► pages: what control and telemetry know ─► web_console ─► HTML
//!                             │                      └─────► actions: a form with the session's token, noted, done, led on
//!                             └────────────────────────────► live: a line for each change, for the script
//! ```
//!
//! Whoever is at the other end of control's socket is the edge, or has the machine anyway. It says which session it let in; what that
//! one may do is looked up here each time, so a session that was ended does nothing more, whatever the edge knows by then.

mod actions;
mod backups;
mod live;
mod pages;
mod service_figures;
mod visitor;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use reconcile::Fault;

use super::Control;
use visitor::{Stranger, Visitor};

/// What pages show of themselves while they are open.
#[derive(Debug, Default)]
pub(super) struct Console {
    live: live::Live,
}

/// What comes of a request.
#[derive(Debug)]
enum Shown {
    Page(StatusCode, String),
    Asset(&'static web_console::assets::Asset),
    /// After a form: a page that can be loaded again.
    Elsewhere(String),
    Live(Body),
}

/// Answers the edge.
pub(super) async fn answer(State(control): State<Arc<Control>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix(edge::console::PREFIX).unwrap_or("/").to_owned();
    if let (&(Method::GET | Method::HEAD), Some(asset)) = (&parts.method, web_console::assets::of(&path)) {
        return respond(Shown::Asset(asset));
    }
    let visitor = match Visitor::of(&control, &parts.headers).await {
        Ok(visitor) => visitor,
        Err(Stranger::Unknown) => {
            return plain(StatusCode::FORBIDDEN, "Nobody is signed in. Ask for a link: roadbed console");
        }
        Err(Stranger::Unread(fault)) => {
            tracing::error!(causes = ?fault.causes, "the console cannot tell who it is: {fault}");
            return plain(StatusCode::SERVICE_UNAVAILABLE, "Who is signed in cannot be told right now.");
        }
    };
    let shown = match parts.method {
        Method::GET | Method::HEAD if path == "/live" => Ok(Shown::Live(live::stream(&control))),
        Method::GET | Method::HEAD => pages::page(&control, &visitor, &path, parts.uri.query()).await,
        Method::POST => actions::act(&control, &visitor, &path, &parts.headers, body).await,
        _ => Err(Told::method()),
    };
    let redactions = control.redactions_as_wanted();
    let shown = shown.unwrap_or_else(|told| told.page(&visitor));
    respond(match shown {
        Shown::Page(status, page) => Shown::Page(status, redactions.redact(&page).into_owned()),
        other => other,
    })
}

/// Why there is no such page, or why it was not done.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    fault: Fault,
}

impl Told {
    fn new(status: StatusCode, fault: Fault) -> Self {
        Self { status, fault }
    }

    fn nothing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Fault::new(format!("There is no {what} here")))
    }

    fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Fault::new("This page does not take that method"))
    }

    fn page(&self, visitor: &Visitor) -> Shown {
        let Fault { message, causes, hint, .. } = &self.fault;
        Shown::Page(self.status, web_console::told(&visitor.context, message, causes, hint.as_deref()))
    }
}

impl From<Fault> for Told {
    fn from(fault: Fault) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, fault)
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    guard(&mut response);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn respond(shown: Shown) -> Response {
    let (status, kind, body) = match shown {
        Shown::Page(status, page) => (status, "text/html; charset=utf-8", Body::from(page)),
        Shown::Asset(asset) => {
            let mut response = Response::new(Body::from(asset.text));
            guard(&mut response);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
            // Its name changes with it.
            let forever = HeaderValue::from_static("private, max-age=31536000, immutable");
            response.headers_mut().insert(header::CACHE_CONTROL, forever);
            return response;
        }
        Shown::Elsewhere(path) => {
            let mut response = plain(StatusCode::SEE_OTHER, "Done");
            response.headers_mut().extend(HeaderValue::from_str(&path).ok().map(|path| (header::LOCATION, path)));
            return response;
        }
        Shown::Live(body) => (StatusCode::OK, "text/event-stream", body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    guard(&mut response);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// On every answer: what a browser may do with it. HTTPS is promised by the edge.
fn guard(response: &mut Response) {
    let policies = [
        (header::CONTENT_SECURITY_POLICY, web_console::POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=()"),
    ];
    for (name, policy) in policies {
        response.headers_mut().insert(name, HeaderValue::from_static(policy));
    }
}
