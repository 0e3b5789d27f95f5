//! What backups of an environment work with: its manifest's word, its data services, its files, its repository.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use backup::{
    ClusterTime, Destination, Engines, Keep, MongoSource, Place, Probe, RedisSource, Repository, Restored, Scratch,
    Sources, rebuild,
};
use host::clock::Timestamp;
use host::files::{self, Access};
use manifest::environment::Class;
use manifest::{Backup, RepositoryPlace};
use mongodb::Client;
use reconcile::{Fault, Root};
use secrets::{SecretName, Store, Versioned};
use stores::mongo::OwnUser;
use stores::redis::Purpose;

use super::record::Record;
use super::{in_background, releases, slice, telemetry};
use crate::control::lending::lender;
use crate::control::{Control, convergence, sleeping};
use crate::wanted::{self, Wanted};
use crate::world::lending::Lender;
use crate::world::project;

/// Name of the repository's key in the secret store.
pub(crate) const KEY: &str = "backup/repository";

/// Larger than this no file of ours is.
const LARGEST_FILE: u64 = 256 << 20;

/// Where rehearsals are.
pub(super) fn rehearsal(root: &Root) -> PathBuf {
    root.path().join("rehearsal")
}

/// Where copies of databases lie while they are read.
fn copies(root: &Root) -> PathBuf {
    root.path().join("backup-copies")
}

pub(super) struct Desk {
    pub(super) root: Root,
    pub(super) want: Wanted,
    pub(super) backup: Backup,
    pub(super) lender: Lender,
}

/// A database that was restored where it harms nobody.
pub(super) struct Rebuilt {
    pub(super) scratch: Scratch,
    pub(super) client: Client,
    pub(super) restored: Restored,
}

/// Where the repository of an environment is.
pub(crate) fn place(root: &Root, want: &Wanted, destination: &manifest::Destination) -> Place {
    let environment = &want.environment;
    match &destination.place {
        RepositoryPlace::Folder(folder) => Place::Folder(project(&want.manifest).join(folder).join(environment)),
        RepositoryPlace::InRoot => Place::Folder(root.path().join("backups")),
        RepositoryPlace::Rest(url) => Place::Rest { url: format!("{url}{environment}/") },
        RepositoryPlace::S3 { endpoint, bucket, prefix } => Place::S3 {
            endpoint: endpoint.clone(),
            bucket: bucket.clone(),
            prefix: if prefix.is_empty() { environment.clone() } else { format!("{prefix}/{environment}") },
            region: destination.region.clone(),
        },
        RepositoryPlace::Sftp { user, host, port, path } => Place::Sftp {
            user: user.clone(),
            host: host.clone(),
            port: *port,
            path: format!("{path}/{environment}"),
            host_key: destination.host_key.clone().unwrap_or_default(),
        },
    }
}

/// Where distributions keep the certificates that the system trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn authorities() -> Result<Vec<u8>, Fault> {
    for bundle in BUNDLES {
        let read = files::read_if_exists(Path::new(bundle));
        if let Some(bytes) = read.map_err(|fault| Fault::because("cannot read the certificates to believe", &fault))? {
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

/// A repository of an environment, with who logs in there.
///
/// # Errors
/// Where the secret store cannot be read.
pub(crate) fn destination(
    root: &Root,
    want: &Wanted,
    destination: &manifest::Destination,
    secrets: &Store,
) -> Result<Destination, Fault> {
    let place = place(root, want, destination);
    if let Place::Folder(path) = &place {
        return Ok(Destination { bandwidth: destination.bandwidth, ..Destination::folder(path) });
    }
    let kept = secrets.get(&SecretName::new(destination.access.clone()));
    let kept = kept.map_err(|fault| {
        Fault::because(format!("cannot use {} of the secret store", destination.access), &fault).hint(fault.hint())
    })?;
    let access = kept.map(|kept| kept.secret.expose().to_owned().into());
    Ok(Destination { place, access, bandwidth: destination.bandwidth, authorities: authorities()? })
}

/// `None` where nothing is to be backed up now: nobody wants it, or the environment is not up.
pub(super) async fn desk(control: &Control) -> Result<Option<Desk>, Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(None) };
    let Some(backup) = wanted::resolve(&want)?.backup else { return Ok(None) };
    if sleeping::read(&control.root).is_some() || convergence::refuse_while_stopping(control).await.is_err() {
        return Ok(None);
    }
    // Before the first convergence there is nothing to back up, and no authority to log in with.
    if control.convergences.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        return Ok(None);
    }
    let lender = lender(control).await?;
    Ok(Some(Desk { root: control.root.clone(), want, backup, lender }))
}

