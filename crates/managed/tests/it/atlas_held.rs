//! A project at Atlas comes to be once, and stays as declared.

use std::sync::Arc;

use managed::Keeping;
use managed::atlas::api::Client;
use managed::atlas::wire::TakeSnapshot;
use managed::atlas::{AppUsers, AtlasMongo, Inside, Observed, Step};
use manifest::environment::Class;
use manifest::{AtlasCloud, AtlasSize};
use reconcile::{Fault, Resource, Root};
use secrets::{Secret, SecretName, Store};
use serde_json::json;

use crate::atlas::{Atlas, CLIENT, ORGANIZATION, SECRET};
use crate::served::{Served, Trouble};
use crate::upstash_held::store;

struct Stand {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    provider: Served<Atlas>,
    wanted: manifest::Atlas,
}

fn password() -> SecretName {
    SecretName::new("mongodb/app-api")
}

impl Stand {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let login = Secret::new(format!("{CLIENT}:{SECRET}"));
        store.set(&SecretName::new("mongodb/atlas"), Class::Secret, &login).unwrap();
        let wanted = manifest::Atlas {
            project: "shop-production".to_owned(),
            cluster: "production".to_owned(),
            organization: ORGANIZATION.to_owned(),
            cloud: AtlasCloud::Aws,
            region: "EU_CENTRAL_1".to_owned(),
            size: AtlasSize::M10,
            allow: vec!["203.0.113.7/32".to_owned(), "2001:db8::/64".to_owned()],
            keep_days: 14,
            adopt: None,
            api: String::new(),
        };
        Self { folder, store, provider: Served::new(Atlas::default()), wanted }
    }

    /// As a process that begins now has it.
    fn resource(&self) -> AtlasMongo {
        let root = Root::new(self.folder.path().to_owned());
        let access = SecretName::new("mongodb/atlas");
        let keeping = Keeping::new(&root, self.store.clone(), "production", "mongodb", access);
        let names = ["shop_production-app-api".to_owned(), "shop_production-app-api.b".to_owned()];
        let apps = vec![AppUsers { secret: password(), names }];
        let inside = Inside { database: "shop_production".to_owned(), apps, apps_index: false };
        AtlasMongo::new(self.wanted.clone(), inside, self.provider.way(""), keeping)
    }

    fn converge(&self) -> Result<Vec<Step>, Fault> {
        let resource = self.resource();
        let mut done = Vec::new();
        loop {
            let Some(step) = resource.steps(&resource.look()?).into_iter().next() else { return Ok(done) };
            resource.perform(&step)?;
            done.push(step);
            assert!(done.len() < 40, "{done:?}");
        }
    }

    fn address(&self) -> Option<String> {
        let found = self.store.get(&SecretName::new("mongodb/external")).unwrap();
        found.map(|found| found.secret.expose().to_owned())
    }

    fn users(&self) -> Vec<String> {
        let held = self.provider.held.lock().unwrap();
        let mut names: Vec<String> =
            held.provider.users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn password_of(&self, user: &str) -> Option<String> {
        self.provider.held.lock().unwrap().provider.passwords.get(user).cloned()
    }
}

