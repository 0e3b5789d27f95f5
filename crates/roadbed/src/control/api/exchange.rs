//! A run of a CI shows the token that the CI signed for its job, and gets one of ours for 15 minutes. So no key of this environment is
//! kept at the CI, and nothing that could be stolen there opens anything tomorrow.
//!
//! Whoever is refused is told nothing but that; the audit log says why.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use acme::Trust;
use host::clock::Timestamp;
use host::files;
use http::StatusCode;
use manifest::Oidc;
use oidc::{Issuer, Refusal};
use reconcile::Fault;

use super::answers::{Exchanged, TokenAnswer};
use super::authorise::{Role, Scope};
use super::call::{self, Caller};
use super::problem::Problem;
use super::questions::ToExchange;
use super::record;
use super::throttle::{Source, Verdict};
use super::token::Token;
use super::tokens::{Exchange, Wish};
use crate::control::Control;
use crate::wanted;

/// A deployment takes minutes. One that takes longer is followed with a token that is asked for anew.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// The issuer that is believed, with what is known of its keys.
#[derive(Debug, Default)]
pub(super) struct KnownIssuer(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    keys: String,
    /// Certificates by which it is recognised.
    ca: Option<Vec<u8>>,
    issuer: Arc<Issuer>,
}

pub(super) async fn exchange(caller: Caller, shown: ToExchange) -> Result<Exchanged, Problem> {
    let control = caller.control.clone();
    let Some(want) = wanted::read(&control.root)? else { return Err(refused(&caller, &Refusal::NotOffered).await) };
    let environment = wanted::resolve(&want)?;
    let Some(rules) = environment.oidc else { return Err(refused(&caller, &Refusal::NotOffered).await) };
    let issuer = issuer(&control, &rules, crate::world::project(&want.manifest))?;
    let run = match issuer.accept(&shown.token, &rules, control.clock.now()).await {
        Ok(run) => run,
        Err(refusal) => return Err(refused(&caller, &refusal).await),
    };
    let now = control.clock.now();
    let token = Token::make().map_err(|error| Fault::because("cannot make a token", &error))?;
    let lasts = i64::try_from(LASTS.as_millis()).unwrap_or(0);
    let wish = Wish {
        name: run.called(),
        role: Role::Pipeline,
        person: None,
        scope: Scope { environment: want.environment.clone(), root: control.id.clone() },
        commit: Some(run.commit.clone()),
        made_by: run.issuer.clone(),
        until: Timestamp::from_unix_millis(now.unix_millis() + lasts),
    };
    let tokens = &control.api.tokens;
    let kept = match tokens.exchange(&run, &token, &wish, now).map_err(|error| caller.broken(&error))? {
        Exchange::Made(kept) => kept,
        Exchange::Refused(refusal) => return Err(refused(&caller, &refusal).await),
    };
    if let Err(fault) = record::exchanged(&control, &kept, &run, caller.peer).await {
        // One that nobody can read of is none.
        let _ = tokens.revoke(kept.id, now);
        return Err(fault.into());
    }
    Ok(Exchanged { token: token.expose().to_owned(), about: TokenAnswer::of(&kept, now) })
}

/// The issuer of these rules, anew where they were changed.
fn issuer(control: &Control, rules: &Oidc, project: &std::path::Path) -> Result<Arc<Issuer>, Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Fault::because("cannot tell whom the issuer of the CI's tokens is recognised by", error)
            .hint("`ca` of [environments.E.oidc] in roadbed.toml names the file")
    };
    let file = rules.ca.as_ref().map(|file| project.join(file));
    let ca = file.as_deref().map(files::read).transpose().map_err(|fault| cannot(&fault))?;
    let mut known = control.api.issuer.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.as_ref().filter(|known| known.keys == rules.keys && known.ca == ca) {
        return Ok(known.issuer.clone());
    }
    let tls = Trust::read(file.as_deref())?.client().map_err(|error| cannot(&error))?;
    let issuer = Arc::new(Issuer::new(rules.keys.clone(), tls));
    *known = Some(Known { keys: rules.keys.clone(), ca, issuer: issuer.clone() });
    Ok(issuer)
}

/// Counts and notes a refusal. Past the limit it is not noted either: it is noise.
async fn refused(caller: &Caller, refusal: &Refusal) -> Problem {
    match call::count(&caller.control, Source::of(caller.peer.ip())) {
        Verdict::TooMany { again } => Problem::too_many(again),
        Verdict::Told => {
            record::not_exchanged(&caller.control, refusal, caller.peer).await;
            let why = "`roadbed secrets audit` at the environment says why";
            match refusal.is_passing() {
                true => {
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-now", "the CI's token cannot be verified now")
                }
                false => Problem::new(StatusCode::UNAUTHORIZED, "not-accepted", "the CI's token is not accepted here"),
            }
            .hint(why)
        }
    }
}
