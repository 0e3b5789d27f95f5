#!/usr/bin/env python3
"""Logs: rows a second of a processor, and how long it takes to find one request among ten million.

    python3 benches/logs.py [--rows 10000000] [--keep FOLDER]

Writes one log as the keeper does (JSON of an app within the keeper's JSON, 1,000 lines a second of it), starts telemetry alone, waits
until all rows are kept, and asks. Figures are processor time (user and system) from /proc, since the machine may be busy elsewhere.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
WORDS = "basket checkout payment captured refused stock reserved product listed search served cache missed session renewed".split()


def program():
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    command = ["cargo", "build", "-q", "--profile", "dist", "-p", "roadbed-telemetry", "--example", "role"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return target / "dist" / "examples" / "role"


def write_log(path, rows, seconds=0):
    """Returns some of the ids."""
    ids = []
    began = time.time() - rows / 1000
    with open(path, "w", buffering=1 << 20) as log:
        for n in range(rows):
            if n % 3 == 0:
                at = began + n / 1000
                millis = int(at * 1000)
                request = str(uuid.UUID(int=(millis << 80) | (7 << 76) | (2 << 62) | (n * 2654435761 % (1 << 60))))
                trace = f"{n * 0x9E3779B97F4A7C15 % (1 << 128):032x}"
                if n % (rows // 100 or 1) < 3:
                    ids.append(request)
                moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{millis % 1000:03d}Z"
            level = "error" if n % 500 == 0 else "info"
            word = WORDS[n % len(WORDS)]
            rare = " zanzibar" if n % (rows // 10 or 1) == 5 else ""
            line = (
                f'{{"time":"{moment}","level":"{level}","msg":"{word} {WORDS[n // 7 % len(WORDS)]} order {n}{rare}",'
                f'"request_id":"{request}","trace_id":"{trace}","ms":{n % 97}}}'
            )
            escaped = line.replace('"', '\\"')
            log.write(f'{{"time":"{moment}","stream":"out","line":"{escaped}"}}\n')
    return ids


def ask(root, path, body=None):
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(str(root / "run" / "telemetry.sock"))
    text = json.dumps(body or {})
    head = f"{'POST' if body is not None else 'GET'} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
    stream.sendall((head + text).encode())
    answer = b""
    while piece := stream.recv(1 << 20):
        answer += piece
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mebibytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def timed(root, what, question):
    best, found = 1e9, 0
    for _ in range(5):
        began = time.perf_counter()
        found = len(ask(root, "/logs", question)["lines"])
        best = min(best, time.perf_counter() - began)
    print(f"{what:<46} {best * 1000:8.2f} ms  ({found} lines)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    role = program()
    folder = Path(tempfile.mkdtemp(prefix="rb-logs-", dir=options.folder))
    root = folder / "root"
    for name in ["logs", "conf", "run"]:
        (root / name).mkdir(parents=True)
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        keeping = {"most_bytes": 1 << 40, "most_lines_a_second": 1 << 30, "least_free_bytes": 1 << 30}
        settings = {"environment": "bench", "port": port, "apps": ["web"], "logs": keeping}
        (root / "conf" / "telemetry.json").write_text(json.dumps(settings))
        ids = write_log(root / "logs" / "web-1.log", options.rows)
        size = (root / "logs" / "web-1.log").stat().st_size
        process = subprocess.Popen([str(role), str(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.time()
        while True:
            time.sleep(0.5)
            try:
                state = ask(root, "/logs/state")
            except OSError:
                continue
            if state["lines"] >= options.rows:
                break
            assert process.poll() is None and state["paused"] is None, state
        took, busy = time.time() - began, processor_seconds(process.pid)
        kept = sum(file.stat().st_size for file in (root / "telemetry" / "logs").iterdir())
        print(f"{options.rows:,} rows, {size / options.rows:.0f} bytes each in the log")
        print(f"kept in {took:.1f} s, {busy:.1f} s of a processor: {options.rows / busy:,.0f} rows a second of it")
        print(f"{kept / options.rows:.0f} bytes a row on disk, {peak_mebibytes(process.pid)} MiB at most in memory")
        timed(root, "one request by its id", {"limit": 100, "request": ids[len(ids) // 2]})
        timed(root, "an id that nobody has", {"limit": 100, "request": "nobody-has-this"})
        timed(root, "the last 100", {"limit": 100})
        timed(root, "the last 100 errors", {"limit": 100, "level": "error"})
        timed(root, "the last 100 with a word that is everywhere", {"limit": 100, "text": "order"})
        timed(root, "a word that ten lines have", {"limit": 100, "text": "zanzibar"})
        timed(root, "the last 100 with ms = 42", {"limit": 100, "fields": [["ms", "42"]]})
        print(f"{peak_mebibytes(process.pid)} MiB at most in memory after all questions")
        process.terminate()
        process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
