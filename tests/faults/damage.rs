//! State files that are cut off, emptied or overwritten. Never taken for empty; nothing that was kept is lost.

use std::fs;
use std::path::{Path, PathBuf};

use crate::stage::Stage;

/// What a bad disk, a full one or a careless hand leaves of a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Emptied,
    Halved,
    Scribbled,
}

const ALL: [Damage; 3] = [Damage::Emptied, Damage::Halved, Damage::Scribbled];

impl Damage {
    fn of(self, whole: &[u8]) -> Vec<u8> {
        match self {
            Self::Emptied => Vec::new(),
            Self::Halved => whole[..whole.len() / 2].to_vec(),
            Self::Scribbled => vec![0xA7; whole.len()],
        }
    }
}

/// A file and what it held.
struct Kept {
    path: PathBuf,
    whole: Vec<u8>,
}

impl Kept {
    fn new(path: PathBuf) -> Self {
        let whole = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, whole }
    }

    fn damage(&self, damage: Damage) {
        fs::write(&self.path, damage.of(&self.whole)).unwrap();
    }

    fn mend(&self) {
        fs::write(&self.path, &self.whole).unwrap();
    }

    /// Nobody put something else in its place.
    #[track_caller]
    fn is_still(&self, damage: Damage) {
        assert!(fs::read(&self.path).unwrap() == damage.of(&self.whole), "{} was written over", self.path.display());
    }
}

fn used_and_down() -> Stage {
    let stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    stage
}

/// What the values are, by their fingerprints.
pub(crate) fn secrets(root: &Path) -> Vec<secrets::Fingerprint> {
    let root = reconcile::Root::new(root.to_owned());
    let identity = roadbed::control::identity::read(&root).unwrap().unwrap();
    let seat = roadbed::seats::of_root(&root, &identity, &roadbed::roots::Roots::new(None, None));
    let prints = secrets::Store::new(seat).fingerprints().unwrap();
    assert!(!prints.is_empty());
    prints
}

#[test]
fn a_damaged_identity_is_refused_by_every_command_and_left_as_it_is() {
    let stage = used_and_down();
    let file = Kept::new(stage.root.join("environment.json"));
    for damage in ALL {
        file.damage(damage);
        for command in ["up --detach --no-gate", "status", "plan"] {
            stage.roadbed(command).refuses(1, &["environment.json is damaged", "restore the file from a backup"]);
        }
        stage.is_empty();
        file.is_still(damage);
    }
    file.mend();
    stage.up();
    stage.is_whole();
}

#[test]
fn a_lost_identity_is_not_a_new_environment() {
    let stage = used_and_down();
    let file = Kept::new(stage.root.join("environment.json"));
    fs::remove_file(&file.path).unwrap();
    stage.roadbed("up --detach --no-gate").refuses(1, &["environment.json", "missing"]);
    stage.is_empty();
    file.mend();
    stage.up();
}

#[test]
fn a_damaged_database_is_refused_until_it_is_mended_or_given_up() {
    for name in ["journal.db", "evidence.db"] {
        let stage = used_and_down();
        let file = Kept::new(stage.root.join("state").join(name));
        for damage in ALL {
            file.damage(damage);
            stage.roadbed("up --detach --no-gate").refuses(
                1,
                &["cannot read the state of this environment", name, "is damaged", "roadbed up --forget-state"],
            );
            // Nothing came up, so no keeper is left that keeps nothing.
            stage.is_empty();
            file.is_still(damage);
        }
        fs::remove_file(&file.path).unwrap();
        stage.roadbed("up --detach --no-gate").refuses(1, &[name, "is missing"]);
        file.mend();
        stage.up();
        stage.roadbed("down").exits(0);
    }
}

#[test]
fn state_that_is_given_up_is_moved_aside_and_secrets_and_data_stay() {
    let stage = used_and_down();
    let before = secrets(&stage.root);
    let journal = Kept::new(stage.root.join("state/journal.db"));
    let ports = Kept::new(stage.root.join("state/ports.json"));
    journal.damage(Damage::Halved);
    ports.damage(Damage::Emptied);
    fs::write(stage.root.join("state/leases.json"), "{").unwrap();
    let answer = stage.roadbed("up --detach --no-gate --forget-state").exits(0);
    let aside = |name: &str| {
        let files = fs::read_dir(stage.root.join("state")).unwrap().flatten().map(|entry| entry.path());
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name)).collect::<Vec<_>>()
    };
    let answer = answer.says(&["journal.db is damaged", "ports.json is damaged", "leases.json is damaged", "kept as"]);
    assert_eq!(fs::read(&aside("journal.db.damaged-")[0]).unwrap(), Damage::Halved.of(&journal.whole));
    assert!(aside("evidence.db.damaged-").is_empty(), "what is whole is not forgotten\n{answer}");
    assert_eq!(secrets(&stage.root), before);
    stage.is_whole();
    // With whole state it forgets nothing.
    stage.roadbed("down").exits(0);
    let url = stage.roadbed("up --detach --no-gate --forget-state").exits(0).says(&["no state file is damaged"]).out;
    assert!(url.iter().any(|line| line.contains(&stage.url())), "{url:?}");
}

