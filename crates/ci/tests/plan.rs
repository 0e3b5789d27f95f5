//! What changes affect, in repositories made for it by git itself.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "git makes the repositories, and files are changed as people do"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use ci::changes::Checkout;
use ci::plan::{Plan, Request, plan};
use manifest::Ci;
use reconcile::Fault;

/// A project with apps `web` and `api`, of which `web` depends on `ui` and that on `core`, and `api` on `core`.
struct Project {
    folder: tempfile::TempDir,
    ci: Ci,
}

const LOCK: &str = r#"{"lockfileVersion": 3, "packages": {
  "": {"workspaces": ["apps/*", "packages/*"]},
  "apps/web": {"dependencies": {"ui": "*", "left": "1"}}, "apps/api": {"dependencies": {"core": "*"}},
  "packages/ui": {"dependencies": {"core": "*"}}, "packages/core": {},
  "node_modules/ui": {"resolved": "packages/ui", "link": true}, "node_modules/core": {"resolved": "packages/core", "link": true},
  "node_modules/web": {"resolved": "apps/web", "link": true}, "node_modules/api": {"resolved": "apps/api", "link": true},
  "node_modules/left": {"version": "1.0.0", "integrity": "sha512-a", "dependencies": {"deep": "1"}},
  "node_modules/deep": {"version": "1.0.0", "integrity": "sha512-b"},
  "node_modules/tool": {"version": "1.0.0", "integrity": "sha512-c"}
}}"#;

