//! Every credential with every operation on real servers: as the table says at one's own, refused at another environment's, and
//! noticed where it is otherwise.

use mongodb::bson::doc;
use secrets::{Secret, generate};
use stores::checks::cells::{Borrowed, MongoCredentials, RedisCredentials, Told, Tried};
use stores::leases::{self, Lease, Rights, book};
use stores::mongo::{Members, OwnUser};
use stores::redis::{Door, Identity, Purpose, Settings};

use crate::leases::lease;
use crate::redis_replication::Group;
use crate::stand::{Stand, converge_mongo, converge_redis, mongo_settings};

/// A user with an app's rights and one that reads, as a check borrows them.
struct Loan {
    leases: [Lease; 2],
    password: Secret,
}

impl Loan {
    fn noted(stand: &Stand) -> Self {
        let password = generate::credential().unwrap();
        let leases = [(Rights::OfApp, "a"), (Rights::ReadOnly, "b")]
            .map(|(rights, id)| Lease { id: leases::name("gate", id), ..lease(rights, &password) });
        for lease in &leases {
            book::note(&stand.ground.root, lease.clone()).unwrap();
        }
        Self { leases, password }
    }

    fn borrowed(&self) -> Vec<Borrowed<'_>> {
        self.leases
            .iter()
            .map(|lease| Borrowed {
                rights: lease.rights,
                name: &lease.id,
                in_mongodb: &self.password,
                in_redis: &self.password,
            })
            .collect()
    }
}

fn told(tried: &[Tried]) -> Vec<Told> {
    tried.iter().flat_map(Tried::told).collect()
}

#[track_caller]
fn all_right(tried: &[Tried]) -> Vec<String> {
    let right = told(tried).into_iter().map(|told| match told {
        Told::AsItShould(sentence) => sentence,
        other => panic!("{other:?} among {tried:#?}"),
    });
    right.collect()
}

#[track_caller]
fn is_wrong(tried: &[Tried], wanted: &str) {
    let all = told(tried);
    assert!(
        all.iter().any(|told| matches!(told, Told::NotAsItShould(how) if how == wanted)),
        "no {wanted:?} in {all:#?}"
    );
}

