//! T11: what does not work is noticed, and somebody is told.
//!
//! Every app has a monitor that looks in time. And a drill: something of the gate's own answers, then fails; it goes the way of
//! everything that is watched, to a receiver of the gate's own, who looks at the signature. No app is touched.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use host::clock::Clock;
use manifest::Environment;
use monitors::{DrillOrder, MonitorState, SIGNATURE, Shown, signature};
use secrets::Secret;
use telemetry::TelemetryClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::world::monitoring::of_app;

pub(crate) const CLAIM: Claim = Claim {
    task: "T11",
    id: "outages-are-noticed",
    claim: "Every app is watched; what fails is known within two looks, and a receiver is told, signed",
    hint: "`roadbed monitors` shows what is watched; `roadbed logs telemetry` says what is in the way",
    impact: Impact::Observes,
};

/// From one look of the drill to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Two looks, and what waits for others that come at once.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Longer than the row takes.
const ENDS: Duration = Duration::from_secs(30);

/// A telemetry that was just started looks at everything within a second or two.
const FIRST_LOOK: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(100);

/// An alert of one monitor has some hundred bytes.
const LARGEST: usize = 64 * 1024;

/// Looks at the monitors, and tries one.
#[derive(Debug)]
pub struct OutagesAreNoticed {
    pub environment: Arc<Environment>,
    pub telemetry: TelemetryClient,
    pub clock: Arc<dyn Clock>,
}

impl OutagesAreNoticed {
    /// What sleeps is not watched, and whoever does not want to know is not told.
    pub fn has_work(environment: &Environment) -> bool {
        environment.monitoring.enabled && !environment.sleeps()
    }

    async fn look(&self, findings: &mut Findings) {
        match self.watched().await {
            Err(why) => findings.bad(why),
            Ok(states) => {
                for app in &self.environment.apps {
                    let name = of_app(app.name.as_str());
                    match states.iter().find(|state| state.name == name) {
                        None => findings.bad(format!("nobody watches {}", app.name)),
                        Some(state) => match self.wrong(state) {
                            Some(why) => findings.bad(format!("{name}: {why}")),
                            None => findings.good(format!(
                                "{name} is {}, looked at each {} s",
                                state.shown.as_str(),
                                state.every_ms / 1000
                            )),
                        },
                    }
                }
            }
        }
        match self.drill().await {
            Ok(seen) => findings.good(seen),
            Err(why) => findings.bad(format!("a drill: {why}")),
        }
        self.channels(findings).await;
    }

    /// All, once each app's was looked at.
    async fn watched(&self) -> Result<Vec<MonitorState>, String> {
        let began = Instant::now();
        loop {
            let states = timeout(TOLD_WITHIN, self.telemetry.monitors()).await;
            let states = states.map_err(|_| "telemetry does not answer".to_owned())?.map_err(|fault| fault.message)?;
            let is_new = |state: &MonitorState| state.app.is_some() && state.shown == Shown::New;
            if !states.iter().any(is_new) || began.elapsed() >= FIRST_LOOK {
                return Ok(states);
            }
            sleep(PAUSE).await;
        }
    }

    /// What keeps it from noticing. That something is down is none of that: it is noticed.
    fn wrong(&self, state: &MonitorState) -> Option<String> {
        match state.shown {
            Shown::Unknown => return Some(format!("cannot be found out: {}", state.why.clone().unwrap_or_default())),
            Shown::Paused => return Some(format!("nobody is told: {}", state.window.clone().unwrap_or_default())),
            Shown::New | Shown::Up | Shown::Down | Shown::Hidden => {}
        }
        let Some(looked) = state.looked else { return Some("it was never looked at".to_owned()) };
        let ago = u64::try_from(self.clock.now().unix_millis() - looked).unwrap_or(0);
        (ago > 2 * state.every_ms + 5_000).then(|| format!("it was last looked at {} s ago", ago / 1000))
    }

