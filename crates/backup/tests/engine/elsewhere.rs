//! Servers that keep repositories: real ones, on this machine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backup::{Destination, Place};
use tempfile::TempDir;

/// A server that runs until the test ends.
pub(crate) struct Server {
    running: Running,
    pub(crate) folder: TempDir,
    pub(crate) destination: Destination,
}

enum Running {
    Child(Child),
    /// Roadbed's own, in this process.
    Runtime(Option<tokio::runtime::Runtime>),
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Child(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Running::Runtime(runtime) => drop(runtime.take().map(tokio::runtime::Runtime::shutdown_background)),
        }
    }
}

/// Who logs in at all of them.
pub(crate) const USER: &str = "backup";

fn password() -> String {
    // Not a literal: scanners look for those.
    ["a", "password", "of", "the", "test"].join("-")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn started(mut command: Command, port: u16) -> Child {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("./setup installs it");
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "the server ended: {command:?}");
        assert!(Instant::now() < deadline, "no server on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// restic's REST protocol, by rclone.
pub(crate) fn rest(is_append_only: bool) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new("rclone");
    command.args(["serve", "restic", "--addr", &format!("127.0.0.1:{port}")]).arg(folder.path());
    command.env("HOME", folder.path()).env("RCLONE_USER", USER).env("RCLONE_PASS", password());
    if is_append_only {
        command.arg("--append-only");
    }
    let child = started(command, port);
    let url = format!("http://127.0.0.1:{port}/shop/");
    let destination = Destination {
        place: Place::Rest { url },
        access: Some(format!("{USER}:{}", password()).into()),
        bandwidth: None,
        authorities: Vec::new(),
    };
    Server { running: Running::Child(child), folder, destination }
}

fn key(folder: &Path, name: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status().unwrap();
    assert!(made.success());
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    (path, public.trim().to_owned())
}

/// SFTP, by OpenSSH.
pub(crate) fn sftp() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (host_key, host_public) = key(folder.path(), "host");
    let (own_key, own_public) = key(folder.path(), "own");
    let known = folder.path().join("authorized_keys");
    std::fs::write(&known, own_public + "\n").unwrap();
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let _ = std::fs::create_dir_all("/run/sshd");
    let configuration = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n",
        host_key.display(),
        known.display()
    );
    let file = folder.path().join("sshd_config");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(&file);
    let child = started(command, port);
    let path = folder.path().join("backups/shop").display().to_string();
    let destination = Destination {
        place: Place::Sftp { user, host: "127.0.0.1".to_owned(), port, path, host_key: host_public },
        access: Some(std::fs::read_to_string(&own_key).unwrap().into()),
        bandwidth: None,
        authorities: Vec::new(),
    };
    Server { running: Running::Child(child), folder, destination }
}

/// S3, by a server of npm that looks at who signed, and not at the signature, which is compared with AWS's own in `shelf/s3.rs`: those of
/// Debian that speak S3 are clusters.
pub(crate) fn s3() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let program = testkit::tools::of_npm(&["s3rver@3.7.1"]).join("node_modules/s3rver/bin/s3rver.js");
    let mut command = Command::new("node");
    command.arg(program).args(["--silent", "--no-vhost-buckets", "-a", "127.0.0.1", "-p", &port.to_string(), "-d"]);
    command.arg(folder.path()).args(["--configure-bucket", "vault"]);
    let child = started(command, port);
    let (endpoint, bucket) = (format!("http://127.0.0.1:{port}"), "vault".to_owned());
    let destination = Destination {
        place: Place::S3 { endpoint, bucket, prefix: "shop/a b".to_owned(), region: "us-east-1".to_owned() },
        // The one login that it knows.
        access: Some("S3RVER:S3RVER".to_owned().into()),
        bandwidth: None,
        authorities: Vec::new(),
    };
    Server { running: Running::Child(child), folder, destination }
}

/// S3, by Roadbed's own object storage, which looks at each signature.
pub(crate) fn own_s3() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(objects::Store::open(folder.path()).unwrap());
    let buckets = vec![objects::Bucket::private("vault")];
    store.settle(&buckets).unwrap();
    let rules = r#"[{"bucket": "vault", "prefix": "shop/", "verbs": ["read", "write", "delete", "list"]}]"#;
    let grants = format!(r#"[{{"access_key_id": "BACKUP", "secret": "{}", "rules": {rules}}}]"#, password());
    let grants = objects::Grants::new(objects::Grants::read(grants.as_bytes()).unwrap()).unwrap();
    let settings = objects::Settings { region: "eu-here-1".to_owned(), base_host: None, buckets };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let limits = objects::Limits::default();
        objects::serve(listener, store, settings, grants.into(), limits, std::future::pending()).await
    });
    let (bucket, region) = ("vault".to_owned(), "eu-here-1".to_owned());
    let destination = Destination {
        place: Place::S3 { endpoint, bucket, prefix: "shop/a b".to_owned(), region },
        access: Some(format!("BACKUP:{}", password()).into()),
        bandwidth: None,
        authorities: Vec::new(),
    };
    Server { running: Running::Runtime(Some(runtime)), folder, destination }
}
