//! `roadbed ci run --sign`: what came of a commit, said with a signature, for the merge gate of whoever it is pushed to.

use std::path::{Path, PathBuf};

use ::ci::changes::Checkout;
use ::ci::history::History;
use ::ci::plan::Plan;
use host::files::{self, Access};
use reconcile::Fault;

use crate::cli::ci_args::CiRun;
use crate::cli::ci_plan::Subject;
use crate::cli::failure::Failure;
use crate::cli::git;
use crate::cli::login::{self, Key};
use crate::cli::session::Session;
use crate::merge_gate::result::{self, Statement};

/// What will be said, but for how it ended.
#[derive(Debug)]
pub(super) struct Signing {
    key: PathBuf,
    product: String,
    check: String,
    commit: String,
    tree: String,
    base: Option<String>,
}

/// Looks before anything is run whether the result could be signed. Only what was committed, and all of it, is checked so.
pub(super) fn prepare(
    session: &Session,
    args: &CiRun,
    subject: &Subject,
    plan: &Plan,
    is_trusted: bool,
) -> Result<Option<Signing>, Failure> {
    let Some(key) = &args.sign else { return Ok(None) };
    let cannot = |why: &str, hint: &str| {
        Err(Failure::Usage(Fault::new("cannot sign what comes of this").cause(why.to_owned()).hint(hint.to_owned())))
    };
    if !is_trusted {
        return cannot("what strangers' code says of itself proves nothing", "leave out --sign in runs of forks");
    }
    if plan.uncommitted {
        return cannot(
            "there are changes that are not committed, and a result is about a commit",
            "commit or stash them",
        );
    }
    if !manifest::is_check_name(&args.check) {
        return cannot("the check has no name that a ref can have", "write small letters, digits and \"-\"");
    }
    let Some(project) = &subject.project else {
        return cannot("there is no roadbed.toml, which names the product", "go to the folder of the project");
    };
    let key = session.surroundings.folder.join(key);
    if !files::exists(&key) {
        return cannot(&format!("there is no key at {}", key.display()), "`ssh-keygen -t ed25519 -f FILE` makes one");
    }
    let mut history = History::of(&subject.folder)?;
    let head = history.commit(&plan.head).ok_or_else(|| Fault::new("cannot read the commit that is checked out"))?;
    Ok(Some(Signing {
        key,
        product: project.manifest.product().to_owned(),
        check: args.check.clone(),
        commit: plan.head.clone(),
        tree: history.tree(&head)?.to_string(),
        base: if args.all { None } else { plan.base.clone() },
    }))
}

impl Signing {
    /// Signs how it ended and keeps it under its ref, whose name is returned.
    pub(super) async fn sign(
        &self,
        session: &Session,
        checkout: &Checkout,
        cache: &Path,
        passed: bool,
    ) -> Result<String, Failure> {
        let now = History::of(&checkout.top)?.commit("HEAD").map(|id| id.to_string());
        let is_as_it_was = checkout.uncommitted("", &session.surroundings.tools()).await?.is_empty();
        if now.as_ref() != Some(&self.commit) || !is_as_it_was {
            return Err(Failure::Work(
                Fault::new("cannot sign what came of this: the files are not those of the commit any more")
                    .hint("see `git status`; what a task makes belongs into .gitignore"),
            ));
        }
        let ids = [self.commit.clone(), self.tree.clone()];
        let statement = Statement::new(&self.product, &self.check, ids, self.base.clone(), passed, session.clock.now());
        let folder = cache.join(format!("signing-{}", host::own::pid()));
        let key = Key::File(self.key.clone());
        let signature = login::signed(session, &key, &folder, result::NAMESPACE, &statement.line()).await?;
        let kept = self.keep(session, checkout, &folder, &statement.sealed(&signature)).await;
        let removed = files::remove_dir(&folder);
        let kept = kept?;
        removed?;
        Ok(kept)
    }

    async fn keep(&self, session: &Session, checkout: &Checkout, folder: &Path, text: &str) -> Result<String, Failure> {
        let cannot = |silent: git::Silent| {
            Fault::new("cannot keep the signed result in this repository")
                .cause(if silent.0.is_empty() { "git does not say why".to_owned() } else { silent.0 })
                .hint("see whether .git is yours and has room")
        };
        let file = folder.join("result");
        files::create_dir(folder, Access::Owner)?;
        files::write_durable(&file, text.as_bytes(), Access::Owner)?;
        let shown = file.display().to_string();
        let words = ["hash-object", "-w", "--no-filters", "--", &shown];
        let blob = git::ask(session, &checkout.top, &words).await.map_err(cannot)?;
        let blob = blob.first().cloned().unwrap_or_default();
        let reference = result::reference(&self.commit, &self.check);
        git::ask(session, &checkout.top, &["update-ref", &reference, &blob]).await.map_err(cannot)?;
        Ok(reference)
    }
}
