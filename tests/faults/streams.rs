//! Streams of events and WebSockets over deployments: they live on at the release before, and end in order.

use std::thread;
use std::time::{Duration, Instant};

use testkit::{Client, Events, WebSocket};

use crate::stage::Stage;

const SOON: Duration = Duration::from_secs(10);

/// Answers, streams events at `/events`, and speaks WebSocket at `/socket`: ten messages a second, each with what it is.
pub(crate) fn streams(what: &str) -> String {
    format!(
        r#"const say = (send) => {{ const timer = setInterval(send, 100); return () => clearInterval(timer); }};
const server = require("node:http").createServer((request, answer) => {{
  if (request.url !== "/events") return answer.end("tiny {what}\n");
  answer.writeHead(200, {{ "content-type": "text/event-stream" }});
  answer.on("close", say(() => answer.write("data: {what}\n\n")));
}});
server.on("upgrade", (request, socket) => {{
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const proof = require("node:crypto").createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: " + proof + "\r\n\r\n");
  const text = Buffer.from("{what}");
  const stop = say(() => socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text])));
  socket.on("error", () => {{}}).on("end", () => socket.end()).on("close", stop).resume();
}});
server.keepAliveTimeout = Number(process.env.ROADBED_KEEP_ALIVE_MS);
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => {{ server.close(() => process.exit(0)); server.closeIdleConnections(); }});
"#
    )
}

/// Either kind.
enum Open {
    Events(Events),
    Socket(WebSocket),
}

impl Open {
    /// Two of three are streams of events.
    fn some(client: &Client, url: &str, n: usize) -> Vec<Self> {
        let one = |number: usize| match number % 3 {
            2 => Self::Socket(client.web_socket(&format!("{url}/socket"), &[]).unwrap()),
            _ => Self::Events(client.events(&format!("{url}/events")).unwrap()),
        };
        (0..n).map(one).collect()
    }

    fn next(&mut self) -> Result<Option<String>, String> {
        match self {
            Self::Events(events) => events.next(SOON),
            // A WebSocket has no end that could be told from a connection that is closed.
            Self::Socket(socket) => Ok(socket.next_text(SOON).ok()),
        }
    }

    /// It goes on, by this release.
    #[track_caller]
    fn is_of(&mut self, what: &str) {
        let next = self.next().unwrap().expect("it goes on");
        assert!(next.contains(what), "{next:?} and not {what}");
    }

    /// When it ends; a stream of events that breaks off is an error.
    fn end(mut self) -> Result<Instant, String> {
        while self.next()?.is_some() {}
        Ok(Instant::now())
    }
}

fn ends_of(open: Vec<Open>) -> Vec<Instant> {
    let ends = open.into_iter().map(|one| thread::spawn(move || one.end().unwrap())).collect::<Vec<_>>();
    let mut ends: Vec<Instant> = ends.into_iter().map(|end| end.join().unwrap()).collect();
    ends.sort();
    ends
}

#[test]
fn streams_live_on_at_the_release_before_and_end_one_after_the_other_within_their_deadline() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"1h\", drain = \"30s\", drain_streams = \"10s\"");
    stage.deploy(&streams("one")).exits(0);
    let (client, url) = (stage.client(), stage.url());
    let mut open = Open::some(&client, &url, 6);
    open.iter_mut().for_each(|stream| stream.is_of("one"));

    stage.server(&streams("two"));
    let looking = stage.begin("deploy");
    looking.wait_for("● draining");
    let draining = Instant::now();
    looking.end().exits(0).says_not("still under way");
    assert!(draining.elapsed() < Duration::from_secs(5), "streams were waited for: {:?}", draining.elapsed());
    let live = Instant::now();
    assert_eq!(stage.visit().0, "tiny two");
    open.iter_mut().for_each(|stream| stream.is_of("one"));
    Open::some(&client, &url, 1)[0].is_of("two");

    // The deadline is not in the memory of the control that was there at the switch.
    stage.kill("control");
    let ends = ends_of(open);
    let (first, last) = (ends[0] - live, ends[5] - live);
    assert!(first > Duration::from_secs(3), "cut off at once: {first:?}");
    assert!(last < Duration::from_secs(12), "they outlived their time: {last:?}");
    assert!(last - first > Duration::from_secs(2), "all at once: {first:?} to {last:?}");
    // What was kept for the way back is there all the same.
    assert_eq!(stage.instances(), ["web-blue-1", "web-green-1"]);
    stage.roadbed("rollback").exits(0);
    assert_eq!(stage.visit().0, "tiny one");
}

#[test]
fn whatever_stops_an_instance_ends_its_streams_before() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"4s\", drain_streams = \"4s\"");
    stage.deploy(&streams("one")).exits(0);
    let (client, url) = (stage.client(), stage.url());
    // A restart.
    let mut open = Open::some(&client, &url, 3);
    open.iter_mut().for_each(|stream| stream.is_of("one"));
    stage.roadbed("restart web-blue-1").exits(0);
    ends_of(open);
    // The next release but one, in the slot where they are.
    let mut open = Open::some(&client, &url, 3);
    open.iter_mut().for_each(|stream| stream.is_of("one"));
    stage.deploy(&streams("two")).exits(0);
    stage.deploy(&streams("three")).exits(0);
    ends_of(open);
    assert_eq!(stage.visit().0, "tiny three");
    // A release that is taken back.
    let mortal = streams("four") + "setTimeout(() => process.exit(3), 8000);\n";
    stage.edit("verify = \"1s\"", "verify = \"30s\"");
    stage.server(&mortal);
    let looking = stage.begin("deploy");
    looking.wait_for("● verifying");
    let mut survivor = Open::some(&client, &url, 1).remove(0);
    survivor.is_of("four");
    looking.end().exits(11);
    assert_eq!(stage.visit().0, "tiny three");
    // The time of the release before is over.
    let mut open = Open::some(&client, &url, 3);
    open.iter_mut().for_each(|stream| stream.is_of("three"));
    stage.edit("verify = \"30s\"", "verify = \"1s\"");
    stage.deploy(&streams("five")).exits(0);
    ends_of(open);
    stage.until("only the live one runs", || stage.instances().len() == 1);
    assert_eq!(stage.visit().0, "tiny five");
}