impl Desk {
    pub(super) fn keep(&self) -> Keep {
        let backup = &self.backup;
        Keep {
            hourly: backup.hourly,
            daily: backup.daily,
            weekly: backup.weekly,
            monthly: backup.monthly,
            any_second: backup.any_second,
        }
    }

    /// What rehearsals ask.
    pub(super) fn probes(&self) -> Result<Vec<Probe>, Fault> {
        let probe = |probe: &manifest::Probe| {
            let (filter, sort) = (probe.filter.as_deref(), probe.sort.as_deref());
            Probe::new(&probe.name, probe.collection.as_str(), filter, sort, probe.at_least)
                .map(|made| made.or_all(probe.or_all))
        };
        self.backup.probes.iter().map(probe).collect()
    }

    /// The repository, made where there is none.
    pub(super) async fn repository(&self, control: &Control) -> Result<Repository, Fault> {
        let destination = self.destination(&self.backup.repository)?;
        let opened = control.backing_up.repository.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(opened) = opened.filter(|opened| *opened.place() == destination.place)
            && in_background(&opened, Repository::is_there).await?
        {
            return Ok(opened);
        }
        let key = self.key()?;
        let opening =
            tokio::task::spawn_blocking(move || Repository::open_or_create_at(&destination, key.secret.expose()));
        let opened = opening.await.map_err(|error| Fault::because("cannot open the repository", &error))??;
        // By its own word: it may be another one than before, or have lost what was noted.
        let newest = snapshots(&opened).await?.iter().rev().find(|snapshot| snapshot.is_base()).map(|base| base.taken);
        if Record::read(&control.root)?.base != newest {
            Record::change(&control.root, |record| {
                record.base = newest;
                record.covered = None;
            })?;
        }
        control.backing_up.reopened.store(true, std::sync::atomic::Ordering::Release);
        *control.backing_up.repository.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened.clone());
        Ok(opened)
    }

    pub(super) fn destination(&self, of: &manifest::Destination) -> Result<Destination, Fault> {
        destination(&self.root, &self.want, of, &self.lender.secrets)
    }

    fn key(&self) -> Result<Versioned, Fault> {
        let key = self.lender.secrets.get_or_generate(&SecretName::new(KEY), Class::Secret);
        key.map_err(|fault| Fault::because("cannot use the key of the repository", &fault).hint(fault.hint()))
    }

    /// Lets the environment's own key open a repository that another root made. Returns where it is, and how much is in it.
    pub(super) async fn adopt(&self, recovery_key: String) -> Result<(String, usize), Fault> {
        let (destination, own) = (self.destination(&self.backup.repository)?, self.key()?);
        let adopting = tokio::task::spawn_blocking(move || {
            let shown = destination.place.to_string();
            let repository = Repository::open_at(&destination, recovery_key.trim())?.ok_or_else(|| {
                Fault::new(format!("there is no repository in {shown}"))
                    .hint("name its place in [environments.NAME.backup]: that of a copy is as good")
            })?;
            repository.add_key(own.secret.expose())?;
            Ok((shown, repository.snapshots()?.len()))
        });
        adopting.await.unwrap_or_else(|error| Err(Fault::because("cannot open the repository", &error)))
    }

    async fn client(&self, user: OwnUser) -> Result<Option<Client>, Fault> {
        match &self.lender.mongodb {
            Some((_, provider)) => provider.client(user, &self.lender.ground).await.map(Some),
            None => Ok(None),
        }
    }

    /// Name of the apps' database.
    pub(super) fn database(&self) -> Option<String> {
        self.lender.mongodb.as_ref().map(|(settings, _)| settings.database.clone())
    }

    pub(super) fn no_mongodb() -> Fault {
        Fault::new("this environment has no MongoDB")
    }

    pub(super) async fn oplog_reader(&self) -> Result<Client, Fault> {
        self.client(OwnUser::PointInTimeReader).await?.ok_or_else(Self::no_mongodb)
    }

    pub(super) async fn restorer(&self) -> Result<Client, Fault> {
        self.client(OwnUser::Restore).await?.ok_or_else(Self::no_mongodb)
    }

    /// Everything that is backed up.
    pub(super) async fn sources(&self, control: &Control) -> Result<Sources, Fault> {
        let mongodb = self.client(OwnUser::Backup).await?;
        let mongodb = mongodb.zip(self.database()).map(|(client, database)| MongoSource { client, database });
        let mut redis = Vec::new();
        // A cache is filled again by whoever uses it, and replicas have what their primary has.
        if let Some(port) = self.lender.redis_port(Purpose::Durable)? {
            let of = self.lender.redis.iter().find(|(_, other)| *other == port);
            if let Some((settings, port)) = of {
                let figures = stores::statistics::of_redis(&self.lender.ground, settings, *port).await?;
                let unit = settings.unit();
                let keys = figures.keys.saturating_sub(figures.keys_that_expire);
                redis.push(RedisSource { data: control.root.data(&unit), unit, keys });
            }
        }
        let objects = self.objects().await?;
        if objects.is_none() && self.lender.environment.media.is_some() {
            return Err(Fault::new("cannot back up object storage")
                .cause("what it keeps is not there")
                .hint("`roadbed status` shows whether it is up")
                .retry_safe());
        }
        let (root, text) = (control.root.clone(), self.want.text.clone());
        let read = tokio::task::spawn_blocking(move || {
            let files = own_files(&root, text)?;
            Ok::<_, Fault>((files, telemetry::sources(&root.telemetry(), &copies(&root))?))
        });
        let read = read.await.map_err(|error| Fault::because("cannot read the environment's own files", &error))?;
        let (files, telemetry) = read?;
        let releases = releases::sources(control, self).await?;
        Ok(Sources {
            product: self.want.product.clone(),
            environment: self.want.environment.clone(),
            mongodb,
            redis,
            objects,
            releases,
            telemetry: Some(telemetry),
            files,
        })
    }

    /// What object storage keeps; `None` where the environment has none, or it has not been brought up yet.
    pub(super) async fn objects(&self) -> Result<Option<Arc<objects::Store>>, Fault> {
        let folder = self.root.data(stores::objects::UNIT);
        if self.lender.environment.media.is_none() || !files::is_dir(&folder) {
            return Ok(None);
        }
        // It looks at all its rows first.
        let opening = tokio::task::spawn_blocking(move || objects::Store::open(&folder));
        let opened = opening.await.map_err(|error| Fault::because("cannot open object storage", &error))?;
        opened.map(Arc::new).map(Some).map_err(|fault| Fault::because("cannot open object storage", &fault))
    }

    /// The moment that is meant by `at`, or the last one that is saved; what changed up to now is saved first.
    pub(super) async fn until(&self, control: &Control, at: Option<Timestamp>) -> Result<Option<ClusterTime>, Fault> {
        slice(control, self).await?;
        match at {
            Some(at) => Ok(Some(ClusterTime::until(at))),
            None => Ok(newest(&snapshots(&self.repository(control).await?).await?)),
        }
    }

    /// MongoDB as it was at `until`, in a server that nobody else reaches.
    pub(super) async fn rebuilt(&self, control: &Control, until: Option<ClusterTime>) -> Result<Rebuilt, Fault> {
        let covered = Record::read(&control.root)?.covered.map(|(to, _)| to).unwrap_or_default();
        let repository = self.repository(control).await?;
        let engines = self.engines(control).await?;
        let mongod = engines.mongod.ok_or_else(|| Fault::new("there is no mongod to restore into"))?;
        let mut scratch = Scratch::new(&rehearsal(&control.root))?;
        let client = scratch.mongod(&mongod).await?;
        let (_, restored) = rebuild(&repository, until, covered, &client).await?;
        Ok(Rebuilt { scratch, client, restored })
    }

    /// What rehearsals and restores run. Marked as control's own: what a killed control leaves is ended before the next one.
    pub(super) async fn engines(&self, control: &Control) -> Result<Engines, Fault> {
        self.lender.engines(&control.marks).await
    }
}

