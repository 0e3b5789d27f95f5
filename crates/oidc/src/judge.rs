//! Whether a token that is signed is one of those that the manifest lets in. Pure.

use std::time::Duration;

use host::clock::Timestamp;
use manifest::{Oidc, Runner};

use crate::claims::Claims;
use crate::refusal::Refusal;
use crate::token::shortened;

/// So far apart may the issuer's clock and ours be.
pub const SKEW: Duration = Duration::from_secs(60);

/// A token is asked for and shown within seconds; a job that was held up in between asks again.
pub const OLDEST: Duration = Duration::from_secs(10 * 60);

/// GitHub's hold for five minutes. One that holds for a day is no token of a job.
pub const LONGEST_LIFE: Duration = Duration::from_secs(60 * 60);

/// Characters of the longest `jti`: it is kept. GitHub's are UUIDs.
const LONGEST_ID: usize = 128;

/// A run that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub issuer: String,
    /// `jti`: nobody else has it.
    pub id: String,
    pub made_at: Timestamp,
    /// From then on it is refused whatever is remembered of it.
    pub until: Timestamp,
    /// For people to read.
    pub repository: String,
    pub repository_id: String,
    pub commit: String,
    pub git_ref: String,
    pub event: String,
    pub run: String,
    pub attempt: String,
}

impl Accepted {
    /// As records name the run: never as a person could be called.
    pub fn called(&self) -> String {
        format!("ci:{}@{}", self.repository, self.commit)
    }
}

/// Judges what a signed token says.
pub fn judge(claims: &Claims, rules: &Oidc, now: Timestamp) -> Result<Accepted, Refusal> {
    let issuer = said(&claims.iss, "iss")?;
    if issuer != rules.issuer {
        return Err(Refusal::OtherIssuer(shortened(issuer)));
    }
    let audience = claims.aud.as_ref().ok_or(Refusal::Missing("aud"))?;
    if audience.only() != Some(rules.audience.as_str()) {
        return Err(Refusal::OtherAudience(shortened(&audience.told())));
    }
    let (made_at, until) = times(claims, now)?;
    same("repository_id", &claims.repository_id, &rules.repository_id)?;
    same("repository_owner_id", &claims.repository_owner_id, &rules.repository_owner_id)?;
    let event = said(&claims.event_name, "event_name")?;
    if !rules.events.iter().any(|allowed| allowed.as_str() == event) {
        return Err(Refusal::Other { claim: "event_name", found: shortened(event) });
    }
    same("ref", &claims.git_ref, &rules.git_ref)?;
    match rules.git_ref.split('/').nth(1) {
        Some("heads") => same("ref_type", &claims.ref_type, "branch")?,
        Some("tags") => same("ref_type", &claims.ref_type, "tag")?,
        _ => {}
    }
    same("workflow_ref", &claims.workflow_ref, &rules.workflow)?;
    // A job of no reusable workflow says nothing here, or the workflow itself.
    match (&rules.job_workflow, &claims.job_workflow_ref) {
        (None, None) => {}
        (wanted, found) => same("job_workflow_ref", found, wanted.as_ref().unwrap_or(&rules.workflow))?,
    }
    if let Some(environment) = &rules.environment {
        same("environment", &claims.environment, environment)?;
    }
    match rules.runner {
        Runner::Any => {}
        runner => same("runner_environment", &claims.runner_environment, runner.as_str())?,
    }
    let id = said(&claims.jti, "jti")?;
    let is_id = id.chars().count() <= LONGEST_ID && id.chars().all(|c| c.is_ascii_graphic());
    let commit = said(&claims.sha, "sha")?;
    let is_commit = matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let repository = said(&claims.repository, "repository")?;
    let (run, attempt) = (said(&claims.run_id, "run_id")?, said(&claims.run_attempt, "run_attempt")?);
    for (claim, is) in [
        ("jti", is_id),
        ("sha", is_commit),
        ("repository", is_repository(repository)),
        ("run_id", is_number(run)),
        ("run_attempt", is_number(attempt)),
    ] {
        if !is {
            return Err(Refusal::Form(claim));
        }
    }
    Ok(Accepted {
        issuer: issuer.to_owned(),
        id: id.to_owned(),
        made_at,
        until,
        repository: repository.to_owned(),
        repository_id: rules.repository_id.clone(),
        commit: commit.to_owned(),
        git_ref: rules.git_ref.clone(),
        event: event.to_owned(),
        run: run.to_owned(),
        attempt: attempt.to_owned(),
    })
}

/// When it was made, and from when on nobody takes it.
fn times(claims: &Claims, now: Timestamp) -> Result<(Timestamp, Timestamp), Refusal> {
    let time = |value: Option<i64>, name: &'static str| {
        let seconds = value.ok_or(Refusal::Missing(name))?;
        // Until the year 9999: what is later is no time, and could not be written.
        (0..=253_402_300_799).contains(&seconds).then_some(seconds).ok_or(Refusal::Form(name))
    };
    let (exp, nbf, iat) = (time(claims.exp, "exp")?, time(claims.nbf, "nbf")?, time(claims.iat, "iat")?);
    let at = |seconds: i64| Timestamp::from_unix_millis(seconds * 1000);
    let (skew, now_is) = (millis(SKEW), now.unix_millis());
    if now_is >= exp * 1000 + skew {
        return Err(Refusal::Over(at(exp)));
    }
    if iat * 1000 > now_is + skew {
        return Err(Refusal::FromTheFuture(at(iat)));
    }
    if nbf * 1000 > now_is + skew {
        return Err(Refusal::NotYet(at(nbf)));
    }
    if now_is - iat * 1000 > millis(OLDEST) + skew {
        return Err(Refusal::TooOld(at(iat)));
    }
    if exp <= iat || (exp - iat) * 1000 > millis(LONGEST_LIFE) {
        return Err(Refusal::Life { from: at(iat), to: at(exp) });
    }
    Ok((at(iat), Timestamp::from_unix_millis(exp * 1000 + skew)))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn said<'a>(claim: &'a Option<String>, name: &'static str) -> Result<&'a str, Refusal> {
    claim.as_deref().filter(|text| !text.is_empty()).ok_or(Refusal::Missing(name))
}

/// To the letter: what is left out is not the same.
fn same(claim: &'static str, found: &Option<String>, wanted: &str) -> Result<(), Refusal> {
    let found = said(found, claim)?;
    if found == wanted { Ok(()) } else { Err(Refusal::Other { claim, found: shortened(found) }) }
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=100).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    text.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}
