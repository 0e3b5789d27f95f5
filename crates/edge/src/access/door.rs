//! Where people come in: everything below `/.roadbed/` of a protected site.
//!
//! | path | | who answers |
//! | --- | --- | --- |
//! | `enter?token=…` | GET: a button; POST: the link is used up | edge; control |
//! | `begin` | POST: off to the provider | control |
//! | `callback?code=…` | GET: back from there | control |
//! | `sign-out` | GET: a button; POST: the session ends | edge; control |
//!
//! Control keeps the book and the key, so it is asked over its own socket, and only here: a request to the app never waits for it.
//! What changes something takes a form that came from us: its field is the cookie that was set with it, and no other site knows either.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use host::clock::Timestamp;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::pages::{self, cookie as set_cookie};
use super::{NO_INDEX, Protected, ROBOTS, SESSION, cookie};
use crate::admission::Admitted;
use crate::asking;
use crate::body::Body;
use crate::guard::Asked;
use crate::log::Entry;
use crate::pages::Taste;
use crate::refusal::Refusal;

/// The beginning of our paths on protected sites.
pub const DOOR: &str = "/.roadbed/";
/// What shows that a form came from us.
pub const FORM: &str = "__Host-roadbed-form";
/// Which browser went to the provider.
const STATE: &str = "__Host-roadbed-state";
/// Whoever signs in at a provider is back by then.
const STATE_SECONDS: u64 = 600;

/// Bytes of a form.
const LARGEST: usize = 16 * 1024;
/// A form comes whole or not at all.
const FORM_PATIENCE: Duration = Duration::from_secs(10);
/// Control may have to ask a provider twice, with five seconds each.
const CONTROL_PATIENCE: Duration = Duration::from_secs(15);
/// Where a page leads back to is not longer.
const LONGEST_PATH: usize = 2048;
/// Parameters of an answer from a provider that are looked at.
const PARAMETERS: usize = 16;

/// What control is asked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "knock", rename_all = "kebab-case")]
pub enum Knock {
    /// The button of a link was pressed.
    Redeem { host: String, token: String, client: String },
    /// Somebody wants to sign in at the provider, and then see `to`.
    Begin { host: String, origin: String, to: String, client: String },
    /// Somebody comes from there, in the browser that has this `state`.
    Return { host: String, origin: String, said: BTreeMap<String, String>, state: Option<String>, client: String },
    /// The session ends.
    Leave { session: String, client: String },
}

impl std::fmt::Debug for Knock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Redeem { .. } => "Redeem(..)",
            Self::Begin { .. } => "Begin(..)",
            Self::Return { .. } => "Return(..)",
            Self::Leave { .. } => "Leave(..)",
        })
    }
}

/// What control says.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "opened", rename_all = "kebab-case")]
pub enum Opened {
    Inside {
        session: String,
        seconds: u64,
        to: String,
    },
    /// The provider is asked at this address; the browser keeps `state`.
    Elsewhere {
        location: String,
        state: String,
    },
    Left,
    Refused {
        why: WhyNot,
    },
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { why } => f.debug_tuple("Refused").field(why).finish(),
            _ => f.write_str("Opened(..)"),
        }
    }
}

/// Why nobody is signed in, as far as a stranger is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyNot {
    /// No such link, or not for this host.
    NoLink,
    LinkUsed,
    LinkOver,
    /// Nobody signs in at a provider here.
    NotOffered,
    ProviderAway,
    /// What came back from the provider is not believed.
    NotBelieved,
    /// It is somebody, and the manifest does not let them in.
    NotAllowed,
    /// The sign-in was not begun in this browser, or too long ago.
    NotBegun,
    TooMany,
}

impl WhyNot {
    pub const ALL: [Self; 9] = [
        Self::NoLink,
        Self::LinkUsed,
        Self::LinkOver,
        Self::NotOffered,
        Self::ProviderAway,
        Self::NotBelieved,
        Self::NotAllowed,
        Self::NotBegun,
        Self::TooMany,
    ];

    /// The word for it in the access log.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoLink => "no-link",
            Self::LinkUsed => "link-used",
            Self::LinkOver => "link-over",
            Self::NotOffered => "sign-in-not-offered",
            Self::ProviderAway => "provider-away",
            Self::NotBelieved => "sign-in-not-believed",
            Self::NotAllowed => "sign-in-not-allowed",
            Self::NotBegun => "sign-in-not-begun",
            Self::TooMany => "sign-in-too-many",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoLink => "This link signs nobody in here. Ask who gave it to you for another one.",
            Self::LinkUsed => {
                "This link was used before. If that was not you, tell who gave it to you; they can end that session and make another link."
            }
            Self::LinkOver => "This link has expired. Ask who gave it to you for another one.",
            Self::NotOffered => "Nobody signs in this way here. Ask the operator for a link.",
            Self::ProviderAway => "The sign-in service does not answer right now. Please try again in a moment.",
            Self::NotBelieved => {
                "The sign-in service gave an answer that is not accepted. Please try again; the operator's audit log says why."
            }
            Self::NotAllowed => "You are who you say, and may not come in here. Ask the operator to let you in.",
            Self::NotBegun => "This sign-in was begun too long ago, or in another browser. Please begin again.",
            Self::TooMany => "Too many people are signing in. Please try again in a moment.",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::ProviderAway | Self::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        }
    }
}

