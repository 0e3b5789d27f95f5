//! What the environment is wanted to be, kept so that a crash of control forgets nothing.

use host::files::{self, Access};
use manifest::EnvRef;
use reconcile::{Fault, Root};

use super::wire::Wanted;

/// What is wanted of this root, `None` before the first `up`.
pub fn read(root: &Root) -> Result<Option<Wanted>, Fault> {
    let path = path(root);
    let bytes = files::read_if_exists(&path).map_err(|fault| Fault::because("cannot read what is wanted", &fault))?;
    bytes
        .map(|bytes| {
            serde_json::from_slice(&bytes).map_err(|error| {
                Fault::because(format!("cannot tell what is wanted: {} is damaged", path.display()), &error)
                    .hint("`roadbed up` writes it anew")
            })
        })
        .transpose()
}

/// Keeps what is wanted. When this returns, it is on disk.
pub fn write(root: &Root, wanted: &Wanted) -> Result<(), Fault> {
    let json = serde_json::to_vec_pretty(wanted).expect("what is wanted is plain data");
    files::write_durable(&path(root), &json, Access::Owner)
        .map_err(|fault| Fault::because("cannot keep what is wanted", &fault).hint("see whether the disk is full"))
}

/// Nothing is wanted until somebody says so.
pub fn clear(root: &Root) -> Result<(), Fault> {
    files::remove(&path(root)).map_err(|fault| Fault::because("cannot forget what was wanted", &fault))
}

/// The environment of the manifest that is wanted, resolved.
pub fn resolve(wanted: &Wanted) -> Result<manifest::Environment, Fault> {
    environment(wanted, wanted.text.clone())
}

/// As [`resolve`], of the manifest as it stands on disk by now.
pub fn resolve_as_edited(wanted: &Wanted) -> Result<manifest::Environment, Fault> {
    let text = files::read_string(&wanted.manifest)
        .map_err(|fault| Fault::because("cannot read the manifest", &fault).hint("give its place with --manifest"))?;
    environment(wanted, text)
}

fn environment(wanted: &Wanted, text: String) -> Result<manifest::Environment, Fault> {
    let file = wanted.manifest.display().to_string();
    let (manifest, diagnostics) = manifest::parse(&manifest::Source { file: file.clone(), text });
    let errors: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .map(|diagnostic| format!("{file}:{}:{}: {}", diagnostic.line, diagnostic.column, diagnostic.message))
        .collect();
    let Some(manifest) = manifest.filter(|_| errors.is_empty()) else {
        let mut fault = Fault::new(format!("{file} has faults")).hint("`roadbed manifest check` explains each");
        fault.causes = errors;
        return Err(fault);
    };
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
