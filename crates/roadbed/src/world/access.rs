//! Who may see a protected app: a generated password, and the file of digests that the edge compares with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use host::files::{self, Access};
use manifest::environment::Class;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use secrets::{Secret, SecretName, Store};
use sha2::{Digest, Sha256};

/// The one user of a protected app, until people have accounts of their own.
pub const USER: &str = "roadbed";

/// What the console is called beside the apps.
pub const CONSOLE: &str = "console";

/// The credentials file of one protected app.
#[derive(Debug)]
pub struct AccessFile {
    id: ResourceId,
    secret: SecretName,
    file: PathBuf,
    secrets: Arc<Store>,
}

impl AccessFile {
    pub fn new(app: &str, file: PathBuf, secrets: Arc<Store>) -> Self {
        let id = ResourceId::new(format!("access/{app}"));
        Self { id, secret: SecretName::new(format!("access/{app}")), file, secrets }
    }

    fn line(password: &Secret) -> String {
        let digest: String =
            Sha256::digest(password.expose().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{USER}:{digest}\n")
    }
}

/// Write the file.
#[derive(Debug)]
pub struct WriteDigest;

impl fmt::Display for WriteDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("note the digest of the password")
    }
}

impl Resource for AccessFile {
    /// Whether the file holds the digest of the password that is kept.
    type Observed = bool;
    type Step = WriteDigest;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    async fn observe(&self) -> Result<bool, Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot see who may come in", error);
        let kept = self.secrets.get(&self.secret).map_err(|fault| cannot(&fault))?;
        let written = files::read_if_exists(&self.file).map_err(|fault| cannot(&fault))?;
        Ok(kept.is_some_and(|kept| written.as_deref() == Some(Self::line(&kept.secret).as_bytes())))
    }

    fn plan(&self, is_written: &bool) -> Vec<WriteDigest> {
        if *is_written { Vec::new() } else { vec![WriteDigest] }
    }

    async fn apply(&self, _: &WriteDigest, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot note who may come in", error);
        let password = self.secrets.get_or_generate(&self.secret, Class::Secret).map_err(|fault| cannot(&fault))?;
        files::write_durable(&self.file, Self::line(&password.secret).as_bytes(), Access::Owner)
            .map_err(|fault| cannot(&fault))
    }
}
