"""An environment of UrbanCart for a measurement: the optimised Roadbed, a root of its own, gone afterwards."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("ROADBED", REPOSITORY / "target/dist/roadbed"))


class Environment:
    """`with Environment() as env:` has UrbanCart running; the end stops it."""

    def __init__(self, *flags):
        """`flags` are of `up`."""
        self.flags = flags
        if not PROGRAM.exists():
            raise SystemExit(f"{PROGRAM} is missing: `cargo build --profile dist -p roadbed`, or name another with ROADBED=")
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-bench-"))

    def __enter__(self):
        self.roadbed("up", "--detach", *self.flags)
        return self

    def __exit__(self, *_):
        self.roadbed("down")
        shutil.rmtree(self.root)

    def roadbed(self, *arguments):
        """Runs a verb; returns what it printed and how many seconds it took."""
        start = time.monotonic()
        ran = subprocess.run(
            [PROGRAM, "--root", self.root, "--manifest", REPOSITORY / "roadbed.toml", *arguments],
            capture_output=True, text=True, cwd=REPOSITORY,
        )
        took = time.monotonic() - start
        if ran.returncode != 0:
            raise SystemExit(f"`roadbed {' '.join(arguments)}` ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout, took

    def status(self):
        return json.loads(self.roadbed("status", "--json")[0])

    def pid(self, unit):
        return next(one["pid"] for one in self.status()["units"] if one["name"] == unit)

    def ports(self):
        return json.loads((self.root / "state/ports.json").read_text())["ports"]

    def keeper(self):
        """The keeper is nobody's unit: it is the process that runs `roadbed keeper` on our root."""
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"keeper" in words and str(self.root).encode() in words:
                return int(folder.name)
        raise SystemExit("there is no keeper")


def resident_mib(pid):
    """(RSS, PSS) of a process in MiB. PSS shares out the pages of the program file, which all roles map."""
    figures = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        figures[name] = int(value) / 1024
    return figures["Rss:"], figures["Pss:"]


def cpu_seconds(pid):
    """User and system time of a process and of its children, which is where nginx works."""
    total = 0.0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(folder.name) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
