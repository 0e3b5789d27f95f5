//! `roadbed deploy`, `rollback` and `releases`: ask control, and look at what it does.

use ::secrets::Store;
use delivery::Artifact;
use engine::artifact::Digest;
use engine::artifact::shelf::{self, Shelf};
use manifest::{Change, EnvRef};
use reconcile::{Fault, Root};
use serde::Serialize;

use crate::cli::deploy_args::{Approve, Deploy, DeployVerb, Rollback, Which};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
pub(super) use crate::cli::follow::Looking;
use crate::cli::interrupts::Interrupts;
use crate::cli::live::Live;
use crate::cli::place;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::cli::{args, build, command_lock, follow, git, login, secrets, up, wanted};
use crate::control::client::ControlClient;
use crate::control::delivering::{Ask, Listed, ToApprove, ToRollBack};
use crate::control::identity;
use crate::purge;
use crate::render::deployment;
use crate::wanted::{Apps, Wanted};
use crate::world::builds;
use crate::{seats, signing};

pub async fn run(session: &Session, args: &Deploy, live: &Live, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let control = ControlClient::new(session.root.clone());
    match &args.verb {
        None => {
            let looking = if args.until_asked { Looking::UntilSomebodyIsAsked } else { Looking::UntilOver };
            begin(session, args, Occasion::default(), looking, live, interrupts).await
        }
        Some(DeployVerb::Follow(Which { id })) => {
            let id = follow::meant(&control, id.as_deref()).await?;
            follow::look(session, &control, id, Looking::UntilOver, interrupts).await
        }
        Some(DeployVerb::Cancel(Which { id })) => cancel(session, &control, id.as_deref(), interrupts).await,
        Some(DeployVerb::Approve(args)) => approve(session, &control, args).await,
        Some(DeployVerb::List) => list(session, &control).await,
    }
}

/// What is to be deployed, whatever it is made from.
struct Prepared {
    artifacts: Vec<Artifact>,
    manifest: String,
    origin: delivery::release::Origin,
    author: Option<String>,
}

/// What whoever asks for a deployment knows of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Occasion<'a> {
    /// What the change came in on, as `Origin` tells it.
    pub(super) branch: Option<&'a str>,
    /// At whose word it is made, where that is not the user of this machine.
    pub(super) by: Option<&'a str>,
}

/// Asks for a deployment, and looks at it.
pub(super) async fn begin(
    session: &Session,
    args: &Deploy,
    occasion: Occasion<'_>,
    looking: Looking,
    live: &Live,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    if args.artifacts.is_some() {
        return Err(Failure::Usage(
            Fault::new("--artifacts is for an environment that is elsewhere")
                .hint("name it with --remote, or build here: `roadbed deploy`"),
        ));
    }
    let control = &ControlClient::new(session.root.clone());
    let project = Project::load(session)?;
    let (environment, _) = project.environment(&session.environment()?)?;
    let up = args::Up { free_ports: args.free_ports, ..args::Up::default() };
    let want = wanted::of(session, &project, &up)?;
    session.refuse_copied_root()?;
    purge::refuse_begun(&session.root)?;
    let mut prepared = match &args.from {
        Some(from) => of_environment(session, &project, &want, from).await?,
        None => {
            refuse_other_branch(session, &project, &environment).await?;
            let (_, store) = secrets::open(session, None)?;
            tokio::select! {
                built = built(session, &project, &want, &store, control) => built?,
                () = interrupts.next() => return Ok(Exit::Interrupted),
            }
        }
    };
    if let Some(branch) = occasion.branch {
        prepared.origin.branch = Some(branch.to_owned());
    }
    ensure_up(session, want, live).await?;
    let me = host::own::user_name();
    let ask = Ask {
        artifacts: prepared.artifacts,
        manifest: prepared.manifest,
        origin: prepared.origin,
        author: prepared.author.unwrap_or_else(|| me.clone()),
        by: occasion.by.map_or(me, str::to_owned),
        token: login::token(session, control).await,
        across_contract: args.across_contract,
        despite: args.despite.clone(),
    };
    let deployment = control.deploy(&ask).await?;
    session.output.note(format!("{} of {}: asked for by {}", deployment.id, deployment.release, deployment.asked_by));
    if args.detach {
        if session.output.is_json() {
            session.output.json(&deployment)?;
        }
        return Ok(Exit::Done);
    }
    follow::look(session, control, deployment.id, looking, interrupts).await
}

