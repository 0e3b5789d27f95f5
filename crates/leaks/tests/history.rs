//! History, staged files and the cache, on repositories made with git.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test makes repositories")]

mod planting;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use leaks::{AllowList, Clean, Finding, Objectives, Report, Rules, Scanner, Search, SearchFault, Source, Values};
use planting::example::{Dice, make};
use planting::placements;
use secrets::Secret;

struct Repo {
    _folder: tempfile::TempDir,
    path: PathBuf,
    dice: Dice,
    time: u64,
}

impl Repo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop");
        std::fs::create_dir(&path).unwrap();
        let mut repo = Self { _folder: folder, path, dice: Dice::new(7), time: 1_790_000_000 };
        repo.git(&["init", "-q", "-b", "main"]);
        repo.commit("README.md", b"# shop\n", "begin");
        repo
    }

    fn git(&mut self, args: &[&str]) -> String {
        self.time += 60;
        let date = format!("{} +0000", self.time);
        let output = Command::new("git")
            .args(args)
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path.parent().unwrap())
            .envs([("GIT_AUTHOR_NAME", "Anna"), ("GIT_AUTHOR_EMAIL", "anna@shop.example")])
            .envs([("GIT_COMMITTER_NAME", "Anna"), ("GIT_COMMITTER_EMAIL", "anna@shop.example")])
            .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn commit(&mut self, path: &str, content: &[u8], message: &str) -> String {
        self.write(path, content);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A line with a fresh secret of one rule.
    fn secret(&mut self, rule: &str) -> String {
        let rules = Rules::ours();
        let example = &rules.all().iter().find(|known| known.id == rule).unwrap().example;
        make(example, &mut self.dice)
    }
}

fn search<T>(values: Option<Values>, run: impl FnOnce(&Search<'_>) -> T) -> T {
    let scanner = Scanner::new(Rules::ours(), values);
    let allow = AllowList::empty([1; 32]);
    run(&Search { scanner: &scanner, allow: &allow, progress: &|_| {}, threads: 2 })
}

fn history(repo: &Path) -> Report {
    search(None, |search| search.history(repo, Objectives::Reachable, None)).unwrap()
}

fn of<'a>(report: &'a Report, rule: &str) -> Vec<&'a Finding> {
    report.findings.iter().filter(|finding| finding.rule == rule).collect()
}

fn only<'a>(report: &'a Report, rule: &str) -> &'a Finding {
    let found = of(report, rule);
    assert_eq!(found.len(), 1, "{rule}: {:#?}", report.findings);
    found[0]
}

