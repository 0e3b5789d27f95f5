//! A folder of blobs in OCI's layout: `blobs/sha256/DIGITS`. Images share the layers that they have in common.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use host::files::{self, Access, FileFault};
use host::process::table;
use serde::{Deserialize, Serialize};

use super::digest::{self, Hashing, digits};
use super::{ImageFault, Tree};
use crate::instance::ImageId;

/// What a manifest is called.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// One blob, as manifests name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// How a container of the image runs unless it is told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Configuration {
    pub user: String,
    #[serde(deserialize_with = "or_none")]
    pub env: Vec<String>,
    pub working_dir: String,
    #[serde(deserialize_with = "or_none")]
    pub labels: BTreeMap<String, String>,
}

/// Absent lists are written as `null` by some.
fn or_none<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Serialize, Deserialize)]
struct Whole {
    architecture: String,
    os: String,
    #[serde(default)]
    config: Configuration,
    rootfs: RootFs,
}

#[derive(Debug, Serialize, Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<String>,
}

/// Layers that an image begins with, and what it says.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    layers: Vec<Descriptor>,
    /// Of each, before compression.
    diffs: Vec<String>,
    pub configuration: Configuration,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// What processes that are gone left half written is swept away.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(folder: &Path) -> Result<Self, ImageFault> {
        let layout = Self { folder: folder.to_owned() };
        files::create_dir(&layout.blobs(), Access::Owner)?;
        files::create_dir(&layout.half(), Access::Owner)?;
        for path in files::list(&layout.half())? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let pid = name.split('-').next().and_then(|pid| pid.parse().ok());
            if pid.and_then(table::entry).is_none() {
                files::remove(&path)?;
            }
        }
        Ok(layout)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn blobs(&self) -> PathBuf {
        self.folder.join("blobs/sha256")
    }

    fn half(&self) -> PathBuf {
        self.folder.join("half")
    }

    /// Where a blob lies, or would.
    ///
    /// # Errors
    /// It is no digest: so nothing else becomes part of a path.
    pub fn blob(&self, digest: &str) -> Result<PathBuf, ImageFault> {
        Ok(self.blobs().join(digits(digest)?))
    }

    /// Writes one blob by what `fill` makes of it. It has its name when it is whole and on disk; one that is there is replaced, since it
    /// may be damaged.
    fn put(
        &self,
        media_type: &str,
        fill: impl FnOnce(Hashing<&std::fs::File>) -> Result<Hashing<&std::fs::File>, ImageFault>,
    ) -> Result<Descriptor, ImageFault> {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let half = self.half().join(format!("{}-{number}", host::own::pid()));
        let file = files::create_new(&half, Access::Owner)?;
        let written = fill(Hashing::new(&file)).and_then(|written| {
            let (_, digest, size) = written.finish();
            file.sync_all().map_err(|error| FileFault::new("write", &half, error))?;
            files::rename(&half, &self.blob(&digest)?)?;
            files::sync_dir(&self.blobs())?;
            Ok(Descriptor { media_type: media_type.to_owned(), digest, size })
        });
        if written.is_err() {
            files::remove(&half)?;
        }
        written
    }

    fn put_json(&self, media_type: &str, value: &impl Serialize) -> Result<Descriptor, ImageFault> {
        let bytes = serde_json::to_vec(value).map_err(|error| ImageFault::Write(error.into()))?;
        self.put(media_type, |mut out| {
            std::io::Write::write_all(&mut out, &bytes).map_err(ImageFault::Write)?;
            Ok(out)
        })
    }

    /// Puts a tree on top of a ground, as one more layer.
    ///
    /// # Errors
    /// Something of it cannot be read, or the layer not be written.
    pub fn lay(&self, ground: &mut Ground, tree: &Tree) -> Result<(), ImageFault> {
        let layer = self.put(LAYER, |out| {
            // Headers are half a kilobyte each.
            let buffered = tree.write(std::io::BufWriter::with_capacity(1 << 16, out))?;
            buffered.into_inner().map_err(|error| ImageFault::Write(error.into_error()))
        })?;
        ground.diffs.push(layer.digest.clone());
        ground.layers.push(layer);
        Ok(())
    }

    /// The image of all layers of a ground.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn image(&self, ground: &Ground) -> Result<ImageId, ImageFault> {
        let whole = Whole {
            architecture: architecture().to_owned(),
            os: "linux".to_owned(),
            config: ground.configuration.clone(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: ground.diffs.clone() },
        };
        let config = self.put_json(CONFIGURATION, &whole)?;
        let configuration = config.digest.clone();
        let manifest =
            Manifest { schema_version: 2, media_type: MANIFEST.to_owned(), config, layers: ground.layers.clone() };
        Ok(ImageId { configuration, manifest: self.put_json(MANIFEST, &manifest)?.digest })
    }

    /// An image of somebody else as a ground, with its layers in here.
    ///
    /// # Errors
    /// A blob is not there, or not what its digest says.
    pub fn stand_on(&self, other: &Self, manifest: &str) -> Result<Ground, ImageFault> {
        let manifest: Manifest = other.json(manifest, "manifest")?;
        let whole: Whole = other.json(&manifest.config.digest, "configuration")?;
        for layer in &manifest.layers {
            let mut from = files::open(&other.blob(&layer.digest)?)?;
            let put = self.put(&layer.media_type, |mut out| {
                std::io::copy(&mut from, &mut out).map_err(ImageFault::Write)?;
                Ok(out)
            })?;
            if put.digest != layer.digest {
                return Err(other.damaged(&layer.digest, put.digest));
            }
        }
        Ok(Ground { layers: manifest.layers, diffs: whole.rootfs.diff_ids, configuration: whole.config })
    }

    /// Whether a blob is the manifest of an image, whole.
    pub fn is_manifest(&self, digest: &str) -> bool {
        self.manifest(digest).is_ok()
    }

    pub(super) fn manifest(&self, digest: &str) -> Result<Manifest, ImageFault> {
        self.json(digest, "manifest")
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, blob: &str, what: &'static str) -> Result<T, ImageFault> {
        /// As registries have it: more is no manifest.
        const MOST: u64 = 4 << 20;
        let path = self.blob(blob)?;
        let mut bytes = Vec::new();
        files::open(&path)?.take(MOST).read_to_end(&mut bytes).map_err(|error| FileFault::new("read", &path, error))?;
        let found = digest::of(&bytes);
        if found != blob {
            return Err(self.damaged(blob, found));
        }
        let form = |source| ImageFault::Form { layout: self.folder.clone(), blob: blob.to_owned(), what, source };
        serde_json::from_slice(&bytes).map_err(form)
    }

    pub(super) fn damaged(&self, wanted: &str, found: String) -> ImageFault {
        ImageFault::Damaged { layout: self.folder.clone(), wanted: wanted.to_owned(), found }
    }
}

/// As images call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
