//! The edge's TLS as two independent scanners see it: `testssl.sh` and `sslyze`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

use certificates::{Authority, Purpose, Subject};
use edge::tls::issued::{Chain, Store};
use host::clock::{Clock, SystemClock};
use reconcile::ports::{Certificates, RouteTable};
use serde_json::Value;
use testkit::tools;

use crate::app::App;
use crate::world::{World, instances, site};

const HOST: &str = "www.shop.example";

/// The version that this test was written with: another one may find more.
const SSLYZE: &str = "sslyze==6.3.1";

/// What testssl.sh finds fault with, and why it stays.
const ACCEPTED: &[(&str, &str)] = &[
    (
        "cert_revocation",
        "the authority of this test is an environment's own, which publishes no list; Let's Encrypt's have one",
    ),
    ("security_headers", "of the app's own, by what its pages do; this one is a stand-in without any"),
];

/// What it must have looked at and found well.
const WELL: [&str; 14] = [
    "SSLv2",
    "SSLv3",
    "TLS1_2",
    "TLS1_3",
    "ALPN_HTTP2",
    "cipherlist_NULL",
    "cipherlist_aNULL",
    "cipherlist_EXPORT",
    "cipherlist_LOW",
    "cipherlist_STRONG",
    "cert_chain_of_trust",
    "cert_trust",
    "cert_expirationStatus",
    "HSTS_time",
];

/// As by an authority: a certificate of ninety days.
async fn stage() -> (World, App) {
    let app = App::saying("shop").await;
    let world = World::new().await;
    let sites = vec![site(&[HOST], instances(&[app.port]))];
    world.publish(sites.clone()).await;
    let file = fs::read_to_string(world.root.tls().join("ca.json")).unwrap();
    let authority: Authority = serde_json::from_str(&file).unwrap();
    let hosts = [HOST.to_owned()];
    let subject = Subject { common_name: HOST, organization: None, hosts: &hosts, purposes: &[Purpose::Server] };
    let leaf = authority.issue(&subject, SystemClock.now(), Duration::from_hours(24 * 90)).unwrap();
    let chain = Chain { directory: "https://ca.example/".into(), chain_pem: leaf.chain_pem, key_pem: leaf.key_pem };
    Store::new(&world.root).add(&chain).unwrap();
    let table = RouteTable { certificates: Certificates::Issued, ..world.table(sites) };
    world.try_publish(table).await.unwrap();
    (world, app)
}

/// It insists on what comes back where no host is named, and here nothing does, on purpose (`a_name_that_no_site_has_learns_nothing`).
const WITH_A_NAME: &str = "
from sslyze.plugins.certificate_info.implementation import CertificateInfoImplementation as certificates
every = certificates.scan_jobs_for_scan_command.__func__
certificates.scan_jobs_for_scan_command = classmethod(lambda *given, **named: every(*given, **named)[:-1])
certificates._EXPECTED_SCAN_JOB_RESULTS_COUNT -= 1
from sslyze.__main__ import main
main()
";

async fn ended(mut command: Command) -> Output {
    let end = move || command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    tokio::task::spawn_blocking(end).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn testssl_finds_no_weak_protocol_no_weak_cipher_a_whole_chain_and_the_promise_of_https() {
    let (world, _app) = stage().await;
    let tool = tools::of_debian(&["testssl.sh"]);
    let folder = tempfile::tempdir().unwrap();
    // It wants a client for names, and has no use for one: the address is given.
    let stub = folder.path().join("host");
    fs::write(&stub, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    let json = folder.path().join("found.json");
    let mut testssl = Command::new(tool.join("usr/bin/testssl"));
    testssl
        .args(["--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--ip", "127.0.0.1"])
        .args(["--protocols", "--std", "--server-defaults", "--headers"])
        .arg("--add-ca")
        .arg(world.root.ca_certificate())
        .arg("--jsonfile")
        .arg(&json)
        .arg(format!("{HOST}:{}", world.https.port()))
        .env("TESTSSL_INSTALL_DIR", tool.join("etc/testssl"))
        .env("PATH", format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap()));
    let ended = ended(testssl).await;
    let said = [&ended.stdout, &ended.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n");
    let found = fs::read(&json).unwrap_or_else(|error| panic!("{error}: {said}"));
    let found: Vec<Value> = serde_json::from_slice(&found).unwrap_or_else(|error| panic!("{error}: {said}"));
    let of = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let grades: BTreeMap<String, (String, String)> =
        found.iter().map(|row| (of(row, "id"), (of(row, "severity"), of(row, "finding")))).collect();
    for id in WELL {
        assert_eq!(grades.get(id).map(|(grade, _)| grade.as_str()), Some("OK"), "{id}: {said}");
    }
    for old in ["TLS1", "TLS1_1"] {
        assert_eq!(grades[old].1, "not offered", "{said}");
    }
    // A warning is of the scanner about itself, where it could not try something; what it must have tried is in the list above.
    let bad = grades.iter().filter(|(_, (grade, _))| !matches!(grade.as_str(), "OK" | "INFO" | "WARN"));
    let bad: Vec<_> = bad.filter(|(id, _)| ACCEPTED.iter().all(|(accepted, _)| accepted != id)).collect();
    assert!(bad.is_empty(), "{bad:?}\n{said}");
    for (id, why) in ACCEPTED {
        assert!(!matches!(grades[*id].0.as_str(), "OK" | "INFO"), "{id} is well by now: strike it ({why})");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sslyze_finds_what_mozilla_asks_for() {
    let (world, _app) = stage().await;
    let tool = tools::of_python(SSLYZE);
    let ask = |more: &[&str]| {
        let mut sslyze = Command::new("python3");
        sslyze
            .args(["-c", WITH_A_NAME, "--mozilla_config", "intermediate"])
            .args(more)
            .arg(format!("{HOST}:{}{{127.0.0.1}}", world.https.port()))
            .env("PYTHONPATH", &tool);
        sslyze
    };
    let authority = world.root.ca_certificate();
    let all = ended(ask(&["--certinfo_ca_file", authority.to_str().unwrap()])).await;
    let said = [&all.stdout, &all.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n");
    assert!(all.status.success() && said.contains("OK - Compliant"), "{said}");
    // It would notice: whoever does not know the authority finds a chain that leads nowhere.
    let stranger = ended(ask(&["--certinfo"])).await;
    let said = String::from_utf8_lossy(&stranger.stdout);
    assert!(!stranger.status.success() && said.contains("FAILED - Not compliant"), "{said}");
}
