//! The suite of the HTTP working group for HTTP/2 (a port of h2spec), against the public door. It speaks without TLS alone, so a
//! relay puts its bytes into TLS: what is judged is the edge's own HTTP/2, with its limits and its validator.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;

use crate::app::{App, full};
use crate::visitor::{self, try_tls};
use crate::world::{World, instances, site};

const SUITE: &str = "httpwg-cli@0.2.5";

/// Whom the suite asks for.
const HOST: &str = "localhost";

/// Cases that we do not pass, each with its reason.
const ALLOWED: &[(&str, &str)] = &[
    ("4. http frames :: invalid header block fragment", ANOTHER_CODE),
    ("5. streams and multiplexing :: closed sends headers frame", ANOTHER_CODE),
    ("5. streams and multiplexing :: closed sends headers frame after rst stream", ANOTHER_CODE),
    ("5. streams and multiplexing :: half closed remote sends data frame", ANOTHER_CODE),
    ("5. streams and multiplexing :: half closed remote sends headers frame", ANOTHER_CODE),
    ("6. frame definitions :: sends data frame on invalid stream state", ANOTHER_CODE),
    ("6. frame definitions :: sends ping frame with invalid length", ANOTHER_CODE),
    ("6. frame definitions :: sends priority frame with invalid length", ANOTHER_CODE),
    ("6. frame definitions :: sends rst stream frame with invalid length", ANOTHER_CODE),
    ("6. frame definitions :: sends settings frame with ack and payload", ANOTHER_CODE),
    ("6. frame definitions :: sends settings frame with invalid length", ANOTHER_CODE),
    ("6. frame definitions :: sends settings initial window size with exceeded max window size value", ANOTHER_CODE),
    ("6. frame definitions :: sends settings initial window size with invalid value", ANOTHER_CODE),
    ("6. frame definitions :: sends window update frame with invalid length", ANOTHER_CODE),
    (
        "8. expressing http semantics in http2 :: client sends push promise frame",
        "the suite's frame has no END_HEADERS, so h2 waits for its rest; with one, the connection ends (floods)",
    ),
    (
        "8. expressing http semantics in http2 :: sends headers frame with pseudo header in trailer",
        "h2 takes pseudo fields in trailers off and says nothing; no app ever sees one (trailers)",
    ),
];

/// Cases that we pass or not, each with its reason.
const EITHER: &[(&str, &str)] = &[
    (
        "8. expressing http semantics in http2 :: sends headers frame with incorrect content length multiple data frames",
        SOONER,
    ),
    (
        "8. expressing http semantics in http2 :: sends headers frame with incorrect content length single data frame",
        SOONER,
    ),
];

/// The stream is reset as soon as h2 sees it; what the suite waits for is that, and an answer is what it may see first.
const SOONER: &str = "an app that answers without reading may be sooner than the frame that is too long or too short";

/// The connection ends, which is what protects us; the number that it ends with is h2's.
const ANOTHER_CODE: &str = "h2 ends the connection with PROTOCOL_ERROR, where the standard has a code that says more";

/// Takes bytes to the door and back, in TLS with HTTP/2 chosen.
async fn relay(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (door, config) = (world.https, visitor::tls_config(world, &[b"h2"]));
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let connector = tokio_rustls::TlsConnector::from(config.clone());
            tokio::spawn(async move {
                let name = HOST.try_into().unwrap();
                let mut sealed = connector.connect(name, visitor::tcp(door).await).await.unwrap();
                let _ = copy_bidirectional(&mut plain, &mut sealed).await;
            });
        }
    });
    address
}

/// What fails in each of so many rounds is a fault, and what passes in each is mended.
const ROUNDS: usize = 4;

/// The cases that failed. Where a case brought the suite itself down, all is asked again.
async fn round(suite: &std::path::Path, address: SocketAddr) -> BTreeSet<String> {
    for _ in 1..ROUNDS {
        if let Ok(failed) = whole_round(suite, address).await {
            return failed;
        }
    }
    whole_round(suite, address).await.unwrap_or_else(|said| panic!("the suite never ran whole: {said}"))
}

async fn whole_round(suite: &std::path::Path, address: SocketAddr) -> Result<BTreeSet<String>, String> {
    let program = suite.join("bin/httpwg");
    let ran = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(["--address", &address.to_string(), "--connect-timeout", "5000", "--frame-timeout", "1000"])
            // One after the other: all at once they time out against each other on a busy machine.
            .env("SEQUENTIAL", "1")
            .env("RUST_LOG", "off")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .output()
    });
    let said = ran.await.unwrap().expect("the suite starts");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let named = |mark: &'static str| {
        said.lines().filter_map(move |line| line.split_once(mark)).map(|(_, case)| case.trim().to_owned())
    };
    let (passed, failed): (BTreeSet<_>, BTreeSet<_>) =
        (named("Test passed: ").collect(), named("Test failed: ").collect());
    if passed.len() + failed.len() == 107 { Ok(failed) } else { Err(said) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_of_the_working_group_finds_nothing_that_we_do_not_know_of() {
    let suite = tokio::task::spawn_blocking(|| testkit::tools::of_cargo(SUITE)).await.unwrap();
    let app = App::start(|_| async { full(vec![b'x'; 4096]) }).await;
    let world = World::new().await;
    world.publish(vec![site(&[HOST], instances(&[app.port]))]).await;
    assert!(try_tls(&world, HOST, &[b"h2"]).await.is_ok());
    let address = relay(&world).await;
    let allowed: BTreeSet<String> =
        ALLOWED.iter().chain(EITHER).map(|(case, _)| format!("RFC 9113 :: {case}")).collect();
    let either: BTreeSet<String> = EITHER.iter().map(|(case, _)| format!("RFC 9113 :: {case}")).collect();
    // A goodbye may be overtaken by the end of the connection that it announces, and then a case ends the other way.
    let mut always = round(&suite, address).await;
    let mut ever = always.clone();
    let (mut unknown, mut mended);
    let mut rounds = 1;
    loop {
        unknown = always.difference(&allowed).cloned().collect::<Vec<_>>();
        mended = allowed.difference(&ever).filter(|case| !either.contains(*case)).cloned().collect::<Vec<_>>();
        if rounds == ROUNDS || unknown.is_empty() && mended.is_empty() {
            break;
        }
        let failed = round(&suite, address).await;
        always.retain(|case| failed.contains(case));
        ever.extend(failed);
        rounds += 1;
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(mended.is_empty(), "these pass by now; strike them from the list: {mended:#?}");
    assert!(ALLOWED.iter().all(|(_, reason)| !reason.is_empty()));
}
