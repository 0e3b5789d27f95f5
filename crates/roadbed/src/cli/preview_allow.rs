//! `roadbed preview allow`: somebody whom the manifest names says that a commit may be built, by a signature.

use std::time::Duration;

use engine::Turn;
use reconcile::Fault;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::login::{self, Key};
use crate::cli::preview::Ground;
use crate::cli::preview_args::PreviewAllow;
use crate::cli::session::Session;
use crate::cli::{git, place};
use crate::words::{self, NAMESPACE, Subject, Word};

/// Somebody else's word is written within moments.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    about: &'a Subject,
    by: &'a str,
}

pub async fn run(session: &Session, args: &PreviewAllow) -> Result<Exit, Failure> {
    let ground = Ground::here(session)?;
    let (number, commit) = (args.number, args.commit.to_ascii_lowercase());
    let home = ground.home(number)?;
    if commit.len() < 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::Usage(Fault::new(format!("{:?} is no whole name of a commit", args.commit)).hint(
            "a shortened one could be made to mean another: give all 40 digits, as `git rev-parse` shows them",
        )));
    }
    let known = match ground.head_of(number).await {
        Some(head) => head,
        None => ground.commit_of(&commit).await.ok_or_else(|| {
            Failure::Usage(
                Fault::new(format!("{} knows no such commit", ground.repository.display()))
                    .hint("`git fetch` brings what others pushed"),
            )
        })?,
    };
    if known != commit {
        return Err(Failure::Usage(
            Fault::new(format!("{commit} is not the newest commit of pull request {number}"))
                .cause(format!("that is {known}"))
                .hint("look at what it brings, then allow that one"),
        ));
    }
    let shown = git::ask(session, &ground.repository, &["log", "-1", "--format=%h %s (%an)", &commit, "--"]).await;
    shown.unwrap_or_default().iter().for_each(|line| session.output.note(line));
    let about = Subject { product: ground.product(&home)?, pull_request: number, commit };
    let at = session.clock.now();
    let keys = match &args.key {
        Some(file) => vec![Key::File(session.surroundings.folder.join(file))],
        None => login::held_by_agent(session, &home.builders.keys()).await?,
    };
    let folder = ground.project.join(place::OTHERS).join(format!(".allow-{}", host::own::pid()));
    let may_not = || {
        let names = home.builders.names().join(", ");
        let hint = format!("`builders` of [environments.{}] in roadbed.toml says who may", home.environment.name);
        let fault = Fault::new(format!("you may not allow commits of pull request {number}"));
        Failure::Work(
            fault.cause(if names.is_empty() { "nobody may".to_owned() } else { format!("{names} may") }).hint(hint),
        )
    };
    let Some(key) = keys.first() else { return Err(may_not()) };
    let signature = login::signed(session, key, &folder, NAMESPACE, &words::message(&about, at)).await?;
    let by = home.builders.who_signed(&about, at, &signature);
    let by = by.map_err(|error| Fault::because("the signature is not accepted", &error))?.ok_or_else(may_not)?;
    let _turn = Turn::new(ground.project.join(place::OTHERS).join(".allow.lock"))
        .take("cannot keep the word", PATIENCE)
        .await?;
    words::keep(&ground.project, &Word::new(about.clone(), by.clone(), at, signature))?;
    if session.output.is_json() {
        session.output.json(&Shown { about: &about, by: by.as_str() })?;
        return Ok(Exit::Done);
    }
    let good = session.output.notes.good("✓");
    session.output.note(format!("{good} {by} lets this commit be built: `roadbed preview up {number}`"));
    Ok(Exit::Done)
}
