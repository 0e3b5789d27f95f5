//! Images: the same bytes for the same input, and nothing from outside of the folder that they are made of.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test makes the folders that it looks at")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use runtime::image::{Ground, ImageFault, Layout, Tree, archive, ground};
use runtime::instance::ImageId;

fn image_of(folder: &Path, layout: &Path) -> Result<(Layout, ImageId), ImageFault> {
    let layout = Layout::at(layout)?;
    let mut tree = Tree::default();
    tree.add_folder("app", folder)?;
    let mut ground = Ground::default();
    layout.lay(&mut ground, &tree)?;
    let image = layout.image(&ground)?;
    Ok((layout, image))
}

fn archive_of(layout: &Layout, image: &ImageId) -> Result<Vec<u8>, ImageFault> {
    let mut bytes = Vec::new();
    archive::write(layout, image, &mut bytes)?;
    Ok(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_same_files_are_the_same_image_whenever_and_in_which_order_ever_they_were_written(
        files in prop::collection::btree_map("[a-c]{1,2}(/[d-f.-]{1,3}x){0,3}z", (prop::collection::vec(any::<u8>(), 0..700), any::<bool>()), 1..12),
        time in 0_u64..2_000_000_000,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, files: &mut dyn Iterator<Item = (&String, &(Vec<u8>, bool))>, others: bool| {
            for (path, (content, executable)) in files {
                let path = folder.path().join(name).join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, content).unwrap();
                // Rights of others and times are the machine's business.
                let mode = if *executable { 0o700 } else { 0o600 } | if others { 0o044 } else { 0 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(if others { time } else { 1 });
                fs::File::open(&path).unwrap().set_modified(time).unwrap();
            }
        };
        write("one", &mut files.iter(), false);
        write("two", &mut files.iter().rev(), true);
        let (first, one) = image_of(&folder.path().join("one"), &folder.path().join("first")).unwrap();
        let (second, two) = image_of(&folder.path().join("two"), &folder.path().join("second")).unwrap();
        prop_assert_eq!(&one, &two);
        prop_assert_eq!(archive_of(&first, &one).unwrap(), archive_of(&second, &two).unwrap());

        let (path, (content, executable)) = files.iter().next().unwrap();
        let mut changed: BTreeMap<_, _> = files.clone();
        changed.insert(path.clone(), (content.iter().copied().chain([0]).collect(), *executable));
        write("three", &mut changed.iter(), false);
        let (_, three) = image_of(&folder.path().join("three"), &folder.path().join("first")).unwrap();
        prop_assert_ne!(one, three, "another content");
    }
}

#[test]
fn a_link_that_leaves_the_folder_is_refused_with_its_place_and_one_that_stays_is_kept() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("app");
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::write(outside.path().join("theirs"), "x").unwrap();
    fs::write(folder.join("ours"), "x").unwrap();
    symlink("a/b", folder.join("inner")).unwrap();
    for stays in ["../ours", "b/../../ours", "nowhere", ".."] {
        symlink(stays, folder.join("a/link")).unwrap();
        image_of(&folder, &outside.path().join("layout")).unwrap_or_else(|fault| panic!("{stays}: {fault}"));
        fs::remove_file(folder.join("a/link")).unwrap();
    }
    symlink(outside.path(), folder.join("a/b/out")).unwrap();
    for leaves in ["/etc/passwd", "../../theirs", "../../nowhere", "b/out/theirs", "../../app/ours"] {
        symlink(leaves, folder.join("a/a")).unwrap();
        let fault = image_of(&folder, &outside.path().join("layout")).unwrap_err();
        match &fault {
            ImageFault::LeadsOut { path, target } => {
                assert_eq!(*path, folder.canonicalize().unwrap().join("a/a"), "{fault}");
                assert_eq!(target, Path::new(leaves));
            }
            _ => panic!("{leaves}: {fault}"),
        }
        fs::remove_file(folder.join("a/a")).unwrap();
    }
}

#[test]
fn what_is_no_file_folder_or_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir(&app).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(app.join("s")).unwrap();
    let fault = image_of(&app, &folder.path().join("layout")).unwrap_err();
    assert!(matches!(&fault, ImageFault::Strange(path) if path.ends_with("s")), "{fault}");
}

#[test]
fn a_damaged_blob_breaks_the_archive_off_and_assembling_again_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("server.js"), "serve()").unwrap();
    let place = folder.path().join("layout");
    let (layout, image) = image_of(&app, &place).unwrap();
    let whole = archive_of(&layout, &image).unwrap();
    let blobs: Vec<_> = fs::read_dir(place.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(blobs.len(), 3, "layer, configuration, manifest");
    for blob in blobs {
        let good = fs::read(&blob).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for bad in [flipped, good[..good.len() - 1].to_vec(), Vec::new()] {
            fs::write(&blob, &bad).unwrap();
            let fault = archive_of(&layout, &image).unwrap_err();
            assert!(matches!(fault, ImageFault::Damaged { .. }), "{fault}");
        }
        assert_eq!(image_of(&app, &place).unwrap().1, image);
        assert_eq!(archive_of(&layout, &image).unwrap(), whole);
    }
}

#[test]
fn an_image_can_stand_on_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("a"), "1").unwrap();
    let (given, base) = image_of(&app, &folder.path().join("given")).unwrap();
    let ours = Layout::at(&folder.path().join("ours")).unwrap();
    let mut standing = ours.stand_on(&given, &base.manifest).unwrap();
    assert_eq!(ours.image(&standing).unwrap(), base, "with nothing on it, it is itself");
    ours.lay(&mut standing, &ground::receiver().unwrap()).unwrap();
    let image = ours.image(&standing).unwrap();
    assert_ne!(image, base);
    archive_of(&ours, &image).unwrap();
}

#[test]
fn the_ground_of_this_machines_node_has_its_loader_and_every_library() {
    let node = host::process::find_in_path("node", &std::env::var("PATH").unwrap()).unwrap();
    let tree = ground::of_node(&node).unwrap();
    let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
    // The machine's own loader says what it would take.
    let said = std::process::Command::new("ldd").arg(&node).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let libraries = said.lines().filter_map(|line| line.trim().split(' ').next());
    let libraries: Vec<&str> = libraries.filter(|name| !name.starts_with("linux-vdso")).collect();
    assert!(libraries.len() >= 2, "{said}");
    for library in libraries {
        let name = library.rsplit('/').next().unwrap();
        assert!(paths.iter().any(|path| path.ends_with(&format!("/{name}"))), "{name} is not in {paths:?}");
    }
    assert!(paths.contains(&"etc/passwd") && paths.contains(&"tmp"), "{paths:?}");
}
