#!/usr/bin/env python3
"""How long a warm `up` (built, data present) to a green gate takes, how long `down`, and what the roles weigh when idle.

The peer of `up` is the floor: the same four processes started bare, side by side, without provisioning, TLS or gate.

    cargo build --profile dist -p roadbed && python3 benches/life.py [ROUNDS]
"""

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
import pathlib

from environment import Environment, REPOSITORY, resident_mib

# Idle is what comes after the start: the keeper gives back what only that needed within ten seconds.
SETTLED = 25
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5


def shown(name, seconds):
    print(f"{name:34} {min(seconds):6.2f} {statistics.median(seconds):6.2f} {max(seconds):6.2f}  s (min, median, max of {len(seconds)})")
    return statistics.median(seconds)


def environment_of(pid):
    """The variables a process was started with. redis-server writes its title over its own, so its libraries are read off
    what it has mapped."""
    pairs = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    variables = dict(pair.decode().split("=", 1) for pair in pairs if b"=" in pair)
    # What the process alone has as a file in memory, its bare twin gets as a variable.
    for name in [name for name, value in variables.items() if name.endswith("_FILE") and value.startswith("/proc/self/fd/")]:
        number = variables.pop(name).rsplit("/", 1)[1]
        variables[name.removesuffix("_FILE")] = pathlib.Path(f"/proc/{pid}/fd/{number}").read_text()
    mapped = {line.split()[-1] for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines() if ".so" in line}
    variables["LD_LIBRARY_PATH"] = ":".join(sorted({str(pathlib.Path(name).parent) for name in mapped}))
    return variables


def commands(env):
    """What the keeper runs: argument vector from its own record, folder and variables from the living processes."""
    found = []
    for unit in ("mongodb", "redis", "api-1", "storefront-1"):
        pid = env.pid(unit)
        spec = json.loads((env.root / f"run/units/{unit}.json").read_text())["spec"]
        found.append(([spec["program"], *spec["args"]], spec["cwd"], environment_of(pid)))
    return found


def answers(port, path):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).status == 200
    except (urllib.error.URLError, OSError):
        return False


def give_back(root):
    """What the bare servers wrote belongs to whoever runs this; the environment's servers are users of their own."""
    for data in (root / "data").iterdir():
        owner = data.stat()
        for path in data.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid)


def floor(found, ports):
    """Seconds from starting all four at once until api and storefront say that they are ready."""
    start = time.monotonic()
    children = [
        subprocess.Popen(words, cwd=cwd, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words, cwd, variables in found
    ]
    try:
        while not answers(ports["api-1"], "/ready"):
            if time.monotonic() - start > 60:
                raise SystemExit("the bare processes do not get ready")
            time.sleep(0.01)
        return time.monotonic() - start
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()


with Environment() as env:
    found, ports = commands(env), env.ports()
    time.sleep(SETTLED)
    for name, pid in [("keeper", env.keeper()), ("control", env.pid("control")), ("edge", env.pid("edge"))]:
        rss, pss = resident_mib(pid)
        print(f"idle {name:8} {rss:6.1f} MiB RSS, {pss:6.1f} MiB PSS")
    ups, downs, floors = [], [], []
    for _ in range(ROUNDS):
        downs.append(env.roadbed("down")[1])
        floors.append(floor(found, ports))
        give_back(env.root)
        ups.append(env.roadbed("up", "--detach")[1])
    up = shown("warm `up` to a green gate", ups)
    shown("warm `down`", downs)
    bare = shown("the same processes, bare, to ready", floors)
    print(f"ratio up (with provisioning, TLS and gate) / bare: {up / bare:.2f}")
