//! Certificates of a real authority: issued, renewed under visitors, and what happens while it is away, refuses or revokes.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use certificates::{Authority, Purpose, Subject};
use host::clock::{Clock, SystemClock};
use reconcile::ports::Routes;
use serde_json::{Value, json};
use testkit::{Client, Crowd, NameServer, SendHomeOnDrop, name_server, wait_until};

use crate::authority::{Pebble, Shim, free_port};
use crate::stage::Stage;

/// An order takes a second or two; a machine that is busy elsewhere gets more.
const PATIENCE: Duration = Duration::from_secs(60);

const URL: &str = "https://www.tiny.test";

/// An environment whose certificates an authority issues.
struct Shop {
    stage: Stage,
    pebble: Pebble,
    https: u16,
}

impl Shop {
    /// `seconds` is how long certificates hold; `tls` what else the manifest says, with DIR for the directory.
    fn new(seconds: u32, tls: impl FnOnce(&Pebble) -> String) -> Self {
        Self::of(|folder, ports| Pebble::start(folder, ports, seconds), tls)
    }

    fn of(start: impl FnOnce(&Path, (u16, u16)) -> Pebble, tls: impl FnOnce(&Pebble) -> String) -> Self {
        let stage = Stage::new();
        let (http, https) = (free_port(), free_port());
        let pebble = start(&stage.project.join("pebble"), (http, https));
        let tls = tls(&pebble);
        stage.edit(
            "domain = \"tiny.localhost\"\n",
            &format!(
                "domain = \"tiny.test\"\nports = {{ http = {http}, https = {https} }}\nnetwork = {{ bind = \"127.0.0.1\" }}\n\n\
                 [environments.local.tls]\nissuer = \"acme\"\n{tls}\n"
            ),
        );
        Self { stage, pebble, https }
    }

    fn url(&self) -> String {
        format!("{URL}:{}/", self.https)
    }

    fn certificate(&self) -> Value {
        self.stage.status()["certificate"].clone()
    }

    /// How many were issued and kept.
    fn generation(&self) -> u32 {
        let names = fs::read_dir(self.stage.root.join("tls/issued")).into_iter().flatten().flatten();
        let numbers = names.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok());
        numbers.max().unwrap_or(0)
    }

    /// Waits until there are so many, and the newest is what visitors get.
    #[track_caller]
    fn until_generation(&self, wanted: u32) {
        let visitor = self.pebble.visitor();
        wait_until("a certificate is served", PATIENCE, || {
            let generation = self.generation();
            if generation < wanted {
                return Err(format!("generation {generation}: {}", self.certificate()));
            }
            visitor.get(&self.url()).map(drop)
        });
    }

    fn promise(&self, id: &str) -> (String, String) {
        let answer = self.stage.roadbed(&format!("ready --json --only {id}"));
        let report: Value = serde_json::from_str(&answer.out.join("\n")).unwrap_or_else(|_| panic!("{answer}"));
        let check = &report["checks"][0];
        (check["verdict"].as_str().unwrap().to_owned(), check["observed"].to_string())
    }

    #[track_caller]
    fn holds(&self, id: &str) {
        let (verdict, observed) = self.promise(id);
        assert_eq!(verdict, "holds", "{observed}");
    }

    #[track_caller]
    fn fails(&self, id: &str, with: &str) {
        let (verdict, observed) = self.promise(id);
        assert_eq!(verdict, "fails", "{observed}");
        assert!(observed.contains(with), "{observed}");
    }

    fn edge<T>(&self, ask: impl AsyncFnOnce(&edge::client::EdgeClient) -> T) -> T {
        let edge = edge::client::EdgeClient::new(reconcile::Root::new(self.stage.root.clone()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ask(&edge))
    }
}

fn one(pebble: &Pebble) -> String {
    let directory = pebble.directory();
    format!("acme = [{{ directory = \"{directory}\", ca = \"pebble/ca.pem\", roots = \"pebble/roots.pem\" }}]")
}

