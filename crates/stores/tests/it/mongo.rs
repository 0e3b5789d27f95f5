//! MongoDB on a real mongod: what an app may do, what drifts, and what is left after a kill.

use manifest::environment::Class;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use reconcile::Resource;
use secrets::{Secret, SecretName};
use stores::mongo::{Mongo, OwnUser, Step, app_secret, mongo_url};

use crate::stand::{Stand, app, converge_mongo, damage, mongo_settings};

async fn settled(stand: &Stand) -> Mongo {
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    mongo
}

async fn as_app(stand: &Stand) -> Client {
    let url = mongo_url(&mongo_settings(), &app(), stand.port, &stand.versioned(&app_secret(&app())));
    stand.mongo_client(&url).await.unwrap()
}

async fn assert_nothing_to_do(mongo: &Mongo) {
    assert_eq!(converge_mongo(mongo).await.unwrap(), Vec::<String>::new());
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_becomes_a_guarded_mongodb_and_then_nothing_is_left_to_do() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    let mut open = 0;
    for step in mongo.plan(&mongo.observe().await.unwrap()) {
        mongo.perform(&step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
        // Doing a step twice is safe.
        mongo.perform(&step).await.unwrap_or_else(|fault| panic!("{step}, again: {fault:#?}"));
        if !host::socket::is_port_free(stand.port) {
            open += 1;
            let stranger = stand.mongo_stranger(stand.port).database("admin");
            for what in [
                doc! { "createUser": "mallory", "pwd": "x", "roles": ["root"] },
                doc! { "replSetInitiate": { "_id": "roadbed", "members": [{ "_id": 0, "host": "127.0.0.1:1" }] } },
                doc! { "usersInfo": 1 },
            ] {
                let answer = stranger.run_command(what.clone()).await;
                let error = answer.expect_err(&format!("after: {step}: a stranger may {what}"));
                assert!(error.to_string().contains("requires authentication"), "after: {step}: {what}: {error}");
            }
        }
    }
    assert!(open > 4, "a stranger tried only {open} times");
    assert_nothing_to_do(&mongo).await;

    let conf = stand.ground.root.conf().join("mongodb");
    assert_eq!(mode_of(&conf.join("keyfile")), 0o400);
    assert_eq!(mode_of(&conf.join("certificate.pem")), 0o400);
    assert_eq!(mode_of(&conf.join("mongod.conf")), 0o600);
    assert_eq!(mode_of(&conf), 0o700);
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", stand.units.pid("mongodb"))).unwrap();
    let log = std::fs::read(stand.ground.root.log_of("mongodb")).unwrap();
    for name in stand.ground.secrets.names().unwrap() {
        let secret = stand.secret(&name);
        for (place, text) in [("arguments", &cmdline), ("log", &log)] {
            let found = text.windows(secret.expose().len()).any(|window| window == secret.expose().as_bytes());
            assert!(!found, "{name} is in mongod's {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_work_in_its_database_and_nowhere_else() {
    let stand = Stand::new();
    let _mongo = settled(&stand).await;
    let client = as_app(&stand).await;
    let database = client.database("shop-local");
    let things = database.collection::<Document>("things");

    database.create_collection("made").await.unwrap();
    let index = mongodb::IndexModel::builder().keys(doc! { "slug": 1 }).build();
    things.create_index(index).await.unwrap();
    let mut changes = things.watch().await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": 1, "slug": "a" }).session(&mut session).await.unwrap();
    things.insert_one(doc! { "_id": 2, "slug": "b" }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    things.update_one(doc! { "_id": 1 }, doc! { "$set": { "slug": "c" } }).await.unwrap();
    things.delete_one(doc! { "_id": 2 }).await.unwrap();
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 1);
    for expected in ["Insert", "Insert", "Update", "Delete"] {
        let change = changes.try_next().await.unwrap().unwrap();
        assert_eq!(format!("{:?}", change.operation_type), expected);
    }

    let refused = |answer: mongodb::error::Result<Document>, what: &str| match answer {
        Ok(_) => panic!("{what} was allowed"),
        Err(error) => assert!(
            error.to_string().contains("nauthorized") || error.to_string().contains("not authorized"),
            "{what}: {error}"
        ),
    };
    refused(database.run_command(doc! { "drop": "things" }).await, "drop");
    refused(database.run_command(doc! { "dropDatabase": 1 }).await, "dropDatabase");
    refused(database.run_command(doc! { "dropIndexes": "things", "index": "*" }).await, "dropIndexes");
    refused(database.run_command(doc! { "usersInfo": 1 }).await, "usersInfo");
    refused(database.run_command(doc! { "createUser": "x", "pwd": "x", "roles": [] }).await, "createUser");
    let other = client.database("shop-staging");
    refused(other.run_command(doc! { "find": "things" }).await, "find elsewhere");
    refused(other.run_command(doc! { "insert": "things", "documents": [{ "a": 1 }] }).await, "insert elsewhere");
    refused(other.run_command(doc! { "dropDatabase": 1 }).await, "dropDatabase elsewhere");
    refused(client.database("admin").run_command(doc! { "shutdown": 1 }).await, "shutdown");
    refused(client.database("local").run_command(doc! { "find": "oplog.rs", "limit": 1 }).await, "the oplog");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_drifts_is_seen_and_put_right() {
    let stand = Stand::new();
    let mongo = settled(&stand).await;
    let admin = stand.mongo_admin();
    let database = admin.database("shop-local");

    database
        .run_command(doc! { "updateUser": "app-api", "pwd": "other", "mechanisms": ["SCRAM-SHA-256"] })
        .await
        .unwrap();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["set the user of api (password)"]);

    let roles = doc! { "grantRolesToUser": "app-api", "roles": [{ "role": "dbOwner", "db": "shop-local" }] };
    database.run_command(roles).await.unwrap();
    database.run_command(doc! { "updateUser": "app-api", "authenticationRestrictions": [] }).await.unwrap();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["set the user of api (roles, address restrictions)"]);

    database.run_command(doc! { "dropUser": "app-api" }).await.unwrap();
    database.run_command(doc! { "createUser": "mallory", "pwd": "x", "roles": [] }).await.unwrap();
    let privilege = doc! { "resource": { "db": "shop-local", "collection": "" }, "actions": ["dropCollection"] };
    database.run_command(doc! { "grantPrivilegesToRole": "roadbed-app", "privileges": [privilege] }).await.unwrap();
    assert_eq!(
        converge_mongo(&mongo).await.unwrap(),
        [
            "remove user mallory of shop-local, which nobody asked for",
            "set the rights of apps",
            "set the user of api (missing)"
        ]
    );

    let ours = |user: OwnUser| user.key(&stand.ground.id).name;
    let grant = doc! { "grantRolesToUser": ours(OwnUser::Administrator), "roles": [{ "role": "root", "db": "admin" }] };
    admin.database("$external").run_command(grant).await.unwrap();
    admin.database("$external").run_command(doc! { "dropUser": ours(OwnUser::Monitor) }).await.unwrap();
    let widened = doc! { "updateUser": ours(OwnUser::Restore), "authenticationRestrictions": [] };
    admin.database("$external").run_command(widened).await.unwrap();
    let privilege = doc! { "resource": { "db": "shop-local", "collection": "" }, "actions": ["remove"] };
    database.run_command(doc! { "grantPrivilegesToRole": "roadbed-backup", "privileges": [privilege] }).await.unwrap();
    database.run_command(doc! { "createRole": "mallory", "privileges": [], "roles": ["dbOwner"] }).await.unwrap();
    assert_eq!(
        converge_mongo(&mongo).await.unwrap(),
        [
            "set our own users: administrator (rights), backup (rights), monitor (missing), restore (address restrictions)",
            "remove role mallory of shop-local, which nobody asked for"
        ]
    );
    let conf = stand.ground.root.conf().join("mongodb/mongod.conf");
    std::fs::write(&conf, "net: {}\n").unwrap();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["write the configuration and make missing credentials"]);
    assert_nothing_to_do(&mongo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_step_it_converges_from_there() {
    let steps = Stand::new().mongo().await;
    let count = steps.plan(&steps.observe().await.unwrap()).len();
    for after in 1..count {
        let stand = Stand::new();
        let mongo = stand.mongo().await;
        for step in mongo.plan(&mongo.observe().await.unwrap()).iter().take(after) {
            mongo.perform(step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
        }
        stand.units.lose_all();
        let mongo = stand.mongo().await;
        converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("killed after step {after}: {fault:#?}"));
        assert_nothing_to_do(&mongo).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_at_any_moment_it_converges_from_there() {
    let stand = Stand::new();
    for millis in [5, 150, 300, 450, 600, 900, 1200, 1500, 1800] {
        let mongo = stand.mongo().await;
        let cut = tokio::time::timeout(Duration::from_millis(millis), converge_mongo(&mongo)).await;
        if let Ok(Err(fault)) = cut {
            panic!("after {millis} ms: {fault:#?}");
        }
        stand.units.lose_all();
    }
    let mongo = settled(&stand).await;
    assert_nothing_to_do(&mongo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_by_a_majority_is_lost_by_a_kill() {
    let stand = Stand::new();
    let mongo = settled(&stand).await;
    let client = as_app(&stand).await;
    let orders = client.database("shop-local").collection::<Document>("orders");
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let writing = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        for n in 0_i32.. {
            match orders.insert_one(doc! { "_id": n }).await {
                Ok(_) => {
                    acknowledged.push(n);
                    counting.store(acknowledged.len(), Ordering::Relaxed);
                }
                Err(_) => break,
            }
        }
        acknowledged
    });
    let enough = async {
        while count.load(Ordering::Relaxed) <= 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), enough).await.expect("writes are acknowledged");
    stand.units.kill("mongodb");
    let acknowledged = writing.await.unwrap();
    assert!(acknowledged.len() > 10, "only {} writes before the kill", acknowledged.len());

    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["start on the loopback port"]);
    let orders = as_app(&stand).await.database("shop-local").collection::<Document>("orders");
    let found: Vec<Document> = orders.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    for n in acknowledged {
        assert!(found.iter().any(|order| order.get_i32("_id").is_ok_and(|id| id == n)), "order {n} is lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_its_password_is_left_alone() {
    let stand = Stand::new();
    let mongo = settled(&stand).await;
    stand.units.lose_all();
    let (store, kept) = (stand.ground.root.secrets(), stand.ground.root.path().join("kept"));
    std::fs::rename(&store, &kept).unwrap();
    std::fs::create_dir(&store).unwrap();
    let fault = mongo.observe().await.unwrap_err();
    assert!(fault.message.contains("no authority for it"), "{fault:#?}");

    // A store of other passwords is no better, and no password opens what certificates do.
    for name in ["mongodb/admin", "mongodb/keyfile", "mongodb/app-api"] {
        stand.ground.secrets.set(&SecretName::new(name), Class::Secret, &Secret::new("0".repeat(64))).unwrap();
    }
    let fault = converge_mongo(&mongo).await.unwrap_err();
    assert!(fault.message.contains("belongs to another secret store"), "{fault:#?}");

    // Nor where it was not noted that there is an administrator.
    std::fs::remove_file(stand.ground.root.conf().join("mongodb/guarded")).unwrap();
    let fault = converge_mongo(&mongo).await.unwrap_err();
    assert!(fault.message.contains("belongs to another secret store"), "{fault:#?}");
    // Nor in a root of another name, which has no administrator there and makes none.
    let stranger = stand.mongo_of_root("2").await;
    let fault = converge_mongo(&stranger).await.unwrap_err();
    assert!(fault.message.contains("already has users, and they are not ours"), "{fault:#?}");

    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&kept, &store).unwrap();
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert!(steps.contains(&Step::NoteGuarded.to_string()), "{steps:?}");
    assert_nothing_to_do(&mongo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_is_told_with_the_servers_own_words_and_not_touched() {
    let stand = Stand::new();
    let mongo = settled(&stand).await;
    stand.units.lose_all();
    let data = stand.ground.root.data("mongodb");
    damage(&data.join("WiredTiger.turtle"));
    let before = std::fs::read(data.join("WiredTiger.turtle")).unwrap();
    let fault = converge_mongo(&mongo).await.unwrap_err();
    assert!(fault.message.contains("mongodb does not stay up"), "{fault:#?}");
    assert!(!fault.output.is_empty() && fault.output.iter().all(|line| !line.starts_with('{')), "{fault:#?}");
    assert!(fault.hint.unwrap().contains("restore a backup"));
    assert_eq!(std::fs::read(data.join("WiredTiger.turtle")).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_and_a_new_one_keeps_the_data() {
    let mut stand = Stand::new();
    let mongo = settled(&stand).await;
    let things = |client: Client| client.database("shop-local").collection::<Document>("things");
    things(as_app(&stand).await).insert_one(doc! { "_id": 1 }).await.unwrap();
    stand.units.lose_all();

    let taken = std::net::TcpListener::bind(("127.0.0.1", stand.port)).unwrap();
    let fault = converge_mongo(&mongo).await.unwrap_err();
    assert!(fault.message.contains(&format!("port {}", stand.port)), "{fault:#?}");
    // mongod asks whoever has its old port whether that is itself, and waits 30 s for a silent one: tried once, not each time.
    drop(taken);
    stand.port = host::socket::free_port().unwrap();
    let mongo = stand.mongo().await;
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert!(steps.contains(&"move the replica set to this port".to_owned()), "{steps:?}");
    assert_eq!(things(as_app(&stand).await).count_documents(doc! {}).await.unwrap(), 1);
    assert_nothing_to_do(&mongo).await;
}

/// What it takes is told, and held to several times the promise: the machine of a test is busy.
#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_settled_and_a_look_at_what_is_right_are_quick() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    let began = Instant::now();
    // As convergence does: a look before each step.
    while let Some(step) = mongo.plan(&mongo.observe().await.unwrap()).first() {
        let step_began = Instant::now();
        mongo.perform(step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
        println!("{:>6} ms  {step}", step_began.elapsed().as_millis());
    }
    let provisioned = began.elapsed();
    let mongo = stand.mongo().await;
    let mut looks: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        assert!(mongo.plan(&mongo.observe().await.unwrap()).is_empty());
        looks.push(began.elapsed());
    }
    println!("from nothing {provisioned:?}, a first look {:?}, the next {:?}", looks[0], &looks[1..]);
    assert!(provisioned < Duration::from_secs(30) && looks[0] < Duration::from_secs(3), "{provisioned:?} {looks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_start_is_one_step() {
    let stand = Stand::new();
    let mongo = settled(&stand).await;
    reconcile::ports::Units::remove(&*stand.units, "mongodb").await.unwrap();
    let began = Instant::now();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["start on the loopback port"]);
    println!("warm start to a converged mongodb: {} ms", began.elapsed().as_millis());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
