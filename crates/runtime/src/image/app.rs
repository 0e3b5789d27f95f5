//! An app's artifact as an image: on this machine's Node, or on an image that is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layout::{Ground, Layout};
use super::tree::Tree;
use super::{ImageFault, ground};
use crate::instance::ImageId;

/// Where the artifact lies in the image.
pub const PLACE: &str = "/app";

/// What the app stands on.
#[derive(Clone, Debug)]
pub enum Base {
    /// This machine's Node, by the path of its program, and nothing that it does not need.
    Node(PathBuf),
    /// An image, by the digest of its manifest.
    Given { layout: PathBuf, manifest: String },
}

/// Assembles it. What was assembled before is assembled again and is the same: a damaged blob is mended by that.
///
/// # Errors
/// Something of it cannot be read, leads out of the artifact, or cannot be written.
pub fn assemble(
    layout: &Layout,
    base: &Base,
    artifact: &Path,
    labels: BTreeMap<String, String>,
) -> Result<ImageId, ImageFault> {
    let mut standing = match base {
        Base::Node(node) => {
            let mut standing = Ground::default();
            layout.lay(&mut standing, &ground::of_node(node)?)?;
            standing.configuration.env = vec!["PATH=/usr/bin".to_owned()];
            standing
        }
        Base::Given { layout: given, manifest } => layout.stand_on(&Layout::at(given)?, manifest)?,
    };
    layout.lay(&mut standing, &ground::receiver()?)?;
    let mut tree = Tree::default();
    tree.add_folder(PLACE.trim_start_matches('/'), artifact)?;
    layout.lay(&mut standing, &tree)?;
    standing.configuration.user = format!("{0}:{0}", super::USER);
    PLACE.clone_into(&mut standing.configuration.working_dir);
    standing.configuration.labels.extend(labels);
    layout.image(&standing)
}
