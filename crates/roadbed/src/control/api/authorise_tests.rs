//! Every action × everybody who may ask, against a table that says it in full.

use super::*;
use crate::control::api::route;

/// Who may do what in the environment of their token, in the order of [`Role::ALL`]. The owner of the machine may do all of it.
const TABLE: &[(Action, [bool; 5])] = &[
    //                          viewer deployer approver operator pipeline
    (Action::ReadDescription, [true, true, true, true, true]),
    (Action::ExchangeToken, [true, true, true, true, true]),
    (Action::ReadOwnToken, [true, true, true, true, true]),
    (Action::ReadStatus, [true, true, true, true, true]),
    (Action::ReadReleases, [true, true, true, true, true]),
    (Action::ReadDeployments, [true, true, true, true, true]),
    (Action::ReadGate, [true, true, true, true, true]),
    (Action::Deploy, [false, true, false, true, true]),
    (Action::BringArtifact, [false, false, false, false, true]),
    (Action::Cancel, [false, true, true, true, false]),
    (Action::Approve, [false, false, true, false, false]),
    (Action::RollBack, [false, true, false, true, false]),
    (Action::RunGate, [false, false, false, true, false]),
    (Action::ReadStatistics, [false; 5]),
    (Action::Plan, [false; 5]),
    (Action::Converge, [false; 5]),
    (Action::Rotate, [false; 5]),
    (Action::Smoke, [false; 5]),
    (Action::LogIn, [false; 5]),
    (Action::Lend, [false; 5]),
    (Action::KeepTokens, [false; 5]),
    (Action::KeepAccess, [false; 5]),
    (Action::KeepBackups, [false; 5]),
    (Action::LetIn, [false; 5]),
];

/// What takes no token of ours.
const OPEN: [Action; 2] = [Action::ReadDescription, Action::ExchangeToken];

/// Routes of the API with their actions, as they are meant to be: one that is added has to be added here.
const ROUTES: &[(&str, &str, Action)] = &[
    ("GET", "/openapi.json", Action::ReadDescription),
    ("GET", "/v1/token", Action::ReadOwnToken),
    ("POST", "/v1/token/exchange", Action::ExchangeToken),
    ("GET", "/v1/environments/{environment}/status", Action::ReadStatus),
    ("GET", "/v1/environments/{environment}/releases", Action::ReadReleases),
    ("GET", "/v1/environments/{environment}/artifacts/{artifact}", Action::ReadReleases),
    ("PUT", "/v1/environments/{environment}/artifacts/{artifact}", Action::BringArtifact),
    ("GET", "/v1/environments/{environment}/deployments", Action::ReadDeployments),
    ("POST", "/v1/environments/{environment}/deployments", Action::Deploy),
    ("GET", "/v1/environments/{environment}/deployments/{deployment}", Action::ReadDeployments),
    ("GET", "/v1/environments/{environment}/deployments/{deployment}/events", Action::ReadDeployments),
    ("POST", "/v1/environments/{environment}/deployments/{deployment}/approve", Action::Approve),
    ("POST", "/v1/environments/{environment}/deployments/{deployment}/cancel", Action::Cancel),
    ("POST", "/v1/environments/{environment}/rollback", Action::RollBack),
    ("GET", "/v1/environments/{environment}/gate", Action::ReadGate),
    ("POST", "/v1/environments/{environment}/gate", Action::RunGate),
];

fn scope(environment: &str, root: &str) -> Scope {
    Scope { environment: environment.to_owned(), root: root.to_owned() }
}

fn bearer(role: Role, scope: Scope, standing: Standing) -> Actor {
    let person = (role == Role::Approver).then(|| PersonName::new("anna").unwrap());
    Actor::Bearer(Bearer { id: TokenId(3), name: "ci".to_owned(), role, person, scope, commit: None, standing })
}

#[test]
fn the_table_has_every_action_once() {
    let actions: Vec<Action> = TABLE.iter().map(|(action, _)| *action).collect();
    assert_eq!(actions, Action::ALL);
}

