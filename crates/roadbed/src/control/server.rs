//! Control's socket: see [`super::wire`] for what goes over it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use bytes::Bytes;
use delivery::DeploymentId;
use edge::tls::on_demand::{WISH, Wish};
use gate::Evidence;
use http::StatusCode;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reconcile::{Event, Fault, Progress};
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::api::action::Action;
use super::api::authorise::{Actor, Scope, authorise};
use super::api::tokens::TokenId;
use super::delivering::{self, Ask, ToApprove, ToCancel, ToRollBack};
use super::lending::{self, Peer};
use super::lent::Asked;
use super::login::Signed;
use super::redacting::Redactions;
use super::wire::{Message, ReadyRequest, RotateRequest, SmokeRequest};
use super::{Control, access, api, backing_up, console, convergence, proof, renewing, rotating, smoking};
use crate::process_model::ProcessModelRequest;
use crate::wanted::Wanted;

/// Answers until SIGTERM or SIGINT.
pub async fn serve(control: Arc<Control>) -> Result<(), Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot listen for commands", error);
    let listener = host::socket::listen_unix(&control.root.control_socket()).map_err(|fault| cannot(&fault))?;
    listener.set_nonblocking(true).map_err(|error| cannot(&error))?;
    let listener = UnixListener::from_std(listener).map_err(|error| cannot(&error))?;
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| cannot(&error))?;
    let router = routes(&control).with_state(control).into_make_service_with_connect_info::<Peer>();
    // No graceful wait for streams: who follows a convergence is told by the end of the stream that control went.
    tokio::select! {
        served = axum::serve(listener, router) => served.map_err(|error| cannot(&error)),
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    }
}

/// Every route of the socket, each with the action that it is.
fn routes(control: &Arc<Control>) -> Router<Arc<Control>> {
    Guarded { control, router: Router::new() }
        .route("/status", Action::ReadStatus, get(status))
        .route("/statistics", Action::ReadStatistics, get(statistics))
        .route("/converge", Action::Converge, post(converge))
        .route("/plan", Action::Plan, post(plan))
        .route("/ready", Action::RunGate, post(ready))
        .route("/explain", Action::ReadGate, post(explain))
        .route("/rotate", Action::Rotate, post(rotate))
        .route("/smoke", Action::Smoke, post(smoke))
        .route("/process-model", Action::RunGate, post(process_model))
        .route("/login/challenge", Action::LogIn, post(challenge))
        .route("/login", Action::LogIn, post(log_in))
        .route("/deployments", Action::Deploy, post(deploy))
        .route("/deployments", Action::ReadDeployments, get(deployments))
        .route("/deployments/{id}/since/{line}", Action::ReadDeployments, get(happening))
        .route("/deployments/{id}/cancel", Action::Cancel, post(cancel))
        .route("/deployments/{id}/approve", Action::Approve, post(approve))
        .route("/rollback", Action::RollBack, post(roll_back))
        .route("/releases", Action::ReadReleases, get(releases))
        .route("/migrations", Action::ReadReleases, get(migrations))
        .route("/leases", Action::Lend, post(lend))
        .route("/leases/{id}/renew", Action::Lend, post(renew))
        .route("/leases/{id}", Action::Lend, delete(take_back))
        .route("/tokens", Action::KeepTokens, post(make_token).get(tokens))
        .route("/tokens/{id}/revoke", Action::KeepTokens, post(revoke_token))
        .route("/access/links", Action::KeepAccess, post(make_link))
        .route("/access", Action::KeepAccess, get(list_access))
        .route("/access/revoke", Action::KeepAccess, post(revoke_access))
        .route("/access/networks", Action::KeepAccess, get(networks).post(list_network))
        .route("/backups", Action::KeepBackups, post(backups))
        .route("/sample", Action::KeepBackups, post(begin))
        .route("/access/knock", Action::LetIn, post(knock))
        .route(WISH, Action::LetIn, post(wish))
        .route("/console/", Action::LetIn, any(console::answer))
        .route("/console/{*path}", Action::LetIn, any(console::answer))
        .router
}

/// Routes that nobody comes to but by `authorise`: there is no other way to add one.
struct Guarded<'c> {
    control: &'c Arc<Control>,
    router: Router<Arc<Control>>,
}

impl Guarded<'_> {
    fn route(self, path: &str, action: Action, handler: MethodRouter<Arc<Control>>) -> Self {
        let guard = from_fn_with_state((self.control.clone(), action), guard);
        Self { router: self.router.route(path, handler.layer(guard)), ..self }
    }
}

async fn guard(
    State((control, action)): State<(Arc<Control>, Action)>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let actor = match peer.uid {
        uid if uid == 0 || uid == host::own::user() => Actor::Owner,
        uid => Actor::Stranger { uid },
    };
    let here = Scope { environment: String::new(), root: control.id.clone() };
    match authorise(&actor, action, &here) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let fault = Fault::new(refusal.to_string()).hint("control answers the user whom it works for, and root");
            (StatusCode::FORBIDDEN, Json(fault)).into_response()
        }
    }
}

async fn make_token(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(ask): Json<api::ToCreate>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { api::create(&control, &ask, peer).await }).await
}

async fn tokens(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { api::list(&control) }).await
}

async fn revoke_token(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<TokenId>,
    Json(by): Json<String>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { api::revoke(&control, id, &by, peer).await }).await
}