/// Each place of a history with a secret of another rule, so that it is told which was found.
#[test]
fn a_secret_is_found_wherever_history_keeps_it() {
    let mut repo = Repo::new();
    // Deleted many commits ago.
    let line = repo.secret("stripe-secret-key");
    let added = repo.commit("config/pay.env", format!("A=1\n{line}\n").as_bytes(), "pay");
    let kept = repo.commit("a.txt", b"a\n", "a");
    std::fs::remove_file(repo.path.join("config/pay.env")).unwrap();
    repo.commit("b.txt", b"b\n", "remove it");
    for index in 0..120 {
        repo.commit("count.txt", format!("{index}\n").as_bytes(), "count");
    }
    // In a renamed file, still in HEAD.
    let line = repo.secret("sendgrid-api-key");
    repo.commit("old/mail.ts", format!("export const a = 1;\nexport const key = '{line}';\n").as_bytes(), "mail");
    std::fs::create_dir(repo.path.join("new")).unwrap();
    repo.git(&["mv", "old/mail.ts", "new/mail.ts"]);
    repo.git(&["commit", "-q", "-m", "move"]);
    // On a side branch.
    repo.git(&["checkout", "-q", "-b", "side"]);
    let line = repo.secret("github-token");
    repo.commit("side.yml", format!("token: {line}\n").as_bytes(), "side");
    repo.git(&["checkout", "-q", "main"]);
    // Only in a merge: in neither of its parents.
    repo.git(&["checkout", "-q", "-b", "other"]);
    repo.commit("other.txt", b"x\n", "other");
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "--no-commit", "other"]);
    let line = repo.secret("npm-token");
    repo.commit(".npmrc", format!("//npm.internal/:x={line}\n").as_bytes(), "merge");
    std::fs::remove_file(repo.path.join(".npmrc")).unwrap();
    repo.commit("after.txt", b"x\n", "after the merge");
    // In a message, in the message of a tag, in a note, in a compressed file.
    let line = repo.secret("digitalocean-token");
    let message = repo.commit("m.txt", b"m\n", &format!("deploy\n\nwith {line}"));
    let line = repo.secret("slack-token");
    repo.git(&["tag", "-a", "v1", "-m", &format!("one\n\n{line}")]);
    let line = repo.secret("vault-token");
    repo.git(&["notes", "add", "-m", &line]);
    let line = repo.secret("pulumi-token");
    repo.commit("backup.gz", &placements::gzip(format!("x\n{line}\n").as_bytes()), "backup");
    // A tag on a file.
    let line = repo.secret("linear-api-key");
    repo.write("loose.txt", line.as_bytes());
    let blob = repo.git(&["hash-object", "-w", "loose.txt"]);
    std::fs::remove_file(repo.path.join("loose.txt")).unwrap();
    repo.git(&["tag", "file", &blob]);
    // In two stashes, of which only the reflog knows the older; untracked too.
    for rule in ["figma-token", "groq-api-key"] {
        let line = repo.secret(rule);
        repo.write("stash.txt", line.as_bytes());
        repo.git(&["stash", "push", "-q", "--include-untracked"]);
    }
    // Thrown away: only the log of HEAD knows it.
    let line = repo.secret("postman-api-key");
    repo.commit("gone.txt", line.as_bytes(), "gone");
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    // In an address that git logs itself.
    let url = repo.secret("url-with-password");
    let head = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["update-ref", "--create-reflog", "-m", &format!("fetch {url}"), "refs/remotes/origin/main", &head]);
    // Base64 of a whole file in a manifest.
    let line = repo.secret("datadog-key");
    let encoded = placements::base64(format!("HOST=x\n{line}\n").as_bytes());
    repo.commit("k8s.yaml", format!("data:\n  env: {encoded}\n").as_bytes(), "manifest");

    let expect = |report: &Report| {
        let gone = only(report, "stripe-secret-key");
        assert_eq!((gone.file.as_str(), gone.line, gone.in_head), ("config/pay.env", 2, Some(false)));
        assert_eq!((gone.first_commit.as_ref(), gone.last_commit.as_ref()), (Some(&added), Some(&kept)));
        let moved = only(report, "sendgrid-api-key");
        assert_eq!((moved.file.as_str(), moved.line, moved.column, moved.in_head), ("new/mail.ts", 2, 21, Some(true)));
        assert_eq!(only(report, "github-token").file, "side.yml");
        assert_eq!(only(report, "npm-token").in_head, Some(false));
        let said = only(report, "digitalocean-token");
        assert_eq!((said.source, said.file.as_str(), said.line), (Source::CommitMessage, message.as_str(), 3));
        assert_eq!(only(report, "slack-token").source, Source::TagMessage);
        assert_eq!(only(report, "pulumi-token").file, "backup.gz!");
        for rule in ["vault-token", "linear-api-key", "figma-token", "groq-api-key", "postman-api-key"] {
            assert_eq!(only(report, rule).source, Source::History, "{rule}");
        }
        assert_eq!(only(report, "url-with-password").source, Source::GitFile);
        assert_eq!(only(report, "datadog-key").encoded, Some("base64"));
        assert_eq!(report.findings.len(), 14, "{:#?}", report.findings);
        assert_eq!((report.extent.missing, report.unread.len()), (0, 0));
    };
    expect(&history(&repo.path));
    // The same from packs, and from a folder below.
    repo.git(&["pack-refs", "--all"]);
    repo.git(&["repack", "-q", "-a", "-d"]);
    repo.git(&["prune-packed"]);
    expect(&history(&repo.path.join("new")));
}

