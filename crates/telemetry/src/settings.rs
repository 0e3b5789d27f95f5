//! What the role is told by control: a file that is written whole before the role starts. Another file means another start.

use host::files::{self, Access};
use monitors::MonitorSettings;
use reconcile::Root;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::errors::ErrorSettings;
use crate::exports::Export;
use crate::fault::TelemetryFault;
use crate::logs::Keeping;

/// All that differs between environments. No secrets: what opens something is here as its digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// As events are marked with it: `production`, `preview/pr-7`.
    pub environment: String,
    /// Where the edge finds us on loopback.
    pub port: u16,
    /// Those whose events are taken.
    pub apps: Vec<String>,
    /// SHA-256 of the token with which the page of metrics is read on loopback, in hexadecimal. `None`: nobody may.
    #[serde(default)]
    pub metrics_token: Option<String>,
    /// How much of the logs is kept.
    #[serde(default)]
    pub logs: Keeping,
    /// Who may report errors, and how many.
    #[serde(default)]
    pub errors: ErrorSettings,
    /// What is watched, and who is told.
    #[serde(default)]
    pub monitors: MonitorSettings,
    /// What leaves for services elsewhere.
    #[serde(default)]
    pub exports: Vec<Export>,
}

impl Settings {
    /// # Errors
    /// Where the file is missing or damaged.
    pub fn read(root: &Root) -> Result<Self, TelemetryFault> {
        let path = root.telemetry_settings();
        let bytes = files::read(&path)?;
        serde_json::from_slice(&bytes).map_err(|source| TelemetryFault::Settings { path, source })
    }

    /// Whether exactly these are written. Damaged ones are not.
    ///
    /// # Errors
    /// Where the disk does not answer.
    pub fn are_written(&self, root: &Root) -> Result<bool, TelemetryFault> {
        let bytes = files::read_if_exists(&root.telemetry_settings())?;
        Ok(bytes.is_some_and(|bytes| serde_json::from_slice::<Self>(&bytes).is_ok_and(|found| found == *self)))
    }

    /// # Errors
    /// Where the disk does not take it.
    pub fn write(&self, root: &Root) -> Result<(), TelemetryFault> {
        let path = root.telemetry_settings();
        files::create_dir(&root.conf(), Access::Owner)?;
        Ok(files::write_durable(&path, self.text().as_bytes(), Access::Owner)?)
    }

    /// By which others see whether exactly these are in force: the beginning of a SHA-256, in hexadecimal.
    pub fn digest(&self) -> String {
        Sha256::digest(self.text()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same settings have the same text.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("settings are plain data")
    }
}
