//! Collections on a real mongod: made and kept as the manifest says, and nothing destroyed without a word.

use std::path::PathBuf;

use manifest::environment::{self, Collection, Index, KeyKind};
use manifest::id::CollectionName;
use mongodb::bson::{Document, doc};
use reconcile::{Fault, Resource};
use stores::mongo::collections::{Collections, Destroy};
use stores::mongo::{Mongo, OwnUser, app_secret, mongo_url};

use crate::stand::{Stand, app, converge, converge_mongo, mongo_settings};

const SCHEMA: &str = r#"{
    "bsonType": "object",
    "required": ["slug"],
    "properties": { "slug": { "bsonType": "string" }, "price": { "bsonType": ["int", "long"], "minimum": 0 } }
}"#;

/// A settled MongoDB and a project folder with a schema.
struct Shop {
    stand: Stand,
    mongo: Mongo,
    project: tempfile::TempDir,
}

impl Shop {
    async fn new(collections: Vec<Collection>) -> Self {
        let stand = Stand::new();
        let mongo = stand.mongo_with(settings(collections)).await;
        converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("products.json"), SCHEMA).unwrap();
        Self { stand, mongo, project }
    }

    fn collections(&self, collections: Vec<Collection>, destroy: Destroy) -> Collections {
        let project = PathBuf::from(self.project.path());
        Collections::new(settings(collections), self.stand.port, project, destroy, self.stand.ground.clone())
    }

    async fn as_app(&self) -> mongodb::Database {
        let url = mongo_url(&mongo_settings(), &app(), self.stand.port, &self.stand.versioned(&app_secret(&app())));
        self.stand.mongo_client(&url).await.unwrap().database("shop-local")
    }

    /// Somebody at the server's shell, with the rights of the user that changes collections.
    async fn by_hand(&self, command: Document) {
        let client = self.stand.mongo_as(OwnUser::Collections);
        client.database("shop-local").run_command(command).await.unwrap();
    }
}

fn settings(collections: Vec<Collection>) -> environment::MongoDb {
    environment::MongoDb { collections, ..mongo_settings() }
}

fn products(indexes: Vec<Index>) -> Vec<Collection> {
    let name = CollectionName::new("products").unwrap();
    vec![Collection {
        name,
        doc: "What is sold".to_owned(),
        schema: Some("products.json".to_owned()),
        indexes,
        sample: None,
    }]
}

fn index(name: &str, keys: &[(&str, KeyKind)]) -> Index {
    let keys = keys.iter().map(|(field, kind)| ((*field).to_owned(), *kind)).collect();
    Index { name: name.to_owned(), keys, unique: false, only: None, expire_after: None }
}

fn slug() -> Index {
    Index { unique: true, ..index("slug_1", &[("slug", KeyKind::Ascending)]) }
}

async fn settle(collections: &Collections) -> Result<Vec<String>, Fault> {
    converge(collections, |step| async move { collections.perform(&step).await }).await
}

