#!/usr/bin/env python3
"""What a change affects in a workspace of 2,000 packages: cost and correctness of `roadbed ci plan` beside turbo and nx.

    cargo build --profile dist -p roadbed
    python3 benches/ci_plan.py [ROUNDS]

turbo and nx are fetched once with npm, into $ROADBED_BENCH_CACHE or ~/.cache/roadbed-benches. CPU is user and system together, of the
command and all that it started; memory is the largest of its processes. Medians of the rounds. What is right is worked out here,
from the generated dependencies. The lock file is npm's own, made once for the workspace (some minutes) and kept beside the tools.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
PACKAGES = int(os.environ.get("ROADBED_BENCH_PACKAGES", "2000"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent.parent / "target"))
PROGRAM = pathlib.Path(os.environ.get("ROADBED_PROGRAM", TARGET / "dist/roadbed")).resolve()
CACHE = pathlib.Path(os.environ.get("ROADBED_BENCH_CACHE", pathlib.Path.home() / ".cache/roadbed-benches"))
TURBO, NX = os.environ.get("TURBO", "2.11.11"), os.environ.get("NX", "24.0.6")
NEEDS, FOLDER = {}, {}


def tools():
    place = CACHE / f"ci-turbo-{TURBO}-nx-{NX}"
    if not (place / ".whole").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", f"turbo@{TURBO}", f"nx@{NX}"], cwd=place, check=True)
        (place / ".whole").touch()
    return place / "node_modules"


def generate(top):
    seed = 12345

    def draw(below):
        nonlocal seed
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        return seed % below

    for number in range(PACKAGES):
        name = f"@uc/p{number:04d}"
        folder = f"{'apps' if number >= PACKAGES - max(3, PACKAGES // 100) else 'packages'}/p{number:04d}"
        FOLDER[name] = folder
        low = max(0, number - 200)
        NEEDS[name] = sorted({f"@uc/p{low + draw(number - low):04d}" for _ in range(3)}) if number else []
        needs = {need: "*" for need in NEEDS[name]} | ({"ms": "2.1.3"} if number == PACKAGES // 2 else {})
        (top / folder / "src").mkdir(parents=True)
        manifest = {"name": name, "version": "1.0.0", "private": True, "scripts": {"build": "echo build"}, "dependencies": needs}
        (top / folder / "package.json").write_text(json.dumps(manifest))
        for file in range(12):
            (top / folder / f"src/f{file}.ts").write_text(f"export const v{file} = {number * 100 + file};\n" * 20)
    write = lambda path, value: (top / path).write_text(json.dumps(value, indent=2))
    write("package.json", {"name": "root", "private": True, "packageManager": "npm@11.0.0", "workspaces": ["apps/*", "packages/*"]})
    write("turbo.json", {"globalDependencies": ["biome.json"], "tasks": {"build": {"dependsOn": ["^build"], "outputs": ["dist/**"]}}})
    write("nx.json", {"defaultBase": "main", "namedInputs": {"default": ["{projectRoot}/**/*", "{workspaceRoot}/biome.json"]}, "analytics": False})
    write("biome.json", {})
    lock(top)
    (top / ".gitignore").write_text("node_modules\n.turbo\n.nx\n")


def lock(top):
    kept = CACHE / f"ci-lock-{PACKAGES}.json"
    if not kept.exists():
        words = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"]
        subprocess.run(words, cwd=top, check=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.copy(top / "package-lock.json", kept)
    shutil.copy(kept, top / "package-lock.json")


def integrity(top):
    return json.loads((top / "package-lock.json").read_text())["packages"]["node_modules/ms"]["integrity"]


def git(top, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@shop.example", "-c", "gc.auto=0"]
    subprocess.run(["git", *who, *words], cwd=top, check=True, capture_output=True)


def commit(top):
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--allow-empty", "--message", "change")


def reached(*changed):
    """Who depends on these, themselves among them."""
    found = set(changed)
    for name in NEEDS:  # In order: a package depends on earlier ones alone.
        if any(need in found for need in NEEDS[name]):
            found.add(name)
    return found


def run(command, top):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "NX_DAEMON": "false", "CI": "1", "TURBO_TELEMETRY_DISABLED": "1", "NX_NO_CLOUD": "true"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        # A process begins with the memory of who started it, which here is Python with the workspace: so somebody small starts it.
        command = ["/usr/bin/time", "-q", "-f", "%M", "-o", CACHE / "ci-memory", *command]
        process = subprocess.Popen(command, cwd=top, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text = out.read().decode(errors="replace")
        return process.returncode, text, wall, usage.ru_utime + usage.ru_stime, int((CACHE / "ci-memory").read_text()) / 1024


def roadbed(top):
    return [PROGRAM, "ci", "plan", "--base", "main", "--json"], lambda text: {found["name"] for found in json.loads(text)["affected"]}


def turbo(top):
    command = [tools() / ".bin/turbo", "ls", "--affected", "--output=json"]
    return command, lambda text: {found["name"] for found in json.loads(text[text.index("{"):])["packages"]["items"]} - {"//"}


def nx(top):
    command = [tools() / ".bin/nx", "show", "projects", "--affected", "--base=main", "--json"]
    return command, lambda text: {name for name in json.loads(text[text.index("["):]) if name in NEEDS}


PEERS = {"roadbed": roadbed, "turbo": turbo, "nx": nx}


def touch(top, name, file="src/f0.ts"):
    with open(top / FOLDER[name] / file, "a") as opened:
        opened.write("export const more = 1;\n")


def replace(top, path, old, new):
    text = (top / path).read_text()
    assert old in text
    (top / path).write_text(text.replace(old, new))


def changes():
    """Name, what is done, who is affected."""
    middle, base, leaf = (f"@uc/p{number:04d}" for number in (PACKAGES // 2, 1, PACKAGES - 5))
    everybody = set(NEEDS)

    def moved(top):
        git(top, "mv", FOLDER[middle], "packages/moved")

    def reverted(top):
        touch(top, base)
        commit(top)
        git(top, "revert", "--no-edit", "HEAD")

    def merged(top):
        touch(top, leaf)
        commit(top)
        git(top, "checkout", "--quiet", "main")
        git(top, "checkout", "--quiet", "-B", "main-later")
        touch(top, base)
        commit(top)
        git(top, "branch", "--force", "main", "main-later")
        git(top, "checkout", "--quiet", "change")
        git(top, "merge", "--quiet", "--no-edit", "main")

    return [
        ("a file of an app", lambda top: touch(top, leaf), reached(leaf)),
        ("a file of a package at the bottom", lambda top: touch(top, base), reached(base)),
        ("blanks in the root's package.json", lambda top: replace(top, "package.json", "\n", "\n\n"), set()),
        ("a script of the root", lambda top: replace(top, "package.json", '"private"', '"scripts": {"x": "y"}, "private"'), set()),
        ("blanks in the lock file", lambda top: replace(top, "package-lock.json", "\n", "\n\n"), set()),
        ("an external package in the lock file", lambda top: replace(top, "package-lock.json", integrity(top), "sha512-" + "A" * 86 + "=="), reached(middle)),
        ("a file at the root that nobody uses", lambda top: (top / "NOTES.md").write_text("x"), set()),
        ("a file that every package depends on", lambda top: (top / "biome.json").write_text('{"a": 1}'), everybody),
        ("a deleted package", lambda top: shutil.rmtree(top / FOLDER[middle]), reached(middle) - {middle}),
        ("a moved package", moved, reached(middle)),
        ("a change and its revert", reverted, set()),
        ("the base merged in", merged, reached(leaf)),
    ]


def fresh(top):
    git(top, "checkout", "--quiet", "--force", "-B", "main", "origin-main")
    git(top, "clean", "-fdq")
    git(top, "checkout", "--quiet", "-B", "change")


def main():
    if not PROGRAM.exists():
        raise SystemExit(f"{PROGRAM} is not built: see the head of this file")
    modules = tools()
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder) / "workspace"
        top.mkdir()
        generate(top)
        git(top, "init", "--quiet", "--initial-branch=main")
        commit(top)
        git(top, "branch", "origin-main")
        git(top, "gc", "--quiet")
        (top / "node_modules").symlink_to(modules)
        versions = {name: json.loads((modules / name / "package.json").read_text())["version"] for name in ("turbo", "nx")}
        print(f"{PACKAGES} packages, turbo {versions['turbo']}, nx {versions['nx']}, load {os.getloadavg()[0]:.1f}\n")
        print("| affected by | right | " + " | ".join(PEERS) + " |\n| --- | ---: |" + " ---: |" * len(PEERS))
        right = dict.fromkeys(PEERS, 0)
        for title, change, expected in changes():
            cells = []
            fresh(top)
            change(top)
            commit(top)
            for peer, how in PEERS.items():
                command, read = how(top)
                code, text, *_ = run(command, top)
                try:
                    found = read(text) if code == 0 else None
                except (ValueError, KeyError):
                    found = None
                right[peer] += found == expected
                cells.append("failed" if found is None else f"{len(found)}{'' if found == expected else ' ✗'}")
            print(f"| {title} | {len(expected)} | " + " | ".join(cells) + " |", flush=True)
        print("| **right of 12** | | " + " | ".join(str(right[peer]) for peer in PEERS) + " |\n")
        print("| package at the bottom changed | wall, s | CPU, s | memory, MiB | CPU, ratio |\n| --- | ---: | ---: | ---: | ---: |")
        fresh(top)
        changes()[1][1](top)
        commit(top)
        first = None
        for peer, how in PEERS.items():
            command, _ = how(top)
            rounds = [run(command, top)[2:] for _ in range(ROUNDS)]
            wall, cpu, memory = (statistics.median(column) for column in zip(*rounds))
            first = first or cpu
            print(f"| {peer} | {wall:.2f} | {cpu:.2f} | {memory:.0f} | {cpu / first:.1f} |", flush=True)


if __name__ == "__main__":
    main()