#[test]
fn a_value_of_the_store_is_found_in_any_form_and_named() {
    let mut repo = Repo::new();
    let value = "correct horse/battery+staple";
    repo.commit("a.yaml", format!("data: {}\n", placements::base64(format!("x={value}").as_bytes())).as_bytes(), "a");
    repo.commit("b.js", b"const u = 'https://x.example/?k=correct%20horse%2Fbattery%2Bstaple';\n", "b");
    repo.commit("c.bin", &[b"\0\0\x01\x02", value.as_bytes(), b"\0"].concat(), "c");
    let values = Values::new(vec![("PAY@v3".to_owned(), Secret::new(value.to_owned()))]).unwrap();
    let report = search(Some(values), |search| search.history(&repo.path, Objectives::Reachable, None)).unwrap();
    let files: BTreeSet<&str> = report.findings.iter().map(|finding| finding.file.as_str()).collect();
    assert_eq!(files, BTreeSet::from(["a.yaml", "b.js", "c.bin"]));
    assert!(report.findings.iter().all(|finding| finding.store_value.as_deref() == Some("PAY@v3")));
    assert!(!format!("{report:?}{}", serde_json::to_string(&report.findings).unwrap()).contains("battery"));
}

#[test]
fn a_secret_in_many_versions_of_a_file_is_one_finding() {
    let mut repo = Repo::new();
    let line = repo.secret("stripe-secret-key");
    let first = repo.commit("pay.env", format!("{line}\n").as_bytes(), "one");
    repo.commit("pay.env", format!("\n{line}\n").as_bytes(), "two");
    let last = repo.commit("pay.env", format!("\n\n{line}\n").as_bytes(), "three");
    repo.commit("pay.env", b"\n", "gone");
    let report = history(&repo.path);
    let finding = only(&report, "stripe-secret-key");
    assert_eq!((finding.versions, finding.line, finding.in_head), (Some(3), 3, Some(false)));
    assert_eq!((finding.first_commit.as_ref(), finding.last_commit.as_ref()), (Some(&first), Some(&last)));
}

#[test]
fn a_password_in_the_configuration_of_git_is_found() {
    let mut repo = Repo::new();
    let url = repo.secret("url-with-password");
    repo.git(&["remote", "add", "origin", &url]);
    let report = history(&repo.path);
    let finding = only(&report, "url-with-password");
    assert_eq!((finding.source, finding.file.as_str()), (Source::GitFile, "config"));
}

#[test]
fn what_no_ref_leads_to_is_found_when_asked_for() {
    let mut repo = Repo::new();
    let line = repo.secret("heroku-api-key");
    repo.write("x", line.as_bytes());
    repo.git(&["hash-object", "-w", "x"]);
    assert!(history(&repo.path).findings.is_empty());
    let report = search(None, |search| search.history(&repo.path, Objectives::All, None)).unwrap();
    assert_eq!(only(&report, "heroku-api-key").source, Source::Unreachable);
}

#[test]
fn only_what_is_staged_is_searched_before_a_commit() {
    let mut repo = Repo::new();
    let old = repo.secret("stripe-secret-key");
    repo.commit("old.env", old.as_bytes(), "old");
    let (staged, unstaged) = (repo.secret("npm-token"), repo.secret("github-token"));
    repo.write("deep/er/staged.txt", staged.as_bytes());
    repo.git(&["add", "-A"]);
    repo.write("unstaged.txt", unstaged.as_bytes());
    for version in ["2", "3", "4"] {
        repo.git(&["update-index", "--index-version", version]);
        let report = search(None, |search| search.staged(&repo.path)).unwrap();
        let finding = only(&report, "npm-token");
        assert_eq!(
            (report.findings.len(), finding.file.as_str(), finding.source),
            (1, "deep/er/staged.txt", Source::Staged)
        );
    }
}

