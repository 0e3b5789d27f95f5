//! The keeper's API on its socket: JSON over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use host::files::{self, Access};
use reconcile::Fault;
use reconcile::ports::{Confined, Limits, UnitSpec, UnitStatus};

use super::fence::EPOCH_HEADER;
use super::house::House;
use super::record::is_unit_name;
use super::redaction::Unspeakable;
use super::successor;
use super::units::{self, Request as Ask};
use super::wire::{Become, EnsureAnswer, Health, KeeperState, Listening, Shutdown, Together};
use crate::own::{self, Program};
use crate::programs;

pub(super) fn routes(house: Arc<House>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/units", get(list))
        .route("/confinement", get(confinement))
        .route("/units/{name}", put(ensure).delete(remove))
        .route("/units/{name}/restart", post(restart))
        .route("/units/{name}/hold", post(hold))
        .route("/units/{name}/resume", post(resume))
        .route("/sockets/{name}", put(listen))
        .route("/secrets", put(look_for))
        .route("/together", get(together).put(cap))
        .route("/shutdown", post(shutdown))
        .route("/program", get(program))
        .route("/program/copy", post(copy_program))
        .route("/become", post(become_another))
        .layer(middleware::from_fn_with_state(Arc::clone(&house), fenced))
        .with_state(house)
}

/// Refuses a control that another has followed. What it asks is answered, so that it may say why it does nothing.
async fn fenced(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    let epoch = request.headers().get(EPOCH_HEADER).and_then(|epoch| epoch.to_str().ok()?.parse().ok());
    match epoch.map(|epoch| house.fence.pass(epoch)) {
        Some(Err(fault)) if request.method() != Method::GET => Refusal(fault).into_response(),
        _ => next.run(request).await,
    }
}

type Answer<T> = Result<Json<T>, Refusal>;

/// A fault on its way back. Every fault has one status: the body says what it is.
struct Refusal(Fault);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::UNPROCESSABLE_ENTITY, Json(self.0)).into_response()
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

async fn health(State(house): State<Arc<House>>) -> Json<Health> {
    let state = if house.shutdown.borrow().is_some() { KeeperState::Stopping } else { KeeperState::Running };
    let (faults, stamp, missing) = (house.faults.clone(), own::stamp(), house.means.missing());
    Json(Health { pid: host::own::pid(), state, faults, stamp, missing })
}

async fn list(State(house): State<Arc<House>>) -> Json<Vec<UnitStatus>> {
    Json(house.units.list())
}

async fn confinement(State(house): State<Arc<House>>) -> Json<BTreeMap<String, Confined>> {
    Json(house.units.confined())
}

async fn ensure(
    State(house): State<Arc<House>>,
    Path(name): Path<String>,
    Json(spec): Json<UnitSpec>,
) -> Answer<EnsureAnswer> {
    if spec.name != name {
        return Err(Fault::new(format!("unit {:?} was put under the name {name:?}", spec.name)).into());
    }
    // In a task of its own: a client that goes away must not leave the unit half changed.
    let ensured = finish(async move { units::ensure(&house, spec).await }).await?;
    Ok(Json(EnsureAnswer { ensured }))
}

async fn remove(State(house): State<Arc<House>>, Path(name): Path<String>) -> Answer<()> {
    ask(house, name, Ask::Remove).await
}

async fn restart(State(house): State<Arc<House>>, Path(name): Path<String>) -> Answer<()> {
    ask(house, name, Ask::Restart).await
}

async fn hold(State(house): State<Arc<House>>, Path(name): Path<String>) -> Answer<()> {
    ask(house, name, Ask::Hold).await
}

async fn resume(State(house): State<Arc<House>>, Path(name): Path<String>) -> Answer<()> {
    ask(house, name, Ask::Resume).await
}

async fn ask(house: Arc<House>, name: String, request: Ask) -> Answer<()> {
    Ok(Json(finish(async move { units::ask(&house, &name, request).await }).await?))
}

async fn finish<T: Send + 'static>(work: impl Future<Output = Result<T, Fault>> + Send + 'static) -> Result<T, Fault> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Fault::because("the keeper failed over a request", &error)))
}

async fn listen(
    State(house): State<Arc<House>>,
    Path(name): Path<String>,
    Json(wanted): Json<Listening>,
) -> Answer<Listening> {
    if !is_unit_name(&name) {
        return Err(Fault::new(format!("{name:?} is no name for a socket")).hint("[a-z][a-z0-9-]{0,30}").into());
    }
    let address = house.sockets().listen(&name, wanted.address)?;
    Ok(Json(Listening { address }))
}

async fn look_for(State(house): State<Arc<House>>, Json(secrets): Json<Vec<Unspeakable>>) -> Answer<()> {
    Ok(Json(house.redaction.look_for(secrets)?))
}

async fn program() -> Answer<Program> {
    // Reads the whole file, once in a keeper's life.
    Ok(Json(own::running_meanwhile().await?))
}

/// Leaves a copy of the keeper's own program: its file may be another by now, or gone. In this thread, piece by piece: another
/// thread would open and close descriptors while children are started.
async fn copy_program(State(house): State<Arc<House>>) -> Answer<()> {
    files::create_dir(&house.root.programs(), Access::Owner)
        .map_err(|fault| Fault::because("cannot make a folder for programs", &fault))?;
    Ok(Json(own::copy_meanwhile(&programs::of_the_keeper(&house.root)).await?))
}

/// Answers when the keeper is about to become the other program.
async fn become_another(State(house): State<Arc<House>>, Json(wanted): Json<Become>) -> Answer<()> {
    if house.shutdown.borrow().is_some() {
        return Err(Fault::new("the environment is being stopped").into());
    }
    successor::settled(&house).await?;
    house.next.send_replace(Some(wanted.program));
    Ok(Json(()))
}

async fn together(State(house): State<Arc<House>>) -> Json<Together> {
    Json(house.means.together())
}

async fn cap(State(house): State<Arc<House>>, Json(limits): Json<Limits>) -> Answer<()> {
    Ok(Json(house.means.cap(&house.root, limits)?))
}

/// Answers when everything is stopped.
async fn shutdown(State(house): State<Arc<House>>, Json(wanted): Json<Shutdown>) -> Json<()> {
    let mut stopped = house.stopped.subscribe();
    house.shutdown.send_replace(Some(wanted.manner));
    let _ = stopped.wait_for(|stopped| *stopped).await;
    Json(())
}
