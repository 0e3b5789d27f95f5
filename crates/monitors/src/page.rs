//! What the public sees: how it goes, without a script, and without what is nobody's business. And where heartbeats arrive.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use host::clock::Timestamp;
use reconcile::ports::STATUS_PATH;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::book;
use crate::settings::Probe;
use crate::shown::{MonitorState, Shown};
use crate::watch::Monitors;

/// The digest of the style below, which is all that the page may load.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{max-width:42rem;margin:3rem auto;padding:0 1rem}\
h1{font-size:1.4rem}ul{list-style:none;padding:0}\
li{display:flex;justify-content:space-between;gap:1rem;padding:.6rem 0;border-bottom:1px solid #8884}\
.up{color:#15803d}.down{color:#b91c1c}.other{color:#767676}\
@media(prefers-color-scheme:dark){.up{color:#4ade80}.down{color:#f87171}.other{color:#a3a3a3}}\
footer{color:#767676;font-size:.85rem;margin-top:2rem}";

/// For the door that strangers come in by: the page, and heartbeats.
pub fn public_routes(monitors: Arc<Monitors>) -> Router {
    Router::new().route(STATUS_PATH, get(page)).with_state(Arc::clone(&monitors)).merge(heartbeats(monitors))
}

/// Where heartbeats arrive: told apart by a token that nobody guesses.
pub fn heartbeats(monitors: Arc<Monitors>) -> Router {
    Router::new().route("/heartbeat/{monitor}/{token}", any(beat)).with_state(monitors)
}

async fn page(State(monitors): State<Arc<Monitors>>) -> Response {
    if !monitors.settings.status_page {
        return StatusCode::NOT_FOUND.into_response();
    }
    let states = monitors.states().await.unwrap_or_default();
    let html = render(&monitors.settings.product, &states, Timestamp::from_unix_millis(monitors.now()));
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "public, max-age=15"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, html).into_response()
}

async fn beat(State(monitors): State<Arc<Monitors>>, Path((name, token)): Path<(String, String)>) -> Response {
    let known = monitors.settings.monitor(&name).and_then(|monitor| match &monitor.probe {
        Probe::Heartbeat { digest, .. } => Some(digest.clone()),
        _ => None,
    });
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    // Whoever guesses is not told whether there is such a monitor.
    if !known.is_some_and(|known| bool::from(known.as_bytes().ct_eq(digest.as_bytes()))) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let now = monitors.now();
    match monitors.book.on(move |book| book::beat(book, &name, now)).await {
        Ok(()) => "heard\n".into_response(),
        // Comes again: what was not kept was not heard.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn render(product: &str, states: &[MonitorState], now: Timestamp) -> String {
    let public: Vec<&MonitorState> = states.iter().filter(|state| state.public.is_some()).collect();
    let (class, headline) = if public.iter().any(|state| matches!(state.shown, Shown::Down | Shown::Hidden)) {
        ("down", "Some of it does not work right now")
    } else if public.iter().all(|state| state.shown == Shown::Up) {
        ("up", "Everything works")
    } else {
        ("other", "Some of it is being looked at")
    };
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"60\"><title>{0}: {headline}</title><style>{STYLE}</style></head>\
         <body><main><h1>{0}</h1><p class=\"{class}\" role=\"status\"><strong>{headline}</strong></p><ul>",
        escaped(product)
    );
    for state in public {
        let (class, word) = match state.shown {
            Shown::Up => ("up", "works"),
            Shown::Down | Shown::Hidden => ("down", "does not work"),
            Shown::Paused => ("other", "is being worked on"),
            Shown::New | Shown::Unknown => ("other", "not known"),
        };
        let day = state.day.map(|day| format!(" · {day:.2} % in a day")).unwrap_or_default();
        let name = escaped(state.public.as_deref().unwrap_or(""));
        html.push_str(&format!("<li><span>{name}</span><span class=\"{class}\">{word}{day}</span></li>"));
    }
    html.push_str(&format!("</ul></main><footer>As of {now}</footer></body></html>"));
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
