//! What the store promises, on a store with all that belongs to it in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::clock::{Clock, SystemClock};
use host::files::{self, Access as FileAccess};
use manifest::environment::Class;

use super::*;
use crate::audit::verify::Finding;
use crate::identity::{PrivateKey, PublicKey};
use crate::seat::{Actor, Neighbour, UserKeys, Via};

pub(super) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A root of `environment`, whose keys are this bench's user's.
    pub(super) fn seat(&self, environment: &str) -> Seat {
        let root = self.path(&environment.replace('/', "-"));
        files::create_dir(&root, FileAccess::Owner).unwrap();
        let alone = Seat::standalone(&root, Arc::new(SystemClock));
        let keys = UserKeys { state: Some(self.path("user-state")), config: Some(self.path("user-config")) };
        Seat { environment: environment.to_owned(), keys, actor: person(""), ..alone }
    }

    pub(super) fn store(&self, environment: &str) -> Store {
        Store::new(self.seat(environment))
    }
}

pub(super) fn person(reason: &str) -> Actor {
    Actor { user: "ann".to_owned(), origin: "here".to_owned(), via: Via::Cli, reason: reason.to_owned() }
}

pub(super) fn name(text: &str) -> SecretName {
    SecretName::new(text)
}

pub(super) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub(super) fn value(store: &Store, of: &str) -> String {
    store.get(&name(of)).unwrap().unwrap().secret.expose().to_owned()
}

#[test]
fn a_value_is_made_once_and_then_kept() {
    let bench = Bench::new();
    let store = bench.store("local");
    let made = store.get_or_generate(&name("a"), Class::Secret).unwrap();
    assert_eq!((made.version, made.secret.expose().len()), (1, 64));
    assert_eq!(value(&store, "a"), made.secret.expose());
    assert_eq!(value(&bench.store("local"), "a"), made.secret.expose());
}

#[test]
fn looking_makes_nothing() {
    let bench = Bench::new();
    let store = bench.store("local");
    assert!(store.get(&name("a")).unwrap().is_none());
    assert!(store.names().unwrap().is_empty() && store.audit().unwrap().is_empty());
    store.judge().unwrap();
    assert!(!files::exists(&store.seat().file));
    assert!(!files::exists(&bench.path("user-config")));
}

#[test]
fn only_another_value_is_another_version() {
    let bench = Bench::new();
    let store = bench.store("local");
    let versions = ["value number one", "value number one", "value number two"]
        .map(|value| store.set(&name("a"), Class::Secret, &secret(value)).unwrap());
    assert_eq!(versions, [1, 1, 2]);
    assert_eq!(value(&store, "a"), "value number two");
    let states: Vec<_> = store.versions().unwrap().iter().map(|row| (row.version, row.state)).collect();
    assert_eq!(states, [(1, VersionState::Retired), (2, VersionState::Current)]);
}