async fn mongodb() -> (Stand, Loan) {
    let stand = Stand::new();
    converge_mongo(&stand.mongo().await).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let loan = Loan::noted(&stand);
    for lease in &loan.leases {
        leases::mongo::lend(&stand.ground, &stand.port.into(), lease, &loan.password).await.unwrap();
    }
    (stand, loan)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cell_of_mongodb_is_as_the_table_says_or_named() {
    let (stand, loan) = mongodb().await;
    let (settings, members) = (mongo_settings(), Members::from(stand.port));
    let credentials = MongoCredentials::gather(&stand.ground, &settings, &loan.borrowed()).unwrap();
    let began = std::time::Instant::now();
    let tried = credentials.try_own(&stand.ground, &settings, &members).await.unwrap();
    println!("{} ms", began.elapsed().as_millis());
    let right = all_right(&tried);
    println!("{right:#?}");
    assert_eq!(tried.iter().map(Tried::answered).sum::<usize>(), 11 * 32 - 1, "all but the login of nobody");
    for (who, cells) in [
        ("with the password of app-api", "log in, list collections, insert, read, update, remove"),
        ("as a lent user that reads", "log in, list collections, read, follow changes: done"),
        ("with the certificate of pitr", "log in, read the oplog: done"),
        ("without a login", "list collections, insert, read, update, remove, follow changes, make a collection"),
    ] {
        assert!(right.iter().any(|told| told.starts_with(who) && told.contains(cells)), "{who}, {cells}: {right:#?}");
    }
    // Nothing of it stays.
    let as_member = stand.mongo_as(OwnUser::Backup).database("shop-local");
    assert_eq!(
        as_member.collection::<mongodb::bson::Document>("roadbed_probe").count_documents(doc! {}).await.unwrap(),
        0
    );
    assert_eq!(as_member.list_collection_names().await.unwrap(), ["roadbed_probe"]);

    // Rights that somebody gave, and rights that somebody took.
    let admin = stand.mongo_admin();
    let pitr = OwnUser::PointInTimeReader.key(&stand.ground.id).name;
    let grant = doc! { "grantRolesToUser": &pitr, "roles": [{ "role": "readWriteAnyDatabase", "db": "admin" }] };
    admin.database("$external").run_command(grant).await.unwrap();
    let privilege = doc! { "resource": { "db": "shop-local", "collection": "" }, "actions": ["find"] };
    let narrow = doc! { "revokePrivilegesFromRole": "roadbed-backup", "privileges": [&privilege] };
    admin.database("shop-local").run_command(narrow).await.unwrap();
    let tried = credentials.try_own(&stand.ground, &settings, &members).await.unwrap();
    is_wrong(&tried, "with the certificate of pitr, read: allowed");
    is_wrong(&tried, "with the certificate of pitr, insert: allowed");
    is_wrong(&tried, "with the certificate of pitr, remove from another database: allowed");
    is_wrong(&tried, "with the certificate of backup, read: refused (Unauthorized)");

    // Whoever is silent has refused nothing.
    stand.units.lose_all();
    let tried = credentials.try_other(stand.port, "shop-local").await;
    assert!(told(&tried).iter().all(|told| matches!(told, Told::Untried(_))), "{tried:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_of_one_mongodb_opens_another_and_one_that_does_is_named() {
    let ((ours, our_loan), (theirs, their_loan)) = (mongodb().await, mongodb().await);
    let settings = mongo_settings();
    let mut credentials = MongoCredentials::gather(&ours.ground, &settings, &our_loan.borrowed()).unwrap();
    let right = all_right(&credentials.try_other(theirs.port, &settings.database).await);
    println!("{right:#?}");
    assert_eq!(right.len(), 11);
    assert!(right.iter().any(|told| told.starts_with("without a login: list collections, insert, read")), "{right:#?}");
    assert_eq!(right.iter().filter(|told| told.contains("log in: refused")).count(), 10, "{right:#?}");

    // A lent user of theirs that we know.
    credentials = MongoCredentials::gather(&ours.ground, &settings, &their_loan.borrowed()).unwrap();
    let tried = credentials.try_other(theirs.port, &settings.database).await;
    is_wrong(&tried, "as a lent user that reads, log in: allowed");
    is_wrong(&tried, "as a lent user that reads, read: allowed");
    is_wrong(&tried, "as a lent user with an app's rights, remove: allowed");
}

async fn redis() -> (Group, Loan) {
    let group = Group::new().await;
    let loan = Loan::noted(&group.stand);
    group.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    (group, loan)
}

async fn tried_own(group: &Group, loan: &Loan, unit: &str) -> Vec<Tried> {
    let all: Vec<Settings> = group.all.iter().map(|(settings, _)| settings.clone()).collect();
    let credentials = RedisCredentials::gather(&group.stand.ground, &all, &loan.borrowed()).unwrap();
    let (settings, port) = group.all.iter().find(|(settings, _)| settings.unit() == unit).unwrap();
    credentials.try_own(&group.stand.ground, settings, *port).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cell_of_redis_is_as_the_table_says_or_named() {
    let (group, loan) = redis().await;
    for (settings, _) in &group.all {
        let unit = settings.unit();
        let began = std::time::Instant::now();
        let tried = tried_own(&group, &loan, &unit).await;
        println!("{unit}: {} ms {:#?}", began.elapsed().as_millis(), all_right(&tried));
        let operations = if settings.purpose == Purpose::Sentinel { 10 } else { 22 };
        assert_eq!(tried.iter().map(Tried::answered).sum::<usize>(), 7 * operations);
    }

    // An app that may name every key, and read what the server is set to.
    let port = group.all[0].1;
    let admin = group.stand.secret(&Purpose::Durable.admin_secret());
    let who = Identity::User { name: stores::redis::ADMIN, password: &admin };
    let mut admin = Door::of(&group.stand.ground, port).unwrap().enter(who).await.unwrap();
    let widen = ["SETUSER", "app-api", "~*", "+config|get"];
    redis::cmd("ACL").arg(&widen).exec_async(&mut admin).await.unwrap();
    let tried = tried_own(&group, &loan, "redis").await;
    is_wrong(&tried, "with redis's password of app-api, read what others have: allowed");
    is_wrong(&tried, "with redis's password of app-api, read a setting: allowed");
    for member in &group.members {
        converge_redis(member).await.unwrap();
    }
    all_right(&tried_own(&group, &loan, "redis").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_of_one_redis_opens_another_and_one_that_does_is_named() {
    let ((ours, our_loan), (theirs, their_loan)) = (redis().await, redis().await);
    let all: Vec<Settings> = ours.all.iter().map(|(settings, _)| settings.clone()).collect();
    let gather = |loan: &Loan| RedisCredentials::gather(&ours.stand.ground, &all, &loan.borrowed()).unwrap();
    for (settings, port) in &theirs.all {
        let right = all_right(&gather(&our_loan).try_other(settings, *port).await.unwrap());
        assert_eq!(right.len(), 7, "{right:#?}");
        assert!(right.iter().all(|told| told.contains("refused (NOAUTH)") && !told.contains("done")), "{right:#?}");
    }
    let (settings, port) = &theirs.all[0];
    let tried = gather(&their_loan).try_other(settings, *port).await.unwrap();
    is_wrong(&tried, "as a lent user that reads, log in: allowed");
    is_wrong(&tried, "as a lent user with an app's rights, write: allowed");
}