async fn make_link(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(ask): Json<access::ToLink>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { access::make(&control, &ask, peer).await }).await
}

async fn list_access(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { access::list(&control) }).await
}

async fn revoke_access(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(ask): Json<access::ToRevoke>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { access::revoke(&control, &ask, peer).await }).await
}

async fn networks(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { access::lists::shown(&control) }).await
}

async fn list_network(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(ask): Json<access::lists::ToList>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { access::lists::list(&control, &ask, peer).await }).await
}

/// In a task of its own: a link that is used up must have its session noted, whoever goes away meanwhile.
async fn knock(State(control): State<Arc<Control>>, Json(knock): Json<edge::access::door::Knock>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { access::knock(&control, &knock).await }).await
}

async fn wish(State(control): State<Arc<Control>>, Json(wish): Json<Wish>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { renewing::on_demand::wish(&control, &wish).await }).await
}

/// In a task of its own: a backup is not given up because somebody no longer waits for it.
async fn backups(State(control): State<Arc<Control>>, Json(request): Json<backing_up::wire::Request>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { backing_up::answer(&control, request).await }).await
}

async fn begin(State(control): State<Arc<Control>>, Json(request): Json<backing_up::wire::ToBegin>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { backing_up::begin(&control, request).await }).await
}

async fn status(State(control): State<Arc<Control>>) -> Response {
    match convergence::status(&control).await {
        Ok(status) => Json(status).into_response(),
        Err(fault) => (StatusCode::INTERNAL_SERVER_ERROR, Json(fault)).into_response(),
    }
}

async fn statistics(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { super::statistics::statistics(&control).await }).await
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
    answer_in_lines(control.redactions_as_wanted(), |lines| async move {
        proof::run(&control, &request, |evidence| lines.send(&Message::Evidence { evidence: evidence.clone() })).await
    })
}

async fn explain(State(control): State<Arc<Control>>, Json(request): Json<ReadyRequest>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { proof::explain(&control, &request).await }).await
}

async fn rotate(State(control): State<Arc<Control>>, Json(request): Json<RotateRequest>) -> Response {
    answer_in_lines(control.redactions_as_wanted(), |lines| async move {
        rotating::rotate(&control, &request, Arc::new(lines)).await
    })
}

async fn smoke(State(control): State<Arc<Control>>, Json(request): Json<SmokeRequest>) -> Response {
    answer_in_lines(control.redactions_as_wanted(), |_| async move { smoking::run(&control, &request).await })
}

async fn process_model(State(control): State<Arc<Control>>, Json(request): Json<ProcessModelRequest>) -> Response {
    answer_in_lines(control.redactions_as_wanted(), |lines| async move {
        let on = |evidence: &Evidence| lines.send(&Message::Evidence { evidence: evidence.clone() });
        super::process_model::run(&control, &request, on).await
    })
}

async fn challenge(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { control.desk.challenge(control.clock.now()) }).await
}

async fn log_in(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(signed): Json<Signed>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { lending::log_in(&control, &signed, peer) }).await
}

async fn lend(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(asked): Json<Asked>,
) -> Response {
    // In a task of its own: a borrower that goes away must not leave a user half made.
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { lending::lend(&control, &asked, peer).await }).await
}

async fn renew(State(control): State<Arc<Control>>, Path(id): Path<String>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { lending::renew(&control, &id).await }).await
}

async fn take_back(State(control): State<Arc<Control>>, Path(id): Path<String>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { lending::take_back(&control, &id).await }).await
}

async fn deploy(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(ask): Json<Ask>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::ask(&control, &ask, peer) }).await
}

async fn deployments(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::list(&control) }).await
}

async fn happening(State(control): State<Arc<Control>>, Path((id, line)): Path<(DeploymentId, i64)>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::happening(&control, id, line) }).await
}

async fn cancel(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<DeploymentId>,
    Json(ask): Json<ToCancel>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::cancel(&control, id, &ask, peer) }).await
}

async fn approve(
    State(control): State<Arc<Control>>,
    Path(id): Path<DeploymentId>,
    Json(ask): Json<ToApprove>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::approve(&control, id, &ask) }).await
}

async fn roll_back(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(ask): Json<ToRollBack>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::roll_back(&control, &ask, peer) }).await
}

async fn releases(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::releases(&control) }).await
}

async fn migrations(State(control): State<Arc<Control>>) -> Response {
    let redactions = control.redactions_as_wanted();
    finished(redactions, async move { delivering::changes(&control) }).await
}

async fn finished<T: Serialize + Send + 'static>(
    redactions: Redactions,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Response {
    let done = tokio::spawn(work).await;
    match done.unwrap_or_else(|error| Err(Fault::because("control failed over a request", &error))) {
        Ok(answer) => Json(answer).into_response(),
        Err(fault) => {
            let text = serde_json::to_string(&fault).expect("a fault is plain data");
            (StatusCode::UNPROCESSABLE_ENTITY, redactions.redact(&text).into_owned()).into_response()
        }
    }
}

/// Who is at the other end, as the kernel says. The socket lets nobody else in than its owner and root.
impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials = stream.io().peer_cred().ok();
        let pid = credentials.and_then(|credentials| u32::try_from(credentials.pid()?).ok());
        Self { uid: credentials.map_or(u32::MAX, |credentials| credentials.uid()), pid: pid.unwrap_or(0) }
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
