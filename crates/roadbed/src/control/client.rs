//! The command line's side of control's socket.

use bytes::Bytes;
use delivery::{Deployment, DeploymentId};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use reconcile::{Fault, Root};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stores::statistics::Statistics;
use tokio::net::UnixStream;

use super::access::lists::{Shown as ListedNetwork, ToList};
use super::access::{LinkMade, Listing, ToLink, ToRevoke};
use super::api::answers::TokenAnswer;
use super::api::tokens::TokenId;
use super::api::{Created, Shown, ToCreate};
use super::backing_up::wire::{Answer, Begun, Request as BackupRequest, ToBegin};
use super::delivering::{Ask, Changes, Happening, Listed, ToApprove, ToCancel, ToRollBack, WayBack};
use super::lent::{Asked, Lent, Renewed, Token};
use super::login::{Challenge, LoggedIn, Signed};
use super::wire::{Explained, Message, ReadyRequest, RotateRequest, SmokeRequest, Status};
use crate::process_model::ProcessModelRequest;
use crate::wanted::Wanted;

/// Talks to the control of one root.
#[derive(Clone, Debug)]
pub struct ControlClient {
    root: Root,
}

/// Where the lines of a long answer go.
pub type OnMessage<'a> = &'a mut (dyn FnMut(Message) + Send);

impl ControlClient {
    pub fn new(root: Root) -> Self {
        Self { root }
    }

    pub async fn status(&self) -> Result<Status, Fault> {
        let response = self.send(Method::GET, "/status", &()).await?;
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        parse(&body)
    }

    pub async fn statistics(&self) -> Result<Statistics, Fault> {
        self.answered(Method::GET, "/statistics", &()).await
    }

    /// Borrows for as long as this process lives and renews.
    pub async fn lend(&self, asked: &Asked) -> Result<Lent, Fault> {
        self.answered(Method::POST, "/leases", asked).await
    }

    pub async fn challenge(&self) -> Result<Challenge, Fault> {
        self.answered(Method::POST, "/login/challenge", &()).await
    }

    pub async fn log_in(&self, signed: &Signed) -> Result<LoggedIn, Fault> {
        self.answered(Method::POST, "/login", signed).await
    }

    pub async fn renew(&self, lease: &str) -> Result<Renewed, Fault> {
        self.answered(Method::POST, &format!("/leases/{lease}/renew"), &()).await
    }

    pub async fn give_back(&self, lease: &str) -> Result<(), Fault> {
        self.answered(Method::DELETE, &format!("/leases/{lease}"), &()).await
    }

    pub async fn deploy(&self, ask: &Ask) -> Result<Deployment, Fault> {
        self.answered(Method::POST, "/deployments", ask).await
    }

    pub async fn deployments(&self) -> Result<Vec<Deployment>, Fault> {
        self.answered(Method::GET, "/deployments", &()).await
    }

    /// What happened to a deployment after line `after`.
    pub async fn happening(&self, id: DeploymentId, after: i64) -> Result<Happening, Fault> {
        self.answered(Method::GET, &format!("/deployments/{id}/since/{after}"), &()).await
    }

    pub async fn cancel(&self, id: DeploymentId, by: &str, token: Option<Token>) -> Result<Deployment, Fault> {
        let ask = ToCancel { by: by.to_owned(), token };
        self.answered(Method::POST, &format!("/deployments/{id}/cancel"), &ask).await
    }

    pub async fn approve(&self, id: DeploymentId, ask: &ToApprove) -> Result<Deployment, Fault> {
        self.answered(Method::POST, &format!("/deployments/{id}/approve"), ask).await
    }

    pub async fn roll_back(&self, ask: &ToRollBack) -> Result<WayBack, Fault> {
        self.answered(Method::POST, "/rollback", ask).await
    }

    pub async fn make_token(&self, ask: &ToCreate) -> Result<Created, Fault> {
        self.answered(Method::POST, "/tokens", ask).await
    }

    pub async fn tokens(&self) -> Result<Shown, Fault> {
        self.answered(Method::GET, "/tokens", &()).await
    }

    pub async fn revoke_token(&self, id: TokenId, by: &str) -> Result<TokenAnswer, Fault> {
        self.answered(Method::POST, &format!("/tokens/{id}/revoke"), &by).await
    }

    pub async fn make_link(&self, ask: &ToLink) -> Result<LinkMade, Fault> {
        self.answered(Method::POST, "/access/links", ask).await
    }

    pub async fn access(&self) -> Result<Listing, Fault> {
        self.answered(Method::GET, "/access", &()).await
    }

