//! A role that runs in this process.

use std::sync::Arc;

use host::clock::SystemClock;
use host::files::{self, Access};
use reconcile::Root;
use telemetry::{Settings, TelemetryClient, TelemetryConfig, TelemetryFault};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Role {
    pub(crate) root: Root,
    pub(crate) port: u16,
    _folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), TelemetryFault>>,
}

impl Role {
    /// Starts it and waits until it answers.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().canonicalize().unwrap());
        files::create_dir(&root.conf(), Access::Owner).unwrap();
        let port = free_port();
        let settings = Settings { environment: "test".into(), port, apps: vec!["web".into()] };
        settings.write(&root).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let running = tokio::spawn(telemetry::run(TelemetryConfig::new(root.clone(), Arc::new(SystemClock), shutdown)));
        let role = Self { root, port, _folder: folder, stop: Some(stop), running };
        let client = TelemetryClient::new(role.root.clone());
        while client.health().await.is_err() {
            assert!(!role.running.is_finished(), "the role ended before it answered");
            tokio::task::yield_now().await;
        }
        role
    }

    pub(crate) async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.running.await.unwrap().unwrap();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