#[test]
fn linked_work_trees_bare_and_shallow_clones_are_read() {
    let mut repo = Repo::new();
    let line = repo.secret("stripe-secret-key");
    repo.commit("pay.env", line.as_bytes(), "pay");
    repo.commit("b.txt", b"b\n", "b");
    repo.git(&["worktree", "add", "-q", "../linked", "-b", "linked"]);
    let linked = repo.path.parent().unwrap().join("linked");
    assert_eq!(history(&linked).findings.len(), 1);
    repo.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    assert_eq!(history(&repo.path.parent().unwrap().join("bare.git")).findings.len(), 1);
    let origin = format!("file://{}", repo.path.display());
    repo.git(&["clone", "-q", "--depth", "1", &origin, "../shallow"]);
    let report = history(&repo.path.parent().unwrap().join("shallow"));
    assert_eq!((report.findings.len(), report.extent.missing), (1, 1), "the parent of the oldest commit is not there");
}

#[test]
fn a_folder_without_git_and_formats_that_are_not_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| search(None, |search| search.history(path, Objectives::Reachable, None)).unwrap_err();
    assert!(matches!(refused(folder.path()), SearchFault::Git(leaks::GitFault::NoRepository { .. })));
    let mut repo = Repo::new();
    repo.git(&["config", "extensions.objectformat", "sha256"]);
    assert!(matches!(refused(&repo.path), SearchFault::Git(leaks::GitFault::Unsupported { .. })));
}

#[test]
fn a_damaged_object_is_told_and_hides_no_other() {
    let mut repo = Repo::new();
    let line = repo.secret("stripe-secret-key");
    repo.commit("pay.env", line.as_bytes(), "pay");
    let blob = repo.git(&["rev-parse", "HEAD~1:README.md"]);
    let path = repo.path.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"not zlib").unwrap();
    let report = history(&repo.path);
    assert_eq!((report.findings.len(), report.extent.missing), (1, 1));
}

#[test]
fn an_index_that_is_damaged_or_split_is_refused() {
    let mut repo = Repo::new();
    let line = repo.secret("npm-token");
    repo.write("staged.txt", line.as_bytes());
    repo.git(&["add", "-A"]);
    let index = repo.path.join(".git/index");
    let whole = std::fs::read(&index).unwrap();
    let refused = || match search(None, |search| search.staged(&repo.path)).unwrap_err() {
        SearchFault::Git(leaks::GitFault::Index { what, .. }) => what,
        other => panic!("{other}"),
    };
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&index, damaged).unwrap();
        let _ = refused();
        std::fs::write(&index, &whole[..at]).unwrap();
        let _ = refused();
    }
    std::fs::write(&index, &whole).unwrap();
    repo.git(&["update-index", "--split-index"]);
    let what = match search(None, |search| search.staged(&repo.path)).unwrap_err() {
        SearchFault::Git(leaks::GitFault::Index { what, .. }) => what,
        other => panic!("{other}"),
    };
    assert!(what.contains("--no-split-index"), "{what}");
    repo.git(&["update-index", "--no-split-index"]);
    assert_eq!(search(None, |search| search.staged(&repo.path)).unwrap().findings.len(), 1);
}

#[test]
fn damaged_refs_and_logs_are_told_and_hide_no_other() {
    let mut repo = Repo::new();
    let line = repo.secret("stripe-secret-key");
    repo.commit("pay.env", line.as_bytes(), "pay");
    repo.git(&["branch", "other", "HEAD~1"]);
    repo.git(&["pack-refs", "--all"]);
    let packed = std::fs::read(repo.path.join(".git/packed-refs")).unwrap();
    std::fs::write(repo.path.join(".git/packed-refs"), [&packed, b"no ref".as_slice()].concat()).unwrap();
    std::fs::write(repo.path.join(".git/refs/heads/empty"), b"").unwrap();
    std::fs::write(repo.path.join(".git/logs/HEAD"), b"no log\n").unwrap();
    let report = history(&repo.path);
    assert_eq!(report.findings.len(), 1);
    let told: Vec<&str> = report.unread.iter().map(|told| told.split(' ').next().unwrap()).collect();
    assert_eq!(told, ["packed-refs", "refs/heads/empty", "logs/HEAD"]);
}

