//! Whether a host of somebody else may have a certificate: the app that knows is asked, one instance of it, over loopback.

use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use manifest::OnDemand;
use reconcile::ports::{RouteTable, Target};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer that takes longer is none: somebody waits for a handshake meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);

/// Says that the question is ours: the edge takes it away from what visitors send.
const ASKS: &str = "x-roadbed-asks";

/// What the app says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Permitted,
    Refused,
    /// Nobody could be asked, or what was said means nothing.
    None(String),
}

/// Asks the instances that visitors get, one after the other until one answers.
pub(super) async fn ask(table: &RouteTable, rule: &OnDemand, host: &str) -> Answer {
    let app = rule.ask.as_str();
    let ports: Vec<u16> = table
        .sites
        .iter()
        .filter(|site| site.app == app)
        .find_map(|site| match &site.target {
            Target::Instances { upstreams, .. } => Some(upstreams.iter().map(|upstream| upstream.port).collect()),
            Target::Files { .. } | Target::Console => None,
        })
        .unwrap_or_default();
    let mut why = format!("{app} is not served");
    let asked = async {
        for port in ports {
            match once(port, &rule.path, host).await {
                Ok(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE) => return Answer::Refused,
                Ok(status) if status.is_success() => return Answer::Permitted,
                Ok(status) => why = format!("{app} answers {status}"),
                Err(error) => why = format!("{app} does not answer: {error}"),
            }
        }
        Answer::None(std::mem::take(&mut why))
    };
    let answer = timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| Answer::None(format!("{app} does not answer within {} s", PATIENCE.as_secs())))
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn once(port: u16, path: &str, host: &str) -> Result<StatusCode, AnyError> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    // A host that got this far has letters, digits, hyphens and dots alone.
    let request = Request::get(format!("{path}?host={host}"))
        .header(HOST, format!("127.0.0.1:{port}"))
        .header(ASKS, "certificate")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await;
    // Its body says nothing that is asked for.
    driver.abort();
    Ok(answer?.status())
}
