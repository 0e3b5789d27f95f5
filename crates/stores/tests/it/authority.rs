//! Another authority for the data services: trusted before it signs, and the one before trusted no more, under living connections.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Tls, TlsOptions};
use reconcile::Resource;
use redis::aio::MultiplexedConnection;
use secrets::{Secret, VersionState};
use stores::mongo::{Mongo, OwnUser, app_secret, mongo_url};
use stores::redis::{Door, Identity, Purpose, Redis};
use stores::{authority_secret, fresh_authority_key};

use crate::stand::{Stand, app, converge_mongo, converge_redis, mongo_settings};

/// MongoDB and one Redis, with one authority.
struct Services {
    stand: Stand,
    mongo: Mongo,
    redis: Redis,
}

impl Services {
    async fn new() -> Self {
        let stand = Stand::new();
        let (mongo, redis) = (stand.mongo().await, stand.redis_cache().await);
        let services = Self { stand, mongo, redis };
        services.converge().await;
        services
    }

    async fn converge(&self) -> Vec<String> {
        let mut steps = converge_mongo(&self.mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        steps.extend(converge_redis(&self.redis).await.unwrap_or_else(|fault| panic!("{fault:#?}")));
        steps
    }

    fn stage(&self) {
        let ground = &self.stand.ground;
        ground.secrets.stage(&authority_secret(), &fresh_authority_key(ground.clock.now()).unwrap()).unwrap();
    }

    fn promote(&self) {
        self.stand.ground.secrets.promote(&authority_secret()).unwrap();
    }

    fn retire(&self) {
        self.stand.ground.secrets.retire(&authority_secret()).unwrap();
    }

    fn pids(&self) -> [u32; 2] {
        ["mongodb", "redis-cache"].map(|unit| self.stand.units.pid(unit))
    }

    /// An app, as it was told whom to trust.
    async fn visitor(&self) -> Visitor {
        let trusted = self.stand.ground.trusted().unwrap().unwrap();
        let file = self.stand.ground.root.path().join(format!("trusted-{}.pem", trusted.len()));
        std::fs::write(&file, &trusted).unwrap();
        let url = mongo_url(&mongo_settings(), &app(), self.stand.port, &self.stand.versioned(&app_secret(&app())));
        let mut options = ClientOptions::parse(url.expose()).await.unwrap();
        options.tls = Some(Tls::Enabled(TlsOptions::builder().ca_file_path(file).build()));
        options.server_selection_timeout = Some(std::time::Duration::from_secs(2));
        let door = Door::trusting(&trusted, self.stand.ground.clock.clone(), self.stand.cache_port);
        let password = self.stand.secret(&Purpose::Cache.app_secret(&app()));
        Visitor { options, door, password }
    }
}

struct Visitor {
    options: ClientOptions,
    door: Door,
    password: Secret,
}

/// What lives on, once it is connected.
struct Connected {
    mongo: Client,
    redis: MultiplexedConnection,
}

impl Visitor {
    async fn connects(&self) -> Result<Connected, String> {
        let mongo = Client::with_options(self.options.clone()).unwrap();
        mongo
            .database("shop-local")
            .run_command(doc! { "find": "things", "limit": 1 })
            .await
            .map_err(|e| e.to_string())?;
        let who = Identity::User { name: "app-api", password: &self.password };
        let redis = self.door.enter(who).await.map_err(|error| error.to_string())?;
        Ok(Connected { mongo, redis })
    }
}

impl Connected {
    async fn works(&mut self, number: i32) {
        let things = self.mongo.database("shop-local").collection::<Document>("things");
        things.insert_one(doc! { "_id": number }).await.unwrap();
        let _: Option<String> = redis::cmd("GET").arg("shop:local:x").query_async(&mut self.redis).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_is_trusted_before_it_signs_and_the_one_before_no_more_after_it_left() {
    let services = Services::new().await;
    let (first, pids) = (services.visitor().await, services.pids());
    let mut since_the_first = first.connects().await.unwrap();
    let admin_of_the_first = services.stand.mongo_admin();

    services.stage();
    let steps = services.converge().await;
    assert!(
        steps.iter().any(|step| step == "let the server load its certificate, with all connections kept"),
        "{steps:?}"
    );
    assert_eq!(services.converge().await, [""; 0]);
    let both = services.visitor().await;
    assert_eq!(services.stand.ground.trusted().unwrap().unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    for visitor in [&first, &both] {
        visitor.connects().await.unwrap();
    }
    let mut since_both = both.connects().await.unwrap();

    let told = services.stand.ground.trusted().unwrap();
    services.promote();
    let steps = services.converge().await;
    assert!(steps.iter().any(|step| step.contains("(mark)")), "the data is ours by the new one: {steps:?}");
    assert_eq!(services.converge().await, [""; 0]);
    assert_eq!(services.stand.ground.trusted().unwrap(), told, "whom to trust is the same, in the same order");
    both.connects().await.unwrap();
    assert!(first.connects().await.is_err(), "servers show certificates of the new one");

    services.retire();
    services.converge().await;
    assert_eq!(services.converge().await, [""; 0]);
    services.visitor().await.connects().await.unwrap();
    // Who was there before goes on, and nobody was started again.
    since_the_first.works(1).await;
    since_both.works(2).await;
    assert_eq!(services.pids(), pids);
    // What the first one signed opens nothing any more.
    let refused = admin_of_the_first.database("admin").run_command(doc! { "replSetGetConfig": 1 }).await;
    assert!(refused.is_err(), "{refused:?}");
    let admin = services.stand.mongo_as(OwnUser::Administrator).database("admin");
    admin.run_command(doc! { "replSetGetConfig": 1 }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_authorities_that_is_killed_after_any_step_goes_on_from_there() {
    let services = Services::new().await;
    for change in [Services::stage, Services::promote, Services::retire] {
        change(&services);
        // One step, and everybody is killed; until none is left.
        loop {
            let mongo = services.mongo.plan(&services.mongo.observe().await.unwrap()).into_iter().next();
            let redis = services.redis.plan(&services.redis.observe().await.unwrap()).into_iter().next();
            if mongo.is_none() && redis.is_none() {
                break;
            }
            if let Some(step) = &mongo {
                services.mongo.perform(step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
            }
            if let Some(step) = &redis {
                services.redis.perform(step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
            }
            let is_start = |step: &str| step.starts_with("start");
            if !mongo.is_some_and(|step| is_start(&step.to_string()))
                && !redis.is_some_and(|step| is_start(&step.to_string()))
            {
                services.stand.units.lose_all();
            }
        }
        services.visitor().await.connects().await.unwrap();
    }
    let accepted = services.stand.ground.secrets.accepted(&authority_secret()).unwrap();
    assert_eq!(accepted.iter().map(|one| (one.version, one.state)).collect::<Vec<_>>(), [(2, VersionState::Current)]);
}