#[test]
fn an_app_that_asks_for_certificates_is_deployed_and_seen_by_us_and_refuses_who_has_none() {
    let stage = Stage::new();
    let now = SystemClock.now();
    let ops = Authority::make("Operations", now, Duration::from_hours(24)).unwrap();
    stage.write("ops.pem", "");
    stage.edit("hosts = [\"www\"]\n", "hosts = [\"www\"]\nclient_ca = \"ops.pem\"\n");
    stage.server(
        "const http = require('node:http');\n\
         http.createServer((request, response) => {\n\
           response.end(request.url === '/' ? `tiny ${request.headers['x-client-name']}\\n` : '');\n\
         }).listen(process.env.PORT, process.env.HOST);\n",
    );
    stage.roadbed("up --detach --no-gate").refuses(1, &["no certificate in ops.pem", "hint: put there, in PEM"]);
    stage.write("ops.pem", &ops.certificate_pem);
    stage.up();
    let subject = Subject { common_name: "ann", organization: None, hosts: &[], purposes: &[Purpose::Client] };
    let ann = ops.issue(&subject, now, Duration::from_hours(1)).unwrap();
    let ann = Client::showing(&stage.root.join("tls/ca.pem"), &ann.chain_pem, &ann.key_pem);
    assert_eq!(ann.get(&stage.url()).unwrap().body, "tiny ann\n");
    let refused = stage.client().get(&stage.url()).unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    // Its pages are looked at before visitors get them, by who has a certificate of the environment's own.
    stage.roadbed("deploy").exits(0);
    assert_eq!(ann.get(&stage.url()).unwrap().body, "tiny ann\n");
    let check = || stage.roadbed("ready --json --only apps-are-reachable");
    let seen = check();
    assert!(seen.out.join("").contains("refuses who shows no certificate"), "{seen}");
    // And the gate sees it opened.
    let edge = edge::client::EdgeClient::new(reconcile::Root::new(stage.root.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut table = edge.current().await.unwrap().unwrap();
        table.sites.iter_mut().for_each(|site| site.client_authorities = None);
        edge.publish(table).await.unwrap();
    });
    let seen = check();
    assert!(seen.out.join("").contains("to who shows no certificate"), "{seen}");
}

