//! Where one MongoDB lies, and the process that it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use manifest::environment;
use reconcile::Root;
use reconcile::ports::{Confinement, Limits, RestartPolicy, Safeguard, StopPolicy, UnitKind, UnitSpec};

use super::{UNIT, configuration, members};
use crate::engines::Located;
use crate::ground::revision;

/// Paths, port and settings of one MongoDB.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Which member it is, from one.
    pub(crate) number: u32,
    /// Its unit, its log, and what its folders are called.
    pub(crate) name: String,
    pub(crate) settings: environment::MongoDb,
    pub(crate) port: u16,
    pub(crate) require: Vec<Safeguard>,
    pub(crate) conf: PathBuf,
    pub(crate) data: PathBuf,
}

/// mongod is asked nothing while it stops: a checkpoint and a journal sync, then it is gone.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// What MongoDB's documentation asks for; a connection and a data file take one each.
const OPEN_FILES: u64 = 64_000;

const GUARDED: &str = "guarded";

/// See [`Place::guarded_mark`].
pub(crate) fn guarded_mark(root: &Root) -> PathBuf {
    root.conf().join(UNIT).join(GUARDED)
}

impl Place {
    pub(crate) fn new(
        root: &Root,
        number: u32,
        port: u16,
        settings: environment::MongoDb,
        require: Vec<Safeguard>,
    ) -> Self {
        let name = members::unit_of(number);
        Self { settings, port, require, conf: root.conf().join(&name), data: root.data(&name), number, name }
    }

    /// The folders that are its own.
    pub(crate) fn folders(&self) -> [PathBuf; 2] {
        [self.conf.clone(), self.data.clone()]
    }

    pub(crate) fn configuration_file(&self) -> PathBuf {
        self.conf.join("mongod.conf")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.conf.join("keyfile")
    }

    /// Present once the administrator exists.
    pub(crate) fn guarded_mark(&self) -> PathBuf {
        self.conf.join(GUARDED)
    }

    pub(crate) fn unit(&self, engine: &Located) -> UnitSpec {
        let configuration = self.configuration_file().to_string_lossy().into_owned();
        let mut env = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]);
        env.extend(engine.env.clone());
        let program = engine.program.to_string_lossy();
        let parts =
            [&program, engine.version.to_string().as_str(), configuration::render(self).as_str()].map(str::to_owned);
        UnitSpec {
            name: self.name.clone(),
            kind: UnitKind::Store,
            program: engine.program.clone(),
            args: vec!["--config".to_owned(), configuration],
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
