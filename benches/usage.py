#!/usr/bin/env python3
"""What reading code for its variables costs and finds, beside varlock's audit and grep, on code bases as their packages ship them.

    cargo build --profile dist -p roadbed-usage --example scan_folder
    python3 benches/usage.py [ROUNDS]

Packages are fetched once with npm, into $ROADBED_BENCH_CACHE or ~/.cache/roadbed-benches. CPU is user and system together, the
median of the rounds; MB/s is all bytes of code per second of CPU.
"""

import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent.parent / "target"))
PROGRAM = TARGET / "dist/examples/scan_folder"
CACHE = pathlib.Path(os.environ.get("ROADBED_BENCH_CACHE", pathlib.Path.home() / ".cache/roadbed-benches"))
VARLOCK = "1.20.0"
# Code bases that ship their TypeScript, one large and one that reads many variables; then one large bundle, for the parser.
CODE = [("sanity", "3.60.0", "src"), ("convex", "1.48.0", "src"), ("typescript", "5.9.3", "lib")]
READ = r"process\.env\.[A-Za-z_][A-Za-z0-9_]*"


def fetch(name, version, folder):
    """The part of a package that is code, as a project of its own."""
    place = CACHE / f"{name}-{version}"
    if not (place / ".whole").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"{name}@{version}"], cwd=place, check=True, capture_output=True, text=True)
        subprocess.run(["tar", "xzf", packed.stdout.split()[-1], f"package/{folder}"], cwd=place, check=True)
        (place / "package/package.json").write_text(json.dumps({"name": "bench"}))
        (place / "package/.env.schema").write_text("# @defaultRequired=false\n# ---\nNOT_USED=\n")
        (place / ".whole").touch()
    return place / "package", folder


def varlock():
    program = CACHE / f"varlock-{VARLOCK}/node_modules/.bin/varlock"
    if not program.exists():
        program.parent.parent.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", program.parent.parent.parent, f"varlock@{VARLOCK}"],
            check=True)
    return program


def cpu(command, folder, **environment):
    """Seconds of CPU, and what it says. An audit that finds something fails, which is no failure here."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout + done.stderr


def median(command, folder, **environment):
    runs = [cpu(command, folder, **environment) for _ in range(ROUNDS)]
    return statistics.median(seconds for seconds, _ in runs), runs[0][1]


def number(said, word):
    return int(re.search(rf"^{word} (\d+)$", said, re.MULTILINE).group(1))


def main():
    if not PROGRAM.exists():
        raise SystemExit(f"{PROGRAM} is not built: see the head of this file")
    audit = varlock()
    for name, version, part in CODE:
        folder, part = fetch(name, version, part)
        code = str(folder / part)
        whole, said = median([PROGRAM, code], folder)
        size = number(said, "bytes") / 1e6
        ours = set(re.findall(r"^name (\S+)$", said, re.MULTILINE))
        failures = len(re.findall(r"^unreadable ", said, re.MULTILINE))
        # The same texts many times: the difference of two runs is what a round costs without the disk.
        once, _ = median([PROGRAM, code], folder, TIMES="1")
        often, looked = median([PROGRAM, code], folder, TIMES="11")
        look = (often - once) / 10
        passed = number(looked, "passed") / 1e6
        print(f"\n{name} {version}: {number(said, 'files')} files, {size:.1f} MB, {passed:.2f} MB of them past the filter; "
              f"{failures} cannot be read, {number(said, 'uses')} uses")
        print(f"{'':34}{'CPU':>10}{'MB/s':>8}{'ratio':>7}{'names':>7}")
        row = lambda what, seconds, names="": print(
            f"{what:34}{seconds * 1000:>7.1f} ms{size / seconds:>8.0f}{seconds / whole:>7.2f}{names:>7}")
        row("roadbed, filter, parse and uses", look, len(ours))
        row("roadbed, with disk and import graph", whole, len(ours))
        seconds, said = median([audit, "audit", f"./{part}"], folder)
        theirs = set(re.findall(r"^  - ([A-Za-z_]\w*) \(seen", said, re.MULTILINE))
        row(f"varlock {VARLOCK} audit", seconds, len(theirs))
        seconds, said = median(["grep", "-rhoE", READ, part], folder)
        grepped = {line.split(".")[2] for line in said.split()}
        row("grep for process.env.NAME", seconds, len(grepped))
        for what, names in [("roadbed alone", ours - theirs), ("varlock alone", theirs - ours), ("grep alone", grepped - ours)]:
            print(f"{what}: {' '.join(sorted(names)) or '-'}")


if __name__ == "__main__":
    main()
