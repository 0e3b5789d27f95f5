//! Who may see what is protected: links, sessions, sign-in at a provider, and networks that are kept out.
//!
//! ```text
//!   roadbed access link ──► book ◄── knock ◄── edge ◄── browser          provider
//!                            │        │ begin, return ────────────────────► │
//!                            ▼        ▼ signs the session
//!                          telling ──► edge: public key, ended sessions, lists
//! ```

pub mod book;
pub mod lists;
pub(crate) mod sign_in;
pub mod telling;
mod door;
mod links;
pub(super) mod record;

use std::sync::Arc;

use aws_lc_rs::hmac;
use edge::access::session::{Session, Signer};
use host::clock::Timestamp;
use manifest::Environment;
use manifest::environment::{Access as Visible, Class};
use reconcile::Fault;
use secrets::SecretName;
use tokio::sync::OnceCell;

pub use door::knock;
pub use links::{LinkMade, Listing, ShownLink, ShownSession, Standing, ToLink, ToRevoke, Which, list, make, revoke};

use super::Control;
use super::rotating::{store, store_fault};
use crate::wanted::{self, Wanted};
use book::{Book, BookFault, Kept};

pub use book::Grant;

/// Under which name the key lies that sessions are signed with.
const KEY: &str = "edge/sessions";

/// What control has for it.
#[derive(Debug)]
pub struct Access {
    pub(super) book: Arc<Book>,
    signer: OnceCell<Arc<Signer>>,
    pub(super) desk: sign_in::Desk,
}

impl Access {
    pub fn new(book: Book) -> Self {
        Self { book: Arc::new(book), signer: OnceCell::new(), desk: sign_in::Desk::default() }
    }

    /// A session that holds at a host, with what it was granted.
    pub(super) fn held(&self, id: i64, host: &str, now: Timestamp) -> Result<Option<(Kept, Option<Grant>)>, Fault> {
        self.book.holds(id, host, now).map_err(|fault| broken(&fault))
    }

    /// The key that signs sessions; made where there is none. It is read once in the life of a control.
    pub(crate) async fn signer(&self, control: &Control, want: &Wanted) -> Result<Arc<Signer>, Fault> {
        let made = self.signer.get_or_try_init(|| async {
            let store = store(control, want);
            let name = SecretName::new(KEY);
            let kept = tokio::task::spawn_blocking(move || store.get_or_generate(&name, Class::Secret)).await;
            let kept = kept.map_err(|error| Fault::because("control failed over a key", &error))?;
            let kept = kept.map_err(|fault| store_fault(&fault))?;
            let key = hmac::Key::new(hmac::HMAC_SHA256, kept.secret.expose().as_bytes());
            let of = format!("sessions of {} by {}", control.id, self.book.name);
            let seed = hmac::sign(&key, of.as_bytes());
            let seed = seed.as_ref().try_into().expect("SHA-256 has 32 bytes");
            Ok::<_, Fault>(Arc::new(Signer::from_seed(&seed)))
        });
        made.await.cloned()
    }
}

/// What a browser is given for a session of the book.
fn shown(kept: &Kept) -> Session {
    Session {
        id: format!("s{}", kept.id),
        user: kept.user.clone(),
        email: kept.email.clone(),
        hosts: vec![kept.host.clone()],
        from_ms: kept.made_at.unix_millis(),
        until_ms: kept.until.unix_millis(),
    }
}

/// Protected apps, each with its first host in lower case. The console has links of its own.
fn protected(environment: &Environment) -> Vec<(String, String)> {
    let protected = environment.apps.iter().filter(|app| app.access == Visible::Protected);
    protected.filter_map(|app| Some((app.name.to_string(), app.hosts.first()?.to_ascii_lowercase()))).collect()
}

/// Where people sign in: hosts of protected apps, and of the console.
fn doors(environment: &Environment) -> Vec<String> {
    let of_apps = protected(environment).into_iter().map(|(_, host)| host);
    of_apps.chain(environment.console.iter().map(|console| console.host.clone())).collect()
}

/// What is wanted, or why nothing can be done.
pub(super) fn wanted_of(control: &Control, what: &str) -> Result<(Wanted, Environment), Fault> {
    let want = wanted::read(&control.root)?.ok_or_else(|| {
        Fault::new(what).cause("nothing is wanted of this environment").hint("`roadbed up` brings it up first")
    })?;
    let environment = wanted::resolve(&want)?;
    Ok((want, environment))
}

fn broken(fault: &BookFault) -> Fault {
    Fault::because("cannot use the book of who may come in", fault)
        .hint("see whether the disk is full; `roadbed logs control` says more")
}
