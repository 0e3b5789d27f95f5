//! What is wanted comes to be, and stays so.

use github::{Kind, Reviewer, Wanted, WantedEnvironment, apply, plan};
use serde_json::json;

use crate::stand_in::StandIn;

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
                secrets: vec!["DEPLOY_KEY".to_owned()],
            },
        ],
        variables: [("ROADBED_CONTROL".to_owned(), "https://control.shop.example".to_owned())].into(),
        secrets: vec!["NPM_TOKEN".to_owned()],
    }
}

fn whole(github: &StandIn) {
    let mut state = github.state.lock().unwrap();
    state.secrets.insert(String::new(), vec!["NPM_TOKEN".to_owned()]);
    state.secrets.insert("production/eu".to_owned(), vec!["DEPLOY_KEY".to_owned()]);
}

/// Plans and applies; what was planned.
fn made(github: &StandIn) -> Vec<String> {
    let (told, waited) = github.with(|client| {
        let changes = plan(client, &wanted()).unwrap();
        for change in &changes {
            apply(client, change).unwrap();
        }
        changes.iter().map(|change| format!("{:?} {}", change.kind, change.what)).collect()
    });
    assert!(waited.is_empty());
    told
}

#[test]
fn a_bare_repository_is_made_whole_and_a_second_time_nothing_is_sent() {
    let github = StandIn::new();
    let (dry, _) = github.with(|client| plan(client, &wanted()).unwrap());
    assert_eq!(github.changes(), [""; 0], "a plan sends nothing");
    assert_eq!(dry.len(), 7);
    let told = made(&github);
    assert_eq!(
        told,
        [
            "Create environment staging",
            "Create environment production/eu",
            "Create environment production/eu: branch main",
            "Create variable ROADBED_CONTROL",
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
        state.secrets.clear();
    }
    let (drift, _) = github.with(|client| plan(client, &wanted()).unwrap());
    let rules = drift.iter().find(|change| change.what == "ruleset roadbed").unwrap();
    assert!(
        rules.kind == Kind::Update && rules.details.contains(&r#"enforcement: "disabled" → "active""#.to_owned()),
        "{rules:?}"
    );
    assert!(rules.details.iter().any(|line| line.starts_with("bypass_actors: - ")), "{rules:?}");
    let told = made(&github);
    assert_eq!(told.len(), 6, "{told:?}");
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
    let (found, _) = github.with(|client| plan(client, &wanted()).unwrap());
    assert!(!found.iter().any(|change| change.what.starts_with("variable")), "{found:?}");
    let asked = github.state.lock().unwrap().asked.iter().filter(|one| one.ends_with("/variables")).count();
    assert_eq!(asked, 3);
}
