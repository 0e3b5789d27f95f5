//! The keeper's API on its socket: JSON over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use reconcile::Fault;
use reconcile::ports::{Confined, Limits, UnitSpec, UnitStatus};

use super::house::House;
use super::record::is_unit_name;
use super::redaction::Unspeakable;
use super::units::{self, Request};
use super::wire::{EnsureAnswer, Health, KeeperState, Listening, Shutdown, Together};

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
        .with_state(house)
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
    Json(Health { pid: host::own::pid(), state, faults: house.faults.clone(), missing: house.means.missing() })
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
    ask(house, name, Request::Remove).await
}

async fn restart(State(house): State<Arc<House>>, Path(name): Path<String>) -> Answer<()> {
    ask(house, name, Request::Restart).await
}

async fn hold(State(house): State<Arc<House>>, Path(name): Path<String>) -> Answer<()> {
    ask(house, name, Request::Hold).await
}

async fn resume(State(house): State<Arc<House>>, Path(name): Path<String>) -> Answer<()> {
    ask(house, name, Request::Resume).await
}

async fn ask(house: Arc<House>, name: String, request: Request) -> Answer<()> {
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
