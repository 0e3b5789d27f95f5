//! Links and sessions, as whoever has the machine makes, lists and ends them.

use std::sync::Arc;
use std::time::Duration;

use host::clock::Timestamp;
use reconcile::Fault;
use secrets::audit::Action;
use secrets::generate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::book::{Grant, Kept, Link, MOST_LINKS, NewLink};
use super::{broken, protected, record, telling, wanted_of};
use crate::control::lending::Peer;
use crate::control::lent::Token;
use crate::control::{Control, convergence};
use crate::world::access::CONSOLE;

/// How every token of a link begins.
const BEGINNING: &str = "rbln_";
/// A session that outlives a week is somebody's forgotten browser.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What lies in an inbox longer than this is somebody else's by then.
const LONGEST_UNUSED: Duration = Duration::from_secs(24 * 60 * 60);

/// A link that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToLink {
    /// `None`: the only protected one.
    pub app: Option<String>,
    /// For whom: what the app and the audit log are told.
    pub name: String,
    /// How long whoever uses it is signed in, in seconds.
    pub seconds: u64,
    /// How long it may be used, in seconds.
    pub usable: u64,
    /// Who asks.
    pub by: String,
    /// A link to the console, and what it lets do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<Grant>,
    /// Of a login: then a link to the console that lets change things is that person's, whatever name was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// A link that was made: the only time that it is seen. Its `Debug` shows nothing of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct LinkMade {
    pub url: String,
    #[serde(flatten)]
    pub about: ShownLink,
}

impl std::fmt::Debug for LinkMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkMade").field("about", &self.about).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Holds,
    Used,
    Over,
    Revoked,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Used => "used",
            Self::Over => "over",
            Self::Revoked => "revoked",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownLink {
    pub id: String,
    pub user: String,
    pub app: String,
    pub host: String,
    pub made_by: String,
    pub until: String,
    pub standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownSession {
    pub id: String,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    pub host: String,
    /// By which link, or at which provider.
    pub by: String,
    pub client: String,
    pub since: String,
    pub until: String,
    pub standing: Standing,
}

/// Links and sessions of an environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listing {
    pub sessions: Vec<ShownSession>,
    pub links: Vec<ShownLink>,
}

/// What is to be ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToRevoke {
    pub which: Which,
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// `s3` or `l3`.
    One(String),
    All,
}

/// Makes a link. It is noted before anybody has it.
pub async fn make(control: &Arc<Control>, ask: &ToLink, peer: Peer) -> Result<LinkMade, Fault> {
    const HEADLINE: &str = "cannot make a link";
    let cannot = |why: String| Fault::new(HEADLINE).cause(why);
    let (want, environment) = wanted_of(control, HEADLINE)?;
    let all = protected(&environment);
    let named = all.iter().map(|(app, _)| app.as_str()).collect::<Vec<_>>().join(", ");
    let of_console = environment.console.as_ref().map(|console| (CONSOLE.to_owned(), console.host.clone()));
    let (app, host) = match (&ask.app, all.as_slice()) {
        _ if ask.console.is_some() => of_console.as_ref().ok_or_else(|| {
            let reference = environment.reference();
            cannot(format!("{reference} has no console")).hint(format!(
                "write console = {{}} in [environments.{}] of roadbed.toml, then `roadbed up`",
                environment.name
            ))
        })?,
        (_, []) => {
            return Err(cannot(format!("nothing in {} is protected", environment.reference()))
                .hint("access = \"protected\" in an app of roadbed.toml protects it"));
        }
        (None, [only]) => only,
        (None, _) => return Err(cannot(format!("several apps are protected: {named}")).hint("say which with --app")),
        (Some(app), _) => all
            .iter()
            .find(|(name, _)| name == app)
            .ok_or_else(|| cannot(format!("{app} is no protected app")).hint(format!("protected are: {named}")))?,
    };
    let person = ask.token.as_ref().and_then(|token| control.desk.bearer(&token.0, control.clock.now()));
    let (name, grants) = match (ask.console, person) {
        (Some(Grant::Operate), Some(person)) => (person.to_string(), Some(Grant::Person)),
        // Who has the machine is no person by that: nobody proved it.
        (Some(Grant::Person), _) => (ask.name.clone(), Some(Grant::Operate)),
        (grants, _) => (ask.name.clone(), grants),
    };
    if !is_name(&name) {
        return Err(cannot(format!("{name:?} is no name"))
            .hint("the app is told it: 1 to 64 letters, digits and -_.@+ in ASCII"));
    }
    let (lasts, usable) = (Duration::from_secs(ask.seconds), Duration::from_secs(ask.usable));
    for (what, asked, longest) in [("--ttl", lasts, LONGEST), ("--usable", usable, LONGEST_UNUSED)] {
        if asked.is_zero() || asked > longest {
            let hours = longest.as_secs() / 3600;
            return Err(cannot(format!("{what} is {} s", asked.as_secs())).hint(format!("it is {hours}h at most")));
        }
    }
    // Before the link: whoever has one can use it.
    control.access.signer(control, &want).await?;
    let status = convergence::status(control).await?;
    let url = if grants.is_some() { status.console.as_ref() } else { status.urls.get(app) };
    let url = url.ok_or_else(|| cannot(format!("{app} is not served")).hint("`roadbed up` serves it"))?;
    let random = generate::credential().map_err(|error| Fault::because(HEADLINE, &error))?;
    let token = format!("{BEGINNING}{}", random.expose());
    let now = control.clock.now();
    let until = later(now, usable);
    let wanted = NewLink { digest: digest(&token), name: &name, app, host, lasts, made_by: &ask.by, until, grants };
    let book = &control.access.book;
    let id = book
        .keep_link(&wanted, now)
        .map_err(|fault| broken(&fault))?
        .ok_or_else(|| cannot(format!("{MOST_LINKS} wait to be used")).hint("`roadbed access revoke` ends one"))?;
    let details = format!("for {name} at {host}, signed in for {} s, to be used until {until}", lasts.as_secs());
    let noted = record::by_operator(control, Action::LinkMade, &ask.by, peer, format!("link/l{id}"), details).await;
    if let Err(fault) = noted {
        // One that nobody can read of is none.
        let _ = book.revoke_link(id, now);
        return Err(fault);
    }
    let about = ShownLink {
        id: format!("l{id}"),
        user: name,
        app: app.clone(),
        host: host.clone(),
        made_by: ask.by.clone(),
        until: until.to_string(),
        standing: Standing::Holds,
    };
    Ok(LinkMade { url: format!("{}/.roadbed/enter?token={token}", url.trim_end_matches('/')), about })
}

