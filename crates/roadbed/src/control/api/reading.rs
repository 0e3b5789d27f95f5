//! Routes that look.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answers::{Deployment, Deployments, Events, Gate, Releases, StatusAnswer, TokenAnswer};
use super::call::Caller;
use super::gate_run;
use super::problem::Problem;
use super::questions::{Follow, LONGEST_WAIT, MOST_EVENTS, Nothing};
use crate::control::{convergence, delivering};

/// Between two looks of who waits for something to happen.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn token(caller: Caller, _: Nothing) -> Result<TokenAnswer, Problem> {
    let id = caller.bearer()?.id;
    let kept = caller.control.api.tokens.get(id).map_err(|error| caller.broken(&error))?;
    let kept = kept.ok_or_else(|| Problem::not_found(format!("there is no token {id}")))?;
    Ok(TokenAnswer::of(&kept, caller.control.clock.now()))
}

pub(super) async fn status(caller: Caller, _: Nothing) -> Result<StatusAnswer, Problem> {
    Ok(convergence::status(&caller.control).await?.into())
}

pub(super) async fn releases(caller: Caller, _: Nothing) -> Result<Releases, Problem> {
    let releases = delivering::releases(&caller.control)?;
    Ok(Releases { releases: releases.into_iter().map(Into::into).collect() })
}

pub(super) async fn deployments(caller: Caller, _: Nothing) -> Result<Deployments, Problem> {
    let deployments = delivering::list(&caller.control)?;
    Ok(Deployments { deployments: deployments.into_iter().map(Into::into).collect() })
}

pub(super) async fn deployment(caller: Caller, _: Nothing) -> Result<Deployment, Problem> {
    caller.deployment().map(Into::into)
}

pub(super) async fn events(caller: Caller, follow: Follow) -> Result<Events, Problem> {
    if follow.wait > LONGEST_WAIT {
        return Err(Problem::not_understood(format!("`wait` is at most {LONGEST_WAIT}")));
    }
    let after = i64::try_from(follow.after).ok().filter(|_| follow.after <= MOST_EVENTS);
    let after = after.ok_or_else(|| Problem::not_understood("`after` is no number of an event"))?;
    let id = caller.deployment()?.id;
    let until = Instant::now() + Duration::from_secs(follow.wait.into());
    loop {
        let happening = delivering::happening(&caller.control, id, after)?;
        let is_all = happening.deployment.state.is_over() || Instant::now() >= until;
        if !happening.lines.is_empty() || is_all {
            let events = happening.lines.into_iter().map(Into::into).collect();
            return Ok(Events { deployment: happening.deployment.into(), events });
        }
        sleep(LOOK).await;
    }
}

pub(super) async fn gate(caller: Caller, _: Nothing) -> Result<Gate, Problem> {
    gate_run::stands(&caller.control)
}
