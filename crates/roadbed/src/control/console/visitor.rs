//! Who looks at the console, and what they may do there.

use std::fmt;

use edge::access::session::Session;
use http::HeaderMap;
use manifest::Environment;
use reconcile::Fault;
use sha2::{Digest, Sha256};
use web_console::{Context, Role};

use crate::control::Control;
use crate::control::access::{self, Grant};
use crate::wanted::Wanted;

/// Somebody whom the edge let in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) context: Context,
    /// Number in the book; a program that knows the password has none.
    pub(super) session: Option<i64>,
    /// The person whom a key of their own proved them to be: their word on a deployment counts.
    pub(super) person: Option<String>,
    /// From where.
    pub(super) client: String,
    pub(super) want: Wanted,
    pub(super) environment: Environment,
}

/// Whom nothing is shown to.
#[derive(Debug)]
pub(super) enum Stranger {
    Unknown,
    Unread(Fault),
}

impl From<Fault> for Stranger {
    fn from(fault: Fault) -> Self {
        Self::Unread(fault)
    }
}

impl Visitor {
    pub(super) async fn of(control: &Control, headers: &HeaderMap) -> Result<Self, Stranger> {
        let word = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let user = word(edge::access::USER).ok_or(Stranger::Unknown)?;
        let (want, environment) = access::wanted_of(control, "cannot show the console")?;
        let console = environment.console.as_ref().ok_or(Stranger::Unknown)?;
        let now = control.clock.now();
        let number = word(edge::console::SESSION).and_then(|id| id.strip_prefix('s')?.parse::<i64>().ok());
        let held = number.map(|number| control.access.held(number, &console.host, now)).transpose()?;
        let (role, grant) = match held {
            // By the password of programs: they look.
            None => (Role::Viewer, None),
            // It was ended, or is over.
            Some(None) => return Err(Stranger::Unknown),
            Some(Some((_, Some(Grant::Look)))) => (Role::Viewer, None),
            Some(Some((_, Some(grant)))) => (Role::Operator, Some(grant)),
            Some(Some((session, None))) => {
                let is_operator = session.email.is_some_and(|email| console.operators.contains(&email.to_lowercase()));
                (if is_operator { Role::Operator } else { Role::Viewer }, None)
            }
        };
        let token = match number {
            Some(number) => self::token(control, &want, number).await?,
            None => String::new(),
        };
        let context = Context {
            product: environment.product.to_string(),
            environment: environment.reference().to_string(),
            user: user.to_owned(),
            role,
            token,
            now,
            notice: None,
        };
        Ok(Self {
            context,
            session: number,
            person: grant.filter(|grant| *grant == Grant::Person).map(|_| user.to_owned()),
            client: word(edge::console::CLIENT).unwrap_or("-").to_owned(),
            want,
            environment,
        })
    }

    /// Whether a form came from a page of this session.
    pub(super) fn sent(&self, token: &str) -> bool {
        // Of digests: how long the comparison takes says nothing of the token.
        self.session.is_some()
            && !self.context.token.is_empty()
            && Sha256::digest(token.as_bytes()) == Sha256::digest(self.context.token.as_bytes())
    }
}

impl fmt::Display for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context.user)
    }
}

/// What goes with the forms of a session: a digest of what only the key of this environment signs, so nothing has to be kept, and no
/// control that is started anew breaks a page that is open. It says nothing of the session's cookie.
async fn token(control: &Control, want: &Wanted, number: i64) -> Result<String, Fault> {
    let signer = control.access.signer(control, want).await?;
    // At no host and at no time: this is no session that lets anybody in.
    let signed = signer.sign(&Session {
        id: format!("forms of s{number}"),
        user: String::new(),
        email: None,
        hosts: Vec::new(),
        from_ms: 0,
        until_ms: 0,
    });
    Ok(Sha256::digest(signed.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}