#[test]
fn a_rotation_keeps_the_old_value_until_it_is_retired() {
    let bench = Bench::new();
    let store = bench.store("local");
    let a = name("a");
    let [one, two, three] = ["value number 1", "value number 2", "value number 3"].map(secret);
    assert!(matches!(store.stage(&a, &one), Err(StoreFault::Absent { .. })));
    store.set(&a, Class::Secret, &one).unwrap();
    let states = || -> Vec<(String, u32, VersionState)> {
        let all = store.accepted(&a).unwrap();
        all.into_iter().map(|each| (each.secret.expose().to_owned(), each.version, each.state)).collect()
    };
    assert_eq!(store.stage(&a, &two).unwrap(), 2);
    // A killed rotation that begins again goes on with the value it had.
    assert_eq!(store.stage(&a, &three).unwrap(), 2);
    let [one, two] = [&one, &two].map(|value| value.expose().to_owned());
    assert_eq!(states(), [(one.clone(), 1, VersionState::Current), (two.clone(), 2, VersionState::Pending)]);
    for _ in 0..2 {
        assert_eq!(store.promote(&a).unwrap(), 2);
        assert_eq!(states(), [(two.clone(), 2, VersionState::Current), (one.clone(), 1, VersionState::Previous)]);
    }
    store.retire(&a).unwrap();
    store.retire(&a).unwrap();
    assert_eq!(states(), [(two, 2, VersionState::Current)]);
    // It is still known, so that it is found where it should not be.
    assert_eq!(store.held(&a).unwrap().len(), 2);
    assert!(matches!(store.destroy(&a, 2), Err(StoreFault::InUse { .. })));
    store.destroy(&a, 1).unwrap();
    assert_eq!(store.held(&a).unwrap().len(), 1);
    store.remove(&a).unwrap();
    assert!(store.get(&a).unwrap().is_none() && store.names().unwrap().is_empty());
    // A number is never used again.
    assert_eq!(store.set(&a, Class::Secret, &three).unwrap(), 3);
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn no_value_is_in_the_file_and_a_destroyed_one_has_left_no_key() {
    let bench = Bench::new();
    let store = bench.store("local");
    store.set(&name("a"), Class::Secret, &secret("a value to search for")).unwrap();
    let has = |needle: &[u8]| {
        let bytes = files::read(&store.seat().file).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    assert!(!has(b"a value to search for"));
    let dek = || -> Option<Vec<u8>> {
        store
            .look(|connection| Ok(connection.query_row("SELECT dek FROM versions", [], |row| row.get(0))?), || None)
            .unwrap()
    };
    let before = dek().unwrap();
    assert!(has(&before));
    store.remove(&name("a")).unwrap();
    assert!(dek().is_none() && !has(&before));
}

#[test]
fn values_of_all_kinds_come_back_as_they_were() {
    let bench = Bench::new();
    let store = bench.store("local");
    let long = "x".repeat(1 << 20);
    for text in ["line one\nline two\r\n", "with \0 a NUL in it", "äöü 日本語 🚀 and more", long.as_str()] {
        store.set(&name("a"), Class::Secret, &secret(text)).unwrap();
        assert_eq!(value(&store, "a"), text);
    }
}

#[test]
fn values_that_cannot_be_kept_are_refused_and_change_nothing() {
    let bench = Bench::new();
    let store = bench.store("local");
    store.set(&name("a"), Class::Secret, &secret("the first value")).unwrap();
    let set = |class, text: &str| store.set(&name("a"), class, &secret(text));
    assert!(matches!(set(Class::Secret, ""), Err(StoreFault::Empty { .. })));
    assert!(matches!(set(Class::Secret, "11 letters."), Err(StoreFault::Short { length: 11, .. })));
    assert!(matches!(set(Class::Secret, &"x".repeat((1 << 20) + 1)), Err(StoreFault::Long { .. })));
    assert!(matches!(store.stage(&name("a"), &secret("short")), Err(StoreFault::Short { .. })));
    assert_eq!(value(&store, "a"), "the first value");
    // What is not sensitive may be short: nobody needs to keep it out of a log.
    store.set(&name("b"), Class::Internal, &secret("short")).unwrap();
}

#[test]
fn both_identities_are_outside_of_the_root_and_each_opens_the_store() {
    let bench = Bench::new();
    let made = bench.store("local").get_or_generate(&name("a"), Class::Secret).unwrap();
    let seat = bench.seat("local");
    let [host, operator] = [seat.host_identity().unwrap(), seat.keys.operator_identity().unwrap()];
    let root = seat.file.parent().unwrap();
    assert!(!host.starts_with(root) && !operator.starts_with(root));
    files::rename(&operator, &bench.path("aside")).unwrap();
    assert_eq!(value(&bench.store("local"), "a"), made.secret.expose());
    files::rename(&bench.path("aside"), &operator).unwrap();

    // The host's key is lost: the operator opens the store, and another is made.
    files::remove(&host).unwrap();
    assert_eq!(value(&bench.store("local"), "a"), made.secret.expose());
    files::rename(&operator, &bench.path("aside")).unwrap();
    assert_eq!(value(&bench.store("local"), "a"), made.secret.expose());
    let actions: Vec<String> = bench.store("local").audit().unwrap().into_iter().map(|entry| entry.action).collect();
    assert!(actions.contains(&"host-renewed".to_owned()), "{actions:?}");

    // Both are lost: nothing opens, nothing is made anew, and it is said what would help.
    files::remove(&host).unwrap();
    let fault = bench.store("local").get(&name("a")).unwrap_err();
    assert!(matches!(fault, StoreFault::Locked { .. }), "{fault:?}");
    assert!(fault.hint().contains("break-glass"), "{}", fault.hint());
    assert!(matches!(
        bench.store("local").set(&name("b"), Class::Secret, &secret("another value")),
        Err(StoreFault::Locked { .. })
    ));
    files::rename(&bench.path("aside"), &operator).unwrap();
    assert_eq!(value(&bench.store("local"), "a"), made.secret.expose());
}

#[test]
fn a_damaged_identity_is_said_and_the_other_one_opens() {
    let bench = Bench::new();
    let made = bench.store("local").get_or_generate(&name("a"), Class::Secret).unwrap();
    let operator = bench.seat("local").keys.operator_identity().unwrap();
    files::write(&operator, b"AGE-SECRET-KEY-1", FileAccess::Owner).unwrap();
    assert_eq!(value(&bench.store("local"), "a"), made.secret.expose());
    assert!(matches!(PrivateKey::read(&operator), Err(crate::identity::IdentityFault::Unknown { .. })));
}

#[test]
fn a_preview_with_the_whole_store_of_production_and_its_own_keys_opens_none_of_its_values() {
    let bench = Bench::new();
    let production = bench.store("production");
    for number in 0..20 {
        let live = format!("{}live_{number:024}", "sk_");
        production.set(&name(&format!("var/KEY_{number}")), Class::Payment, &secret(&live)).unwrap();
    }
    // Another user's machine: it has its own keys, a store of its own, and a copy of everything in production's root.
    let other = Bench::new();
    other.store("preview/pr-1").get_or_generate(&name("a"), Class::Secret).unwrap();
    let theirs = other.seat("preview/pr-1");
    files::copy(&production.seat().file, &theirs.file).unwrap();
    assert!(matches!(Store::new(theirs.clone()).take_over(), Err(StoreFault::Locked { .. })));
    let copies = [
        Store::new(theirs.clone()),
        // And says that it was production.
        Store::new(Seat { install: production.seat().install.clone(), environment: "production".into(), ..theirs }),
    ];
    let mut opened = 0;
    for copy in copies {
        for number in 0..20 {
            let of = name(&format!("var/KEY_{number}"));
            opened += usize::from(copy.get(&of).is_ok_and(|found| found.is_some()));
            opened += copy.held(&of).map_or(0, |held| held.len()) + copy.accepted(&of).map_or(0, |all| all.len());
        }
        assert!(copy.rekey().is_err() && copy.verify().is_err() && copy.recipients().is_err(), "{copy:?}");
    }
    assert_eq!(opened, 0);
}

#[test]
fn a_key_that_moves_money_is_kept_in_production_alone() {
    let bench = Bench::new();
    let live = secret(&format!("{}live_{}", "sk_", "a".repeat(24)));
    for environment in ["local", "staging", "preview/pr-1"] {
        for class in [Class::Secret, Class::Payment, Class::Internal] {
            let refused = bench.store(environment).set(&name("var/KEY"), class, &live);
            assert!(matches!(refused, Err(StoreFault::Forbidden { .. })), "{environment} {class}: {refused:?}");
        }
    }
    bench.store("production").set(&name("var/KEY"), Class::Payment, &live).unwrap();
    let unknown = bench.store("preview/pr-1").set(&name("var/KEY"), Class::Payment, &secret("a key of some provider"));
    assert!(matches!(unknown, Err(StoreFault::Forbidden { .. })), "{unknown:?}");
}

#[test]
fn a_value_of_another_environment_is_refused_with_its_name() {
    let bench = Bench::new();
    let production = bench.store("production");
    production.set(&name("var/MAIL_TOKEN"), Class::Secret, &secret("a token for the mails")).unwrap();
    let others = vec![Neighbour { environment: "production".into(), file: production.seat().file.clone() }];
    let staging = Store::new(Seat { others: others.clone(), ..bench.seat("staging") });
    let refused = staging.set(&name("var/MAIL"), Class::Secret, &secret("a token for the mails")).unwrap_err();
    assert_eq!(refused.to_string(), "var/MAIL must not have this value: production has it as var/MAIL_TOKEN");
    staging.set(&name("var/MAIL"), Class::Secret, &secret("another token for them")).unwrap();
    // It is not forgotten when production goes on to another.
    production.set(&name("var/MAIL_TOKEN"), Class::Secret, &secret("a newer token for it")).unwrap();
    assert!(matches!(
        staging.set(&name("var/MAIL"), Class::Secret, &secret("a token for the mails")),
        Err(StoreFault::Shared { .. })
    ));
    let [ours, theirs] = [&staging, &production].map(|store| store.fingerprints().unwrap());
    assert!(!ours[0].is_of_the_same_value_as(&theirs[0]) && ours[0].key == theirs[0].key);
}

#[test]
fn another_key_for_the_environment_touches_no_value() {
    let bench = Bench::new();
    let store = bench.store("production");
    let values = 10_000;
    store
        .change(|work| {
            for number in 0..values {
                let secret = secret(&format!("value number {number}"));
                values::write(work, &name(&format!("n{number}")), 1, "secret", VersionState::Current, &secret)?;
            }
            Ok(())
        })
        .unwrap();
    let digest = || -> (i64, Vec<u8>, u32) {
        let look = |connection: &rusqlite::Connection| {
            let mut statement =
                connection.prepare("SELECT rowid, name, version, sealed FROM sealed_values ORDER BY name")?;
            let mut rows = statement.query([])?;
            let (mut count, mut context) = (0, aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256));
            while let Some(row) = rows.next()? {
                count += 1;
                context.update(&row.get::<_, i64>(0)?.to_be_bytes());
                context.update(row.get::<_, String>(1)?.as_bytes());
                context.update(&row.get::<_, Vec<u8>>(3)?);
            }
            Ok((count, context.finish().as_ref().to_vec(), session::active(connection)?))
        };
        store.look(look, || (0, Vec::new(), 0)).unwrap()
    };
    let before = digest();
    let began = SystemClock.instant();
    assert_eq!(store.rekey().unwrap(), values);
    println!("another key for {values} values: {:?}", began.elapsed());
    let after = digest();
    assert_eq!((before.0, &before.1), (after.0, &after.1), "a value was touched");
    assert_eq!((before.2, after.2), (1, 2));
    assert_eq!(value(&bench.store("production"), "n4711"), "value number 4711");
    let old: i64 = store
        .look(
            |connection| Ok(connection.query_row("SELECT count(*) FROM keys WHERE kver = 1", [], |row| row.get(0))?),
            || 9,
        )
        .unwrap();
    assert_eq!(old, 0, "the old key is forgotten");
}

fn key(path: &Path) -> PublicKey {
    PrivateKey::ensure(path).unwrap().public().unwrap()
}

#[test]
fn a_person_is_added_proved_and_removed_and_what_they_read_is_told() {
    let bench = Bench::new();
    let store = bench.store("production");
    store.set(&name("a"), Class::Secret, &secret("a value of production")).unwrap();
    store.set(&name("b"), Class::Secret, &secret("another of production")).unwrap();
    let path = bench.path("bea");
    let challenge = store.add_recipient("bea", &key(&path)).unwrap();
    assert!(matches!(store.add_recipient("bea", &key(&path)), Err(StoreFault::RecipientThere { .. })));
    let bea = |store: &Store| store.recipients().unwrap().into_iter().find(|one| one.name == "bea");
    assert!(bea(&store).unwrap().proved.is_none());
    assert!(matches!(store.prove_recipient("bea", "a guess"), Err(StoreFault::WrongAnswer { .. })));
    let answer = PrivateKey::read(&path).unwrap().unwrap().unwrap(challenge.bytes()).unwrap();
    store.prove_recipient("bea", std::str::from_utf8(&answer).unwrap()).unwrap();
    assert!(bea(&store).unwrap().proved.is_some());
    assert!(matches!(
        store.prove_recipient("bea", std::str::from_utf8(&answer).unwrap()),
        Err(StoreFault::WrongAnswer { .. })
    ));

    // On a machine of hers, with nothing but her own key.
    let elsewhere = Bench::new();
    let seat = Seat { keys: UserKeys::default(), identities: vec![path.clone()], ..bench.seat("production") };
    let hers = Store::new(Seat { actor: Actor { user: "bea".into(), ..person("support case") }, ..seat.clone() });
    assert_eq!(value(&hers, "a"), "a value of production");
    drop(elsewhere);

    assert_eq!(store.remove_recipient("bea").unwrap(), [(name("a"), 1)]);
    assert!(matches!(Store::new(seat).get(&name("a")), Err(StoreFault::Locked { .. })));
    assert_eq!(value(&bench.store("production"), "a"), "a value of production");
    assert!(matches!(store.remove_recipient("bea"), Err(StoreFault::NoRecipient { .. })));
    assert!(matches!(store.remove_recipient("host"), Err(StoreFault::Given { .. })));
    let verdict = bench.store("production").verify().unwrap();
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
}

#[test]
fn nothing_is_sealed_before_two_are_proved_able_to_open_it() {
    let bench = Bench::new();
    let store = bench.store("production");
    store.set(&name("a"), Class::Secret, &secret("a value of production")).unwrap();
    // With the operator gone, only the host is left that was ever seen to open it.
    let fault = store.remove_recipient("operator").unwrap_err();
    assert!(matches!(fault, StoreFault::TooFewProved { proved: 1 }), "{fault:?}");
    let path = bench.path("bea");
    let challenge = store.add_recipient("bea", &key(&path)).unwrap();
    assert!(matches!(store.remove_recipient("operator"), Err(StoreFault::TooFewProved { proved: 1 })));
    let answer = PrivateKey::read(&path).unwrap().unwrap().unwrap(challenge.bytes()).unwrap();
    store.prove_recipient("bea", std::str::from_utf8(&answer).unwrap()).unwrap();
    store.remove_recipient("operator").unwrap();
    assert_eq!(value(&bench.store("production"), "a"), "a value of production");
}

#[test]
fn any_two_of_three_break_glass_keys_open_the_store_and_no_one_alone() {
    let bench = Bench::new();
    let store = bench.store("production");
    store.set(&name("a"), Class::Secret, &secret("a value of production")).unwrap();
    let paths = ["one", "two", "three"].map(|name| bench.path(name));
    store.set_break_glass(&paths.each_ref().map(|path| key(path))).unwrap();
    let with = |identities: &[&PathBuf]| {
        let identities = identities.iter().map(|path| (*path).clone()).collect();
        Store::new(Seat { keys: UserKeys::default(), identities, ..bench.seat("production") })
    };
    for (one, other) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        assert_eq!(value(&with(&[&paths[one], &paths[other]]), "a"), "a value of production", "{one} {other}");
    }
    for path in &paths {
        assert!(matches!(with(&[path]).get(&name("a")), Err(StoreFault::Locked { .. })));
        assert!(matches!(with(&[path, path]).get(&name("a")), Err(StoreFault::Locked { .. })));
    }
    // It holds after another key, too.
    bench.store("production").rekey().unwrap();
    assert_eq!(value(&with(&[&paths[2], &paths[0]]), "a"), "a value of production");
    let readers: Vec<String> = store.audit().unwrap().into_iter().map(|entry| entry.recipient).collect();
    assert!(readers.contains(&"break-glass".to_owned()));
}

