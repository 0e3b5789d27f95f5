//! Certificates on a real mongod: of the server, renewed under living connections, and of our own users.

use std::sync::Arc;
use std::time::{Duration, Instant};

use certificates::{Authority, Purpose, Subject};
use host::clock::{Clock, SystemClock, Timestamp};
use manifest::environment::Class;
use mongodb::bson::{Document, doc};
use reconcile::Resource;
use secrets::{Secret, SecretName};
use stores::mongo::{Mongo, OwnUser, Step, app_secret, members, mongo_url};

use crate::members::{as_app, assert_nothing_to_do, free_ports, make_primary, primary_of, settled as settled_set};
use crate::stand::{Stand, app, converge_mongo, mongo_settings, until};

const DAY: Duration = Duration::from_hours(24);

const RENEW: &str = "renew the server's certificate";
const LOAD: &str = "let the server load its certificate, with all connections kept";
const RESTART: &str = "start again with a certificate that is believed";

/// The system's clock, some seconds off.
#[derive(Debug)]
struct Off(i64);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(SystemClock.now().unix_millis() + self.0 * 1000)
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }
}

async fn settled(stand: &Stand) -> Mongo {
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    mongo
}

/// The same MongoDB, seen some days earlier or later.
async fn seen_on_day(stand: &mut Stand, day: i64) -> Mongo {
    let port = stand.port;
    set_seen_on_day(stand, &[port], day).await
}

/// The same replica set.
async fn set_seen_on_day(stand: &mut Stand, ports: &[u16], day: i64) -> Mongo {
    set_seen(stand, ports, day * i64::try_from(DAY.as_secs()).unwrap()).await
}

async fn set_seen(stand: &mut Stand, ports: &[u16], seconds: i64) -> Mongo {
    stand.ground.clock = Arc::new(Off(seconds));
    let mongo = stand.mongo_of(ports).await;
    stand.ground.clock = Arc::new(SystemClock);
    mongo
}