#[test]
fn project_cluster_and_users_are_made_once() {
    let stand = Stand::new();
    {
        let mut held = stand.provider.held.lock().unwrap();
        (held.provider.slow, held.provider.pending, held.provider.token_holds) = (60, 3, 4);
    }
    let resource = stand.resource();
    let plan: Vec<String> = resource.steps(&resource.look().unwrap()).iter().map(ToString::to_string).collect();
    assert!(plan[1].contains("production at Atlas (M10, AWS EU_CENTRAL_1, three nodes)"), "{plan:?}");
    assert!(plan[1].contains("which Roadbed never does"));
    assert_eq!(
        stand.provider.changes().iter().filter(|one| !one.contains("oauth")).count(),
        0,
        "a plan changes nothing"
    );
    let done = stand.converge().unwrap();
    assert!(matches!(done[..2], [Step::MakeProject { .. }, Step::OrderCluster { .. }]), "{done:?}");
    assert!(done.contains(&Step::AwaitCluster) && done.contains(&Step::KeepSnapshots { days: 14 }));
    assert_eq!(stand.converge().unwrap(), [], "a second time there is nothing to do");
    let waited = stand.provider.waited();
    assert!(waited.contains(&10) && waited.contains(&3), "{waited:?}");
    let secret = stand.store.get(&SecretName::new("mongodb/atlas-administrator")).unwrap().unwrap().secret;
    let address = stand.address().unwrap();
    assert!(address.starts_with("mongodb+srv://shop%5Fproduction%2Droadbed:"), "{address}");
    assert!(address.ends_with("@production.ab1cd.mongodb.example/?authSource=admin"), "{address}");
    assert_eq!(stand.password_of("shop_production-roadbed").as_deref(), Some(secret.expose()));
    assert_eq!(stand.users(), ["shop_production-app-api", "shop_production-roadbed"]);
    let held = stand.provider.held.lock().unwrap();
    assert!(held.provider.tokens > 3, "tokens that were over were renewed");
    let cluster = &held.provider.clusters[0];
    assert_eq!((&cluster["terminationProtectionEnabled"], &cluster["backupEnabled"]), (&json!(true), &json!(true)));
    let user = held.provider.users.iter().find(|user| user["username"] == "shop_production-app-api").unwrap();
    assert_eq!(user["scopes"], json!([{ "name": "production", "type": "CLUSTER" }]));
    let role = held.provider.roles.iter().find(|role| role["roleName"] == "shop_production-app").unwrap();
    let actions = role["actions"].to_string();
    assert!(!actions.contains("CREATE_INDEX") && !actions.contains("DROP"), "{actions}");
}

#[test]
fn a_run_that_is_killed_after_any_change_goes_on_and_makes_nothing_twice() {
    let whole = Stand::new();
    whole.converge().unwrap();
    let changes = whole.provider.changes().iter().filter(|one| !one.contains("oauth")).count();
    assert!(changes > 7, "{:?}", whole.provider.changes());
    for killed_after in 0..changes {
        let stand = Stand::new();
        stand.provider.dies_after(Some(killed_after));
        stand.converge().unwrap_err();
        stand.provider.dies_after(None);
        stand.converge().unwrap();
        assert_eq!(stand.converge().unwrap(), []);
        let held = stand.provider.held.lock().unwrap();
        assert!(held.wrong.is_empty(), "{:?}", held.wrong);
        let there = (held.provider.projects.len(), held.provider.clusters.len(), held.provider.users.len());
        assert_eq!(there, (1, 1, 2), "killed after {killed_after}: {:?}", held.asked);
        let password = stand.store.get(&password()).unwrap().unwrap().secret;
        assert_eq!(held.provider.passwords["shop_production-app-api"], password.expose());
    }
}

#[test]
fn a_password_is_rotated_by_two_users_in_turn() {
    let stand = Stand::new();
    stand.converge().unwrap();
    let before = stand.password_of("shop_production-app-api").unwrap();
    let next = Secret::new("the next password of the app".to_owned());
    stand.store.stage(&password(), &next).unwrap();
    stand.converge().unwrap();
    assert_eq!(stand.password_of("shop_production-app-api"), Some(before), "what is held is let in");
    assert_eq!(stand.password_of("shop_production-app-api.b").as_deref(), Some(next.expose()));
    stand.store.promote(&password()).unwrap();
    assert_eq!(stand.converge().unwrap(), []);
    stand.store.retire(&password()).unwrap();
    let done = stand.converge().unwrap();
    assert_eq!(done, [Step::RemoveUser { name: "shop_production-app-api".to_owned() }]);
    assert_eq!(stand.users(), ["shop_production-app-api.b", "shop_production-roadbed"]);
}

#[test]
fn what_others_changed_is_put_right_and_what_is_theirs_is_told() {
    let stand = Stand::new();
    stand.converge().unwrap();
    {
        let held = &mut stand.provider.held.lock().unwrap().provider;
        held.entries.remove(0);
        held.entries.push(json!({ "cidrBlock": "0.0.0.0/0" }));
        held.roles[0]["actions"][0]["action"] = json!("DROP_DATABASE");
        held.users[0]["scopes"] = json!([]);
        held.users.push(json!({ "username": "bob", "databaseName": "admin", "roles": [], "scopes": [] }));
        held.schedule["policies"][0]["policyItems"][1]["retentionValue"] = json!(3);
        held.clusters[0]["replicationSpecs"][0]["regionConfigs"][0]["electableSpecs"]["instanceSize"] = json!("M20");
    }
    let done = stand.converge().unwrap();
    assert_eq!(done.len(), 4, "{done:?}");
    let resource = stand.resource();
    let told = resource.drift(&resource.look().unwrap());
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("0.0.0.0/0") && told[1].contains("bob") && told[2].contains("M20"), "{told:?}");
    let held = stand.provider.held.lock().unwrap();
    let items = &held.provider.schedule["policies"][0]["policyItems"];
    assert_eq!((&items[0]["retentionValue"], &items[1]["retentionValue"]), (&json!(2), &json!(14)));
    assert!(!held.asked.iter().any(|one| one.starts_with("DELETE") || one.contains("Compliance")), "{:?}", held.asked);
}

