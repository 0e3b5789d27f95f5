//! How an instance goes when it is told to, with a request under way and without.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use engine::probe;
use gate::{Findings, Outcome};
use reconcile::ports::Units;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::ask::Visit;
use super::{One, Pair};

/// A request that is not answered within this waits for its body.
const HOLDS: Duration = Duration::from_millis(400);

/// So long after the word to go the page that says whether it is ready must have changed: the edge asks as often.
const UNREADY_WITHIN: Duration = Duration::from_secs(1);

/// So long a request is kept under way after that.
const KEPT: Duration = Duration::from_millis(300);

const PROBE: Duration = Duration::from_secs(1);
const BETWEEN_PROBES: Duration = Duration::from_millis(50);

/// Tells the first instance to go while it waits for the rest of a request.
pub(crate) async fn busy(pair: &Pair, units: &dyn Units) -> Outcome {
    let one = &pair.instances[0];
    let Some((visit, mut held)) = hold(pair, one).await else {
        return Outcome::inconclusive(format!(
            "no request could be kept under way: {} was answered before its body came; name one that is read with --visit 'POST /PATH {{}}'",
            candidates(pair).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ));
    };
    let mut findings = Findings::default();
    findings.good(format!("{visit} is under way at {}", one.name));
    let began = Instant::now();
    let going = units.hold(&one.name);
    let answered = async {
        let unready = unready(pair, one).await;
        sleep(KEPT).await;
        (unready, held.finish().await)
    };
    let (gone, (unready, answer)) = tokio::join!(going, answered);
    match unready {
        Ok(how) => findings.good(how),
        Err(why) => findings.bad(why),
    }
    match answer {
        Ok(status) => findings.good(format!("it was answered after the word to go: status {status}")),
        Err(why) => findings.bad(format!("{visit}, which was under way, was lost: {why}")),
    }
    if let Err(fault) = gone {
        findings.bad(format!("{}: {fault}", one.name));
    }
    end(&mut findings, pair, one, units, began.elapsed()).await;
    findings.outcome()
}

/// Tells the second instance to go, which has nothing to do.
pub(crate) async fn idle(pair: &Pair, units: &dyn Units) -> Outcome {
    let one = &pair.instances[1];
    let mut findings = Findings::default();
    let began = Instant::now();
    if let Err(fault) = units.hold(&one.name).await {
        findings.bad(format!("{}: {fault}", one.name));
    }
    end(&mut findings, pair, one, units, began.elapsed()).await;
    findings.outcome()
}

/// How a process ends that was told to and obeyed: with 0, or with what shells say of one that SIGTERM ended, as Next.js does when it
/// has answered everybody. One that the signal itself killed is something else.
const IN_ORDER: [&str; 2] = ["exit code 0", "exit code 143"];

/// How it ended, and when.
async fn end(findings: &mut Findings, pair: &Pair, one: &One, units: &dyn Units, took: Duration) {
    let all = units.list().await.unwrap_or_default();
    let how = all.into_iter().find(|unit| unit.name == one.name).and_then(|unit| unit.last_exit);
    let seconds = took.as_secs_f64();
    match how {
        Some(how) if IN_ORDER.contains(&how.as_str()) => findings.good(format!("{} ended with {how}", one.name)),
        Some(how) => findings.bad(format!("{} ended after {seconds:.1} s: {how}", one.name)),
        None => findings.bad(format!("{}: nobody saw how it ended", one.name)),
    }
    let drain = pair.drain.as_secs_f64();
    match took <= pair.drain {
        true => findings.good(format!("{} was gone after {seconds:.1} s; it has {drain:.0}", one.name)),
        false => findings.bad(format!("{} took {seconds:.1} s to go, and has {drain:.0}", one.name)),
    }
}

/// Waits until it no longer says that it is ready. One that takes no new connection says so too.
async fn unready(pair: &Pair, one: &One) -> Result<String, String> {
    let began = Instant::now();
    loop {
        let answer = probe::get(one.port, &pair.ready, PROBE).await;
        let after = began.elapsed();
        if !answer.is_ok() {
            return Ok(format!(
                "{} is not ready any more after {} ms: {}",
                one.name,
                after.as_millis(),
                answer.describe()
            ));
        }
        if after > UNREADY_WITHIN {
            return Err(format!(
                "{} still says that it is ready {} ms after the word to go",
                one.name,
                after.as_millis()
            ));
        }
        sleep(BETWEEN_PROBES).await;
    }
}

/// Requests with a body first: whoever reads it is kept waiting by it.
fn candidates(pair: &Pair) -> Vec<Visit> {
    let own = pair.visits.iter().filter(|visit| !visit.only_looks()).cloned();
    let posted = pair.visits.iter().filter(|visit| visit.only_looks());
    own.chain(posted.map(|visit| Visit { method: "POST".into(), body: "{}".into(), ..visit.clone() })).collect()
}

/// A request whose body is yet to come.
struct Held {
    stream: TcpStream,
    body: String,
}

/// Begins one that is not answered before its body has come.
async fn hold(pair: &Pair, one: &One) -> Option<(Visit, Held)> {
    for visit in candidates(pair) {
        let Ok(mut stream) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, one.port))).await else {
            continue;
        };
        let body = if visit.body.is_empty() { "{}".to_owned() } else { visit.body.clone() };
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            visit.method,
            visit.path,
            pair.host,
            body.len()
        );
        if stream.write_all(head.as_bytes()).await.is_err() {
            continue;
        }
        let mut early = [0];
        if timeout(HOLDS, stream.peek(&mut early)).await.is_err() {
            return Some((visit, Held { stream, body }));
        }
    }
    None
}

impl Held {
    /// Sends the body and reads the answer to its end.
    async fn finish(&mut self) -> Result<u16, String> {
        self.stream.write_all(self.body.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        let reading = timeout(Duration::from_secs(10), self.stream.read_to_end(&mut answer)).await;
        let text = String::from_utf8_lossy(&answer);
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        match (status, reading) {
            (_, Err(_)) => Err("no answer within 10 s".to_owned()),
            (_, Ok(Err(error))) => Err(error.to_string()),
            (None, Ok(Ok(_))) => Err("the connection was closed without an answer".to_owned()),
            (Some(status), Ok(Ok(_))) if status >= 500 => Err(format!("status {status}")),
            (Some(status), Ok(Ok(_))) => Ok(status),
        }
    }
}