    pub async fn revoke_access(&self, ask: &ToRevoke) -> Result<Vec<String>, Fault> {
        self.answered(Method::POST, "/access/revoke", ask).await
    }

    pub async fn networks(&self) -> Result<Vec<ListedNetwork>, Fault> {
        self.answered(Method::GET, "/access/networks", &()).await
    }

    pub async fn list_network(&self, ask: &ToList) -> Result<Vec<ListedNetwork>, Fault> {
        self.answered(Method::POST, "/access/networks", ask).await
    }

    /// Asks about backups. Some answers take as long as all data takes.
    pub async fn backups(&self, request: &BackupRequest) -> Result<Answer, Fault> {
        self.answered(Method::POST, "/backups", request).await
    }

    /// Asks a preview to take a masked sample.
    pub async fn begin(&self, request: &ToBegin) -> Result<Begun, Fault> {
        self.answered(Method::POST, "/sample", request).await
    }

    pub async fn releases(&self) -> Result<Vec<Listed>, Fault> {
        self.answered(Method::GET, "/releases", &()).await
    }

    /// What checks promise, untested.
    pub async fn explain(&self, request: &ReadyRequest) -> Result<Vec<Explained>, Fault> {
        self.answered(Method::POST, "/explain", request).await
    }

    /// The changes of data of what is live.
    pub async fn migrations(&self) -> Result<Changes, Fault> {
        self.answered(Method::GET, "/migrations", &()).await
    }

    async fn answered<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let response = self.send(method, path, body).await?;
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        parse(&body)
    }

    pub async fn converge(&self, wanted: &Wanted, on: OnMessage<'_>) -> Result<(), Fault> {
        self.stream("/converge", wanted, on).await
    }

    pub async fn plan(&self, wanted: &Wanted, on: OnMessage<'_>) -> Result<(), Fault> {
        self.stream("/plan", wanted, on).await
    }

    pub async fn ready(&self, request: &ReadyRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.stream("/ready", request, on).await
    }

    pub async fn rotate(&self, request: &RotateRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.stream("/rotate", request, on).await
    }

    pub async fn smoke(&self, request: &SmokeRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.stream("/smoke", request, on).await
    }

    pub async fn process_model(&self, request: &ProcessModelRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.stream("/process-model", request, on).await
    }

    async fn stream(&self, path: &str, body: &impl Serialize, on: OnMessage<'_>) -> Result<(), Fault> {
        let mut body = self.send(Method::POST, path, body).await?.into_body();
        let mut pending: Vec<u8> = Vec::new();
        let mut ended = false;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let message: Message = parse(&line)?;
                ended |= !matches!(message, Message::Progress { .. } | Message::Evidence { .. });
                on(message);
            }
        }
        if ended {
            return Ok(());
        }
        Err(Fault::new("control stopped in the middle of its answer")
            .cause("it crashed or was killed; the keeper starts it again, and it goes on by itself")
            .hint("run the same command again; `roadbed logs control` shows why it stopped"))
    }

    /// Whether control answers at all, be it that it cannot tell.
    pub async fn answers(&self) -> Result<(), Fault> {
        self.ask(Method::GET, "/status", &()).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Response<Incoming>, Fault> {
        let response = self.ask(method, path, body).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        Err(serde_json::from_slice::<Fault>(&body).unwrap_or_else(|_| {
            Fault::new(format!("control answered {status} to {path}"))
                .cause(String::from_utf8_lossy(&body).into_owned())
                .hint("control may be of another version: `roadbed down`, then `roadbed up`")
        }))
    }

    async fn ask(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Response<Incoming>, Fault> {
        let socket = self.root.control_socket();
        let away = |error: &(dyn std::error::Error + 'static)| {
            Fault::because("cannot reach control", error).hint("`roadbed up` starts the environment").retry_safe()
        };
        let stream = host::socket::connect_unix(&socket).map_err(|fault| away(&fault))?;
        stream.set_nonblocking(true).map_err(|error| away(&error))?;
        let stream = UnixStream::from_std(stream).map_err(|error| away(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| away(&error))?;
        tokio::spawn(connection);
        let json = serde_json::to_vec(body).expect("wire types are plain data");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "control")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(json)))
            .expect("the parts are constants");
        sender.send_request(request).await.map_err(|error| away(&error))
    }
}

fn broken(error: &hyper::Error) -> Fault {
    Fault::because("the connection to control broke", error).hint("run the same command again").retry_safe()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| {
        Fault::because("cannot understand control's answer", &error)
            .hint("control may be of another version: `roadbed down`, then `roadbed up`")
    })
}
