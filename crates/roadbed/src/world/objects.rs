//! Object storage: the process that keeps objects and speaks S3, and how it is reached.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use host::files;
use manifest::environment::Access;
use manifest::{Environment, Media};
use reconcile::Fault;
use reconcile::loaded::Loaded;
use reconcile::ports::{Protocol, Site, SiteAccess, Target, Upstream};
use secrets::Versioned;
use stores::objects::{Key, UNIT, let_in, prepare, root_secret};

use super::EDGE_IDLE;
use super::addresses::https_url;
use super::sidecar::{Sidecar, SidecarProcess, conf, get};
use crate::object_requests;

/// What the process is told once.
pub const SETTINGS: &str = "settings.json";

/// Who is let in: read anew whenever somebody asks how it is.
pub const LET_IN: &str = "let-in.json";

/// The variable with what all keys follow from.
pub const ROOT_KEY: &str = "ROADBED_OBJECTS_ROOT";

/// Clients of S3 sign for a region; this is what many of them take where nothing is said.
pub const REGION: &str = "us-east-1";

/// Beside the object itself: headers of parts of an upload.
const ROOM_FOR_FRAMES: u64 = 1 << 20;

#[derive(Debug)]
struct ObjectStore {
    environment: Arc<Environment>,
    media: Media,
    port: u16,
    https: u16,
    ground: stores::Ground,
}

/// The process as a resource.
pub(super) fn process(
    environment: &Arc<Environment>,
    media: &Media,
    (port, https): (u16, u16),
    ground: &stores::Ground,
) -> Result<SidecarProcess, Fault> {
    let store =
        ObjectStore { environment: environment.clone(), media: media.clone(), port, https, ground: ground.clone() };
    SidecarProcess::new(Vec::new(), Box::new(store), ground.clone())
}

impl ObjectStore {
    fn root(&self) -> Result<Versioned, Fault> {
        root_key(&self.ground)
    }

    fn settings(&self) -> objects::Settings {
        // Pages of every app may send what an app signed: which of them is the app's to say.
        let hosts = self.environment.apps.iter().flat_map(|app| &app.hosts);
        let origins: Vec<String> = hosts.map(|host| https_url(host, self.https)).collect();
        let bucket = |bucket: &manifest::Bucket| objects::Bucket {
            name: bucket.full_name.clone(),
            public_read: bucket.access == Access::Public,
            max_object_bytes: Some(bucket.max_object),
            quota_bytes: Some(bucket.quota),
            undo: bucket.undo,
            origins: origins.clone(),
        };
        objects::Settings {
            region: REGION.to_owned(),
            base_host: None,
            buckets: self.media.buckets.iter().map(bucket).collect(),
        }
    }
}

/// What all keys follow from.
pub(super) fn root_key(ground: &stores::Ground) -> Result<Versioned, Fault> {
    let name = root_secret();
    let found = ground.secrets.get(&name).map_err(|fault| super::facts::store_fault(&fault))?;
    found.ok_or_else(|| Fault::new(format!("there is no {name} yet")).cause("object storage is not provisioned"))
}

/// Where its objects lie.
pub(super) fn folder(ground: &stores::Ground) -> PathBuf {
    ground.root.data(UNIT)
}

impl Sidecar for ObjectStore {
    fn name(&self) -> &'static str {
        UNIT
    }

    fn what(&self) -> &'static str {
        "object storage"
    }

    /// Every key of an app must open it: a rotation goes on only then.
    fn probes(&self) -> Result<Vec<String>, Fault> {
        let mut all = vec![get(objects::HEALTH, self.port, "")];
        let root = self.root()?;
        for one in let_in(&self.ground, &self.media)?.unwrap_or_default() {
            let key = Key::named(&one.access_key_id, &root.secret);
            let key = sigv4::Key { id: key.id, secret: sigv4::Secret::new(key.secret.expose()) };
            let host = format!("127.0.0.1:{}", self.port);
            let signed = object_requests::headers(&key, "GET", &host, "/", self.ground.clock.now());
            let headers = signed
                .iter()
                .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().expect("a signature is ASCII")));
            all.push(get("/", self.port, &headers.collect::<String>()));
        }
        Ok(all)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn args(&self) -> Vec<String> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let (conf, folder) = (text(conf(&self.ground, UNIT)), text(folder(&self.ground)));
        ["--listen".to_owned(), self.port.to_string(), "--folder".to_owned(), folder, "--told".to_owned(), conf].into()
    }

    fn env(&self) -> Result<(BTreeMap<String, String>, Loaded), Fault> {
        let (name, found) = (root_secret(), self.root()?);
        let env = [(ROOT_KEY.to_owned(), found.secret.expose().to_owned())].into();
        Ok((env, [(name.to_string(), found.version)].into()))
    }

    fn files(&self) -> Result<Option<BTreeMap<&'static str, Vec<u8>>>, Fault> {
        let Some(let_in) = let_in(&self.ground, &self.media)? else { return Ok(None) };
        let json = |bytes: serde_json::Result<Vec<u8>>| bytes.expect("what it is told is plain data");
        Ok(Some(
            [
                (SETTINGS, json(serde_json::to_vec_pretty(&self.settings()))),
                (LET_IN, json(serde_json::to_vec_pretty(&let_in))),
            ]
            .into(),
        ))
    }

    /// The folder of objects is made before the settings are written, so where these are, objects have been. Begun anew it would
    /// answer that there are none, and apps would believe it.
    fn begins_nothing_anew(&self) -> Result<(), Fault> {
        let (objects, settings) = (folder(&self.ground), conf(&self.ground, UNIT).join(SETTINGS));
        if files::is_dir(&objects) || !files::exists(&settings) {
            return Ok(());
        }
        Err(Fault::new("cannot start object storage: what it kept is not there any more")
            .cause(format!("{} is missing", objects.display()))
            .hint(format!(
                "bring that folder back; or remove {} to begin empty, and get objects from a backup with `roadbed restore --bucket`",
                settings.display()
            )))
    }

    fn prepare(&self) -> Result<(), Fault> {
        prepare(&self.ground, &self.media)
    }

    fn read_once(&self) -> &'static [&'static str] {
        &[SETTINGS]
    }

    fn data(&self) -> Vec<PathBuf> {
        vec![folder(&self.ground)]
    }
}

/// How those outside reach it.
pub(super) fn site(media: &Media, port: u16) -> Site {
    let largest = media.buckets.iter().map(|bucket| bucket.max_object).max().unwrap_or(0);
    sidecar_site(UNIT, &media.objects_host, port, Some(largest + ROOM_FOR_FRAMES))
}

/// A host of the edge that leads to a process of ours.
pub(super) fn sidecar_site(name: &str, host: &str, port: u16, longest_body: Option<u64>) -> Site {
    let millis = u64::try_from(EDGE_IDLE.as_millis()).unwrap_or(u64::MAX);
    Site {
        app: name.to_owned(),
        hosts: vec![host.to_owned()],
        target: Target::Instances {
            upstreams: vec![Upstream { instance: name.to_owned(), port }],
            first_byte_ms: millis,
            idle_ms: millis,
            longest_body,
            protocol: Protocol::default(),
            wake_ms: None,
        },
        access: SiteAccess::Public,
        client_authorities: None,
        cache: None,
        config: None,
        key_set: None,
        internal_socket: None,
        release: None,
        kept: Vec::new(),
        headers: BTreeMap::new(),
    }
}
