//! What is wanted comes to be, and stays so.

use github::{Given, Kind, Reviewer, Wanted, WantedEnvironment, apply, plan};
use serde_json::json;

use crate::stand_in::{Kept, StandIn};

pub(crate) fn wanted() -> Wanted {
    Wanted {
        branches: vec!["main".to_owned(), "develop".to_owned()],
        checks: vec!["required".to_owned()],
        approvals: Some(1),
        environments: vec![
            WantedEnvironment { name: "staging".to_owned(), ..WantedEnvironment::default() },
            WantedEnvironment {
                name: "production/eu".to_owned(),
                branches: vec!["main".to_owned()],
                reviewers: vec![Reviewer::User("ann".to_owned()), Reviewer::Team("platform".to_owned())],
                wait: 5,
                variables: [("ROADBED_CA".to_owned(), "of production".to_owned())].into(),
                secrets: vec!["DEPLOY_KEY".to_owned()],
            },
        ],
        variables: [("ROADBED_CONTROL".to_owned(), "https://control.shop.example".to_owned())].into(),
        secrets: vec!["NPM_TOKEN".to_owned()],
    }
}

fn whole(github: &StandIn) {
    let mut state = github.state.lock().unwrap();
    let kept = Kept { value: "of somebody".to_owned(), updated: "2025-01-01T00:00:00Z".to_owned() };
    state.secrets.insert(String::new(), [("NPM_TOKEN".to_owned(), kept.clone())].into());
    state.secrets.insert("production/eu".to_owned(), [("DEPLOY_KEY".to_owned(), kept)].into());
}

/// Plans and applies; what was planned of what the manifest speaks of.
fn made(github: &StandIn) -> Vec<String> {
    let (told, waited) = github.with(|client| {
        let changes = plan(client, &wanted(), &Given::default()).unwrap();
        for change in &changes {
            apply(client, change, &Given::default()).unwrap();
        }
        let declared = changes.iter().filter(|change| change.kind != Kind::Undeclared);
        declared.map(|change| format!("{:?} {}", change.kind, change.what)).collect()
    });
    assert!(waited.is_empty());
    told
}

#[test]
fn a_bare_repository_is_made_whole_and_a_second_time_nothing_is_sent() {
    let github = StandIn::new();
    let (dry, _) = github.with(|client| plan(client, &wanted(), &Given::default()).unwrap());
    assert_eq!(github.changes(), [""; 0], "a plan sends nothing");
    assert_eq!(dry.len(), 8);
    let told = made(&github);
    assert_eq!(
        told,
        [
            "Create environment staging",
            "Create environment production/eu",
            "Create environment production/eu: branch main",
            "Create variable ROADBED_CONTROL",
            "Create environment production/eu: variable ROADBED_CA",
            "Missing secret NPM_TOKEN",
            "Missing environment production/eu: secret DEPLOY_KEY",
            "Create ruleset roadbed",
        ]
    );
    {
        let state = github.state.lock().unwrap();
        let checks = &state.rulesets[0]["rules"][2]["parameters"]["required_status_checks"];
        assert_eq!(*checks, json!([{"context": "required", "integration_id": 15368}]), "of GitHub Actions alone");
        assert_eq!(state.environments["production/eu"]["protection_rules"][1]["reviewers"][1]["reviewer"]["id"], 22);
    }
    whole(&github);
    let sent = github.changes().len();
    assert_eq!(made(&github), [""; 0]);
    assert_eq!(github.changes().len(), sent);
}

#[test]
fn what_people_changed_by_hand_is_found_and_put_right() {
    let github = StandIn::new();
    whole(&github);
    made(&github);
    {
        let mut state = github.state.lock().unwrap();
        state.rulesets[0]["enforcement"] = json!("disabled");
        state.rulesets[0]["bypass_actors"] =
            json!([{"actor_id": 1, "actor_type": "RepositoryRole", "bypass_mode": "always"}]);
        state.rulesets.push(json!({"id": 7, "name": "of somebody else", "enforcement": "active"}));
        state.environments.get_mut("production/eu").unwrap()["protection_rules"].as_array_mut().unwrap().pop();
        state.policies.get_mut("production/eu").unwrap().push(json!({"id": 8, "name": "feature/*", "type": "branch"}));
        state.variables[0]["value"] = json!("https://elsewhere.example");
        state.variables.push(json!({"name": "OTHER", "value": "theirs"}));
        state.variables_of.get_mut("production/eu").unwrap()[0]["value"] = json!("of somebody else");
        state.secrets.clear();
    }
    let (drift, _) = github.with(|client| plan(client, &wanted(), &Given::default()).unwrap());
    let rules = drift.iter().find(|change| change.what == "ruleset roadbed").unwrap();
    assert!(
        rules.kind == Kind::Update && rules.details.contains(&r#"enforcement: "disabled" → "active""#.to_owned()),
        "{rules:?}"
    );
    assert!(rules.details.iter().any(|line| line.starts_with("bypass_actors: - ")), "{rules:?}");
    let told = made(&github);
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(told.contains(&"Delete environment production/eu: branch feature/*".to_owned()));
    whole(&github);
    assert_eq!(made(&github), [""; 0]);
    let state = github.state.lock().unwrap();
    assert_eq!((state.rulesets.len(), state.variables.len()), (2, 2), "what the manifest does not speak of stays");
}

#[test]
fn lists_are_read_to_their_last_page() {
    let github = StandIn::new();
    {
        let mut state = github.state.lock().unwrap();
        state.variables = (0..250).map(|at| json!({"name": format!("V{at}"), "value": "x"})).collect();
        state.variables.push(json!({"name": "ROADBED_CONTROL", "value": "https://control.shop.example"}));
    }
    let (found, _) = github.with(|client| plan(client, &wanted(), &Given::default()).unwrap());
    let declared = found.iter().filter(|change| change.kind != Kind::Undeclared);
    assert!(!declared.clone().any(|change| change.what.starts_with("variable")), "{found:?}");
    assert_eq!(found.len() - declared.count(), 250, "each of those that nobody declared is told");
    let asked = github.state.lock().unwrap().asked.iter().filter(|one| one.ends_with("/actions/variables")).count();
    assert_eq!(asked, 3);
}

#[test]
fn what_nobody_declared_is_told_and_stays() {
    let github = StandIn::new();
    whole(&github);
    made(&github);
    {
        let mut state = github.state.lock().unwrap();
        let kept = state.secrets[""]["NPM_TOKEN"].clone();
        state.rulesets.push(json!({"id": 7, "name": "of somebody", "enforcement": "active"}));
        state.environments.insert("open".to_owned(), json!({"name": "open", "protection_rules": []}));
        state.variables.push(json!({"name": "OTHER", "value": "theirs"}));
        state.variables_of.entry("staging".to_owned()).or_default().push(json!({"name": "MORE", "value": "theirs"}));
        for of in ["", "staging"] {
            state.secrets.entry(of.to_owned()).or_default().insert("AWS_KEY".to_owned(), kept.clone());
        }
    }
    let (found, _) = github.with(|client| plan(client, &wanted(), &Given::default()).unwrap());
    assert!(found.iter().all(|change| change.kind == Kind::Undeclared && change.is_left_to_people()), "{found:?}");
    let told: Vec<&str> = found.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(
        told,
        [
            "environment open",
            "variable OTHER",
            "environment staging: variable MORE",
            "secret AWS_KEY",
            "environment staging: secret AWS_KEY",
            "ruleset \"of somebody\"",
        ]
    );
    let sent = github.changes().len();
    assert_eq!((made(&github).len(), github.changes().len()), (0, sent));
}