/// A visit to the door.
#[derive(Debug)]
pub struct Visit<'a> {
    pub protected: &'a Protected,
    pub admitted: &'a Admitted,
    /// Where control listens.
    pub control: &'a PathBuf,
    pub id: &'a HeaderValue,
    pub now: Timestamp,
}

impl Visit<'_> {
    /// The page for who is not let in: how to sign in. Programs are told to show a password.
    pub fn ask(&self, parts: &Parts, asked: &Asked, refusal: Refusal) -> Result<Response<Body>, Refusal> {
        let by_browser = matches!(parts.method, Method::GET | Method::HEAD)
            && Taste::of(&parts.headers) == Taste::Page
            && parts.headers.get(http::header::ACCEPT).is_some_and(|accept| contains(accept, "text/html"));
        if !by_browser || refusal.status() != StatusCode::UNAUTHORIZED {
            return Err(refusal);
        }
        let nonce = nonce(parts);
        Ok(pages::sign_in(self.protected.sign_in.as_deref(), asked.target.as_str(), &nonce, self.id))
    }

    pub async fn answer(
        &self,
        parts: &Parts,
        body: Incoming,
        asked: &Asked,
        entry: &mut Entry,
    ) -> Result<Response<Body>, Refusal> {
        let path = asked.target.path().strip_prefix(DOOR).unwrap_or_default();
        let query = || pairs(asked.target.query().unwrap_or_default().as_bytes());
        let client = asked.client.to_string();
        let host = asked.host.clone();
        match (&parts.method, path) {
            (&Method::GET | &Method::HEAD, "enter") => {
                let query = query();
                let token = query.get("token").filter(|token| is_token(token));
                match token {
                    Some(token) => Ok(pages::enter(token, &nonce(parts), self.id)),
                    None => Ok(self.refused(WhyNot::NoLink, entry)),
                }
            }
            (&Method::POST, "enter") => {
                let form = form(parts, body).await?;
                let Some(token) = form.get("token").filter(|token| is_token(token)) else {
                    return Ok(self.refused(WhyNot::NoLink, entry));
                };
                self.knock(&Knock::Redeem { host, token: token.clone(), client }, asked, entry).await
            }
            (&Method::POST, "begin") => {
                let form = form(parts, body).await?;
                let to = own_path(form.get("to").map(String::as_str)).to_owned();
                self.knock(&Knock::Begin { host, origin: origin(asked), to, client }, asked, entry).await
            }
            (&Method::GET, "callback") => {
                let state = cookie(&parts.headers, STATE).filter(|state| is_token(state)).map(str::to_owned);
                let said = query();
                self.knock(&Knock::Return { host, origin: origin(asked), said, state, client }, asked, entry).await
            }
            (&Method::GET | &Method::HEAD, "sign-out") => Ok(pages::leave(&nonce(parts), self.id)),
            (&Method::POST, "sign-out") => {
                form(parts, body).await?;
                let session = cookie(&parts.headers, SESSION)
                    .and_then(|shown| self.admitted.sessions.admit(shown, &asked.host, self.now).ok());
                match session {
                    Some(session) => {
                        self.knock(&Knock::Leave { session: session.id.clone(), client }, asked, entry).await
                    }
                    // There is none that could end.
                    None => Ok(self.left()),
                }
            }
            (_, "enter" | "begin" | "callback" | "sign-out") => Err(Refusal::MethodNotAllowed),
            _ => Err(Refusal::NotFound),
        }
    }

    async fn knock(&self, knock: &Knock, asked: &Asked, entry: &mut Entry) -> Result<Response<Body>, Refusal> {
        let opened = match timeout(CONTROL_PATIENCE, asking::control(self.control, "/access/knock", knock)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                tracing::warn!(%error, "nobody can sign in: control does not answer");
                return Err(Refusal::DoorUnattended);
            }
            Err(_) => return Err(Refusal::DoorUnattended),
        };
        Ok(match opened {
            Opened::Inside { session, seconds, to } => {
                let mut response = self.see_other(&format!("{}{}", origin(asked), own_path(Some(&to))));
                add_cookie(&mut response, &set_cookie(FORM, "", 0, "Strict"));
                add_cookie(&mut response, &set_cookie(STATE, "", 0, "Lax"));
                add_cookie(&mut response, &set_cookie(SESSION, &session, seconds, "Lax"));
                response
            }
            Opened::Elsewhere { location, state } => {
                let mut response = self.see_other(&location);
                add_cookie(&mut response, &set_cookie(STATE, &state, STATE_SECONDS, "Lax"));
                response
            }
            Opened::Left => self.left(),
            Opened::Refused { why } => self.refused(why, entry),
        })
    }

    fn left(&self) -> Response<Body> {
        let mut response = pages::gone(self.id);
        add_cookie(&mut response, &set_cookie(SESSION, "", 0, "Lax"));
        response
    }

    fn refused(&self, why: WhyNot, entry: &mut Entry) -> Response<Body> {
        entry.failed(why.code());
        pages::refused(why.status(), why.sentence(), self.id)
    }

    fn see_other(&self, location: &str) -> Response<Body> {
        let page = "<h1>Signed in</h1>\n<p>You are being led on.</p>\n";
        let text = crate::pages::in_frame("Going on", page, self.id.to_str().unwrap_or("-"));
        let mut response = crate::pages::of_ours(StatusCode::SEE_OTHER, "text/html; charset=utf-8", Bytes::from(text));
        response.headers_mut().insert(ROBOTS, NO_INDEX);
        if let Ok(location) = HeaderValue::from_str(location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

fn add_cookie(response: &mut Response<Body>, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

fn contains(value: &HeaderValue, text: &str) -> bool {
    value.to_str().is_ok_and(|value| value.contains(text))
}

/// As browsers write an origin: of the host that was asked for, which is one of ours.
fn origin(asked: &Asked) -> String {
    format!("https://{}", asked.authority.to_ascii_lowercase().trim_end_matches(":443"))
}

/// A path of this site, or its first page. What begins with two slashes, or a backslash that browsers read as one, names another host.
pub fn own_path(to: Option<&str>) -> &str {
    let is_own = |to: &&str| {
        to.starts_with('/')
            && !to[1..].starts_with(['/', '\\'])
            && to.len() <= LONGEST_PATH
            && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !to.starts_with(DOOR)
    };
    to.filter(is_own).unwrap_or("/")
}

/// What links and states are made of.
fn is_token(text: &str) -> bool {
    (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// The value of forms in this browser: the one that it has, so that a second page does not break the first.
fn nonce(parts: &Parts) -> String {
    let known = cookie(&parts.headers, FORM).filter(|known| is_token(known)).map(str::to_owned);
    known.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string())
}

/// The fields of a form that came from us.
async fn form(parts: &Parts, body: Incoming) -> Result<BTreeMap<String, String>, Refusal> {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::NotOurForm);
    }
    // Browsers that say so would tell of a form on a page of somebody else's.
    let site = parts.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| site != "same-origin") {
        return Err(Refusal::NotOurForm);
    }
    let read = timeout(FORM_PATIENCE, Limited::new(body, LARGEST).collect()).await;
    let bytes = match read {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Err(Refusal::UploadBroken),
        Err(_) => return Err(Refusal::UploadStalled),
    };
    let fields = pairs(&bytes);
    let shown = cookie(&parts.headers, FORM).filter(|shown| is_token(shown));
    match (shown, fields.get("form")) {
        (Some(shown), Some(field)) if shown == field => Ok(fields),
        _ => Err(Refusal::NotOurForm),
    }
}

/// Each name once: of one that stands twice nobody can tell which is meant.
fn pairs(text: &[u8]) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut twice = Vec::new();
    for (name, value) in url::form_urlencoded::parse(text).take(PARAMETERS) {
        if found.insert(name.to_string(), value.into_owned()).is_some() {
            twice.push(name.into_owned());
        }
    }
    twice.iter().for_each(|name| {
        found.remove(name);
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_host() {
        for own in ["/", "/orders?page=2&q=%2F%2Fevil", "/a//b", "/%5Cevil.example", "/@evil.example"] {
            assert_eq!(own_path(Some(own)), own);
        }
        for other in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "evil.example",
            "",
            "/a b",
            "/a\r\nSet-Cookie: x=y",
            "/\t/evil.example",
            "/\u{e9}",
            "/a\\..\\..\\evil",
            "/.roadbed/sign-out",
        ] {
            assert_eq!(own_path(Some(other)), "/", "{other:?}");
        }
        assert_eq!(own_path(None), "/");
        assert_eq!(own_path(Some(&format!("/{}", "a".repeat(LONGEST_PATH)))), "/");
    }

    #[test]
    fn of_a_name_that_stands_twice_there_is_none() {
        let found = pairs(b"code=a&state=b&code=c&iss=https%3A%2F%2Fid.example");
        assert_eq!(found.get("code"), None);
        assert_eq!(found["iss"], "https://id.example");
    }
}