#[test]
fn snapshots_that_somebody_keeps_longer_stay() {
    let stand = Stand::new();
    stand.converge().unwrap();
    stand.provider.held.lock().unwrap().provider.schedule["policies"][0]["policyItems"][1]["retentionValue"] =
        json!(90);
    assert_eq!(stand.converge().unwrap(), []);
}

#[test]
fn what_is_in_no_book_is_not_ours() {
    let mut stand = Stand::new();
    let id = stand.provider.held.lock().unwrap().provider.by_hand("shop-production");
    let fault = stand.converge().unwrap_err();
    assert!(fault.message.contains("this root did not make it"), "{fault:?}");
    assert_eq!(stand.users(), [""; 0]);
    stand.wanted.adopt = Some(id);
    assert!(matches!(stand.converge().unwrap().first(), Some(Step::Take { .. })));
    assert!(stand.address().is_some());
}

#[test]
fn a_cluster_that_is_gone_or_paused_is_not_replaced_by_an_empty_one() {
    let stand = Stand::new();
    stand.converge().unwrap();
    stand.provider.held.lock().unwrap().provider.clusters[0]["paused"] = json!(true);
    assert!(stand.converge().unwrap_err().message.contains("is paused"));
    stand.provider.held.lock().unwrap().provider.clusters.clear();
    assert!(stand.converge().unwrap_err().message.contains("the cluster production at Atlas"));
    stand.provider.held.lock().unwrap().provider.projects.clear();
    assert!(stand.converge().unwrap_err().message.contains("is gone"));
    assert!(stand.provider.held.lock().unwrap().provider.clusters.is_empty());
}

#[test]
fn nothing_that_is_said_holds_a_password_or_what_opens_the_account() {
    let stand = Stand::new();
    stand.converge().unwrap();
    let next = Secret::new("the next password of the app".to_owned());
    stand.store.stage(&password(), &next).unwrap();
    let echo = r#"{"error": 400, "errorCode": "WEAK", "detail": "the next password of the app is weak"}"#;
    stand.provider.script("POST", Trouble::Instead(400, "", echo));
    let fault = stand.converge().unwrap_err();
    let told = format!("{fault:?}");
    assert!(told.contains("WEAK: … is weak") && !told.contains(next.expose()), "{told}");
    let steps = format!("{:?}", stand.resource().look().unwrap());
    assert!(!steps.contains(next.expose()), "{steps}");
    stand.store.set(&SecretName::new("mongodb/atlas"), Class::Secret, &Secret::new(format!("{CLIENT}:x"))).unwrap();
    let told = format!("{:?}", stand.converge().unwrap_err());
    assert!(told.contains("wrong or over") && told.contains('…'), "{told}");
    for sent in &stand.provider.held.lock().unwrap().sent {
        assert!(!sent.contains(SECRET), "what opens the account goes in a header alone: {sent}");
    }
}

#[test]
fn all_else_that_the_api_can_is_said_as_it_is_described() {
    let stand = Stand::new();
    stand.converge().unwrap();
    let Observed::There(_) = stand.resource().look().unwrap() else { panic!("it is not there") };
    let (id, secret) = (Secret::new(CLIENT.to_owned()), Secret::new(SECRET.to_owned()));
    let client = Client::new(&stand.provider.way(""), &id, &secret).unwrap();
    let project = client.project("shop-production").unwrap().unwrap();
    let wanted = TakeSnapshot { description: "before a migration", retention_in_days: 3 };
    client.take_snapshot(&project.id, "production", &wanted).unwrap();
    assert_eq!(client.snapshots(&project.id, "production").unwrap()[0].status, "completed");
    stand.provider.changes();
}
