//! A store in a folder of its own, served on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use objects::{Bucket, Grants, Limits, Settings, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) const GRANTS: &str = r#"[
  {"access_key_id": "ALL", "secret": "all-of-it", "rules": [
    {"bucket": "media", "verbs": ["read", "write", "delete", "list"]},
    {"bucket": "other", "verbs": ["read", "write", "delete", "list"]},
    {"bucket": "open", "verbs": ["read", "write", "delete", "list"]},
    {"bucket": "small", "verbs": ["read", "write", "delete", "list"]},
    {"bucket": "tiny", "verbs": ["read", "write", "delete", "list"]},
    {"bucket": "gone", "verbs": ["read", "write", "delete", "list"]}
  ]},
  {"access_key_id": "MEDIA", "secret": "media-alone", "rules": [
    {"bucket": "media", "verbs": ["read", "write", "delete", "list"]}
  ]},
  {"access_key_id": "INBOX", "secret": "inbox-alone", "rules": [
    {"bucket": "media", "prefix": "in/", "verbs": ["write"]},
    {"bucket": "media", "prefix": "out/", "verbs": ["read", "list"]}
  ]}
]"#;

pub(crate) fn settings() -> Settings {
    let media = Bucket {
        undo: Duration::from_secs(3600),
        origins: vec!["https://shop.example".into()],
        ..Bucket::private("media")
    };
    let open = Bucket { public_read: true, ..Bucket::private("open") };
    let small = Bucket { quota_bytes: Some(100_000), ..Bucket::private("small") };
    let tiny = Bucket { max_object_bytes: Some(1000), ..Bucket::private("tiny") };
    Settings {
        region: "eu-here-1".into(),
        base_host: Some("s3.localhost".into()),
        buckets: vec![media, Bucket::private("other"), open, small, tiny],
    }
}

pub(crate) struct Stand {
    pub(crate) store: Arc<Store>,
    pub(crate) address: SocketAddr,
    pub(crate) grants: Arc<Grants>,
    pub(crate) folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

impl Stand {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    /// On no disk: where what is tried is many objects, and not whether they last.
    pub(crate) fn in_memory() -> Self {
        Self::at(folder_in_memory(), Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::at(tempfile::tempdir().unwrap(), limits)
    }

    fn at(folder: TempDir, limits: Limits) -> Self {
        let store = Arc::new(Store::open(folder.path()).unwrap());
        store.settle(&settings().buckets).unwrap();
        let grants = Arc::new(Grants::new(Grants::read(GRANTS.as_bytes()).unwrap()).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(objects::serve(listener, store.clone(), settings(), grants.clone(), limits, async {
            let _ = stopped.await;
        }));
        Self { store, address, grants, folder, stop: Some(stop), runtime: Some(runtime) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A folder that costs no wait for a disk, where the machine has one.
pub(crate) fn folder_in_memory() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl Drop for Stand {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// Bytes that no two numbers have in common.
pub(crate) fn content(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
