//! Tokens, as whoever has the machine makes, lists and revokes them: by control's socket alone.

use std::sync::Arc;
use std::time::Duration;

use host::clock::Timestamp;
use manifest::PersonName;
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use super::answers::TokenAnswer;
use super::authorise::{Role, Scope};
use super::record;
use super::token::Token;
use super::tokens::{TokenId, TokensFault, Wish};
use crate::control::Control;
use crate::control::lending::Peer;
use crate::wanted;

/// Nobody overlooks more tokens than this; each is a way in.
const MOST: usize = 500;

/// A token that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToCreate {
    pub role: Role,
    /// For whom or what.
    pub name: String,
    pub person: Option<PersonName>,
    /// How long it holds, in seconds.
    pub seconds: u64,
    /// Who asks.
    pub by: String,
}

/// A token that was made: the only time that it is seen. Its `Debug` shows nothing of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Created {
    pub token: String,
    #[serde(flatten)]
    pub about: TokenAnswer,
}

impl std::fmt::Debug for Created {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Created").field("about", &self.about).finish_non_exhaustive()
    }
}

/// The tokens of an environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    pub tokens: Vec<TokenAnswer>,
}

/// Makes a token. It is noted before anybody has it.
pub async fn create(control: &Arc<Control>, wanted_token: &ToCreate, peer: Peer) -> Result<Created, Fault> {
    let cannot = |why: String| Fault::new("cannot make a token").cause(why);
    let want = wanted::read(&control.root)?.ok_or_else(|| {
        cannot("nothing is wanted of this environment".to_owned()).hint("`roadbed up` brings it up first")
    })?;
    let environment = wanted::resolve(&want)?;
    let api = environment.api.ok_or_else(|| {
        cannot(format!("{} is not asked from elsewhere", want.environment))
            .hint("add `api = {}` to its table in roadbed.toml, then `roadbed up`")
    })?;
    let ToCreate { role, name, person, seconds, by } = wanted_token;
    if *role == Role::Pipeline {
        return Err(cannot("a token of a run comes of one that the CI signed for it".to_owned())
            .hint("[environments.E.oidc] in roadbed.toml says which runs get one"));
    }
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(|c| c.is_control()) {
        return Err(cannot("it is for a name of 1 to 64 characters".to_owned()).hint("say for what with --for"));
    }
    let lasts = Duration::from_secs(*seconds);
    if lasts.is_zero() || lasts > api.tokens_last {
        let most = api.tokens_last.as_secs();
        return Err(cannot(format!("it may hold for {most} s at most"))
            .hint("`tokens_last` of `api` in roadbed.toml says so; make one anew when it ends"));
    }
    match person {
        Some(person) => refuse_stranger(&want, person)?,
        None if *role == Role::Approver => {
            return Err(cannot("an approval is a person's".to_owned()).hint("say whose it is with --person"));
        }
        None => {}
    }
    let tokens = &control.api.tokens;
    let now = control.clock.now();
    if tokens.all().map_err(|fault| broken(&fault))?.iter().filter(|kept| kept.until > now).count() >= MOST {
        return Err(cannot(format!("there are {MOST} already")).hint("`roadbed token revoke` ends one"));
    }
    let token = Token::make().map_err(|error| Fault::because("cannot make a token", &error))?;
    let until = Timestamp::from_unix_millis(now.unix_millis() + i64::try_from(lasts.as_millis()).unwrap_or(0));
    let wish = Wish {
        name: name.clone(),
        role: *role,
        person: person.clone(),
        scope: Scope { environment: want.environment.clone(), root: control.id.clone() },
        commit: None,
        made_by: by.clone(),
        until,
    };
    let kept = tokens.keep(&token, &wish, now).map_err(|fault| broken(&fault))?;
    if let Err(fault) = record::made(control, &kept, peer).await {
        // One that nobody can read of is none.
        let _ = tokens.revoke(kept.id, now);
        return Err(fault);
    }
    Ok(Created { token: token.expose().to_owned(), about: TokenAnswer::of(&kept, now) })
}

fn refuse_stranger(want: &wanted::Wanted, person: &PersonName) -> Result<(), Fault> {
    if wanted::manifest_as_wanted(want)?.people().iter().any(|(known, _)| known == person) {
        return Ok(());
    }
    Err(Fault::new("cannot make a token")
        .cause(format!("{person} is nobody in the manifest"))
        .hint("[people] in roadbed.toml says who is"))
}

/// The newest first, of this root alone.
pub fn list(control: &Control) -> Result<Shown, Fault> {
    let now = control.clock.now();
    let all = control.api.tokens.all().map_err(|fault| broken(&fault))?;
    let ours = all.iter().filter(|kept| kept.scope.root == control.id);
    Ok(Shown { tokens: ours.map(|kept| TokenAnswer::of(kept, now)).collect() })
}

/// Ends a token at once.
pub async fn revoke(control: &Control, id: TokenId, by: &str, peer: Peer) -> Result<TokenAnswer, Fault> {
    let now = control.clock.now();
    let kept = control.api.tokens.revoke(id, now).map_err(|fault| broken(&fault))?;
    let kept =
        kept.ok_or_else(|| Fault::new(format!("there is no token {id}")).hint("`roadbed token list` shows them"))?;
    // It is revoked whether that can be noted or not.
    record::revoked(control, &kept, by, peer).await?;
    Ok(TokenAnswer::of(&kept, now))
}

fn broken(fault: &TokensFault) -> Fault {
    Fault::because("cannot use the tokens of this environment", fault)
        .hint("see whether the disk is full; `roadbed logs control` says more")
}
