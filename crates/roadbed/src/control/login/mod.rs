//! Who somebody is, proved by an SSH key that the manifest names: no password, and nothing long-lived on a disk.
//!
//! ```text
//!   login  ─► a challenge: nonce, host, end ─► signed by the agent or a security key ─► checked here ─► a token for 15 minutes
//! ```
//!
//! A nonce is good for one try within a minute. Tokens are kept as digests and in memory alone: a control that starts again knows
//! none, and clients sign again without a question.

pub mod signature;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use host::clock::Timestamp;
use manifest::PersonName;
use reconcile::Fault;
use secrets::generate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Long enough to touch a security key.
const CHALLENGE_LASTS: Duration = Duration::from_secs(60);

/// A stolen token is good for no longer. Renewed by another signature.
const TOKEN_LASTS: Duration = Duration::from_secs(15 * 60);

/// Challenges that nobody answers are forgotten; so many at once are somebody who floods.
const MOST_CHALLENGES: usize = 1_000;

/// What is to be signed: [`Challenge::message`], for [`Challenge::namespace`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub nonce: String,
    pub host: String,
    pub until: Timestamp,
    /// Names the purpose and this environment, so that no signature made for anything else will do.
    pub namespace: String,
}

impl Challenge {
    /// Nonce, host and end, a line each.
    pub fn message(&self) -> String {
        format!("{}\n{}\n{}\n", self.nonce, self.host, self.until.unix_millis())
    }
}

/// A challenge that was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    pub nonce: String,
    /// As `ssh-keygen -Y sign` writes it.
    pub signature: String,
}

/// Somebody is who they say, for a while. Its `Debug` shows no token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    pub person: PersonName,
    pub token: String,
    pub until: Timestamp,
}

impl std::fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggedIn").field("person", &self.person).field("until", &self.until).finish_non_exhaustive()
    }
}

/// Where people log in to one environment.
#[derive(Debug)]
pub struct Desk {
    namespace: String,
    host: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    challenges: BTreeMap<String, Challenge>,
    /// SHA-256 of each token, with whose it is and its end.
    tokens: BTreeMap<[u8; 32], (PersonName, Timestamp)>,
}

impl Desk {
    /// `id` is the root's.
    pub fn new(id: &str, host: String) -> Self {
        Self { namespace: format!("roadbed-login@{id}"), host, state: Mutex::default() }
    }

    /// Begins a login.
    pub fn challenge(&self, now: Timestamp) -> Result<Challenge, Fault> {
        let nonce = random()?;
        let mut state = self.state(now);
        if state.challenges.len() >= MOST_CHALLENGES {
            return Err(Fault::new("too many logins were begun at once").hint("try again in a minute").retry_safe());
        }
        let challenge = Challenge {
            nonce: nonce.clone(),
            host: self.host.clone(),
            until: after(now, CHALLENGE_LASTS),
            namespace: self.namespace.clone(),
        };
        state.challenges.insert(nonce, challenge.clone());
        Ok(challenge)
    }

    /// Ends a login: whoever signed is one of `people`, or nobody.
    pub fn log_in(
        &self,
        signed: &Signed,
        people: &[(PersonName, Vec<String>)],
        now: Timestamp,
    ) -> Result<LoggedIn, Fault> {
        let refused = |why: String| Fault::new("cannot log in").cause(why);
        // Taken out whatever comes of it: one try each.
        let Some(challenge) = self.state(now).challenges.remove(&signed.nonce) else {
            return Err(refused("what was signed was never asked for, was answered already, or is too old".to_owned())
                .hint("`roadbed login` asks anew"));
        };
        let signer = signature::signer(&signed.signature, &self.namespace, challenge.message().as_bytes())
            .map_err(|why| refused(format!("the signature is not accepted: {why}")))?;
        let person = people.iter().find(|(_, keys)| keys.iter().any(|key| signer.is(key)));
        let Some((person, _)) = person else {
            return Err(refused("nobody in the manifest has the key that signed".to_owned())
                .hint("add it to `ssh` of [people.NAME] in roadbed.toml, then `roadbed up`"));
        };
        let token = random()?;
        let until = after(now, TOKEN_LASTS);
        self.state(now).tokens.insert(digest(&token), (person.clone(), until));
        Ok(LoggedIn { person: person.clone(), token, until })
    }

    /// Whose token this is, if it still holds.
    pub fn bearer(&self, token: &str, now: Timestamp) -> Option<PersonName> {
        // By digest: how long the look takes says nothing about tokens.
        self.state(now).tokens.get(&digest(token)).map(|(person, _)| person.clone())
    }

    /// Without what is over by now. A clock that was set back makes nothing last longer than it would have.
    fn state(&self, now: Timestamp) -> MutexGuard<'_, State> {
        // What is in there is whole at any time.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |until: Timestamp, lasts: Duration| now < until && until.since(now) <= lasts;
        state.challenges.retain(|_, challenge| holds(challenge.until, CHALLENGE_LASTS));
        state.tokens.retain(|_, (_, until)| holds(*until, TOKEN_LASTS));
        state
    }
}

fn after(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_unix_millis(now.unix_millis() + i64::try_from(time.as_millis()).unwrap_or(0))
}

fn random() -> Result<String, Fault> {
    let random = generate::credential().map_err(|error| Fault::because("cannot begin a login", &error))?;
    Ok(random.expose().to_owned())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests;
