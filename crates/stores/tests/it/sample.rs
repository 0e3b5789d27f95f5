//! A sample from one real server to another: read by who can only read, and there once, whatever is killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::clock::{Clock, SystemClock};
use manifest::environment::{self, Collection, Index, KeyKind};
use manifest::id::CollectionName;
use manifest::{Mask, Sample, Seed};
use mongodb::bson::{Document, doc};
use reconcile::{Fault, Resource};
use stores::mongo::collections::{Collections, Destroy};
use stores::mongo::sample::{Origin, Seeding, Told, file, replace, take, take_restored};
use stores::mongo::{Mongo, OwnUser, app_secret, mongo_url};

use crate::leases::borrow_mongo_to_read;
use crate::stand::{Stand, app, converge, converge_mongo, mongo_settings};

const SCHEMA: &str =
    r#"{ "bsonType": "object", "required": ["email"], "properties": { "email": { "bsonType": "string" } } }"#;
const SAMPLE: &str = "samples/mongodb.sample";

fn sample(fields: &[(&str, Mask)], filter: Option<&str>) -> Option<Sample> {
    let fields = fields.iter().map(|(way, mask)| ((*way).to_owned(), *mask)).collect();
    Some(Sample { limit: 2_000, filter: filter.map(str::to_owned), fields })
}

