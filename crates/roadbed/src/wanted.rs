//! What the environment is wanted to be, kept so that a crash of control forgets nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use host::clock::{Moment, Timestamp};
use host::files::{self, Access};
use manifest::{EnvRef, Manifest};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use crate::control::identity;

/// What the environment is wanted to be. Control keeps it, and converges to it again after any crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Absolute path of `roadbed.toml`.
    pub manifest: PathBuf,
    /// Its text as it was then: who edits the file wants nothing of it before the next `up`, least of all a half-typed line.
    pub text: String,
    pub environment: String,
    #[serde(default)]
    pub product: String,
    /// Where this user's roots are listed.
    #[serde(default)]
    pub state: Option<PathBuf>,
    /// Where this user's settings are.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// Apps that run their own development server instead of the build.
    pub dev: DevApps,
    /// What runs until something is deployed.
    #[serde(default)]
    pub apps: Apps,
    /// Ports asked for on the command line; they win over the manifest's.
    pub http_port: Option<u16>,
    pub https_port: Option<u16>,
    #[serde(default)]
    pub ports: PublicPorts,
    /// Where fetched engines are kept.
    pub cache: PathBuf,
    /// What build tools need of the user's environment: PATH, HOME, proxies, certificates. No secrets.
    pub tools: BTreeMap<String, String>,
    /// Whether what the manifest does not declare may be destroyed. It holds for the command that said so, and is never on disk.
    #[serde(default)]
    pub destroy: Destroy,
    /// What builds take from whoever builds. It serves as long as the command that brought it, and is never on disk.
    #[serde(default, skip_serializing_if = "Given::is_empty")]
    pub given: Given,
    /// When somebody last said so: an environment that ends by itself lives from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// The same moment, from which its time is counted. Absent in what an earlier program wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Moment>,
}

/// May something be destroyed that the manifest does not declare, such as an index?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Destroy {
    #[default]
    Never,
    Allowed,
}

/// Values of variables with `source = "ci"`, by name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Given(pub BTreeMap<String, String>);

impl Given {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// As it is on disk: with the id of the root that it is wanted of.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(flatten)]
    wanted: Wanted,
}

/// Which apps run as development servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DevApps {
    #[default]
    None,
    All,
    Only(Vec<String>),
}

/// What apps run from, while no release is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Apps {
    /// They are built in the project's folder and run from there.
    #[default]
    FromProject,
    /// They wait for the first deployment.
    Releases,
}

/// Where visitors come in, unless ports were asked for by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicPorts {
    /// At the manifest's ports.
    #[default]
    AsDeclared,
    /// At free ports on loopback: a rehearsal, beside other environments of this machine.
    Free,
}

/// What is wanted of this root, `None` before the first `up`.
pub fn read(root: &Root) -> Result<Option<Wanted>, Fault> {
    let path = path(root);
    let bytes = files::read_if_exists(&path).map_err(|fault| Fault::because("cannot read what is wanted", &fault))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let disk: OnDisk = serde_json::from_slice(&bytes).map_err(|error| {
        Fault::because(format!("cannot tell what is wanted: {} is damaged", path.display()), &error)
            .hint("`roadbed up` writes it anew")
    })?;
    let ours = identity::read(root)?.map(|identity| identity.id);
    if ours.is_some() && disk.root.is_some() && ours != disk.root {
        return Err(Fault::new(format!(
            "cannot tell what is wanted: {} is of another environment's root",
            path.display()
        ))
        .hint("`roadbed up` writes it anew"));
    }
    Ok(Some(disk.wanted))
}

/// Keeps what is wanted. When this returns, it is on disk.
pub fn write(root: &Root, wanted: &Wanted) -> Result<(), Fault> {
    let (tools, given, destroy) = (without_credentials(&wanted.tools), Given::default(), Destroy::Never);
    let kept = Wanted { tools, given, destroy, ..wanted.clone() };
    let root_id = identity::read(root)?.map(|identity| identity.id);
    let json =
        serde_json::to_vec_pretty(&OnDisk { root: root_id, wanted: kept }).expect("what is wanted is plain data");
    files::write_durable(&path(root), &json, Access::Owner)
        .map_err(|fault| Fault::because("cannot keep what is wanted", &fault).hint("see whether the disk is full"))
}

