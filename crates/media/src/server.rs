//! The role: listens, and answers with pictures.

use std::io;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use crate::origin::Origin;
use crate::settings::{Settings, SettingsFault};
use crate::variant::SigningKey;
use crate::worker::{Pool, Program};

/// Answers 200 when requests can be answered. No bucket has this name.
pub const HEALTH: &str = "/-/health";

/// All that requests share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Media(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) key: Option<SigningKey>,
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) pool: Pool,
}

/// Why the role cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    #[error("the settings of media delivery cannot be meant")]
    Settings(#[from] SettingsFault),
    #[error("the folder of the cache cannot be used")]
    Cache(#[from] host::files::FileFault),
}

impl Media {
    /// Reads what the cache has kept. `program` is what workers are started as.
    ///
    /// # Errors
    /// Where the settings cannot be meant, or the cache's folder cannot be used.
    pub fn open(
        settings: Settings,
        key: Option<SigningKey>,
        origin: Arc<dyn Origin>,
        program: Program,
    ) -> Result<Self, NotOpened> {
        settings.check()?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pool = Pool::new(program, settings.workers.unwrap_or(cores), settings.limits);
        Ok(Self(Arc::new(Shared { settings, key, origin, pool })))
    }
}

/// Serves until `shutdown`.
///
/// # Errors
/// Where the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    media: Media,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new().with_state(media);
    tokio::select! {
        () = shutdown => Ok(()),
        served = axum::serve(listener, router) => served,
    }
}
