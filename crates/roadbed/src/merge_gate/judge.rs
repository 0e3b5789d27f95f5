//! What of a push is taken.

use std::path::Path;

use gix_hash::ObjectId;
use host::clock::Timestamp;
use manifest::Protection;
use reconcile::Fault;

use super::push::Moved;
use super::repository::{Bare, Told};
use super::result::{self, Expected, Statement};

/// What becomes of one ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub reference: String,
    pub verdict: Verdict,
}

/// Whether it is taken. All of a push is, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The gate has nothing to do with it.
    Unprotected,
    /// Taken, for this reason.
    Taken(String),
    Refused {
        why: String,
        hint: String,
    },
}

/// What protects a branch.
struct Rules {
    product: String,
    protection: Protection,
}

/// Looks at every ref of a push. Results of checks may come in the same push as the commit that they are about.
pub fn judge(folder: &Path, quarantine: Option<&Path>, moved: &[Moved], now: Timestamp) -> Result<Vec<Judged>, Fault> {
    let mut judging = Judging { bare: Bare::open(folder, quarantine)?, moved, now };
    let mut judged = Vec::with_capacity(moved.len());
    for one in moved {
        let meant = judging.bare.meant(&one.reference);
        let verdict = match (meant.strip_prefix("refs/heads/"), result::of_reference(&meant)) {
            (Some(branch), _) => judging.branch(branch, one)?,
            (None, Some((commit, check))) => judging.result(commit, check, one)?,
            (None, None) if meant.starts_with("refs/checks/") => refused(
                "it is no place of a result",
                "results lie in refs/checks/COMMIT/CHECK: `roadbed ci run --sign` makes them",
            ),
            // git itself goes by these where they are; a commit would be another than its name says.
            (None, None) if meant.starts_with("refs/replace/") => refused(
                "it would put another object in place of one that was checked",
                "push it to a repository without a merge gate",
            ),
            (None, None) => Verdict::Unprotected,
        };
        judged.push(Judged { reference: one.reference.clone(), verdict });
    }
    Ok(judged)
}

fn refused(why: impl Into<String>, hint: impl Into<String>) -> Verdict {
    Verdict::Refused { why: why.into(), hint: hint.into() }
}

/// As people write commits.
fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

struct Judging<'j> {
    bare: Bare,
    moved: &'j [Moved],
    now: Timestamp,
}

