//! Each check of the gate, with the thing it is about broken for real: the check must fail, and hold again once it is mended.
//!
//! A check that cannot fail proves nothing. What is broken here is the running environment, never the check.

mod command;
mod credentials;
mod found_again;
mod errors;
mod limits;
mod neighbour;
mod outages;
mod pictures;
mod secrets_elsewhere;
mod teams;
mod shown;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use host::process::table;
use reconcile::Root;
use reconcile::ports::{Routes, Units};
use roadbed::keeper::client::KeeperClient;
use secrets::{Secret, SecretName};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Environment, copy_folder, link_repository, wait_until};

use crate::stage;

/// The environment of these tests: its project has a manifest that may be edited, and its `node` is a link that may be cut.
struct Scene {
    shop: Environment,
    project: TempDir,
}

#[test]
fn every_check_of_the_gate_sees_what_it_is_about() {
    let _stage = stage::enter_with_several();
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    let path = shop.variables()["PATH"].clone();
    let programs = shop.scratch().join("programs");
    fs::create_dir(&programs).unwrap();
    let node = host::process::find_in_path("node", &path).expect("node is in PATH");
    symlink(node, programs.join("node")).unwrap();
    let shop = shop.with_variable("PATH", &format!("{}:{path}", programs.display()));
    let manifest = project.path().join("roadbed.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    // Locally everybody sees the admin; here it is protected, as elsewhere, so that there is something to break.
    assert!(text.contains("in.local.access = \"public\"\n"), "the admin has another access");
    fs::write(&manifest, text.replace("in.local.access = \"public\"\n", "")).unwrap();
    let scene = Scene { shop, project };
    scene.shop.up();

    let tried = [
        ("variables-are-owned", scene.a_required_variable_without_a_value()),
        ("variables-are-owned", scene.a_variable_without_an_owner()),
        ("targets-follow-branches", scene.an_environment_that_is_named_like_a_preview()),
        ("targets-follow-branches", scene.a_product_that_was_renamed_under_its_data()),
        ("code-matches-the-matrix", scene.an_app_that_reads_what_is_not_declared()),
        ("code-matches-the-matrix", scene.a_variable_that_its_app_does_not_read()),
        ("changes-are-checked", scene.a_workflow_that_leaves_a_check_out()),
        ("changes-are-checked", scene.an_app_that_no_check_looks_at()),
        ("changes-are-checked", scene.a_project_without_history()),
        ("mongodb-guards-its-door", scene.a_mongod_that_asks_nobody()),
        ("mongodb-gives-least-privilege", scene.rights_that_were_given_behind_our_back()),
        ("credentials-open-their-own-data-only", scene.a_user_with_more_and_a_user_with_less_than_declared()),
        ("credentials-open-their-own-data-only", scene.an_app_that_may_name_every_key()),
        ("upstash-tokens-open-their-own", scene.a_read_only_token_that_writes()),
        ("upstash-tokens-open-their-own", scene.an_app_whose_token_opens_every_key()),
        ("objects-open-to-their-own", scene.a_list_of_who_is_let_in_that_somebody_wrote()),
        ("media-variants-are-delivered", scene.a_delivery_that_hangs()),
        ("media-variants-are-delivered", scene.a_delivery_in_every_width()),
        ("redis-guards-its-door", scene.a_redis_open_to_everybody()),
        ("redis-keeps-its-promises", scene.a_redis_that_drops_carts()),
        ("environments-are-isolated", scene.a_neighbour_with_our_passwords_and_an_open_house()),
        ("readiness-follows-the-stores", scene.an_app_that_always_says_it_is_ready()),
        ("runbook-can-be-followed", scene.a_runbook_of_another_time()),
        ("backend-can-work", scene.a_cache_that_is_away()),
        ("frontend-can-work", scene.a_storefront_that_does_not_answer()),
        ("admin-can-work", scene.an_admin_that_nobody_reaches()),
        ("apps-are-reachable", scene.a_certificate_of_another_authority()),
        // Broken by the same certificate.
        ("certificates-renew", ()),
        ("killed-instances-return", scene.an_instance_that_cannot_be_started()),
        ("requests-are-found-again", scene.a_telemetry_that_is_away()),
        ("requests-are-found-again", scene.a_log_that_nobody_reads()),
        ("http-redirects", scene.redirects_to_a_port_where_nobody_is()),
        ("forced-errors-arrive", scene.nobody_who_takes_errors()),
        ("forced-errors-arrive", scene.an_app_whose_key_opens_nothing()),
        ("errors-are-shown", scene.an_edge_that_leads_nobody_to_the_console()),
        ("errors-are-shown", scene.a_console_that_has_nothing_to_show()),
        ("outages-are-noticed", scene.nobody_who_looks()),
        ("outages-are-noticed", scene.a_pause_that_nobody_ended()),
        ("outages-are-noticed", scene.a_book_that_somebody_holds()),
        ("bursts-are-throttled", scene.an_edge_that_lets_everybody_ask_for_ever()),
        ("accounts-and-money-are-guarded-more", scene.logins_as_often_as_pictures_and_an_edge_that_counts_alone()),
        ("protected-refuses-strangers", scene.an_edge_that_lets_strangers_see_what_is_protected()),
        ("nothing-is-overdue", scene.a_key_that_is_older_than_it_may_be()),
        ("secrets-stay-secret", scene.a_secret_in_a_log()),
        ("secrets-stay-secret", scene.a_secret_in_a_command_line()),
        ("secrets-stay-secret", scene.a_store_that_cannot_be_read()),
        ("no-secret-is-published", scene.a_secret_in_an_old_commit_of_a_side_branch()),
        ("no-secret-is-published", scene.a_secret_in_a_bundle()),
        ("store-opens-for-its-own", scene.a_store_that_opens_for_a_preview()),
        ("payments-stay-out-of-previews", scene.a_manifest_that_gives_previews_a_payment_key()),
        ("payments-stay-out-of-previews", scene.a_preview_with_a_payment_key_under_another_name()),
    ];
    // A check that is added comes with its sabotage.
    let report = scene.shop.ready(&[]);
    for check in report["checks"].as_array().unwrap() {
        let id = check["id"].as_str().unwrap();
        assert!(tried.iter().any(|(tried, ())| *tried == id), "nobody tries to break what {id} is about");
        assert!(roadbed::checks::catalogue::promise(id).is_some(), "control never looks at {id} by itself");
    }
    assert_eq!(report["holds"], true, "{report:#}");
}

impl Scene {
    fn a_required_variable_without_a_value(&self) {
        let broken = |manifest: String| {
            manifest
                + "\n[variables.NEWCOMER]\ndescription = \"x\"\napps = [\"api\"]\nclass = \"secret\"\nowner = \"platform\"\n\
                   source = \"store\"\nexample = \"example-only\"\n"
        };
        self.with_manifest(broken, || self.fails("variables-are-owned", "NEWCOMER"));
        self.holds("variables-are-owned");
    }

    fn an_environment_that_is_named_like_a_preview(&self) {
        let broken =
            |manifest: String| manifest + "\n[environments.preview-pr-1]\ndomain = \"old.urbancart.example\"\n";
        self.with_manifest(broken, || {
            self.fails("targets-follow-branches", "would share its names with an instance of preview")
        });
        self.holds("targets-follow-branches");
    }

    fn a_product_that_was_renamed_under_its_data(&self) {
        let broken = |manifest: String| {
            assert!(manifest.contains("name = \"urbancart\""), "the product has another name");
            manifest.replace("name = \"urbancart\"", "name = \"citycart\"")
        };
        self.with_manifest(broken, || self.fails("targets-follow-branches", "what runs here is not named as local"));
        self.holds("targets-follow-branches");
    }

    fn a_variable_without_an_owner(&self) {
        let broken = |manifest: String| {
            let owned = "class = \"payment\"\nowner = \"payments\"";
            assert!(manifest.contains(owned), "the manifest has another PAYMENT_SECRET_KEY");
            manifest.replace(owned, "class = \"payment\"")
        };
        self.with_manifest(broken, || {
            // What runs is what was wanted, whatever is being typed.
            assert!(self.shop.url("api").starts_with("https://"));
            let refused = self.shop.roadbed(&["up", "--detach"]).expect(2);
            assert!(refused.stderr.contains("owner"), "{}", refused.stderr);
            self.fails("variables-are-owned", "owner")
        });
        self.holds("variables-are-owned");
    }

    /// One line more in an app. What runs goes on: only its sources are looked at.
    fn an_app_that_reads_what_is_not_declared(&self) {
        let app = self.project.path().join("apps/api");
        let real = fs::read_link(&app).unwrap();
        fs::remove_file(&app).unwrap();
        copy_folder(&real, &app);
        let source = app.join("src/server.ts");
        let text = fs::read_to_string(&source).unwrap();
        fs::write(&source, format!("{text}\nconsole.log(process.env.UNDECLARED_ENDPOINT);\n")).unwrap();
        let line = text.lines().count() + 2;
        let place = format!("apps/api/src/server.ts:{line}:13: UNDECLARED_ENDPOINT");
        self.fails("code-matches-the-matrix", &place);
        fs::remove_dir_all(&app).unwrap();
        symlink(real, &app).unwrap();
        self.holds("code-matches-the-matrix");
    }

    fn a_workflow_that_leaves_a_check_out(&self) {
        let folder = self.project.path().join(".github");
        let real = fs::read_link(&folder).unwrap();
        fs::remove_file(&folder).unwrap();
        copy_folder(&real, &folder);
        let workflow = folder.join("workflows/ci.yml");
        let text = fs::read_to_string(&workflow).unwrap();
        let left_out = text.replace("if: ${{ always() }}", "if: ${{ success() }}");
        assert_ne!(left_out, text);
        fs::write(&workflow, left_out).unwrap();
        self.fails("changes-are-checked", ".github/workflows/ci.yml is not as the manifest makes it");
        fs::remove_file(&workflow).unwrap();
        self.fails("changes-are-checked", ".github/workflows/ci.yml is missing");
        fs::remove_dir_all(&folder).unwrap();
        symlink(real, &folder).unwrap();
        self.holds("changes-are-checked");
    }

    fn an_app_that_no_check_looks_at(&self) {
        let broken = |manifest: String| {
            let all = "packages = [\"apps/*\"]";
            assert!(manifest.contains(all), "the manifest has other packages");
            manifest.replace(all, "packages = [\"apps/storefront\", \"apps/admin\"]")
        };
        self.with_manifest(broken, || self.fails("changes-are-checked", "nothing is run for a change to api"));
        self.holds("changes-are-checked");
    }

    /// Nothing is known of changes there, and that is not as good as knowing.
    fn a_project_without_history(&self) {
        let history = self.project.path().join(".git");
        let aside = self.project.path().join("aside.git");
        fs::rename(&history, &aside).unwrap();
        let report = self.shop.ready(&["changes-are-checked"]);
        assert_eq!(report["checks"][0]["verdict"], "inconclusive", "{report:#}");
        fs::rename(&aside, &history).unwrap();
        self.holds("changes-are-checked");
    }

    fn a_variable_that_its_app_does_not_read(&self) {
        let broken = |manifest: String| {
            let received = "[variables.FAULT_TOKEN]\n";
            assert!(manifest.contains(received), "the manifest has no FAULT_TOKEN");
            manifest.replace(
                "apps = [\"storefront\"]\ntype = \"url\"\nclass = \"internal\"",
                "apps = [\"storefront\", \"api\"]\ntype = \"url\"\nclass = \"internal\"",
            )
        };
        self.with_manifest(broken, || {
            self.fails("code-matches-the-matrix", "\\\"api\\\" receives API_INTERNAL_URL, but never reads it")
        });
        self.holds("code-matches-the-matrix");
    }

    /// Another mongod on the same port, which nobody told to ask for passwords: once in the clear, once with our certificate.
    fn a_mongod_that_asks_nobody(&self) {
        const ID: &str = "mongodb-guards-its-door";
        let pid = self.shop.pid_of("mongodb");
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        let conf = self.shop.root().join("conf/mongodb");
        let port = port_after(&fs::read_to_string(conf.join("mongod.conf")).unwrap(), "port:");
        let with_tls = [
            "--tlsMode=preferTLS".to_owned(),
            format!("--tlsCAFile={}", conf.join("ca.pem").display()),
            format!("--tlsCertificateKeyFile={}", conf.join("certificate.pem").display()),
            "--tlsAllowConnectionsWithoutCertificates".to_owned(),
        ];
        let variables = table::environment(pid);
        let impostor = |name: &str, args: &[String]| {
            let data = self.shop.scratch().join(name);
            fs::create_dir(&data).unwrap();
            let impostor = Command::new(&program)
                .args(["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--wiredTigerCacheSizeGB", "0.25"])
                .args(args)
                .arg("--dbpath")
                .arg(&data)
                .env_clear()
                .envs(&variables)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let impostor = Killed(impostor);
            wait_until("the impostor listens", Duration::from_secs(30), || {
                TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            });
            impostor
        };
        self.held("mongodb", || {
            let in_the_clear = impostor("impostor", &[]);
            self.fails(ID, "the server speaks no TLS");
            drop(in_the_clear);
            let _with_our_certificate = impostor("impostor-with-tls", &with_tls);
            let seen =
                self.fails(ID, "an unauthenticated client tried to list databases: allowed")["observed"].to_string();
            assert!(seen.contains("a client in the clear said hello: allowed"), "{seen}");
        });
        // A driver that looked meanwhile met a server of no replica set, which it takes from its list for good.
        self.shop.roadbed(&["restart", "api"]).expect(0);
        self.holds(ID);
    }

    /// What somebody might do in a hurry: the file of users, edited and read by a server that starts anew. `up` takes it back.
    fn a_redis_open_to_everybody(&self) {
        let users = self.shop.root().join("conf/redis/users.acl");
        let mut lines: Vec<String> = fs::read_to_string(&users).unwrap().lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("user default "));
        lines.push("user default on nopass ~* &* +@all\n".to_owned());
        fs::write(&users, lines.join("\n")).unwrap();
        self.started_again("redis");
        self.fails("redis-guards-its-door", "unauthenticated");
        self.mended_by_up();
        self.holds("redis-guards-its-door");
    }

    /// What somebody might do against a full Redis in a hurry: another policy, which drops carts. `up` takes it back.
    fn a_redis_that_drops_carts(&self) {
        let conf = self.shop.root().join("conf/redis/redis.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, text.replace("maxmemory-policy noeviction", "maxmemory-policy allkeys-lru")).unwrap();
        self.started_again("redis");
        self.fails("redis-keeps-its-promises", "maxmemory-policy is");
        self.mended_by_up();
        self.holds("redis-keeps-its-promises");
    }

    /// Starts a server anew as a person would, and waits until it listens. (Not by ending it: after some ends in a row the keeper
    /// lets it wait.)
    fn started_again(&self, unit: &str) {
        let pid = self.shop.pid_of(unit);
        let port = port_after(&table::command_line(pid), "127.0.0.1:");
        self.shop.roadbed(&["restart", unit]).expect(0);
        wait_until("it is started again", Duration::from_secs(30), || {
            self.shop.runs_anew(unit, pid)?;
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|error| error.to_string())
        });
    }

    /// Something on the API's port that answers 200 whatever happens.
    fn an_app_that_always_says_it_is_ready(&self) {
        let port = table::environment(self.shop.pid_of("api-1"))["PORT"].parse().unwrap();
        self.held("api-1", || {
            let _impostor = Optimist::listen(port);
            self.fails("readiness-follows-the-stores", "redis stopped and mongodb frozen, but");
        });
        self.holds("readiness-follows-the-stores");
    }

    /// The edge serves a certificate that another authority signed, for the right names.
    fn a_certificate_of_another_authority(&self) {
        let theirs = Root::new(self.shop.scratch().join("stranger"));
        let hosts = ["admin.", "api.", "console.", "media.", "objects.", "www.", ""]
            .map(|name| format!("{name}urbancart.localhost"));
        let owner = edge::tls::local_ca::Owner { environment: "stranger".to_owned(), root: "1".to_owned() };
        edge::tls::local_ca::ensure(&theirs, &owner, &hosts, host::clock::Clock::now(&host::clock::SystemClock))
            .unwrap();
        let leaf = self.shop.root().join("tls/leaf.json");
        let ours = fs::read(&leaf).unwrap();
        fs::copy(theirs.tls().join("leaf.json"), &leaf).unwrap();
        let _ = self.shop.roadbed(&["restart", "edge"]).expect(0);
        self.fails("apps-are-reachable", "certificate");
        self.fails("certificates-renew", "certificate");
        fs::write(&leaf, ours).unwrap();
        let _ = self.shop.roadbed(&["restart", "edge"]).expect(0);
        self.holds("apps-are-reachable");
        self.holds("certificates-renew");
    }

    /// The program that the apps run in is gone.
    fn an_instance_that_cannot_be_started(&self) {
        let node = self.programs().join("node");
        let real = fs::read_link(&node).unwrap();
        fs::remove_file(&node).unwrap();
        self.fails("killed-instances-return", "api-1 was killed and is not back");
        symlink(real, node).unwrap();
        let _ = self.shop.roadbed(&["restart"]).expect(0);
        self.holds("killed-instances-return");
    }

    /// The edge believes that visitors come in elsewhere. `up` tells it the truth again.
    fn redirects_to_a_port_where_nobody_is(&self) {
        let routes = edge::client::EdgeClient::new(Root::new(self.shop.root().to_owned()));
        now(async {
            let mut table = routes.current().await.unwrap().unwrap();
            table.https_port = 1;
            routes.publish(table).await.unwrap();
        });
        self.fails("http-redirects", "urbancart.localhost:1/");
        self.mended_by_up();
        self.holds("http-redirects");
    }

    /// The one row of `ready` for this check.
    #[track_caller]
    fn check(&self, id: &str) -> Value {
        let report = self.shop.ready(&[id]);
        let checks = report["checks"].as_array().unwrap();
        assert_eq!(checks.len(), 1, "{report:#}");
        assert_eq!(checks[0]["id"], id);
        assert_eq!(report["holds"], checks[0]["verdict"] == "holds", "{report:#}");
        checks[0].clone()
    }

    /// Runs this check alone: it fails, and says so by what it saw.
    #[track_caller]
    fn fails(&self, id: &str, because: &str) -> Value {
        let check = self.check(id);
        assert_eq!(check["verdict"], "fails", "{check:#}");
        assert!(check["observed"].to_string().contains(because), "no {because:?} in {check:#}");
        check
    }

    #[track_caller]
    fn holds(&self, id: &str) {
        wait_until(&format!("{id} holds again"), Duration::from_secs(30), || {
            let check = self.check(id);
            if check["verdict"] == "holds" { Ok(()) } else { Err(format!("{check:#}")) }
        });
    }

    #[track_caller]
    fn mended_by_up(&self) {
        let up = self.shop.up_with(&["--no-gate"]);
        assert!(!up.stderr.contains("nothing to change"), "`up` did not see it:\n{}", up.stderr);
    }

    fn with_manifest(&self, broken: impl Fn(String) -> String, work: impl FnOnce() -> Value) {
        let path = self.project.path().join("roadbed.toml");
        let right = fs::read_to_string(&path).unwrap();
        fs::write(&path, broken(right.clone())).unwrap();
        work();
        fs::write(&path, right).unwrap();
    }

    /// Takes a unit away from its port while `work` runs.
    fn held(&self, unit: &str, work: impl FnOnce()) {
        let keeper = KeeperClient::new(Root::new(self.shop.root().to_owned()));
        now(keeper.hold(unit)).unwrap();
        work();
        now(keeper.resume(unit)).unwrap();
    }

    fn programs(&self) -> PathBuf {
        self.shop.scratch().join("programs")
    }

    fn secret(&self, name: &SecretName) -> Secret {
        stage::store_of(&self.shop).get(name).unwrap().unwrap_or_else(|| panic!("there is no {}", name.as_str())).secret
    }
}

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The number that follows `mark`.
fn port_after(text: &str, mark: &str) -> u16 {
    let rest = text.split_once(mark).unwrap_or_else(|| panic!("no {mark:?} in {text}")).1.trim_start();
    rest.split(|other: char| !other.is_ascii_digit()).next().unwrap().parse().unwrap()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A server that is always fine.
struct Optimist {
    port: u16,
    over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Optimist {
    fn listen(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let _ = answer(stream.unwrap());
            }
        });
        Self { port, over, serving: Some(serving) }
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    let body = r#"{"status":"ready","mongodb":{"ok":true},"redis":{"ok":true}}"#;
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

impl Drop for Optimist {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes it up.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        self.serving.take().unwrap().join().unwrap();
    }
}