#[test]
fn every_route_has_the_action_that_it_is_meant_to_have() {
    let routes = route::all();
    let found: Vec<(&str, &str, Action)> =
        routes.iter().map(|route| (route.method.as_str(), route.path, route.action)).collect();
    assert_eq!(found, ROUTES);
}

#[test]
fn every_route_is_open_to_those_in_the_table_and_to_nobody_else() {
    let here = scope("production", "1");
    let mut looked = 0;
    for route in route::all() {
        let action = route.action;
        let (_, roles) = TABLE.iter().find(|(known, _)| *known == action).unwrap();
        let is_open = OPEN.contains(&action);
        let mut ask = |actor: &Actor, place: &Scope, expected: bool, who: &str| {
            looked += 1;
            let found = authorise(actor, action, place);
            assert_eq!(found.is_ok(), expected, "{} {} as {who}: {found:?}", route.method, route.path);
        };
        for (role, may) in Role::ALL.into_iter().zip(roles) {
            let of = |scope: &Scope, standing| bearer(role, scope.clone(), standing);
            ask(&of(&here, Standing::Holds), &here, *may, &format!("{role}"));
            ask(&of(&here, Standing::Expired), &here, is_open, &format!("{role}, expired"));
            ask(&of(&here, Standing::Revoked), &here, is_open, &format!("{role}, revoked"));
            ask(&of(&here, Standing::Holds), &scope("staging", "1"), is_open, &format!("{role}, elsewhere"));
            ask(
                &of(&scope("staging", "1"), Standing::Holds),
                &here,
                is_open,
                &format!("{role} of another environment"),
            );
            ask(&of(&scope("production", "2"), Standing::Holds), &here, is_open, &format!("{role} of a copied root"));
        }
        ask(&Actor::Nobody, &here, is_open, "nobody");
        ask(&Actor::Stranger { uid: 1001 }, &here, is_open, "a stranger");
        ask(&Actor::Owner, &here, true, "the owner");
    }
    assert_eq!(looked, ROUTES.len() * (5 * 6 + 3));
}

#[test]
fn no_token_does_what_only_the_owner_of_the_machine_may() {
    let here = scope("production", "1");
    for (action, roles) in TABLE {
        for (role, may) in Role::ALL.into_iter().zip(roles) {
            let found = authorise(&bearer(role, here.clone(), Standing::Holds), *action, &here);
            assert_eq!(found.is_ok(), *may, "{role} {action:?}: {found:?}");
        }
        assert!(authorise(&Actor::Owner, *action, &here).is_ok());
        let is_open = OPEN.contains(action);
        assert_eq!(authorise(&Actor::Stranger { uid: 1001 }, *action, &here).is_ok(), is_open);
    }
}

#[test]
fn an_approval_takes_a_person() {
    let here = scope("production", "1");
    let nameless = Actor::Bearer(Bearer {
        id: TokenId(3),
        name: "ci".to_owned(),
        role: Role::Approver,
        person: None,
        scope: here.clone(),
        commit: None,
        standing: Standing::Holds,
    });
    assert_eq!(authorise(&nameless, Action::Approve, &here), Err(Refusal::NoPerson(TokenId(3))));
    assert_eq!(authorise(&nameless, Action::ReadStatus, &here), Ok(()));
}

#[test]
fn a_machine_is_never_called_as_a_person_could_be() {
    let Actor::Bearer(ci) = bearer(Role::Deployer, scope("production", "1"), Standing::Holds) else { unreachable!() };
    assert_eq!(ci.called(), "token t3 (ci)");
    assert!(PersonName::new(&ci.called()).is_err());
    let run = Bearer { role: Role::Pipeline, name: "ci:urbancart/shop@0123".to_owned(), ..ci };
    assert_eq!(run.called(), "ci:urbancart/shop@0123");
    assert!(PersonName::new(&run.called()).is_err());
}
