#!/usr/bin/env python3
"""What a backup costs and what a restore takes, beside other ways to copy the same MongoDB, in one run on one machine.

A project of one small app gets generated documents. Then, each after the other:

- Roadbed: a backup in which everything is new, one more in which nothing is, a rehearsal (RTO as it measures it), a restore in place of
  what lives, and how far the saved changes lag behind while somebody writes (RPO)
- `cp -r` of the data files of the running server: the floor, and no backup: nothing says that it can be opened
- `mongodump --archive` into `restic backup --stdin`, where `mongodump` is in PATH; else a dump by a small script with Node's driver
- `@apostrophecms/mongodb-snapshot` of npm: documents as JSON into one file, without encryption, digest or point in time

What each takes to begin counts more the less there is: figures per GiB are worth something from some hundred MiB on. Time is on the
wall; CPU and memory are of the program that copies (Roadbed's: its control), the server's CPU stands beside. Ratios are to Roadbed's
first backup.

    cargo build --profile dist -p roadbed && python3 benches/backup.py [--mib 1024] [--writer-seconds 20]
"""

import argparse
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

from environment import PROGRAM, REPOSITORY

MODULES = pathlib.Path(os.environ.get("NODE_PATH", REPOSITORY / "node_modules"))
SNAPSHOT_TOOL = "@apostrophecms/mongodb-snapshot@1.1.0"
MIB = 1 << 20

MANIFEST = """
[product]
name = "bench"
[owners.team]
description = "All"
contact = "team@bench.example"
[environments.local]
domain = "bench.localhost"
backup = { repository = "saved", every = "7d", drill = "30d", changes = "1s", rpo = "2m", rto = "1h" }
[services.mongodb]
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
"""

SERVER = """
const http = require("node:http");
http.createServer((_, answer) => answer.end("ok")).listen(Number(process.env.PORT), process.env.HOST);
"""

# A kibibyte each, of which zstd leaves about a third: names and addresses repeat, digests do not.
FILL = """
const { MongoClient } = require("mongodb");
const { randomBytes } = require("node:crypto");
(async () => {
  const client = await MongoClient.connect(process.env.MONGODB_URL);
  const orders = client.db().collection("orders");
  const total = Number(process.argv[2]) * 1024;
  for (let n = 0; n < total; ) {
    const batch = [];
    for (; batch.length < 2000 && n < total; n++)
      batch.push({ n, at: new Date(1.7e12 + n * 1000), by: `user-${n % 9973}`, sku: ["bell", "lamp", "lock"][n % 3], total: n % 977,
        note: `please leave it with the neighbours, entrance ${n % 40}. `.repeat(9), digest: randomBytes(160).toString("hex") });
    await orders.insertMany(batch, { ordered: false });
  }
  await orders.createIndex({ by: 1, at: -1 });
  await client.close();
})();
"""

WRITER = """
const { MongoClient } = require("mongodb");
(async () => {
  const client = await MongoClient.connect(process.env.MONGODB_URL);
  const written = client.db().collection("written", { writeConcern: { w: "majority", j: true } });
  const end = Date.now() + Number(process.argv[2]) * 1000;
  let n = 0;
  for (; Date.now() < end; n++) await written.insertOne({ n, text: "x".repeat(200) });
  console.log(n);
  await client.close();
})();
"""

# All documents of all collections, raw, one after the other: less than mongodump does, which has indexes and options too.
DUMP = """
const { MongoClient } = require("mongodb");
(async () => {
  const client = await MongoClient.connect(process.env.MONGODB_URL);
  for (const { name } of await client.db().listCollections({ type: "collection" }).toArray())
    for await (const document of client.db().collection(name).find({}, { raw: true, batchSize: 5000 }))
      if (!process.stdout.write(document)) await new Promise((resolve) => process.stdout.once("drain", resolve));
  await client.close();
})();
"""

# By the driver that came with it, whose types alone it knows.
SNAPSHOT = """
const { MongoClient } = require(require.resolve("mongodb", { paths: [process.argv[2]] }));
(async () => {
  const { write } = require(process.argv[2]);
  const client = await MongoClient.connect(process.env.MONGODB_URL);
  await write(client.db(), process.argv[3]);
  await client.close();
})();
"""


