//! The merge gate: what a bare repository takes, with real git and real signatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{Answer, Stage, answer};

/// A clone with a change on `main`, and the repository that it is pushed to.
struct Gate {
    stage: Stage,
    bare: PathBuf,
}

const LINT: &str = "[ci.tasks.lint]\ncommand = [\"/bin/sh\", \"-c\", \"! grep bad index.js\"]\n";

impl Gate {
    /// `main` has been taken once, and the gate is there since.
    fn new(more: &str) -> Self {
        let stage = Stage::new("");
        key(&stage, "ci");
        key(&stage, "stranger");
        let gate = Self { bare: stage.path("shop.git"), stage };
        gate.stage.git(&["checkout", "--quiet", "main"]);
        gate.protect(&["ci"], more);
        assert!(
            Command::new("git")
                .args(["init", "--quiet", "--bare", "--initial-branch=main"])
                .arg(&gate.bare)
                .status()
                .unwrap()
                .success()
        );
        gate.stage.git(&["remote", "add", "origin", gate.bare.to_str().unwrap()]);
        assert_eq!(gate.push(&["main"]).code, 0);
        gate.install();
        gate
    }

    fn install(&self) {
        let answer = self.stage.run(&["merge-gate", "install", self.bare.to_str().unwrap()]);
        assert_eq!(answer.code, 0, "{answer:?}");
    }

    /// Writes the manifest anew and commits.
    fn protect(&self, keys: &[&str], more: &str) {
        let line = |name: &&str| format!("{:?}", self.stage.read(&format!("keys/{name}.pub")).trim());
        let keys: Vec<String> = keys.iter().map(line).collect();
        let protection =
            format!("[ci.protection]\nbranches = [\"main\", \"develop\"]\nkeys = [{}]\n{more}", keys.join(", "));
        self.stage.write("shop/roadbed.toml", &format!("{}{LINT}{protection}", Stage::MANIFEST));
        self.stage.commit();
    }

    fn change(&self, text: &str) -> String {
        self.stage.write("shop/apps/api/index.js", text);
        self.stage.commit();
        self.stage.said(&["rev-parse", "HEAD"])
    }

    fn sign(&self, key: &str, words: &[&str]) -> Answer {
        let key = self.stage.path("keys").join(key);
        let words: Vec<&str> = ["ci", "run", "--sign", key.to_str().unwrap()].iter().chain(words).copied().collect();
        self.stage.run(&words)
    }

    fn push(&self, words: &[&str]) -> Answer {
        let programs = Path::new(env!("CARGO_BIN_EXE_roadbed")).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut git = Command::new("git");
        git.arg("push").arg("origin").args(words).current_dir(self.stage.path("shop"));
        git.env_clear().env("PATH", path).env("HOME", self.stage.path("home"));
        answer(&git.output().unwrap())
    }

    /// Pushed with what is expected to be said.
    fn refused(&self, words: &[&str], why: &str) {
        let before = self.tip("main");
        let answer = self.push(words);
        assert!(answer.code != 0 && answer.err.contains(why), "{why}: {answer:?}");
        assert_eq!(self.tip("main"), before);
    }

    fn taken(&self, words: &[&str]) {
        let answer = self.push(words);
        assert_eq!(answer.code, 0, "{answer:?}");
    }

