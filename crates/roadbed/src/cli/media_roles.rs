//! The roles of object storage: what keeps objects, what delivers pictures, and what decodes them. The keeper starts the first two,
//! which have no root: they see their folders and nothing else of the environment.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method};
use host::clock::{Clock, SystemClock};
use host::files;
use media::origin::{S3, Sign};
use reconcile::Fault;
use secrets::Secret;
use stores::objects::{Key, LetIn, Right};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::role_args::{Media, Objects};
use crate::cli::roles::{keep_memory_private, speak, threads};
use crate::cli::session::Session;
use crate::world::media::READING_KEY;
use crate::world::objects::{LET_IN, ROOT_KEY, SETTINGS};

/// How often it is looked whether others are let in. A rotation waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often what nobody refers to any more is taken away.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// What brings a media worker up.
const WORKER: &str = "media-worker";

/// Keeps objects and speaks S3.
pub(super) fn objects(session: &Session, args: &Objects) -> Result<Exit, Failure> {
    speak();
    keep_memory_private()?;
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("object storage cannot go on", error);
    let root = secret(session, ROOT_KEY)?;
    let settings: ::objects::Settings = told(&args.told.join(SETTINGS))?;
    let store = Arc::new(::objects::Store::open(&args.folder).map_err(|fault| cannot(&fault))?);
    store.settle(&settings.buckets).map_err(|fault| cannot(&fault))?;
    let (list, bytes) = let_in(&args.told, &root)?;
    let grants = Arc::new(::objects::Grants::new(list).map_err(|fault| cannot(&fault))?);
    threads()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
        let shutdown = async move {
            terminated.recv().await;
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.listen)).await.map_err(|error| cannot(&error))?;
        tokio::spawn(watch(args.told.clone(), root, grants.clone(), bytes));
        tokio::spawn(sweep(store.clone()));
        let limits = ::objects::Limits::default();
        ::objects::serve(listener, store, settings, grants, limits, shutdown).await.map_err(|error| cannot(&error))?;
        Ok(Exit::Done)
    })
}

/// Delivers pictures of public buckets.
pub(super) fn media(session: &Session, args: &Media) -> Result<Exit, Failure> {
    speak();
    keep_memory_private()?;
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("delivery of pictures cannot go on", error);
    let signing =
        Signing(sigv4::Key { id: stores::objects::DELIVERY.to_owned(), secret: s3_secret(session, READING_KEY)? });
    let settings: ::media::Settings = told(&args.told.join(SETTINGS))?;
    let endpoint = format!("http://127.0.0.1:{}", args.objects);
    let origin =
        S3::new(&endpoint, &rustls::RootCertStore::empty(), Arc::new(signing)).map_err(|fault| cannot(&fault))?;
    let path = host::own::program().map_err(|error| cannot(&error))?;
    let program = ::media::worker::Program { path, args: vec![WORKER.to_owned()] };
    threads()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
        let shutdown = async move {
            terminated.recv().await;
        };
        let media = ::media::Media::open(settings, None, Arc::new(origin), program).map_err(|fault| cannot(&fault))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.listen)).await.map_err(|error| cannot(&error))?;
        ::media::serve(listener, media, shutdown).await.map_err(|error| cannot(&error))?;
        Ok(Exit::Done)
    })
}

/// Decodes pictures that come on standard input.
pub(super) fn media_worker() -> Result<Exit, Failure> {
    ::media::worker::main(io::stdin().lock(), io::stdout().lock())
        .map_err(|error| Fault::because("cannot decode pictures", &error))?;
    Ok(Exit::Done)
}

fn told<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Fault> {
    let bytes = files::read(path).map_err(|fault| Fault::because("cannot read what this process is told", &fault))?;
    serde_json::from_slice(&bytes).map_err(|error| Fault::because(format!("{} is damaged", path.display()), &error))
}

fn secret(session: &Session, variable: &str) -> Result<Secret, Fault> {
    let value = session.surroundings.variable(variable);
    value.map(Secret::new).ok_or_else(|| {
        Fault::new(format!("{variable} is not set")).hint("this process is started by the keeper, see `roadbed up`")
    })
}

fn s3_secret(session: &Session, variable: &str) -> Result<sigv4::Secret, Fault> {
    secret(session, variable).map(|secret| sigv4::Secret::new(secret.expose()))
}

/// Who is let in now, and the bytes that say so.
fn let_in(folder: &Path, root: &Secret) -> Result<(Vec<::objects::Grant>, Vec<u8>), Fault> {
    let path = folder.join(LET_IN);
    let bytes = files::read(&path).map_err(|fault| Fault::because("cannot read who is let in", &fault))?;
    let list: Vec<LetIn> = serde_json::from_slice(&bytes)
        .map_err(|error| Fault::because(format!("{} is damaged", path.display()), &error))?;
    Ok((list.into_iter().map(|one| grant(one, root)).collect(), bytes))
}

fn grant(one: LetIn, root: &Secret) -> ::objects::Grant {
    let rule = |opens: stores::objects::Opens| ::objects::Rule {
        bucket: opens.bucket,
        prefix: String::new(),
        verbs: opens.rights.into_iter().map(verb).collect(),
    };
    let key = Key::named(&one.access_key_id, root);
    ::objects::Grant {
        access_key_id: key.id,
        secret: sigv4::Secret::new(key.secret.expose()),
        rules: one.opens.into_iter().map(rule).collect(),
    }
}

fn verb(right: Right) -> ::objects::Verb {
    match right {
        Right::Read => ::objects::Verb::Read,
        Right::Write => ::objects::Verb::Write,
        Right::Delete => ::objects::Verb::Delete,
        Right::List => ::objects::Verb::List,
    }
}

/// Takes up each list that is written. A damaged one changes nothing: whoever was let in still is.
async fn watch(folder: std::path::PathBuf, root: Secret, grants: Arc<::objects::Grants>, mut known: Vec<u8>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match let_in(&folder, &root) {
            Ok((_, bytes)) if bytes == known => {}
            Ok((list, bytes)) => {
                if let Err(error) = grants.replace(list) {
                    tracing::error!(%error, "who is let in is not taken up");
                }
                known = bytes;
            }
            Err(fault) => tracing::error!(%fault, "who is let in is not taken up"),
        }
    }
}

async fn sweep(store: Arc<::objects::Store>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let store = store.clone();
        match tokio::task::spawn_blocking(move || store.sweep(::objects::store::Sweep::default())).await {
            Ok(Ok(swept)) => tracing::info!(?swept, "swept"),
            // While a backup is taken.
            Ok(Err(fault)) => tracing::warn!(%fault, "not swept"),
            Err(error) => tracing::error!(%error, "not swept"),
        }
    }
}

/// Signs what is asked of object storage.
#[derive(Debug)]
struct Signing(sigv4::Key);

impl Sign for Signing {
    fn sign(&self, method: &Method, host: &str, path: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        Ok(crate::object_requests::headers(&self.0, method.as_str(), host, path, SystemClock.now()))
    }
}
