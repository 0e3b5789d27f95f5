//! Static builds, made ready for the edge: a folder per build, never changed once served, with compressed siblings.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use host::files::{self, Access, FileFault};
use ignore::WalkBuilder;
use manifest::AppName;
use manifest::environment::App;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId, Root};

use crate::build::{self, AppBuild};
use crate::instance::Fleet;

/// Below this many bytes compression saves less than a network packet.
const WORTH_COMPRESSING: u64 = 1024;

/// What compresses well. Pictures and fonts are compressed already.
const COMPRESSIBLE: [&str; 9] = ["html", "js", "mjs", "css", "json", "svg", "txt", "xml", "webmanifest"];

/// The site of one static app.
pub struct StaticSite {
    id: ResourceId,
    needs: Vec<ResourceId>,
    app: AppName,
    /// Asked at each look: a build changes while Roadbed converges.
    place: Box<dyn Fn() -> Result<Option<Place>, Fault> + Send + Sync>,
}

/// Where the files of a site come from, and where they are made ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub source: PathBuf,
    pub target: PathBuf,
}

impl fmt::Debug for StaticSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticSite").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What there is to do.
#[derive(Debug)]
pub struct Prepare {
    place: Place,
}

impl fmt::Display for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("copy the build and compress its files")
    }
}

impl StaticSite {
    /// The site of the app's present build.
    pub fn of_build(project: PathBuf, root: Root, app: App) -> Self {
        let (id, needs, name) =
            (Self::resource_id(&app, Fleet::ONLY), vec![AppBuild::resource_id(&app)], app.name.clone());
        let place = move || {
            let target = folder(&project, &root, &app)?;
            Ok(target.map(|target| Place { source: build::output(&project, &app), target }))
        };
        Self { id, needs, app: name, place: Box::new(place) }
    }

    /// The site of an artifact that `needs` unpacks.
    pub fn of_artifact(app: &App, fleet: Fleet, needs: ResourceId, place: Place) -> Self {
        let place = move || Ok(Some(place.clone()));
        let (id, app) = (Self::resource_id(app, fleet), app.name.clone());
        Self { id, needs: vec![needs], app, place: Box::new(place) }
    }

    pub fn resource_id(app: &App, fleet: Fleet) -> ResourceId {
        ResourceId::new(fleet.tagged(format_args!("site/{}", app.name)))
    }
}

/// Where the site of the app's present build lies, once it is prepared.
pub fn folder(project: &Path, root: &Root, app: &App) -> Result<Option<PathBuf>, Fault> {
    let built = build::built_from(project, app)?;
    Ok(built.map(|inputs| root.builds().join(app.name.as_str()).join(inputs)))
}

impl Resource for StaticSite {
    /// The folder that must exist, and whether it does.
    type Observed = (Place, bool);
    type Step = Prepare;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        let place =
            (self.place)()?.ok_or_else(|| Fault::new(format!("cannot prepare {}: it is not built", self.app)))?;
        let exists = files::is_dir(&place.target);
        Ok((place, exists))
    }

    fn plan(&self, (place, exists): &Self::Observed) -> Vec<Prepare> {
        if *exists { Vec::new() } else { vec![Prepare { place: place.clone() }] }
    }

    async fn apply(&self, step: &Prepare, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        let Place { source, target } = step.place.clone();
        let done = tokio::task::spawn_blocking(move || prepare(&source, &target)).await;
        let headline = format!("cannot prepare the files of {}", self.app);
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(Fault::because(headline, &fault).hint("see whether the disk is full")),
            Err(panic) => Err(Fault::because(headline, &panic)),
        }
    }
}

/// Fills a folder beside the target and renames it, so that a half-made site never has the target's name.
fn prepare(source: &Path, target: &Path) -> Result<(), FileFault> {
    let fresh = target.with_extension("new");
    files::remove_dir(&fresh)?;
    files::create_dir(&fresh, Access::Owner)?;
    let walk_fault = |error: ignore::Error| FileFault::new("list", source, io::Error::other(error));
    // Hidden files stay behind: the stamp, and whatever else a build leaves there is not for visitors.
    for entry in WalkBuilder::new(source).standard_filters(false).hidden(true).build() {
        let entry = entry.map_err(walk_fault)?;
        let Ok(relative) = entry.path().strip_prefix(source) else { continue };
        let place = fresh.join(relative);
        match entry.file_type() {
            Some(kind) if kind.is_dir() => files::create_dir(&place, Access::Owner)?,
            // Source maps are for error tracking; visitors would get the sources.
            Some(kind) if kind.is_file() && place.extension().is_some_and(|end| end == "map") => {}
            Some(kind) if kind.is_file() => {
                files::copy(entry.path(), &place)?;
                compress(&place)?;
            }
            // A symbolic link could lead out of the build.
            _ => {}
        }
    }
    files::place_folder(&fresh, target)
}

fn compress(path: &Path) -> Result<(), FileFault> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    if !COMPRESSIBLE.contains(&extension.as_str()) || files::metadata(path)?.len() < WORTH_COMPRESSING {
        return Ok(());
    }
    let plain = files::read(path)?;
    let fault = |error| FileFault::new("compress", path, error);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let gzipped = gzip.write_all(&plain).and_then(|()| gzip.finish()).map_err(fault)?;
    let mut brotlied = Vec::new();
    brotli::BrotliCompress(&mut plain.as_slice(), &mut brotlied, &BrotliEncoderParams::default()).map_err(fault)?;
    for (suffix, packed) in [("gz", gzipped), ("br", brotlied)] {
        if packed.len() < plain.len() {
            files::write(&path.with_extension(format!("{extension}.{suffix}")), &packed, Access::Owner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_compressed_siblings_and_no_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("dist");
        files::create_dir(&source.join("assets"), Access::Owner).unwrap();
        let text = "const x = 1;\n".repeat(500);
        files::write(&source.join("assets/app.js"), text.as_bytes(), Access::Owner).unwrap();
        files::write(&source.join("small.js"), b"1", Access::Owner).unwrap();
        files::write(&source.join("assets/app.js.map"), b"{}", Access::Owner).unwrap();
        files::write(&source.join(".roadbed-inputs"), b"x", Access::Owner).unwrap();
        let target = folder.path().join("site");
        prepare(&source, &target).unwrap();
        assert!(files::exists(&target.join("assets/app.js.br")));
        assert!(files::exists(&target.join("small.js")));
        assert!(!files::exists(&target.join("small.js.gz")), "too small to be worth it");
        assert!(!files::exists(&target.join(".roadbed-inputs")));
        assert!(!files::exists(&target.join("assets/app.js.map")), "visitors don't get the sources");

        let mut unpacked = Vec::new();
        let packed = files::read(&target.join("assets/app.js.gz")).unwrap();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut unpacked).unwrap();
        assert_eq!(unpacked, text.as_bytes());
    }
}