    fn tip(&self, branch: &str) -> String {
        let git =
            Command::new("git").args(["rev-parse", "--verify", "--quiet", branch]).current_dir(&self.bare).output();
        String::from_utf8(git.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Puts any bytes where the result of a commit lies, as whoever has the clone can.
    fn plant(&self, commit: &str, text: &str) {
        self.stage.write("planted", text);
        let file = self.stage.path("planted");
        let blob = self.stage.said(&["hash-object", "-w", file.to_str().unwrap()]);
        self.stage.git(&["update-ref", &place(commit), &blob]);
    }

    fn result(&self, commit: &str) -> String {
        self.stage.said(&["cat-file", "blob", &place(commit)])
    }
}

fn place(commit: &str) -> String {
    format!("refs/checks/{commit}/required")
}

fn key(stage: &Stage, name: &str) {
    fs::create_dir_all(stage.path("keys")).unwrap();
    let file = stage.path("keys").join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(file).status();
    assert!(made.unwrap().success(), "install OpenSSH's client");
}

#[test]
fn red_is_refused_and_green_is_taken() {
    let gate = Gate::new("");
    let red = gate.change("bad\n");
    gate.refused(&["main"], &format!("main: refused: required has not run for {}", &red[..10]));
    let answer = gate.sign("ci", &[]);
    assert_eq!(answer.code, 1, "a failure is signed too: {answer:?}");
    gate.refused(&["main", &place(&red)], &format!("required failed for {}", &red[..10]));
    let green = gate.change("good\n");
    assert_eq!(gate.sign("ci", &[]).code, 0);
    let told = gate.push(&["main", &place(&green)]);
    assert!(told.code == 0 && told.err.contains("✓ main: required passed at"), "{told:?}");
    assert_eq!(gate.tip("main"), green);
    // The result first and the commit later is the same.
    let next = gate.change("better\n");
    gate.taken(&["HEAD:refs/heads/feature"]);
    assert_eq!(gate.sign("ci", &[]).code, 0);
    gate.taken(&[&place(&next)]);
    gate.taken(&["main"]);
    // A branch that is not protected, and a tag, take anything.
    gate.change("bad\n");
    gate.taken(&["HEAD:refs/heads/feature", "HEAD:refs/tags/v1"]);
    // `ssh-keygen` itself says the same of a result.
    let whole = gate.result(&next);
    let (line, signature) = whole.split_once('\n').unwrap();
    gate.stage.write("line", line);
    gate.stage.write("line.sig", &format!("{signature}\n"));
    gate.stage.write("signers", &format!("ci {}", gate.stage.read("keys/ci.pub")));
    let verify = "ssh-keygen -Y verify -f signers -I ci -n roadbed-check -s line.sig < line";
    assert!(Command::new("sh").args(["-c", verify]).current_dir(gate.stage.path("")).status().unwrap().success());
}

#[test]
fn a_result_counts_for_its_commit_its_product_its_time_and_a_key_of_the_branch() {
    let gate = Gate::new("max_age = \"1h\"\n");
    let green = gate.change("good\n");
    assert_eq!(gate.sign("ci", &[]).code, 0);
    let good = gate.result(&green);
    // Changed by a byte; of another commit; by somebody else; of another product.
    gate.plant(&green, &good.replace("\"base\":\"", "\"base\":\"0"));
    gate.refused(&["main", &place(&green)], "its signature is not accepted");
    gate.refused(&[&place(&green)], "push the commit before its result, or with it");
    gate.plant(&green, "passed");
    gate.refused(&["main", &place(&green)], "it is no result of a check");
    assert_eq!(gate.sign("stranger", &[]).code, 0);
    gate.refused(&["main", &place(&green)], "it is signed with a key that `keys` of [ci.protection] does not have");
    let other = gate.change("other\n");
    gate.plant(&other, &good);
    gate.refused(&["main", &place(&other)], &format!("it is about the commit {green}, not {other}"));
    // The same commit, as if it were another product's.
    gate.stage.git(&["reset", "--quiet", "--hard", &green]);
    let text = good.split('\n').next().unwrap().replace("\"shop\"", "\"other\"");
    gate.plant(&green, &gate.stage.signed("ci", &text));
    gate.refused(&["main", &place(&green)], "it is about the product other, not shop");
    // Too old, and of tomorrow.
    let line = good.lines().next().unwrap();
    let at = serde_json::from_str::<serde_json::Value>(line).unwrap()["at"].as_i64().unwrap();
    let hour = 3_600_000;
    for (then, why) in [(at - hour - 1, "which is older than"), (at + hour, "which is in the future")] {
        let text = line.replace(&at.to_string(), &then.to_string());
        gate.plant(&green, &gate.stage.signed("ci", &text));
        gate.refused(&["main", &place(&green)], why);
    }
    gate.plant(&green, &good);
    gate.taken(&["main", &place(&green)]);
    // An older one does not take a newer one's place, and it is not deleted.
    assert_eq!(gate.sign("ci", &[]).code, 0);
    let newer = gate.result(&green);
    gate.taken(&["--force", &place(&green)]);
    gate.plant(&green, &good);
    gate.refused(&["--force", &place(&green)], "there is a newer result already");
    gate.refused(&["--delete", &place(&green)], "a result is not deleted while it counts");
    assert_ne!(newer, good);
    // A key that is taken out of the branch signs nothing more.
    gate.protect(&["stranger"], "");
    let revoking = gate.stage.said(&["rev-parse", "HEAD"]);
    assert_eq!(gate.sign("stranger", &[]).code, 0);
    gate.refused(&["main", &place(&revoking)], "does not have");
    assert_eq!(gate.sign("ci", &[]).code, 0);
    gate.taken(&["main", &place(&revoking)]);
    let after = gate.change("after\n");
    assert_eq!(gate.sign("ci", &[]).code, 0);
    gate.refused(&["main", &place(&after)], "does not have");
}

#[test]
fn protected_branches_are_neither_deleted_rewritten_nor_unprotected_by_what_is_pushed() {
    let gate = Gate::new("");
    let first = gate.stage.said(&["rev-parse", "HEAD"]);
    gate.refused(&["--delete", "main"], "it is protected and is not deleted");
    // A manifest that no longer protects, in what is pushed.
    let manifest = gate.stage.read("shop/roadbed.toml");
    gate.stage.write("shop/roadbed.toml", &manifest[..manifest.find("[ci.protection]").unwrap()]);
    gate.stage.commit();
    gate.refused(&["main"], "required has not run");
    gate.refused(&["HEAD:refs/heads/develop"], "develop: refused: required has not run");
    // All of a push is taken or nothing.
    gate.refused(&["main", "HEAD:refs/heads/feature"], "required has not run");
    assert_eq!(gate.tip("feature"), "");
    // Rewritten, though it was checked.
    gate.stage.git(&["reset", "--quiet", "--hard", &first]);
    gate.stage.git(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "another"]);
    assert_eq!(gate.sign("ci", &["--all"]).code, 0);
    let amended = gate.stage.said(&["rev-parse", "HEAD"]);
    gate.refused(&["--force", "main", &place(&amended)], "it is protected and is not rewritten");
    // An orphan is one, too.
    gate.stage.git(&["checkout", "--quiet", "--orphan", "orphan"]);
    gate.stage.commit();
    let orphan = gate.stage.said(&["rev-parse", "HEAD"]);
    assert_eq!(gate.sign("ci", &["--all"]).code, 0);
    gate.refused(&["--force", "orphan:main", &place(&orphan)], "it is protected and is not rewritten");
    gate.refused(&[&format!("{amended}:refs/replace/{first}")], "it would put another object in place");
    // A ref that only stands for the branch.
    let alias = ["symbolic-ref", "refs/heads/alias", "refs/heads/main"];
    assert!(Command::new("git").args(alias).current_dir(&gate.bare).status().unwrap().success());
    gate.refused(&["--force", "orphan:alias"], "refused: it is protected");
}

#[test]
fn merges_count_as_themselves_and_what_a_check_left_out_is_no_pass() {
    let gate = Gate::new("");
    let base = gate.stage.said(&["rev-parse", "HEAD"]);
    gate.stage.git(&["checkout", "--quiet", "-b", "left"]);
    let left = gate.change("left\n");
    assert_eq!(gate.sign("ci", &["--base", &base]).code, 0);
    gate.stage.git(&["checkout", "--quiet", "-b", "right", &base]);
    gate.stage.write("shop/apps/web/index.js", "right\n");
    gate.stage.commit();
    gate.stage.git(&["merge", "--quiet", "--no-edit", "left"]);
    let merge = gate.stage.said(&["rev-parse", "HEAD"]);
    gate.refused(&["HEAD:main", &place(&left)], &format!("required has not run for {}", &merge[..10]));
    // Compared with itself nothing is affected, so nothing was checked.
    assert_eq!(gate.sign("ci", &["--base", "HEAD"]).code, 0);
    gate.refused(&["HEAD:main", &place(&merge)], "required left out what");
    assert_eq!(gate.sign("ci", &["--base", &base]).code, 0);
    gate.taken(&["HEAD:main", &place(&merge)]);
    // A new branch that is protected: what is in the trunk counts.
    assert_eq!(gate.sign("ci", &["--base", "HEAD"]).code, 0);
    gate.taken(&["HEAD:refs/heads/develop", &format!("+{}", place(&merge))]);
    // From a clone without history the same holds.
    let shallow = gate.stage.path("shallow");
    let url = format!("file://{}", gate.bare.display());
    assert!(
        Command::new("git").args(["clone", "--quiet", "--depth=1", &url]).arg(&shallow).status().unwrap().success()
    );
    let script = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git push origin HEAD:main";
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_roadbed")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let pushed = Command::new("sh").args(["-c", script]).current_dir(&shallow).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(!pushed.status.success() && said.contains("required has not run for"), "{said}");
}

#[test]
fn the_first_push_goes_by_what_it_brings_and_wants_everything_checked() {
    let gate = Gate::new("");
    let empty = gate.stage.path("empty.git");
    assert!(
        Command::new("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(&empty)
            .status()
            .unwrap()
            .success()
    );
    let gate = Gate { bare: empty, ..gate };
    gate.stage.git(&["remote", "set-url", "origin", gate.bare.to_str().unwrap()]);
    gate.install();
    gate.refused(&["main"], "required has not run");
    let head = gate.stage.said(&["rev-parse", "HEAD"]);
    assert_eq!(gate.sign("ci", &["--base", "HEAD"]).code, 0);
    gate.refused(&["main", &place(&head)], "nothing is here yet");
    assert_eq!(gate.sign("ci", &["--all"]).code, 0);
    gate.taken(&["main", &place(&head)]);
}

#[test]
fn somebody_elses_hook_is_kept_and_runs_first_and_what_cannot_run_refuses() {
    let gate = Gate::new("");
    let hook = gate.bare.join("hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\nread line; echo theirs $line >&2; test ! -e \"$GIT_DIR/no\"\n").unwrap();
    let bare = gate.bare.to_str().unwrap();
    let install = gate.stage.run(&["merge-gate", "install", bare]);
    assert!(install.code == 1 && install.err.contains("there is another hook at"), "{install:?}");
    assert_eq!(gate.stage.run(&["merge-gate", "install", bare, "--force"]).code, 0);
    assert_eq!(gate.stage.run(&["merge-gate", "install", bare]).code, 0, "ours is written again");
    let green = gate.change("good\n");
    assert_eq!(gate.sign("ci", &[]).code, 0);
    fs::write(gate.bare.join("no"), "").unwrap();
    gate.refused(&["main", &place(&green)], "theirs");
    fs::remove_file(gate.bare.join("no")).unwrap();
    // A program that is not found, or is killed, takes nothing.
    fs::rename(hook.with_extension("before-roadbed"), gate.bare.join("theirs")).unwrap();
    let whole = fs::read_to_string(&hook).unwrap();
    for (program, why) in [("no-such-program", "not found"), ("sh -c 'kill -9 $$'", "pre-receive hook declined")] {
        fs::write(&hook, whole.replace("roadbed merge-gate judge", program)).unwrap();
        gate.refused(&["main", &place(&green)], why);
    }
    fs::write(&hook, whole).unwrap();
    gate.taken(&["main", &place(&green)]);
    assert_eq!(gate.stage.run(&["merge-gate", "install", "."]).code, 2, "a work tree is no bare repository");
}

#[test]
fn only_what_was_committed_and_all_of_it_is_signed() {
    let gate = Gate::new("");
    gate.stage.write("shop/apps/api/index.js", "not committed\n");
    let answer = gate.sign("ci", &[]);
    assert!(answer.code == 2 && answer.err.contains("a result is about a commit"), "{answer:?}");
    gate.stage.commit();
    assert_eq!(gate.sign("ci", &["--only", "lint"]).code, 2);
    assert_eq!(gate.sign("ci", &["--untrusted", "pr-7"]).code, 2);
    assert_eq!(gate.sign("nobody", &[]).code, 2);
    let manifest = gate.stage.read("shop/roadbed.toml").replace("! grep bad index.js", "echo made > made");
    gate.stage.write("shop/roadbed.toml", &manifest);
    gate.stage.commit();
    let answer = gate.sign("ci", &[]);
    assert!(answer.code == 1 && answer.err.contains("not those of the commit any more"), "{answer:?}");
}
