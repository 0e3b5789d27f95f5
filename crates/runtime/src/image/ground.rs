//! The ground that an app stands on: Node and what it links, certificates of authorities, one user without rights.

use std::path::Path;

use host::files;

use super::tree::{Content, Thing, Tree};
use super::{ImageFault, USER, libraries};

/// Where Node lies in the image; in `PATH`.
pub const NODE: &str = "usr/bin/node";

/// What Node loads before the app, to take the variables that are in no configuration.
pub const RECEIVER: &str = "roadbed/given.cjs";

/// See [`RECEIVER`].
const RECEIVER_TEXT: &str = include_str!("given.cjs");

/// Where authorities' certificates are looked for, and so where they are put.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The ground of Node apps, from this machine's Node.
///
/// # Errors
/// It is no program, a library is not there, or something cannot be read.
pub fn of_node(node: &Path) -> Result<Tree, ImageFault> {
    let node = files::canonical(node)?;
    let linked = libraries::linked(&node)?;
    let mut tree = Tree::default();
    let on_disk = |path: &Path| Thing::File { content: Content::OnDisk(path.to_owned()), executable: true };
    tree.add(NODE, on_disk(&node))?;
    if let Some((asked, file)) = &linked.loader {
        tree.add(asked, on_disk(file))?;
    }
    // One folder for all: there is no cache in the image that says others. Where the C library really lies, every loader looks
    // without being told, which is not so of the folder that the loader itself is asked for in.
    let folder = linked.libraries.get("libc.so.6").and_then(|path| path.parent()).unwrap_or(Path::new("/lib"));
    let folder = folder.to_str().ok_or_else(|| ImageFault::Name(folder.to_owned()))?;
    for (name, path) in &linked.libraries {
        tree.add(&format!("{folder}/{name}"), on_disk(path))?;
    }
    let text = |text: String| Thing::File { content: Content::Bytes(text.into_bytes()), executable: false };
    tree.add("etc/passwd", text(format!("root:x:0:0::/:/nonexistent\napp:x:{USER}:{USER}::/app:/nonexistent\n")))?;
    tree.add("etc/group", text(format!("root:x:0:\napp:x:{USER}:\n")))?;
    tree.add("etc/nsswitch.conf", text("passwd: files\ngroup: files\nhosts: files dns\n".to_owned()))?;
    let authorities = Path::new("/").join(AUTHORITIES);
    if files::exists(&authorities) {
        tree.add(AUTHORITIES, Thing::File { content: Content::OnDisk(authorities), executable: false })?;
    }
    for place in ["dev", "proc", "sys"] {
        tree.add(place, Thing::Folder { mode: 0o755 })?;
    }
    tree.add("tmp", Thing::Folder { mode: 0o1777 })?;
    Ok(tree)
}

/// What Roadbed adds to any ground.
///
/// # Errors
/// Never, as things stand.
pub fn receiver() -> Result<Tree, ImageFault> {
    let mut tree = Tree::default();
    let content = Content::Bytes(RECEIVER_TEXT.as_bytes().to_vec());
    tree.add(RECEIVER, Thing::File { content, executable: false })?;
    Ok(tree)
}
