//! Where one Redis lies, and the process that it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use manifest::environment;
use reconcile::Root;
use reconcile::ports::{Confinement, Limits, RestartPolicy, Safeguard, StopPolicy, UnitKind, UnitSpec};

use super::{UNIT, configuration};
use crate::engines::Located;
use crate::ground::revision;

/// Paths, port and settings of one Redis.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) settings: environment::Redis,
    pub(crate) port: u16,
    pub(crate) require: Vec<Safeguard>,
    pub(crate) conf: PathBuf,
    pub(crate) data: PathBuf,
}

/// Long enough to write the append-only file's last second, and to fsync a slow disk.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// 10,000 clients and some files, as Redis itself reckons.
const OPEN_FILES: u64 = 10_032;

impl Place {
    pub(crate) fn new(root: &Root, port: u16, settings: environment::Redis, require: Vec<Safeguard>) -> Self {
        Self { settings, port, require, conf: root.conf().join(UNIT), data: root.data(UNIT) }
    }

    pub(crate) fn configuration_file(&self) -> PathBuf {
        self.conf.join("redis.conf")
    }

    pub(crate) fn acl_file(&self) -> PathBuf {
        self.conf.join("users.acl")
    }

    /// The users are no part of the revision: they change without a restart.
    pub(crate) fn unit(&self, engine: &Located) -> UnitSpec {
        let mut env = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]);
        env.extend(engine.env.clone());
        let parts =
            [engine.program.to_string_lossy().into_owned(), engine.version.to_string(), configuration::render(self)];
        UnitSpec {
            name: UNIT.to_owned(),
            kind: UnitKind::Store,
            program: engine.program.clone(),
            args: vec![self.configuration_file().to_string_lossy().into_owned()],
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