#[test]
fn a_certificate_renews_itself_under_visitors_whoever_is_killed_and_the_old_one_goes_on_while_the_authority_is_away() {
    // Every fifteen seconds a new one.
    let mut shop = Shop::new(30, |pebble| {
        one(pebble) + "\nchallenges = [\"http-01\"]\nhsts = { max_age = \"365d\", subdomains = true, preload = true }"
    });
    shop.stage.up();
    shop.until_generation(1);
    let told = shop.certificate();
    assert!(told["issuer"].as_str().unwrap().contains("Pebble"), "{told}");
    assert!(told["renews_at"].as_i64().unwrap() < told["not_after"].as_i64().unwrap(), "{told}");

    let crowd = Crowd::default();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for _ in 0..3 {
            let (visitor, url) = (shop.pebble.visitor(), shop.url());
            crowd.let_in(scope, 20, move || match visitor.get(&url) {
                Ok(answer) if answer.status == 200 && answer.body == "tiny\n" => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
        // Control dies at whatever an order is at, again and again.
        let orders = || shop.pebble.log().matches("Added order").count();
        let seen = shop.generation();
        for pause in [0, 120, 300, 550] {
            let before = orders();
            wait_until("an order begins", PATIENCE, || match orders() {
                now if now > before || shop.generation() > seen => Ok(()),
                now => Err(format!("{now} orders: {}", shop.certificate())),
            });
            thread::sleep(Duration::from_millis(pause));
            shop.stage.kill("control");
        }
        shop.until_generation(seen + 1);
    });
    assert!(crowd.failed().is_empty(), "{} of {}: {:?}", crowd.failed().len(), crowd.asked(), crowd.failed());
    assert!(crowd.asked() > 300, "{}", crowd.asked());
    let kept = fs::read_dir(shop.stage.root.join("tls/issued")).unwrap().count();
    assert!(kept <= 3, "{kept} are kept: those before are forgotten");

    // What the gate promises, and that it sees it broken.
    shop.holds("certificates-renew");
    shop.holds("browsers-stay-with-https");
    let table = shop.edge(async |edge| edge.current().await).unwrap().unwrap();
    let without = reconcile::ports::RouteTable { hsts: None, ..table.clone() };
    shop.edge(async |edge| edge.publish(without).await).unwrap();
    shop.fails("browsers-stay-with-https", "max-age=31536000\\\") and not");
    shop.edge(async |edge| edge.publish(table).await).unwrap();

    shop.pebble.end();
    wait_until("status says what is in the way", PATIENCE, || {
        let told = shop.certificate();
        match told["trouble"]["why"].as_str() {
            Some(why) if why.contains("refused") => Ok(()),
            _ => Err(told.to_string()),
        }
    });
    assert_eq!(shop.pebble.visitor().get(&shop.url()).unwrap().status, 200, "the old one goes on");
    shop.stage.roadbed("status").exits(0).says(&["no new certificate"]);

    // Nothing is left of it: the environment's own is served, and no visitor is told that this is as good.
    fs::remove_dir_all(shop.stage.root.join("tls/issued")).unwrap();
    shop.edge(async |edge| edge.take_up_certificates().await).unwrap();
    shop.pebble.visitor().get(&shop.url()).unwrap_err();
    shop.fails("certificates-renew", "no certificate was issued yet");
    assert_eq!(shop.stage.client().get(&shop.url()).unwrap().status, 200);
}

#[test]
fn a_host_of_somebody_else_gets_a_certificate_if_the_app_permits_it_and_no_other_does() {
    const SELLER: &str = "shop.seller.test";
    let shop = Shop::new(3600, |pebble| {
        format!("{}\non_demand = {{ app = \"web\", ask = \"web\", path = \"/custom-hosts\" }}", one(pebble))
    });
    shop.stage.server(&format!(
        "const http = require('node:http');\n\
         http.createServer((request, response) => {{\n\
           const asks = request.url.startsWith('/custom-hosts');\n\
           const permits = request.headers['x-roadbed-asks'] === 'certificate' && request.url.endsWith('={SELLER}');\n\
           response.statusCode = asks && !permits ? 404 : 200;\n\
           response.end(request.url === '/' ? `tiny ${{request.headers.host}}\\n` : '');\n\
         }}).listen(process.env.PORT, process.env.HOST);\n",
    ));
    shop.stage.up();
    shop.until_generation(1);
    let at = |host: &str, path: &str| format!("https://{host}:{}{path}", shop.https);
    // The first visitor waits for the order.
    let visitor = shop.pebble.visitor();
    let page = visitor.get(&at(SELLER, "/")).unwrap();
    assert_eq!((page.status, page.body.as_str()), (200, format!("tiny {SELLER}:{}\n", shop.https).as_str()));
    assert!(!page.headers.contains_key("strict-transport-security"), "{page:?}");
    let refused = visitor.get(&at("other.seller.test", "/")).unwrap_err();
    assert!(refused.contains("Unrecogni"), "{refused}");
    let orders = shop.pebble.log().matches("Added order").count();
    // Whoever comes from outside is not told whose hosts there are.
    let question = format!("/custom-hosts?host={SELLER}");
    assert_eq!(visitor.get(&at("www.tiny.test", &question)).unwrap().status, 404);
    shop.stage.roadbed("domains list").exits(0).says(&[&format!("{SELLER}: served until"), "www.tiny.test"]);
    for unit in ["edge", "control"] {
        shop.stage.kill(unit);
        wait_until("it is served as before", PATIENCE, || visitor.get(&at(SELLER, "/")).map(drop));
    }
    assert_eq!(shop.pebble.log().matches("Added order").count(), orders);
    shop.holds("certificates-renew");
    let kept = shop.stage.root.join("tls/issued/hosts").join(SELLER).join("00000001.json");
    fs::write(&kept, "{}").unwrap();
    shop.stage.roadbed("domains list").exits(0).says(&["damaged", "00000001.json"]);
    shop.fails("certificates-renew", "00000001.json");
}

#[test]
fn names_are_proved_by_tls_after_a_rehearsal() {
    let shop = Shop::new(3600, |pebble| {
        let directory = pebble.directory();
        let trust = "ca = \"pebble/ca.pem\", roots = \"pebble/roots.pem\"";
        format!(
            "acme = [{{ directory = \"{directory}\", staging = \"{directory}?staging\", {trust} }}]\n\
             challenges = [\"tls-alpn-01\"]"
        )
    });
    shop.stage.up();
    shop.until_generation(1);
    let book = fs::read_to_string(shop.stage.root.join("tls/acme/book.json")).unwrap();
    let book: Value = serde_json::from_str(&book).unwrap();
    assert_eq!(book["rehearsed"][shop.pebble.directory()][0], "www.tiny.test", "{book}");
    // Nobody who comes for an ordinary page is shown a proof, and nobody finds one later.
    assert!(shop.edge(async |edge| edge.prove(reconcile::ports::Challenges::default()).await).is_ok());
    shop.holds("certificates-renew");
}

#[test]
fn a_customer_gets_a_wildcard_by_records_that_are_gone_after_it_whoever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let servers = NameServer::two(folder.path(), "tiny.test", "about TXT tiny");
    let shown = |server: &NameServer, name: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(acme::dns::texts(&server.address, name)).unwrap_or_default()
    };
    for server in &servers {
        wait_until("the zone is there", PATIENCE, || match shown(server, "about.tiny.test") {
            found if found == ["tiny"] => Ok(()),
            _ => Err(server.log()),
        });
    }
    let key = "em9uZS1rZXktb2YtdGhlLXRpbnktc2hvcC0zMi1ieXRlcyEh";
    let more = json!({ "externalAccountBindingRequired": true, "externalAccountMACKeys": { "customer-1": key } });
    let asked = servers[0].address.clone();
    let shop = Shop::of(
        |folder, ports| Pebble::start_with(folder, ports, 40, Some(&asked), &more),
        |pebble| {
            let [first, second] = servers.each_ref().map(|server| server.address.as_str());
            format!(
                "acme = [{{ directory = \"{}\", ca = \"pebble/ca.pem\", roots = \"pebble/roots.pem\", \
                 external_account = \"customer-1\" }}]\nchallenges = [\"dns-01\"]\nwildcard = true\n\
                 dns = {{ server = \"{first}\", key = \"{}\", seen_at = [\"{first}\", \"{second}\"] }}",
                pebble.directory(),
                name_server::KEY
            )
        },
    );
    shop.stage.up();
    let told = |text: &str| {
        wait_until("status says what is missing", PATIENCE, || {
            let answer = shop.stage.roadbed("status");
            if answer.err.join("\n").contains(text) { Ok(()) } else { Err(answer.to_string()) }
        });
    };
    told("tls/dns");
    shop.stage.roadbed_reading("secrets set tls/dns", "not base64!").refuses(2, &["it is no base64"]);
    shop.stage.roadbed_reading("secrets set tls/dns", name_server::SECRET).exits(0);
    shop.stage.roadbed("up --detach --no-gate").exits(0);
    told("acme/localhost");
    shop.stage.roadbed_reading("secrets set acme/localhost", key).exits(0);
    shop.stage.roadbed("up --detach --no-gate").exits(0);
    shop.until_generation(1);
    assert_eq!(shop.certificate()["hosts"], json!(["*.tiny.test"]), "{}", shop.certificate());
    let place = "_acme-challenge.tiny.test";
    let gone = || {
        wait_until("the record is gone", PATIENCE, || match shown(&servers[0], place) {
            found if found.is_empty() => Ok(()),
            found => Err(format!("{found:?}")),
        });
    };
    gone();
    // Killed while its record is in the zone.
    let seen = shop.generation();
    wait_until("a record is put", PATIENCE, || match shown(&servers[0], place) {
        found if found.is_empty() => Err(shop.generation()),
        _ => Ok(()),
    });
    shop.stage.kill("control");
    shop.until_generation(seen + 1);
    gone();
    shop.holds("certificates-renew");
    let left = fs::read_to_string(shop.stage.root.join("tls/acme/records.json"));
    assert!(left.is_err(), "{left:?}");
}

