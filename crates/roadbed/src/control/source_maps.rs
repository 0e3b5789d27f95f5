//! Brings the source maps of what runs to telemetry, beside the convergence that started it: without them nothing but names in stacks
//! is missing, so they hold up nobody. What is there already is not brought again.

use std::path::{Path, PathBuf};

use host::files;
use reconcile::{Fault, Root};
use telemetry::TelemetryClient;

use crate::world::source_maps::Mapped;

/// Maps of one build that are brought. A shop has a few hundred.
const MOST: usize = 5_000;

/// Folders below a build.
const DEPTH: usize = 16;

/// Brings what is missing, and says in the log what could not be.
pub(super) async fn bring(root: Root, all: Vec<Mapped>) {
    for mapped in all {
        match bring_one(&root, &mapped).await {
            Ok(0) => {}
            Ok(brought) => tracing::info!(app = mapped.app, release = mapped.release, brought, "source maps are kept"),
            Err(fault) => {
                tracing::warn!(app = mapped.app, release = mapped.release, causes = ?fault.causes, "stacks of errors stay as they come: {fault}");
            }
        }
    }
}

/// How many were brought.
async fn bring_one(root: &Root, mapped: &Mapped) -> Result<usize, Fault> {
    let folder = mapped.folder.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        list(&folder, DEPTH, &mut found)?;
        Ok::<_, files::FileFault>(found)
    });
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot look for source maps", error);
    let found = listed.await.map_err(|error| cannot(&error))?.map_err(|fault| cannot(&fault))?;
    if found.is_empty() {
        return Ok(0);
    }
    let telemetry = TelemetryClient::new(root.clone());
    let kept = telemetry.source_maps().await?;
    let kept = kept.iter().find(|kept| kept.app == mapped.app && kept.release == mapped.release);
    if kept.is_some_and(|kept| usize::try_from(kept.maps).is_ok_and(|maps| maps >= found.len())) {
        return Ok(0);
    }
    let (mut brought, mut refused) = (0, None);
    for path in &found {
        let relative = path.strip_prefix(&mapped.folder).unwrap_or(path).to_string_lossy().into_owned();
        let map = files::read(path).map_err(|fault| cannot(&fault))?;
        match telemetry.keep_source_map(&mapped.app, &mapped.release, &relative, map).await {
            Ok(()) => brought += 1,
            // One that is none of ours says nothing about the others.
            Err(fault) => refused = Some(fault),
        }
    }
    match refused {
        Some(fault) if brought == 0 => Err(fault),
        _ => Ok(brought),
    }
}

/// Maps of code below a folder. Packages' own are not looked for: what they did is not what the app did.
fn list(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), files::FileFault> {
    if depth == 0 || !files::is_dir(folder) {
        return Ok(());
    }
    for path in files::list(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if files::is_link(&path) || name == "node_modules" || name == "cache" {
            continue;
        }
        if files::is_dir(&path) {
            list(&path, depth - 1, found)?;
        } else if [".js.map", ".mjs.map", ".cjs.map"].iter().any(|end| name.ends_with(end)) && found.len() < MOST {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use host::files::Access;

    use super::*;

    #[test]
    fn maps_of_code_are_found_and_those_of_packages_and_styles_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["index.js", "index.js.map", "assets/a.mjs.map", "assets/a.css.map", "node_modules/x/x.js.map"] {
            let path = folder.path().join(name);
            files::create_dir(path.parent().unwrap(), Access::Owner).unwrap();
            files::write(&path, b"{}", Access::Owner).unwrap();
        }
        let mut found = Vec::new();
        list(folder.path(), DEPTH, &mut found).unwrap();
        found.sort();
        assert_eq!(found, [folder.path().join("assets/a.mjs.map"), folder.path().join("index.js.map")]);
    }
}
