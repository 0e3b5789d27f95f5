//! A load balancer or CDN in front: believed if the manifest names it, and nobody else.

use reconcile::ports::{Proxies, RouteTable};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::recorder::Recorder;
use crate::visitor::{exchange, get, read_reply, tcp, tls_config};
use crate::world::{SHOP, World, shop};

/// In front of everything that comes from this machine, or from elsewhere.
async fn behind(networks: &[&str], announce: bool) -> (World, Recorder) {
    let recorder = Recorder::start().await;
    let world = World::new().await;
    let networks = networks.iter().map(|network| network.to_string()).collect();
    let table = world.table(vec![shop(recorder.address.port())]);
    world.try_publish(RouteTable { proxies: Proxies { networks, announce }, ..table }).await.unwrap();
    (world, recorder)
}

const CLAIM: &str =
    "X-Forwarded-For: 192.0.2.66, 203.0.113.7\r\nX-Real-IP: 192.0.2.66\r\nForwarded: for=192.0.2.66\r\n";

#[tokio::test]
async fn a_proxy_of_the_manifest_is_believed_and_the_app_is_told_one_address() {
    let (world, recorder) = behind(&["127.0.0.0/8"], false).await;
    assert_eq!(get(&world, SHOP, "/", CLAIM).await.status, 200);
    let seen = &recorder.take()[0];
    assert_eq!(seen.all("x-forwarded-for"), ["203.0.113.7"]);
    assert_eq!(seen.all("x-real-ip"), ["203.0.113.7"]);
    assert!(seen.header("forwarded").unwrap().contains("for=203.0.113.7;"), "{}", seen.head);
    let log = world.log(|lines| lines.len() == 1).await;
    assert_eq!(log[0]["client"], "203.0.113.7");
}

#[tokio::test]
async fn whoever_else_says_so_is_himself() {
    let (world, recorder) = behind(&["10.0.0.0/8"], false).await;
    assert_eq!(get(&world, SHOP, "/", CLAIM).await.status, 200);
    assert_eq!(recorder.take()[0].all("x-forwarded-for"), ["127.0.0.1"]);
}

#[tokio::test]
async fn a_connection_that_is_announced_is_the_visitors() {
    let (world, recorder) = behind(&["127.0.0.0/8"], true).await;
    let mut stream = tcp(world.https).await;
    stream.write_all(b"PROXY TCP4 203.0.113.7 10.0.0.1 4242 443\r\n").await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(SHOP).unwrap();
    let mut stream = TlsConnector::from(tls_config(&world, &[b"http/1.1"])).connect(name, stream).await.unwrap();
    // The visitor himself is no proxy: what he writes is not believed.
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n");
    assert_eq!(exchange(&mut stream, wire.as_bytes()).await.unwrap().status, 200);
    assert_eq!(recorder.take()[0].all("x-forwarded-for"), ["203.0.113.7"]);
}

#[tokio::test]
async fn a_proxy_that_should_announce_and_does_not_is_refused() {
    let (world, _recorder) = behind(&["127.0.0.0/8"], true).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    assert!(exchange(&mut tcp(world.http).await, wire.as_bytes()).await.is_none());
    let mut announced = tcp(world.http).await;
    announced.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    announced.write_all(wire.as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut announced).await.unwrap().status, 308);
}

#[tokio::test]
async fn from_elsewhere_an_announcement_is_nonsense() {
    let (world, _recorder) = behind(&["10.0.0.0/8"], true).await;
    let mut stream = tcp(world.http).await;
    let wire = format!("PROXY TCP4 203.0.113.7 10.0.0.1 4242 443\r\nGET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    assert_eq!(exchange(&mut stream, wire.as_bytes()).await.map(|reply| reply.status), Some(400));
}

#[tokio::test]
async fn what_is_no_network_is_not_published() {
    let world = World::new().await;
    let proxies = Proxies { networks: vec!["everywhere".to_owned()], announce: false };
    let refused = world.try_publish(RouteTable { proxies, ..world.table(vec![shop(1)]) }).await.unwrap_err();
    assert!(format!("{refused:?}").contains("everywhere"), "{refused:?}");
}
