//! Searching this machine for an engine. Nothing is fetched here.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::process::{self, Finished, ProcessFault, Run};
use reconcile::Fault;

use super::cache::{self, CacheDir, Located, Origin};
use super::machine::Machine;
use super::sources::{EngineKind, Source};
use super::version::Version;

/// A program that does not tell its version by then is not an engine. Cold disks take seconds to read 140 MB.
const VERSION_DEADLINE: Duration = Duration::from_secs(20);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub engine: EngineKind,
    pub min: Version,
    /// A path from the manifest. If it is set, nothing else is looked at.
    pub program: Option<PathBuf>,
}

/// What the search ended with.
#[derive(Clone, Debug)]
pub enum Found {
    Here(Located),
    /// Not on this machine; what was looked at, for the message.
    Absent {
        tried: Vec<String>,
    },
}

/// Looks in the manifest, in PATH, then in the cache.
pub async fn find(
    wanted: &Wanted,
    source: Option<&Source>,
    cache: &CacheDir,
    machine: &Machine,
) -> Result<Found, Fault> {
    if let Some(program) = &wanted.program {
        return from_manifest(wanted, program).await.map(Found::Here);
    }
    let mut tried = Vec::new();
    match process::find_in_path(wanted.engine.program(), &machine.path) {
        None => tried.push(format!("PATH: there is no {}", wanted.engine)),
        Some(program) => match version_of(&program, &BTreeMap::new()).await {
            Ok(version) if version >= wanted.min => {
                return Ok(Found::Here(Located { program, env: BTreeMap::new(), version, origin: Origin::Path }));
            }
            Ok(version) => tried.push(format!("PATH: {} is {version}, too old", program.display())),
            Err(fault) => tried.push(format!("PATH: {fault}")),
        },
    }
    let Some(source) = source else { return Ok(Found::Absent { tried }) };
    let folder = cache.folder_of(source);
    match cache::installed(&folder) {
        Ok(Some(located)) => Ok(Found::Here(located)),
        Ok(None) => {
            tried.push(format!("cache: {} is not there", folder.display()));
            Ok(Found::Absent { tried })
        }
        Err(fault) => Err(Fault::because(format!("cannot look for {} in the cache", wanted.engine), &fault)),
    }
}

/// Whoever names a program means that one: no search goes on behind their back.
async fn from_manifest(wanted: &Wanted, program: &Path) -> Result<Located, Fault> {
    let service = wanted.engine.service();
    let version = version_of(program, &BTreeMap::new())
        .await
        .map_err(|fault| fault.hint(format!("correct or remove `program` of {service} in roadbed.toml")))?;
    if version < wanted.min {
        return Err(Fault::new(format!(
            "{} is version {version}, but {} or newer is needed",
            program.display(),
            wanted.min
        ))
        .hint(format!("name a newer program, or lower `min_version`, in {service} of roadbed.toml")));
    }
    Ok(Located { program: program.to_owned(), env: BTreeMap::new(), version, origin: Origin::Manifest })
}

/// Asks a program for its version.
pub(crate) async fn version_of(program: &Path, env: &BTreeMap<String, String>) -> Result<Version, Fault> {
    let run = Run {
        program: program.to_owned(),
        args: vec!["--version".to_owned()],
        cwd: PathBuf::from("/"),
        env: env.clone(),
        deadline: VERSION_DEADLINE,
    };
    let what = || format!("cannot learn the version of {}", program.display());
    let finished = start(&run).await.map_err(|fault| Fault::because(what(), &fault))?;
    match Version::in_output(&finished.tail) {
        Some(version) if finished.success() => Ok(version),
        _ => Err(Fault::new(what()).cause(finished.tail.last().cloned().unwrap_or_default()).output(finished.tail)),
    }
}

/// A program that was just written may be busy: a process that another thread is starting holds our descriptor of it until
/// its own program begins.
async fn start(run: &Run) -> Result<Finished, ProcessFault> {
    for _ in 0..50 {
        match process::run(run, &mut |_, _| {}).await {
            Err(ProcessFault::Start { source, .. }) if source.kind() == ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
    process::run(run, &mut |_, _| {}).await
}
