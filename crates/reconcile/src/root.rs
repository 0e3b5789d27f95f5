//! Where the files of one environment lie.

use std::path::{Path, PathBuf};

/// The root folder of one environment: everything it has on disk is below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// `path` must be absolute: children run in other folders.
    pub fn new(path: PathBuf) -> Self {
        assert!(path.is_absolute(), "the caller makes the root absolute");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Identity of this root: id, environment, format version. Its presence says that state must be present too.
    pub fn identity(&self) -> PathBuf {
        self.0.join("environment.json")
    }

    /// Held by the keeper for as long as it lives.
    pub fn keeper_lock(&self) -> PathBuf {
        self.0.join("keeper.lock")
    }

    /// Held by a command that changes the environment.
    pub fn command_lock(&self) -> PathBuf {
        self.0.join("command.lock")
    }

    /// Sockets, pid records and pipes: worthless after a reboot.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    pub fn keeper_socket(&self) -> PathBuf {
        self.run().join("keeper.sock")
    }

    pub fn lifeline_socket(&self) -> PathBuf {
        self.run().join("lifeline.sock")
    }

    pub fn control_socket(&self) -> PathBuf {
        self.run().join("control.sock")
    }

    pub fn edge_socket(&self) -> PathBuf {
        self.run().join("edge.sock")
    }

    /// Journal, ledger, ports, wanted state.
    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// The secret store's file.
    pub fn secret_store(&self) -> PathBuf {
        self.secrets().join("store.db")
    }

    /// What secrets were kept in before there was a sealed store: read once, then wiped.
    pub fn secrets_before(&self) -> PathBuf {
        self.secrets().join("store.json")
    }

    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    pub fn ca_certificate(&self) -> PathBuf {
        self.tls().join("ca.pem")
    }

    /// What pages looked like when they were looked at last.
    pub fn smoke(&self) -> PathBuf {
        self.path().join("smoke")
    }

    /// The route table that the edge serves, and the one before it.
    pub fn routes(&self) -> PathBuf {
        self.0.join("edge")
    }

    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Captured output of one unit.
    pub fn log_of(&self, unit: &str) -> PathBuf {
        self.logs().join(format!("{unit}.log"))
    }

    pub fn access_log(&self) -> PathBuf {
        self.logs().join("access.log")
    }

    /// What apps and browsers reported.
    pub fn telemetry(&self) -> PathBuf {
        self.0.join("telemetry")
    }

    pub fn telemetry_socket(&self) -> PathBuf {
        self.run().join("telemetry.sock")
    }

    /// What control tells the role that keeps it.
    pub fn telemetry_settings(&self) -> PathBuf {
        self.conf().join("telemetry.json")
    }

    /// Configuration files written for the stores.
    pub fn conf(&self) -> PathBuf {
        self.0.join("conf")
    }

    pub fn data(&self, service: &str) -> PathBuf {
        self.0.join("data").join(service)
    }

    /// Where one unit may keep files for as long as it runs.
    pub fn tmp_of(&self, unit: &str) -> PathBuf {
        self.0.join("tmp").join(unit)
    }

    /// Programs of Roadbed that this environment runs or ran, by digest.
    pub fn programs(&self) -> PathBuf {
        self.0.join("programs")
    }

    /// Artifacts as they run, by digest.
    pub fn releases(&self) -> PathBuf {
        self.0.join("releases")
    }

    /// What was seen of pages in deployments, by deployment.
    pub fn deployments(&self) -> PathBuf {
        self.0.join("deployments")
    }

    pub fn builds(&self) -> PathBuf {
        self.0.join("builds")
    }
}
