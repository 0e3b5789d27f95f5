//! Connections by token: who is let in, how many at a time, and who has to wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Connection, Entered, Lost, Way};
use crate::token::{Login, Token};

/// How long a token stays refused without Redis being asked again. Short: a user may be put the next moment.
const REFUSED: Duration = Duration::from_secs(2);

/// After a refusal one of the [`AT_THE_DOOR`] goes on this much later: so guesses come to Redis at most 16 times a second, whoever
/// makes them, while tokens that are known pass by the door.
const BACK_OFF: Duration = Duration::from_millis(250);
const AT_THE_DOOR: usize = 4;

/// Refusals that are remembered: 40 bytes each.
const MOST_REFUSED: usize = 10_000;

/// A connection that nobody used for so long is closed, as is the pool of a token that has none left.
const IDLE: Duration = Duration::from_secs(60);

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request gets no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Turned {
    #[error("WRONGPASS invalid or missing auth token")]
    Unauthorised,
    #[error("ERR max concurrent requests exceeded: this token has {0} at a time")]
    Busy(usize),
    #[error("ERR Redis cannot be reached")]
    Lost(#[from] Lost),
}

/// How much one token may have at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) requests: usize,
    pub(crate) streams: usize,
    /// Bytes of an answer.
    pub(crate) longest: usize,
}

/// All pools.
#[derive(Debug)]
pub(crate) struct Pools {
    way: Way,
    share: Share,
    known: Mutex<HashMap<Token, Arc<Pool>>>,
    refused: Mutex<HashMap<Token, Instant>>,
    door: Arc<Semaphore>,
}

/// What is open for one token.
#[derive(Debug)]
pub(crate) struct Pool {
    token: Token,
    login: Login,
    idle: Mutex<Vec<(Connection, Instant)>>,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// A connection for one request. Dropped before it is given back, it is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    pool: Arc<Pool>,
    /// Whose turn it is.
    _turn: OwnedSemaphorePermit,
}

impl Lease {
    /// Everything that was asked on it was answered.
    pub(crate) fn give_back(self) {
        lock(&self.pool.idle).push((self.connection, Instant::now()));
    }
}

impl Pools {
    pub(crate) fn new(way: Way, share: Share) -> Self {
        let door = Arc::new(Semaphore::new(AT_THE_DOOR));
        Self { way, share, known: Mutex::default(), refused: Mutex::default(), door }
    }

    pub(crate) async fn answers(&self) -> Result<(), Lost> {
        self.way.answers(self.share.longest).await
    }

    /// The pool of a token, once Redis has let in whom it names.
    pub(crate) async fn admit(&self, token: &str) -> Result<Arc<Pool>, Turned> {
        let known_as = Token::of(token);
        if let Some(pool) = lock(&self.known).get(&known_as) {
            return Ok(pool.clone());
        }
        let login = Login::read(token).ok_or(Turned::Unauthorised)?;
        let connection = self.enter(known_as, &login).await?;
        let mut known = lock(&self.known);
        let pool = known.entry(known_as).or_insert_with(|| Arc::new(Pool::new(known_as, login, self.share)));
        lock(&pool.idle).push((connection, Instant::now()));
        Ok(pool.clone())
    }

    /// Whether Redis knows this user by this password.
    pub(crate) async fn knows(&self, login: &Login) -> Result<(), Turned> {
        self.enter(Token::of(&login.token()), login).await.map(drop)
    }

    /// A turn for a request, and a connection for it.
    pub(crate) async fn lease(&self, pool: &Arc<Pool>) -> Result<Lease, Turned> {
        let busy = || Turned::Busy(self.share.requests);
        let turn = timeout(PATIENCE, pool.requests.clone().acquire_owned()).await.map_err(|_| busy())?;
        let turn = turn.expect("nobody closes the semaphore");
        let connection = match pool.idle_one() {
            Some(connection) => connection,
            None => self.enter(pool.token, &pool.login).await?,
        };
        Ok(Lease { connection, pool: pool.clone(), _turn: turn })
    }

    /// A connection for a stream, which is never given back.
    pub(crate) async fn stream(&self, pool: &Arc<Pool>) -> Result<(Connection, OwnedSemaphorePermit), Turned> {
        let turn = pool.streams.clone().try_acquire_owned().map_err(|_| Turned::Busy(self.share.streams))?;
        Ok((self.enter(pool.token, &pool.login).await?, turn))
    }

    async fn enter(&self, token: Token, login: &Login) -> Result<Connection, Turned> {
        if lock(&self.refused).get(&token).is_some_and(|until| *until > Instant::now()) {
            return Err(Turned::Unauthorised);
        }
        let turn = self.door.clone().acquire_owned().await.expect("nobody closes the semaphore");
        match Connection::enter(&self.way, login, self.share.longest).await? {
            Entered::In(connection) => Ok(connection),
            Entered::Refused => {
                tracing::warn!("Redis refuses user {:?}", login.user);
                self.refuse(token);
                tokio::spawn(async move {
                    sleep(BACK_OFF).await;
                    drop(turn);
                });
                Err(Turned::Unauthorised)
            }
        }
    }

    fn refuse(&self, token: Token) {
        lock(&self.known).remove(&token);
        let now = Instant::now();
        let mut refused = lock(&self.refused);
        if refused.len() >= MOST_REFUSED {
            refused.retain(|_, until| *until > now);
        }
        if refused.len() < MOST_REFUSED {
            refused.insert(token, now + REFUSED);
        }
    }

    /// Closes what nobody uses, for ever.
    pub(crate) async fn sweep(&self) {
        loop {
            sleep(IDLE / 4).await;
            let now = Instant::now();
            lock(&self.known).retain(|_, pool| {
                let mut idle = lock(&pool.idle);
                idle.retain(|(_, since)| now.duration_since(*since) < IDLE);
                !idle.is_empty() || Arc::strong_count(pool) > 1
            });
        }
    }
}

impl Pool {
    fn new(token: Token, login: Login, share: Share) -> Self {
        Self {
            token,
            login,
            idle: Mutex::default(),
            requests: Arc::new(Semaphore::new(share.requests)),
            streams: Arc::new(Semaphore::new(share.streams)),
        }
    }

    /// The one that was used last; those that Redis closed meanwhile are dropped.
    fn idle_one(&self) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        while let Some((mut connection, _)) = idle.pop() {
            if connection.is_clean() {
                return Some(connection);
            }
        }
        None
    }
}

/// What panicked while it held one of these maps left it whole: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
