//! Passwords that change under living apps: old and new side by side, and the old ones out when they are retired.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use redis::Value;
use redis::aio::MultiplexedConnection;
use secrets::{Secret, SecretName, Versioned, generate};
use stores::mongo::{self, mongo_url};
use stores::redis::{Purpose, redis_url};

use crate::stand::{Stand, app, converge_mongo, converge_redis, mongo_settings};

/// Every version that must be let in, in the order of their numbers.
fn accepted(stand: &Stand, name: &SecretName) -> Vec<Versioned> {
    let mut all = stand.ground.secrets.accepted(name).unwrap();
    all.sort_by_key(|version| version.version);
    all
}

fn stage(stand: &Stand, name: &SecretName) {
    stand.ground.secrets.stage(name, &generate::credential().unwrap()).unwrap();
}

async fn mongo_as(stand: &Stand, password: &Versioned) -> Result<Client, mongodb::error::Error> {
    let url = mongo_url(&mongo_settings(), &app(), stand.port, password);
    let client = stand.mongo_client(&url).await?;
    things(&client).find_one(doc! {}).await?;
    Ok(client)
}

fn things(client: &Client) -> mongodb::Collection<Document> {
    client.database("shop-local").collection("things")
}

async fn redis_as(stand: &Stand, password: &Versioned) -> redis::RedisResult<MultiplexedConnection> {
    let url = redis_url(&app(), stand.port, password);
    stand.redis_by(&url).await
}

async fn read(connection: &mut MultiplexedConnection) -> redis::RedisResult<Value> {
    redis::cmd("GET").arg("shop:local:a").query_async(connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_lets_both_passwords_in_until_the_old_one_is_retired() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap();
    let name = mongo::app_secret(&app());
    let first = stand.versioned(&name);
    let old = mongo_as(&stand, &first).await.unwrap();

    stage(&stand, &name);
    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["set the second user of api (missing)"]);
    let [_, second] = accepted(&stand, &name).try_into().unwrap();
    let new = mongo_as(&stand, &second).await.unwrap();
    mongo_as(&stand, &first).await.expect("a new connection by the old password");

    stand.ground.secrets.promote(&name).unwrap();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new());
    things(&old).insert_one(doc! { "by": "old" }).await.unwrap();

    // The process that holds the old password ends while its user is on the way out: it may finish what it does.
    stand.ground.secrets.retire(&name).unwrap();
    let leaving = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        things(&old).insert_one(doc! { "by": "old, at its end" }).await.expect("the last work of a process that ends");
        old.shutdown().await;
    });
    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["remove user app-api of shop-local, whose password is retired"]);
    leaving.await.unwrap();
    mongo_as(&stand, &first).await.expect_err("the retired password");
    things(&new).insert_one(doc! { "by": "new" }).await.unwrap();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new());

    // The next one takes the seat of the first.
    stage(&stand, &name);
    assert_eq!(converge_mongo(&mongo).await.unwrap(), ["set the user of api (missing)"]);
    let [_, third] = accepted(&stand, &name).try_into().unwrap();
    mongo_as(&stand, &third).await.unwrap();
    assert_eq!(third.version, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stays_logged_in_to_mongodb_with_a_retired_password_is_cut_off_at_the_deadline() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap();
    let name = mongo::app_secret(&app());
    let stolen = mongo_as(&stand, &stand.versioned(&name)).await.unwrap();
    stage(&stand, &name);
    stand.ground.secrets.promote(&name).unwrap();
    stand.ground.secrets.retire(&name).unwrap();
    let began = std::time::Instant::now();
    converge_mongo(&mongo).await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(10), "it was not waited for: {:?}", began.elapsed());
    things(&stolen).insert_one(doc! {}).await.expect_err("a session of the retired password");
    mongo_as(&stand, &stand.versioned(&name)).await.unwrap();
}

/// A third version, while two are held by processes, must not take the seat of either.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_comes_too_early_locks_nobody_out_of_mongodb() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap();
    let name = mongo::app_secret(&app());
    stage(&stand, &name);
    stand.ground.secrets.promote(&name).unwrap();
    stage(&stand, &name);
    converge_mongo(&mongo).await.unwrap();
    let [first, second, third] = accepted(&stand, &name).try_into().unwrap();
    mongo_as(&stand, &first).await.expect("the previous password");
    mongo_as(&stand, &second).await.expect("the current password");
    mongo_as(&stand, &third).await.expect_err("a seat that is taken");
    stand.ground.secrets.retire(&name).unwrap();
    converge_mongo(&mongo).await.unwrap();
    mongo_as(&stand, &third).await.expect("the pending password, now that there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_lets_both_passwords_in_and_ends_the_sessions_of_the_retired_one_alone() {
    let stand = Stand::new();
    let redis = stand.redis().await;
    converge_redis(&redis).await.unwrap();
    let name = Purpose::Durable.app_secret(&app());
    let first = stand.versioned(&name);
    let mut old = redis_as(&stand, &first).await.unwrap();
    let pid = stand.units.pid("redis");
    let changed = [
        "write the users and make missing credentials",
        "let apps in with every password that holds, and with no other",
    ];

    stage(&stand, &name);
    assert_eq!(converge_redis(&redis).await.unwrap(), changed);
    let [_, second] = accepted(&stand, &name).try_into().unwrap();
    let mut new = redis_as(&stand, &second).await.unwrap();
    // Also one that is opened after the change: by a thief, or by a process that connects again.
    let mut late = redis_as(&stand, &first).await.expect("a new connection by the old password");
    for connection in [&mut old, &mut new, &mut late] {
        read(connection).await.expect("no connection is closed while both hold");
    }

    stand.ground.secrets.promote(&name).unwrap();
    stand.ground.secrets.retire(&name).unwrap();
    assert_eq!(converge_redis(&redis).await.unwrap(), changed);
    read(&mut new).await.expect("the session of the new password");
    read(&mut old).await.expect_err("a session of the retired password");
    read(&mut late).await.expect_err("a late session of the retired password");
    redis_as(&stand, &first).await.expect_err("the retired password");
    assert_eq!(stand.units.pid("redis"), pid);
    assert_eq!(converge_redis(&redis).await.unwrap(), Vec::<String>::new());

    // The file is the truth: who starts anew knows the same.
    stand.units.kill("redis");
    converge_redis(&redis).await.unwrap();
    redis_as(&stand, &first).await.expect_err("the retired password, after a start");
    redis_as(&stand, &second).await.unwrap();
}