def size_of(folder):
    """Bytes of all files below a folder, by path."""
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def ticks_of(pid):
    """User and system time of one process, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class Shop:
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
        for name, text in (("fill", FILL), ("writer", WRITER), ("dump", DUMP), ("snapshot", SNAPSHOT)):
            (self.folder / f"{name}.js").write_text(text)

    def __enter__(self):
        self.roadbed("up", "--detach", "--no-gate")
        return self

    def __exit__(self, *_):
        self.roadbed("down", "--purge", "--i-mean", "local")
        shutil.rmtree(self.folder)

    def roadbed(self, *arguments):
        ran = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, cwd=self.folder, stdin=subprocess.DEVNULL)
        if ran.returncode != 0:
            raise SystemExit(f"`roadbed {' '.join(arguments)}` ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def answer(self, *arguments):
        return json.loads(self.roadbed(*arguments, "--json"))

    def pid(self, unit):
        return next(one["pid"] for one in self.answer("status")["units"] if one["name"] == unit)

    def lent(self, *command):
        """A command with the app's variables."""
        return [str(PROGRAM), "env", "exec", "--app", "api", "--", "env", f"NODE_PATH={MODULES}", *command]

    def node(self, *words):
        ran = subprocess.run(self.lent("node", *words), capture_output=True, text=True, cwd=self.folder, check=False)
        if ran.returncode != 0:
            raise SystemExit(f"node {words[0]} ended with {ran.returncode}:\n{ran.stderr}")
        return ran.stdout

    def covered(self):
        """Up to when all changes are saved, in seconds since 1970."""
        return (self.answer("backup", "list")["covered"] or 0) / 1000

    def until_saved(self):
        """Nothing is left to be saved of what was written so far."""
        now, deadline = time.time(), time.monotonic() + 1200
        while self.covered() <= now:
            if time.monotonic() > deadline:
                raise SystemExit("changes are not saved within twenty minutes; see `roadbed backup list`")
            time.sleep(0.5)

    def by_roadbed(self, *arguments):
        """A verb whose work control does."""
        control, server = self.pid("control"), self.pid("mongodb")
        # What it needed before is not what this needs.
        pathlib.Path(f"/proc/{control}/clear_refs").write_text("5")
        before, served, start = ticks_of(control), ticks_of(server), time.monotonic()
        answer = self.answer(*arguments)
        took = time.monotonic() - start
        return answer, Cost(took, ticks_of(control) - before, peak_mib(control), ticks_of(server) - served)

    def by_another(self, command, variables=None):
        server = self.pid("mongodb")
        served, start = ticks_of(server), time.monotonic()
        with tempfile.TemporaryFile() as said:
            running = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                       env={**os.environ, **(variables or {})})
            _, status, used = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            if running.returncode != 0:
                raise SystemExit(f"{' '.join(map(str, command))} ended with {running.returncode}:\n{said.read().decode(errors='replace')}")
        took = time.monotonic() - start
        return Cost(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, ticks_of(server) - served)


class Cost:
    def __init__(self, seconds, cpu, mib, server):
        self.seconds, self.cpu, self.mib, self.server = seconds, cpu, mib, server


def row(name, cost, mib, stored, first):
    print(f"{name:52} {cost.seconds:8.1f} {mib / cost.seconds:8.1f} {cost.cpu:8.1f} {cost.server:8.1f} {cost.mib:8.0f} "
          f"{stored / MIB:9.1f} {cost.seconds / first.seconds:7.2f} {cost.cpu / max(first.cpu, 0.01):7.2f} {cost.mib / first.mib:7.2f}")


def lag(shop, seconds):
    """The most that would have been lost while somebody writes, and how many writes that was looked at for."""
    writing = subprocess.Popen(shop.lent("node", "writer.js", str(seconds)), cwd=shop.folder, stdout=subprocess.PIPE, text=True)
    worst, end = 0.0, time.monotonic() + seconds
    time.sleep(2)
    while time.monotonic() < end:
        before = time.time()
        worst = max(worst, before - shop.covered())
        time.sleep(0.2)
    return worst, int(writing.communicate()[0])


