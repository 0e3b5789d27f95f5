//! Who may see a site: everybody; or people who signed in, and programs that know its generated password.
//!
//! ```text
//!   request ─► /.roadbed/… ─► door ──────────────► control: book of links, provider, key that signs sessions
//!     │                        └─ pages, cookies ◄──┘
//!     └──► session (signed cookie) or password ─► the app, told who it is; or the page that asks to sign in
//! ```
//!
//! Control signs sessions and the edge verifies them by a public key, which lies beside the routes: so an edge lets in whoever has
//! signed in whatever control does, and none can make a session up.

pub mod door;
pub mod pages;
pub mod password;
pub mod session;

use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use crate::admission::Admitted;
use crate::connection::{Door, Visitor};
use crate::guard::Asked;
use crate::refusal::Refusal;
use password::Credential;
use session::Session;

/// Who the app behind may believe that a visitor is. Stripped from what anybody sends.
pub const USER: HeaderName = HeaderName::from_static("x-roadbed-user");
pub const EMAIL: HeaderName = HeaderName::from_static("x-roadbed-email");

/// On every answer of a protected site, and on every page of ours that refuses.
pub const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
pub const NO_INDEX: HeaderValue = HeaderValue::from_static("noindex, nofollow");

/// The beginning of the names of all cookies of ours. The prefix has browsers refuse one that another host or a page without TLS set.
pub const COOKIES: &str = "__Host-roadbed";
/// The cookie of a session.
pub const SESSION: &str = "__Host-roadbed";

#[derive(Debug)]
pub enum Access {
    Public,
    Protected(Protected),
}

/// Who else than everybody.
#[derive(Debug)]
pub struct Protected {
    pub credentials: Vec<Credential>,
    /// Where people may sign in, as a button names it.
    pub sign_in: Option<String>,
}

impl Access {
    pub fn protected(&self) -> Option<&Protected> {
        match self {
            Self::Public => None,
            Self::Protected(protected) => Some(protected),
        }
    }
}

/// Who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody: the site is public.
    Anybody,
    Person(Arc<Session>),
    /// By a password.
    Program(String),
}

/// Lets in who may see the site.
pub fn admit(
    access: &Access,
    admitted: &Admitted,
    (parts, asked): (&Parts, &Asked),
    visitor: &Visitor,
    now: host::clock::Timestamp,
) -> Result<Who, Refusal> {
    let Some(protected) = access.protected() else { return Ok(Who::Anybody) };
    let by_password = password::admit(&protected.credentials, &parts.headers);
    let who = match (by_password, cookie(&parts.headers, SESSION)) {
        (Ok(user), _) => Who::Program(user),
        // Sessions are for a public host over TLS; apps among themselves have none.
        (Err(_), Some(shown)) if visitor.door == Door::Https => {
            Who::Person(admitted.sessions.admit(shown, &asked.host, now)?)
        }
        (Err(refusal), _) => return Err(refusal),
    };
    refuse_other_sites(parts, asked)?;
    Ok(who)
}

/// Browsers send cookies and passwords along with what a page of somebody else's asks for. Reading it they prevent; changing something
/// and opening a WebSocket they do not, and another host of the same domain counts as the same site to them.
fn refuse_other_sites(parts: &Parts, asked: &Asked) -> Result<(), Refusal> {
    let only_reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let is_upgrade = parts.headers.contains_key(http::header::UPGRADE) || parts.method == Method::CONNECT;
    if only_reads && !is_upgrade {
        return Ok(());
    }
    let Some(origin) = parts.headers.get(ORIGIN) else { return Ok(()) };
    let own = format!("https://{}", asked.authority.to_ascii_lowercase());
    if origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()) { Ok(()) } else { Err(Refusal::OtherSite) }
}

impl Who {
    /// What the app is told: who it is, and nothing of how that was shown to us.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let told = |text: &str| HeaderValue::from_str(text).ok();
        match self {
            Self::Anybody => return,
            Self::Person(session) => {
                if let Some(user) = told(&session.user) {
                    headers.insert(USER, user);
                }
                if let Some(email) = session.email.as_deref().and_then(told) {
                    headers.insert(EMAIL, email);
                }
            }
            Self::Program(user) => {
                headers.remove(AUTHORIZATION);
                if let Some(user) = told(&format!("program:{user}")) {
                    headers.insert(USER, user);
                }
            }
        }
        without_our_cookies(headers);
    }

    /// For the access log.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anybody => None,
            Self::Person(session) => Some(&session.user),
            Self::Program(user) => Some(user),
        }
    }
}

/// Nobody lists what is protected, and nobody between us and the visitor keeps it for others.
pub fn keep_private(headers: &mut HeaderMap) {
    headers.insert(ROBOTS, NO_INDEX);
    let told = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if told.contains("private") || told.contains("no-store") {
        return;
    }
    let rest = told.split(',').map(str::trim).filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("public"));
    let private: Vec<&str> = std::iter::once("private").chain(rest).collect();
    if let Ok(value) = HeaderValue::from_str(&private.join(", ")) {
        headers.insert(CACHE_CONTROL, value);
    }
}

/// The first cookie of a name. Of ours a browser has one: nobody else can set it for this host.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// What is left in `Cookie` is the app's.
fn without_our_cookies(headers: &mut HeaderMap) {
    let is_ours = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        name.get(..COOKIES.len()).is_some_and(|start| start.eq_ignore_ascii_case(COOKIES))
    };
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        // What is not text holds none of ours: those are.
        let Ok(text) = line.to_str() else {
            if !line.as_bytes().windows(COOKIES.len()).any(|part| part.eq_ignore_ascii_case(COOKIES.as_bytes())) {
                headers.append(COOKIE, line);
            }
            continue;
        };
        let kept: Vec<&str> =
            text.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !is_ours(pair)).collect();
        if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_str(&kept.join("; "))) {
            headers.append(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn an_app_sees_its_own_cookies_and_none_of_ours() {
        let mut headers =
            cookies(&["a=1; __Host-roadbed=secret; b=2", "__host-ROADBED-form=x", "c=3;__Host-roadbed-state=y"]);
        without_our_cookies(&mut headers);
        let left: Vec<&str> = headers.get_all(COOKIE).iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(left, ["a=1; b=2", "c=3"]);
    }

    #[test]
    fn what_is_protected_is_nobodys_to_keep() {
        for (told, kept) in [
            (None, "private"),
            (Some("public, max-age=5"), "private, max-age=5"),
            (Some("no-store"), "no-store"),
            (Some("no-cache"), "private, no-cache"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(told) = told {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(told));
            }
            keep_private(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], kept);
            assert_eq!(headers[ROBOTS], "noindex, nofollow");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = cookies(&["x__Host-roadbed=no; __Host-roadbed-form=f; __Host-roadbed=yes"]);
        assert_eq!(cookie(&headers, SESSION), Some("yes"));
        assert_eq!(cookie(&headers, "__Host-roadbed-form"), Some("f"));
        assert_eq!(cookie(&headers, "nothing"), None);
    }
}
