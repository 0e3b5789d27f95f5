//! What git says of the checkout that the manifest is in. Asked of the user's own git, since its settings decide what counts as changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use delivery::release::Origin;
use host::process::{Run, Stream, find_in_path, run};

use crate::cli::session::Session;

/// Git looks at every file to tell what changed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Commits that are told of a release.
const CHANGES: usize = 50;

/// Why git said nothing; empty if it did not say that either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent(pub String);

/// Asks git about a folder; returns its lines.
pub async fn ask(session: &Session, folder: &Path, words: &[&str]) -> Result<Vec<String>, Silent> {
    let path = session.surroundings.variable("PATH").unwrap_or_default();
    let program = find_in_path("git", &path).ok_or_else(|| Silent("there is no program git in PATH".to_owned()))?;
    let env =
        ["PATH", "HOME"].iter().filter_map(|name| Some(((*name).to_owned(), session.surroundings.variable(name)?)));
    let mut env: BTreeMap<String, String> = env.collect();
    // Looking takes no lock: somebody may be committing.
    env.insert("GIT_OPTIONAL_LOCKS".to_owned(), "0".to_owned());
    let args = words.iter().map(|word| (*word).to_owned()).collect();
    let command = Run { program, args, cwd: folder.to_owned(), env, deadline: DEADLINE };
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let finished = run(&command, &mut |stream, line| match stream {
        Stream::Out => out.push(line.to_owned()),
        Stream::Err => said.push(line.to_owned()),
    })
    .await
    .map_err(|fault| Silent(fault.to_string()))?;
    match finished.success() {
        true => Ok(out),
        false => Err(Silent(said.pop().unwrap_or_default())),
    }
}

/// Where the code in a folder comes from, and who wrote its last change. A folder in no repository comes from nowhere.
pub async fn origin(session: &Session, folder: &Path, since: Option<&str>) -> (Origin, Option<String>) {
    let first =
        async |words: &[&str]| ask(session, folder, words).await.ok().and_then(|lines| lines.into_iter().next());
    let Some(commit) = first(&["rev-parse", "HEAD"]).await else { return (Origin::default(), None) };
    let changed = ask(session, folder, &["status", "--porcelain", "--untracked-files=no"]).await;
    let branch = first(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await;
    let author = first(&["log", "-1", "--format=%an"]).await;
    let most = format!("-{CHANGES}");
    let range = since.map(|since| format!("{since}..HEAD"));
    let changes = match &range {
        Some(range) => ask(session, folder, &["log", &most, "--format=%h %s", range, "--"]).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let changed = changed.is_ok_and(|lines| !lines.is_empty());
    (Origin { commit: Some(commit), changed, branch, changes }, author)
}
