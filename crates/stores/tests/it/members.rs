//! Replica sets of several members on real mongods: they grow, shrink, are restarted, lose data and come back.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::TryStreamExt;
use manifest::environment;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Tls, TlsOptions};
use reconcile::Resource;
use stores::mongo::members::{MemberReport, Members, report};
use stores::mongo::{Mongo, OwnUser, Step, app_secret, members, mongo_url};

use crate::stand::{Stand, app, converge_mongo, damage, mongo_settings, mongod, until};

pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    // All at once, so that none is given out twice.
    let held: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    held.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
}

pub(crate) async fn settled(stand: &Stand, ports: &[u16]) -> Mongo {
    let mongo = stand.mongo_of(ports).await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    mongo
}

/// As an app: by the connection string that it is given.
pub(crate) async fn as_app(stand: &Stand, ports: &[u16]) -> Client {
    let url = mongo_url(&mongo_settings(), &app(), ports.to_vec(), &stand.versioned(&app_secret(&app())));
    let mut options = ClientOptions::parse(url.expose()).await.unwrap();
    options.tls = Some(Tls::Enabled(TlsOptions::builder().ca_file_path(stand.mongo_ca()).build()));
    // Apps wait for longer than their readiness does.
    options.server_selection_timeout = Some(Duration::from_secs(20));
    Client::with_options(options).unwrap()
}

async fn states(stand: &Stand, ports: &[u16]) -> Vec<String> {
    report_of(stand, ports).await.into_iter().map(|member| member.state).collect()
}

pub(crate) async fn report_of(stand: &Stand, ports: &[u16]) -> Vec<MemberReport> {
    report(&stand.ground.root, &Members::from(ports.to_vec())).await.unwrap()
}

pub(crate) async fn primary_of(stand: &Stand, ports: &[u16]) -> u16 {
    let find = || async { report_of(stand, ports).await.into_iter().find(|one| one.state == "primary") };
    until("a primary", || async { find().await.is_some() }).await;
    find().await.map_or_else(|| ports[0], |member| member.port)
}

fn unit_at(ports: &[u16], port: u16) -> String {
    Members::from(ports.to_vec()).unit_at(port)
}

pub(crate) async fn make_primary(stand: &Stand, ports: &[u16], port: u16) {
    until(format!("{port} is primary"), || async {
        let primary = primary_of(stand, ports).await;
        if primary == port {
            return true;
        }
        let command = doc! { "replSetStepDown": 2, "secondaryCatchUpPeriodSecs": 1 };
        let _ = stand.mongo_as_at(OwnUser::Administrator, primary).database("admin").run_command(command).await;
        // Handed over to whoever is first in line: it is asked until it is the one that is wanted.
        primary_of(stand, ports).await == port
    })
    .await;
}

async fn put(stand: &Stand, ports: &[u16], id: i32) {
    things(&as_app(stand, ports).await).insert_one(doc! { "_id": id }).await.unwrap();
}

async fn count(stand: &Stand, ports: &[u16]) -> u64 {
    things(&as_app(stand, ports).await).count_documents(doc! {}).await.unwrap()
}

fn things(client: &Client) -> mongodb::Collection<Document> {
    client.database("shop-local").collection("things")
}