    async fn drill(&self) -> Result<String, String> {
        let cannot = |error: std::io::Error| format!("cannot listen: {error}");
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let receiver = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let address = |listener: &TcpListener| -> Result<SocketAddr, String> { listener.local_addr().map_err(cannot) };
        let secret = secrets::generate::credential().map_err(|fault| fault.to_string())?;
        let order = DrillOrder {
            target: address(&target)?,
            receiver: address(&receiver)?,
            secret: secret.expose().to_owned(),
            every_ms: u64::try_from(EVERY.as_millis()).unwrap_or(1000),
            ends_ms: u64::try_from(ENDS.as_millis()).unwrap_or(30_000),
        };
        let fails = Arc::new(AtomicBool::new(false));
        let (seen, mut looks) = mpsc::channel(16);
        let (taken, mut told) = mpsc::channel(16);
        let _answering = Ended(tokio::spawn(answer(target, Arc::clone(&fails), seen)));
        let _taking = Ended(tokio::spawn(take(receiver, taken)));
        let name = self.telemetry.drill(&order).await.map_err(|fault| fault.message)?;
        timeout(TOLD_WITHIN, looks.recv()).await.map_err(|_| "nobody looked".to_owned())?;
        self.is_up(&name).await?;
        fails.store(true, Ordering::Release);
        let began = Instant::now();
        let word = timeout(TOLD_WITHIN, told.recv()).await.ok().flatten();
        let word = word.ok_or_else(|| format!("it failed, and nobody was told within {} s", TOLD_WITHIN.as_secs()))?;
        word.is_signed_with(&secret)?;
        let body: serde_json::Value = serde_json::from_slice(&word.body).map_err(|error| error.to_string())?;
        if body["alerts"][0]["subject"] != name.as_str() {
            return Err("what the receiver was told is about something else".to_owned());
        }
        Ok(format!("something failed, and {} ms later its receiver was told, signed", began.elapsed().as_millis()))
    }

    /// An outage is one of something that worked.
    async fn is_up(&self, name: &str) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < TOLD_WITHIN {
            let states = self.telemetry.monitors().await.map_err(|fault| fault.message)?;
            if states.iter().any(|state| state.name == name && state.shown == Shown::Up) {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        Err("what was looked at and answers is not up".to_owned())
    }

    /// Whoever could not be told the last time will not be told the next.
    async fn channels(&self, findings: &mut Findings) {
        if self.environment.monitoring.channels.is_empty() {
            return findings.good("no channel is declared here: alerts wait in `roadbed alerts`");
        }
        let deliveries = match self.telemetry.deliveries().await {
            Ok(deliveries) => deliveries,
            Err(fault) => return findings.bad(fault.message),
        };
        for channel in &self.environment.monitoring.channels {
            let last =
                deliveries.iter().find(|delivery| delivery.channel == channel.name.as_str() && delivery.attempts > 0);
            match last.and_then(|last| last.error.as_ref()) {
                Some(why) => findings.bad(format!("{} was not told: {why}", channel.name)),
                None => findings.good(format!("{} has taken all that it was told", channel.name)),
            }
        }
    }
}

struct Ended(tokio::task::JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the receiver was told.
struct Word {
    signature: String,
    body: Vec<u8>,
}

impl Word {
    fn is_signed_with(&self, secret: &Secret) -> Result<(), String> {
        let seconds = self.signature.strip_prefix("t=").and_then(|rest| rest.split_once(',')?.0.parse().ok());
        let seconds: i64 = seconds.ok_or("what the receiver was told is not signed")?;
        if signature(secret, seconds, &self.body) == self.signature {
            return Ok(());
        }
        Err("what the receiver was told is signed by somebody else".to_owned())
    }
}

/// Answers until it is to fail.
async fn answer(listener: TcpListener, fails: Arc<AtomicBool>, seen: mpsc::Sender<()>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        if request(&mut stream).await.is_none() {
            continue;
        }
        let status = if fails.load(Ordering::Acquire) { "503 Service Unavailable" } else { "200 OK" };
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        let _ = seen.try_send(());
    }
}

/// Takes what it is told.
async fn take(listener: TcpListener, taken: mpsc::Sender<Word>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(word) = request(&mut stream).await else { continue };
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        let _ = taken.try_send(word);
    }
}

/// One request of our own client, whole: a head, and as much body as it says.
async fn request(stream: &mut TcpStream) -> Option<Word> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let value = |name: &str| {
                head.lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()))
            };
            let length: usize = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let body = read.get(end + 4..end + 4 + length);
            if let Some(body) = body {
                return Some(Word { signature: value(SIGNATURE).unwrap_or_default(), body: body.to_vec() });
            }
        }
        if read.len() > LARGEST || stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

impl Check for OutagesAreNoticed {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            self.look(&mut findings).await;
            findings.outcome()
        })
    }
}