#[test]
fn every_reading_of_a_person_is_noted_and_a_service_s_once() {
    let bench = Bench::new();
    let person_s = Store::new(Seat { actor: person("ticket 7"), ..bench.seat("local") });
    person_s.set(&name("a"), Class::Secret, &secret("the value of a")).unwrap();
    let service = Store::new(Seat {
        actor: Actor { user: "svc".into(), origin: "here".to_owned(), via: Via::Control, reason: String::new() },
        ..bench.seat("local")
    });
    for _ in 0..3 {
        value(&person_s, "a");
        value(&service, "a");
    }
    let reads = |via: &str| {
        let rows = service.audit().unwrap();
        rows.into_iter().filter(|row| row.action == "read" && row.via == via).collect::<Vec<_>>()
    };
    assert_eq!((reads("cli").len(), reads("control").len()), (3, 1));
    let row = &reads("cli")[0];
    let seen = (row.actor.as_str(), row.reason.as_str(), row.name.as_str(), row.version, row.recipient.as_str());
    assert_eq!(seen, ("ann", "ticket 7", "a", Some(1), "host"));
}

#[test]
fn what_people_were_lent_is_part_of_the_log() {
    let bench = Bench::new();
    let store = bench.store("local");
    store.note(&[]).unwrap();
    assert_eq!(store.audit().unwrap(), [], "there is no store to note it in, and none is made");
    store.set(&name("a"), Class::Secret, &secret("the value of a")).unwrap();
    let lent = Note {
        actor: "anna".into(),
        via: "env exec".into(),
        action: audit::Action::Lent,
        name: "a".into(),
        version: Some(1),
        reason: "a look".into(),
        origin: "laptop, user 1000, process 7".into(),
        details: "until then".into(),
    };
    store.note(&[lent.clone(), Note { action: audit::Action::GivenBack, ..lent }]).unwrap();
    let rows = store.audit().unwrap();
    let [.., lent, back] = rows.as_slice() else { panic!("{rows:?}") };
    let told = (lent.actor.as_str(), lent.via.as_str(), lent.name.as_str(), lent.version, lent.reason.as_str());
    assert_eq!(told, ("anna", "env exec", "a", Some(1), "a look"));
    assert_eq!((lent.origin.as_str(), lent.details.as_str()), ("laptop, user 1000, process 7", "until then"));
    assert_eq!((lent.action.as_str(), back.action.as_str()), ("lent", "given-back"));
    assert_eq!(store.verify().unwrap().findings, []);
}