/// The branch decides where a change goes, here as anywhere. A checkout on no branch, as in CI, says nothing.
async fn refuse_other_branch(session: &Session, project: &Project, environment: &EnvRef) -> Result<(), Failure> {
    if environment.to_string() == place::DEFAULT_ENVIRONMENT {
        return Ok(());
    }
    let folder = crate::world::project(&project.path);
    let branch = git::ask(session, folder, &["symbolic-ref", "--quiet", "--short", "HEAD"]).await;
    let Some(branch) = branch.ok().and_then(|lines| lines.into_iter().next()) else { return Ok(()) };
    let Ok(change) = Change::branch(&branch) else { return Ok(()) };
    let target = project.manifest.target(&change);
    if target.as_ref() == Some(environment) || environment.instance.is_some() {
        return Ok(());
    }
    let goes = target.map_or_else(|| "nowhere".to_owned(), |target| format!("to {target}"));
    Err(Failure::Usage(
        Fault::new(format!("cannot deploy the branch {branch} to {environment}: it goes {goes}"))
            .cause("[branches] in roadbed.toml alone decides where a branch is deployed")
            .hint(format!(
                "merge it, or promote what was tested: `roadbed deploy --env {environment} --from ENVIRONMENT`"
            )),
    ))
}

/// Builds what changed, and packs it.
async fn built(
    session: &Session,
    project: &Project,
    want: &Wanted,
    store: &Store,
    control: &ControlClient,
) -> Result<Prepared, Failure> {
    let folder = crate::world::project(&project.path);
    let (_, environment) = project.environment(&want.environment)?;
    let converged = build::make(want, &environment.apps, project, store, &session.output).await?;
    if !converged.is_whole() {
        let failed: Vec<&str> = converged.failed.keys().map(reconcile::ResourceId::as_str).collect();
        return Err(Failure::Work(
            Fault::new(format!("nothing is deployed: could not build {}", failed.join(", ")))
                .hint("mend the cause above; what was built is not built twice"),
        ));
    }
    let mut artifacts = Vec::new();
    for app in &environment.apps {
        let record = builds::artifact(folder, app, &want.cache).record()?;
        let record = record.ok_or_else(|| Fault::new(format!("the artifact of {} is gone again", app.name)))?;
        artifacts.push(Artifact { app: record.app, digest: record.digest.to_string(), bytes: record.bytes });
    }
    // Where nothing was deployed yet, or nothing runs, there is nothing to compare with.
    let before = control.releases().await.ok().and_then(|releases| releases.into_iter().find(is_live));
    let since = before.and_then(|listed| listed.release.contents.origin.commit);
    let (origin, author) = git::origin(session, folder, since.as_deref()).await;
    Ok(Prepared { artifacts, manifest: project.source.text.clone(), origin, author })
}

fn is_live(listed: &Listed) -> bool {
    listed.role == Some(delivery::Role::Live)
}

/// What is live elsewhere, unchanged.
async fn of_environment(session: &Session, project: &Project, want: &Wanted, from: &str) -> Result<Prepared, Failure> {
    let (other, _) = project.environment(from)?;
    let folder = crate::world::project(&project.path);
    let cannot = |why: String| {
        Failure::Work(
            Fault::new(format!("cannot deploy what is live in {other}")).cause(why).hint(format!(
                "`roadbed releases --env {other}` shows what is there, `roadbed deploy --env {other}` brings something there"
            )),
        )
    };
    let root = Root::new(place::root_of(folder, Some(&other)));
    if root == session.root {
        return Err(cannot(format!("{other} is where it would go")));
    }
    let identity = identity::read(&root)?.ok_or_else(|| cannot("it was never brought up".to_owned()))?;
    let theirs = Store::new(seats::of_root(&root, &identity, &session.roots()));
    let releases = ControlClient::new(root).releases().await.map_err(|fault| cannot(fault.to_string()))?;
    let live = releases.into_iter().find(is_live).ok_or_else(|| cannot("no release is live there".to_owned()))?;
    let contents = live.release.contents;
    let digests = contents.artifacts.iter().map(|artifact| artifact.digest.parse::<Digest>());
    let digests = digests.collect::<Result<Vec<_>, _>>().map_err(|error| cannot(error.to_string()))?;
    let (_, ours) = secrets::open(session, None)?;
    signing::endorse(&Shelf::new(shelf::folder(&want.cache)), &digests, &theirs, &ours)?;
    Ok(Prepared {
        artifacts: contents.artifacts,
        manifest: contents.manifest,
        origin: contents.origin,
        author: Some(contents.author),
    })
}

