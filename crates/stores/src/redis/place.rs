//! Where one Redis lies, and the process that it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reconcile::Root;
use reconcile::ports::{Confinement, Limits, RestartPolicy, Safeguard, StopPolicy, UnitKind, UnitSpec};

use super::{Purpose, Settings, configuration};
use crate::engines::Located;
use crate::ground::revision;

/// Paths, port and settings of one Redis.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) settings: Settings,
    unit: String,
    pub(crate) port: u16,
    pub(crate) require: Vec<Safeguard>,
    pub(crate) conf: PathBuf,
    pub(crate) data: PathBuf,
}

/// Where the authorities are, below a folder of configuration.
pub(super) fn authorities_file(conf: &Path) -> PathBuf {
    conf.join("ca.pem")
}

/// Long enough to write the append-only file's last second, and to fsync a slow disk.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// 10,000 clients and some files, as Redis itself reckons.
const OPEN_FILES: u64 = 10_032;

impl Place {
    pub(crate) fn new(root: &Root, port: u16, settings: Settings, require: Vec<Safeguard>) -> Self {
        let unit = settings.unit();
        Self { port, require, conf: root.conf().join(&unit), data: root.data(&unit), settings, unit }
    }

    pub(crate) fn configuration_file(&self) -> PathBuf {
        self.conf.join("redis.conf")
    }

    pub(crate) fn acl_file(&self) -> PathBuf {
        self.conf.join("users.acl")
    }

    /// The server's key and certificate.
    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.conf.join("certificate.pem")
    }

    /// The authorities whose certificates are believed.
    pub(crate) fn authorities_file(&self) -> PathBuf {
        authorities_file(&self.conf)
    }

    /// Also the name of the resource and of the log.
    pub(crate) fn unit_name(&self) -> &str {
        &self.unit
    }

    /// The password by which members know each other, as Redis reads it; only where there are several.
    pub(crate) fn replication_file(&self) -> PathBuf {
        self.conf.join("replication.conf")
    }

    /// What a sentinel is started with. It writes there itself what it learns.
    pub(crate) fn sentinel_file(&self) -> PathBuf {
        self.data.join("sentinel.conf")
    }

    /// A server that sentinels may make a replica or a primary is started without a file of its own: it would be told to write its
    /// role there, over what is ours.
    fn args(&self) -> Vec<String> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        match self.settings.purpose {
            Purpose::Sentinel => vec![text(self.sentinel_file()), "--sentinel".to_owned()],
            Purpose::Durable if self.settings.is_replicated() => {
                vec!["--include".to_owned(), text(self.configuration_file())]
            }
            Purpose::Durable | Purpose::Cache => vec![text(self.configuration_file())],
        }
    }

    /// The users and the certificate are no part of the revision: they change without a restart.
    pub(crate) fn unit(&self, engine: &Located) -> UnitSpec {
        let mut env = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]);
        env.extend(engine.env.clone());
        let parts =
            [engine.program.to_string_lossy().into_owned(), engine.version.to_string(), configuration::render(self)];
        UnitSpec {
            name: self.unit_name().to_owned(),
            kind: UnitKind::Store,
            program: engine.program.clone(),
            args: self.args(),
            cwd: self.data.clone(),
            revision: revision(&parts.each_ref().map(String::as_str), &env),
            env,
            in_files: Vec::new(),
            loaded: BTreeMap::new(),
            sockets: Vec::new(),
            restart: RestartPolicy::default(),
            stop: StopPolicy { grace: STOP_GRACE },
            limits: Limits { open_files: Some(OPEN_FILES), ..Limits::default() },
            confinement: Some(Confinement {
                release: engine.files(),
                configuration: vec![self.conf.clone()],
                data: vec![self.data.clone()],
                require: self.require.clone(),
            }),
        }
    }
}