def others(shop, mib, first):
    data = next(path for path in (shop.folder / ".roadbed/data").iterdir() if path.name == "mongodb")
    copied = shop.folder / "copied"
    row("cp -r of the data files, while it runs", shop.by_another(["cp", "-r", data, copied]), mib,
        sum(size_of(copied).values()), first)
    shutil.rmtree(copied)
    if shutil.which("restic"):
        place, key = shop.folder / "restic", {"RESTIC_PASSWORD": secrets.token_hex(16)}
        subprocess.run(["restic", "--no-cache", "init", "--repo", place], check=True, capture_output=True, env={**os.environ, **key})
        if shutil.which("mongodump"):
            name, dump = "mongodump --archive", 'mongodump --quiet --archive --uri "$MONGODB_URL"'
        else:
            name, dump = "documents by Node's driver", "node dump.js"
        line = f"{dump} | restic --no-cache --quiet --repo {place} backup --stdin"
        for what in ("", ", unchanged"):
            before = size_of(place)
            cost = shop.by_another(shop.lent("sh", "-c", line), key)
            stored = sum(size for path, size in size_of(place).items() if path not in before)
            row(f"{name} | restic backup --stdin{what}", cost, mib, stored, first)
    else:
        print("restic is not in PATH: ./setup installs it")
    tool = shop.folder / "tool"
    tool.mkdir()
    (tool / "package.json").write_text('{ "name": "tool", "private": true }')
    installed = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", SNAPSHOT_TOOL], cwd=tool, capture_output=True,
                               text=True, check=False)
    if installed.returncode != 0:
        print(f"{SNAPSHOT_TOOL} cannot be installed: {installed.stderr.strip().splitlines()[-1:]}")
        return
    package = tool / "node_modules/@apostrophecms/mongodb-snapshot"
    about = json.loads((package / "package.json").read_text())
    entry, file = package / about.get("main", "index.js"), shop.folder / "snapshot"
    cost = shop.by_another(shop.lent("node", "snapshot.js", str(entry), str(file)))
    row("@apostrophecms/mongodb-snapshot", cost, mib, file.stat().st_size, first)


def main():
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--mib", type=int, default=1024, help="how much is generated")
    asked.add_argument("--writer-seconds", type=int, default=20, help="how long somebody writes while it is looked how far changes lag behind")
    asked = asked.parse_args()
    with Shop() as shop:
        place = shop.folder / "saved/local"
        shop.node("fill.js", str(asked.mib))
        shop.until_saved()
        before = size_of(place)
        answer, first = shop.by_roadbed("backup", "now")
        mib = answer["snapshot"]["bytes"] / MIB
        stored = sum(size for path, size in size_of(place).items() if path not in before)
        print(f"{mib:.0f} MiB to save, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        print(f"{'':52} {'seconds':>8} {'MiB/s':>8} {'CPU s':>8} {'server s':>8} {'peak MiB':>8} {'new MiB':>9} "
              f"{'time x':>7} {'CPU x':>7} {'mem x':>7}")
        row("roadbed backup now, all of it new", first, mib, stored, first)
        before = size_of(place)
        _, second = shop.by_roadbed("backup", "now")
        moved = sum(size for path, size in size_of(place).items() if path not in before)
        row("roadbed backup now, nothing new", second, mib, moved, first)
        drilled, rehearsal = shop.by_roadbed("drill")
        row("roadbed drill, restored and compared", rehearsal, mib, 0, first)
        _, restored = shop.by_roadbed("restore", "--in-place", "--yes", "local")
        row("roadbed restore --in-place, with a backup before", restored, mib, 0, first)
        others(shop, mib, first)
        worst, writes = lag(shop, asked.writer_seconds)
    record = drilled["record"]
    took = record["took"]["secs"] + record["took"]["nanos"] / 1e9
    lost = record["lost"]["secs"] + record["lost"]["nanos"] / 1e9
    print()
    print(f"unchanged, moved      {moved / MIB:.2f} MiB, {100 * moved / MIB / mib:.2f} % of what is saved")
    print(f"RTO, a rehearsal      {took:.1f} s, {took / mib * 1024:.1f} s per GiB")
    print(f"RTO, in place         {restored.seconds:.1f} s, {restored.seconds / mib * 1024:.1f} s per GiB")
    print(f"RPO, a rehearsal      {lost:.1f} s")
    print(f"RPO, under a writer   {worst:.1f} s at most, {writes} acknowledged writes meanwhile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
