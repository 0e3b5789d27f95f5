//! A database at Upstash comes to be once, and stays as declared.

use std::sync::Arc;

use managed::Keeping;
use managed::upstash::api::{BackupState, Client, MayDestroy};
use managed::upstash::{Observed, Step, UpstashRedis};
use manifest::environment::Class;
use manifest::{UpstashPlan, UpstashRegion};
use reconcile::{Fault, Resource, Root};
use secrets::{Seat, Secret, SecretName, Store};

use crate::served::{Served, Trouble};
use crate::upstash::{KEY, MAIL, Upstash};

pub(crate) fn store(folder: &tempfile::TempDir) -> Arc<Store> {
    let clock = Arc::new(host::clock::SystemClock);
    Arc::new(Store::new(Seat::standalone(folder.path(), clock)))
}

pub(crate) struct Stand {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) provider: Served<Upstash>,
    pub(crate) wanted: manifest::Upstash,
}

impl Stand {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let login = Secret::new(format!("{MAIL}:{KEY}\n"));
        store.set(&SecretName::new("redis/upstash"), Class::Secret, &login).unwrap();
        let wanted = manifest::Upstash {
            name: "shop-production-redis".to_owned(),
            region: UpstashRegion::EuCentral1,
            plan: UpstashPlan::Payg,
            budget: Some(20),
            daily_backup: true,
            eviction: false,
            adopt: None,
            api: String::new(),
        };
        Self { folder, store, provider: Served::new(Upstash::default()), wanted }
    }

    /// As a process that begins now has it.
    pub(crate) fn resource(&self) -> UpstashRedis {
        let root = Root::new(self.folder.path().to_owned());
        let access = SecretName::new("redis/upstash");
        let keeping = Keeping::new(&root, self.store.clone(), "production", "redis", access);
        UpstashRedis::new(self.wanted.clone(), self.provider.way("/v2"), keeping)
    }

    /// Looks, plans and does the first step, until there is none, as convergence does.
    pub(crate) fn converge(&self) -> Result<Vec<Step>, Fault> {
        let resource = self.resource();
        let mut done = Vec::new();
        loop {
            let Some(step) = resource.steps(&resource.look()?).into_iter().next() else { return Ok(done) };
            resource.perform(&step)?;
            done.push(step);
            assert!(done.len() < 20, "{done:?}");
        }
    }

    pub(crate) fn address(&self) -> Option<String> {
        let found = self.store.get(&SecretName::new("redis/external")).unwrap();
        found.map(|found| found.secret.expose().to_owned())
    }
}

#[test]
fn it_is_ordered_once_and_its_address_kept() {
    let stand = Stand::new();
    stand.provider.held.lock().unwrap().provider.slow = 3;
    let resource = stand.resource();
    let plan: Vec<String> = resource.steps(&resource.look().unwrap()).iter().map(ToString::to_string).collect();
    assert!(
        plan[0].contains("shop-production-redis at Upstash (eu-central-1, payg, at most 20 $ a month)"),
        "{plan:?}"
    );
    assert!(plan[0].contains("until you delete it there, which Roadbed never does"));
    assert_eq!(stand.provider.changes(), [""; 0], "a plan changes nothing");
    let done = stand.converge().unwrap();
    assert_eq!(done.len(), 3, "{done:?}");
    // In two pieces: whole it would be what the search for secrets looks for.
    let login = "default:pass%2Fof%201";
    assert_eq!(stand.address().unwrap(), format!("rediss://{login}@calm-crab-1.upstash.io:6379"));
    assert_eq!(stand.converge().unwrap(), [], "a second time there is nothing to do");
    assert_eq!(stand.provider.changes().len(), 2);
    assert_eq!(stand.provider.waited(), [2, 2, 2]);
}

#[test]
fn a_run_that_is_killed_after_any_change_goes_on_and_orders_no_second_one() {
    for changes in 0..3 {
        let stand = Stand::new();
        stand.provider.dies_after(Some(changes));
        stand.converge().unwrap_err();
        stand.provider.dies_after(None);
        // A list may be older than the order.
        stand.provider.held.lock().unwrap().provider.stale = 2;
        stand.converge().unwrap();
        assert_eq!(stand.converge().unwrap(), []);
        let held = stand.provider.held.lock().unwrap();
        assert_eq!(held.provider.databases.len(), 1, "killed after {changes}: {:?}", held.asked);
        drop(held);
        assert!(stand.address().is_some());
    }
}

