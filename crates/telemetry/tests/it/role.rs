//! A role that runs in this process, or in one of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::clock::SystemClock;
use host::files::{self, Access};
use reconcile::Root;
use telemetry::{
    ErrorLimits, ErrorSettings, KeyOf, Project, ProjectKey, Settings, TelemetryClient, TelemetryConfig, TelemetryFault,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SERVER_KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Role {
    pub(crate) root: Root,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), TelemetryFault>>,
}

/// Settings of an environment with the apps `web` and `api`.
pub(crate) fn settings(port: u16, limits: ErrorLimits) -> Settings {
    let project = |app: &str, key: &str| Project {
        app: app.into(),
        id: Project::id_of(app),
        keys: vec![
            ProjectKey { of: KeyOf::Server, digest: Project::digest_of(key) },
            ProjectKey { of: KeyOf::Page, digest: Project::digest_of(&Project::page_key(key)) },
        ],
    };
    let projects = vec![project("web", SERVER_KEY), project("api", "fedcba9876543210fedcba9876543210")];
    Settings {
        environment: "test".into(),
        port,
        apps: vec!["web".into(), "api".into()],
        errors: ErrorSettings { projects, limits },
        logs: telemetry::logs::Keeping::default(),
        metrics_token: None,
        monitors: monitors::MonitorSettings::default(),
        exports: Vec::new(),
    }
}

/// A root with settings.
pub(crate) fn root(limits: ErrorLimits) -> (TempDir, Root, u16) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().canonicalize().unwrap());
    files::create_dir(&root.conf(), Access::Owner).unwrap();
    let port = free_port();
    settings(port, limits).write(&root).unwrap();
    (folder, root, port)
}

impl Role {
    /// Starts it and waits until it answers.
    pub(crate) async fn start() -> Self {
        Self::start_with(ErrorLimits::default()).await
    }

    pub(crate) async fn start_with(limits: ErrorLimits) -> Self {
        let (folder, root, port) = root(limits);
        Self::begin(folder, root, port).await
    }

    pub(crate) async fn begin(folder: TempDir, root: Root, port: u16) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let running = tokio::spawn(telemetry::run(TelemetryConfig::new(root.clone(), Arc::new(SystemClock), shutdown)));
        let role = Self { root, port, folder, stop: Some(stop), running };
        while role.client().health().await.is_err() {
            assert!(!role.running.is_finished(), "the role ended before it answered");
            tokio::task::yield_now().await;
        }
        role
    }

    pub(crate) fn client(&self) -> TelemetryClient {
        TelemetryClient::new(self.root.clone())
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.telemetry().join("errors/errors.db")
    }

    /// Waits until all that was taken is in the database.
    pub(crate) async fn digested(&self, events: i64) -> telemetry::ErrorsHealth {
        digested(&self.client(), events).await
    }

    /// In order, and starts again on the same root.
    pub(crate) async fn restart(self, between: impl FnOnce(&Root)) -> Self {
        let (folder, root, port) = self.end().await;
        between(&root);
        Self::begin(folder, root, port).await
    }

    pub(crate) async fn stop(self) {
        self.end().await;
    }

    async fn end(mut self) -> (TempDir, Root, u16) {
        let _ = self.stop.take().unwrap().send(());
        self.running.await.unwrap().unwrap();
        (self.folder, self.root, self.port)
    }
}

pub(crate) async fn digested(client: &TelemetryClient, events: i64) -> telemetry::ErrorsHealth {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let health = client.errors_health().await.unwrap();
        if health.events >= events && health.waiting == 0 {
            return health;
        }
        assert!(Instant::now() < deadline, "not digested: {health:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