#[test]
fn only_what_a_push_brings_is_searched_before_it_is_taken_in() {
    let mut repo = Repo::new();
    let old = repo.secret("stripe-secret-key");
    let base = repo.commit("old.env", old.as_bytes(), "old");
    repo.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let message = repo.secret("npm-token");
    repo.commit("a.txt", b"a\n", &message);
    let line = repo.secret("github-token");
    repo.commit("gone.txt", line.as_bytes(), "b");
    std::fs::remove_file(repo.path.join("gone.txt")).unwrap();
    let tip = repo.commit("c.txt", b"c\n", "c");
    let bare = repo.path.parent().unwrap().join("bare.git");
    let quarantine = repo.path.join(".git/objects");
    let pushed = |tips: &[String]| search(None, |search| search.pushed(&bare, tips, Some(&quarantine))).unwrap();
    let report = pushed(&["0".repeat(40), tip]);
    assert_eq!(
        (only(&report, "npm-token").source, only(&report, "github-token").file.as_str()),
        (Source::CommitMessage, "gone.txt")
    );
    assert_eq!((report.findings.len(), report.extent.commits, report.extent.missing), (2, 3, 0));
    assert!(pushed(&[base]).findings.is_empty(), "what is there already is no part of a push");
}

fn cached(repo: &Path, cache: &Path, values: Option<Values>) -> Report {
    let scanner = Scanner::new(Rules::ours(), values);
    let allow = AllowList::empty([1; 32]);
    let search = Search { scanner: &scanner, allow: &allow, progress: &|_| {}, threads: 1 };
    let mut clean = Clean::open(cache, &scanner).unwrap();
    search.history(repo, Objectives::Reachable, Some(&mut clean)).unwrap()
}

#[test]
fn a_second_search_reads_only_what_is_new_and_finds_the_same() {
    let mut repo = Repo::new();
    let line = repo.secret("stripe-secret-key");
    repo.commit("pay.env", line.as_bytes(), "pay");
    let cache = repo.path.parent().unwrap().join("cache");
    let first = cached(&repo.path, &cache, None);
    assert_eq!((first.extent.blobs, first.extent.known_clean, first.findings.len()), (2, 0, 1));
    let second = cached(&repo.path, &cache, None);
    assert_eq!((second.extent.known_clean, second.findings.len()), (1, 1));
    let line = repo.secret("npm-token");
    repo.commit("npm.txt", line.as_bytes(), "npm");
    let third = cached(&repo.path, &cache, None);
    assert_eq!((third.extent.known_clean, third.findings.len()), (1, 2));
}

#[test]
fn a_blob_that_was_clean_is_searched_again_for_a_new_value_of_the_store() {
    let mut repo = Repo::new();
    repo.commit("a.txt", b"the staple is correct-horse-1\n", "a");
    let cache = repo.path.parent().unwrap().join("cache");
    let values = |value: &str| Some(Values::new(vec![("A@v1".to_owned(), Secret::new(value.to_owned()))]).unwrap());
    assert!(cached(&repo.path, &cache, values("something else")).findings.is_empty());
    assert_eq!(cached(&repo.path, &cache, values("correct-horse-1")).findings.len(), 1);
    let stored: Vec<u8> =
        std::fs::read_dir(&cache).unwrap().flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!stored.windows(12).any(|bytes| bytes == b"correct-hors"), "the cache holds a value");
}

#[test]
fn a_damaged_cache_is_an_empty_one() {
    let mut repo = Repo::new();
    repo.commit("a.txt", b"a\n", "a");
    let cache = repo.path.parent().unwrap().join("cache");
    cached(&repo.path, &cache, None);
    let list = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some())
        .unwrap();
    let whole = std::fs::read(&list).unwrap();
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    for damaged in [&b""[..], &whole[..whole.len() - 1], &flipped, b"rbclean1"] {
        std::fs::write(&list, damaged).unwrap();
        assert_eq!(cached(&repo.path, &cache, None).extent.known_clean, 0);
        assert_eq!(cached(&repo.path, &cache, None).extent.known_clean, 2, "it was made anew");
    }
    std::fs::write(cache.join("key"), b"short").unwrap();
    assert_eq!(cached(&repo.path, &cache, None).extent.known_clean, 0);
}
