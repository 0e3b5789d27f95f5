//! UrbanCart on a MongoDB and a Redis that somebody else runs.

use std::fs;
use std::future::IntoFuture;
use std::path::Path;
use std::process::Command;

use manifest::Source;
use mongodb::bson::doc;
use reconcile::progress::Unwatched;
use serde_json::Value;
use stores::engines::machine::Platform;
use stores::engines::{CacheDir, Engine, Located, Machine};
use testkit::{Environment, link_repository, repository};

use crate::monitors::until_shown;
use crate::provider::{PASSWORD, Provider, RedisProvider, Stands};
use crate::stage;

/// Both engines, as Roadbed finds or fetches them.
async fn engines() -> [Located; 2] {
    let text = fs::read_to_string(repository().join("roadbed.toml")).unwrap();
    let (manifest, _) = manifest::parse(&Source::new("roadbed.toml", &text));
    let environment = manifest.unwrap().resolve(&"local".parse().unwrap()).unwrap();
    let base = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap()));
    let cache = || CacheDir::new(Path::new(&base).join("roadbed"));
    let machine = || Machine::new(Platform::detect().unwrap(), std::env::vars());
    let project = repository();
    let mongod = Engine::mongod(environment.mongodb.as_ref().unwrap(), &project, cache(), machine()).unwrap();
    let redis = Engine::redis_server(environment.redis.as_ref().unwrap(), &project, cache(), machine()).unwrap();
    [mongod.locate(&Unwatched).await.unwrap(), redis.locate(&Unwatched).await.unwrap()]
}

fn verdict(report: &Value, id: &str) -> String {
    let all = report["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    let row = all.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no {id}: {report:#}"));
    row["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn urbancart_sells_from_a_mongodb_and_a_redis_that_somebody_else_runs() {
    let _stage = stage::enter();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The driver looks for it where a client is made.
    let _entered = runtime.enter();
    let (mongo, redis) = runtime.block_on(async {
        let [mongod, redis_server] = engines().await;
        futures_util::join!(Provider::start(&mongod, Stands::InASet), RedisProvider::start(&redis_server, ""))
    });
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let path = project.path().join("roadbed.toml");
    let edited = fs::read_to_string(&path)
        .unwrap()
        .replace(
            "[services.mongodb]\n",
            "[services.mongodb]\nin.local = { driver = \"external\", ca = \"mongodb.pem\" }\n",
        )
        .replace("[services.redis]\n", "[services.redis]\nin.local = { driver = \"external\", ca = \"redis.pem\" }\n");
    assert_eq!(edited.matches("driver = \"external\"").count(), 2);
    fs::write(&path, edited).unwrap();
    fs::copy(mongo.ca(), project.path().join("mongodb.pem")).unwrap();
    fs::copy(redis.external().ca.unwrap(), project.path().join("redis.pem")).unwrap();
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());

    // What is not said is asked for, and what cannot be is not kept.
    let refused = shop.roadbed_with(
        std::time::Duration::from_secs(60),
        &["secrets", "set", "mongodb/external"],
        &format!("mongodb://admin:{PASSWORD}@db.example/"),
    );
    let refused = refused.expect(2);
    assert!(refused.stderr.contains("it asks for no TLS, and its hosts are not this machine"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(PASSWORD), "{}", refused.stderr);
    shop.set_secret("mongodb/external", &mongo.address());
    shop.set_secret("redis/external", &redis.address());
    shop.up_with(&["--no-gate"]);
    let units: Vec<String> = shop.units().into_iter().map(|unit| unit.name).collect();
    assert!(units.iter().any(|unit| unit == "redis-cache"), "{units:?}");
    assert!(!units.iter().any(|unit| unit == "mongodb" || unit == "redis"), "{units:?}");
    let said = shop.up_with(&["--no-gate"]).stderr;
    assert!(
        said.contains("nothing") || said.contains("as it should"),
        "a second `up` says that nothing changed: {said}"
    );

    for name in ["mongodb", "redis"] {
        until_shown(&shop, name, "up");
    }
    let api = shop.url("api");
    let order = r#"{"items":[{"slug":"bicycle-bell","quantity":1}]}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "first")];
    let answer = shop.client().post(&format!("{api}/orders"), &headers, order).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    let there = mongo.admin().database("urbancart_local").collection::<mongodb::bson::Document>("orders");
    assert_eq!(runtime.block_on(there.count_documents(doc! {}).into_future()).unwrap(), 1);

    // A command borrows users there.
    let script = "const { MongoClient } = require('mongodb'); MongoClient.connect(process.env.MONGODB_URL, \
                  { tlsCAFile: process.env.SERVICES_CA_FILE }).then(async (mongo) => { \
                  console.log(await mongo.db().collection('orders').countDocuments()); await mongo.close(); })";
    let mut line = Command::new(shop.program());
    line.args([
        "--root",
        &shop.root().display().to_string(),
        "env",
        "exec",
        "--app",
        "api",
        "--",
        "node",
        "-e",
        script,
    ]);
    let ran = line.current_dir(shop.project()).env_clear().envs(shop.variables()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(said.trim(), "1", "{}", String::from_utf8_lossy(&ran.stderr));
    let _ = shop.roadbed(&["secrets", "rotate", "MONGODB_URL", "REDIS_URL"]).expect(0);
    assert_eq!(shop.ready(&[])["holds"], true);

    // Somebody there gives an app more than it needs.
    let more = doc! { "grantRolesToUser": "urbancart_local-app-api.b", "roles": [{ "role": "readAnyDatabase", "db": "admin" }] };
    let database = mongo.admin().database("urbancart_local");
    runtime.block_on(database.run_command(more).into_future()).unwrap();
    let report = shop.ready(&["mongodb-gives-least-privilege", "mongodb-guards-its-door"]);
    assert_eq!(verdict(&report, "mongodb-gives-least-privilege"), "fails", "{report:#}");
    shop.up_with(&["--no-gate"]);
    assert_eq!(shop.ready(&["mongodb-gives-least-privilege"])["holds"], true);
}
