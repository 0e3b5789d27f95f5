//! `roadbed secrets scan` on a repository made with git: exit codes, forms of output, hooks that refuse.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::command::{self, Answer};

struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(shop.path()).unwrap();
        shop.git(&["init", "-q", "-b", "main"]);
        shop.write("README.md", "# shop\n");
        shop.commit("begin");
        shop
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path().join(path), text).unwrap();
    }

    fn variables(&self) -> Vec<(String, String)> {
        let programs = Path::new(env!("CARGO_BIN_EXE_roadbed")).parent().unwrap().display().to_string();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
        let identity = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
        let identity = identity.map(|name| (name.to_owned(), "anna@shop.example".to_owned()));
        let home = self.folder.path().display().to_string();
        [("PATH".to_owned(), path), ("HOME".to_owned(), home)].into_iter().chain(identity).collect()
    }

    fn try_git(&self, words: &[&str]) -> Output {
        Command::new("git").args(words).current_dir(self.path()).env_clear().envs(self.variables()).output().unwrap()
    }

    fn git(&self, words: &[&str]) {
        let output = self.try_git(words);
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--no-verify", "-m", message]);
    }

    fn scan(&self, words: &[&str], stdin: &str) -> Answer {
        let words = ["secrets", "scan"].into_iter().chain(words.iter().copied());
        command::roadbed(words, &self.path(), &self.variables(), stdin)
    }
}

/// Made in parts, so that a search of this file finds nothing.
fn key(seed: &str) -> String {
    format!("{}{}{seed}", "sk_li", "ve_q8W2zr0PvKd7Tn4LxB5s")
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"))
}

#[test]
fn a_secret_of_an_old_commit_on_a_side_branch_fails_the_command_and_is_not_shown() {
    let shop = Shop::new();
    assert_eq!(shop.scan(&[], "").code, 0);
    shop.git(&["checkout", "-q", "-b", "side"]);
    shop.write("pay.env", &format!("KEY={}\n", key("aa11")));
    shop.commit("pay");
    shop.git(&["rm", "-q", "pay.env"]);
    shop.commit("remove it");
    shop.git(&["checkout", "-q", "main"]);
    for words in [&[][..], &["--history"], &["--json"], &["--sarif"], &["--unreachable"]] {
        // Twice: the second time most is known from before.
        for _ in 0..2 {
            let answer = shop.scan(words, "");
            assert_eq!(answer.code, 1, "{words:?}: {answer:?}");
            assert!(answer.stdout.contains("stripe-secret-key"), "{answer:?}");
            assert!(!answer.stdout.contains(&key("aa11")) && !answer.stderr.contains(&key("aa11")), "{answer:?}");
        }
    }
    let found = json(&shop.scan(&["--json"], ""));
    let finding = &found["findings"][0];
    assert_eq!((finding["file"].as_str(), finding["line"].as_u64()), (Some("pay.env"), Some(1)));
    assert_eq!((finding["source"].as_str(), finding["in_head"].as_bool()), (Some("history"), Some(false)));
    assert_eq!(finding["first_commit"], finding["last_commit"]);
    let sarif = json(&shop.scan(&["--sarif"], ""));
    let result = &sarif["runs"][0]["results"][0];
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    assert_eq!(shop.scan(&["README.md"], "").code, 0);
}

#[test]
fn what_is_accepted_is_no_finding_until_its_date() {
    let shop = Shop::new();
    shop.write("vector.txt", &format!("{}\n", key("bb22")));
    shop.commit("vector");
    let accepted = shop.scan(&["--accept", "a \"test\" vector", "--until", "2999-12-31"], "");
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let answer = shop.scan(&[], "");
    assert_eq!(answer.code, 0, "{answer:?}");
    let path = shop.path().join("leaks-allow.toml");
    let list = std::fs::read_to_string(&path).unwrap();
    assert!(!list.contains(&key("bb22")) && list.matches("[[allow]]").count() == 1, "{list}");
    std::fs::write(&path, list.replace("2999-12-31", "2020-01-01")).unwrap();
    let expired = shop.scan(&["--json"], "");
    assert_eq!((expired.code, json(&expired)["stale"][0]["why"].as_str()), (1, Some("expired")));
    std::fs::write(&path, list.replace("reason = ", "because = ")).unwrap();
    assert_eq!(shop.scan(&[], "").code, 2);
}

#[test]
fn a_log_on_stdin_and_ignored_files_are_searched_when_named() {
    let shop = Shop::new();
    shop.write(".gitignore", "*.log\n");
    shop.write("build.log", &format!("ok\nkey {}\n", key("cc33")));
    assert_eq!(shop.scan(&[], "").code, 0);
    assert_eq!(shop.scan(&["build.log"], "").code, 1);
    assert_eq!(shop.scan(&["missing.log"], "").code, 2);
    let answer = shop.scan(&["--stdin"], &format!("a\nb {}\n", key("dd44")));
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.contains("(stdin):2:3"), "{answer:?}");
    assert_eq!(shop.scan(&["--stdin"], "nothing\n").code, 0);
}

#[test]
fn the_pre_commit_hook_refuses_a_secret_and_runs_the_hook_that_was_there() {
    let shop = Shop::new();
    let hook = shop.path().join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho ran >> ran.txt\n").unwrap();
    executable(&hook);
    for _ in 0..2 {
        assert_eq!(shop.scan(&["--install-hooks"], "").code, 0);
    }
    shop.write("pay.env", &format!("KEY={}\n", key("ee55")));
    shop.git(&["add", "pay.env"]);
    let refused = shop.try_git(&["commit", "-m", "pay"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("stripe-secret-key") && !said.contains(&key("ee55")), "{said}");
    shop.write("pay.env", "KEY=\n");
    shop.git(&["add", "pay.env"]);
    shop.git(&["commit", "-q", "-m", "pay"]);
    assert_eq!(std::fs::read_to_string(shop.path().join("ran.txt")).unwrap(), "ran\nran\n");
}

#[test]
fn the_pre_receive_hook_refuses_a_push_with_a_secret_in_a_commit_in_between() {
    let shop = Shop::new();
    shop.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let hook = shop.folder.path().join("bare.git/hooks/pre-receive");
    std::fs::write(&hook, shop.scan(&["--install-hooks"], "").stdout).unwrap();
    executable(&hook);
    shop.write("a.txt", "a\n");
    shop.commit("a");
    shop.git(&["push", "-q", "../bare.git", "main"]);
    shop.write("pay.env", &format!("KEY={}\n", key("ff66")));
    shop.commit("pay");
    shop.git(&["rm", "-q", "pay.env"]);
    shop.commit("remove it");
    let refused = shop.try_git(&["push", "../bare.git", "main"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("stripe-secret-key"), "{said}");
    assert!(!said.contains(&key("ff66")), "{said}");
    shop.git(&["reset", "-q", "--hard", "HEAD~2"]);
    shop.write("b.txt", "b\n");
    shop.commit("b");
    shop.git(&["push", "-q", "../bare.git", "main"]);
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
