//! Secrets that are old, or where they must not be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrets::{Secret, SecretName};

use super::{Killed, Scene};

const PUBLISHED: &str = "no-secret-is-published";

impl Scene {
    fn session_secret(&self) -> Secret {
        self.secret(&SecretName::variable("SESSION_SECRET"))
    }

    pub(super) fn a_key_that_is_older_than_it_may_be(&self) {
        let broken = |manifest: String| {
            let rotates = "kind = \"keyring\", every = \"90d\", overlap = \"24h\"";
            assert!(manifest.contains(rotates), "the manifest rotates SESSION_SECRET in another way");
            manifest.replace(rotates, "kind = \"keyring\", every = \"2s\", overlap = \"1s\"")
        };
        self.with_manifest(broken, || {
            self.fails("nothing-is-overdue", "SESSION_SECRET (keyring, owner: backend): overdue since")
        });
        self.holds("nothing-is-overdue");
    }

    pub(super) fn a_secret_in_a_log(&self) {
        let secret = self.session_secret();
        let log = self.shop.root().join("logs/careless.log");
        let hex: String = secret.expose().bytes().map(|byte| format!("{byte:02x}")).collect();
        for text in [secret.expose(), &hex] {
            fs::write(&log, format!("{{\"line\":\"signing with {text}\"}}\n")).unwrap();
            let check = self.fails("secrets-stay-secret", "careless.log holds the value of SESSION_SECRET@1");
            assert!(!check.to_string().contains(text), "the check itself gives the secret away");
        }
        fs::remove_file(log).unwrap();
        self.holds("secrets-stay-secret");
    }

    pub(super) fn a_secret_in_a_command_line(&self) {
        let secret = self.session_secret();
        // Reads its stdin first, and so waits for us.
        let careless = Command::new("cat").args(["-", secret.expose()]).stdin(Stdio::piped()).spawn().unwrap();
        let careless = Killed(careless);
        self.fails("secrets-stay-secret", &format!("the command line of process {} holds", careless.0.id()));
        drop(careless);
        self.holds("secrets-stay-secret");
    }

    /// Nobody can tell what to search for. That nothing was found then proves nothing.
    pub(super) fn a_store_that_cannot_be_read(&self) {
        let store = self.shop.root().join("secrets/store.db");
        let whole = fs::read(&store).unwrap();
        fs::write(&store, &whole[..whole.len() / 2]).unwrap();
        let check = self.check("secrets-stay-secret");
        assert_eq!(check["verdict"], "inconclusive", "{check:#}");
        fs::write(&store, whole).unwrap();
        self.holds("secrets-stay-secret");
    }

    /// Somebody committed it long ago on a branch of his own, and took it out again. What runs is another branch.
    pub(super) fn a_secret_in_an_old_commit_of_a_side_branch(&self) {
        self.holds(PUBLISHED);
        let secret = self.session_secret();
        let folder = self.project.path();
        let git = |words: &[&str], input: &str| git(folder, words, input);
        git(&["init", "--quiet"], "");
        let blob = git(&["hash-object", "-w", "--stdin"], &format!("SESSION={}\n", secret.expose()));
        let with = git(&["mktree"], &format!("100644 blob {blob}\tdeploy.env\n"));
        let without = git(&["mktree"], "");
        let old = git(&["commit-tree", &with, "-m", "Deploy by hand"], "");
        let tip = git(&["commit-tree", &without, "-p", &old, "-m", "Take it out again"], "");
        git(&["update-ref", "refs/heads/side", &tip], "");
        let check = self.fails(PUBLISHED, "deploy.env:1:9: the value of SESSION_SECRET@1, in ");
        assert!(check.to_string().contains(&old[..10]), "the commit is not named: {check:#}");
        assert!(!check.to_string().contains(secret.expose()), "the check itself gives the secret away");
        // Also of what nobody's store keeps: a key of the form of a provider's.
        git(&["update-ref", "-d", "refs/heads/side"], "");
        let key = key_of_a_provider();
        let message = git(&["commit-tree", &without, "-m", &format!("Use {key}")], "");
        git(&["update-ref", "refs/tags/v1", &message], "");
        self.fails(PUBLISHED, "message of commit");
        git(&["update-ref", "-d", "refs/tags/v1"], "");
        self.holds(PUBLISHED);
    }

    /// A build that put a variable of the server into what browsers load.
    pub(super) fn a_secret_in_a_bundle(&self) {
        let secret = self.session_secret();
        let sites = self.shop.root().join("builds/admin");
        let site: PathBuf = fs::read_dir(&sites).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
        let bundle = site.join("assets/leaking.js");
        for text in [secret.expose().to_owned(), key_of_a_provider()] {
            fs::write(&bundle, format!("const key=\"{text}\";")).unwrap();
            let check = self.fails(PUBLISHED, "apps/admin/dist/assets/leaking.js:1:12: ");
            assert!(!check.to_string().contains(secret.expose()), "the check itself gives the secret away");
        }
        fs::remove_file(bundle).unwrap();
        self.holds(PUBLISHED);
    }
}

/// Assembled, so that nobody's scanner takes this file for a leak.
fn key_of_a_provider() -> String {
    ["sk_live", "Q3EGRIZ7KXN5TV2B9WcD4hJm"].join("_")
}

/// Git as nobody has configured it, in a time long ago.
fn git(folder: &Path, words: &[&str], input: &str) -> String {
    let mut command = Command::new("git");
    command.args(words).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for (name, value) in [("NAME", "somebody"), ("EMAIL", "somebody@shop.example"), ("DATE", "2021-03-04T05:06:07Z")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {words:?} failed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