/// The log of a store of the first format goes on, and is whole.
#[test]
fn a_log_without_origins_is_still_whole_when_rows_with_them_follow() {
    let bench = Bench::new();
    let before = Seat { actor: Actor { origin: String::new(), ..person("before") }, ..bench.seat("local") };
    Store::new(before.clone()).set(&name("a"), Class::Secret, &secret("the value of a")).unwrap();
    let first_format =
        "ALTER TABLE audit DROP COLUMN origin; ALTER TABLE audit DROP COLUMN details; PRAGMA user_version = 1";
    rusqlite::Connection::open(&before.file).unwrap().execute_batch(first_format).unwrap();
    let store = bench.store("local");
    store.set(&name("a"), Class::Secret, &secret("another value of a")).unwrap();
    let origins: Vec<String> = store.audit().unwrap().into_iter().map(|row| row.origin).collect();
    assert_eq!((origins.first().map(String::as_str), origins.last().map(String::as_str)), (Some(""), Some("here")));
    assert_eq!(store.verify().unwrap().findings, []);
}

#[test]
fn what_was_cut_changed_reordered_or_put_back_is_found() {
    let bench = Bench::new();
    let store = bench.store("local");
    for number in 0..5 {
        store.set(&name("a"), Class::Secret, &secret(&format!("value number {number}"))).unwrap();
    }
    drop(store);
    let file = bench.seat("local").file;
    let whole = files::read(&file).unwrap();
    let heads: Vec<(PathBuf, Vec<u8>)> =
        bench.seat("local").heads().into_iter().map(|path| (path.clone(), files::read(&path).unwrap())).collect();
    let after = |statement: &str| -> Vec<Finding> {
        files::write(&file, &whole, FileAccess::Owner).unwrap();
        for (path, bytes) in &heads {
            files::write(path, bytes, FileAccess::Owner).unwrap();
        }
        rusqlite::Connection::open(&file).unwrap().execute_batch(statement).unwrap();
        bench.store("local").verify().unwrap().findings
    };
    assert_eq!(after("SELECT 1"), []);
    let has = |statement: &str, finding: fn(&Finding) -> bool| {
        let found = after(statement);
        assert!(found.iter().any(finding), "{statement}: {found:?}");
    };
    has("DELETE FROM audit WHERE seq = 6", |finding| matches!(finding, Finding::Gap { .. }));
    has("DELETE FROM audit WHERE seq = 3", |finding| matches!(finding, Finding::Missing { after: 2, next: 4 }));
    for column in [
        "time = time + 1",
        "actor = 'eve'",
        "origin = ''",
        "details = 'x'",
        "via = 'x'",
        "action = 'read'",
        "environment = 'x'",
        "name = 'x'",
    ] {
        has(&format!("UPDATE audit SET {column} WHERE seq = 3"), |finding| {
            matches!(finding, Finding::Changed { seq: 3 })
        });
    }
    for column in ["version = 9", "version = NULL", "reason = 'x'", "recipient = 'x'", "previous = x'00'"] {
        has(&format!("UPDATE audit SET {column} WHERE seq = 3"), |finding| {
            matches!(finding, Finding::Changed { seq: 3 })
        });
    }
    has(
        "UPDATE audit SET seq = 100 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 100",
        |finding| matches!(finding, Finding::Unlinked { seq: 3 } | Finding::Changed { seq: 3 }),
    );
    // Cut and gone on with: the row that notes it stays.
    after("DELETE FROM audit WHERE seq >= 5");
    bench.store("local").set(&name("b"), Class::Secret, &secret("one more value")).unwrap();
    let later = bench.store("local").verify().unwrap().findings;
    assert!(later.iter().any(|finding| matches!(finding, Finding::Gap { .. })), "{later:?}");
}