#[test]
fn domains_are_checked_as_an_authority_would_meet_them() {
    let shop = Shop::new(3600, one);
    let check = format!("domains check --server 127.0.0.1:{}", shop.pebble.names.0);
    shop.stage.roadbed(&check).exits(1).says(&[
        "✓ www.tiny.test: leads here: 127.0.0.1",
        "Connection refused",
        "hint: `roadbed up`",
    ]);
    shop.stage.up();
    shop.stage.roadbed(&check).exits(0).says(&["answer, as seen from here", "no CAA record"]);
    let caa = "{\"host\":\"tiny.test.\",\"policies\":[{\"tag\":\"issue\",\"value\":\"other.example\"}]}";
    let names = format!("http://localhost:{}", shop.pebble.names.1);
    assert_eq!(shop.stage.client().post(&format!("{names}/add-caa"), &[], caa).unwrap().status, 200);
    shop.stage.roadbed(&check).exits(1).says(&["CAA of tiny.test allows \"other.example\" and not", "hint: "]);
    let elsewhere = "{\"host\":\"www.tiny.test.\",\"addresses\":[\"203.0.113.9\"]}";
    assert_eq!(shop.stage.client().post(&format!("{names}/add-a"), &[], elsewhere).unwrap().status, 200);
    shop.stage.roadbed(&check).exits(1).says(&["leads to 203.0.113.9, which is no address of this machine"]);
}

