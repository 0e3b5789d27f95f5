//! Where the commits of previews are checked out: each in a folder of its own, so that what a stranger's build leaves behind is part of
//! nobody else's. Built again at any time, so among what is cached; it goes with its root.

use std::path::{Path, PathBuf};

use reconcile::Root;
use sha2::{Digest, Sha256};

use crate::roots::place_of;

/// The checkout that the preview in `root` is built from.
pub fn folder(cache: &Path, root: &Root) -> PathBuf {
    let digest = Sha256::digest(place_of(root).as_os_str().as_encoded_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = root.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    cache.join("previews").join(format!("{name}-{hex}"))
}
