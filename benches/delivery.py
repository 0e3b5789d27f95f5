#!/usr/bin/env python3
"""How long a release takes to reach visitors, and back, and what a hundred switches cost them under load.

    cargo build --profile dist -p roadbed && apt-get install nginx-light haproxy
    python3 benches/delivery.py [SWITCHES] [REQUESTS_PER_SECOND]

A product of one server (tests/faults/project). Times are from the start of the command until visitors get the other release; half
of the switches under load are whole deployments, half are rollbacks to the release that is kept warm. Beside it, in the same run and
under the same load, what one would write by hand: the same server in two processes behind nginx or HAProxy (blue_green.py).
"""

import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from blue_green import HaProxy, Nginx, trusting
from environment import PROGRAM, REPOSITORY

SWITCHES = int(sys.argv[1]) if len(sys.argv) > 1 else 100
PER_SECOND = int(sys.argv[2]) if len(sys.argv) > 2 else 1100
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

    name = "Roadbed"

    @property
    def ca(self):
        return self.root / "tls/ca.pem"

    def build(self):
        self.roadbed("build")

    def deploy(self):
        self.roadbed("deploy")

    def rollback(self):
        self.roadbed("rollback")

    def end(self):
        subprocess.run([PROGRAM, "--root", self.root, "down"], cwd=self.project, capture_output=True)
        shutil.rmtree(self.folder)


def timed(shop, act):
    """Seconds until visitors get another release than before, and until the command says that it is live."""
    host, port = shop.url().removeprefix("https://").rstrip("/").split(":")
    context = trusting(shop.ca)
    done = threading.Event()
    visible = []

    def seen():
        connection = http.client.HTTPSConnection("127.0.0.1", int(port))
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname=host)
        connection.request("GET", "/", headers={"host": f"{host}:{port}"})
        text = connection.getresponse().read()
        connection.close()
        return text

    before = seen()

    def watch():
        while not visible and not done.is_set():
            if seen() != before:
                visible.append(time.monotonic() - start)
            time.sleep(0.005)

    start = time.monotonic()
    watcher = threading.Thread(target=watch)
    watcher.start()
    act()
    took = time.monotonic() - start
    watcher.join(5)
    done.set()
    if not visible:
        raise SystemExit(f"{shop.name}: visitors never got another release")
    return visible[0], took


def shown(name, seconds):
    print(f"{name:44} {min(seconds):6.2f} {statistics.median(seconds):6.2f} {max(seconds):6.2f}  s (min, median, max of {len(seconds)})")


def under_load(shop):
    """Switches back and forth under visitors; says what these met."""
    visitors = subprocess.Popen(
        ["node", REPOSITORY / "benches/visitors.mjs", shop.url(), shop.ca, str(PER_SECOND)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    time.sleep(1)
    for number in range(SWITCHES // 2):
        shop.write(f"under load {number}")
        for switch in (shop.deploy, shop.rollback):
            switch()
            if shop is not ours:
                # As long as ours watches a release, so that visitors meet as much of each.
                time.sleep(1)
    said, _ = visitors.communicate()
    met = json.loads(said)
    print(f"{shop.name}: {SWITCHES} switches under load: {met['asked']} requests ({met['per_second']} answered a second), "
          f"{len(met['failed'])} failed, {met['streams']} streams and {met['sockets']} WebSockets opened, "
          f"{len(met['releases'])} releases answered")
    for line in met["failed"][:10]:
        print("  failed:", line)


shops = []
try:
    ours = Shop()
    shops.append(ours)
    ours.write("0")
    start = time.monotonic()
    ours.deploy()
    print(f"{'first deployment, environment included':44} {time.monotonic() - start:6.2f}  s")
    shops += [Nginx(SERVER), HaProxy(SERVER)]
    for peer in shops[1:]:
        peer.write("0")
        peer.deploy()
    forward, back, whole = ({shop.name: [] for shop in shops} for _ in range(3))
    for number in range(ROUNDS):
        # In turn, so that whatever else the machine does meets all of them.
        for shop in shops:
            shop.write(str(number + 1))
            if shop is ours:
                shop.build()
            visible, took = timed(shop, shop.deploy)
            forward[shop.name].append(visible)
            whole[shop.name].append(took)
            back[shop.name].append(timed(shop, shop.rollback)[0])
    for shop in shops:
        shown(f"{shop.name}: next release to visitors", forward[shop.name])
        shown(f"{shop.name}: the way back, to visitors", back[shop.name])
    shown("Roadbed: next release, watched for 1 s", whole[ours.name])
    for what, times in (("next release", forward), ("the way back", back)):
        for peer in shops[1:]:
            ratio = statistics.median(times[ours.name]) / statistics.median(times[peer.name])
            print(f"{what}: Roadbed takes {ratio:.2f} of the time that {peer.name} takes")
    for shop in shops:
        under_load(shop)
finally:
    for shop in shops:
        shop.end()