#[test]
fn an_older_copy_of_the_whole_file_is_refused() {
    let bench = Bench::new();
    let store = bench.store("local");
    store.set(&name("a"), Class::Secret, &secret("the older value")).unwrap();
    let older = files::read(&store.seat().file).unwrap();
    store.set(&name("a"), Class::Secret, &secret("the newer value")).unwrap();
    let newer = files::read(&store.seat().file).unwrap();
    files::write(&store.seat().file, &older, FileAccess::Owner).unwrap();
    // Also by a store that is open.
    for store in [&store, &bench.store("local")] {
        let fault = store.get(&name("a")).unwrap_err();
        assert!(matches!(fault, StoreFault::RolledBack { .. }), "{fault:?}");
        assert!(matches!(
            store.set(&name("a"), Class::Secret, &secret("yet another one")),
            Err(StoreFault::RolledBack { .. })
        ));
    }
    // One head is enough.
    files::remove(&store.seat().heads()[0]).unwrap();
    assert!(matches!(bench.store("local").get(&name("a")), Err(StoreFault::RolledBack { .. })));
    files::write(&store.seat().file, &newer, FileAccess::Owner).unwrap();
    assert_eq!(value(&bench.store("local"), "a"), "the newer value");
}

#[test]
fn a_store_that_is_gone_is_not_begun_anew() {
    let bench = Bench::new();
    let store = bench.store("local");
    store.set(&name("a"), Class::Secret, &secret("the value of a")).unwrap();
    files::rename(&store.seat().file, &bench.path("aside")).unwrap();
    assert!(matches!(store.set(&name("a"), Class::Secret, &secret("another value")), Err(StoreFault::Lost { .. })));
    assert!(matches!(bench.store("local").get_or_generate(&name("a"), Class::Secret), Err(StoreFault::Lost { .. })));
    files::rename(&bench.path("aside"), &store.seat().file).unwrap();
    assert_eq!(value(&store, "a"), "the value of a");
}