/// The manifest, and what the environment knows of itself: state, sealed secrets, certificates.
fn own_files(root: &Root, manifest: String) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let cannot = |fault: &files::FileFault| Fault::because("cannot read the environment's own files", fault);
    let mut found = vec![("roadbed.toml".to_owned(), manifest.into_bytes())];
    let copies = copies(root);
    files::remove_dir(&copies).map_err(|fault| cannot(&fault))?;
    files::create_dir(&copies, Access::Owner).map_err(|fault| cannot(&fault))?;
    let mut all = vec![root.identity()];
    for folder in [root.state(), root.secrets(), root.tls()] {
        below(&folder, &mut all)?;
    }
    for path in all {
        let Ok(name) = path.strip_prefix(root.path()) else { continue };
        let name = name.to_string_lossy().into_owned();
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        // What is in them is in the copy.
        if end.ends_with("-wal") || end.ends_with("-shm") || end.ends_with("-journal") || end == "lock" || end == "sock"
        {
            continue;
        }
        let content = if end == "db" {
            let copy = copies.join("copy.db");
            files::remove(&copy).map_err(|fault| cannot(&fault))?;
            host::database::copy(&path, &copy).map_err(|fault| Fault::because("cannot copy a database", &fault))?;
            files::read_if_exists(&copy)
        } else {
            files::read_if_exists(&path)
        };
        // Gone meanwhile: it was none of those that matter.
        let Some(content) = content.map_err(|fault| cannot(&fault))? else { continue };
        found.push((name, content));
    }
    files::remove_dir(&copies).map_err(|fault| cannot(&fault))?;
    Ok(found)
}

