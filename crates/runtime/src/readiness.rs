//! Whether an instance serves: it runs, and answers on its address.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::fault::RuntimeFault;
use crate::instance::InstanceId;
use crate::port::{Phase, Runtime};

/// How long one question may take: apps answer theirs within 800 ms even if a store hangs.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Between two questions while an instance starts.
const PAUSE: Duration = Duration::from_millis(50);

/// What counts as ready.
#[derive(Clone, Copy, Debug)]
pub struct Readiness<'a> {
    /// Asked by HTTP; whatever is 2xx is a yes.
    pub path: &'a str,
    pub within: Duration,
}

/// Waits until it is ready, and says where. One that ended will not be, so nobody waits for it.
///
/// # Errors
/// It ended, or time ran out.
pub async fn await_ready(
    runtime: &dyn Runtime,
    id: &InstanceId,
    readiness: Readiness<'_>,
) -> Result<SocketAddr, RuntimeFault> {
    let deadline = Instant::now() + readiness.within;
    loop {
        let last = match runtime.address(id).await {
            Ok(address) => match ask(address, readiness.path).await {
                Ok(()) => return Ok(address),
                Err(last) => last,
            },
            Err(RuntimeFault::NotRunning(_)) => ended(runtime, id).await?,
            Err(fault) => return Err(fault),
        };
        if Instant::now() >= deadline {
            return Err(RuntimeFault::NotReady { id: id.clone(), within: readiness.within, last });
        }
        sleep(PAUSE).await;
    }
}

async fn ended(runtime: &dyn Runtime, id: &InstanceId) -> Result<String, RuntimeFault> {
    let seen = runtime.list().await?.into_iter().find(|seen| seen.id == *id);
    match seen.map(|seen| seen.phase) {
        None => Err(RuntimeFault::Absent(id.clone())),
        Some(Phase::Ended(ended)) => Err(RuntimeFault::Ended { id: id.clone(), ended }),
        Some(_) => Ok("it does not run yet".to_owned()),
    }
}

/// Asks once; `Err` is what came instead of a yes.
async fn ask(address: SocketAddr, path: &str) -> Result<(), String> {
    let question = async {
        let connection = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let (mut sender, driver) =
            http1::handshake(TokioIo::new(connection)).await.map_err(|error| error.to_string())?;
        let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| error.to_string())?;
        // Both end with this future: nothing goes on behind the caller's back.
        tokio::select! {
            answer = sender.send_request(request) => {
                let status = answer.map_err(|error| error.to_string())?.status();
                if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
            }
            end = driver => Err(end.err().map_or_else(|| "it closed the connection".to_owned(), |error| error.to_string())),
        }
    };
    timeout(PROBE_LIMIT, question)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", PROBE_LIMIT.as_secs())))
}