#[test]
fn a_clock_that_goes_back_breaks_no_chain() {
    #[derive(Debug)]
    struct Backwards(std::sync::atomic::AtomicI64);
    impl host::clock::Clock for Backwards {
        fn now(&self) -> host::clock::Timestamp {
            let hour = 3_600_000;
            host::clock::Timestamp::from_unix_millis(self.0.fetch_sub(hour, std::sync::atomic::Ordering::Relaxed))
        }
        fn instant(&self) -> std::time::Instant {
            SystemClock.instant()
        }
    }
    let bench = Bench::new();
    let clock = Arc::new(Backwards(1_700_000_000_000.into()));
    let store = Store::new(Seat { clock, ..bench.seat("local") });
    for number in 0..4 {
        store.set(&name("a"), Class::Secret, &secret(&format!("value number {number}"))).unwrap();
    }
    assert_eq!(value(&store, "a"), "value number 3");
    assert_eq!(store.verify().unwrap().findings, []);
    let rows = store.audit().unwrap();
    assert!(rows.windows(2).all(|two| two[0].seq < two[1].seq && two[0].time > two[1].time));
}

#[test]
fn what_is_shown_of_a_store_or_a_value_is_never_the_value() {
    let bench = Bench::new();
    let store = bench.store("local");
    let found = store.get_or_generate(&name("x"), Class::Secret).unwrap();
    let shown = format!("{found:?} {store:?} {:?} {:?}", store.versions(), store.audit());
    assert!(!shown.contains(found.secret.expose()));
}
