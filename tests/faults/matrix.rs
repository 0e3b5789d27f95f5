//! A matrix of faults, generated: whoever has a part in a deployment is killed at whatever is written down about one.
//!
//! The points are not listed here. A rehearsal shows what a deployment writes into its book (each state, each step, before it is
//! done); every line is a point, at once and a moment later, for everybody who can die. One fault at a time: the next comes when
//! everybody is back. Meanwhile visitors ask without pause, and an observer holds every published route against what it has seen
//! to be ready. Several environments share the cases: most of a deployment is waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use delivery::deployment::Happened;
use delivery::{Deployment, DeploymentId, State};
use reconcile::Root;
use reconcile::ports::{RouteTable, Routes, Target};
use roadbed::control::client::ControlClient;
use roadbed::control::delivering::Happening;
use serde_json::Value;
use testkit::{Client, Crowd, Kept, SendHomeOnDrop};
use tokio::runtime::Runtime;

use crate::stage::{Stage, signal};

/// Says which release it is of; ends in order.
const SERVER: &str = r#"const server = require("node:http").createServer((request, answer) => answer.end("tiny " + process.env.ROADBED_RELEASE + "\n"));
server.keepAliveTimeout = Number(process.env.ROADBED_KEEP_ALIVE_MS);
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"#;

/// Who is killed. The new instance last: a release whose instance dies may be taken back, and then its deployment is over.
const VICTIMS: [Victim; 5] = [Victim::Control, Victim::Keeper, Victim::Edge, Victim::Live, Victim::Next];

/// At once, and when what was written down is probably being done.
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(40)];

/// More deployments than this for all cases would mean that points are not reached.
const MOST_DEPLOYMENTS: usize = 90;

/// Environments that deploy at once. With more of them, two cores are busy enough to pass points before anybody is killed there.
const LANES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Control,
    Keeper,
    Edge,
    /// The instance that visitors reach.
    Live,
    /// The instance of the release that comes.
    Next,
}

/// A line of the book, as it comes again from one deployment to the next.
type Point = String;

type Case = (Point, Victim, Duration);

/// The state, and what is about to be done in it: digests, slots and times differ each time.
fn point(line: &Happened) -> Point {
    let done = line.what.split([':', '/', '@']).next().unwrap_or_default();
    let done: String = done.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    format!("{} {done}", line.state).trim_end().to_owned()
}

/// What the observer has seen: which release answered ready at which port.
#[derive(Default)]
struct Observed {
    ready: Mutex<BTreeSet<(u16, String)>>,
    wrong: Mutex<Vec<String>>,
    looks: AtomicU64,
}

