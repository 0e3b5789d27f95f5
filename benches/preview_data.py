#!/usr/bin/env python3
"""How long a preview's database takes from nothing: started, provisioned, seeded from the sample. One app that needs no build stands by.

The peer is the floor: a bare mongod of the same settings on an empty folder, from its start until `replSetInitiate` has made a
primary of it. What Roadbed adds are the users and their passwords, the collections, indexes and documents.

    cargo build --profile dist -p roadbed && python3 benches/preview_data.py [ROUNDS]
"""

import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from environment import PROGRAM, REPOSITORY

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
DOCUMENTS = 500

MANIFEST = """
[product]
name = "bench"
[owners.team]
description = "All"
contact = "team@bench.example"
[environments.local]
domain = "bench.localhost"
[environments.preview]
domain = "pr-{pr}.bench.example"
per = "pull-request"
ttl = "1h"
[apps.api]
owner = "team"
path = "api"
kind = "node"
hosts = ["api"]
needs = ["mongodb"]
build = { command = ["mkdir", "-p", "dist"] }
start = ["node", "server.js"]
[variables.MONGODB_URL]
description = "The database"
apps = ["api"]
type = "mongo_url"
class = "secret"
owner = "team"
value = "${service.mongodb.url}"
example = "mongodb://api:example@127.0.0.1:27017/bench"
[services.mongodb.collections.users]
description = "Customers"
indexes = [{ keys = ["email"], unique = true }]
sample = { limit = 500, fields = { email = "email", name = "name", phone = "phone" } }
[services.mongodb.collections.orders]
description = "Orders"
indexes = [{ keys = ["by", "-at"] }]
sample = { limit = 500, fields = { by = "id", at = "keep", total = "number-noise" } }
"""

SERVER = """
const http = require("node:http");
http.createServer((_, answer) => answer.end("ok")).listen(Number(process.env.PORT), process.env.HOST);
"""

FILL = """
const { MongoClient } = require("mongodb");
(async () => {
  const client = new MongoClient(process.env.MONGODB_URL);
  const users = [], orders = [];
  for (let n = 0; n < %d; n++) {
    users.push({ _id: "user-" + n, email: "u" + n + "@customers.test", name: "Kunde Nummer" + n, phone: "+49 30 " + (100000000 + n) });
    orders.push({ by: "user-" + n, at: new Date(0), total: n });
  }
  await client.db().collection("users").insertMany(users);
  await client.db().collection("orders").insertMany(orders);
  await client.close();
})();
"""

FLOOR = """
const { MongoClient } = require("mongodb");
const { spawn } = require("node:child_process");
const [program, data, port, log] = process.argv.slice(2);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
(async () => {
  const began = process.hrtime.bigint();
  const mongod = spawn(program, ["--dbpath", data, "--port", port, "--bind_ip", "127.0.0.1", "--replSet", "floor", "--oplogSize", "1024",
    "--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false", "--quiet", "--logpath", log], { stdio: "ignore" });
  // A client of its own for each question: one that lost a server waits before it looks again.
  const ask = async (command) => {
    const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, { serverSelectionTimeoutMS: 500 });
    try { return await client.db("admin").command(command); } finally { await client.close(); }
  };
  const until = async (is) => { for (;;) { try { if (await is()) return; } catch {} await pause(10); } };
  await until(() => ask({ ping: 1 }));
  await until(() => ask({ replSetInitiate: { _id: "floor", members: [{ _id: 0, host: `127.0.0.1:${port}` }] } }));
  await until(async () => (await ask({ hello: 1 })).isWritablePrimary);
  console.log(Number(process.hrtime.bigint() - began) / 1e9);
  mongod.kill("SIGKILL");
})();
"""

MODULES = pathlib.Path(os.environ.get("NODE_PATH", REPOSITORY / "node_modules"))