#[test]
fn what_is_revoked_is_replaced_and_who_says_too_often_is_left_alone_also_after_a_crash() {
    let mut shim = None;
    let shop = Shop::new(240, |pebble| {
        let made = Shim::before(pebble);
        let directory = made.directory();
        shim = Some(made);
        format!("acme = [{{ directory = \"{directory}\", ca = \"pebble/ca.pem\", roots = \"pebble/roots.pem\" }}]")
    });
    let shim = shim.unwrap();
    shop.stage.up();
    shop.until_generation(1);
    // The authority is about to revoke it: its window lies in the past.
    shim.says.lock().unwrap().window = Some((-7200, -3600));
    shop.until_generation(2);
    // More than once where pebble refused a number.
    assert!(!shim.says.lock().unwrap().replaced.is_empty(), "the order says what it replaces");
    shim.says.lock().unwrap().window = Some((3600, 7200));
    let renews = || shop.certificate()["renews_at"].as_i64().unwrap();
    wait_until("the next one is far off", PATIENCE, || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let left = renews() - i64::try_from(now).unwrap();
        if left > 100_000 { Ok(()) } else { Err(left.to_string()) }
    });

    shim.says.lock().unwrap().too_often = Some(7200);
    shim.says.lock().unwrap().window = Some((-7200, -3600));
    let again = || shop.certificate()["trouble"]["again"].as_i64();
    wait_until("it is told to wait", PATIENCE, || again().map(drop).ok_or_else(|| shop.certificate().to_string()));
    let until = again().unwrap();
    let since = shop.certificate()["trouble"]["since"].as_i64().unwrap();
    assert_eq!(until - since, 7_200_000, "as long as it asked for");
    shop.stage.kill("control");
    shop.stage.until("control is back", || shop.stage.pid_of("control").is_some());
    shop.stage.roadbed("up --detach --no-gate").exits(0);
    assert_eq!(again(), Some(until), "a crash does not make it ask again");
    assert_eq!(shop.generation(), 2);
    assert_eq!(shop.pebble.visitor().get(&shop.url()).unwrap().status, 200);
    shop.holds("certificates-renew");
}
