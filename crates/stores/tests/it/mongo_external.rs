//! MongoDB on a server that somebody else runs: what is made there, what is left alone, and what is said of one that does not do.

use std::path::PathBuf;

use futures_util::future::join_all;
use gate::{Check, CheckCx, Outcome, Verdict};
use manifest::environment::{self, Collection, Index, KeyKind};
use manifest::id::CollectionName;
use mongodb::bson::{Document, doc};
use reconcile::{Fault, Resource};
use secrets::{Secret, generate};
use stores::External;
use stores::checks::{MongoGivesLeastPrivilege, MongoGuardsItsDoor};
use stores::external::Dialect;
use stores::leases::{self, Rights, book};
use stores::mongo::collections::{Collections, Destroy};
use stores::mongo::{ExternalMongo, Provider as Whose, app_secret};

use crate::elsewhere::{mongodb, mute, told};
use crate::leases::lease;
use crate::provider::{PASSWORD, Provider, Stands};
use crate::stand::{Stand, app, converge, mongo_settings};

const USER: &str = "shop-local-app-api";

fn settings() -> environment::MongoDb {
    environment::MongoDb { external: Some(manifest::External { ca: None, provider: None }), ..mongo_settings() }
}

fn resource(stand: &Stand, external: External) -> ExternalMongo {
    ExternalMongo::new(settings(), external, stand.ground.clone())
}

async fn converge_external(mongo: &ExternalMongo) -> Result<Vec<String>, Fault> {
    converge(mongo, |step| async move { mongo.perform(&step).await }).await
}

/// A server and an environment that uses it.
struct There {
    provider: Provider,
    stand: Stand,
    mongo: ExternalMongo,
}

