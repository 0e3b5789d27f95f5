//! Routes that change something. The bearer's name stands in the book of deployments, as anybody's does.

use delivery::DeploymentId;
use delivery::release::Origin;
use http::StatusCode;
use reconcile::Fault;

use super::answers::{Deployment, WayBack};
use super::authorise::Bearer;
use super::call::Caller;
use super::problem::Problem;
use super::questions::{Nothing, OfArtifacts, ToApprove, ToDeploy, ToRollBack};
use crate::control::delivering::{self, Ask, Rules};
use crate::control::lending::Peer;
use crate::wanted;

/// Control asks itself, in the bearer's name.
fn ourselves() -> Peer {
    Peer { uid: host::own::user(), pid: host::own::pid() }
}

pub(super) async fn deploy(caller: Caller, what: ToDeploy) -> Result<Deployment, Problem> {
    let bearer = caller.bearer()?;
    let by = bearer.called();
    let ask = match what {
        ToDeploy::Release(of) => {
            let found =
                delivering::releases(&caller.control)?.into_iter().find(|listed| listed.release.id == of.release.0);
            let found = found.ok_or_else(|| Problem::not_found(format!("there is no release {}", of.release.0)))?;
            let contents = found.release.contents;
            Ask {
                artifacts: contents.artifacts,
                manifest: contents.manifest,
                origin: contents.origin,
                author: contents.author,
                by,
                token: None,
                across_contract: false,
                despite: None,
            }
        }
        ToDeploy::Artifacts(of) => of_artifacts(&caller, of, by)?,
    };
    refuse_other_commit(bearer, ask.origin.commit.as_deref())?;
    // A release's own manifest may be of a time when nobody had to be asked.
    Ok(delivering::ask_by(&caller.control, &ask, ourselves(), Rules::NoLooserThanNow)?.into())
}

/// A run of the CI deploys what it is a run of.
fn refuse_other_commit(bearer: &Bearer, commit: Option<&str>) -> Result<(), Problem> {
    let Some(only) = bearer.commit.as_deref().filter(|only| commit != Some(*only)) else { return Ok(()) };
    let what = commit.map_or_else(|| "what is of no commit".to_owned(), |commit| format!("the commit {commit}"));
    let problem = format!("{} may not deploy {what}", bearer.called());
    Err(Problem::new(StatusCode::FORBIDDEN, "not-allowed", problem)
        .hint(format!("it deploys {only}; to go back is for people: `roadbed rollback`")))
}

fn of_artifacts(caller: &Caller, of: OfArtifacts, by: String) -> Result<Ask, Problem> {
    let want = wanted::read(&caller.control.root)?
        .ok_or_else(|| Fault::new("cannot deploy: nothing is wanted of this environment"))?;
    let artifact = |on: super::questions::OnShelf| delivery::Artifact { app: on.app.0, digest: on.digest.0, bytes: 0 };
    Ok(Ask {
        artifacts: of.artifacts.into_iter().map(artifact).collect(),
        manifest: want.text,
        origin: Origin {
            commit: of.commit.map(|commit| commit.0),
            branch: of.branch.map(|branch| branch.0),
            ..Origin::default()
        },
        author: of.author.map_or_else(|| by.clone(), |author| author.0),
        by,
        token: None,
        across_contract: false,
        despite: None,
    })
}

pub(super) async fn approve(caller: Caller, word: ToApprove) -> Result<Deployment, Problem> {
    let id: DeploymentId = caller.deployment()?.id;
    let person = caller.person()?;
    Ok(delivering::approve_as(&caller.control, id, person.as_str(), Some(word.digest.0))?.into())
}

pub(super) async fn cancel(caller: Caller, _: Nothing) -> Result<Deployment, Problem> {
    let id: DeploymentId = caller.deployment()?.id;
    let ask = delivering::ToCancel { by: caller.bearer()?.called(), token: None };
    Ok(delivering::cancel(&caller.control, id, &ask, ourselves())?.into())
}

pub(super) async fn roll_back(caller: Caller, to: ToRollBack) -> Result<WayBack, Problem> {
    let ask = delivering::ToRollBack {
        to: to.to.map(|release| release.0),
        by: caller.bearer()?.called(),
        token: None,
        rehearse: to.dry_run,
        // Who goes back past what was taken away has looked at the data, and that is done here.
        across_contract: false,
    };
    Ok(delivering::roll_back(&caller.control, &ask, ourselves())?.into())
}
