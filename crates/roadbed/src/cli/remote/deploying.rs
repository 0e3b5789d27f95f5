//! `roadbed deploy --remote`: what is built here, now or before into a folder, is brought there and deployed, by the manifest that the
//! environment has there.

use std::path::{Path, PathBuf};

use engine::artifact::shelf::{Record, Shelf, folder};
use reconcile::Fault;

use super::client::Api;
use super::deployments;
use crate::cli::deploy_args::Deploy;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::follow::Looking;
use crate::cli::interrupts::Interrupts;
use crate::cli::project::Project;
use crate::cli::release_folder::ReleaseFolder;
use crate::cli::session::Session;
use crate::cli::{args, build, git, secrets, wanted};
use crate::control::api::answers::{Artifact, Deployment};
use crate::control::api::questions::{CommitText, LineText, NameText, OfArtifacts, OnShelf, Sha256Text, ToDeploy};
use crate::render::span::bytes;
use crate::world::builds;

/// A release that is here, and where its archives lie.
struct Release {
    artifacts: Vec<(Record, PathBuf)>,
    commit: Option<String>,
    branch: Option<String>,
    author: Option<String>,
}

pub(super) async fn run(
    session: &Session,
    api: &Api,
    args: &Deploy,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    refuse_what_is_for_here(args)?;
    let bringing = async {
        let release = match &args.artifacts {
            Some(folder) => from_folder(session, folder)?,
            None => built(session).await?,
        };
        for (record, archive) in &release.artifacts {
            bring(session, api, record, archive).await?;
        }
        Ok::<_, Failure>(release)
    };
    let release = tokio::select! {
        release = bringing => release?,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    let line = |text: String| LineText(text.chars().filter(|c| !c.is_control()).take(200).collect());
    let on_shelf =
        |(record, _): (Record, _)| OnShelf { app: NameText(record.app), digest: Sha256Text(record.digest.to_string()) };
    let ask = ToDeploy::Artifacts(OfArtifacts {
        artifacts: release.artifacts.into_iter().map(on_shelf).collect(),
        commit: release.commit.map(CommitText),
        branch: release.branch.map(line),
        author: release.author.map(line).filter(|author| !author.0.is_empty()),
    });
    // Sent again where the answer is lost, it is still one deployment.
    let key = uuid::Uuid::new_v4().to_string();
    let deployment: Deployment = api.post("deployments", &ask, Some(&key)).await?;
    let id = deployment.id.0;
    session.output.note(format!("{id} of {}: asked for by {}", deployment.release.0, deployment.asked_by));
    if args.detach {
        if session.output.is_json() {
            session.output.json(&deployment)?;
        }
        return Ok(Exit::Done);
    }
    let looking = if args.until_asked { Looking::UntilSomebodyIsAsked } else { Looking::UntilOver };
    deployments::look(session, api, id, looking, interrupts).await
}

/// Sends what the other end does not have yet.
async fn bring(session: &Session, api: &Api, record: &Record, archive: &Path) -> Result<(), Failure> {
    let Record { app, inputs, digest, packed_bytes, .. } = record;
    let path = format!("artifacts/{digest}");
    if api.find::<Artifact>(&path).await?.is_some() {
        session.output.note(format!("{app}: {} is there already", digest.short()));
        return Ok(());
    }
    let _: Artifact = api.put_file(&format!("{path}?app={app}&inputs={inputs}"), archive).await?;
    session.output.note(format!("{app}: {} sent, {}", digest.short(), bytes(*packed_bytes)));
    Ok(())
}

/// What `roadbed build --out` put there. A pipeline deploys in the name of the commit that it was started for: the same content may be
/// of several.
fn from_folder(session: &Session, folder: &Path) -> Result<Release, Failure> {
    let folder = ReleaseFolder::read(&session.surroundings.folder.join(folder))?;
    let variable = |name: &str| {
        let is_hosted = session.surroundings.variable("GITHUB_ACTIONS").is_some();
        session.surroundings.variable(name).filter(|value| is_hosted && !value.is_empty())
    };
    Ok(Release {
        commit: variable("GITHUB_SHA").or_else(|| folder.commit.clone()),
        branch: variable("GITHUB_REF_NAME").or_else(|| folder.branch.clone()),
        author: folder.author.clone(),
        artifacts: folder.artifacts.iter().map(|record| (record.clone(), folder.archive(record))).collect(),
    })
}

fn refuse_what_is_for_here(args: &Deploy) -> Result<(), Failure> {
    let flags = [
        ("--from", args.from.is_some()),
        ("--free-ports", args.free_ports),
        ("--across-contract", args.across_contract),
    ];
    match flags.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(Failure::Usage(
            Fault::new(format!("{flag} does not work from elsewhere"))
                .cause("--remote asks the API of an environment, which builds, promotes and destroys nothing")
                .hint("say it on the machine of the environment"),
        )),
    }
}

/// An artifact of each app, by the same way as `roadbed build`, of the commit that is checked out.
async fn built(session: &Session) -> Result<Release, Failure> {
    let project = Project::load(session)?;
    let place = crate::world::project(&project.path);
    let (origin, author) = git::origin(session, place, None).await;
    let cannot = |why: &str| {
        Failure::Usage(
            Fault::new("cannot deploy from here")
                .cause(why)
                .hint("commit what is to be deployed: its commit is what is let in"),
        )
    };
    if origin.commit.is_none() {
        return Err(cannot("the manifest is in no repository, so nobody can tell the commit"));
    }
    if origin.changed {
        return Err(cannot("files that git knows were changed since the commit that would be named"));
    }
    let (_, environment) = project.environment(&session.environment()?)?;
    let want = wanted::of(session, &project, &args::Up::default())?;
    let (_, store) = secrets::open(session, None)?;
    let converged = build::make(&want, &environment.apps, &project, &store, &session.output).await?;
    if !converged.is_whole() {
        let failed: Vec<&str> = converged.failed.keys().map(reconcile::ResourceId::as_str).collect();
        return Err(Failure::Work(
            Fault::new(format!("nothing is deployed: could not build {}", failed.join(", ")))
                .hint("mend the cause above; what was built is not built twice"),
        ));
    }
    let shelf = Shelf::new(folder(&want.cache));
    let artifact = |app| {
        let record = builds::artifact(place, app, &want.cache).record()?;
        let record = record.ok_or_else(|| Fault::new(format!("the artifact of {} is gone again", app.name)))?;
        let archive = shelf.archive(&record.digest);
        Ok((record, archive))
    };
    let artifacts = environment.apps.iter().map(artifact).collect::<Result<Vec<_>, Fault>>()?;
    Ok(Release { artifacts, commit: origin.commit, branch: origin.branch, author })
}
