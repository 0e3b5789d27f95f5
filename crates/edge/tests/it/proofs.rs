//! What an authority finds while an order is under way, and what everybody else still gets; certificates that it issued.

use std::time::Duration;

use certificates::{Authority, Purpose, Subject};
use edge::tls::issued::{Chain, Store};
use host::clock::{Clock, SystemClock};
use reconcile::ports::{Certificates, Challenges, Hsts, RouteTable, Routes, Site};
use rustls::pki_types::CertificateDer;

use crate::app::App;
use crate::visitor::{Reply, exchange, get, tcp, try_tls};
use crate::world::{SHOP, World, instances, shop, site};

const PATH: &str = "/.well-known/acme-challenge/token-1";

async fn plain(world: &World, path: &str) -> Reply {
    let wire = format!("GET {path} HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    exchange(&mut tcp(world.http).await, wire.as_bytes()).await.unwrap()
}

fn over_http() -> Challenges {
    Challenges { http: [("token-1".to_owned(), "token-1.thumb".to_owned())].into(), ..Challenges::default() }
}

#[tokio::test]
async fn an_authority_finds_its_file_before_the_redirect_and_before_any_route_and_after_a_crash() {
    let app = App::saying("shop").await;
    let mut world = World::new().await;
    world.edge.prove(over_http()).await.unwrap();
    assert_eq!((plain(&world, PATH).await.status, plain(&world, PATH).await.text()), (200, "token-1.thumb"));
    world.publish(vec![shop(app.port)]).await;
    assert_eq!(plain(&world, PATH).await.text(), "token-1.thumb");
    assert_eq!(plain(&world, "/.well-known/acme-challenge/token-2").await.status, 308);
    assert_eq!(plain(&world, "/").await.status, 308);
    // It is for plain HTTP: over TLS the path is the app's.
    assert_eq!(get(&world, SHOP, PATH, "").await.text(), "shop");
    world.stop().await;
    world.start().await;
    assert_eq!(plain(&world, PATH).await.text(), "token-1.thumb");
    world.edge.prove(Challenges::default()).await.unwrap();
    assert_eq!(plain(&world, PATH).await.status, 308);
}

#[tokio::test]
async fn who_asks_for_a_proof_by_tls_gets_it_and_an_ordinary_visitor_never() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    assert!(try_tls(&world, SHOP, &[b"acme-tls/1"]).await.is_err(), "there is nothing to prove");
    let digest = "ab".repeat(32);
    let challenges = Challenges { tls: [(SHOP.to_owned(), digest)].into(), ..Challenges::default() };
    world.edge.prove(challenges).await.unwrap();
    // Nobody signed it, so a visitor who were shown it would refuse.
    let shown = try_tls(&world, SHOP, &[b"acme-tls/1"]).await.unwrap_err().to_string();
    assert!(shown.contains("certificate"), "{shown}");
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "shop");
    let broken = Challenges { tls: [(SHOP.to_owned(), "no digest".to_owned())].into(), ..Challenges::default() };
    let fault = world.edge.prove(broken).await.unwrap_err();
    assert!(fault.causes.iter().any(|cause| cause.contains("digest")), "{fault:?}");
}

#[tokio::test]
async fn an_issued_certificate_is_taken_up_without_a_restart_and_the_one_before_when_it_is_damaged() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let table = world.table(vec![shop(app.port)]);
    let table = RouteTable { certificates: Certificates::Issued, ..table };
    world.try_publish(table).await.unwrap();
    let shown = async || {
        let stream = try_tls(&world, SHOP, &[b"http/1.1"]).await.ok()?;
        stream.get_ref().1.peer_certificates().map(|chain| chain[0].clone().into_owned())
    };
    let own = shown().await.expect("the environment's own, until there is another");

    let now = SystemClock.now();
    // Of the authority that these visitors trust.
    let file = std::fs::read_to_string(world.root.tls().join("ca.json")).unwrap();
    let authority: Authority = serde_json::from_str(&file).unwrap();
    let store = Store::new(&world.root);
    let add = || -> CertificateDer<'static> {
        let hosts = [SHOP.to_owned()];
        let subject = Subject { common_name: "x", organization: None, hosts: &hosts, purposes: &[Purpose::Server] };
        let leaf = authority.issue(&subject, now, Duration::from_hours(24)).unwrap();
        let chain = Chain { directory: "https://ca.example/".into(), chain_pem: leaf.chain_pem, key_pem: leaf.key_pem };
        store.add(&chain).unwrap().chain[0].clone()
    };
    let first = add();
    assert_eq!(shown().await.as_ref(), Some(&own));
    world.edge.take_up_certificates().await.unwrap();
    assert_eq!(shown().await.as_ref(), Some(&first));
    let second = add();
    world.edge.take_up_certificates().await.unwrap();
    assert_eq!(shown().await, Some(second));
    std::fs::write(world.root.tls().join("issued/00000002.json"), "{}").unwrap();
    world.edge.take_up_certificates().await.unwrap();
    assert_eq!(shown().await, Some(first));
    std::fs::remove_dir_all(world.root.tls().join("issued")).unwrap();
    world.edge.take_up_certificates().await.unwrap();
    assert_eq!(shown().await, Some(own));
}

#[tokio::test]
async fn what_the_routes_say_of_https_is_told_with_every_answer_and_never_on_localhost() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    let real = Site {
        app: "real".into(),
        internal_socket: None,
        ..site(&["www.shop.example", "shop.example"], instances(&[app.port]))
    };
    world.publish(vec![shop(app.port), real.clone()]).await;
    let hsts = Some(Hsts { max_age_s: 63_072_000, subdomains: true, preload: true });
    world.try_publish(RouteTable { hsts, ..world.table(vec![shop(app.port), real]) }).await.unwrap();
    let told = |reply: Reply| reply.header("strict-transport-security").map(str::to_owned);
    let wanted = Some("max-age=63072000; includeSubDomains; preload");
    assert_eq!(told(get(&world, "www.shop.example", "/", "").await).as_deref(), wanted);
    let redirect = get(&world, "shop.example", "/", "").await;
    assert_eq!((redirect.status, told(redirect).as_deref()), (308, wanted));
    assert_eq!(told(get(&world, SHOP, "/", "").await), None);
}
