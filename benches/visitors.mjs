// Visitors who never stop: GET and POST on kept connections, POST on fresh ones, streams of events and WebSockets.
// node benches/visitors.mjs URL CA_FILE PER_SECOND; ends with its stdin, and says what it met as JSON.
import { Agent, request } from "node:https";
import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";

const [url, caFile, perSecond] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const tls = { ca: readFileSync(caFile), servername: hostname, lookup: (_host, options, done) =>
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4) };
const kept = new Agent({ keepAlive: true, maxSockets: 128, ...tls });
const fresh = new Agent({ keepAlive: false, ...tls });
const met = { asked: 0, answered: 0, failed: [], releases: {}, streams: 0, sockets: 0, events: 0 };
const began = Date.now();
let over = false;

const fail = (what) => met.failed.push(`${Date.now() - began} ms: ${what}`);

function ask(agent, method) {
  met.asked++;
  const body = method === "POST" ? "a body ".repeat(200) : "";
  const asked = request({ hostname, port, path: "/", method, agent, headers: body ? { "content-length": body.length } : {} }, (answer) => {
    let text = "";
    answer.on("data", (piece) => (text += piece));
    answer.on("end", () => {
      met.answered++;
      const release = text.trim();
      met.releases[release] = (met.releases[release] ?? 0) + 1;
      if (answer.statusCode !== 200 || !text.startsWith("tiny")) fail(`${method} ${answer.statusCode} ${text.slice(0, 80)}`);
    });
    answer.on("error", (error) => fail(`${method} answer: ${error.message}`));
  });
  asked.on("error", (error) => fail(`${method}: ${error.message}`));
  asked.end(body);
}

// A stream that ends is opened again, as browsers do; that it cannot be opened is a failure.
function listen() {
  if (over) return;
  met.streams++;
  const asked = request({ hostname, port, path: "/events", agent: fresh }, (answer) => {
    if (answer.statusCode !== 200) fail(`events ${answer.statusCode}`);
    answer.on("data", () => met.events++);
    answer.on("error", () => {});
    answer.on("close", () => setTimeout(listen, 50));
  });
  asked.on("error", (error) => { if (!over) { fail(`events: ${error.message}`); setTimeout(listen, 50); } });
  asked.end();
}

function talk() {
  if (over) return;
  met.sockets++;
  const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": randomBytes(16).toString("base64") };
  const asked = request({ hostname, port, path: "/socket", agent: fresh, headers });
  asked.on("upgrade", (_answer, socket) => {
    socket.on("data", () => met.events++);
    socket.on("error", () => {});
    socket.on("close", () => setTimeout(talk, 50));
  });
  asked.on("response", (answer) => { fail(`socket ${answer.statusCode}`); setTimeout(talk, 50); });
  asked.on("error", (error) => { if (!over) { fail(`socket: ${error.message}`); setTimeout(talk, 50); } });
  asked.end();
}

for (let number = 0; number < 8; number++) { listen(); talk(); }
let due = 0;
const timer = setInterval(() => {
  const wanted = ((Date.now() - began) * Number(perSecond)) / 1000;
  for (; due < wanted; due++) {
    if (due % 10 === 9) ask(fresh, "POST");
    else ask(kept, due % 3 === 0 ? "POST" : "GET");
  }
}, 5);
process.stdin.on("end", () => {
  over = true;
  clearInterval(timer);
  // The rate is that of the time in which they asked; who asked last is still waited for.
  const asked_for = Date.now() - began;
  setTimeout(() => {
    console.log(JSON.stringify({ ...met, per_second: Math.floor(met.answered / (asked_for / 1000)) }));
    process.exit(0);
  }, 2000);
});
process.stdin.resume();