#[test]
fn a_damaged_port_book_is_not_an_empty_one() {
    let stage = used_and_down();
    let file = Kept::new(stage.root.join("state/ports.json"));
    for damage in ALL {
        file.damage(damage);
        stage.roadbed("up --detach --no-gate").refuses(1, &["ports.json is damaged", "roadbed up --forget-state"]);
        stage.is_empty();
        file.is_still(damage);
    }
    file.mend();
    stage.up();
}

#[test]
fn a_damaged_secret_store_is_refused_and_never_given_up() {
    let stage = used_and_down();
    let file = Kept::new(stage.root.join("secrets/store.db"));
    let before = secrets(&stage.root);
    for damage in ALL {
        file.damage(damage);
        for flag in ["", " --forget-state"] {
            stage
                .roadbed(&format!("up --detach --no-gate{flag}"))
                .refuses(1, &["store.db is damaged", "restore the file from a backup"])
                .says_not("SESSION_SECRET=");
            file.is_still(damage);
        }
    }
    file.mend();
    stage.up();
    stage.is_whole();
    assert_eq!(secrets(&stage.root), before);
}

#[test]
fn what_was_wanted_is_asked_for_anew_after_down() {
    let stage = used_and_down();
    let file = Kept::new(stage.root.join("state/wanted.json"));
    for damage in ALL {
        file.damage(damage);
        stage.up();
        stage.is_whole();
        stage.roadbed("down").exits(0);
    }
}

#[test]
fn damage_while_up_takes_nothing_down_and_is_told() {
    let stage = Stage::new();
    stage.up();
    let files = ["state/wanted.json", "state/ports.json", "secrets/store.db"];
    for name in files {
        let file = Kept::new(stage.root.join(name));
        let url = stage.url();
        file.damage(Damage::Halved);
        // What runs goes on, also when control starts anew and cannot read it.
        if let Some(pid) = stage.pid_of("control") {
            crate::stage::signal(pid, "KILL");
        }
        stage.until("control is back", || stage.pid_of("control").is_some());
        stage.serves(&url);
        let answer = stage.roadbed("status");
        assert_eq!(answer.code, Some(0), "{answer}");
        let answer = match name {
            "secrets/store.db" => answer,
            _ => answer.says(&[&format!("{name} is damaged"), "hint: "]),
        };
        let units: Vec<&String> = answer.out.iter().filter(|line| line.starts_with("web-1")).collect();
        assert!(units.len() == 1 && units[0].contains("running"), "{name}\n{answer}");
        file.mend();
        stage.up();
        stage.is_whole();
    }
}

#[test]
fn a_journal_damaged_while_up_is_given_up_without_stopping_an_app() {
    let stage = Stage::new();
    stage.up();
    let web = stage.pid_of("web-1").unwrap();
    Kept::new(stage.root.join("state/journal.db")).damage(Damage::Scribbled);
    crate::stage::signal(stage.pid_of("control").unwrap(), "KILL");
    stage.roadbed("up --detach --no-gate").refuses(1, &["journal.db is damaged", "roadbed up --forget-state"]);
    stage.roadbed("up --detach --no-gate --forget-state").exits(0).says(&["journal.db is damaged; it was kept as"]);
    stage.is_whole();
    assert_eq!(stage.pid_of("web-1"), Some(web), "the app was not touched");
}

#[test]
fn an_up_that_is_refused_stops_no_app_that_outlived_its_keeper() {
    let stage = Stage::new();
    stage.up();
    let web = stage.pid_of("web-1").unwrap();
    let keepers: Vec<u32> = stage.processes().iter().filter(|ours| ours.pid != web).map(|ours| ours.pid).collect();
    crate::stage::signals(&keepers, "STOP");
    crate::stage::signals(&keepers, "KILL");
    Kept::new(stage.root.join("state/journal.db")).damage(Damage::Emptied);
    stage.roadbed("up --detach --no-gate").refuses(1, &["journal.db is damaged"]);
    assert_eq!(stage.pid_of("web-1"), Some(web));
    stage.roadbed("up --detach --no-gate --forget-state").exits(0);
    stage.is_whole();
    assert_eq!(stage.pid_of("web-1"), Some(web));
}

