//! One maker for each answer, however many ask for it meanwhile, and also for what could not be made, for a moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use host::clock::{Clock, SystemClock};

/// What could not be made is not tried again for so long: enough that a page with a broken picture costs one attempt for all of its
/// visitors, and short enough that nobody who mends it waits.
const REMEMBERED: Duration = Duration::from_secs(2);

/// More are forgotten at once: names are free, so a stranger can fail at as many as he likes.
const MOST_FAILURES: usize = 4096;

type Coming<T, E> = Shared<BoxFuture<'static, Result<T, E>>>;

#[derive(Debug)]
pub(crate) struct Flights<T: Clone, E: Clone>(Mutex<State<T, E>>);

#[derive(Debug)]
struct State<T: Clone, E: Clone> {
    count: u64,
    on_the_way: HashMap<String, (u64, Coming<T, E>)>,
    failures: HashMap<String, (Instant, E)>,
}

/// Whether whoever asked is the one for whom it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    First,
    Joined,
}

impl<T, E> Flights<T, E>
where
    T: Clone + Send + Sync + std::fmt::Debug + 'static,
    E: Clone + Send + Sync + std::fmt::Debug + 'static,
{
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { count: 0, on_the_way: HashMap::new(), failures: HashMap::new() })))
    }

    /// Waits for what is made for this key; `make` begins where nobody has begun. It goes on when nobody waits any more: what is made
    /// for a visitor who left is there for the next one.
    pub(crate) async fn join<F>(
        self: &Arc<Self>,
        key: &str,
        broken: E,
        make: impl FnOnce() -> F,
    ) -> (Result<T, E>, Role)
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (coming, role) = match self.board(key, broken, make) {
            Ok(boarded) => boarded,
            Err(failure) => return (Err(failure), Role::Joined),
        };
        (coming.await, role)
    }

    fn board<F>(self: &Arc<Self>, key: &str, broken: E, make: impl FnOnce() -> F) -> Result<(Coming<T, E>, Role), E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, coming)) = state.on_the_way.get(key) {
            return Ok((coming.clone(), Role::Joined));
        }
        if let Some((since, failure)) = state.failures.get(key) {
            if SystemClock.instant().duration_since(*since) < REMEMBERED {
                return Err(failure.clone());
            }
            state.failures.remove(key);
        }
        state.count += 1;
        let number = state.count;
        // Taken off the list however it ends; that waits for the lock which is held here.
        let landing = Landing { flights: self.clone(), key: key.to_owned(), number };
        let making = make();
        let task = tokio::spawn(async move {
            let outcome = making.await;
            landing.land(outcome.as_ref().err());
            outcome
        });
        let coming = async move { task.await.unwrap_or(Err(broken)) }.boxed().shared();
        state.on_the_way.insert(key.to_owned(), (number, coming.clone()));
        Ok((coming, Role::First))
    }

    /// Who asks from now on gets what is made from now on.
    pub(crate) fn forget(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.on_the_way.clear();
        state.failures.clear();
    }
}

/// Takes a flight off the list when it is dropped: when it is done, and where it panics.
struct Landing<T, E>
where
    T: Clone + Send + Sync + std::fmt::Debug + 'static,
    E: Clone + Send + Sync + std::fmt::Debug + 'static,
{
    flights: Arc<Flights<T, E>>,
    key: String,
    number: u64,
}

impl<T, E> Landing<T, E>
where
    T: Clone + Send + Sync + std::fmt::Debug + 'static,
    E: Clone + Send + Sync + std::fmt::Debug + 'static,
{
    fn land(self, failure: Option<&E>) {
        let mut state = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_listed = state.on_the_way.get(&self.key).is_some_and(|(number, _)| *number == self.number);
        if let (Some(failure), true) = (failure, is_listed) {
            if state.failures.len() >= MOST_FAILURES {
                state.failures.clear();
            }
            state.failures.insert(self.key.clone(), (SystemClock.instant(), failure.clone()));
        }
        drop(state);
    }
}

impl<T, E> Drop for Landing<T, E>
where
    T: Clone + Send + Sync + std::fmt::Debug + 'static,
    E: Clone + Send + Sync + std::fmt::Debug + 'static,
{
    fn drop(&mut self) {
        let mut state = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.on_the_way.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            state.on_the_way.remove(&self.key);
        }
    }
}
