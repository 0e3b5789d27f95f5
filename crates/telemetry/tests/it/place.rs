//! A role that runs in this process, in a root that outlives it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use host::clock::{Clock, SystemClock, Timestamp};
use host::files::{self, Access};
use reconcile::Root;
use telemetry::logs::{Answer, Filter, Keeping, Question};
use telemetry::{Settings, TelemetryClient, TelemetryConfig, TelemetryFault};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What is waited for comes within a second; a machine that is busy elsewhere gets more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder, and the settings in it.
pub(crate) struct Place {
    pub(crate) root: Root,
    pub(crate) settings: Settings,
    _folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().canonicalize().unwrap());
        files::create_dir(&root.conf(), Access::Owner).unwrap();
        files::create_dir(&root.logs(), Access::Owner).unwrap();
        let settings = Settings {
            environment: "test".into(),
            port: free_port(),
            apps: vec!["web".into()],
            logs: Keeping::default(),
            metrics_token: None,
            errors: telemetry::ErrorSettings::default(),
            monitors: monitors::MonitorSettings::default(),
            exports: Vec::new(),
        };
        Self { root, settings, _folder: folder }
    }

    /// Appends a line as the keeper does.
    pub(crate) fn kept(&self, unit: &str, time: &str, line: &str) {
        let line = serde_json::json!({ "time": time, "stream": "out", "line": line });
        self.append(unit, &format!("{line}\n"));
    }

    pub(crate) fn append(&self, unit: &str, text: &str) {
        files::open_append(&self.root.log_of(unit), Access::Owner).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Moves a log aside as the keeper does.
    pub(crate) fn rotate(&self, unit: &str) {
        let named = |age: u32| std::path::PathBuf::from(format!("{}.{age}", self.root.log_of(unit).display()));
        for age in [2, 1] {
            if files::exists(&named(age)) {
                files::rename(&named(age), &named(age + 1)).unwrap();
            }
        }
        files::rename(&self.root.log_of(unit), &named(1)).unwrap();
    }

    pub(crate) async fn start(&self) -> Role {
        self.start_at(Arc::new(SystemClock)).await
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start_at(&self, clock: Arc<dyn Clock>) -> Role {
        self.settings.write(&self.root).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let running = tokio::spawn(telemetry::run(TelemetryConfig::new(self.root.clone(), clock, shutdown)));
        let client = TelemetryClient::new(self.root.clone());
        let role = Role { client, port: self.settings.port, stop: Some(stop), running };
        while role.client.health().await.is_err() {
            assert!(!role.running.is_finished(), "the role ended before it answered");
            tokio::task::yield_now().await;
        }
        role
    }
}

pub(crate) struct Role {
    pub(crate) client: TelemetryClient,
    pub(crate) port: u16,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), TelemetryFault>>,
}

impl Role {
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.running.await.unwrap().unwrap();
    }

    pub(crate) async fn find(&self, filter: Filter) -> Answer {
        self.client.logs(&Question { filter, limit: 1000, after: None }).await.unwrap()
    }

    /// The texts of what is found, once there are so many.
    pub(crate) async fn lines(&self, filter: Filter, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.find(filter.clone()).await.lines;
            if found.len() >= count {
                return found.into_iter().map(|record| record.line).collect();
            }
            assert!(Instant::now() < deadline, "{filter:?} finds {found:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn(&TelemetryClient) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.client).await {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.client.logs_state().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A clock that a test sets.
#[derive(Debug)]
pub(crate) struct Turned(pub(crate) AtomicI64);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
