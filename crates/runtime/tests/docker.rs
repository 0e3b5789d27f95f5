//! The driver of Docker against real daemons: every case of the conformance suite.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test breaks things from outside, and says what it did"
)]

#[allow(unreachable_pub, reason = "the suite is written as the library that it becomes with a second driver")]
mod conformance;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use conformance::{Engine, cases, confinement, crashes, shim};
use runtime::Runtime;
use runtime::docker::{Docker, Egress, PATIENCE};
use runtime::instance::{Epoch, Image, ImageId, InstanceId, Name};
use runtime::port::Holder;
use testkit::DockerEngine;

fn docker(socket: PathBuf, environment: &str, epoch: u64) -> Docker {
    let holder = Holder { environment: Name::new(environment).unwrap(), epoch: Epoch(epoch) };
    Docker::new(socket, holder, Egress::Closed, PATIENCE)
}

struct Rig(DockerEngine);

impl Rig {
    /// Asks the daemon as anybody with its socket can.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = std::os::unix::net::UnixStream::connect(self.0.socket()).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

impl Engine for Rig {
    fn runtime(&self, environment: &str, epoch: u64) -> Box<dyn Runtime> {
        Box::new(docker(self.0.socket(), environment, epoch))
    }

    fn open_runtime(&self, environment: &str, epoch: u64) -> Box<dyn Runtime> {
        let holder = Holder { environment: Name::new(environment).unwrap(), epoch: Epoch(epoch) };
        Box::new(Docker::new(self.0.socket(), holder, Egress::Open, PATIENCE))
    }

    fn is_closed(&self, environment: &str) -> bool {
        let (status, answer) = self.ask("GET", &format!("/networks/roadbed.{environment}"), "");
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()["Internal"] == true
    }

    fn kill(&self) {
        self.0.kill_daemon();
    }

    fn start(&self) {
        self.0.start_daemon();
    }

    fn told_of(&self, environment: &str, id: &InstanceId) -> String {
        let name = runtime::labels::container(&Name::new(environment).unwrap(), id);
        let (status, inspected) = self.ask("GET", &format!("/containers/{name}/json"), "");
        assert_eq!(status, 200, "{inspected}");
        let (_, top) = self.ask("GET", &format!("/containers/{name}/top?ps_args=aux"), "");
        inspected + &top
    }

    fn keeps(&self, text: &str) -> bool {
        let kept = self.0.socket().with_file_name("kept");
        // Not its pipes, which nobody reads twice.
        let mut found = self.0.within();
        found.args(["grep", "--recursive", "--devices=skip", "--files-with-matches", "--text"]);
        let found = found.args(["--fixed-strings", text]).arg(kept).output().unwrap();
        // Its exit code is that of an error when a file went away meanwhile.
        !found.stdout.is_empty()
    }

    fn run_stranger(&self, name: &str, labels: &[(&str, &str)], image: &Image) {
        let labels: std::collections::BTreeMap<_, _> = labels.iter().copied().collect();
        let body = serde_json::json!({
            "Image": image.id.configuration, "Cmd": ["/usr/bin/node", "-e", "setInterval(() => {}, 1000)"],
            "Labels": labels, "HostConfig": {"NetworkMode": "none"},
        });
        let (status, answer) = self.ask("POST", &format!("/containers/create?name={name}"), &body.to_string());
        assert_eq!(status, 201, "{answer}");
        let (status, answer) = self.ask("POST", &format!("/containers/{name}/start"), "");
        assert_eq!(status, 204, "{answer}");
    }

