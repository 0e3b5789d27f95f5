//! The role alone, in the root that is named: `benches/logs.py` measures it without building the whole program.

use std::sync::Arc;

use host::clock::SystemClock;
use reconcile::Root;
use telemetry::{TelemetryConfig, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Root::new(std::env::args_os().nth(1).ok_or("which root?")?.into());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let shutdown = async move {
            terminated.recv().await;
        };
        Ok(run(TelemetryConfig::new(root, Arc::new(SystemClock), shutdown)).await?)
    })
}
