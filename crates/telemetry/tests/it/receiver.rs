//! Somebody elsewhere who takes what is exported, remembers it, and answers as he is told.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Status and headers; what is not said any more is 200.
type Said = (u16, Vec<(&'static str, &'static str)>);

#[derive(Clone, Default)]
struct Shared {
    taken: Arc<Mutex<Vec<Got>>>,
    refused: Arc<Mutex<u32>>,
    says: Arc<Mutex<VecDeque<Said>>>,
}

pub(crate) struct Receiver {
    shared: Shared,
}

/// A port on which nobody listens yet.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Receiver {
    /// From now on somebody listens there, and first answers so.
    pub(crate) fn start(port: u16, says: &[Said]) -> Self {
        let shared = Shared { says: Arc::new(Mutex::new(says.iter().cloned().collect())), ..Shared::default() };
        let listener = host::socket::listen((std::net::Ipv4Addr::LOCALHOST, port).into()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let router = Router::new().fallback(take).with_state(shared.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { shared }
    }

    /// What was answered with 200.
    pub(crate) fn taken(&self) -> Vec<Got> {
        self.shared.taken.lock().unwrap().clone()
    }

    pub(crate) fn refused(&self) -> u32 {
        *self.shared.refused.lock().unwrap()
    }
}

async fn take(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, &'static str) {
    let (status, said) = shared.says.lock().unwrap().pop_front().unwrap_or((200, Vec::new()));
    if status == 200 {
        shared.taken.lock().unwrap().push(Got { path: uri.path().to_owned(), headers, body });
    } else {
        *shared.refused.lock().unwrap() += 1;
    }
    let headers = said.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    (StatusCode::from_u16(status).unwrap(), headers, "{}")
}
