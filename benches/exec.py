#!/usr/bin/env python3
"""What it costs to run a command with secrets that are lent for it, beside tools that hand out static ones.

Roadbed makes a user in MongoDB and one in Redis for the command, assembles the variables, and takes the users away again. The
others decrypt or check a file and hand out what is in it. The command is /bin/true, so that all there is to measure is the way.

    cargo build --profile dist -p roadbed && python3 benches/exec.py [ROUNDS]

Peers are fetched once with npm, into $ROADBED_BENCH_CACHE or ~/.cache/roadbed-benches. Wall clock from start to exit; CPU is user and
system of the command and what it waited for, not of the servers that are asked. The orders of a round are shuffled.
"""

import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent.parent / "target"))
PROGRAM = pathlib.Path(os.environ.get("ROADBED_PROGRAM", TARGET / "dist/roadbed"))
CACHE = pathlib.Path(os.environ.get("ROADBED_BENCH_CACHE", pathlib.Path.home() / ".cache/roadbed-benches"))
VARLOCK, DOTENVX = "1.20.0", "2.38.2"

VARIABLE = """
[variables.{name}]
description = "{name}"
apps = ["api"]
class = "secret"
owner = "team"
{source}
example = "example-only"
"""
MANIFEST = """
[product]
name = "lend"
[owners.team]
description = "All"
contact = "team@lend.example"
[environments.local]
domain = "lend.localhost"
[services.mongodb]
[services.redis]
[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb", "redis"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }
"""
SERVER = """
import { createServer } from "node:http";
createServer((request, response) => response.end("well")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"""
# As many as an app has, whoever hands them out.
NAMES = [f"SECRET_{number}" for number in range(8)]


def peer(package, version):
    place = CACHE / f"{package.split('/')[-1]}-{version}"
    program = place / "node_modules/.bin" / package.split("/")[-1]
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, f"{package}@{version}"], check=True)
    return program


def project(folder):
    variables = [VARIABLE.format(name=name, source='source = "generated"') for name in NAMES]
    variables.append(VARIABLE.format(name="MONGODB_URL", source='value = "${service.mongodb.url}"'))
    variables.append(VARIABLE.format(name="REDIS_URL", source='value = "${service.redis.url}"'))
    (folder / "apps/api/src").mkdir(parents=True)
    (folder / "roadbed.toml").write_text(MANIFEST + "".join(variables))
    (folder / "apps/api/src/server.mjs").write_text(SERVER)
    (folder / "package.json").write_text('{"name":"lend","version":"1.0.0"}')
    (folder / "package-lock.json").write_text(
        '{"name":"lend","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"lend","version":"1.0.0"}}}')


def static(folder, program, decrypts):
    """The same number of values in a file, encrypted where the tool can."""
    folder.mkdir()
    lines = [f"{name}={os.urandom(32).hex()}" for name in [*NAMES, "MONGODB_URL", "REDIS_URL"]]
    (folder / "package.json").write_text('{"name":"bench"}')
    if decrypts:
        (folder / ".env").write_text("\n".join(lines) + "\n")
        subprocess.run([program, "encrypt"], cwd=folder, check=True, capture_output=True)
    else:
        (folder / ".env.schema").write_text("# @defaultSensitive=true\n# ---\n" + "".join(f"{line.split('=')[0]}=\n" for line in lines))
        (folder / ".env").write_text("\n".join(lines) + "\n")


def once(command, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return wall * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main():
    if not PROGRAM.exists():
        raise SystemExit(f"{PROGRAM} is not built: see the head of this file")
    place = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-exec-"))
    shop, root = place / "shop", place / "root"
    os.environ["XDG_STATE_HOME"] = str(place / "state")
    os.environ["XDG_CONFIG_HOME"] = str(place / "config")
    dotenvx, varlock = peer("@dotenvx/dotenvx", DOTENVX), peer("varlock", VARLOCK)
    static(place / "dotenvx", dotenvx, decrypts=True)
    static(place / "varlock", varlock, decrypts=False)
    shop.mkdir()
    project(shop)
    roadbed = [PROGRAM, "--root", root]
    true = shutil.which("true")
    node = [shutil.which("node"), "-e", "0"]
    subprocess.run([*roadbed, "up", "--detach", "--no-gate"], cwd=shop, check=True, capture_output=True)
    try:
        commands = {
            "the command alone": ([true], shop),
            "roadbed env exec, MongoDB and Redis": ([*roadbed, "env", "exec", "--", true], shop),
            "roadbed env exec --raw": ([*roadbed, "env", "exec", "--raw", "--", true], shop),
            "roadbed db shell mongodb": ([*roadbed, "db", "shell", "mongodb", "--", true], shop),
            "roadbed db shell redis": ([*roadbed, "db", "shell", "redis", "--", true], shop),
            f"dotenvx {DOTENVX} run, encrypted file": ([dotenvx, "run", "--quiet", "--", true], place / "dotenvx"),
            f"varlock {VARLOCK} run, plain file": ([varlock, "run", "--", true], place / "varlock"),
            "node, doing nothing": (node, shop),
        }
        for command in commands.values():
            once(*command)
        runs = {name: [] for name in commands}
        for _ in range(ROUNDS):
            order = list(commands)
            random.shuffle(order)
            for name in order:
                runs[name].append(once(*commands[name]))
        print(f"{'':38}{'min':>8}{'median':>8}{'max':>8}  ms     CPU, median ms")
        for name, measured in runs.items():
            walls = [wall for wall, _ in measured]
            cpu = statistics.median(cpu for _, cpu in measured)
            print(f"{name:38}{min(walls):8.1f}{statistics.median(walls):8.1f}{max(walls):8.1f}{cpu:15.1f}")
    finally:
        subprocess.run([*roadbed, "down"], cwd=shop, capture_output=True)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