/// `kill -9` of the servers and of whoever converges, after each step of a rotation: what is accepted lets in afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_step_of_a_rotation_the_stores_let_in_what_is_accepted_and_nothing_else() {
    let stand = Stand::new();
    let (mongo, redis_stand) = (stand.mongo().await, Stand::new());
    let redis = redis_stand.redis().await;
    converge_mongo(&mongo).await.unwrap();
    converge_redis(&redis).await.unwrap();
    let names = [(&stand, mongo::app_secret(&app())), (&redis_stand, Purpose::Durable.app_secret(&app()))];
    let mut retired: [Vec<Versioned>; 2] = [Vec::new(), Vec::new()];
    for millis in [0, 3, 20, 60] {
        for step in ["stage", "promote", "retire"] {
            for (at, (stand, name)) in names.iter().enumerate() {
                match step {
                    "stage" => stage(stand, name),
                    "promote" => drop(stand.ground.secrets.promote(name).unwrap()),
                    _ => {
                        let all = accepted(stand, name);
                        retired[at].extend(all.into_iter().take(1));
                        stand.ground.secrets.retire(name).unwrap();
                    }
                }
            }
            let _ = tokio::time::timeout(Duration::from_millis(millis), converge_mongo(&mongo)).await;
            let _ = tokio::time::timeout(Duration::from_millis(millis), converge_redis(&redis)).await;
            stand.units.lose_all();
            redis_stand.units.lose_all();
            converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{step} cut off after {millis} ms: {fault:#?}"));
            converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{step} cut off after {millis} ms: {fault:#?}"));
            for password in accepted(&stand, &names[0].1) {
                mongo_as(&stand, &password).await.unwrap_or_else(|error| panic!("{step}, {millis} ms: {error}"));
            }
            for password in accepted(&redis_stand, &names[1].1) {
                redis_as(&redis_stand, &password).await.unwrap_or_else(|error| panic!("{step}, {millis} ms: {error}"));
            }
            if let [Some(of_mongo), Some(of_redis)] = retired.each_ref().map(|all| all.last()) {
                mongo_as(&stand, of_mongo).await.expect_err("a retired password");
                redis_as(&redis_stand, of_redis).await.expect_err("a retired password");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_password_of_redis_becomes_another_one_and_no_connection_notices() {
    let stand = Stand::new();
    let redis = stand.redis().await;
    converge_redis(&redis).await.unwrap();
    let (ours, of_app) = (Purpose::Durable.admin_secret(), Purpose::Durable.app_secret(&app()));
    let enter = async |password: Secret| {
        let door = stores::redis::Door::of(&stand.ground, stand.port).unwrap();
        door.enter(stores::redis::Identity::User { name: stores::redis::ADMIN, password: &password }).await
    };
    let mut connection = stand.redis_by(&redis_url(&app(), stand.port, &stand.versioned(&of_app))).await.unwrap();
    let (first, pid) = (stand.secret(&ours), stand.units.pid("redis"));
    for what in ["staged", "promoted", "retired"] {
        match what {
            "staged" => stage(&stand, &ours),
            "promoted" => assert_eq!(stand.ground.secrets.promote(&ours).unwrap(), 2),
            _ => stand.ground.secrets.retire(&ours).unwrap(),
        }
        let steps = converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{what}: {fault:#?}"));
        assert_eq!(steps.is_empty(), what == "promoted", "{what}: {steps:?}");
        assert!(steps.iter().all(|step| !step.contains("load the users") && !step.contains("restart")), "{steps:?}");
        assert_eq!(converge_redis(&redis).await.unwrap(), [""; 0]);
        enter(stand.secret(&ours)).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        let _: Option<String> = redis::cmd("GET").arg("shop:local:x").query_async(&mut connection).await.unwrap();
    }
    assert!(enter(first).await.is_err(), "the first password opens nothing any more");
    assert_eq!(stand.units.pid("redis"), pid);
}
