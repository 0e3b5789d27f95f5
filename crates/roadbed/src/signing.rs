//! The key by which an environment says that it built an artifact, and by which it believes that one is its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::artifact::Digest;
use engine::artifact::attestation::Attestor;
use engine::artifact::provenance::Origin;
use engine::artifact::shelf::Shelf;
use engine::artifact::unpacking::Trusted;
use host::files;
use host::process::{Run, Stream, find_in_path, run};
use manifest::environment::Class;
use reconcile::Fault;
use secrets::jwk::{self, PublicKey};
use secrets::{Secret, SecretName, Store};
use sha2::{Digest as _, Sha256};

/// What git and node are asked takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// Under which name the key lies in an environment's secret store.
pub fn secret() -> SecretName {
    SecretName::new("artifacts/signing")
}

/// Signs for the environment whose store this is. The key is made when first asked for.
pub fn attestor(store: &Store, origin: Origin) -> Result<Arc<Attestor>, Fault> {
    let key = key(store)?;
    Attestor::new(key, origin).map(Arc::new).map_err(|fault| Fault::because("cannot sign what is built", &fault))
}

/// The public half of that key.
pub fn public_key(store: &Store) -> Result<PublicKey, Fault> {
    jwk::public_half(&key(store)?).map_err(|fault| Fault::because("cannot tell the key of artifacts", &fault))
}

/// Whose artifacts this environment believes: its own, also those that it signed before its key was rotated.
pub fn trusted(store: &Store) -> Result<Vec<PublicKey>, Fault> {
    let cannot =
        |fault: &(dyn std::error::Error + 'static)| Fault::because("cannot tell whose artifacts are believed", fault);
    let all = store.accepted(&secret()).map_err(|fault| cannot(&fault).hint(fault.hint()))?;
    all.iter().map(|version| jwk::public_half(&version.secret).map_err(|fault| cannot(&fault))).collect()
}

/// As [`trusted`], for who asks when an artifact is used.
pub fn of_store(store: Arc<Store>) -> Trusted {
    Arc::new(move || trusted(&store))
}

/// Makes artifacts that another environment signed this one's too. Whoever may read the other's store may say so.
pub fn endorse(shelf: &Shelf, digests: &[Digest], other: &Store, ours: &Store) -> Result<(), Fault> {
    let (believed, key) = (trusted(other)?, key(ours)?);
    for digest in digests {
        shelf.endorse(digest, &believed, &key).map_err(|fault| {
            Fault::because(format!("cannot take over the artifact {}", digest.short()), &fault).hint(fault.hint())
        })?;
    }
    Ok(())
}

fn key(store: &Store) -> Result<Secret, Fault> {
    let cannot =
        |fault: &(dyn std::error::Error + 'static)| Fault::because("cannot make the key that signs artifacts", fault);
    if let Some(kept) = store.get(&secret()).map_err(|fault| cannot(&fault).hint(fault.hint()))? {
        return Ok(kept.secret);
    }
    let fresh = jwk::generate().map_err(|fault| cannot(&fault))?;
    let kept = store.get_or_keep(&secret(), Class::Auth, &fresh);
    Ok(kept.map_err(|fault| cannot(&fault).hint(fault.hint()))?.secret)
}

/// Where builds of this project come from now. What cannot be told (no repository, no lock file) is left out.
pub async fn origin(
    project: &Path,
    manifest: &str,
    environments: Vec<String>,
    builder: String,
    tools: &BTreeMap<String, String>,
) -> Result<Origin, Fault> {
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lock = files::read_if_exists(&project.join("package-lock.json"))
        .map_err(|fault| Fault::because("cannot tell what a build is made with", &fault))?;
    let node = first_line(project, tools, "node", &["--version"]).await;
    Ok(Origin {
        builder,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: first_line(project, tools, "git", &["rev-parse", "--verify", "--quiet", "HEAD"]).await,
        manifest: hex(manifest.as_bytes()),
        environments,
        lock: lock.map(|lock| hex(&lock)),
        tools: node.map(|version| ("node".to_owned(), version)).into_iter().collect(),
    })
}

async fn first_line(cwd: &Path, tools: &BTreeMap<String, String>, program: &str, args: &[&str]) -> Option<String> {
    let program = find_in_path(program, tools.get("PATH").map_or("", String::as_str))?;
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let command = Run { program, args, cwd: cwd.to_owned(), env: tools.clone(), deadline: DEADLINE };
    let mut line = None;
    let mut on_line = |stream, text: &str| {
        if stream == Stream::Out && line.is_none() {
            line = Some(text.trim().to_owned());
        }
    };
    let finished = run(&command, &mut on_line).await.ok()?;
    line.filter(|_| finished.success())
}
