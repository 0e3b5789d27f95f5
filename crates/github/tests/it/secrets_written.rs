//! Values of secrets: sealed on their way, never told, written once and then only where they are others.

use std::collections::BTreeMap;

use github::{Change, Given, Kind, Place, Value, Written, apply, plan};
use secrets::Secret;

use crate::held::wanted;
use crate::stand_in::StandIn;

fn npm() -> Place {
    Place { environment: None, name: "NPM_TOKEN".to_owned() }
}

fn deploy() -> Place {
    Place { environment: Some("production/eu".to_owned()), name: "DEPLOY_KEY".to_owned() }
}

/// Somebody with values, who remembers.
#[derive(Default)]
struct Somebody {
    values: BTreeMap<Place, Secret>,
    written: BTreeMap<Place, Written>,
}

impl Somebody {
    fn with(values: &[(Place, &str)]) -> Self {
        let mut somebody = Self::default();
        somebody.gives(values);
        somebody
    }

    fn gives(&mut self, values: &[(Place, &str)]) {
        self.values = values.iter().map(|(place, text)| (place.clone(), Secret::new((*text).to_owned()))).collect();
    }

    fn given<'s>(&'s self, rotate: &[&str]) -> Given<'s> {
        // A fingerprint is made by who has the key; here its length will do.
        let value = |secret: &'s Secret| Value { secret, print: format!("print {}", secret.expose().len()) };
        let values = self.values.iter().map(|(place, secret)| (place.clone(), value(secret))).collect();
        let rotate = rotate.iter().map(|name| (*name).to_owned()).collect();
        Given { values, written: self.written.clone(), rotate }
    }

    /// Applies; what was planned of secrets.
    fn applies(&mut self, github: &StandIn, rotate: &[&str]) -> Vec<String> {
        let given = self.given(rotate);
        let ((changes, written), _) = github.with(|client| {
            let changes = plan(client, &wanted(), &given).unwrap();
            let written: Vec<_> = changes.iter().filter_map(|change| apply(client, change, &given).unwrap()).collect();
            (changes, written)
        });
        for secret in self.values.values() {
            assert!(!format!("{changes:?} {given:?}").contains(secret.expose()), "a value is told");
            let sent = github.state.lock().unwrap().sent.join("\n");
            assert!(!sent.contains(secret.expose()), "a value left as it is");
        }
        self.written.extend(written);
        told(&changes)
    }
}

fn told(changes: &[Change]) -> Vec<String> {
    let of_secrets = changes.iter().filter(|change| change.what.contains("secret "));
    of_secrets.map(|change| format!("{:?} {}: {}", change.kind, change.what, change.details.join("; "))).collect()
}

/// What GitHub can read.
fn kept(github: &StandIn, place: &Place) -> String {
    let of = place.environment.clone().unwrap_or_default();
    github.state.lock().unwrap().secrets[&of][&place.name].value.clone()
}

#[test]
fn values_are_sealed_for_who_keeps_them_and_written_once() {
    let github = StandIn::new();
    let mut ann = Somebody::with(&[(npm(), "npm_oneOfThem"), (deploy(), "-----BEGIN\nKEY-----")]);
    let first = ann.applies(&github, &[]);
    assert_eq!(
        first,
        [
            "Create secret NPM_TOKEN: a value that is given",
            "Create environment production/eu: secret DEPLOY_KEY: a value that is given",
        ]
    );
    assert_eq!(
        (kept(&github, &npm()).as_str(), kept(&github, &deploy()).as_str()),
        ("npm_oneOfThem", "-----BEGIN\nKEY-----")
    );
    let sent = github.changes().len();
    assert_eq!(ann.applies(&github, &[]), [""; 0], "GitHub shows no value, and what was written is remembered");
    assert_eq!(github.changes().len(), sent);
    // Only what is another value now goes, and what is to be written anew.
    ann.gives(&[(npm(), "npm_anotherOfThem"), (deploy(), "-----BEGIN\nKEY-----")]);
    let told = ann.applies(&github, &["DEPLOY_KEY"]);
    assert!(
        told.len() == 2 && told[0].contains("another value than that of") && told[1].ends_with("--rotate"),
        "{told:?}"
    );
    assert_eq!(kept(&github, &npm()), "npm_anotherOfThem");
    assert_eq!(ann.applies(&github, &[]), [""; 0]);
}

#[test]
fn what_is_there_is_left_to_who_wrote_it_until_somebody_says_so() {
    let github = StandIn::new();
    let mut ann = Somebody::with(&[(npm(), "npm_ofAnn"), (deploy(), "key of ann")]);
    ann.applies(&github, &[]);
    let mut bob = Somebody::with(&[(npm(), "npm_ofBobBob"), (deploy(), "key of bob, too")]);
    assert_eq!(bob.applies(&github, &[]), [""; 0], "he does not know what is there, and asked for nothing");
    assert_eq!(kept(&github, &npm()), "npm_ofAnn");
    assert_eq!(bob.applies(&github, &["NPM_TOKEN"]), ["Update secret NPM_TOKEN: --rotate"]);
    assert_eq!(kept(&github, &npm()), "npm_ofBobBob");
    // She sees that it is no longer hers, with its value at hand or not.
    ann.gives(&[]);
    let told = ann.applies(&github, &[]);
    assert!(told.len() == 1 && told[0].starts_with("Changed secret NPM_TOKEN: somebody else set it at"), "{told:?}");
    ann.gives(&[(npm(), "npm_ofAnn")]);
    let told = ann.applies(&github, &[]);
    assert!(told.len() == 1 && told[0].starts_with("Update secret NPM_TOKEN: somebody else set it at"), "{told:?}");
    assert_eq!(kept(&github, &npm()), "npm_ofAnn");
}

#[test]
fn a_plan_writes_nothing_and_what_nobody_has_is_missing() {
    let github = StandIn::new();
    let ann = Somebody::with(&[(npm(), "npm_oneOfThem")]);
    let (changes, _) = github.with(|client| plan(client, &wanted(), &ann.given(&["NPM_TOKEN"])).unwrap());
    assert_eq!(
        told(&changes),
        [
            "Create secret NPM_TOKEN: a value that is given",
            "Missing environment production/eu: secret DEPLOY_KEY: give its value: --secrets-stdin or --from-store",
        ]
    );
    assert_eq!(github.changes(), [""; 0]);
    assert!(changes.iter().any(|change| change.kind == Kind::Missing && change.is_left_to_people()));
}
