//! What every driver must do: one list of cases, run against the real engine. Each case has an environment of its own.

pub mod cases;
pub mod confinement;
pub mod crashes;
pub mod shim;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use runtime::image::Layout;
use runtime::image::app::{self, Base};
use runtime::instance::{Given, Image, InstanceId, Limits, Name, Spec};
use runtime::port::{Cursor, Line, Until};
use runtime::readiness::{Readiness, await_ready};
use runtime::{Runtime, RuntimeFault};
use secrets::Secret;

/// An engine that can be asked and broken.
pub trait Engine: Send + Sync {
    fn runtime(&self, environment: &str, epoch: u64) -> Box<dyn Runtime>;
    /// As [`Self::runtime`], whose instances may connect to wherever they like.
    fn open_runtime(&self, environment: &str, epoch: u64) -> Box<dyn Runtime>;
    /// Whether the environment's network leads nowhere but to itself, by the engine's word.
    fn is_closed(&self, environment: &str) -> bool;
    /// Ends the engine as a crash would.
    fn kill(&self);
    fn start(&self);
    /// Everything that the engine tells of an instance to whoever may ask it.
    fn told_of(&self, environment: &str, id: &InstanceId) -> String;
    /// Whether these bytes are in anything that the engine keeps.
    fn keeps(&self, text: &str) -> bool;
    /// Runs a process that is not ours under this name; with labels, if it is to look like ours.
    fn run_stranger(&self, name: &str, labels: &[(&str, &str)], image: &Image);
    fn is_there(&self, stranger: &str) -> bool;
    /// How many processes of instances run, whether the engine knows of them or not.
    fn processes(&self) -> usize;
    /// A process of this machine that is where instances can be reached from.
    fn place(&self) -> u32;
    /// What to run once more in a process of its own, to be killed there.
    fn to_run_again(&self) -> String;
}

/// Enough for a start while other tests have the processors.
pub const START: Duration = Duration::from_secs(60);

/// The image of `app.js`, with something that makes it another one.
pub fn image(folder: &Path, distinct: &str) -> Image {
    let artifact = folder.join(format!("app-{distinct}"));
    std::fs::create_dir_all(&artifact).unwrap();
    std::fs::write(artifact.join("app.js"), include_str!("app.js")).unwrap();
    std::fs::write(artifact.join("distinct"), distinct).unwrap();
    let node = host::process::find_in_path("node", &std::env::var("PATH").unwrap()).unwrap();
    let layout = Layout::at(&folder.join(format!("layout-{distinct}"))).unwrap();
    let image = app::assemble(&layout, &Base::Node(node), &artifact, BTreeMap::new()).unwrap();
    Image { id: image, layout: PathBuf::from(layout.folder()) }
}

pub fn id(instance: &str) -> InstanceId {
    let name = |text: &str| Name::new(text).unwrap();
    InstanceId { app: name("api"), release: name("r1"), instance: name(instance) }
}

pub fn spec(image: &Image, instance: &str, behaviour: &str) -> Spec {
    Spec {
        id: id(instance),
        image: image.clone(),
        command: ["/usr/bin/node", "app.js", behaviour].map(str::to_owned).into(),
        cwd: "/app".to_owned(),
        shown: [("SHOWN".to_owned(), "for all".to_owned())].into(),
        versions: "GIVEN 1".to_owned(),
        port: 8080,
        limits: Limits { temporary: 8 << 20, memory: Some(256 << 20), processes: Some(64), ..Limits::default() },
    }
}

pub fn given(value: &str) -> Given {
    Given(BTreeMap::from([("GIVEN".to_owned(), Secret::new(value.to_owned()))]))
}

/// A value that is nowhere else.
pub fn marker() -> String {
    format!("marker-{}", secrets::generate::credential().unwrap().expose())
}

pub async fn ready(runtime: &dyn Runtime, id: &InstanceId) -> Result<SocketAddr, RuntimeFault> {
    await_ready(runtime, id, Readiness { path: "/ready", within: START }).await
}

/// How a process that is to be killed is told what to do.
pub const TOLD: &str = "ROADBED_RUNTIME_CUT_OFF";

/// This program once more, doing what the name says until it is killed.
pub fn in_a_process_of_its_own(engine: &dyn Engine, what: &str, epoch: u64, image: &Image) -> Child {
    let (again, epoch, layout) = (engine.to_run_again(), epoch.to_string(), image.layout.display().to_string());
    let told = [what, &again, &epoch, &image.id.configuration, &image.id.manifest, &layout].join("\n");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_life_that_is_cut_off", "--ignored", "--nocapture"]).env(TOLD, told);
    child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Creates, starts and waits, as whoever converges does: what ended in the middle of its start is started again.
pub async fn converge(runtime: &dyn Runtime, spec: &Spec, value: &str) -> SocketAddr {
    let mut last = None;
    for _ in 0..5 {
        runtime.create(spec).await.unwrap();
        runtime.start(&spec.id, &given(value)).await.unwrap();
        match ready(runtime, &spec.id).await {
            Ok(address) => return address,
            Err(fault @ RuntimeFault::Ended { .. }) => last = Some(fault),
            Err(fault) => panic!("{fault}"),
        }
    }
    panic!("it ends again and again: {last:?}");
}

/// What the instance says of itself.
pub async fn told_by(address: SocketAddr) -> serde_json::Value {
    ask(address, "/").await
}

/// Whether an instance reaches an address, in its words.
pub async fn reaches(from: SocketAddr, to: SocketAddr) -> String {
    ask(from, &format!("/reach/{to}")).await.as_str().unwrap().to_owned()
}

async fn ask(address: SocketAddr, path: &str) -> serde_json::Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

pub async fn lines(runtime: &dyn Runtime, id: &InstanceId, from: Option<Cursor>, until: Until) -> Vec<Line> {
    let lines = runtime.logs(id, from, until).await.unwrap();
    lines.map(|line| line.unwrap_or_else(|fault| panic!("{fault}: {fault:?}"))).collect().await
}

pub async fn all_gone(runtime: &dyn Runtime) {
    runtime.collect(&BTreeSet::new()).await.unwrap();
    assert_eq!(runtime.list().await.unwrap(), []);
}