fn below(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let cannot = |fault: &files::FileFault| Fault::because("cannot read the environment's own files", fault);
    for path in files::list(folder).map_err(|fault| cannot(&fault))? {
        if files::is_link(&path) {
            continue;
        }
        if files::is_dir(&path) {
            below(&path, into)?;
        } else if files::metadata(&path).is_ok_and(|about| about.is_file() && about.len() <= LARGEST_FILE) {
            into.push(path);
        }
    }
    Ok(())
}

/// A key that a person keeps: 256 bits in groups of four, none of whose characters are taken for another.
pub(super) fn fresh_recovery_key() -> Result<String, Fault> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut bytes = [0_u8; 52];
    getrandom::fill(&mut bytes).map_err(|error| Fault::because("cannot draw a recovery key", &error))?;
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    Ok(letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// What the repository has, as it is listed.
pub(super) async fn snapshots(repository: &Repository) -> Result<Vec<backup::Snapshot>, Fault> {
    in_background(repository, Repository::snapshots).await
}

/// The last moment that is saved.
fn newest(all: &[backup::Snapshot]) -> Option<ClusterTime> {
    let moment = |snapshot: &backup::Snapshot| match snapshot.kind {
        backup::Kind::Base { at } => at,
        backup::Kind::Oplog { to, .. } => Some(to),
    };
    all.iter().filter_map(moment).max()
}
