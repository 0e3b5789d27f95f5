//! Records at a real name server, and the copy of it that an authority may ask.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use acme::dns::{Algorithm, DnsFault, Key, Proof, Secret, Zone, texts};
use testkit::{NameServer, name_server};

const NAME: &str = "_acme-challenge.shop.test";

fn zone(folder: &Path, [first, second]: &[NameServer; 2], secret: &str) -> Zone {
    Zone {
        server: first.address.clone(),
        name: "shop.test".to_owned(),
        key: Key {
            name: name_server::KEY.to_owned(),
            algorithm: Algorithm::Sha256,
            secret: Secret::of_base64(secret).unwrap(),
        },
        seen_at: vec![first.address.clone(), second.address.clone()],
        patience: Duration::from_secs(20),
        note: folder.join("records.json"),
    }
}

fn proofs(values: &[&str]) -> BTreeSet<Proof> {
    values.iter().map(|value| Proof { name: NAME.to_owned(), value: (*value).to_owned() }).collect()
}

async fn at(server: &NameServer) -> Vec<String> {
    let mut found = texts(&server.address, NAME).await.unwrap();
    found.sort();
    found
}

async fn until_serving(server: &NameServer) {
    for _ in 0..1000 {
        // A server that has not loaded the zone yet answers, and with a refusal.
        if matches!(texts(&server.address, "about.shop.test").await, Ok(found) if found == ["the shop"]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no zone:\n{}", server.log());
}

#[tokio::test]
async fn records_are_put_seen_at_every_server_and_taken_back_also_after_a_crash_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = NameServer::two(folder.path(), "shop.test", "about TXT \"the shop\"\n_acme-challenge TXT theirs");
    for server in &servers {
        until_serving(server).await;
    }
    let ours = zone(folder.path(), &servers, name_server::SECRET);
    // The name itself and a wildcard for it: two values at one name.
    ours.put(&proofs(&["one", "two"])).await.unwrap();
    assert_eq!(at(&servers[1]).await, ["one", "theirs", "two"], "the copy has them too by now");
    assert!(ours.note.exists());

    // Whoever put them is gone: the next one knows by the note.
    drop(ours);
    let next = zone(folder.path(), &servers, name_server::SECRET);
    next.take_back().await.unwrap();
    assert_eq!(at(&servers[0]).await, ["theirs"]);
    assert!(!next.note.exists());
    next.take_back().await.unwrap();

    // A server that does not show it in time: said so, with the name of the server.
    servers[1].end();
    let hasty = Zone { patience: Duration::from_millis(300), ..zone(folder.path(), &servers, name_server::SECRET) };
    let fault = hasty.put(&proofs(&["three"])).await.unwrap_err();
    assert!(fault.to_string().contains(&servers[1].address), "{fault}");
    hasty.take_back().await.unwrap();

    // Without the key nothing changes; the answer of who does not know it is not believed either.
    let stranger = zone(folder.path(), &servers, "c29tZWJvZHkgZWxzZQ==");
    let fault = stranger.put(&proofs(&["four"])).await.unwrap_err();
    assert!(matches!(fault, DnsFault::Refused { .. }), "{fault}");
    assert!(!format!("{stranger:?}").contains("somebody"));
    let elsewhere = BTreeSet::from([Proof { name: "_acme-challenge.other.test".to_owned(), value: "x".to_owned() }]);
    let fault = zone(folder.path(), &servers, name_server::SECRET).put(&elsewhere).await.unwrap_err();
    assert!(matches!(fault, DnsFault::Elsewhere { .. }), "{fault}");
    // Away: the note stays, and what it says is taken back when the server is there again.
    hasty.put(&proofs(&["five"])).await.unwrap_err();
    servers[0].end();
    next.take_back().await.unwrap_err();
    assert!(next.note.exists());
    servers[0].start_again();
    until_serving(&servers[0]).await;
    next.take_back().await.unwrap();
    assert_eq!(at(&servers[0]).await, ["theirs"]);
}
