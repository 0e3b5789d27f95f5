#!/usr/bin/env python3
"""How long a release takes to reach visitors, and back, and what a hundred switches cost them under load.

    cargo build --profile dist -p roadbed && python3 benches/delivery.py [SWITCHES] [REQUESTS_PER_SECOND]

A product of one server (tests/faults/project). Times are from the start of the command until visitors get the other release; half
of the switches under load are whole deployments, half are rollbacks to the release that is kept warm.
"""

import http.client
import json
import os
import pathlib
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from environment import PROGRAM, REPOSITORY

SWITCHES = int(sys.argv[1]) if len(sys.argv) > 1 else 100
PER_SECOND = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
ROUNDS = 7

SERVER = """
const answers = (request, answer) => {
  if (request.url === "/events") {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => answer.write("data: tick\\n\\n"), 200);
    open.add(answer);
    request.on("close", () => { clearInterval(timer); open.delete(answer); });
    return;
  }
  request.resume().on("end", () => answer.end("tiny VERSION\\n"));
};
const open = new Set();
const server = require("node:http").createServer(answers);
server.keepAliveTimeout = Number(process.env.ROADBED_KEEP_ALIVE_MS);
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = require("node:crypto").createHash("sha1").update(key).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ${accept}\\r\\n\\r\\n`);
  const timer = setInterval(() => socket.write(Buffer.from([0x81, 4, 116, 105, 99, 107])), 200);
  open.add(socket);
  socket.on("close", () => { clearInterval(timer); open.delete(socket); });
  socket.on("error", () => {});
});
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => {
  for (const one of open) one.end();
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
"""


class Shop:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-bench-"))
        self.project = self.folder / "project"
        shutil.copytree(REPOSITORY / "tests/faults/project", self.project)
        manifest = self.project / "roadbed.toml"
        rollout = 'domain = "tiny.localhost"\nrollout = { verify = "1s", keep_warm = "1h", drain = "1s" }\n'
        manifest.write_text(manifest.read_text().replace('domain = "tiny.localhost"\n', rollout, 1))
        self.root = self.folder / "root"

    def roadbed(self, *words):
        ran = subprocess.run([PROGRAM, "--root", self.root, *words], cwd=self.project, capture_output=True, text=True)
        if ran.returncode != 0:
            raise SystemExit(f"`roadbed {' '.join(words)}` ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def write(self, version):
        (self.project / "web/server.js").write_text(SERVER.replace("VERSION", version))

    def url(self):
        return json.loads(self.roadbed("status", "--json"))["urls"]["web"]

    def timed(self, *words):
        """Seconds until visitors get another release than before, and until the command says that it is live."""
        host, port = self.url().removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=self.root / "tls/ca.pem")
        seen = threading.Event()
        visible = []

        def release():
            connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context)
            connection._http_vsn_str = "HTTP/1.1"
            connection.sock = context.wrap_socket(__import__("socket").create_connection(("127.0.0.1", int(port))), server_hostname=host)
            connection.request("GET", "/", headers={"host": f"{host}:{port}"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.headers["roadbed-release"]

        before = release()

        def watch():
            while not seen.is_set():
                if release() != before:
                    visible.append(time.monotonic() - start)
                    return
                time.sleep(0.005)

        start = time.monotonic()
        watcher = threading.Thread(target=watch)
        watcher.start()
        self.roadbed(*words)
        took = time.monotonic() - start
        watcher.join(5)
        seen.set()
        return visible[0], took


def shown(name, seconds):
    print(f"{name:44} {min(seconds):6.2f} {statistics.median(seconds):6.2f} {max(seconds):6.2f}  s (min, median, max of {len(seconds)})")


shop = Shop()
try:
    shop.write("0")
    start = time.monotonic()
    shop.roadbed("deploy")
    print(f"{'first deployment, environment included':44} {time.monotonic() - start:6.2f}  s")
    forward, back, whole = [], [], []
    for number in range(ROUNDS):
        shop.write(str(number + 1))
        shop.roadbed("build")
        visible, took = shop.timed("deploy")
        forward.append(visible)
        whole.append(took)
        back.append(shop.timed("rollback")[0])
    shown("next release, artifact present, to visitors", forward)
    shown("the same until it was watched for 1 s", whole)
    shown("rollback to what is warm, to visitors", back)

    visitors = subprocess.Popen(
        ["node", REPOSITORY / "benches/visitors.mjs", shop.url(), shop.root / "tls/ca.pem", str(PER_SECOND)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    for number in range(SWITCHES // 2):
        shop.write(f"under load {number}")
        shop.roadbed("deploy")
        shop.roadbed("rollback")
    said, _ = visitors.communicate()
    met = json.loads(said)
    print(f"{SWITCHES} switches under load: {met['asked']} requests ({met['per_second']} a second), {len(met['failed'])} failed, "
          f"{met['streams']} streams and {met['sockets']} WebSockets opened, {len(met['releases'])} releases answered")
    for line in met["failed"][:10]:
        print("  failed:", line)
finally:
    subprocess.run([PROGRAM, "--root", shop.root, "down"], cwd=shop.project, capture_output=True)
    shutil.rmtree(shop.folder)