impl Observed {
    /// Looks until it is told that it is over.
    fn watch(&self, root: &Path, over: &AtomicBool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let edge = edge::client::EdgeClient::new(Root::new(root.to_owned()));
        while !over.load(Ordering::Relaxed) {
            // Before the routes: who is routed to by then was ready by then.
            self.note_ready(root);
            if let Ok(Some(table)) = runtime.block_on(edge.current()) {
                self.judge(&table);
                self.looks.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn note_ready(&self, root: &Path) {
        let ports = fs::read_to_string(root.join("state/ports.json")).unwrap_or_default();
        let ports: Value = serde_json::from_str(&ports).unwrap_or_default();
        for (_, port) in ports["ports"].as_object().into_iter().flatten().filter(|(name, _)| is_instance(name)) {
            let port = u16::try_from(port.as_u64().unwrap_or_default()).unwrap();
            if let Some(release) = release_at(port) {
                self.ready.lock().unwrap().insert((port, release));
            }
        }
    }

    /// Every route that visitors have leads to an instance that was ready.
    fn judge(&self, table: &RouteTable) {
        for site in table.sites.iter().filter(|site| !site.hosts.is_empty()) {
            let Target::Instances { upstreams, .. } = &site.target else { continue };
            let release = site.release.clone().unwrap_or_default();
            let was_ready = |port: u16| {
                let known = self.ready.lock().unwrap().contains(&(port, release.clone()));
                // Routed to between the two looks.
                known || release_at(port).as_deref() == Some(release.as_str())
            };
            if upstreams.is_empty() || !upstreams.iter().all(|upstream| was_ready(upstream.port)) {
                self.wrong.lock().unwrap().push(format!("{release} is routed to {upstreams:?}"));
            }
        }
    }
}

fn is_instance(name: &str) -> bool {
    name.starts_with("web-blue-") || name.starts_with("web-green-")
}

/// Which release answers at a port, if one does.
fn release_at(port: u16) -> Option<String> {
    use std::io::{Read, Write};
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    if !answer.starts_with("HTTP/1.1 200") {
        return None;
    }
    Some(answer.split("tiny ").nth(1)?.split_whitespace().next()?.to_owned())
}

/// A visitor as a browser is one: a page whose connection broke is asked for again, but only an edge that was killed may break one.
fn visit(
    visitor: &mut Kept,
    client: &Client,
    url: &str,
    began: Instant,
    edge_killed: &AtomicU64,
) -> Result<(), String> {
    let mut answer = visitor.request("GET", url, &[], "");
    let millis = || u64::try_from(began.elapsed().as_millis()).unwrap();
    while answer.is_err() && millis() < edge_killed.load(Ordering::Relaxed).saturating_add(3000) {
        thread::sleep(Duration::from_millis(50));
        answer = client.get(url);
    }
    match answer? {
        answer if answer.status == 200 && answer.body.starts_with("tiny ") => Ok(()),
        answer => Err(format!("{answer:?}")),
    }
}

/// One deployment, in which cases are tried.
struct Run<'a> {
    stage: &'a Stage,
    runtime: &'a Runtime,
    id: DeploymentId,
    live: String,
    next: String,
    tried: Vec<Case>,
    seen: Vec<Point>,
    /// Who must be back before the next one is killed.
    down: Option<(String, u32)>,
}

impl<'a> Run<'a> {
    fn begin(stage: &'a Stage, runtime: &'a Runtime) -> Self {
        let live = stage.live_instance(runtime);
        let next = if live.contains("blue") { "web-green-1" } else { "web-blue-1" }.to_owned();
        stage.roadbed("deploy --detach").exits(0);
        let id = stage.json("deploy list --json")["deployments"][0]["id"].as_str().unwrap().parse().unwrap();
        Self { stage, runtime, id, live, next, tried: Vec::new(), seen: Vec::new(), down: None }
    }

    fn unit(&self, victim: Victim) -> &str {
        match victim {
            Victim::Control => "control",
            Victim::Keeper => "keeper",
            Victim::Edge => "edge",
            Victim::Live => &self.live,
            Victim::Next => &self.next,
        }
    }

    fn is_whole(&mut self) -> bool {
        let is_back = |(unit, pid): &(String, u32)| self.stage.pid_of(unit).is_some_and(|now| now != *pid);
        if self.down.as_ref().is_some_and(|down| !is_back(down)) {
            return false;
        }
        self.down = None;
        true
    }

    /// Follows it to its end, and kills at each point somebody who has not been killed there yet.
    fn follow(&mut self, pending: &Mutex<Vec<Case>>, about_to_kill: &dyn Fn(Victim)) -> Deployment {
        let control = ControlClient::new(Root::new(self.stage.root.clone()));
        let (began, mut after) = (Instant::now(), 0);
        loop {
            assert!(began.elapsed() < Duration::from_secs(90), "{} does not end: {:?}", self.id, self.tried);
            // A control that was killed answers when it is back.
            if let Ok(Happening { deployment, lines, .. }) = self.runtime.block_on(control.happening(self.id, after)) {
                after = lines.last().map_or(after, |line| line.number);
                let fresh: Vec<Point> = lines.iter().map(point).collect();
                if deployment.state.is_over() && fresh.is_empty() {
                    return deployment;
                }
                self.seen.extend(fresh.iter().cloned());
                if !fresh.is_empty() && self.is_whole() {
                    let mut pending = pending.lock().unwrap();
                    let here = pending.iter().position(|(point, ..)| fresh.contains(point));
                    let case = here.map(|at| pending.remove(at));
                    drop(pending);
                    case.into_iter().for_each(|case| self.try_one(case, about_to_kill));
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn try_one(&mut self, case: Case, about_to_kill: &dyn Fn(Victim)) {
        let (_, victim, delay) = case;
        thread::sleep(delay);
        if let Some(pid) = self.stage.pid_of(self.unit(victim)) {
            about_to_kill(victim);
            signal(pid, "KILL");
            self.down = Some((self.unit(victim).to_owned(), pid));
        }
        self.tried.push(case);
    }
}

/// Everybody who can die, at every point that two rehearsals had.
fn cases(first: &[Point], second: &[Point]) -> Vec<Case> {
    let mut points: Vec<&Point> = second.iter().filter(|point| first.contains(point)).collect();
    let mut known = BTreeSet::new();
    points.retain(|point| known.insert(*point));
    // Before it is started there is nothing of the next one to kill, and when it is live it is the one that serves.
    let starts = points.iter().position(|point| point.starts_with("starting app"));
    let ends = points.iter().position(|point| *point == "live");
    let mut all = Vec::new();
    for victim in VICTIMS {
        for (at, point) in points.iter().enumerate() {
            if victim != Victim::Next || (Some(at) >= starts && Some(at) < ends) {
                all.extend(DELAYS.iter().map(|delay| ((*point).clone(), victim, *delay)));
            }
        }
    }
    all
}

/// What several environments find out together.
#[derive(Default)]
struct Findings {
    pending: Mutex<Vec<Case>>,
    deployments: AtomicUsize,
    looks: AtomicU64,
    ends: Mutex<BTreeMap<String, usize>>,
    worst: Mutex<(Duration, String)>,
    asked: AtomicUsize,
    longest: Mutex<Duration>,
}

impl Findings {
    /// One more deployment may be begun: there are cases left, and not too many have been.
    fn goes_on(&self) -> bool {
        !self.pending.lock().unwrap().is_empty() && self.deployments.fetch_add(1, Ordering::Relaxed) < MOST_DEPLOYMENTS
    }
}

/// An environment in which all deployments that follow are alike: the first two go into slots that were never used.
fn stage(runtime: &Runtime) -> Stage {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"1h\", drain_streams = \"1m\"");
    stage.deploy(SERVER).exits(0);
    rehearse(&stage, runtime);
    stage
}

/// What a deployment writes down while nobody dies.
fn rehearse(stage: &Stage, runtime: &Runtime) -> Vec<Point> {
    let mut run = Run::begin(stage, runtime);
    assert_eq!(run.follow(&Mutex::default(), &|_| {}).state, State::Live);
    run.seen
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Deploys in one environment, with visitors and an observer, until no case is left for anybody.
fn deploy_and_kill(stage: &Stage, runtime: &Runtime, findings: &Findings) {
    let (crowd, observed, over) = (Crowd::default(), Observed::default(), AtomicBool::new(false));
    let (began, edge_killed) = (Instant::now(), AtomicU64::new(0));
    let about_to_kill = |victim| {
        if victim == Victim::Edge {
            edge_killed.store(u64::try_from(began.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        let _over = OverOnDrop(&over);
        for _ in 0..3 {
            let (client, url, edge_killed) = (stage.client(), stage.url(), &edge_killed);
            let mut visitor = Kept::new(client.clone());
            crowd.let_in(scope, 30, move || visit(&mut visitor, &client, &url, began, edge_killed));
        }
        let (observed, over, root) = (&observed, &over, stage.root.clone());
        scope.spawn(move || observed.watch(&root, over));
        while findings.goes_on() {
            let (before, start) = (stage.visit().1, Instant::now());
            let mut run = Run::begin(stage, runtime);
            let Deployment { id, release, state, fault, .. } = run.follow(&findings.pending, &about_to_kill);
            let tried = run.tried;
            let told = format!("{id} of {release} ended {state} ({fault:?}) after {tried:?}");
            let now = stage.visit().1;
            match state {
                State::Live => assert_eq!(now, release.to_string(), "{told}"),
                State::Aborted | State::RolledBack => assert!(now == before && fault.is_some(), "{told}: {now}"),
                State::Frozen => assert!(fault.is_some(), "{told}"),
                _ => panic!("{told}"),
            }
            let is_to_blame = tried.iter().any(|(_, victim, _)| *victim == Victim::Next);
            assert!(is_to_blame || state == State::Live, "nobody of the release died: {told}");
            assert_eq!(crowd.failed(), Vec::<String>::new(), "{told}");
            assert_eq!(*observed.wrong.lock().unwrap(), Vec::<String>::new(), "{told}");
            *findings.ends.lock().unwrap().entry(state.to_string()).or_default() += 1;
            let mut worst = findings.worst.lock().unwrap();
            if start.elapsed() > worst.0 {
                *worst = (start.elapsed(), told);
            }
        }
    });
    findings.looks.fetch_add(observed.looks.load(Ordering::Relaxed), Ordering::Relaxed);
    findings.asked.fetch_add(crowd.asked(), Ordering::Relaxed);
    let mut longest = findings.longest.lock().unwrap();
    *longest = crowd.longest().max(*longest);
}

#[test]
fn whoever_dies_at_whatever_point_it_ends_old_live_new_live_or_frozen_and_no_request_fails() {
    let first_runtime = runtime();
    let first = stage(&first_runtime);
    let pending = cases(&rehearse(&first, &first_runtime), &rehearse(&first, &first_runtime));
    let all = pending.len();
    assert!(all >= 80, "too few cases: {pending:?}");

    let (began, findings) = (Instant::now(), Findings { pending: Mutex::new(pending), ..Findings::default() });
    thread::scope(|scope| {
        for _ in 1..LANES {
            scope.spawn(|| {
                let runtime = runtime();
                let stage = stage(&runtime);
                deploy_and_kill(&stage, &runtime, &findings);
            });
        }
        deploy_and_kill(&first, &first_runtime, &findings);
    });
    let Findings { pending, deployments, looks, ends, worst, asked, longest } = findings;
    let pending = pending.into_inner().unwrap();
    assert!(pending.is_empty(), "{} of {all} cases were not reached: {pending:?}", pending.len());
    assert!(looks.into_inner() > 200, "the observers saw too little");
    eprintln!(
        "{all} cases in {:?} and at most {} deployments, the longest {:?}; {} requests, the slowest {:?}; ended {:?}",
        began.elapsed(),
        deployments.into_inner(),
        worst.into_inner().unwrap(),
        asked.into_inner(),
        longest.into_inner().unwrap(),
        ends.into_inner().unwrap()
    );
}

struct OverOnDrop<'a>(&'a AtomicBool);

impl Drop for OverOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stage {
    /// The instance that visitors reach.
    fn live_instance(&self, runtime: &Runtime) -> String {
        let edge = edge::client::EdgeClient::new(Root::new(self.root.clone()));
        let table = runtime.block_on(edge.current()).unwrap().unwrap();
        match &table.sites.iter().find(|site| !site.hosts.is_empty()).unwrap().target {
            Target::Instances { upstreams, .. } => upstreams[0].instance.clone(),
            other => panic!("the app is a process: {other:?}"),
        }
    }
}