/// Brings up what apps stand on, where nothing runs yet. Apps come with the deployment.
async fn ensure_up(session: &Session, want: Wanted, live: &Live) -> Result<(), Failure> {
    use crate::cli::conductor::Conductor;
    if live.is_up().await && crate::wanted::read(&session.root)?.is_some() {
        return Ok(());
    }
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    up::converged(session, &Wanted { apps: Apps::Releases, ..want }, live).await
}

async fn cancel(
    session: &Session,
    control: &ControlClient,
    id: Option<&str>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let id = follow::meant(control, id).await?;
    let token = login::token(session, control).await;
    control.cancel(id, &host::own::user_name(), token).await?;
    let exit = follow::look(session, control, id, Looking::UntilOver, interrupts).await?;
    // It is what was asked for.
    Ok(if exit == Exit::Cancelled { Exit::Done } else { exit })
}

async fn approve(session: &Session, control: &ControlClient, args: &Approve) -> Result<Exit, Failure> {
    let id = follow::meant(control, args.id.as_deref()).await?;
    let ask = |token| ToApprove { token, digest: args.digest.clone() };
    let known = ask(login::token(session, control).await);
    let deployment = match control.approve(id, &known).await {
        // A control that was started again knows no token: it is signed for anew, once.
        Err(_) if known.token.is_some() => control.approve(id, &ask(login::renewed(session, control).await)).await?,
        answer => answer?,
    };
    if session.output.is_json() {
        session.output.json(&deployment)?;
    } else {
        let (given, wanted) = (deployment.approvals.len(), deployment.policy.approvals);
        session.output.line(format!("{id}: approved, {given} of {wanted}"))?;
    }
    Ok(Exit::Done)
}

/// What `deploy list --json` prints.
#[derive(Serialize)]
struct Deployments {
    deployments: Vec<delivery::Deployment>,
}

async fn list(session: &Session, control: &ControlClient) -> Result<Exit, Failure> {
    let deployments = control.deployments().await?;
    if session.output.is_json() {
        session.output.json(&Deployments { deployments })?;
        return Ok(Exit::Done);
    }
    for line in deployment::table(&deployments) {
        session.output.line(line)?;
    }
    Ok(Exit::Done)
}

/// What `releases --json` prints.
#[derive(Serialize)]
struct Releases {
    releases: Vec<Listed>,
}

pub async fn releases(session: &Session) -> Result<Exit, Failure> {
    let releases = ControlClient::new(session.root.clone()).releases().await?;
    if session.output.is_json() {
        session.output.json(&Releases { releases })?;
        return Ok(Exit::Done);
    }
    for line in deployment::releases(&releases) {
        session.output.line(line)?;
    }
    Ok(Exit::Done)
}

pub async fn roll_back(session: &Session, args: &Rollback, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let control = ControlClient::new(session.root.clone());
    let to = args.to.as_deref().map(str::parse).transpose().map_err(|error: delivery::release::NoId| {
        Failure::Usage(Fault::new("cannot roll back").cause(error.to_string()).hint("`roadbed releases` shows them"))
    })?;
    let token = login::token(session, &control).await;
    let (rehearse, across_contract) = (args.dry_run, args.across_contract);
    let ask = ToRollBack { to, by: host::own::user_name(), token, rehearse, across_contract };
    let way = control.roll_back(&ask).await?;
    let from = way.from.map_or_else(|| "what was built in the project".to_owned(), |from| from.to_string());
    let how = if way.warm { "it stands ready, and is switched to at once" } else { "from its artifacts" };
    session.output.note(format!("from {from} to {}: {how}", way.to));
    match way.deployment.as_ref().filter(|_| !args.detach) {
        Some(deployment) => follow::look(session, &control, deployment.id, Looking::UntilOver, interrupts).await,
        None => {
            if session.output.is_json() {
                session.output.json(&way)?;
            } else if args.dry_run {
                deployment::rehearsed(&way.course).iter().try_for_each(|line| session.output.line(line))?;
                session.output.note(format!("nothing was done; `{}` does this", session.command("rollback")));
            }
            Ok(Exit::Done)
        }
    }
}
