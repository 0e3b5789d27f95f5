//! Root folders: held by another command, of another environment, in places where none can be; copied, moved, brought from
//! another machine, half-deleted, and with parts of another one in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::damage::secrets;
use crate::stage::Stage;

/// A build that takes until the file `go` is there.
pub(crate) const SLOW_BUILD: &str =
    "echo building; touch ../begun; until [ -e ../go ]; do sleep 0.02; done; mkdir -p dist && cp server.js dist/\n";

#[test]
fn the_second_up_at_once_learns_who_holds_the_root() {
    let stage = Stage::new();
    stage.write("web/build.sh", SLOW_BUILD);
    let first = stage.begin("up --detach --no-gate");
    stage.until("the first one builds", || stage.project.join("begun").exists());
    let pid = format!("process {}", first.pid());
    for second in ["up --detach", "down", "restart web", "ready", "plan"] {
        stage
            .roadbed(second)
            .refuses(3, &["is held by", &pid, "roadbed up --detach --no-gate", &format!("kill {}", first.pid())]);
    }
    // Looking is always allowed.
    stage.roadbed("status").exits(0).says(&["control"]);
    stage.write("go", "");
    first.end().exits(0);
    stage.is_whole();
}

#[test]
fn a_root_of_another_environment_is_refused() {
    let stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    stage.roadbed("up --detach --env production").refuses(1, &["belongs to the environment local", "--root"]);
    stage.is_empty();
}

#[test]
fn a_root_that_cannot_be_made_is_told_as_such() {
    let mut stage = Stage::new();
    stage.write("file", "");
    let beneath_a_file = stage.project.join("file/root");
    for root in [beneath_a_file, "/proc/roadbed".into(), "/sys/roadbed".into()] {
        stage.root = root;
        stage.roadbed("up --detach").refuses(1, &["cannot ", " the root ", &stage.root.display().to_string()]);
        stage.roadbed("down").exits(0).says(&["nothing runs"]);
    }
}

#[test]
fn a_root_may_lie_deeper_than_a_socket_s_name_is_long() {
    let mut stage = Stage::new();
    stage.root = stage.root.join("long".repeat(30));
    stage.up();
    stage.is_whole();
    stage.roadbed("down").exits(0);
    stage.is_empty();
}

/// As somebody would: with all that is in it, sockets too.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

const EVERY_VERB: [&str; 7] = ["up --detach --no-gate", "status", "down", "plan", "ready", "logs", "restart"];

#[test]
fn a_copy_is_refused_by_every_verb_and_adopted_it_is_a_root_of_its_own() {
    let mut stage = Stage::new();
    stage.up();
    let (first, second) = (stage.root.clone(), stage.root.with_file_name("copy"));
    let (pids, url) = (stage.processes(), stage.url());
    // Copied as it runs, records of its processes included.
    copy(&first, &second);
    stage.root = second.clone();
    for verb in EVERY_VERB {
        stage.roadbed(verb).refuses(1, &["cannot use the root", "is a copy of", "--adopt"]);
    }
    stage.root = first.clone();
    assert_eq!(stage.processes(), pids, "the first one runs on");

    stage.root = second.clone();
    stage.roadbed("up --detach --no-gate --adopt").exits(0).says(&["adopted"]);
    stage.is_whole();
    assert_ne!(stage.url(), url, "the first one has that port");
    // Adopted, it is an environment like any other, and so is the first one still.
    stage.roadbed("up --detach --no-gate").exits(0).says(&["nothing to change"]);
    stage.root = first;
    assert_eq!(stage.processes(), pids);
    stage.roadbed("up --detach --no-gate").exits(0).says(&["nothing to change"]);
    stage.serves(&url);
    stage.roadbed("down").exits(0);
    stage.root = second;
    stage.is_whole();
    stage.roadbed("up --detach --no-gate --adopt").refuses(1, &["its environment is up"]);
    stage.roadbed("down").exits(0);
}

#[test]
fn a_root_that_was_moved_is_the_same_root() {
    let mut stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    let moved = stage.root.with_file_name("moved");
    fs::rename(&stage.root, &moved).unwrap();
    stage.root = moved;
    stage.up();
    stage.is_whole();
    stage.roadbed("down").exits(0);
    // What is made anew where it lay is another one.
    stage.root = stage.root.with_file_name("root");
    stage.up();
    stage.roadbed("down").exits(0);
    stage.root = stage.root.with_file_name("moved");
    stage.up();
}

#[test]
fn a_root_of_another_machine_is_refused_until_it_is_adopted() {
    let stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    edit_identity(&stage.root, |identity| identity["home"]["machine"] = "another".into());
    let before = secrets(&stage.root);
    for verb in EVERY_VERB {
        stage.roadbed(verb).refuses(1, &["was made on another machine", "--adopt"]);
    }
    stage.roadbed("up --detach --no-gate --adopt").exits(0);
    stage.is_whole();
    assert_eq!(secrets(&stage.root), before, "the data is tied to its secrets");
}

#[test]
fn a_root_of_a_newer_roadbed_is_refused() {
    let stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    edit_identity(&stage.root, |identity| identity["format"] = 2.into());
    for verb in ["up --detach --no-gate", "up --detach --no-gate --adopt", "status", "plan"] {
        stage.roadbed(verb).refuses(1, &["it has layout 2", "use the Roadbed that made it"]);
    }
    stage.is_empty();
}

fn edit_identity(root: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = root.join("environment.json");
    let mut identity = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut identity);
    fs::write(path, identity.to_string()).unwrap();
}