    fn is_there(&self, stranger: &str) -> bool {
        let (status, answer) = self.ask("GET", &format!("/containers/{stranger}/json"), "");
        status == 200 && answer.contains(r#""Running":true"#)
    }

    fn processes(&self) -> usize {
        let all = self.0.within().args(["ps", "-A", "-o", "comm="]).output().unwrap();
        String::from_utf8(all.stdout).unwrap().lines().filter(|name| name.trim() == "node").count()
    }

    fn place(&self) -> u32 {
        self.0.pid()
    }

    fn to_run_again(&self) -> String {
        self.0.socket().display().to_string()
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What a case is given: an engine, an image that it has or can have, and a folder to make others in.
type Case = for<'a> fn(&'a dyn Engine, &'a Image, &'a Path) -> Running<'a>;

macro_rules! cases {
    ($($room:ident :: $name:ident ($($given:ident)?)),+ $(,)?) => {
        &[$((stringify!($name), |engine, image, folder| {
            let _ = (image, folder);
            Box::pin($room::$name(engine, cases!(@ image folder $($given)?)))
        })),+]
    };
    (@ $image:ident $folder:ident image) => { $image };
    (@ $image:ident $folder:ident folder) => { $folder };
}

/// Runs cases where instances can be reached, `at_once` of them, and tells of all that failed.
fn run(rig: Rig, folder: &Path, list: &[(&'static str, Case)], at_once: usize) {
    let image = conformance::image(folder, "usual");
    let rig = Arc::new(rig);
    let mut failed = Vec::new();
    for some in list.chunks(at_once) {
        let running: Vec<_> = some
            .iter()
            .map(|&(name, case)| {
                let (rig, image, folder) = (rig.clone(), image.clone(), folder.to_owned());
                let running = host::network_namespace::work_in(rig.place(), move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(case(&*rig, &image, &folder));
                });
                (name, std::time::Instant::now(), running)
            })
            .collect();
        for (name, began, running) in running {
            match running.join() {
                Ok(entered) => entered.unwrap(),
                Err(_) => failed.push(name),
            }
            println!("{name}: {:.1} s", began.elapsed().as_secs_f32());
        }
    }
    assert!(failed.is_empty(), "of {} cases these failed: {failed:#?}", list.len());
}

#[test]
fn docker_runs_instances_as_every_engine_must() {
    let folder = tempfile::tempdir().unwrap();
    let list: &[(&str, Case)] = cases![
        cases::it_lives_from_creation_to_collection(image),
        cases::two_that_create_at_once_make_one(image),
        cases::one_that_runs_otherwise_is_not_replaced_behind_its_back(image),
        cases::an_older_epoch_is_refused(image),
        cases::what_is_not_ours_is_left_alone(image),
        cases::one_that_ends_is_told_with_its_code_and_not_waited_for(image),
        cases::one_that_never_gets_ready_is_told_with_the_last_answer(image),
        cases::one_that_ignores_the_signal_is_killed_when_the_grace_is_over(image),
        cases::lines_are_whole_and_whoever_comes_back_misses_none(image),
        confinement::it_has_no_rights_and_writes_nowhere_but_to_a_small_tmp(image),
        confinement::one_that_takes_too_much_memory_is_ended_and_that_is_told(image),
        confinement::its_network_is_its_environments_and_leads_out_only_where_it_may(image),
        confinement::its_secrets_are_told_to_nobody_else(image),
        confinement::an_image_that_is_missing_or_is_another_one_is_refused(folder),
        shim::it_is_as_the_instance_in_the_foreground(image),
        shim::it_replaces_what_is_left_of_another_way_to_run_or_another_epoch(image),
        shim::it_takes_over_from_one_that_was_killed(image),
        crashes::our_process_may_die_at_any_moment(folder),
    ];
    run(Rig(DockerEngine::start("life")), folder.path(), list, 3);
}

#[test]
fn docker_may_die_and_everything_converges() {
    let folder = tempfile::tempdir().unwrap();
    let list: &[(&str, Case)] = cases![
        crashes::the_engine_may_die_between_any_two_steps(image),
        crashes::no_line_is_lost_when_the_engine_dies(image),
        crashes::a_start_under_way_outlives_the_engine_and_has_its_variables(image),
        crashes::a_call_under_way_outlives_the_engine(folder),
    ];
    run(Rig(DockerEngine::start("death")), folder.path(), list, 1);
}

#[test]
fn docker_pulls_an_image_by_its_digest_and_refuses_one_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let image = conformance::image(folder.path(), "pulled");
    let rig = Rig(DockerEngine::start("pulls"));
    let (tell, told) = std::sync::mpsc::channel();
    let place = image.layout.clone();
    // Serves until the process ends, in the network of the daemon, which takes what is on its own loopback without TLS.
    let _serving = host::network_namespace::work_in(rig.place(), move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            runtime::registry::serve(listener, runtime::image::Layout::at(&place).unwrap()).await;
        });
    });
    let name = format!("{}/roadbed/api", told.recv().unwrap());
    let pull = |tag: &str| rig.ask("POST", &format!("/images/create?fromImage={name}&tag={tag}"), "").1;

