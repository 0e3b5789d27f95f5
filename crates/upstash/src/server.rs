//! Requests of clients, answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::answer::{self, Form, NoForm};
use crate::connection::{Lost, Way};
use crate::denied;
use crate::pool::{Pool, Pools, Share, Turned};
use crate::request::{self, BadRequest};
use crate::resp::{Command, Value};
use crate::script;
use crate::stream::{self, Kind};
use crate::token::Login;

/// Bounds of one gateway.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one body. 10 MB in base64 and its quotes are 14.
    pub body: usize,
    /// Bytes of one answer of Redis.
    pub answer: usize,
    /// Bytes of all bodies that are held at a time.
    pub bodies: usize,
    /// Requests of one token at a time.
    pub requests: usize,
    /// Streams of one token at a time.
    pub streams: usize,
    /// How long a body may take to come, and an answer of Redis.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            answer: 64 << 20,
            bodies: 128 << 20,
            requests: 32,
            streams: 64,
            patience: Duration::from_secs(30),
        }
    }
}

/// What is echoed to a client that has seen none yet. One Redis is never behind itself, so any word will do.
const SYNC_TOKEN: &str = "upstash-sync-token";

#[derive(Debug)]
struct Gateway {
    pools: Pools,
    limits: Limits,
    /// In KiB.
    room: Semaphore,
}

/// Serves until `shutdown`.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    way: Way,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let share = Share { requests: limits.requests, streams: limits.streams, longest: limits.answer };
    let room = Semaphore::new(limits.bodies >> 10);
    let gateway = Arc::new(Gateway { pools: Pools::new(way, share), limits, room });
    let router = Router::new().fallback(answer_request).with_state(gateway.clone());
    tokio::select! {
        // Streams have no end to wait for, and clients come again.
        () = shutdown => Ok(()),
        () = gateway.pools.sweep() => Ok(()),
        served = axum::serve(listener, router) => served,
    }
}

/// What a request is told instead of an answer of Redis.
struct Trouble {
    status: StatusCode,
    message: String,
}

impl Trouble {
    fn new(status: StatusCode, message: impl ToString) -> Self {
        Self { status, message: message.to_string() }
    }

