//! `roadbed deploy --remote`: what is built here is brought there and deployed, by the manifest that the environment has there.

use engine::artifact::shelf::{Record, Shelf, folder};
use reconcile::Fault;

use super::client::Api;
use super::deployments;
use crate::cli::deploy_args::Deploy;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::cli::{args, build, git, secrets, wanted};
use crate::control::api::answers::{Artifact, Deployment};
use crate::control::api::questions::{CommitText, LineText, NameText, OfArtifacts, OnShelf, Sha256Text, ToDeploy};
use crate::world::builds;

pub(super) async fn run(
    session: &Session,
    api: &Api,
    args: &Deploy,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    refuse_what_is_for_here(args)?;
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
    let commit =
        origin.commit.ok_or_else(|| cannot("the manifest is in no repository, so nobody can tell the commit"))?;
    if origin.changed {
        return Err(cannot("files that git knows were changed since the commit that would be named"));
    }
    let built = tokio::select! {
        built = built(session, &project) => built?,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    let (shelf, records) = built;
    for record in &records {
        let Record { app, inputs, digest, .. } = record;
        let path = format!("artifacts/{digest}?app={app}&inputs={inputs}");
        let _: Artifact = api.put_file(&path, &shelf.archive(digest)).await?;
        session.output.note(format!("{app}: {} is there", digest.short()));
    }
    let line = |text: String| LineText(text.chars().filter(|c| !c.is_control()).take(200).collect());
    let on_shelf =
        |record: Record| OnShelf { app: NameText(record.app), digest: Sha256Text(record.digest.to_string()) };
    let ask = ToDeploy::Artifacts(OfArtifacts {
        artifacts: records.into_iter().map(on_shelf).collect(),
        commit: Some(CommitText(commit)),
        branch: origin.branch.map(line),
        author: author.map(line).filter(|author| !author.0.is_empty()),
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
    deployments::look(session, api, id, interrupts).await
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

/// An artifact of each app, by the same way as `roadbed build`.
async fn built(session: &Session, project: &Project) -> Result<(Shelf, Vec<Record>), Failure> {
    let (_, environment) = project.environment(&session.environment()?)?;
    let want = wanted::of(session, project, &args::Up::default())?;
    let (_, store) = secrets::open(session, None)?;
    let converged = build::make(&want, &environment.apps, project, &store, &session.output).await?;
    if !converged.is_whole() {
        let failed: Vec<&str> = converged.failed.keys().map(reconcile::ResourceId::as_str).collect();
        return Err(Failure::Work(
            Fault::new(format!("nothing is deployed: could not build {}", failed.join(", ")))
                .hint("mend the cause above; what was built is not built twice"),
        ));
    }
    let place = crate::world::project(&project.path);
    let record = |app| {
        let record = builds::artifact(place, app, &want.cache).record()?;
        record.ok_or_else(|| Fault::new(format!("the artifact of {} is gone again", app.name)))
    };
    let records = environment.apps.iter().map(record).collect::<Result<Vec<_>, Fault>>()?;
    Ok((Shelf::new(folder(&want.cache)), records))
}
