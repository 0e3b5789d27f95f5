//! An image as the stream that engines load: OCI's layout in a tar, with the list that older engines look for.

use std::io::{self, Read, Write};

use host::files::{self, FileFault};
use serde_json::json;
use tar::{Builder, Header};

use super::ImageFault;
use super::digest::{Hashing, digits};
use super::layout::{Descriptor, Layout, MANIFEST};
use crate::instance::ImageId;

/// Writes an image of a layout. Each blob is held against its digest as it passes; a damaged one breaks the stream off, so that no engine
/// takes it for whole.
///
/// # Errors
/// A blob is damaged or not there, or the other side takes no more.
pub fn write(layout: &Layout, image: &ImageId, out: impl Write) -> Result<(), ImageFault> {
    let manifest = layout.manifest(&image.manifest)?;
    if manifest.config.digest != image.configuration {
        return Err(layout.damaged(&image.configuration, manifest.config.digest));
    }
    let path = |digest: &str| digits(digest).map(|digits| format!("blobs/sha256/{digits}"));
    let mut tar = Builder::new(out);
    let described = layout.blob(&image.manifest)?;
    let size = files::metadata(&described)?.len();
    let of_manifest = Descriptor { media_type: MANIFEST.to_owned(), digest: image.manifest.clone(), size };
    let index = json!({"schemaVersion": 2, "manifests": [of_manifest]});
    let layers = manifest.layers.iter().map(|layer| path(&layer.digest)).collect::<Result<Vec<_>, _>>()?;
    let list = json!([{"Config": path(&image.configuration)?, "RepoTags": null, "Layers": layers}]);
    add(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add(&mut tar, "index.json", index.to_string().as_bytes())?;
    add(&mut tar, "manifest.json", list.to_string().as_bytes())?;
    let mut written = std::collections::BTreeSet::new();
    for blob in [&of_manifest, &manifest.config].into_iter().chain(&manifest.layers) {
        // Two layers may be the same.
        if written.insert(&blob.digest) {
            add_blob(&mut tar, layout, blob, &path(&blob.digest)?)?;
        }
    }
    tar.into_inner().and_then(|mut out| out.flush()).map_err(ImageFault::Write)
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

fn add(tar: &mut Builder<impl Write>, path: &str, bytes: &[u8]) -> Result<(), ImageFault> {
    tar.append_data(&mut header(bytes.len() as u64), path, bytes).map_err(ImageFault::Write)
}

fn add_blob(tar: &mut Builder<impl Write>, layout: &Layout, blob: &Descriptor, path: &str) -> Result<(), ImageFault> {
    let source = layout.blob(&blob.digest)?;
    let file = files::open(&source)?;
    let size = file.metadata().map_err(|error| FileFault::new("read", &source, error))?.len();
    if size != blob.size {
        return Err(layout.damaged(&blob.digest, format!("{size} bytes long")));
    }
    let mut hashing = Hashing::new(file.take(size));
    let appended = tar.append_data(&mut header(size), path, io::BufReader::with_capacity(1 << 16, &mut hashing));
    appended.map_err(ImageFault::Write)?;
    let (_, found, _) = hashing.finish();
    if found == blob.digest { Ok(()) } else { Err(layout.damaged(&blob.digest, found)) }
}