pub(crate) async fn assert_nothing_to_do(mongo: &Mongo) {
    let seen = mongo.observe().await.unwrap();
    assert_eq!(mongo.plan(&seen), [], "{seen:#?}");
    assert_eq!(mongo.drift(&seen), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_grows_one_by_one_and_shrinks_again_and_keeps_what_it_has() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let alone = settled(&stand, &ports[..1]).await;
    put(&stand, &ports[..1], 1).await;
    let pid = stand.units.pid("mongodb");

    let mongo = stand.mongo_of(&ports).await;
    let mut joined_with_no_users = false;
    loop {
        let seen = mongo.observe().await.unwrap();
        let Some(step) = mongo.plan(&seen).into_iter().next() else { break };
        mongo.perform(&step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
        if matches!(step, Step::Member(members::Step::Start { number: 2, .. })) {
            // It has no data, and so no administrator: a local stranger must get nowhere all the same.
            let stranger = stand.mongo_stranger(ports[1]).database("admin");
            let user = doc! { "createUser": "mallory", "pwd": "x", "roles": ["root"] };
            let initiate = doc! { "replSetInitiate": { "_id": "roadbed", "members": [{ "_id": 0, "host": format!("127.0.0.1:{}", ports[1]) }] } };
            for command in [user, initiate] {
                let error = stranger.run_command(command).await.unwrap_err().to_string();
                assert!(error.contains("requires authentication"), "{error}");
            }
            joined_with_no_users = true;
        }
    }
    assert!(joined_with_no_users);
    assert_nothing_to_do(&mongo).await;
    assert_eq!(stand.units.pid("mongodb"), pid, "who was there need not restart");
    assert_eq!(states(&stand, &ports).await, ["primary", "secondary", "secondary"]);
    // Each has everything.
    let written = as_app(&stand, &ports).await.database("shop-local");
    let write =
        doc! { "insert": "things", "documents": [{ "_id": 2 }], "writeConcern": { "w": 3, "wtimeout": 10_000 } };
    assert!(!written.run_command(write).await.unwrap().contains_key("writeConcernError"));
    assert_eq!(count(&stand, &ports).await, 2);

    // Also where the primary is one of those that leave.
    make_primary(&stand, &ports, ports[2]).await;
    let steps = converge_mongo(&alone).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps, ["take mongodb-2 out of the replica set", "take mongodb-3 out of the replica set"]);
    assert_nothing_to_do(&alone).await;
    assert_eq!(count(&stand, &ports[..1]).await, 2);
    assert!(stand.ground.root.data("mongodb-2").join("WiredTiger").exists(), "what left keeps its data");

    // They come back with what they had, and catch up.
    put(&stand, &ports[..1], 3).await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_nothing_to_do(&mongo).await;
    make_primary(&stand, &ports, ports[1]).await;
    assert_eq!(count(&stand, &ports).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_restarts_one_member_at_a_time_and_the_primary_last() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let _before = settled(&stand, &ports).await;
    let units = ["mongodb", "mongodb-2", "mongodb-3"];
    let pids = units.map(|unit| stand.units.pid(unit));
    let primary = primary_of(&stand, &ports).await;

    let settings = environment::MongoDb { members: 3, cache_bytes: 300 << 20, ..mongo_settings() };
    let mongo = Mongo::new(settings, ports.clone(), mongod().await, stand.ground.clone());
    let client = as_app(&stand, &ports).await;
    let writing = tokio::spawn(async move {
        // The driver repeats a write by itself that a handover cut off: no app sees it.
        for id in 0.. {
            if let Err(error) = things(&client).insert_one(doc! { "_id": id }).await {
                panic!("write {id} failed: {error}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert!(!writing.is_finished(), "{:?}", writing.await);
    writing.abort();
    let restarts: Vec<&String> = steps.iter().filter(|step| step.starts_with("restart")).collect();
    assert_eq!(restarts.len(), 3, "{steps:?}");
    assert!(restarts[2].starts_with(&format!("restart {} ", unit_at(&ports, primary))), "{steps:?}");
    assert!(units.iter().zip(pids).all(|(unit, pid)| stand.units.pid(unit) != pid));
    assert_nothing_to_do(&mongo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_data_is_lost_copies_that_of_the_others_the_first_one_too() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let mongo = settled(&stand, &ports).await;
    put(&stand, &ports, 1).await;
    for (unit, and_its_note) in [("mongodb-2", false), ("mongodb", false), ("mongodb", true)] {
        stand.units.kill(unit);
        std::fs::remove_dir_all(stand.ground.root.data(unit)).unwrap();
        if and_its_note {
            std::fs::remove_file(stand.ground.root.conf().join("mongodb/guarded")).unwrap();
        }
        let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{unit}: {fault:#?}"));
        assert!(steps.contains(&format!("start {unit}")), "{steps:?}");
        assert!(steps.iter().all(|step| !step.contains("initiate")), "a set was begun anew: {steps:?}");
        assert_nothing_to_do(&mongo).await;
        let port = ports[if unit == "mongodb" { 0 } else { 1 }];
        make_primary(&stand, &ports, port).await;
        assert_eq!(count(&stand, &ports).await, 1, "{unit} has what the others had");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_member_is_told_and_left_alone_and_rebuilt_when_its_data_is_moved_away() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let mongo = settled(&stand, &ports).await;
    put(&stand, &ports, 1).await;
    if primary_of(&stand, &ports).await == ports[2] {
        make_primary(&stand, &ports, ports[0]).await;
    }
    stand.units.kill("mongodb-3");
    let data = stand.ground.root.data("mongodb-3");
    damage(&data.join("WiredTiger.turtle"));
    let before = std::fs::read(data.join("WiredTiger.turtle")).unwrap();
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    // More than once where the keeper, which goes on trying, had just started it again.
    assert!(!steps.is_empty() && steps.iter().all(|step| step == "start mongodb-3"), "{steps:?}");
    let told = Mutex::new(Vec::new());
    until("it is told", || async {
        let notes = mongo.drift(&mongo.observe().await.unwrap());
        let is_told = !notes.is_empty();
        *told.lock().unwrap() = notes;
        is_told
    })
    .await;
    let told = told.into_inner().unwrap();
    assert!(told.len() == 1 && told[0].contains("mongodb-3 does not stay up"), "{told:?}");
    assert!(told[0].contains("move ") && told[0].contains(data.to_str().unwrap()), "{told:?}");
    assert_eq!(std::fs::read(data.join("WiredTiger.turtle")).unwrap(), before);
    put(&stand, &ports, 2).await;

    std::fs::rename(&data, stand.ground.root.path().join("moved away")).unwrap();
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_nothing_to_do(&mongo).await;
    make_primary(&stand, &ports, ports[2]).await;
    assert_eq!(count(&stand, &ports).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_killed_all_come_back_also_to_other_ports() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let mongo = settled(&stand, &ports).await;
    put(&stand, &ports, 1).await;
    stand.units.lose_all();
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps[..3], ["start mongodb", "start mongodb-2", "start mongodb-3"]);
    assert_nothing_to_do(&mongo).await;
    assert_eq!(count(&stand, &ports).await, 1);

    // One of them gets another port: the others tell the set.
    let mut moved = ports.clone();
    moved[1] = free_ports(1)[0];
    stand.units.kill("mongodb-2");
    let mongo = stand.mongo_of(&moved).await;
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert!(steps.contains(&"tell the replica set the new port of mongodb-2".to_owned()), "{steps:?}");
    assert_nothing_to_do(&mongo).await;

    // All of them, as in a root that was copied.
    stand.units.lose_all();
    let moved = free_ports(3);
    let mongo = stand.mongo_of(&moved).await;
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert!(steps.iter().any(|step| step.starts_with("move the replica set")), "{steps:?}");
    assert_nothing_to_do(&mongo).await;
    assert_eq!(count(&stand, &moved).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_newer_version_is_refused_before_a_server_is_started_on_it() {
    let stand = Stand::new();
    let mongo = settled(&stand, &free_ports(1)).await;
    stand.units.lose_all();
    let note = stand.ground.root.data("mongodb").join(".roadbed-mongod");
    assert!(std::fs::read_to_string(&note).unwrap().starts_with(char::is_numeric));
    std::fs::write(&note, "999.1.0").unwrap();
    let fault = converge_mongo(&mongo).await.unwrap_err();
    assert!(fault.message.contains("its data is of a newer version"), "{fault:#?}");
    assert!(fault.hint.unwrap().contains("mongod 999.1 or newer"));
    assert!(reconcile::ports::Units::list(&*stand.units).await.unwrap().is_empty(), "nothing was started");
}

/// Read at one member, not at the primary.
#[tokio::test(flavor = "multi_thread")]
async fn users_and_rights_are_those_of_the_primary_wherever_it_is() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let mongo = settled(&stand, &ports).await;
    make_primary(&stand, &ports, ports[1]).await;
    let admin = stand.mongo_as_at(OwnUser::Administrator, ports[1]).database("shop-local");
    admin.run_command(doc! { "dropUser": "app-api" }).await.unwrap();
    admin.run_command(doc! { "createUser": "mallory", "pwd": "x", "roles": [] }).await.unwrap();
    assert_eq!(
        converge_mongo(&mongo).await.unwrap(),
        ["remove user mallory of shop-local, which nobody asked for", "set the user of api (missing)"]
    );
    put(&stand, &ports, 1).await;
    let seen: Vec<Document> =
        things(&as_app(&stand, &ports).await).find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert_eq!(seen.len(), 1);
}