#[test]
fn a_half_deleted_root_is_refused_or_healed_and_never_begun_anew_unsaid() {
    let stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    let whole = stage.root.with_file_name("whole");
    copy(&stage.root, &whole);
    let again = |lost: &str| {
        fs::remove_dir_all(&stage.root).unwrap();
        copy(&whole, &stage.root);
        let path = stage.root.join(lost);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    };
    for (lost, said) in [
        ("environment.json", "environment.json is missing"),
        ("state", "journal.db is missing"),
        ("state/journal.db", "journal.db is missing"),
        ("state/evidence.db", "evidence.db is missing"),
        ("secrets", "store.db is missing"),
        ("secrets/store.db", "store.db is missing"),
    ] {
        again(lost);
        stage.roadbed("up --detach --no-gate").refuses(1, &[said, "hint: "]);
        stage.is_empty();
    }
    for (lost, said) in [
        ("tls", "the certificate authority was missing"),
        ("state/ports.json", "the port book was missing"),
        ("edge", "app/web"),
        ("logs", "app/web"),
        ("run", "app/web"),
    ] {
        again(lost);
        stage.up().says(&[said]);
        stage.is_whole();
        stage.roadbed("down").exits(0);
    }
}

#[test]
fn object_storage_that_lost_its_objects_is_refused_until_somebody_says_that_it_shall_begin_empty() {
    let stage = Stage::new();
    let bucket = "[services.media.buckets.pictures]\ndescription = \"Pictures\"\n";
    stage.edit("[apps.web]", &format!("{bucket}\n[apps.web]"));
    stage.up();
    let (objects, settings) = (stage.root.join("data/objects"), stage.root.join("conf/objects/settings.json"));
    let told = settings.display().to_string();
    let is_refused = || {
        stage.roadbed("up --detach --no-gate").refuses(1, &["data/objects is missing", "hint: ", &told]);
        assert!(!objects.exists(), "it was begun anew unsaid");
    };
    // While it runs: whoever starts it again does not make it anew either.
    fs::remove_dir_all(&objects).unwrap();
    stage.kill("objects");
    stage.until("nobody gets it to start", || stage.unit("objects").is_some_and(|unit| unit["state"] == "crash-loop"));
    is_refused();
    stage.roadbed("down").exits(0);
    is_refused();
    // And where it is to be told something else.
    stage.edit(bucket, &format!("{bucket}max_object = \"1 MiB\"\n"));
    is_refused();
    stage.roadbed("down").exits(0);
    fs::remove_file(&settings).unwrap();
    stage.up();
    assert!(objects.is_dir());
}

/// Everything below a folder that is a file.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// Files of a root that say whose they are, and what is said of a stranger's.
const BOUND: [(&str, &str); 7] = [
    ("environment.json", "is a copy of"),
    ("secrets/store.db", "belongs to another environment's root"),
    ("state/journal.db", "belongs to another environment's root"),
    ("state/evidence.db", "belongs to another environment's root"),
    ("state/delivery.db", "belongs to another environment's root"),
    ("state/ports.json", "belongs to another environment's root"),
    ("tls/ca.json", "is the authority of another environment's root"),
];

#[test]
fn what_is_another_root_s_is_refused_or_replaced_and_never_used() {
    const UP: &str = "up --detach --no-gate --env production --free-ports";
    let mut stage = Stage::new();
    let (local, production) = (stage.root.clone(), stage.root.with_file_name("production"));
    stage.root = production.clone();
    stage.roadbed(UP).exits(0);
    let url = stage.url();
    stage.roadbed("down").exits(0);
    let whole = production.with_file_name("whole");
    copy(&production, &whole);
    // Local is up, so that its processes, sockets and routes are there to be taken.
    stage.root = local.clone();
    stage.up();
    let of_local = stage.processes();

    stage.root = production.clone();
    let again = || {
        fs::remove_dir_all(&production).unwrap();
        copy(&whole, &production);
    };
    for (file, said) in BOUND {
        again();
        fs::copy(local.join(file), production.join(file)).unwrap();
        stage.roadbed(UP).refuses(1, &[said]);
        stage.roadbed("down --env production");
        assert!(
            fs::read(production.join(file)).unwrap() == fs::read(local.join(file)).unwrap(),
            "{file} was written over"
        );
    }
    // All others at once: what they say is not believed.
    again();
    let mut others = 0;
    for file in files_below(&local) {
        let name = file.strip_prefix(&local).unwrap();
        if BOUND.iter().all(|(bound, _)| Path::new(bound) != name)
            && !name.starts_with("logs")
            && !name.ends_with("keeper.lock")
        {
            // A database's companions go with it.
            if name.to_str().unwrap().ends_with("-wal") || name.to_str().unwrap().ends_with("-shm") {
                continue;
            }
            fs::create_dir_all(production.join(name).parent().unwrap()).unwrap();
            fs::copy(&file, production.join(name)).unwrap();
            others += 1;
        }
    }
    assert!(others > 8, "{others} files");
    stage.roadbed(UP).exits(0);
    stage.is_whole();
    assert_eq!(stage.url(), url);
    assert_eq!(stage.status()["environment"], "production");
    // Its own authority still signs for its own names, and the processes of the other were left alone.
    assert_eq!(fs::read(production.join("tls/ca.pem")).unwrap(), fs::read(whole.join("tls/ca.pem")).unwrap());
    stage.root = local.clone();
    assert_eq!(stage.processes(), of_local);
    stage.is_whole();
    stage.roadbed("down").exits(0);
    stage.root = production;
    stage.is_whole();
    stage.roadbed("down").exits(0);
}