#[test]
fn a_lost_secret_store_is_not_an_empty_one() {
    let stage = used_and_down();
    let file = Kept::new(stage.root.join("secrets/store.db"));
    fs::remove_file(&file.path).unwrap();
    for flag in ["", " --forget-state"] {
        stage
            .roadbed(&format!("up --detach --no-gate{flag}"))
            .refuses(1, &["store.db is missing", "lock the apps out of their data", "restore the file from a backup"]);
    }
    assert!(!file.path.exists(), "no new secrets were made");
    file.mend();
    stage.up();
    stage.is_whole();
}

#[test]
fn a_damaged_wish_is_written_anew_by_up_while_up() {
    let stage = Stage::new();
    stage.up();
    for damage in ALL {
        Kept::new(stage.root.join("state/wanted.json")).damage(damage);
        stage.up();
        stage.is_whole();
        assert!(!stage.url().is_empty());
    }
}

#[test]
fn damaged_routes_fall_back_to_those_before_and_are_mended_by_up() {
    let stage = Stage::new();
    stage.up();
    // A second generation, so that there is one before.
    stage.edit("hosts = [\"www\"]", "hosts = [\"www\", \"shop\"]");
    stage.up();
    let url = stage.url();
    let folder = stage.root.join("edge");
    let file = Kept::new(folder.join("routes.json"));
    for damage in ALL {
        file.damage(damage);
        crate::stage::signal(stage.pid_of("edge").unwrap(), "KILL");
        stage.until("the edge is back", || stage.pid_of("edge").is_some());
        stage.serves(&url);
        stage.up();
        stage.serves(&url);
    }
    // Both gone: it says so, and up mends it.
    for name in fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()) {
        fs::write(name, "{").unwrap();
    }
    crate::stage::signal(stage.pid_of("edge").unwrap(), "KILL");
    stage.until("the edge is back", || stage.pid_of("edge").is_some());
    stage.until("it refuses with 503", || stage.client().get(&url).is_ok_and(|answer| answer.status == 503));
    stage.up();
    stage.serves(&url);
}

#[test]
fn a_damaged_record_of_a_unit_starts_nothing_twice() {
    let stage = Stage::new();
    stage.up();
    for damage in ALL {
        for unit in ["web-1", "edge", "control"] {
            Kept::new(stage.root.join(format!("run/units/{unit}.json"))).damage(damage);
        }
        crate::stage::signal(stage.pid_of("keeper").unwrap(), "KILL");
        stage.until("another keeper keeps", || stage.pid_of("keeper").is_some());
        stage.up();
        stage.until("each runs once", || stage.units() == ["control", "edge", "keeper", "telemetry", "web-1"]);
        stage.answers();
    }
}

#[test]
fn damaged_certificates_are_told_or_made_anew() {
    let stage = used_and_down();
    let leaf = Kept::new(stage.root.join("tls/leaf.json"));
    let authority = Kept::new(stage.root.join("tls/ca.json"));
    for damage in ALL {
        // The leaf can be made again by the authority that browsers trust already.
        leaf.damage(damage);
        let answer = stage.roadbed("up --detach --no-gate");
        if answer.code == Some(0) {
            stage.is_whole();
        } else {
            answer.refuses(1, &["leaf.json"]);
        }
        stage.roadbed("down").exits(0);
        leaf.mend();
        // The authority cannot: another one would be trusted by nobody.
        authority.damage(damage);
        stage.roadbed("up --detach --no-gate").refuses(1, &["ca.json"]);
        authority.is_still(damage);
        stage.roadbed("down").exits(0);
        authority.mend();
    }
    stage.up();
    stage.is_whole();
}

/// Whoever writes to the file can drop what guards it; the chain shows it, and also while the environment is down.
#[test]
fn evidence_that_was_made_better_is_noticed() {
    let stage = Stage::new();
    stage.roadbed("ready history").refuses(1, &["there is no evidence in"]);
    stage.roadbed("up --detach").exits(0);
    stage.roadbed("down").exits(0);
    stage.roadbed("ready history").exits(0).says(&["apps-are-reachable", "holds"]);
    stage.roadbed("ready verify").exits(0).says(&["the evidence is whole"]);
    let book = rusqlite::Connection::open(stage.root.join("state/evidence.db")).unwrap();
    book.execute_batch(
        "DROP TRIGGER evidence_is_append_only_u;
         UPDATE evidence SET body = replace(body, '\"took_ms\":', '\"took_ms\":1') WHERE seq = 2;",
    )
    .unwrap();
    stage.roadbed("ready verify").refuses(1, &["changed by another hand at row 2"]);
}
