//! Visitors who never stop: each on a connection that is kept, as browsers keep theirs, and each failure written down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

use crate::client::{Answer, Client};

/// A connection that is used again and again, and opened anew when the other side has closed it.
#[derive(Debug)]
pub struct Kept {
    pub(crate) client: Client,
    pub(crate) sender: Option<SendRequest<Full<Bytes>>>,
}

impl Kept {
    pub fn new(client: Client) -> Self {
        Self { client, sender: None }
    }

    /// As [`Client::request`]. All requests go to the host of the first.
    pub fn request(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, String> {
        self.client.clone().request_on(&mut self.sender, method, url, headers, body)
    }
}

/// What a crowd met.
#[derive(Debug)]
pub struct Crowd {
    began: Instant,
    over: AtomicBool,
    asked: AtomicUsize,
    failed: Mutex<Vec<String>>,
    /// The longest that anybody waited.
    longest: Mutex<Duration>,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            over: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            failed: Mutex::default(),
            longest: Mutex::default(),
        }
    }
}

impl Crowd {
    /// Lets somebody in, who does one thing after the other, so many a second, until the crowd is sent home. What went wrong is
    /// a sentence.
    pub fn let_in<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        per_second: u32,
        mut visit: impl FnMut() -> Result<(), String> + Send + 'scope,
    ) {
        scope.spawn(move || {
            let pause = Duration::from_secs(1) / per_second;
            let mut due = Instant::now();
            while !self.over.load(Ordering::Relaxed) {
                let start = Instant::now();
                let outcome = visit();
                let took = start.elapsed();
                self.asked.fetch_add(1, Ordering::Relaxed);
                let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
                *longest = took.max(*longest);
                drop(longest);
                if let Err(why) = outcome {
                    let at = self.began.elapsed().as_millis();
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at} ms: {why}"));
                }
                // Who was kept waiting comes back all the sooner, as a queue does.
                due += pause;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
    }

    pub fn send_home(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub fn per_second(&self) -> usize {
        self.asked() / usize::try_from(self.began.elapsed().as_secs().max(1)).unwrap()
    }

    pub fn failed(&self) -> Vec<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn longest(&self) -> Duration {
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever happens to the thread that watches, the others must end.
#[derive(Debug)]
pub struct SendHomeOnDrop<'a>(pub &'a Crowd);

impl Drop for SendHomeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.send_home();
    }
}