/// What is kept of a token. Of 256 random bits nobody guesses what a digest is of.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// What goes into a header as it is.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte))
}

fn later(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_unix_millis(now.unix_millis() + i64::try_from(span.as_millis()).unwrap_or(0))
}

/// The newest first.
pub fn list(control: &Control) -> Result<Listing, Fault> {
    let now = control.clock.now();
    let book = &control.access.book;
    let sessions = book.sessions().map_err(|fault| broken(&fault))?;
    let links = book.links().map_err(|fault| broken(&fault))?;
    Ok(Listing {
        sessions: sessions.iter().map(|session| session_shown(session, now)).collect(),
        links: links.iter().map(|link| link_shown(link, now)).collect(),
    })
}

fn session_shown(kept: &Kept, now: Timestamp) -> ShownSession {
    ShownSession {
        id: format!("s{}", kept.id),
        user: kept.user.clone(),
        email: kept.email.clone(),
        host: kept.host.clone(),
        by: kept.by.clone(),
        client: kept.client.clone(),
        since: kept.made_at.to_string(),
        until: kept.until.to_string(),
        standing: match kept.ended_at {
            Some(_) => Standing::Revoked,
            None if kept.until <= now => Standing::Over,
            None => Standing::Holds,
        },
    }
}

fn link_shown(link: &Link, now: Timestamp) -> ShownLink {
    ShownLink {
        id: format!("l{}", link.id),
        user: link.name.clone(),
        app: link.app.clone(),
        host: link.host.clone(),
        made_by: link.made_by.clone(),
        until: link.until.to_string(),
        standing: match (link.used_at, link.revoked_at) {
            (Some(_), _) => Standing::Used,
            (None, Some(_)) => Standing::Revoked,
            (None, None) if link.until <= now => Standing::Over,
            (None, None) => Standing::Holds,
        },
    }
}

/// Ends sessions and links at once. What the edge could not be told now it is told when it is back.
pub async fn revoke(control: &Arc<Control>, ask: &ToRevoke, peer: Peer) -> Result<Vec<String>, Fault> {
    let now = control.clock.now();
    let book = &control.access.book;
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number > 0);
    let unknown = |id: &str| {
        Fault::new("cannot end it")
            .cause(format!("there is no session or link {id:?}"))
            .hint("`roadbed access list` shows them")
    };
    let (ended, details) = match &ask.which {
        Which::All => {
            let (sessions, links) = book.end_all(now).map_err(|fault| broken(&fault))?;
            let told = format!("{sessions} sessions and {links} links");
            (vec![told.clone()], told)
        }
        Which::One(id) => {
            let user = match (id.strip_prefix('s').and_then(number), id.strip_prefix('l').and_then(number)) {
                (Some(session), _) => book.end(session, now).map_err(|fault| broken(&fault))?.map(|kept| kept.user),
                (None, Some(link)) => book.revoke_link(link, now).map_err(|fault| broken(&fault))?,
                (None, None) => None,
            };
            let user = user.ok_or_else(|| unknown(id))?;
            (vec![id.clone()], format!("{id} of {user}"))
        }
    };
    // It is ended whether that can be noted, and the edge be told, or not.
    let told = telling::tell_now(control).await;
    record::by_operator(control, Action::SessionEnded, &ask.by, peer, "access".to_owned(), details).await?;
    told.map_err(|fault| {
        Fault::because("it is ended in the book, and the edge does not know yet", &fault)
            .hint("the edge is told as soon as it answers; `roadbed status` shows whether it runs")
    })?;
    Ok(ended)
}