    fn response(&self) -> Response {
        let mut response = respond(self.status, Form::Json, answer::error(&self.message));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<BadRequest> for Trouble {
    fn from(bad: BadRequest) -> Self {
        Self::new(StatusCode::BAD_REQUEST, bad)
    }
}

impl From<NoForm> for Trouble {
    fn from(bad: NoForm) -> Self {
        Self::new(StatusCode::BAD_REQUEST, bad)
    }
}

impl From<denied::Denied> for Trouble {
    fn from(denied: denied::Denied) -> Self {
        Self::new(StatusCode::BAD_REQUEST, denied)
    }
}

impl From<Turned> for Trouble {
    fn from(turned: Turned) -> Self {
        match turned {
            Turned::Lost(lost) => lost.into(),
            Turned::Busy(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, turned),
            Turned::Unauthorised => Self::new(StatusCode::UNAUTHORIZED, turned),
        }
    }
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        let status = match &lost {
            Lost::Io(error) if error.kind() == io::ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Lost::Io(_) | Lost::Unready(_) => StatusCode::SERVICE_UNAVAILABLE,
            Lost::Malformed(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, format!("ERR Redis does not answer: {lost}"))
    }
}

async fn answer_request(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    // The last one that a client saw comes back: reads after it see all that it wrote, because there is one Redis.
    let token = request.headers().get(SYNC_TOKEN).filter(|token| !token.is_empty()).cloned();
    let mut response = gateway.answer(request).await.unwrap_or_else(|trouble| trouble.response());
    response.headers_mut().insert(SYNC_TOKEN, token.unwrap_or(HeaderValue::from_static("1")));
    response
}

impl Gateway {
    async fn answer(&self, request: Request) -> Result<Response, Trouble> {
        let (head, body) = request.into_parts();
        let (path, query) = (head.uri.path(), head.uri.query());
        let has_body = match head.method {
            Method::GET | Method::HEAD => false,
            Method::POST | Method::PUT => true,
            _ => return Err(Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "ERR use GET, POST, PUT or HEAD")),
        };
        if path == HEALTH && !has_body {
            return Ok(self.health().await?);
        }
        // A body is not read for a stranger.
        let token = bearer(&head.headers).or_else(|| query.and_then(request::token_of));
        let pool = self.pools.admit(token.ok_or(Turned::Unauthorised)?).await?;
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let form = Form::of(header("upstash-encoding"), header("upstash-response-format"))?;
        let first = request::segments(path)?.swap_remove(0);
        if let Some(kind) = Kind::of(&first) {
            return self.stream(&pool, kind, path).await;
        }
        // Held until the answer goes out: what was said in it is in memory that long.
        let (body, _room) = if has_body { self.read(&head.headers, body).await? } else { (Bytes::new(), None) };
        match (path, has_body) {
            ("/pipeline", true) => self.pipeline(&pool, request::commands(&body)?, form).await,
            ("/multi-exec", true) if form == Form::Resp2 => Err(NoForm::Transaction.into()),
            ("/multi-exec", true) => self.transaction(&pool, request::commands(&body)?, form).await,
            ("/pipeline" | "/multi-exec", false) => {
                Err(Trouble::new(StatusCode::METHOD_NOT_ALLOWED, format!("ERR send the commands by POST to {path}")))
            }
            ("/", true) => self.one(&pool, request::command(&body)?, form).await,
            ("/", false) => Err(denied::Denied::Empty.into()),
            _ => {
                let command = request::of_path(path, query, Some(body).filter(|body| !body.is_empty()))?;
                self.one(&pool, command, form).await
            }
        }
    }

    async fn one(&self, pool: &Arc<Pool>, mut command: Command, form: Form) -> Result<Response, Trouble> {
        if let [acl, token, rest @ ..] = &command[..]
            && acl.eq_ignore_ascii_case(b"ACL")
            && token.eq_ignore_ascii_case(b"RESTTOKEN")
        {
            return self.token_of(rest, form).await;
        }
        denied::check(&command)?;
        script::settle(&mut command);
        let answer = self.ask(pool, &[command]).await?.pop().expect("one answer for one command");
        let status = match &answer {
            // It comes back, so a client may ask again.
            Value::Error(error) if error.starts_with(b"LOADING") => StatusCode::SERVICE_UNAVAILABLE,
            Value::Error(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        Ok(respond(status, form, form.one(&answer)))
    }

    /// In one packet. What may not be asked is refused in its place, and the others are done.
    async fn pipeline(&self, pool: &Arc<Pool>, commands: Vec<Command>, form: Form) -> Result<Response, Trouble> {
        let refusals: Vec<Option<denied::Denied>> =
            commands.iter().map(|command| denied::check(command).err()).collect();
        let mut asked: Vec<Command> =
            commands.into_iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none()).map(|(one, _)| one).collect();
        asked.iter_mut().for_each(|command| script::settle(command));
        let mut answers = match asked.is_empty() {
            true => Vec::new(),
            false => self.ask(pool, &asked).await?,
        }
        .into_iter();
        let all = refusals.into_iter().map(|refusal| match refusal {
            Some(denied) => Value::Error(denied.to_string().into()),
            None => answers.next().expect("an answer for each command"),
        });
        Ok(respond(StatusCode::OK, form, form.many(all.collect())))
    }

    /// In one packet from `MULTI` to `EXEC`, so that nobody else is between, and nothing of it is left where it fails.
    async fn transaction(&self, pool: &Arc<Pool>, mut commands: Vec<Command>, form: Form) -> Result<Response, Trouble> {
        commands.iter().try_for_each(|command| denied::check(command))?;
        commands.iter_mut().for_each(|command| script::settle(command));
        let word = |word: &'static str| vec![Bytes::from_static(word.as_bytes())];
        let packet: Vec<Command> = [word("MULTI")].into_iter().chain(commands).chain([word("EXEC")]).collect();
        let mut answers = self.ask(pool, &packet).await?;
        let executed = answers.pop();
        // `MULTI` itself may be forbidden to a user.
        let refused = answers.into_iter().find(|answer| matches!(answer, Value::Error(_)));
        match (executed, refused) {
            (Some(Value::Array(Some(values))), None) => Ok(respond(StatusCode::OK, form, form.many(values))),
            (_, Some(Value::Error(why))) => {
                let why = String::from_utf8_lossy(&why).into_owned();
                let message = format!("EXECABORT Transaction discarded because of: {why}");
                Err(Trouble::new(StatusCode::BAD_REQUEST, message))
            }
            (Some(Value::Error(why)), _) => Err(Trouble::new(StatusCode::BAD_REQUEST, String::from_utf8_lossy(&why))),
            _ => Err(Trouble::new(StatusCode::BAD_GATEWAY, "ERR Redis did not say what became of the transaction")),
        }
    }

    async fn ask(&self, pool: &Arc<Pool>, commands: &[Command]) -> Result<Vec<Value>, Trouble> {
        let mut lease = self.pools.lease(pool).await?;
        // Whoever drops this request, or does not wait for the answer, closes the connection with it.
        let answers = timeout(self.limits.patience, lease.connection.ask(commands)).await;
        let answers = answers.map_err(|_| Lost::Io(io::ErrorKind::TimedOut.into()))??;
        lease.give_back();
        Ok(answers)
    }

    async fn stream(&self, pool: &Arc<Pool>, kind: Kind, path: &str) -> Result<Response, Trouble> {
        let command: Command = request::segments(path)?.into_iter().filter(|segment| !segment.is_empty()).collect();
        if command.len() < 2 && kind != Kind::Monitor {
            return Err(Trouble::new(StatusCode::BAD_REQUEST, "ERR wrong number of arguments: name a channel"));
        }
        match stream::begin(self.pools.stream(pool).await?, &command).await? {
            Err(refusal) => Ok(respond(StatusCode::BAD_REQUEST, Form::Json, Form::Json.one(&refusal))),
            Ok(body) => {
                let mut response = Response::new(body);
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                Ok(response)
            }
        }
    }

    /// A token for a user whose password one knows. Nothing is made by it: the token says no more than the two.
    async fn token_of(&self, rest: &[Bytes], form: Form) -> Result<Response, Trouble> {
        let [user, password] = rest else {
            return Err(Trouble::new(
                StatusCode::BAD_REQUEST,
                "ERR wrong number of arguments for 'acl|resttoken' command",
            ));
        };
        let text = |bytes: &'_ Bytes| String::from_utf8(bytes.to_vec()).ok();
        let login = text(user).zip(text(password)).and_then(|(user, password)| Login::new(&user, &password));
        let wrong = || Trouble::new(StatusCode::BAD_REQUEST, "ERR Wrong password or user \"username\" does not exist");
        let login = login.ok_or_else(wrong)?;
        match self.pools.knows(&login).await {
            Ok(()) => {}
            Err(Turned::Unauthorised) => return Err(wrong()),
            Err(other) => return Err(other.into()),
        }
        let token = Value::Bulk(Some(Bytes::copy_from_slice(login.token().as_bytes())));
        Ok(respond(StatusCode::OK, form, form.one(&token)))
    }

    /// A body, and the room that it takes.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, Option<tokio::sync::SemaphorePermit<'_>>), Trouble> {
        let most = self.limits.body;
        let too_large =
            || Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, format!("ERR max request size exceeded: {most} bytes"));
        let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        // Whoever does not say how much comes is given the most.
        let length = said.unwrap_or(most);
        if length > most {
            return Err(too_large());
        }
        let late = || Trouble::new(StatusCode::REQUEST_TIMEOUT, "ERR the body did not come in time");
        let reading = async {
            let pages = u32::try_from((length >> 10) + 1).unwrap_or(u32::MAX);
            let room = self.room.acquire_many(pages).await.expect("nobody closes the semaphore");
            let body = Limited::new(body, most).collect().await.map_err(|_| too_large())?;
            Ok((body.to_bytes(), Some(room)))
        };
        timeout(self.limits.patience, reading).await.map_err(|_| late())?
    }

    async fn health(&self) -> Result<Response, Lost> {
        self.pools.answers().await?;
        Ok(respond(StatusCode::OK, Form::Json, Bytes::from_static(b"{\"result\":\"OK\"}")))
    }
}

/// The one path that needs no token. Redis has no such command.
pub const HEALTH: &str = "/.well-known/health";

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn respond(status: StatusCode, form: Form, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    // What is kept in a Redis is for who asked.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
