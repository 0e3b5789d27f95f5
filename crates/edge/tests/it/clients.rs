//! Sites that ask visitors for a certificate.

use std::sync::Arc;
use std::time::Duration;

use certificates::{Authority, Leaf, Purpose, Subject};
use host::clock::{Clock, SystemClock};
use reconcile::ports::Site;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::recorder::Recorder;
use crate::visitor::{Reply, exchange, get, tcp, tls, tls_config};
use crate::world::{SHOP, World, instances, shop, site};

const OPS: &str = "ops.shop.example";
const DAY: Duration = Duration::from_hours(24);

fn authority(name: &str) -> Authority {
    Authority::make(name, SystemClock.now(), DAY * 30).unwrap()
}

fn of(authority: &Authority, name: &str) -> Leaf {
    let subject = Subject { common_name: name, organization: None, hosts: &[], purposes: &[Purpose::Client] };
    authority.issue(&subject, SystemClock.now(), DAY).unwrap()
}

/// The shop for everybody, and one host for those whom this authority signed for.
fn ops(port: u16, authorities: &[&Authority]) -> Vec<Site> {
    let pem: String = authorities.iter().map(|authority| authority.certificate_pem.as_str()).collect();
    let ops = Site {
        app: "ops".into(),
        internal_socket: None,
        client_authorities: Some(pem),
        ..site(&[OPS, "old.shop.example"], instances(&[port]))
    };
    vec![shop(port), ops]
}

/// Comes with a certificate. Whether it is taken shows with the first answer.
async fn with(
    world: &World,
    leaf: &Leaf,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> TlsStream<TcpStream> {
    let roots = std::fs::read(world.root.ca_certificate()).unwrap();
    let mut store = rustls::RootCertStore::empty();
    store.add(CertificateDer::from_pem_slice(&roots).unwrap()).unwrap();
    let chain = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(edge::tls::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(store)
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(OPS).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp(world.https).await).await.unwrap()
}

async fn ask(stream: &mut TlsStream<TcpStream>, lines: &str) -> Option<Reply> {
    exchange(stream, format!("GET / HTTP/1.1\r\nHost: {OPS}\r\n{lines}\r\n").as_bytes()).await
}

#[tokio::test]
async fn only_who_shows_a_certificate_that_is_believed_gets_in_and_the_app_learns_who_it_is_from_nobody_else() {
    let app = Recorder::start().await;
    let world = World::new().await;
    let (ours, others) = (authority("Ours"), authority("Others"));
    world.publish(ops(app.address.port(), &[&ours])).await;

    // A stranger is told, over a connection that works, and that it is no use to go on with.
    let refused = get(&world, OPS, "/", "Client-Cert: :AAAA:\r\nX-Client-Name: ann\r\n").await;
    assert_eq!((refused.status, refused.header("connection")), (403, Some("close")));
    assert!(app.take().is_empty());
    let log = world.log(|lines| lines.iter().any(|line| line["host"] == OPS)).await;
    assert!(log.iter().any(|line| line.to_string().contains("no-client-certificate")), "{log:?}");

    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let mut ann = with(&world, &of(&ours, "ann"), versions).await;
        let lines = "Client-Cert: :AAAA:\r\nX-Client-Name: eve\r\nClient-Cert-Chain: :AAAA:\r\n";
        assert_eq!(ask(&mut ann, lines).await.unwrap().status, 200);
        let seen = app.take().remove(0);
        assert_eq!(seen.all("x-client-name"), ["ann"]);
        let shown = seen.all("client-cert");
        assert!(shown.len() == 1 && shown[0].starts_with(":MII") && shown[0].ends_with(':'), "{shown:?}");
        assert!(seen.all("client-cert-chain").is_empty());
    }

    // Signed by somebody else: the connection ends before a request is read.
    let mut eve = with(&world, &of(&others, "ann"), &[&rustls::version::TLS13]).await;
    assert!(ask(&mut eve, "").await.is_none());
    assert!(app.take().is_empty());

    // Nobody else is asked, and from nobody else is an identity believed.
    assert_eq!(get(&world, SHOP, "/", "X-Client-Name: ann\r\nClient-Cert: :AAAA:\r\n").await.status, 200);
    let seen = app.take().remove(0);
    assert!(seen.all("x-client-name").is_empty() && seen.all("client-cert").is_empty());
    // Nor does a connection that was opened for the shop lead there.
    let mut open = tls(&world, SHOP).await;
    assert_eq!(ask(&mut open, "").await.unwrap().status, 421);
}

#[tokio::test]
async fn a_connection_from_before_shows_nothing_of_what_is_asked_for_since() {
    let app = Recorder::start().await;
    let world = World::new().await;
    let (before, after) = (authority("Before"), authority("After"));
    let open = |sites: Vec<Site>| sites.into_iter().map(|site| Site { client_authorities: None, ..site }).collect();
    world.publish(open(ops(app.address.port(), &[]))).await;
    let mut nobody = tls(&world, OPS).await;
    assert_eq!(ask(&mut nobody, "").await.unwrap().status, 200);
    world.publish(ops(app.address.port(), &[&before])).await;
    assert_eq!(ask(&mut nobody, "").await.unwrap().status, 403);
    let mut ann = with(&world, &of(&before, "ann"), &[&rustls::version::TLS13]).await;
    assert_eq!(ask(&mut ann, "").await.unwrap().status, 200);
    world.publish(ops(app.address.port(), &[&after])).await;
    assert_eq!(ask(&mut ann, "").await.unwrap().status, 403);
    // What is no authority opens and closes nothing: what was published before goes on.
    let mut broken = ops(app.address.port(), &[&after]);
    broken[1].client_authorities = Some("no certificate".to_owned());
    let fault = world.try_publish(world.table(broken)).await.unwrap_err();
    assert!(format!("{fault:?}").contains("about its visitors"), "{fault:?}");
    let mut ann = with(&world, &of(&after, "ann"), &[&rustls::version::TLS13]).await;
    assert_eq!(ask(&mut ann, "").await.unwrap().status, 200);
}

#[tokio::test]
async fn visitors_share_secrets_with_us_by_the_post_quantum_exchange_and_come_back_by_a_ticket() {
    let app = Recorder::start().await;
    let world = World::new().await;
    world.publish(vec![shop(app.address.port())]).await;
    // One configuration, so that the second connection has the ticket of the first.
    let connector = TlsConnector::from(tls_config(&world, &[b"http/1.1"]));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let name = ServerName::try_from(SHOP).unwrap();
        let mut stream = connector.connect(name, tcp(world.https).await).await.unwrap();
        let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
        assert_eq!(exchange(&mut stream, wire.as_bytes()).await.unwrap().status, 200);
        let session = stream.get_ref().1;
        assert_eq!(session.negotiated_key_exchange_group().unwrap().name(), rustls::NamedGroup::X25519MLKEM768);
        kinds.push(session.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
    // Where visitors show certificates nothing is resumed: it would go on for who is believed no more.
    let ours = authority("Ours");
    world.publish(ops(app.address.port(), &[&ours])).await;
    for _ in 0..2 {
        let mut ann = with(&world, &of(&ours, "ann"), &[&rustls::version::TLS13]).await;
        assert_eq!(ask(&mut ann, "").await.unwrap().status, 200);
        assert_eq!(ann.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}
