//! Control's socket: see [`super::wire`] for what goes over it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reconcile::{Event, Fault, Progress};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::redacting::Redactions;
use super::wire::{Message, ReadyRequest, RotateRequest};
use super::{Control, convergence, proof, rotating};
use crate::wanted::{self, Wanted};

/// Answers until SIGTERM or SIGINT.
pub async fn serve(control: Arc<Control>) -> Result<(), Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot listen for commands", error);
    let listener = host::socket::listen_unix(&control.root.control_socket()).map_err(|fault| cannot(&fault))?;
    listener.set_nonblocking(true).map_err(|error| cannot(&error))?;
    let listener = UnixListener::from_std(listener).map_err(|error| cannot(&error))?;
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| cannot(&error))?;
    let router = Router::new()
        .route("/status", get(status))
        .route("/converge", post(converge))
        .route("/plan", post(plan))
        .route("/ready", post(ready))
        .route("/rotate", post(rotate))
        .with_state(control);
    // No graceful wait for streams: who follows a convergence is told by the end of the stream that control went.
    tokio::select! {
        served = axum::serve(listener, router) => served.map_err(|error| cannot(&error)),
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    }
}

async fn status(State(control): State<Arc<Control>>) -> Response {
    match convergence::status(&control).await {
        Ok(status) => Json(status).into_response(),
        Err(fault) => (StatusCode::INTERNAL_SERVER_ERROR, Json(fault)).into_response(),
    }
}

async fn converge(State(control): State<Arc<Control>>, Json(want): Json<Wanted>) -> Response {
    let redactions = control.redactions(&want);
    answer_in_lines(redactions, |lines| async move { convergence::converge(&control, &want, Arc::new(lines)).await })
}

async fn plan(State(control): State<Arc<Control>>, Json(want): Json<Wanted>) -> Response {
    let redactions = control.redactions(&want);
    answer_in_lines(redactions, |_| async move { convergence::plan(&control, &want).await })
}

async fn ready(State(control): State<Arc<Control>>, Json(request): Json<ReadyRequest>) -> Response {
    answer_in_lines(as_wanted(&control), |lines| async move {
        proof::run(&control, &request, |evidence| lines.send(&Message::Evidence { evidence: evidence.clone() })).await
    })
}

async fn rotate(State(control): State<Arc<Control>>, Json(request): Json<RotateRequest>) -> Response {
    answer_in_lines(
        as_wanted(&control),
        |lines| async move { rotating::rotate(&control, &request, Arc::new(lines)).await },
    )
}

/// Where nothing is wanted there is nothing to look at, and no key with which to tell what must not be said.
fn as_wanted(control: &Control) -> Redactions {
    match wanted::read(&control.root) {
        Ok(Some(want)) => control.redactions(&want),
        _ => Redactions::none(control.clock.clone()),
    }
}

/// Runs `work` in a task of its own, so that it goes on when the asker leaves, and answers with what it says line by line.
fn answer_in_lines<W, F>(redactions: Redactions, work: W) -> Response
where
    W: FnOnce(Lines) -> F,
    F: Future<Output = Result<Message, Fault>> + Send + 'static,
{
    let (sender, mut receiver) = unbounded_channel::<Bytes>();
    let last = Lines { sender, redactions: Arc::new(redactions) };
    let work = work(last.clone());
    tokio::spawn(async move {
        let message = work.await.unwrap_or_else(|fault| Message::Refused { fault });
        last.send(&message);
    });
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
        .map(|line| Ok::<_, Infallible>(Frame::data(line)));
    Response::new(Body::new(StreamBody::new(frames)))
}

use futures_util::StreamExt;

/// The asker's end of a long answer. Whoever left hears nothing; that is no fault.
#[derive(Clone, Debug)]
struct Lines {
    sender: UnboundedSender<Bytes>,
    redactions: Arc<Redactions>,
}

impl Lines {
    fn send(&self, message: &Message) {
        let line = serde_json::to_string(message).expect("wire types are plain data");
        // Whatever a build, a driver or a check had to say: what stands in place of a secret is plain letters in JSON too.
        let line = self.redactions.redact(&line);
        let _ = self.sender.send(format!("{line}\n").into());
    }
}

impl Progress for Lines {
    fn emit(&self, event: Event) {
        self.send(&Message::Progress { progress: event });
    }
}