impl Judging<'_> {
    fn branch(&mut self, branch: &str, moved: &Moved) -> Result<Verdict, Fault> {
        let rules = match self.rules(branch, moved.to)? {
            Ok(Some(rules)) => rules,
            Ok(None) => return Ok(Verdict::Unprotected),
            Err(verdict) => return Ok(verdict),
        };
        let Some(to) = moved.to else {
            return Ok(refused(
                "it is protected and is not deleted",
                "take it out of `branches` in [ci.protection] first, through the gate",
            ));
        };
        let Some(to) = self.bare.commit(&to) else {
            return Ok(refused("what was pushed is no commit", "push a commit"));
        };
        if let Some(from) = moved.from {
            match self.bare.contains(to, from) {
                Ok(true) => {}
                Ok(false) => {
                    return Ok(refused(
                        "it is protected and is not rewritten: what is pushed lacks commits that it has",
                        format!("`git fetch`, then merge or rebase on origin/{branch}, and have that checked"),
                    ));
                }
                Err(fault) => {
                    return Ok(refused(
                        format!("its history cannot be followed ({fault}): a push from a shallow clone"),
                        "`git fetch --unshallow`, then push again",
                    ));
                }
            }
        }
        if rules.protection.keys.is_empty() {
            return Ok(refused(
                "it is protected, and no key signs results",
                "put the public key that `roadbed ci run --sign` signs with into `keys` of [ci.protection]; for the very first time, \
                 whoever keeps the repository does so with the hook moved away",
            ));
        }
        let tree = self.bare.tree(&to)?.to_string();
        let mut passed = Vec::new();
        for check in &rules.protection.checks {
            match self.check(check, &rules, to, &tree, moved.from)? {
                Ok(at) => passed.push(format!("{check} passed at {at}")),
                Err(verdict) => return Ok(verdict),
            }
        }
        Ok(Verdict::Taken(passed.join(", ")))
    }

    /// What protects a branch: said by itself as it is, else by the branch that `HEAD` names. Only where neither is there yet, by
    /// what is pushed: by somebody who could as well push anything else.
    fn rules(&mut self, branch: &str, pushed: Option<ObjectId>) -> Result<Result<Option<Rules>, Verdict>, Fault> {
        let trunk = self.bare.trunk();
        let trunk = trunk.and_then(|trunk| Some((self.bare.tip(&trunk)?, trunk)));
        let own = self.bare.tip(branch).map(|tip| (tip, branch.to_owned()));
        let mut asked: Vec<(ObjectId, String)> = own.into_iter().chain(trunk).collect();
        if asked.is_empty() {
            asked.extend(
                pushed.and_then(|pushed| self.bare.commit(&pushed)).map(|pushed| (pushed, "what is pushed".to_owned())),
            );
        }
        for (commit, by) in asked {
            match self.bare.manifest(&commit)? {
                Told::Faulty(why) => {
                    return Ok(Err(refused(
                        format!("it cannot be told whether it is protected: roadbed.toml of {by} has a fault: {why}"),
                        "whoever keeps the repository moves the branch to a sound commit, or the hook away for as long",
                    )));
                }
                Told::Manifest(manifest) => {
                    let protection =
                        manifest.protection().filter(|found| found.branches.iter().any(|name| name == branch));
                    if let Some(protection) = protection {
                        return Ok(Ok(Some(Rules { product: manifest.product().to_owned(), protection })));
                    }
                }
                Told::None => {}
            }
        }
        Ok(Ok(None))
    }

    /// When a check passed for exactly this commit.
    fn check(
        &mut self,
        check: &str,
        rules: &Rules,
        commit: ObjectId,
        tree: &str,
        from: Option<ObjectId>,
    ) -> Result<Result<Timestamp, Verdict>, Fault> {
        let id = commit.to_string();
        let place = result::reference(&id, check);
        let run = format!("run `roadbed ci run --sign KEY` on {}, then `git push REMOTE {place}`", short(&id));
        // What comes with the same push counts as if it were there.
        let pushed = self.moved.iter().find(|moved| moved.reference == place).map(|moved| moved.to);
        let Some(blob) = pushed.unwrap_or_else(|| self.bare.target(&place)) else {
            return Ok(Err(refused(format!("{check} has not run for {}", short(&id)), run)));
        };
        let Some(text) = self.bare.blob(&blob, result::LONGEST) else {
            return Ok(Err(refused(format!("the result of {check} for {} cannot be read", short(&id)), run)));
        };
        let said = match result::believed(&text, &self.expected(rules, check, &id, tree)) {
            Ok(said) => said,
            Err(why) => {
                return Ok(Err(refused(
                    format!("the result of {check} for {} is not believed: {why}", short(&id)),
                    run,
                )));
            }
        };
        if !said.passed {
            let why = format!("{check} failed for {} at {}", short(&id), said.at);
            return Ok(Err(refused(why, "mend it, commit, and have that checked")));
        }
        if let Some(why) = self.unchecked(&said, from) {
            return Ok(Err(refused(
                format!("{check} left out what {} has and the branch has not: {why}", short(&id)),
                "run `roadbed ci run --all --sign KEY`, or with --base of a commit that the branch has",
            )));
        }
        Ok(Ok(said.at))
    }

    fn expected<'e>(&self, rules: &'e Rules, check: &'e str, commit: &'e str, tree: &'e str) -> Expected<'e> {
        Expected {
            product: &rules.product,
            check,
            commit,
            tree,
            keys: &rules.protection.keys,
            max_age: rules.protection.max_age,
            now: self.now,
        }
    }

    /// Only what changed since `base` was checked: what came before must be in the branch (of a new one: in the trunk) already.
    fn unchecked(&mut self, said: &Statement, from: Option<ObjectId>) -> Option<String> {
        let base = said.base.as_deref()?;
        let shown = short(base).to_owned();
        let trunk = self.bare.trunk().and_then(|trunk| self.bare.tip(&trunk));
        let Some(there) = from.or(trunk) else {
            return Some(format!("it was compared with {shown}, and nothing is here yet"));
        };
        let base = ObjectId::from_hex(base.as_bytes()).ok().and_then(|base| self.bare.commit(&base));
        match base.map(|base| self.bare.contains(there, base)) {
            Some(Ok(true)) => None,
            _ => Some(format!("it was compared with {shown}")),
        }
    }

    /// A result is taken where it could be believed, so that nobody puts a wrong one in a right one's place.
    fn result(&mut self, commit: &str, check: &str, moved: &Moved) -> Result<Verdict, Fault> {
        let before = moved.from.and_then(|from| self.bare.blob(&from, result::LONGEST));
        let before = before.as_deref().and_then(result::claimed);
        let Some(rules) = self.any_rules(commit)? else { return Ok(Verdict::Unprotected) };
        let Some(to) = moved.to else {
            let is_over = before.is_none_or(|before| self.now.since(before.at) > rules.protection.max_age);
            return Ok(match is_over {
                true => Verdict::Taken("it was over".to_owned()),
                false => {
                    refused("a result is not deleted while it counts: an older one could take its place", "leave it")
                }
            });
        };
        let id = ObjectId::from_hex(commit.as_bytes()).ok().and_then(|id| self.bare.commit(&id));
        let Some(id) = id else {
            return Ok(refused(
                format!("there is no commit {} here", short(commit)),
                "push the commit before its result, or with it",
            ));
        };
        let tree = self.bare.tree(&id)?.to_string();
        let text = self.bare.blob(&to, result::LONGEST);
        let said = text.ok_or(result::Unbelieved::Unreadable);
        let said = said.and_then(|text| result::believed(&text, &self.expected(&rules, check, commit, &tree)));
        Ok(match said {
            Err(why) => {
                refused(format!("this result is not believed: {why}"), "`roadbed ci run --sign KEY` makes another")
            }
            Ok(said) if before.is_some_and(|before| before.at > said.at) => {
                refused("there is a newer result already", "have the commit checked again")
            }
            Ok(said) => Verdict::Taken(format!("{check} {}", if said.passed { "passed" } else { "failed" })),
        })
    }

    /// Whose results are taken: as the trunk says, or what is pushed where there is none yet.
    fn any_rules(&mut self, commit: &str) -> Result<Option<Rules>, Fault> {
        let trunk = self.bare.trunk().and_then(|trunk| self.bare.tip(&trunk));
        let of = trunk.or_else(|| ObjectId::from_hex(commit.as_bytes()).ok().and_then(|id| self.bare.commit(&id)));
        let Some(of) = of else { return Ok(None) };
        let Told::Manifest(manifest) = self.bare.manifest(&of)? else { return Ok(None) };
        let product = manifest.product().to_owned();
        Ok(manifest.protection().map(|protection| Rules { product, protection }))
    }
}
