#!/usr/bin/env python3
"""How fast data services come to be: from nothing, as a preview with its sample, and looked at where there is nothing to do.

UrbanCart, everything built and all engines there. Times are between the events of `up --json`, as its reader sees them; the whole
command, with its start and its search for a running environment, is beside them.

    cargo build --profile dist -p roadbed && python3 benches/provision.py [ROUNDS]
"""

import json
import os
import statistics
import subprocess
import sys
import time

from environment import PROGRAM, REPOSITORY, Environment
from preview_data import Product

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
STORES = ("mongodb", "mongodb/collections", "redis", "redis-cache")


def up(env):
    """Brings it up; returns when each resource began and ended and how long the convergence and the whole command took."""
    began, ended, steps, took = {}, {}, [], None
    start = time.monotonic()
    command = [PROGRAM, "--root", env.root, "--manifest", REPOSITORY / "roadbed.toml", "up", "--detach", "--no-gate", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY) as running:
        for line in running.stdout:
            now, message = time.monotonic() - start, json.loads(line)
            event = message.get("progress", {})
            if event.get("event") == "started":
                began[event["resource"]] = now
            elif event.get("event") == "converged":
                ended[event["resource"]] = now
            elif event.get("event") == "step":
                steps.append((now, event["resource"], event["step"]))
            if message.get("message") == "converged":
                took = message["took_ms"] / 1000
        if running.wait() != 0:
            raise SystemExit(f"`roadbed up` ended with {running.returncode}:\n{running.stderr.read()}")
    if os.environ.get("STEPS"):
        for at, resource, step in steps:
            print(f"  {at:6.2f}  {resource}: {step}")
    return began, ended, took, time.monotonic() - start


def row(name, seconds):
    figures = " ".join(f"{figure * 1000:7.0f}" for figure in (min(seconds), statistics.median(seconds), max(seconds)))
    print(f"{name:58} {figures}  ms")


def main():
    stores, whole_up, looks, whole_looks = [], [], [], []
    with Environment("--no-gate") as env:
        for _ in range(ROUNDS):
            _, _, took, whole = up(env)
            looks.append(took)
            whole_looks.append(whole)
        for _ in range(ROUNDS):
            env.roadbed("down", "--purge", "--i-mean", "local")
            began, ended, _, whole = up(env)
            stores.append(max(ended[name] for name in STORES) - min(began[name] for name in STORES))
            whole_up.append(whole)
    previews = []
    with Product() as product:
        product.roadbed("up", "--detach", "--no-gate")
        product.fill()
        product.roadbed("sample", "take")
        product.roadbed("down")
        for round_number in range(ROUNDS):
            if round_number > 0:
                product.roadbed("down", "--purge", "--yes", "--env", "preview/pr-1")
            began, ended, _ = product.times()
            previews.append(ended["mongodb/sample"] - began["mongodb"])
    print(f"{'':58} {'min':>7} {'median':>7} {'max':>7}      of {ROUNDS}, load {os.getloadavg()[0]:.1f}")
    row("from nothing: MongoDB with its collections, both Redis", stores)
    row("  the whole `up`, apps ready", whole_up)
    row("a preview's database, with a sample of 1,000 documents", previews)
    row("a convergence with nothing to do", looks)
    row("  the whole `up`", whole_looks)


if __name__ == "__main__":
    main()