async fn drift(collections: &Collections) -> Vec<String> {
    collections.drift(&collections.observe().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_are_made_once_and_hold_documents_to_their_schema() {
    let all = vec![
        slug(),
        index("category_1_price_-1", &[("category", KeyKind::Ascending), ("price", KeyKind::Descending)]),
        index("name_text_summary_text", &[("name", KeyKind::Text), ("summary", KeyKind::Text)]),
        index("place_2dsphere", &[("place", KeyKind::Sphere)]),
        index("user_hashed", &[("user", KeyKind::Hashed)]),
        Index {
            only: Some("{ \"key\": { \"$type\": \"string\" } }".to_owned()),
            unique: true,
            ..index("key_1", &[("key", KeyKind::Ascending)])
        },
        Index {
            expire_after: Some(std::time::Duration::from_secs(3600)),
            ..index("seen_1", &[("seen", KeyKind::Ascending)])
        },
    ];
    let shop = Shop::new(products(all.clone())).await;
    let collections = shop.collections(products(all), Destroy::Never);
    let steps = settle(&collections).await.unwrap();
    assert_eq!(steps[0], "create the collection products");
    assert_eq!(steps.len(), 1 + 7, "{steps:#?}");
    assert_eq!(settle(&collections).await.unwrap(), Vec::<String>::new());
    assert_eq!(drift(&collections).await, Vec::<String>::new());
    assert_eq!(converge_mongo(&shop.mongo).await.unwrap(), Vec::<String>::new());

    let database = shop.as_app().await;
    let documents = database.collection::<Document>("products");
    documents.insert_one(doc! { "slug": "a", "price": 1 }).await.unwrap();
    for wrong in [doc! { "price": 1 }, doc! { "slug": 1 }, doc! { "slug": "b", "price": -1 }] {
        let refused = documents.insert_one(wrong.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("failed validation"), "{wrong}: {refused}");
    }
    assert!(documents.insert_one(doc! { "slug": "a" }).await.unwrap_err().to_string().contains("E11000"));
    // What the manifest looks after is no longer the app's to change.
    let by_app = doc! { "createIndexes": "products", "indexes": [{ "name": "x", "key": { "x": 1 } }] };
    assert!(database.run_command(by_app).await.unwrap_err().to_string().contains("not authorized"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_put_right_and_nothing_is_destroyed_without_a_word() {
    let shop = Shop::new(products(vec![slug()])).await;
    let careful = shop.collections(products(vec![slug()]), Destroy::Never);
    settle(&careful).await.unwrap();

    shop.by_hand(doc! { "collMod": "products", "validator": {}, "validationLevel": "off" }).await;
    shop.by_hand(doc! { "dropIndexes": "products", "index": "slug_1" }).await;
    assert_eq!(
        settle(&careful).await.unwrap(),
        ["set the schema of products", "create the index slug_1 (unique) of products"]
    );
    shop.by_hand(doc! { "collMod": "products", "validationAction": "warn" }).await;
    assert_eq!(settle(&careful).await.unwrap(), ["set the schema of products"]);

    let more = doc! { "createIndexes": "products", "indexes": [{ "name": "price_1", "key": { "price": 1 } }] };
    shop.by_hand(more).await;
    shop.by_hand(doc! { "dropIndexes": "products", "index": "slug_1" }).await;
    let other = doc! { "createIndexes": "products", "indexes": [{ "name": "slug_1", "key": { "slug": 1 } }] };
    shop.by_hand(other).await;
    assert_eq!(settle(&careful).await.unwrap(), Vec::<String>::new());
    let told = [
        "drop the index price_1 of products: the manifest does not declare it",
        "drop the index slug_1 of products: the manifest declares it otherwise",
    ];
    assert_eq!(drift(&careful).await, told.map(|what| format!("{what}; `--allow-destroy` does it")));

    let allowed = shop.collections(products(vec![slug()]), Destroy::Allowed);
    let mut steps = settle(&allowed).await.unwrap();
    let last = steps.pop();
    assert_eq!(steps, told);
    assert_eq!(last.as_deref(), Some("create the index slug_1 (unique) of products"));
    assert_eq!(settle(&careful).await.unwrap(), Vec::<String>::new());
    assert_eq!(drift(&careful).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_in_the_way_of_a_unique_index_are_named_and_their_values_are_not() {
    let shop = Shop::new(products(Vec::new())).await;
    settle(&shop.collections(products(Vec::new()), Destroy::Never)).await.unwrap();
    let documents = shop.as_app().await.collection::<Document>("products");
    for (id, slug) in [("one", "anna@shop.example"), ("two", "anna@shop.example"), ("three", "other")] {
        documents.insert_one(doc! { "_id": id, "slug": slug }).await.unwrap();
    }
    let collections = shop.collections(products(vec![slug()]), Destroy::Never);
    let fault = settle(&collections).await.unwrap_err();
    assert_eq!(fault.message, "cannot create the unique index slug_1 of products");
    assert_eq!(fault.causes, ["the documents with _id \"one\", \"two\" have the same slug"]);
    assert!(!format!("{fault:?}").contains("anna@"), "{fault:?}");
    documents.delete_one(doc! { "_id": "two" }).await.unwrap();
    assert_eq!(settle(&collections).await.unwrap(), ["create the index slug_1 (unique) of products"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_lifetime_of_documents_is_set_in_place() {
    let seen = |seconds| Index {
        expire_after: Some(std::time::Duration::from_secs(seconds)),
        ..index("seen_1", &[("seen", KeyKind::Ascending)])
    };
    let shop = Shop::new(products(vec![seen(60)])).await;
    settle(&shop.collections(products(vec![seen(60)]), Destroy::Never)).await.unwrap();
    let longer = shop.collections(products(vec![seen(0)]), Destroy::Never);
    assert_eq!(settle(&longer).await.unwrap(), ["let documents of products expire by seen_1 after 0 s"]);
    // Whether documents expire at all is another index.
    let never = vec![index("seen_1", &[("seen", KeyKind::Ascending)])];
    let careful = shop.collections(products(never), Destroy::Never);
    assert_eq!(settle(&careful).await.unwrap(), Vec::<String>::new());
    assert_eq!(drift(&careful).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_cannot_be_used_is_told_with_its_file() {
    let shop = Shop::new(products(Vec::new())).await;
    let file = shop.project.path().join("products.json");
    let collections = shop.collections(products(Vec::new()), Destroy::Never);
    std::fs::write(&file, "{ \"bsonType\": ").unwrap();
    let fault = collections.observe().await.unwrap_err();
    assert!(fault.message.contains("products.json") && fault.causes[0].contains("line 1"), "{fault:?}");
    std::fs::write(&file, "{ \"bsonTyp\": \"object\" }").unwrap();
    let fault = settle(&collections).await.unwrap_err();
    assert!(fault.causes[0].contains("bsonTyp"), "{fault:?}");
    std::fs::remove_file(&file).unwrap();
    assert!(collections.observe().await.unwrap_err().message.contains("products.json"));
}