async fn told(mongo: &Mongo) -> Vec<String> {
    mongo.plan(&mongo.observe().await.unwrap()).iter().map(Step::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_after_two_thirds_of_its_life_and_no_connection_notices() {
    let mut stand = Stand::new();
    let mongo = settled(&stand).await;
    // As if it had been made 70 days ago.
    let earlier = seen_on_day(&mut stand, -70).await;
    earlier.perform(&Step::RenewCertificate).await.unwrap();
    mongo.perform(&Step::LoadCertificate).await.unwrap();
    let old = std::fs::read(stand.ground.root.conf().join("mongodb/certificate.pem")).unwrap();

    let url = mongo_url(&mongo_settings(), &app(), stand.port, &stand.versioned(&app_secret(&app())));
    let client = stand.mongo_client(&url).await.unwrap();
    let things = client.database("shop-local").collection::<Document>("things");
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
    // A cursor lives on one connection: it ends with it.
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": 2 }).session(&mut session).await.unwrap();
    let pid = stand.units.pid("mongodb");

    assert_eq!(converge_mongo(&mongo).await.unwrap(), [RENEW, LOAD]);
    session.commit_transaction().await.unwrap();
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 2);
    assert_eq!(stand.units.pid("mongodb"), pid);
    let new = std::fs::read(stand.ground.root.conf().join("mongodb/certificate.pem")).unwrap();
    assert_ne!(old, new);
    // What loads it may be killed in between: the server is asked what it shows.
    earlier.perform(&Step::RenewCertificate).await.unwrap();
    mongo.perform(&Step::RenewCertificate).await.unwrap();
    assert_eq!(told(&mongo).await, [LOAD]);
    assert_eq!(converge_mongo(&mongo).await.unwrap(), [LOAD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ran_out_or_that_we_do_not_believe_is_made_anew() {
    let mut stand = Stand::new();
    let mongo = settled(&stand).await;
    let later = seen_on_day(&mut stand, 100).await;
    assert_eq!(told(&later).await, [RENEW, RESTART]);

    // It ran out while the environment was down.
    let earlier = seen_on_day(&mut stand, -100).await;
    reconcile::ports::Units::remove(&*stand.units, "mongodb").await.unwrap();
    earlier.perform(&Step::RenewCertificate).await.unwrap();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), [RENEW, "start on the loopback port"]);

    // Somebody gave the running server another.
    let now = SystemClock.now();
    let foreign = Authority::make("somebody else", now, 10 * DAY).unwrap();
    let hosts = ["127.0.0.1".to_owned()];
    let subject = Subject { common_name: "mongodb", organization: None, hosts: &hosts, purposes: &[Purpose::Server] };
    let leaf = foreign.issue(&subject, now, DAY).unwrap();
    let conf = stand.ground.root.conf().join("mongodb");
    let put = |name: &str, text: String| {
        let _ = std::fs::remove_file(conf.join(name));
        std::fs::write(conf.join(name), text).unwrap();
    };
    let admin = stand.mongo_admin();
    admin.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
    put("certificate.pem", format!("{}{}", *leaf.key_pem, leaf.chain_pem));
    put("ca.pem", foreign.certificate_pem.clone());
    admin.database("admin").run_command(doc! { "rotateCertificates": 1 }).await.unwrap();
    assert_eq!(converge_mongo(&mongo).await.unwrap(), [RENEW, RESTART]);
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn data_from_before_certificates_gets_an_administrator_who_has_one_and_its_password_is_forgotten() {
    let stand = Stand::new();
    let mongo = settled(&stand).await;
    let admin = stand.mongo_admin();
    let password = "former".repeat(6);
    let former = doc! { "createUser": "roadbed", "pwd": &password, "roles": ["userAdminAnyDatabase"] };
    admin.database("admin").run_command(former).await.unwrap();
    admin.database("$external").run_command(doc! { "dropAllUsersFromDatabase": 1 }).await.unwrap();

    // Nobody knows the password.
    let fault = converge_mongo(&stand.mongo().await).await.unwrap_err();
    assert!(fault.message.contains("they are not ours"), "{fault:#?}");
    let name = SecretName::new("mongodb/admin");
    stand.ground.secrets.set(&name, Class::Secret, &Secret::new("wrong".repeat(6))).unwrap();
    let fault = converge_mongo(&stand.mongo().await).await.unwrap_err();
    assert!(fault.message.contains("they are not ours"), "{fault:#?}");

    stand.ground.secrets.set(&name, Class::Secret, &Secret::new(password)).unwrap();
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps[0], "create the administrator in place of the former one");
    assert!(steps.contains(&"remove user roadbed of admin, which nobody asked for".to_owned()), "{steps:#?}");
    assert_eq!(steps.last().unwrap(), "forget mongodb/admin: its user shows a certificate");
    assert!(stand.ground.secrets.get(&name).unwrap().is_none());
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_authority_that_is_lost_is_made_again_and_the_data_stays_ours() {
    let stand = Stand::new();
    let mongo = settled(&stand).await;
    std::fs::remove_dir_all(stand.ground.root.conf().join("authority")).unwrap();
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps[0], "write the configuration and make missing credentials", "{steps:#?}");
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_root_gets_users_of_its_own_name() {
    let mut stand = Stand::new();
    let _mongo = settled(&stand).await;
    stand.ground.id = "2".to_owned();
    let copy = stand.mongo().await;
    let steps = converge_mongo(&copy).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps[0], "create the administrator in place of the former one");
    assert!(
        steps.iter().any(|step| step.starts_with("remove user CN=roadbed,OU=control,O=1 of $external")),
        "{steps:#?}"
    );
    assert_eq!(converge_mongo(&copy).await.unwrap(), Vec::<String>::new());

    // A copy of that on another port: its set does not find itself, and nobody there is called as this one's administrator.
    stand.units.lose_all();
    stand.ground.id = "3".to_owned();
    stand.port = host::socket::free_port().unwrap();
    let copy = stand.mongo().await;
    let steps = converge_mongo(&copy).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let moved = steps.iter().position(|step| step == "move the replica set to this port").unwrap();
    let made = steps.iter().position(|step| step == "create the administrator in place of the former one").unwrap();
    assert!(moved < made, "{steps:#?}");
    assert_eq!(converge_mongo(&copy).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn members_load_their_certificates_one_by_one_and_one_that_nobody_believes_starts_again() {
    let mut stand = Stand::new();
    let ports = free_ports(3);
    let mongo = settled_set(&stand, &ports).await;
    let units = ["mongodb", "mongodb-2", "mongodb-3"];
    let load = |unit: &str| format!("let {unit} load its certificate, with all connections kept");
    let earlier = set_seen_on_day(&mut stand, &ports, -70).await;
    earlier.perform(&Step::RenewCertificate).await.unwrap();
    for (number, port) in (1..).zip(&ports) {
        mongo.perform(&Step::Member(members::Step::LoadCertificate { number, port: *port })).await.unwrap();
    }
    let client = as_app(&stand, &ports).await;
    let things = client.database("shop-local").collection::<Document>("things");
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": 2 }).session(&mut session).await.unwrap();
    let pids = units.map(|unit| stand.units.pid(unit));

    let mut wanted = vec![RENEW.to_owned()];
    wanted.extend(units.map(load));
    assert_eq!(converge_mongo(&mongo).await.unwrap(), wanted);
    session.commit_transaction().await.unwrap();
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 2);
    assert_eq!(units.map(|unit| stand.units.pid(unit)), pids);
    assert_nothing_to_do(&mongo).await;

    // All of them ran out, while nobody looked: no member believes another, and nobody believes any.
    let anew = |unit: &str| format!("start {unit} again with a certificate that is believed");
    let mut wanted = vec![RENEW.to_owned()];
    wanted.extend(units.map(anew));
    // A server's certificate is for 90 days; these have some seconds of them left.
    let ninety_days = 90 * i64::try_from(DAY.as_secs()).unwrap();
    let long_ago = set_seen(&mut stand, &ports, 15 - ninety_days).await;
    long_ago.perform(&Step::RenewCertificate).await.unwrap();
    for (number, port) in (1..).zip(&ports) {
        mongo.perform(&Step::Member(members::Step::LoadCertificate { number, port: *port })).await.unwrap();
    }
    until("all certificates have run out", || async { told(&mongo).await == wanted }).await;
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps[..wanted.len()], wanted, "{steps:#?}");
    assert_nothing_to_do(&mongo).await;
    let client = as_app(&stand, &ports).await;
    let things = client.database("shop-local").collection::<Document>("things");
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 2);
    let pids = units.map(|unit| stand.units.pid(unit));

    // Somebody gave one of them another. The others serve meanwhile.
    if primary_of(&stand, &ports).await == ports[1] {
        make_primary(&stand, &ports, ports[0]).await;
    }
    let now = SystemClock.now();
    let foreign = Authority::make("somebody else", now, 10 * DAY).unwrap();
    let hosts = ["127.0.0.1".to_owned()];
    let purposes = [Purpose::Server, Purpose::Client];
    let subject = Subject { common_name: "mongodb", organization: None, hosts: &hosts, purposes: &purposes };
    let leaf = foreign.issue(&subject, now, DAY).unwrap();
    let admin = stand.mongo_as_at(OwnUser::Administrator, ports[1]).database("admin");
    admin.run_command(doc! { "ping": 1 }).await.unwrap();
    let file = stand.ground.root.conf().join("mongodb-2/certificate.pem");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, format!("{}{}", *leaf.key_pem, leaf.chain_pem)).unwrap();
    std::fs::write(stand.ground.root.conf().join("mongodb-2/ca.pem"), &foreign.certificate_pem).unwrap();
    admin.run_command(doc! { "rotateCertificates": 1 }).await.unwrap();
    assert_eq!(told(&mongo).await, [RENEW.to_owned(), anew("mongodb-2")]);
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_nothing_to_do(&mongo).await;
    assert_eq!(stand.units.pid("mongodb"), pids[0]);
    assert_eq!(stand.units.pid("mongodb-3"), pids[2]);
    make_primary(&stand, &ports, ports[1]).await;
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_without_our_administrator_gets_one_at_its_primary_and_data_of_another_store_is_left_alone() {
    let stand = Stand::new();
    let ports = free_ports(3);
    let mongo = settled_set(&stand, &ports).await;
    make_primary(&stand, &ports, ports[2]).await;
    let admin = stand.mongo_as_at(OwnUser::Administrator, ports[2]).database("$external");
    admin.run_command(doc! { "dropUser": OwnUser::Administrator.key("1").name }).await.unwrap();
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps, ["create the administrator in place of the former one"]);
    assert_nothing_to_do(&mongo).await;

    let admin = stand.mongo_as_at(OwnUser::Administrator, ports[2]).database("$external");
    admin.run_command(doc! { "dropAllUsersFromDatabase": 1 }).await.unwrap();
    let fault = converge_mongo(&mongo).await.unwrap_err();
    assert!(fault.message.contains("they are not ours"), "{fault:#?}");
}