    let blobs = image.layout.join("blobs/sha256");
    let largest = std::fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path());
    let largest = largest.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let whole = std::fs::read(&largest).unwrap();
    let mut turned = whole.clone();
    turned[whole.len() / 2] ^= 1;
    std::fs::write(&largest, &turned).unwrap();
    let said = pull(&image.id.manifest);
    assert!(said.contains("error"), "{said}");
    let there = |id: &str| rig.ask("GET", &format!("/images/{id}/json"), "").0 == 200;
    assert!(!there(&image.id.configuration), "it took a damaged layer");

    std::fs::write(&largest, &whole).unwrap();
    let said = pull(&image.id.manifest);
    assert!(!said.contains("error"), "{said}");
    assert!(there(&image.id.configuration), "{said}");
    for unknown in ["latest", &image.id.configuration] {
        let said = pull(unknown);
        assert!(said.contains("manifest unknown") || said.contains("not found"), "{unknown}: {said}");
    }
}

#[test]
fn nothing_is_left_of_an_environment_that_is_dissolved() {
    let folder = tempfile::tempdir().unwrap();
    let image = conformance::image(folder.path(), "dissolved");
    let rig = Rig(DockerEngine::start("dissolves"));
    let all = || {
        let of = |path: &str| rig.ask("GET", path, "").1;
        let lists = ["/containers/json?all=1", "/images/json?all=1", "/volumes", "/networks"];
        let text = lists.map(of).concat();
        (text.matches("roadbed").count(), text)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (one, two) = (docker(rig.0.socket(), "gone", 1), docker(rig.0.socket(), "stays", 1));
        for engine in [&one, &two] {
            engine.create(&conformance::spec(&image, "1", "serves")).await.unwrap();
            engine.start(&conformance::id("1"), &conformance::given("x")).await.unwrap();
        }
        one.dissolve().await.unwrap();
        let (_, text) = all();
        assert!(!text.contains("gone") && text.contains("roadbed/stays.api:r1"), "{text}");
        assert_eq!(two.list().await.unwrap().len(), 1);
        two.dissolve().await.unwrap();
        two.dissolve().await.unwrap();
    });
    let (left, text) = all();
    assert_eq!(left, 0, "{text}");
}

#[test]
#[ignore = "run by the cases, in a process of its own that they kill"]
fn a_life_that_is_cut_off() {
    let Ok(told) = std::env::var(conformance::TOLD) else { return };
    let [what, socket, epoch, configuration, manifest, layout] = told.split('\n').collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let id = ImageId { configuration: configuration.to_owned(), manifest: manifest.to_owned() };
    let image = Image { id, layout: PathBuf::from(layout) };
    let docker = docker(PathBuf::from(socket), what, epoch.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match what {
        "crash" => runtime.block_on(crashes::live(&docker, &image)),
        "shim-taken" => runtime.block_on(shim::live(&docker, &image)),
        _ => panic!("{what}"),
    }
}
