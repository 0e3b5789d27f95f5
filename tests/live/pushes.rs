//! The whole way of UrbanCart's own changes: pushed to a bare repository, built and deployed to staging by their branch, refused with a
//! picture where a page is broken, approved for production by somebody else, switched to and back under visitors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testkit::{Crowd, Environment, Kept, SendHomeOnDrop, repository, wait_until};

use crate::stage;

/// What UrbanCart is made of in this repository.
const PRODUCT: [&str; 7] =
    ["roadbed.toml", "package.json", "package-lock.json", ".npmrc", "tsconfig.base.json", ".gitignore", "apps"];

/// Three builds, when nothing is kept from before and other tests run.
const A_PUSH: Duration = Duration::from_secs(15 * 60);

/// Where people push to, and where one of them works.
struct Shop<'e> {
    work: PathBuf,
    bare: PathBuf,
    staging: &'e Environment,
}

impl Shop<'_> {
    fn git(&self, folder: &Path, words: &[&str]) -> String {
        let programs = self.staging.program().parent().unwrap().display().to_string();
        let path = format!("{programs}:{}", self.staging.variables()["PATH"]);
        let mut command = Command::new("timeout");
        command.arg(A_PUSH.as_secs().to_string()).arg("git").args(words).current_dir(folder).env_clear();
        command.envs(self.staging.variables()).env("PATH", path).env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ann").env(format!("GIT_{role}_EMAIL"), "ann@urbancart.example");
        }
        let ran = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "git {words:?}: {said}");
        said
    }

    fn push(&self, branch: &str, message: &str) -> String {
        self.git(&self.work, &["add", "--all"]);
        self.git(&self.work, &["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&self.work, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")])
    }

    /// Beginning of the commit's name, as releases bear it.
    fn commit(&self) -> String {
        self.git(&self.work, &["rev-parse", "HEAD"])[..12].to_owned()
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.work.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

/// Copies what git knows of the product.
fn copy_product(into: &Path) {
    let listed = Command::new("git").arg("-C").arg(repository()).args(["ls-files", "-z", "--"]).args(PRODUCT).output();
    for name in String::from_utf8(listed.unwrap().stdout).unwrap().split_terminator('\0') {
        let to = into.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(repository().join(name), to).unwrap();
    }
}

fn live(environment: &Environment) -> Value {
    let releases = environment.roadbed(&["releases", "--json"]).expect(0).json();
    releases["releases"].as_array().unwrap().iter().find(|release| release["role"] == "live").unwrap().clone()
}

/// A payment key of its own, of the kind that the environment takes.
fn give_payment_key(environment: &Environment, begins: &str) -> String {
    let random = secrets::generate::credential().unwrap();
    let value = format!("{begins}{}", &random.expose()[..24]);
    environment.set_secret("PAYMENT_SECRET_KEY", &value);
    value
}

#[test]
fn a_change_goes_from_a_push_to_everybody_and_back() {
    let _stage = stage::enter_with_several();
    let staging = stage::urbancart();
    let checkout = staging.scratch().join("served");
    let staging = staging.of_checkout(&checkout, "staging");
    let production = stage::urbancart().neighbour_of(&staging).of_checkout(&checkout, "production");
    let [work, bare] = ["work", "shop.git"].map(|name| staging.scratch().join(name));
    let shop = Shop { work, bare, staging: &staging };
    let key = staging.scratch().join("bob");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "bob", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());

    copy_product(&shop.work);
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    shop.edit("roadbed.toml", "[branches]\n", &format!("[people.bob]\nssh = [\"{}\"]\n\n[branches]\n", public.trim()));
    let domain = "domain = \"staging.urbancart.example\"\n";
    shop.edit("roadbed.toml", domain, &format!("{domain}rollout = {{ verify = \"2s\" }}\n"));
    let domain = "domain = \"urbancart.example\"\n";
    shop.edit("roadbed.toml", domain, &format!("{domain}rollout = {{ verify = \"2s\", approvals = 1 }}\n"));
    fs::create_dir(&shop.bare).unwrap();
    shop.git(&shop.bare, &["init", "--quiet", "--bare", "--initial-branch=main"]);
    shop.git(&shop.work, &["init", "--quiet", "--initial-branch=develop"]);
    shop.git(&shop.work, &["remote", "add", "origin", shop.bare.to_str().unwrap()]);
    let installed = Command::new(staging.program())
        .args(["receive", "--install", "--free-ports", "--checkout", checkout.to_str().unwrap()])
        .current_dir(&shop.bare)
        .status();
    assert!(installed.unwrap().success());
    let said = shop.push("idea", "the shop");
    assert!(said.contains("idea is deployed nowhere"), "{said}");
    give_payment_key(&staging, "sk_test_");
    staging.must_not_show("PAYMENT_SECRET_KEY of production", &give_payment_key(&production, "sk_live_"));

    let said = shop.push("develop", "the shop, for staging");
    assert!(said.contains("develop goes to staging") && said.contains("is live"), "{said}");
    let first = live(&staging);
    let report = staging.ready(&["apps-are-reachable", "failed-looks-fail-deployments"]);
    assert_eq!(report["holds"], true, "{report:#}");

    // It builds and answers 200, and a browser sees that it is broken.
    shop.edit("apps/admin/src/main.tsx", "createRoot(root)", "throw new Error(\"a bad day\");\n\ncreateRoot(root)");
    let said = shop.push("develop", "a broken admin");
    assert!(said.contains("a bad day") && said.contains("visitors saw nothing of it"), "{said}");
    let evidence = fs::read_dir(staging.root().join("deployments/d2")).unwrap().flatten();
    let pictures: Vec<PathBuf> =
        evidence.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "png")).collect();
    assert!(pictures.iter().any(|path| path.display().to_string().contains("admin")), "{pictures:?}");
    assert_eq!(live(&staging)["id"], first["id"]);

    shop.edit("apps/admin/src/main.tsx", "throw new Error(\"a bad day\");\n\n", "");
    let said = shop.push("develop", "mended");
    assert!(said.contains("is live"), "{said}");
    assert_eq!(live(&staging)["artifacts"], first["artifacts"], "the same code is the same artifact");

    // The same commit on main waits for somebody else than its author.
    let said = shop.push("main", "for everybody");
    assert!(said.contains("main goes to production") && said.contains("waits for approval"), "{said}");
    let _ = production.roadbed(&["login", "--key", key.to_str().unwrap()]).expect(0);
    let _ = production.roadbed(&["deploy", "approve"]).expect(0);
    let followed = production.roadbed_within(A_PUSH, &["deploy", "follow"]).expect(0);
    assert!(followed.stderr.contains("approved by bob"), "{}", followed.stderr);
    let released = live(&production);
    assert_eq!(released["artifacts"], first["artifacts"], "what staging tried is what production runs");
    let rows = ["apps-are-reachable", "failed-looks-fail-deployments", "visitors-get-what-was-looked-at"];
    let report = production.ready(&rows);
    assert_eq!(report["holds"], true, "{report:#}");

    // Logs say which commit and release served.
    let name = format!("r1-{}", shop.commit());
    for log in [production.log("access"), production.roadbed(&["logs", "api"]).expect(0).stdout] {
        assert!(log.contains(&name), "no {name} in {log}");
    }

    // There and back under visitors, and everybody agrees on the way.
    let report = staging.ready(&["one-can-go-back"]);
    assert_eq!(report["holds"], true, "{report:#}");
    let would = staging.roadbed(&["rollback", "--dry-run"]).expect(0);
    assert!(would.stderr.contains("from r3 to r1"), "{}", would.stderr);
    let (crowd, client) = (Crowd::default(), staging.client());
    let pages = [staging.url("storefront"), format!("{}/products", staging.url("api"))];
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for page in &pages {
            let mut visitor = Kept::new(client.clone());
            crowd.let_in(scope, 20, move || match visitor.request("GET", page, &[], "")? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(format!("{page}: {answer:?}")),
            });
        }
        wait_until("the visitors are there", Duration::from_secs(20), || match crowd.asked() {
            asked if asked > 20 => Ok(()),
            asked => Err(asked.to_string()),
        });
        let _ = staging.roadbed(&["rollback"]).expect(0);
        assert_eq!(live(&staging)["id"], first["id"]);
        let _ = staging.roadbed(&["rollback", "--to", "r3"]).expect(0);
    });
    assert_eq!(crowd.failed(), Vec::<String>::new(), "of {} requests", crowd.asked());
}