impl Project {
    fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap(), ci: Ci::default() };
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        project.write(
            "package.json",
            r#"{"name": "root", "workspaces": ["apps/*", "packages/*"], "devDependencies": {"tool": "1"}}"#,
        );
        project.write("package-lock.json", LOCK);
        project.package("apps/web", r#""ui": "*", "left": "1""#);
        project.package("apps/api", r#""core": "*""#);
        project.package("packages/ui", r#""core": "*""#);
        project.package("packages/core", "");
        project.write("README.md", "hello");
        project.commit();
        project.git(&["checkout", "--quiet", "-b", "change"]);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn package(&self, folder: &str, needs: &str) {
        let name = folder.rsplit('/').next().unwrap();
        self.write(&format!("{folder}/package.json"), &format!(r#"{{"name": "{name}", "dependencies": {{{needs}}}}}"#));
        self.write(&format!("{folder}/src/index.ts"), "export const one = 1;\n");
    }

    fn git(&self, words: &[&str]) -> String {
        self.git_by(Command::new("git"), words)
    }

    /// At a time of our choice.
    fn git_at(&self, time: &str, words: &[&str]) -> String {
        let mut git = Command::new("git");
        git.env("GIT_AUTHOR_DATE", time).env("GIT_COMMITTER_DATE", time);
        self.git_by(git, words)
    }

    fn git_by(&self, mut git: Command, words: &[&str]) -> String {
        git.args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@shop.example",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "protocol.file.allow=always",
        ]);
        let done = git.args(words).current_dir(self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
        assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
    }

    fn try_plan(&self, base: Option<&str>) -> Result<Plan, Fault> {
        let checkout = Checkout::of(self.folder.path())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let env: BTreeMap<String, String> =
            ["PATH", "HOME"].iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
        let changed = runtime.block_on(checkout.uncommitted("", &env))?;
        plan(&Request { checkout: &checkout, changed: &changed, base, ci: &self.ci, manifest: "roadbed.toml" })
    }

    fn plan(&self) -> Plan {
        self.try_plan(None).unwrap()
    }

    /// Names of what is affected, once as it lies there and once committed: both must be the same.
    fn affected(&self) -> Vec<String> {
        let names = |plan: &Plan| plan.affected.iter().map(|affected| affected.name.clone()).collect::<Vec<_>>();
        let before = self.plan();
        self.commit();
        let after = self.plan();
        assert_eq!(before.hash, after.hash, "the hash of a checkout is that of the commit that it becomes");
        assert_eq!(names(&before), names(&after));
        assert!(!after.uncommitted);
        names(&after)
    }

    fn why(&self, name: &str) -> String {
        self.plan()
            .affected
            .into_iter()
            .find(|affected| affected.name == name)
            .map(|affected| affected.why.join("; "))
            .unwrap_or_default()
    }
}

const ALL: [&str; 4] = ["api", "web", "core", "ui"];

#[test]
fn nothing_changed_affects_nothing() {
    let project = Project::new();
    assert_eq!(project.affected(), [""; 0]);
    assert_eq!(project.plan().packages, 4);
}

#[test]
fn a_file_affects_its_package_and_who_depends_on_it() {
    let project = Project::new();
    project.write("apps/api/src/index.ts", "export const two = 2;\n");
    assert_eq!(project.affected(), ["api"]);
    assert_eq!(project.why("api"), "1 file changed: src/index.ts");
    project.write("packages/ui/src/new.ts", "");
    assert_eq!(project.affected(), ["api", "web", "ui"]);
    assert_eq!(project.why("web"), "it depends on ui");
    project.write("packages/core/package.json", r#"{"name": "core", "version": "2.0.0"}"#);
    assert_eq!(project.affected(), ALL);
}

#[test]
fn the_way_to_what_changed_is_explained() {
    let project = Project::new();
    project.write("packages/core/src/index.ts", "changed");
    let told = project.plan().explain("apps/web").unwrap().join("\n");
    assert!(
        told.contains("web (apps/web) is affected") && told.contains("web → ui → core: 1 file changed: src/index.ts"),
        "{told}"
    );
    let told = project.plan().explain("nobody").unwrap_err();
    assert_eq!(told.message, "there is no package \"nobody\"");
    project.git(&["checkout", "--quiet", "."]);
    let told = project.plan().explain("web").unwrap().join("\n");
    assert!(told.contains("is not affected"), "{told}");
}

#[test]
fn what_is_at_the_root_counts_for_what_it_means() {
    let project = Project::new();
    let with = |scripts: &str, tool: &str| {
        format!(
            "{{\n \"workspaces\": [\"apps/*\", \"packages/*\"],{scripts}\n  \"name\": \"root\", \"devDependencies\": {{{tool}}}}}\n"
        )
    };
    project.write("package.json", &with("", r#""tool": "1""#));
    project.write("README.md", "changed");
    project.write("scripts/deploy.sh", "new");
    assert_eq!(project.affected(), [""; 0], "blanks, order, and files that nobody depends on");
    project.write("package.json", &with(r#" "scripts": {"lint": "tool"},"#, r#""tool": "1""#));
    assert_eq!(project.affected(), [""; 0], "scripts of the root are nobody else's");
    project.write("package.json", &with(r#" "engines": {"node": ">=22"},"#, r#""tool": "1""#));
    assert_eq!(project.affected(), ALL);
    assert_eq!(project.why("core"), "every npm package depends on a setting of the root");
}

#[test]
fn the_lock_file_affects_who_it_resolves_something_else_for() {
    let project = Project::new();
    project.write(
        "package-lock.json",
        &LOCK
            .replace("sha512-b", "sha512-bb")
            .replace(r#""node_modules/deep": {"version": "1.0.0""#, r#""node_modules/deep": {"version": "1.0.1""#),
    );
    assert_eq!(project.affected(), ["web"]);
    assert_eq!(project.why("web"), "the lock file resolves deep 1.0.1 (was 1.0.0)");
    project.write("package-lock.json", &LOCK.replace("sha512-c", "sha512-cc"));
    assert_eq!(project.affected(), ALL, "a tool of the root is everybody's");
    project.write("package-lock.json", &LOCK.replace("\n", "\n\n").replace("  ", "\t"));
    assert_eq!(project.affected(), [""; 0], "blanks");
    project.write(
        "package-lock.json",
        &LOCK.replace(r#""node_modules/tool""#, r#""node_modules/unused": {"version": "1.0.0"}, "node_modules/tool""#),
    );
    assert_eq!(project.affected(), [""; 0], "what nobody uses");
}

#[test]
fn what_every_package_depends_on_affects_all() {
    let mut project = Project::new();
    project.write(".github/workflows/ci.yml", "on: push");
    assert_eq!(project.affected(), ALL);
    assert_eq!(project.why("core"), "every package depends on .github");
    project.git(&["reset", "--quiet", "--hard", "main"]);
    project.ci.global = vec!["config/*.json".to_owned()];
    project.write("config/a.json", "1");
    project.write("config/b.txt", "1");
    assert_eq!(project.affected(), ALL);
    assert_eq!(project.why("core"), "every package depends on config/a.json");
}

#[test]
fn a_deleted_package_affects_who_depended_on_it() {
    let project = Project::new();
    fs::remove_dir_all(project.path("packages/ui")).unwrap();
    assert_eq!(project.affected(), ["web"]);
    assert_eq!(project.plan().deleted.iter().map(|gone| gone.name.as_str()).collect::<Vec<_>>(), ["ui"]);
    assert_eq!(project.why("web"), "it no longer depends on ui");
}

#[test]
fn a_moved_package_affects_who_depends_on_it() {
    let project = Project::new();
    project.git(&["mv", "packages/ui", "packages/interface"]);
    assert_eq!(project.affected(), ["web", "ui"]);
    assert_eq!(project.why("ui"), "it was packages/ui before");
    assert_eq!(project.plan().deleted.len(), 1);
}

#[test]
fn a_new_package_affects_itself() {
    let project = Project::new();
    project.package("packages/fresh", r#""core": "*""#);
    assert_eq!(project.affected(), ["fresh"]);
    assert_eq!(project.why("fresh"), "it is new");
}

#[test]
fn links_modes_and_strange_names_are_changes() {
    let project = Project::new();
    project.write("shared/logo.svg", "one");
    symlink("../../../shared/logo.svg", project.path("apps/api/src/logo.svg")).unwrap();
    symlink("/etc/hostname", project.path("apps/web/src/outside")).unwrap();
    symlink("gone", project.path("apps/web/src/dangling")).unwrap();
    project.commit();
    project.git(&["branch", "--force", "main"]);
    project.write("shared/logo.svg", "two");
    assert_eq!(project.affected(), ["api"]);
    assert_eq!(project.why("api"), "shared/logo.svg changed, which goes into it");
    fs::set_permissions(project.path("packages/ui/src/index.ts"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(project.affected(), ["api", "web", "ui"]);
    project.git(&["branch", "--force", "main"]);
    project.write("apps/web/src/grüße \"und\" 日本.ts", "");
    project.write(&format!("apps/api/{}/x.ts", ["deep"; 200].join("/")), "");
    assert_eq!(project.affected(), ["api", "web"]);
    assert_eq!(project.why("web"), "1 file changed: src/grüße \"und\" 日本.ts");
}

#[test]
fn a_path_of_four_kilobytes_is_a_path() {
    let project = Project::new();
    // Longer than any call takes: only git can make it.
    let blob = project.git(&["hash-object", "-w", "README.md"]);
    let long = format!("apps/api/{}x.ts", "a-folder-with-a-name/".repeat(195));
    assert!(long.len() > 4096);
    project.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{long}")]);
    project.git(&["commit", "--quiet", "--message", "long"]);
    let checkout = Checkout::of(project.folder.path()).unwrap();
    let request = Request {
        checkout: &checkout,
        changed: &BTreeMap::new(),
        base: None,
        ci: &project.ci,
        manifest: "roadbed.toml",
    };
    assert_eq!(plan(&request).unwrap().affected[0].name, "api");
}

#[test]
fn line_ends_that_git_takes_for_the_same_are_no_change() {
    let project = Project::new();
    project.write(".gitattributes", "* text=auto\n");
    project.commit();
    project.git(&["branch", "--force", "main"]);
    project.write("apps/api/src/index.ts", "export const one = 1;\r\n");
    assert_eq!(project.affected(), [""; 0]);
}

#[test]
fn a_submodule_is_a_change_when_it_points_elsewhere() {
    let project = Project::new();
    let other = Project::new();
    project.git(&["submodule", "--quiet", "add", &other.folder.path().display().to_string(), "apps/api/vendor"]);
    project.commit();
    project.git(&["branch", "--force", "main"]);
    assert_eq!(project.affected(), [""; 0]);
    let inside = project.path("apps/api/vendor");
    let words = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@shop.example",
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "more",
    ];
    assert!(Command::new("git").args(words).current_dir(inside).status().unwrap().success());
    assert_eq!(project.affected(), ["api"]);
}

#[test]
fn history_is_left_where_it_parted() {
    let project = Project::new();
    project.write("apps/api/src/index.ts", "mine");
    project.commit();
    project.git(&["checkout", "--quiet", "main"]);
    project.write("apps/web/src/index.ts", "theirs");
    project.commit();
    project.git(&["checkout", "--quiet", "change"]);
    assert_eq!(project.affected(), ["api"], "what came to the base since is not ours");
    project.git(&["merge", "--quiet", "--no-edit", "main"]);
    assert_eq!(project.affected(), ["api"], "nor is it after a merge of it");
    project.git(&["checkout", "--quiet", "-b", "one", "main"]);
    project.write("packages/ui/src/one.ts", "");
    project.commit();
    project.git(&["checkout", "--quiet", "-b", "two", "main"]);
    project.write("apps/web/src/two.ts", "");
    project.commit();
    project.git(&["checkout", "--quiet", "change"]);
    project.git(&["merge", "--quiet", "--no-edit", "one", "two"]);
    assert_eq!(project.affected(), ["api", "web", "ui"], "an octopus has all its arms");
    for other in ["main", "one", "two", "HEAD^", "HEAD~2", "HEAD^^2"] {
        let expected = project.git(&["merge-base", "HEAD", other]);
        assert_eq!(project.try_plan(Some(other)).unwrap().base.unwrap(), expected, "as git says of {other}");
    }
}

#[test]
fn commits_of_one_second_part_where_git_says() {
    let project = Project::new();
    // A line, and a merge that also leads straight to its foot: below something common, all is of one time and in no order.
    let mut line = vec![project.git(&["rev-parse", "HEAD"])];
    for step in 0..12 {
        let words = ["commit-tree", "-m", &format!("step {step}"), "-p", &line[step], "HEAD^{tree}"];
        line.push(project.git_at("2026-01-01T00:00:00Z", &words));
    }
    let merge = ["commit-tree", "-m", "merge", "-p", &line[12], "-p", &line[1], "HEAD^{tree}"];
    let merge = project.git_at("2026-01-01T00:00:00Z", &merge);
    project.git(&["reset", "--quiet", "--hard", &merge]);
    for commit in &line {
        assert_eq!(project.git(&["merge-base", "HEAD", commit]), *commit);
        assert_eq!(project.try_plan(Some(commit)).unwrap().base.as_ref(), Some(commit), "of {line:?}");
    }
}

#[test]
fn a_revert_affects_nothing() {
    let project = Project::new();
    project.write("packages/core/src/index.ts", "broken");
    project.commit();
    project.git(&["revert", "--no-edit", "HEAD"]);
    assert_eq!(project.affected(), [""; 0]);
}

#[test]
fn a_branch_with_nothing_in_common_is_all_new() {
    let project = Project::new();
    project.git(&["checkout", "--quiet", "--orphan", "alone"]);
    project.write("README.md", "another beginning");
    project.commit();
    let plan = project.plan();
    assert_eq!((plan.affected.len(), plan.base), (4, None));
    let zeros = "0".repeat(40);
    assert_eq!(project.try_plan(Some(&zeros)).unwrap().base, None);
}

#[test]
fn a_clone_that_is_too_shallow_is_refused_with_what_to_do() {
    let project = Project::new();
    for number in 0..3 {
        project.write("apps/api/src/index.ts", &format!("{number}"));
        project.commit();
    }
    let shallow = tempfile::tempdir().unwrap();
    let source = format!("file://{}", project.folder.path().display());
    let clone = |words: &[&str]| {
        let mut git = Command::new("git");
        let done = git.arg("clone").args(words).arg(&source).arg(".").current_dir(shallow.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    clone(&["--quiet", "--depth=1", "--branch=change"]);
    let there = Project { folder: shallow, ci: Ci::default() };
    let fault = there.try_plan(Some("origin/main")).map(|plan| plan.affected).unwrap_err();
    assert!(
        fault.message.contains("there is no commit \"origin/main\"") && fault.hint.unwrap().contains("fetch-depth: 0")
    );
    there.git(&["fetch", "--quiet", "--depth=1", "origin", "main:refs/remotes/origin/main"]);
    let fault = there.try_plan(Some("origin/main")).map(|plan| plan.affected).unwrap_err();
    assert_eq!(fault.message, "cannot tell what changed: this clone is shallow");
    assert!(fault.hint.unwrap().contains("git fetch --unshallow"));
    there.git(&["fetch", "--quiet", "--unshallow"]);
    assert_eq!(there.try_plan(Some("origin/main")).unwrap().affected.len(), 1);
}

#[test]
fn packages_in_a_circle_are_affected_together() {
    let project = Project::new();
    project.package("packages/core", r#""ui": "*""#);
    project.commit();
    project.git(&["branch", "--force", "main"]);
    project.write("packages/ui/src/index.ts", "changed");
    assert_eq!(project.affected(), ALL);
    assert_eq!(project.why("core"), "it depends on ui");
}

#[test]
fn the_manifest_counts_for_what_it_says_of_a_package() {
    let mut project = Project::new();
    let manifest = |more: &str| {
        format!(
            "[product]\nname = \"shop\"\n[owners.team]\ndescription = \"All\"\ncontact = \"a@shop.example\"\n[branches]\nmain = \"production\"\n\
             [environments.production]\ndomain = \"shop.example\"\n[apps.back]\nowner = \"team\"\npath = \"apps/api\"\nkind = \"static\"\nhosts = [\"www\"]\n{more}"
        )
    };
    let set = |project: &mut Project, more: &str| {
        let text = manifest(more);
        project.write("roadbed.toml", &text);
        let (read, faults) = manifest::parse(&manifest::Source::new("roadbed.toml".to_owned(), text));
        project.ci = read.unwrap_or_else(|| panic!("{faults:?}")).ci();
    };
    set(&mut project, "");
    project.commit();
    project.git(&["branch", "--force", "main"]);
    set(&mut project, "[environments.staging]\ndomain = \"staging.shop.example\"\n");
    assert_eq!(project.affected(), [""; 0]);
    set(&mut project, "[ci.tasks.test.in.\"apps/api\"]\nretries = 2\n");
    assert_eq!(project.affected(), ["back"], "an app is called as the manifest calls it");
    assert_eq!(project.why("back"), "the manifest says something else of its tasks");
}

#[test]
fn crates_of_a_workspace_are_packages() {
    let project = Project::new();
    project.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"crates/*\"]\n[workspace.dependencies]\nlow = { path = \"crates/low\" }\n",
    );
    project.write("crates/low/Cargo.toml", "[package]\nname = \"low\"\n[dependencies]\nserde = \"1\"\n");
    project.write("crates/high/Cargo.toml", "[package]\nname = \"high\"\n[dev-dependencies]\nlow.workspace = true\n");
    project.write("crates/other/Cargo.toml", "[package]\nname = \"other\"\n");
    let lock = |version: &str| {
        format!(
            "[[package]]\nname = \"low\"\nversion = \"0.0.0\"\ndependencies = [\"serde\"]\n[[package]]\nname = \"high\"\nversion = \"0.0.0\"\ndependencies = [\"low\"]\n[[package]]\nname = \"other\"\nversion = \"0.0.0\"\n[[package]]\nname = \"serde\"\nversion = \"{version}\"\nsource = \"registry+x\"\nchecksum = \"aa\"\n"
        )
    };
    project.write("Cargo.lock", &lock("1.0.0"));
    project.commit();
    project.git(&["branch", "--force", "main"]);
    project.write("Cargo.lock", &lock("1.0.1"));
    assert_eq!(project.affected(), ["high", "low"]);
    assert_eq!(project.why("low"), "the lock file resolves serde 1.0.1 (was 1.0.0)");
    project.git(&["branch", "--force", "main"]);
    project.write("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95\"\n");
    assert_eq!(project.affected(), ["high", "low", "other"], "and no npm package");
}

#[test]
fn a_manifest_that_cannot_be_read_is_told_by_its_name() {
    let project = Project::new();
    project.write("apps/api/package.json", "{");
    let fault = project.try_plan(None).map(|plan| plan.affected).unwrap_err();
    assert_eq!(fault.message, "cannot understand apps/api/package.json");
}
