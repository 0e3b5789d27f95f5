//! Which files of a build go to visitors' browsers.

use std::path::{Path, PathBuf};

use host::files::{self, FileFault};
use manifest::RunsIn;

/// Below `.next/server`, what is answered to visitors as it is: pages that were rendered while building, and their data.
const PRERENDERED: [&str; 8] = ["html", "rsc", "body", "meta", "json", "txt", "xml", "webmanifest"];

/// The files of a built app that browsers load. `folder` is the app's, `output` what its build makes, relative to it.
///
/// # Errors
/// Where a folder cannot be listed.
pub fn browser_files(folder: &Path, output: &str, runs_in: RunsIn) -> Result<Vec<PathBuf>, FileFault> {
    match runs_in {
        RunsIn::Server => Ok(Vec::new()),
        RunsIn::Browsers => files_below(&folder.join(output)),
        RunsIn::Both => {
            let mut found = files_below(&folder.join(".next/static"))?;
            found.extend(files_below(&folder.join("public"))?);
            for part in ["app", "pages"] {
                let rendered = files_below(&folder.join(".next/server").join(part))?;
                found.extend(rendered.into_iter().filter(|path| {
                    path.extension().is_some_and(|ending| PRERENDERED.iter().any(|known| ending == *known))
                }));
            }
            Ok(found)
        }
    }
}

/// An absent folder has none.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, FileFault> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in files::list(&folder)? {
            match files::link_target(&path)? {
                // What it leads to is found where it lies, if it belongs to the build.
                Some(_) => {}
                None if files::is_dir(&path) => folders.push(path),
                None => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}