fn collections() -> Vec<Collection> {
    let name = |name: &str| CollectionName::new(name).unwrap();
    let email = Index {
        name: "email_1".to_owned(),
        keys: vec![("email".to_owned(), KeyKind::Ascending)],
        unique: true,
        only: None,
        expire_after: None,
    };
    vec![
        Collection {
            name: name("users"),
            doc: "Customers".to_owned(),
            schema: Some("users.json".to_owned()),
            indexes: vec![email],
            sample: sample(&[("email", Mask::Email), ("name", Mask::Name)], None),
        },
        Collection {
            name: name("orders"),
            doc: "Orders".to_owned(),
            schema: None,
            indexes: Vec::new(),
            sample: sample(&[("by", Mask::Id), ("total", Mask::Keep)], Some(r#"{ "total": { "$gt": 5 } }"#)),
        },
        Collection {
            name: name("audit"),
            doc: "Not for samples".to_owned(),
            schema: None,
            indexes: Vec::new(),
            sample: None,
        },
    ]
}

/// A settled MongoDB with its collections, in a project folder.
struct Shop {
    stand: Stand,
    mongo: Mongo,
    settings: environment::MongoDb,
    project: PathBuf,
}

impl Shop {
    async fn new(project: &tempfile::TempDir, collections: Vec<Collection>) -> Self {
        let stand = Stand::new();
        let settings =
            environment::MongoDb { collections, seed: Seed::Sample, sample: SAMPLE.to_owned(), ..mongo_settings() };
        let mongo = stand.mongo_with(settings.clone()).await;
        std::fs::write(project.path().join("users.json"), SCHEMA).unwrap();
        let shop = Self { stand, mongo, settings, project: project.path().to_owned() };
        shop.settle().await;
        shop
    }

    async fn settle(&self) {
        converge_mongo(&self.mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        let collections = Collections::new(
            self.settings.clone(),
            self.stand.port,
            self.project.clone(),
            Destroy::Never,
            self.stand.ground.clone(),
        );
        let collections = &collections;
        converge(collections, |step| async move { collections.perform(&step).await })
            .await
            .unwrap_or_else(|fault| panic!("{fault:#?}"));
    }

    fn seeding(&self) -> Seeding {
        let ground = self.stand.ground.clone();
        Seeding::new(self.settings.clone(), self.stand.port, &self.project, ground).expect("it begins with a sample")
    }

    async fn seed(&self) -> Result<Vec<String>, Fault> {
        let seeding = &self.seeding();
        converge(seeding, |step| async move { seeding.perform(&step).await }).await
    }

    async fn drift(&self) -> Vec<String> {
        let seeding = self.seeding();
        seeding.drift(&seeding.observe().await.unwrap())
    }

    async fn as_app(&self) -> mongodb::Database {
        let password = self.stand.versioned(&app_secret(&app()));
        let url = mongo_url(&self.settings, &app(), self.stand.port, &password);
        self.stand.mongo_client(&url).await.unwrap().database("shop-local")
    }

    async fn count(&self, collection: &str) -> u64 {
        self.as_app().await.collection::<Document>(collection).count_documents(doc! {}).await.unwrap()
    }
}

/// Takes a sample of a shop, as somebody who was lent a user that reads.
async fn take_from(shop: &Shop) -> Result<(file::Contents, Vec<Told>), Fault> {
    let url = borrow_mongo_to_read(&shop.stand).await;
    let origin = Origin { product: "shop".to_owned(), environment: "staging".to_owned(), now: SystemClock.now() };
    let settings = environment::MongoDb { seed: Seed::Nothing, ..shop.settings.clone() };
    take(&url, &settings, origin, &mut |_, _| {}).await
}

async fn shop_with_customers(project: &tempfile::TempDir, customers: usize) -> Shop {
    let shop = Shop::new(project, collections()).await;
    let database = shop.as_app().await;
    let user = |at: usize| {
        let (email, name) = (format!("anna{at}@customers.example"), format!("Anna Nummer{at}"));
        doc! { "_id": format!("user-{at:06}"), "email": email, "name": name, "card": "4111111111111111" }
    };
    let users: Vec<Document> = (0..customers).map(user).collect();
    database.collection::<Document>("users").insert_many(users).await.unwrap();
    let order =
        |at: usize| doc! { "by": format!("user-{at:06}"), "total": i32::try_from(at).unwrap(), "note": "ring twice" };
    let orders: Vec<Document> = (0..customers).map(order).collect();
    database.collection::<Document>("orders").insert_many(orders).await.unwrap();
    database.collection::<Document>("audit").insert_one(doc! { "who": "anna1@customers.example" }).await.unwrap();
    shop
}

fn write(project: &tempfile::TempDir, contents: &file::Contents) {
    file::write(&project.path().join(SAMPLE), contents).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_begins_with_what_was_taken_masked_and_only_once() {
    let project = tempfile::tempdir().unwrap();
    let staging = shop_with_customers(&project, 20).await;
    let (contents, told) = take_from(&staging).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let told: Vec<_> = told.iter().map(|told| (told.collection.as_str(), told.documents)).collect();
    assert_eq!(told, [("orders", 14), ("users", 20)], "orders of more than 5, nothing of audit");
    let all = format!("{:?}", contents.collections);
    for planted in ["customers.example", "Nummer", "user-0000", "4111", "twice"] {
        assert!(!all.contains(planted), "{planted}: {all}");
    }
    write(&project, &contents);

    let preview = Shop::new(&project, collections()).await;
    let steps = preview.seed().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps.len(), 2, "{steps:#?}");
    assert!(steps[0].starts_with("begin users with 20 documents of the sample of staging, "), "{steps:#?}");
    assert_eq!((preview.count("users").await, preview.count("orders").await), (20, 14));
    assert_eq!(preview.seed().await.unwrap(), Vec::<String>::new());
    assert_eq!(preview.drift().await, Vec::<String>::new());
    // Orders are of users that are there.
    let database = preview.as_app().await;
    let order = database.collection::<Document>("orders").find_one(doc! {}).await.unwrap().unwrap();
    let by = doc! { "_id": order.get_str("by").unwrap() };
    assert!(database.collection::<Document>("users").find_one(by).await.unwrap().is_some());
    // Whoever empties a collection wants it empty.
    database.collection::<Document>("orders").delete_many(doc! {}).await.unwrap();
    assert_eq!(preview.seed().await.unwrap(), Vec::<String>::new());
    assert_eq!(preview.count("orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_begin_with_the_sample_begins_empty_and_says_so() {
    let project = tempfile::tempdir().unwrap();
    let staging = shop_with_customers(&project, 8).await;
    let preview = Shop::new(&project, collections()).await;
    assert_eq!(preview.seed().await.unwrap(), Vec::<String>::new());
    let [absent] = &preview.drift().await[..] else { panic!("one sentence") };
    assert!(
        absent.contains("begin users, orders with a sample: there is no") && absent.contains("sample take"),
        "{absent}"
    );

    let (contents, _) = take_from(&staging).await.unwrap();
    write(&project, &contents);
    // One has documents of its own, the schema of the other is another by now.
    let database = preview.as_app().await;
    database.collection::<Document>("orders").insert_one(doc! { "_id": "mine" }).await.unwrap();
    let stricter = SCHEMA.replace(r#"["email"]"#, r#"["email", "born"]"#);
    std::fs::write(project.path().join("users.json"), stricter).unwrap();
    preview.settle().await;
    assert_eq!(preview.seed().await.unwrap().len(), 1);
    assert_eq!((preview.count("users").await, preview.count("orders").await), (0, 1));
    let refused = "begin users with the sample: its documents do not meet the collection's schema or its indexes";
    assert_eq!(preview.drift().await, [refused]);
    assert_eq!(preview.seed().await.unwrap(), Vec::<String>::new(), "it is not tried again");
    // Another sample is.
    std::fs::write(project.path().join("users.json"), SCHEMA).unwrap();
    preview.settle().await;
    write(&project, &take_from(&staging).await.unwrap().0);
    assert_eq!(preview.seed().await.unwrap().len(), 1);
    assert_eq!(preview.count("users").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_by_other_rules_is_not_used_and_a_damaged_one_is_a_fault() {
    let project = tempfile::tempdir().unwrap();
    let staging = shop_with_customers(&project, 8).await;
    write(&project, &take_from(&staging).await.unwrap().0);
    let mut stricter = collections();
    stricter[0].sample = sample(&[("email", Mask::Email)], None);
    let preview = Shop::new(&project, stricter).await;
    assert_eq!(preview.seed().await.unwrap().len(), 1, "the orders");
    assert_eq!(preview.count("users").await, 0, "a name that may not leave any more");
    assert!(preview.drift().await[0].contains("by other rules"), "{:?}", preview.drift().await);
    crate::stand::damage(&project.path().join(SAMPLE));
    std::fs::write(project.path().join(SAMPLE), b"gone").unwrap();
    let fault = preview.seed().await.unwrap_err();
    assert!(fault.message.contains("is damaged") && fault.hint.unwrap().contains("sample take"), "{}", fault.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_that_would_tell_an_address_by_a_field_that_is_kept() {
    let project = tempfile::tempdir().unwrap();
    let staging = shop_with_customers(&project, 3).await;
    let users = staging.as_app().await.collection::<Document>("orders");
    users.insert_one(doc! { "by": "x", "total": "99 euros of anna1@customers.example" }).await.unwrap();
    let mut all = collections();
    all[1].sample = sample(&[("total", Mask::Keep)], None);
    let leaky = Shop { settings: environment::MongoDb { collections: all, ..staging.settings.clone() }, ..staging };
    let fault = take_from(&leaky).await.unwrap_err();
    assert!(fault.causes.contains(&"total of orders: an e-mail address".to_owned()), "{fault:?}");
    assert!(!format!("{fault:?}").contains("anna1"), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_the_middle_has_all_of_the_sample_or_nothing_and_then_all() {
    let project = tempfile::tempdir().unwrap();
    let staging = shop_with_customers(&project, 2_000).await;
    write(&project, &take_from(&staging).await.unwrap().0);
    let preview = Arc::new(Shop::new(&project, collections()).await);
    // So late that it has begun, and so early that it has not ended.
    for millis in [40, 90, 160] {
        let other = preview.clone();
        let seeding = tokio::spawn(async move { other.seed().await.map(|steps| steps.len()) });
        tokio::time::sleep(Duration::from_millis(millis)).await;
        preview.stand.units.kill("mongodb");
        let _ = seeding.await.unwrap();
        preview.settle().await;
        let counts = (preview.count("users").await, preview.count("orders").await);
        assert!([0, 2_000].contains(&counts.0) && [0, 1_994].contains(&counts.1), "after {millis} ms: {counts:?}");
    }
    preview.seed().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!((preview.count("users").await, preview.count("orders").await), (2_000, 1_994));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_lives_gets_restored_documents_masked_in_place_of_its_own() {
    let project = tempfile::tempdir().unwrap();
    let production = shop_with_customers(&project, 12).await;
    // As where a backup was restored: by a client that may read, in a database of any name.
    let restored = OwnUser::Backup.client(&production.stand.ground, production.stand.port).unwrap();
    let origin = Origin { product: "shop".to_owned(), environment: "production".to_owned(), now: SystemClock.now() };
    let (contents, told) = take_restored(&restored, "shop-local", &production.settings, origin).await.unwrap();
    assert!(told.iter().any(|told| told.collection == "users" && told.left_out.contains("card")), "{told:?}");

    let preview = Shop::new(&project, collections()).await;
    let database = preview.as_app().await;
    let own = doc! { "_id": "own", "email": "own@preview.example" };
    database.collection::<Document>("users").insert_one(own).await.unwrap();
    database.collection::<Document>("audit").insert_one(doc! { "who": "preview" }).await.unwrap();
    let client = OwnUser::Restore.client(&preview.stand.ground, preview.stand.port).unwrap();
    let now = SystemClock.now();
    for gone in [(0, 1), (6, 12)] {
        // Again: what came goes, and the same comes.
        let done =
            replace(&client, &preview.settings, &contents, now).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        let done: Vec<_> = done.iter().map(|one| (one.collection.as_str(), one.gone, one.documents)).collect();
        assert_eq!(done, [("orders", gone.0, 6), ("users", gone.1, 12)]);
    }
    assert_eq!((preview.count("users").await, preview.count("audit").await), (12, 1), "no rule, not touched");
    let mut all = String::new();
    for name in ["users", "orders"] {
        let mut found = database.collection::<Document>(name).find(doc! {}).await.unwrap();
        while found.advance().await.unwrap() {
            all += &format!("{:?}", found.current());
        }
    }
    for planted in ["customers.example", "Nummer", "user-0000", "4111", "twice", "own@"] {
        assert!(!all.contains(planted), "{planted}");
    }
    // The sample of later `up`s does not come in beside it.
    write(&project, &contents);
    assert_eq!(preview.seed().await.unwrap(), Vec::<String>::new());

    // What a collection does not take leaves it as it was.
    let stricter = SCHEMA.replace(r#"["email"]"#, r#"["email", "born"]"#);
    std::fs::write(project.path().join("users.json"), stricter).unwrap();
    preview.settle().await;
    let fault = replace(&client, &preview.settings, &contents, now).await.unwrap_err();
    assert_eq!(fault.message, "users does not take the documents");
    assert_eq!(preview.count("users").await, 12);
    // Nothing may leave without a rule.
    let no_rules = environment::MongoDb { collections: vec![collections()[2].clone()], ..production.settings.clone() };
    let origin = Origin { product: "shop".to_owned(), environment: "production".to_owned(), now };
    assert!(take_restored(&restored, "shop-local", &no_rules, origin).await.is_err());
}
