#!/usr/bin/env python3
"""Errors by Sentry's protocol: events that are stored, what each costs, and what a kill -9 loses.

    python3 benches/errors.py [--seconds 15] [--role PROGRAM] [--bugsink VENV]

`wrk` sends one event of a real client (tests/it/recorded) with a fresh id each time and 20 types, then the rows are counted until no
more come. Figures are processor time (user and system) from /proc, since the machine may be busy elsewhere. With --bugsink the same
load goes to a Bugsink from `pip install bugsink` in that virtual environment.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
KEY = "0123456789abcdef0123456789abcdef"
SETTLED = 4.0

LUA = """
local f = io.open(os.getenv("EVENT")); local event = f:read("*a"); f:close()
local path = os.getenv("TARGET"); local n, pre = 0, string.format("%08x", os.time() % 0x7fffffff)
local a, b = event:match('^(.-"type":")TypeError(".*)$'); local c, d = b:match('^(.-"event_id":")%x+(".*)$')
math.randomseed(os.time())
request = function()
  n = n + 1
  local id = pre .. string.format("%08x%08x%08x", math.random(0, 0x7ffffffe), math.random(0, 0x7ffffffe), n)
  local body = a .. "TypeError" .. string.char(65 + n % 20) .. c .. id .. d
  return wrk.format("POST", path, {["Content-Type"] = "text/plain;charset=UTF-8"},
    '{"event_id":"' .. id .. '"}\\n{"type":"event"}\\n' .. body)
end
done = function(summary, latency)
  io.write(string.format("RESULT %d %d %.3f\\n", summary.requests, summary.errors.status, summary.duration / 1e6))
end
"""


def role_program():
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    command = ["cargo", "build", "-q", "--profile", "dist", "-p", "roadbed-telemetry", "--example", "role"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return target / "dist" / "examples" / "role"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def recorded_event(folder):
    envelope = (REPOSITORY / "crates/telemetry/tests/it/recorded/node-exception.envelope").read_text()
    event = next(line for line in envelope.splitlines() if line.startswith('{"exception"'))
    # The id must be in it for the script that replaces it.
    if '"event_id"' not in event:
        event = event[:-1] + ',"event_id":"' + "0" * 32 + '"}'
    # A client's clock of long ago is not believed, and some refuse it.
    event = re.sub(r'"timestamp":[0-9.]+', f'"timestamp":{time.time():.3f}', event, count=1)
    path = folder / "event.json"
    path.write_text(event)
    return path, len(event)


def load(folder, port, target, event, connections, seconds):
    script = folder / "load.lua"
    script.write_text(LUA)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"]
    environment = {**os.environ, "EVENT": str(event), "TARGET": target}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    return process


def result(process):
    output, _ = process.communicate()
    requests, refused, took = re.search(r"RESULT (\d+) (\d+) ([\d.]+)", output).groups()
    return int(requests) - int(refused), int(refused), float(took)


def tree(pid):
    """A process and what it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [one for child in children for one in tree(int(child))]


def processor_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mebibytes(pids):
    status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(text.split("VmHWM:")[1].split()[0]) for text in status) // 1024


class Roadbed:
    name = "Roadbed"

    def __init__(self, folder, program):
        self.root, self.program, self.port = folder / "root", program, free_port()
        for name in ["logs", "conf", "run"]:
            (self.root / name).mkdir(parents=True)
        project = int.from_bytes(hashlib.sha256(b"web").digest()[:4], "big")
        keys = [{"of": "server", "digest": hashlib.sha256(KEY.encode()).hexdigest()}]
        limits = {"burst": 1 << 31, "per_minute": 1 << 31, "events_per_issue": 1 << 31}
        errors = {"projects": [{"app": "web", "id": project, "keys": keys}], "limits": limits}
        settings = {"environment": "bench", "port": self.port, "apps": ["web"], "errors": errors}
        (self.root / "conf" / "telemetry.json").write_text(json.dumps(settings))
        self.target = f"/api/{project}/envelope/?sentry_version=7&sentry_key={KEY}"
        self.start()

    def start(self):
        command = [str(self.program), str(self.root)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            assert self.process.poll() is None, "the role ended before it answered"
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)

    def pids(self):
        return tree(self.process.pid)

    def rows(self):
        database = self.root / "telemetry/errors/errors.db"
        if not database.exists():
            return 0
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
            return connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()


