//! What the role is told at its start.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Format;

/// Everything but the signing key, which is a secret and is given beside this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Buckets whose objects anybody may read. All others are as if they were not there.
    pub buckets: BTreeSet<String>,
    /// Pixels that may be asked for without a signature.
    pub widths: BTreeSet<u32>,
    /// Pixels that may be asked for without a signature. Empty: none, so a height alone or a crop is signed.
    pub heights: BTreeSet<u32>,
    /// 1 to 100; may be asked for without a signature.
    pub qualities: BTreeSet<u8>,
    /// For requests that name none, 1 to 100.
    pub quality: u8,
    /// Which may be answered with. JPEG and PNG are always among them.
    pub formats: BTreeSet<Format>,
    pub limits: Limits,
    /// Bytes of answers kept in memory.
    pub memory_bytes: u64,
    /// Bytes of answers kept in `folder`.
    pub disk_bytes: u64,
    /// Where answers are kept over a restart; `None`: in memory alone.
    pub folder: Option<PathBuf>,
    pub svg: SvgPolicy,
    /// So long an answer is used without asking the origin whether it is still right. Names with a digest are right for ever.
    pub fresh_seconds: u32,
    /// So long after that it is still used while the origin is asked.
    pub stale_seconds: u32,
    /// Processes that decode; `None`: one per core.
    pub workers: Option<usize>,
}

/// What one picture may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Pixels of what was uploaded, by its header, before anything is decoded.
    pub pixels: u64,
    /// Bytes of what was uploaded. Larger objects that are no pictures are handed on as they come.
    pub bytes: u64,
    /// Pixels along each side of an answer.
    pub side: u32,
    /// From the request to the worker until its answer; then it is killed.
    pub milliseconds: u64,
    /// Bytes of address space of a worker.
    pub memory: u64,
    /// Requests that wait for a worker; more are turned away.
    pub waiting: usize,
}

/// What becomes of SVG, which is a document that runs scripts and is never drawn here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SvgPolicy {
    /// Not delivered: 415.
    #[default]
    Refuse,
    /// Delivered to be saved, in a sandbox: `attachment`. As `<img>` a browser shows it all the same, without scripts.
    Attachment,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            buckets: BTreeSet::new(),
            widths: [160, 320, 480, 640, 800, 1080, 1280, 1600, 1920, 2560].into(),
            heights: BTreeSet::new(),
            qualities: [50, 60, 75, 85].into(),
            quality: 75,
            formats: Format::ALL.into(),
            limits: Limits::default(),
            memory_bytes: 64 << 20,
            disk_bytes: 1 << 30,
            folder: None,
            svg: SvgPolicy::default(),
            fresh_seconds: 60,
            stale_seconds: 86_400,
            workers: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Cameras of telephones take 48 and 50.
            pixels: 60_000_000,
            bytes: 32 << 20,
            // What a screen of 8K is wide.
            side: 8192,
            // 60 megapixels of PNG take four seconds on a slow core.
            milliseconds: 15_000,
            // 60 megapixels in four channels twice, and the libraries.
            memory: 1 << 30,
            waiting: 256,
        }
    }
}

/// What cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFault {
    #[error("quality {0} is not between 1 and 100")]
    Quality(u8),
    #[error("{0} pixels are not between 1 and the {1} that an answer may have along a side")]
    Side(u32, u32),
    #[error("`{0}` is no name of a bucket: 3 to 63 of a-z, 0-9, `-` and `.`")]
    Bucket(String),
}

impl Settings {
    /// # Errors
    /// The first value that cannot be meant.
    pub fn check(&self) -> Result<(), SettingsFault> {
        let quality = self.qualities.iter().chain([&self.quality]).find(|quality| !(1..=100).contains(*quality));
        if let Some(&quality) = quality {
            return Err(SettingsFault::Quality(quality));
        }
        let most = self.limits.side;
        if let Some(&side) = self.widths.iter().chain(&self.heights).find(|side| !(1..=most).contains(*side)) {
            return Err(SettingsFault::Side(side, most));
        }
        match self.buckets.iter().find(|bucket| !crate::variant::is_bucket(bucket)) {
            Some(bucket) => Err(SettingsFault::Bucket(bucket.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn fresh(&self) -> Duration {
        Duration::from_secs(self.fresh_seconds.into())
    }

    pub(crate) fn stale(&self) -> Duration {
        Duration::from_secs(self.stale_seconds.into())
    }
}
