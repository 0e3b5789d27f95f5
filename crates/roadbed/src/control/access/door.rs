//! Whoever knocks at the edge: what a link, a provider and a browser say together, and the session that comes of it.

use std::sync::Arc;

use edge::access::door::{Knock, Opened, WhyNot};
use reconcile::Fault;
use secrets::audit::Action;

use super::book::{Kept, NewSession, Redeemed};
use super::links::digest;
use super::sign_in::{self, Failed};
use super::{broken, doors, record, shown, telling, wanted_of};
use crate::control::Control;

const HEADLINE: &str = "cannot sign anybody in";

/// Answers the edge.
pub async fn knock(control: &Arc<Control>, knock: &Knock) -> Result<Opened, Fault> {
    match knock {
        Knock::Redeem { host, token, client } => redeem(control, host, token, client).await,
        Knock::Begin { host, origin, to, client: _ } => {
            let (want, environment) = wanted_of(control, HEADLINE)?;
            if !is_protected(&environment, host) {
                return Ok(refused(WhyNot::NotOffered));
            }
            match sign_in::begin(control, &want, &environment, (host, origin, to)).await {
                Ok((location, state)) => Ok(Opened::Elsewhere { location, state }),
                Err(failed) => Ok(refused(failed.why())),
            }
        }
        Knock::Return { host, origin, said, state, client } => {
            let (want, environment) = wanted_of(control, HEADLINE)?;
            if !is_protected(&environment, host) {
                return Ok(refused(WhyNot::NotOffered));
            }
            let (person, to) =
                match sign_in::finish(control, &want, &environment, (host, origin), said, state.as_deref()).await {
                    Ok(found) => found,
                    Err(failed) => return not_signed_in(control, host, client, &failed).await,
                };
            let rules = environment.sign_in.as_ref().expect("somebody signed in by it");
            let user = person.email.as_deref().unwrap_or(&person.subject);
            let wanted = NewSession {
                user,
                email: person.email.as_deref(),
                host,
                by: &rules.issuer,
                client,
                lasts: rules.lasts,
            };
            telling::tell_if_it_knows_else(control).await?;
            let kept = control.access.book.begin(&wanted, control.clock.now()).map_err(|fault| broken(&fault))?;
            match kept {
                Some(kept) => inside(control, &want, kept, to, &format!("subject {}", person.subject)).await,
                None => Ok(refused(WhyNot::TooMany)),
            }
        }
        Knock::Leave { session, client } => {
            let number = session.strip_prefix('s').and_then(|number| number.parse().ok());
            let ended = number.map(|id| control.access.book.end(id, control.clock.now())).transpose();
            if let Some(kept) = ended.map_err(|fault| broken(&fault))?.flatten() {
                let told = telling::tell_now(control).await;
                let name = format!("session/{session}");
                let details = "signed out".to_owned();
                record::by_visitor(control, Action::SessionEnded, &kept.user, client, name, details).await?;
                told?;
            }
            Ok(Opened::Left)
        }
    }
}

fn is_protected(environment: &manifest::Environment, host: &str) -> bool {
    doors(environment).iter().any(|known| known == host)
}

fn refused(why: WhyNot) -> Opened {
    Opened::Refused { why }
}

async fn redeem(control: &Arc<Control>, host: &str, token: &str, client: &str) -> Result<Opened, Fault> {
    let (want, environment) = wanted_of(control, HEADLINE)?;
    if !is_protected(&environment, host) {
        return Ok(refused(WhyNot::NoLink));
    }
    // Before the link is used up.
    control.access.signer(control, &want).await?;
    telling::tell_if_it_knows_else(control).await?;
    let redeemed = control.access.book.redeem(&digest(token), host, client, control.clock.now());
    match redeemed.map_err(|fault| broken(&fault))? {
        Redeemed::Inside(kept) => inside(control, &want, kept, "/".to_owned(), "").await,
        Redeemed::Used => Ok(refused(WhyNot::LinkUsed)),
        Redeemed::Over => Ok(refused(WhyNot::LinkOver)),
        Redeemed::None => Ok(refused(WhyNot::NoLink)),
        Redeemed::TooMany => Ok(refused(WhyNot::TooMany)),
    }
}

/// Notes the session, then hands it out.
async fn inside(
    control: &Arc<Control>,
    want: &crate::wanted::Wanted,
    kept: Kept,
    to: String,
    more: &str,
) -> Result<Opened, Fault> {
    let signer = control.access.signer(control, want).await?;
    let name = format!("session/s{}", kept.id);
    let details = format!("at {} by {} until {} {more}", kept.host, kept.by, kept.until);
    let details = details.trim_end().to_owned();
    if let Err(fault) = record::by_visitor(control, Action::SignedIn, &kept.user, &kept.client, name, details).await {
        // One that nobody can read of is none.
        let _ = control.access.book.end(kept.id, control.clock.now());
        return Err(fault);
    }
    let seconds = u64::try_from(kept.until.unix_millis() - kept.made_at.unix_millis()).unwrap_or(0) / 1000;
    Ok(Opened::Inside { session: signer.sign(&shown(&kept)), seconds, to })
}

/// Why, for the log; whoever came is told no more than a stranger may know.
async fn not_signed_in(control: &Arc<Control>, host: &str, client: &str, failed: &Failed) -> Result<Opened, Fault> {
    tracing::warn!(host, client, "nobody was signed in: {failed}");
    // Whoever only sends us nonsense fills no log: what he says was never begun here.
    let is_news = !matches!(failed, Failed::NotBegun | Failed::NotOffered);
    if is_news && control.access.desk.may_note(control.clock.now()) {
        let details = format!("sign-in at {host}: {failed}");
        record::by_visitor(control, Action::Refused, "nobody", client, String::new(), details).await?;
    }
    Ok(refused(failed.why()))
}