#[test]
fn what_others_changed_is_put_right_and_what_is_theirs_is_told() {
    let stand = Stand::new();
    stand.converge().unwrap();
    let change = |key: &str, value: serde_json::Value| {
        stand.provider.held.lock().unwrap().provider.databases[0][key] = value;
    };
    change("eviction", true.into());
    change("budget", 500.into());
    change("daily_backup_enabled", false.into());
    change("password", "changed by hand".into());
    let done = stand.converge().unwrap();
    let expected = [
        Step::SetEviction { drops: false },
        Step::SetBudget { dollars: 20 },
        Step::EnableDailyBackup,
        Step::KeepAddress,
    ];
    assert_eq!(done, expected);
    assert!(stand.address().unwrap().contains("changed%20by%20hand"));
    change("primary_region", "us-east-1".into());
    change("database_name", "renamed".into());
    change("state", "passive".into());
    let resource = stand.resource();
    let seen = resource.look().unwrap();
    assert_eq!(resource.steps(&seen), [], "nothing is moved, renamed or ordered anew");
    assert_eq!(resource.drift(&seen).len(), 3, "{:?}", resource.drift(&seen));
    change("state", "suspended".into());
    assert!(resource.look().unwrap_err().message.contains("has suspended"));
}

#[test]
fn what_is_in_no_book_is_not_ours() {
    let mut stand = Stand::new();
    let id = stand.provider.held.lock().unwrap().provider.by_hand("shop-production-redis");
    let fault = stand.converge().unwrap_err();
    assert!(fault.message.contains("this root did not order it"), "{fault:?}");
    assert!(fault.hint.unwrap().contains(&format!("adopt = \"{id}\"")));
    assert_eq!((stand.provider.changes().len(), stand.address()), (0, None));
    stand.wanted.adopt = Some(id);
    let done = stand.converge().unwrap();
    assert!(matches!(done.first(), Some(Step::Take { .. })), "{done:?}");
    assert!(stand.address().is_some());
    stand.wanted.adopt = Some("00000000-0000-0000-0000-00000000dead".to_owned());
    assert!(stand.converge().unwrap_err().message.contains("to be taken over"));
}

#[test]
fn one_that_is_gone_is_not_replaced_by_an_empty_one() {
    let stand = Stand::new();
    stand.converge().unwrap();
    stand.provider.held.lock().unwrap().provider.databases.clear();
    let fault = stand.converge().unwrap_err();
    assert!(fault.message.contains("is gone") && fault.hint.is_some(), "{fault:?}");
    assert!(stand.provider.held.lock().unwrap().provider.databases.is_empty());
}

#[test]
fn two_of_one_name_are_nobodys_guess() {
    let stand = Stand::new();
    stand.provider.script("POST /v2/redis/database", Trouble::Unheard);
    stand.converge().unwrap_err();
    stand.provider.held.lock().unwrap().provider.by_hand("shop-production-redis");
    let fault = stand.converge().unwrap_err();
    assert!(fault.message.contains("there are 2 databases"), "{fault:?}");
}

#[test]
fn an_answer_without_what_opens_it_is_a_fault() {
    let stand = Stand::new();
    stand.provider.held.lock().unwrap().provider.is_mute = true;
    let fault = stand.converge().unwrap_err();
    assert!(fault.causes[0].contains("`password`") && stand.address().is_none(), "{fault:?}");
    stand.provider.held.lock().unwrap().provider.is_mute = false;
    stand.converge().unwrap();
    assert_eq!(stand.provider.held.lock().unwrap().provider.databases.len(), 1);
}

#[test]
fn all_else_that_the_api_can_is_said_as_it_is_described() {
    let stand = Stand::new();
    stand.converge().unwrap();
    let (mail, key) = (Secret::new(MAIL.to_owned()), Secret::new(KEY.to_owned()));
    let client = Client::new(&stand.provider.way("/v2"), &mail, &key).unwrap();
    let Observed::There { database, .. } = stand.resource().look().unwrap() else { panic!("it is not there") };
    let id = database.database_id.as_str();
    client.create_backup(id, "before").unwrap();
    let backups = client.backups(id).unwrap();
    assert_eq!((backups[0].name.as_deref(), backups[0].state), (Some("before"), BackupState::Completed));
    client.restore_backup(id, &backups[0].backup_id, &MayDestroy::said()).unwrap();
    client.enable_tls(id).unwrap();
    client.reset_password(id, &MayDestroy::said()).unwrap();
    assert_eq!(client.keys(id).unwrap().password.expose(), "another");
    client.delete(id, &MayDestroy::said()).unwrap();
    assert_eq!(client.get(id).unwrap(), None);
    assert!(client.set_budget(id, 1).unwrap_err().message.contains("has nothing at"));
    stand.provider.changes();
}