impl There {
    async fn settled() -> Self {
        let provider = mongodb(Stands::InASet).await;
        let stand = Stand::new();
        told(&stand, "mongodb", &provider.address());
        let mongo = resource(&stand, provider.external());
        converge_external(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        Self { provider, stand, mongo }
    }

    fn whose(&self) -> Whose {
        Whose::External(self.provider.external())
    }

    fn app_url(&self) -> Secret {
        let password = self.stand.versioned(&app_secret(&app()));
        self.whose().app_url(&settings(), &app(), &password, &self.stand.ground).unwrap()
    }

    async fn by_hand(&self, database: &str, command: Document) -> Document {
        self.provider.admin().database(database).run_command(command).await.unwrap()
    }

    async fn users_of(&self, database: &str) -> Vec<String> {
        let listed = self.by_hand(database, doc! { "usersInfo": 1 }).await;
        let name = |user: &mongodb::bson::Bson| user.as_document().unwrap().get_str("user").unwrap().to_owned();
        listed.get_array("users").unwrap().iter().map(name).collect()
    }
}

fn refused(answer: mongodb::error::Result<Document>, what: &str) {
    let error = answer.map(|_| panic!("{what} was allowed")).unwrap_err().to_string();
    assert!(error.contains("nauthorized") || error.contains("not authorized"), "{what}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_server_gets_what_an_app_needs_and_nothing_else_there_is_touched() {
    let provider = mongodb(Stands::InASet).await;
    let theirs = provider.admin().database("theirs");
    theirs.run_command(doc! { "createUser": "reports", "pwd": "x", "roles": ["readWrite"] }).await.unwrap();
    theirs.collection("books").insert_one(doc! { "_id": 1 }).await.unwrap();
    let own = provider.admin().database("shop-local");
    own.run_command(doc! { "createUser": "by-hand", "pwd": "x", "roles": ["read"] }).await.unwrap();

    let stand = Stand::new();
    told(&stand, "mongodb", &provider.address());
    let mongo = resource(&stand, provider.external());
    let steps = mongo.plan(&mongo.observe().await.unwrap());
    let told: Vec<String> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "make missing credentials",
            "set the rights of apps on the external server",
            "set the user of api on the external server (missing)"
        ]
    );
    for step in &steps {
        mongo.perform(step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
        // Doing a step twice is safe; and each end is one that a kill leaves.
        let after_a_kill = resource(&stand, provider.external());
        after_a_kill.perform(step).await.unwrap_or_else(|fault| panic!("{step}, again: {fault:#?}"));
        after_a_kill.observe().await.unwrap_or_else(|fault| panic!("after {step}: {fault:#?}"));
    }
    assert_eq!(converge_external(&mongo).await.unwrap(), Vec::<String>::new());
    let drift = mongo.drift(&mongo.observe().await.unwrap());
    let left =
        "user by-hand of shop-local is not of this environment; it is left alone, as whoever made it may need it";
    assert_eq!(drift, [left]);

    let there = There { provider, stand, mongo };
    assert_eq!(there.users_of("theirs").await, ["reports"]);
    assert_eq!(there.users_of("shop-local").await, ["by-hand", USER]);
    assert_eq!(theirs.collection::<Document>("books").count_documents(doc! {}).await.unwrap(), 1);
    let url = there.app_url();
    assert!(!url.expose().contains(PASSWORD), "an app is not told how the administrator logs in");
    let app = there.provider.as_app(&url).await.unwrap();
    let things = app.database("shop-local").collection::<Document>("things");
    let mut session = app.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 1);
    let database = app.database("shop-local");
    refused(database.run_command(doc! { "drop": "things" }).await, "drop");
    refused(database.run_command(doc! { "usersInfo": 1 }).await, "usersInfo");
    refused(app.database("theirs").run_command(doc! { "find": "books" }).await, "another database");
    refused(app.database("local").run_command(doc! { "find": "oplog.rs", "limit": 1 }).await, "the oplog");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_by_hand_is_seen_and_put_right() {
    let there = There::settled().await;
    for (what, command, expected) in [
        (
            "a role granted",
            doc! { "grantRolesToUser": USER, "roles": [{ "role": "dbOwner", "db": "shop-local" }] },
            "set the user of api on the external server (roles)",
        ),
        (
            "rights widened",
            doc! { "grantPrivilegesToRole": "roadbed-app", "privileges": [{ "resource": { "db": "shop-local", "collection": "" }, "actions": ["dropCollection"] }] },
            "set the rights of apps on the external server",
        ),
        (
            "a password changed",
            doc! { "updateUser": USER, "pwd": "another", "mechanisms": ["SCRAM-SHA-256"] },
            "set the user of api on the external server (password)",
        ),
        ("a user dropped", doc! { "dropUser": USER }, "set the user of api on the external server (missing)"),
        ("a role dropped", doc! { "dropRole": "roadbed-app" }, "set the rights of apps on the external server"),
    ] {
        there.by_hand("shop-local", command).await;
        let taken = converge_external(&there.mongo).await.unwrap_or_else(|fault| panic!("{what}: {fault:#?}"));
        assert!(taken.iter().any(|step| step == expected), "{what}: {taken:?}");
        assert_eq!(converge_external(&there.mongo).await.unwrap(), Vec::<String>::new(), "{what}");
        let app = there.provider.as_app(&there.app_url()).await.unwrap();
        app.database("shop-local").run_command(doc! { "find": "things" }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_environments_on_one_server_do_not_meet_and_two_roots_of_one_do_not_take_turns() {
    let there = There::settled().await;
    let staging = Stand::new();
    told(&staging, "mongodb", &there.provider.address());
    let database = "shop-staging".to_owned();
    let other = ExternalMongo::new(
        environment::MongoDb { database, ..settings() },
        there.provider.external(),
        staging.ground.clone(),
    );
    converge_external(&other).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(there.users_of("shop-staging").await, ["shop-staging-app-api"]);
    assert_eq!(converge_external(&there.mongo).await.unwrap(), Vec::<String>::new());
    let app = there.provider.as_app(&there.app_url()).await.unwrap();
    refused(app.database("shop-staging").run_command(doc! { "find": "things" }).await, "the other environment");

    let twin = Stand::new();
    told(&twin, "mongodb", &there.provider.address());
    let fault = converge_external(&resource(&twin, there.provider.external())).await.unwrap_err();
    let at = format!("localhost:{}", there.provider.port);
    assert_eq!(fault.message, format!("mongodb at {at} has a user {USER} of shop-local already, and it is not ours"));
    there
        .provider
        .as_app(&there.app_url())
        .await
        .unwrap()
        .database("shop-local")
        .run_command(doc! { "find": "a" })
        .await
        .unwrap();
}

/// What is wrong, the address, by what the server is recognised, what is wanted of it; then message, cause and hint.
type Case = (&'static str, Option<String>, External, environment::MongoDb, String, String, String);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_somebody_elses_server_is_said_with_what_to_do() {
    let (provider, lone, mute) = futures_util::join!(mongodb(Stands::InASet), mongodb(Stands::Alone), mute());
    let admin = provider.admin().database("admin");
    let small = doc! { "createUser": "small", "pwd": PASSWORD, "roles": [{ "role": "readWrite", "db": "shop-local" }] };
    admin.run_command(small).await.unwrap();
    let (port, nobody) = (provider.port, host::socket::free_port().unwrap());
    let trusting = provider.external();
    let public = External { ca: None, dialect: Dialect::Plain };
    let at = |port: u16| format!("mongodb://admin:{PASSWORD}@localhost:{port}/?tls=true");
    let strange = std::env::temp_dir().join("no-such-authority.pem");
    let newer = environment::MongoDb { min_version: "7.0".to_owned(), ..settings() };
    let set = "`roadbed secrets set --env local mongodb/external`";
    let cases: Vec<Case> = vec![
        (
            "nothing said",
            None,
            trusting.clone(),
            settings(),
            "where mongodb is has not been said".into(),
            "its driver is external, and the secret store has no mongodb/external".into(),
            format!("{set} reads it from stdin: mongodb+srv://ADMINISTRATOR:PASSWORD@HOST"),
        ),
        (
            "not encoded",
            Some(format!("mongodb://admin:a/{PASSWORD}@localhost:{port}/?tls=true")),
            trusting.clone(),
            settings(),
            "cannot use the address of mongodb, mongodb/external".into(),
            "a character of user or password is not encoded".into(),
            format!("{set} sets another, read from stdin"),
        ),
        (
            "nobody there",
            Some(at(nobody)),
            trusting.clone(),
            settings(),
            format!("cannot reach mongodb at localhost:{nobody}"),
            "Connection refused".into(),
            "see that it runs and that its provider lets this machine in".into(),
        ),
        (
            "no TLS",
            Some(at(mute)),
            trusting.clone(),
            settings(),
            format!("mongodb at localhost:{mute} offers no TLS"),
            "it does not answer a handshake".into(),
            "switch TLS on at the provider".into(),
        ),
        (
            "an authority that nobody named",
            Some(at(port)),
            public,
            settings(),
            format!("mongodb at localhost:{port} shows a certificate that is not believed"),
            "invalid peer certificate: UnknownIssuer".into(),
            "where the provider has an authority of its own, give its certificate: `ca` in [services.mongodb]".into(),
        ),
        (
            "no file of authorities",
            Some(at(port)),
            External { ca: Some(strange.clone()), dialect: Dialect::Plain },
            settings(),
            format!("cannot use {}, by which a data service is recognised", strange.display()),
            "No such file".into(),
            "mend `ca` of the service in roadbed.toml".into(),
        ),
        (
            "a wrong password",
            Some(provider.address_of("admin", "not-the-one-0123456789")),
            trusting.clone(),
            settings(),
            format!("mongodb at localhost:{port} refuses the login of our administrator"),
            "Authentication failed".into(),
            format!("{set} sets the address with another login, read from stdin"),
        ),
        (
            "no administrator",
            Some(provider.address_of("small", PASSWORD)),
            trusting.clone(),
            settings(),
            "the login in the address of mongodb is not an administrator's".into(),
            "on shop-local it may not changeCustomData, changePassword, collMod, createRole, createUser, dropUser, grantRole, revokeRole, viewRole, viewUser".into(),
            "grant it userAdmin, dbAdmin and readWrite on shop-local".into(),
        ),
        (
            "an older version",
            Some(at(port)),
            trusting,
            newer,
            format!("cannot use mongodb at localhost:{port}: its version does not serve"),
            "it is 6.0.5, and at least 7.0 is needed".into(),
            "let its provider upgrade it, or lower `min_version`".into(),
        ),
        (
            "a server alone",
            Some(at(lone.port)),
            lone.external(),
            settings(),
            format!("cannot use mongodb at localhost:{}: it is a server alone", lone.port),
            "without a replica set there are no transactions".into(),
            "let its provider make a replica set of it; one member is enough".into(),
        ),
    ];
    let tried = cases.into_iter().map(|(what, address, external, settings, message, cause, hint)| async move {
        let stand = Stand::new();
        if let Some(address) = &address {
            told(&stand, "mongodb", address);
        }
        let fault = ExternalMongo::new(settings, external, stand.ground.clone()).observe().await.unwrap_err();
        assert_eq!(fault.message, message, "{what}");
        assert!(fault.causes.iter().any(|told| told.contains(&cause)), "{what}: {fault:#?}");
        assert!(fault.hint.as_ref().is_some_and(|told| told.starts_with(&hint)), "{what}: {fault:#?}");
        let whole = format!("{fault:?}");
        assert!(!whole.contains(PASSWORD) && !whole.contains("0123456789"), "{what}: {whole}");
    });
    join_all(tried).await;
}

fn products() -> Vec<Collection> {
    vec![Collection {
        name: CollectionName::new("products").unwrap(),
        doc: String::new(),
        schema: None,
        indexes: vec![Index {
            name: "slug_1".to_owned(),
            keys: vec![("slug".to_owned(), KeyKind::Ascending)],
            unique: true,
            only: None,
            expire_after: None,
        }],
        sample: None,
    }]
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_passwords_in_turn_and_lent_users_work_there_as_at_home() {
    let there = There::settled().await;
    let ground = &there.stand.ground;
    let kept = environment::MongoDb { collections: products(), ..settings() };
    let collections = Collections::new(kept, there.whose(), PathBuf::from("/"), Destroy::Never, ground.clone());
    let taken = converge(&collections, |step| async { collections.perform(&{ step }).await }).await.unwrap();
    assert_eq!(taken, ["create the collection products", "create the index slug_1 (unique) of products"]);

    let name = app_secret(&app());
    let old = there.provider.as_app(&there.app_url()).await.unwrap();
    ground.secrets.stage(&name, &generate::credential().unwrap()).unwrap();
    assert_eq!(
        converge_external(&there.mongo).await.unwrap(),
        ["set the second user of api on the external server (missing)"]
    );
    old.database("shop-local").run_command(doc! { "find": "products" }).await.unwrap();
    drop(old);
    ground.secrets.promote(&name).unwrap();
    ground.secrets.retire(&name).unwrap();
    let retired = format!("remove user {USER} of shop-local, whose password is retired");
    assert_eq!(converge_external(&there.mongo).await.unwrap(), [retired]);
    let new = there.provider.as_app(&there.app_url()).await.unwrap();
    new.database("shop-local").run_command(doc! { "find": "products" }).await.unwrap();

    let password = generate::credential().unwrap();
    let lease = leases::Lease { redis: None, ..lease(Rights::ReadOnly, &password) };
    book::note(&ground.root, lease.clone()).unwrap();
    leases::mongo::lend(ground, &there.whose(), &lease, &password).await.unwrap();
    assert_eq!(converge_external(&there.mongo).await.unwrap(), Vec::<String>::new(), "who is in the book stays");
    let url = leases::mongo::mongo_url(&settings(), &lease, ground, &there.whose(), &password).unwrap();
    let reader = mongodb::Client::with_uri_str(url.expose()).await.unwrap().database("shop-local");
    reader.run_command(doc! { "find": "products" }).await.unwrap();
    refused(reader.run_command(doc! { "insert": "products", "documents": [{}] }).await, "a reader writes");
    // Its record is lost, as in a crash: it is known by its mark.
    book::strike(&ground.root, &lease.id).unwrap();
    let taken = converge_external(&there.mongo).await.unwrap();
    assert_eq!(taken, [format!("remove user {} of shop-local, which we made and nobody asks for", lease.id)]);
}

async fn outcome(check: &dyn Check) -> Outcome {
    check.run(&CheckCx { budget: std::time::Duration::from_secs(30) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_hold_there_or_say_what_is_open() {
    let there = There::settled().await;
    let ground = || there.stand.ground.clone();
    let door = MongoGuardsItsDoor::new(settings(), there.whose(), ground());
    let rights = MongoGivesLeastPrivilege::new(settings(), there.whose(), ground());
    for (check, at_least) in [(&door as &dyn Check, 15), (&rights, 3)] {
        let good = outcome(check).await;
        assert_eq!(good.verdict, Verdict::Holds, "{good:#?}");
        assert!(good.observed.len() >= at_least, "{good:#?}");
        assert!(!format!("{good:?}").contains(PASSWORD));
    }
    let fails = |outcome: &Outcome, because: &str| {
        assert_eq!(outcome.verdict, Verdict::Fails, "{outcome:#?}");
        let told = outcome.observed.iter().any(|line| line.starts_with("BROKEN") && line.contains(because));
        assert!(told, "{because}: {outcome:#?}");
    };
    there.by_hand("shop-local", doc! { "createUser": "by-hand", "pwd": "x", "roles": ["read"] }).await;
    fails(&outcome(&rights).await, "nobody asked for by-hand of shop-local");
    there.by_hand("shop-local", doc! { "dropUser": "by-hand" }).await;
    let guest = doc! { "createUser": "guest", "pwd": "x", "roles": [{ "role": "read", "db": "shop-local" }] };
    there.by_hand("theirs", guest).await;
    fails(&outcome(&rights).await, "of other databases, guest of theirs have a role in shop-local");
    there.by_hand("theirs", doc! { "dropUser": "guest" }).await;
    let grant = doc! { "grantRolesToUser": USER, "roles": [{ "role": "readAnyDatabase", "db": "admin" }] };
    there.by_hand("shop-local", grant).await;
    fails(&outcome(&rights).await, "instead of roadbed-app alone");
    fails(&outcome(&door).await, "tried to read another database: allowed");
    let public = Whose::External(External { ca: None, dialect: Dialect::Plain });
    fails(&outcome(&MongoGuardsItsDoor::new(settings(), public, ground())).await, "is not believed");
}