/// The variables of tools without those whose address holds a password, as those of proxies and package indexes may. They
/// serve as long as the command that brought them, and are never on disk.
pub fn without_credentials(tools: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let holds_credentials = |value: &str| {
        let authority = value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
        authority.is_some_and(|authority| authority.contains('@'))
    };
    tools
        .iter()
        .filter(|(_, value)| !holds_credentials(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Nothing is wanted until somebody says so.
pub fn clear(root: &Root) -> Result<(), Fault> {
    files::remove(&path(root)).map_err(|fault| Fault::because("cannot forget what was wanted", &fault))
}

/// The environment of the manifest that is wanted, resolved. Control asks for it at each look, and a convergence many times: what is
/// read of one text is kept until another is asked for.
pub fn resolve(wanted: &Wanted) -> Result<manifest::Environment, Fault> {
    static LAST: Mutex<Option<(String, String, manifest::Environment)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((text, name, environment)) = last.as_ref()
        && *text == wanted.text
        && *name == wanted.environment
    {
        return Ok(environment.clone());
    }
    let environment = environment(wanted, wanted.text.clone())?;
    *last = Some((wanted.text.clone(), wanted.environment.clone(), environment.clone()));
    Ok(environment)
}

/// As [`resolve`], of the manifest as it stands on disk by now.
pub fn resolve_as_edited(wanted: &Wanted) -> Result<manifest::Environment, Fault> {
    resolved(&manifest_as_edited(wanted)?, wanted)
}

/// The manifest that is wanted.
pub fn manifest_as_wanted(wanted: &Wanted) -> Result<Manifest, Fault> {
    manifest(wanted, wanted.text.clone())
}

/// The manifest as it stands on disk by now.
pub fn manifest_as_edited(wanted: &Wanted) -> Result<Manifest, Fault> {
    manifest(wanted, source_as_edited(wanted)?.text)
}

/// Its text.
pub fn source_as_edited(wanted: &Wanted) -> Result<manifest::Source, Fault> {
    let text = files::read_string(&wanted.manifest)
        .map_err(|fault| Fault::because("cannot read the manifest", &fault).hint("give its place with --manifest"))?;
    Ok(manifest::Source { file: wanted.manifest.display().to_string(), text })
}

fn environment(wanted: &Wanted, text: String) -> Result<manifest::Environment, Fault> {
    resolved(&manifest(wanted, text)?, wanted)
}

fn manifest(wanted: &Wanted, text: String) -> Result<Manifest, Fault> {
    let file = wanted.manifest.display().to_string();
    let (manifest, diagnostics) = manifest::parse(&manifest::Source { file: file.clone(), text });
    let errors: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .map(|diagnostic| format!("{file}:{}:{}: {}", diagnostic.line, diagnostic.column, diagnostic.message))
        .collect();
    manifest.filter(|_| errors.is_empty()).ok_or_else(|| {
        let mut fault = Fault::new(format!("{file} has faults")).hint("`roadbed manifest check` explains each");
        fault.causes = errors;
        fault
    })
}

fn resolved(manifest: &Manifest, wanted: &Wanted) -> Result<manifest::Environment, Fault> {
    let name: EnvRef = wanted.environment.parse().map_err(|error| {
        Fault::because(format!("cannot tell which environment {:?} is", wanted.environment), &error)
    })?;
    manifest.resolve(&name).map_err(|error| {
        Fault::because(format!("cannot resolve the environment {}", wanted.environment), &error)
            .hint("`roadbed env matrix` shows the environments of the manifest")
    })
}

/// Where that is kept.
pub fn path(root: &Root) -> std::path::PathBuf {
    root.state().join("wanted.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_proxies_and_indexes_are_not_kept() {
        let tools = [
            ("PATH", "/bin:/home/me@work/bin"),
            ("https_proxy", "http://proxy:3128/"),
            ("HTTP_PROXY", "http://me:hunter2@proxy:3128"),
            ("PIP_INDEX_URL", "https://token@index/simple?a=b"),
            ("npm_config_registry", "https://registry/path/@scope"),
        ];
        let tools = tools.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let kept: Vec<String> = without_credentials(&tools).into_keys().collect();
        assert_eq!(kept, ["PATH", "https_proxy", "npm_config_registry"]);
    }
}