class Product:
    """The project, and one environment that a sample was taken of."""

    def __init__(self):
        if not PROGRAM.exists():
            raise SystemExit(f"{PROGRAM} is missing: `cargo build --profile dist -p roadbed`, or name another with ROADBED=")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-bench-"))
        (self.folder / "api").mkdir()
        (self.folder / "roadbed.toml").write_text(MANIFEST)
        (self.folder / "api/server.js").write_text(SERVER)
        (self.folder / "api/package.json").write_text('{ "name": "api", "version": "1.0.0", "private": true }')
        (self.folder / "package.json").write_text('{ "name": "bench", "private": true, "workspaces": ["api"] }')
        lock = {"name": "bench", "lockfileVersion": 3, "requires": True, "packages": {
            "": {"name": "bench", "workspaces": ["api"]}, "api": {"version": "1.0.0"},
            "node_modules/api": {"resolved": "api", "link": True}}}
        (self.folder / "package-lock.json").write_text(json.dumps(lock))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for environment in ("local", "preview/pr-1"):
            self.roadbed("down", "--purge", "--i-mean", environment, "--env", environment)
        shutil.rmtree(self.folder)

    def roadbed(self, *arguments):
        ran = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, cwd=self.folder, stdin=subprocess.DEVNULL)
        if ran.returncode != 0:
            raise SystemExit(f"`roadbed {' '.join(arguments)}` ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def fill(self):
        """Somebody's documents, and which mongod serves them."""
        (self.folder / "fill.js").write_text(FILL % DOCUMENTS)
        self.roadbed("env", "exec", "--app", "api", "--", "env", f"NODE_PATH={MODULES}", "node", "fill.js")
        self.mongod = json.loads((self.folder / ".roadbed/run/units/mongodb.json").read_text())["spec"]

    def floor(self):
        """Seconds that a bare mongod takes on an empty folder."""
        (self.folder / "floor.js").write_text(FLOOR)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with tempfile.TemporaryDirectory(prefix="roadbed-bench-") as data:
            ran = subprocess.run(
                ["node", "floor.js", self.mongod["program"], data, str(port), f"{data}/log"], capture_output=True, text=True,
                cwd=self.folder, check=True, timeout=120, env={**os.environ, **(self.mongod["env"] or {}), "NODE_PATH": str(MODULES)})
        return float(ran.stdout)

    def times(self):
        """Brings a preview up and reads when each of its resources began and ended, in seconds."""
        began, ended, steps = {}, {}, []
        command = [PROGRAM, "up", "--env", "preview/pr-1", "--detach", "--no-gate", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder) as up:
            for line in up.stdout:
                now = time.monotonic()
                event = json.loads(line).get("progress", {})
                kind, resource = event.get("event"), event.get("resource")
                if kind == "started":
                    began[resource] = now
                elif kind == "converged":
                    ended[resource] = now
                if kind == "step":
                    steps.append((now, resource, event["step"]))
            if up.wait() != 0:
                raise SystemExit(f"`roadbed up` ended with {up.returncode}:\n{up.stderr.read()}")
        return began, ended, steps


def row(name, seconds):
    print(f"{name:46} {min(seconds):6.2f} {statistics.median(seconds):6.2f} {max(seconds):6.2f}  s")


def main():
    with Product() as product:
        product.roadbed("up", "--detach", "--no-gate")
        product.fill()
        product.roadbed("sample", "take")
        product.roadbed("down")
        whole, provisioned, seeding, floors = [], [], [], []
        for round_number in range(ROUNDS):
            if round_number > 0:
                product.roadbed("down", "--purge", "--yes", "--env", "preview/pr-1")
            began, ended, steps = product.times()
            whole.append(ended["mongodb/sample"] - began["mongodb"])
            provisioned.append(ended["mongodb/collections"] - began["mongodb"])
            seeding.append(ended["mongodb/sample"] - began["mongodb/sample"])
            if os.environ.get("STEPS"):
                for at, resource, step in steps:
                    if resource.startswith("mongodb"):
                        print(f"  {at - began['mongodb']:6.2f}  {resource}: {step}")
            floors.append(product.floor())
    print(f"{'':46} {'min':>6} {'median':>6} {'max':>6}     of {ROUNDS}")
    row("a preview's database: provisioned and seeded", whole)
    row("  until its collections and indexes are there", provisioned)
    row(f"  {2 * DOCUMENTS} documents of the sample", seeding)
    row("floor: mongod alone, until it is a primary", floors)


if __name__ == "__main__":
    main()