class Bugsink:
    name = "Bugsink"

    def __init__(self, folder, environment):
        self.folder, self.bin, self.port = folder, environment / "bin", free_port()
        self.run("bugsink-create-conf", "--template=singleserver", f"--base-dir={folder}", f"--port={self.port}")
        conf = folder / "bugsink_conf.py"
        raised = '\nBUGSINK["PHONEHOME"] = False\n' + "".join(
            f'BUGSINK["MAX_EVENTS_PER_{scope}{span}"] = 10**9\n'
            for scope in ["", "PROJECT_PER_"]
            for span in ["5_MINUTES", "HOUR", "MONTH"]
        )
        conf.write_text(conf.read_text() + raised)
        self.run("bugsink-manage", "migrate")
        self.run("bugsink-manage", "migrate", "--database=snappea")
        made = "from projects.models import Project; p = Project.objects.create(name='web', retention_max_event_count=10**9); print('MADE', p.id, p.sentry_key)"
        output = self.run("bugsink-manage", "shell", "-c", made)
        project, key = re.search(r"MADE (\d+) (\S+)", output).groups()
        self.target = f"/api/{project}/envelope/?sentry_version=7&sentry_key={key.replace('-', '')}"
        self.start()

    def environment(self):
        return {**os.environ, "PYTHONPATH": str(self.folder), "DJANGO_SETTINGS_MODULE": "bugsink_conf"}

    def run(self, *command):
        command = [str(self.bin / command[0]), *command[1:]]
        ended = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
        return ended.stdout

    def start(self):
        serve = [str(self.bin / "gunicorn"), "--bind", f"127.0.0.1:{self.port}", "--workers", "2", "bugsink.wsgi"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.processes = [
            subprocess.Popen(command, cwd=self.folder, env=self.environment(), **quiet)
            for command in [serve, [str(self.bin / "bugsink-runsnappea")]]
        ]
        while True:
            assert all(process.poll() is None for process in self.processes), "Bugsink ended before it answered"
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.1)

    def pids(self):
        return [pid for process in self.processes for pid in tree(process.pid)]

    def rows(self):
        with sqlite3.connect(f"file:{self.folder}/db.sqlite3?mode=ro", uri=True, timeout=30) as connection:
            return connection.execute("SELECT count(*) FROM events_event").fetchone()[0]

    def kill(self, how=signal.SIGKILL):
        for pid in self.pids():
            os.kill(int(pid), how)
        for process in self.processes:
            process.wait()


def settled(peer, began):
    """Rows, and when the last came."""
    rows, at = peer.rows(), time.time()
    while time.time() - at < SETTLED:
        time.sleep(0.1)
        now = peer.rows()
        if now != rows:
            rows, at = now, time.time()
    return rows, at - began


def measure(peer, folder, event, connections, seconds):
    before, busy, began = peer.rows(), processor_seconds(peer.pids()), time.time()
    accepted, refused, took = result(load(folder, peer.port, peer.target, event, connections, seconds))
    rows, until_last = settled(peer, began)
    stored = rows - before
    cost = (processor_seconds(peer.pids()) - busy) * 1000 / max(stored, 1)
    print(
        f"{peer.name:<8} {connections:>3} connections: {accepted / took:8.0f} accepted/s, {stored / until_last:8.0f} stored/s, "
        f"{cost:6.3f} ms of a processor each, {peak_mebibytes(peer.pids())} MiB at most, "
        f"{accepted} accepted and {stored} stored, {refused} refused",
        flush=True,
    )


def lose(peer, folder, event):
    before = peer.rows()
    loading = load(folder, peer.port, peer.target, event, 4, 6)
    time.sleep(4)
    peer.kill()
    accepted, _, _ = result(loading)
    peer.start()
    rows, _ = settled(peer, time.time())
    print(f"{peer.name:<8} kill -9 under load: {accepted} accepted, {rows - before} stored", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--role", type=Path, help="an example `role` that is built already")
    parser.add_argument("--bugsink", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rb-errors-"))
    peers = []
    try:
        event, size = recorded_event(folder)
        print(f"an event of {size} bytes, {options.seconds} s each")
        for name, make in [
            ("ours", lambda at: Roadbed(at, options.role or role_program())),
            ("bugsink", lambda at: Bugsink(at, options.bugsink.resolve()) if options.bugsink else None),
        ]:
            at = folder / name
            at.mkdir()
            peer = make(at)
            if peer is None:
                continue
            peers.append(peer)
            for connections in [4, 64]:
                measure(peer, folder, event, connections, options.seconds)
            lose(peer, folder, event)
            peer.kill(signal.SIGTERM)
            peers.remove(peer)
    finally:
        for peer in peers:
            peer.kill()
        shutil.rmtree(folder, ignore_errors=True)


main()
