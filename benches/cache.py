#!/usr/bin/env python3
"""Answers from the edge's cache beside nginx's proxy_cache, in one run on loopback.

    cargo build --profile dist -p roadbed-edge --bench proxy
    apt-get install nginx-light nghttp2-client wrk valgrind
    python3 benches/cache.py [--seconds N] [--rounds N] [--only load|instructions]

One answer of 1 KiB and one of 100 KiB, which the app says may be kept for an hour. nginx keeps them in a folder of memory (`/dev/shm`),
the edge in its own. Both log each request; the edge also judges it, counts its limit and adds security headers. What is asked of the
app is counted at the end: it must be next to nothing, or nothing was measured.
"""

import argparse
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import tempfile

import proxies


def origin(folder, port):
    words = proxies.origin(folder, port)
    conf = folder / "nginx.conf"
    text = conf.read_text().replace("default_type text/plain;", "default_type text/plain; add_header Cache-Control max-age=3600;")
    conf.write_text(text.replace("access_log off;", f"access_log {folder}/asked.log;"))
    return words


def nginx(folder, ports):
    words = proxies.nginx(folder, ports)
    conf = folder / "nginx.conf"
    kept = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-cache-", dir="/dev/shm"))
    text = conf.read_text().replace("upstream app", f"proxy_cache_path {kept} keys_zone=kept:16m max_size=64m; upstream app")
    conf.write_text(text.replace("proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_cache kept; proxy_cache_lock on;"))
    return words


proxies.KINDS = {"roadbed": proxies.ours("cache"), "nginx": nginx}

LOADS = {
    "HTTPS 1 KiB": lambda proxy, seconds: proxies.wrk(proxy, "https", "1k", seconds, 64),
    "HTTPS 100 KiB": lambda proxy, seconds: proxies.wrk(proxy, "https", "100k", seconds, 64),
    "h2 1 KiB": lambda proxy, seconds: proxies.h2load(proxy, "1k", seconds),
    "h2 100 KiB": lambda proxy, seconds: proxies.h2load(proxy, "100k", seconds),
}


def latency(proxy, seconds):
    """Milliseconds, median and 99 of 100, of one connection that asks for one after the other."""
    url = f"https://127.0.0.1:{proxy.ports['https']}/1k"
    words = ["wrk", "-t1", "-c1", f"-d{seconds}s", "--latency", "-H", f"Host: {proxy.authority('https')}", url]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def of(percent):
        number, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", told).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    return of(50), of(99)


def load(pair, seconds, rounds):
    print(f"CPU microseconds per request (requests per second), medians of {rounds} shuffled rounds of {seconds} s")
    for what, ask in LOADS.items():
        cells = {proxy.name: {"cpu": [], "rate": []} for proxy in pair}
        for proxy in pair:
            ask(proxy, 1)
        for _ in range(rounds):
            for proxy in random.sample(pair, len(pair)):
                before = proxy.cpu()
                count, rate = ask(proxy, seconds)
                cells[proxy.name]["cpu"].append((proxy.cpu() - before) / count * 1e6)
                cells[proxy.name]["rate"].append(rate)
        cpu = {name: statistics.median(cell["cpu"]) for name, cell in cells.items()}
        rate = {name: statistics.median(cell["rate"]) for name, cell in cells.items()}
        row = "".join(f"{name:>12} {cpu[name]:7.1f} ({rate[name]:7.0f})" for name in cells)
        print(f"  {what:14}{row}   nginx / roadbed {cpu['nginx'] / cpu['roadbed']:.2f}x")
    for proxy in pair:
        times = [latency(proxy, seconds) for _ in range(rounds)]
        median, tail = (statistics.median(time[at] for time in times) for at in (0, 1))
        print(f"  one connection, {proxy.name}: p50 {median * 1000:.0f} us, p99 {tail * 1000:.0f} us")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=int, default=5)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--only", choices=["load", "instructions"])
    words = words.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-cache-bench-"))
    upstream = proxies.free_port()
    (folder / "origin").mkdir()
    server = subprocess.Popen(origin(folder / "origin", upstream), stderr=subprocess.DEVNULL)
    pair = []
    try:
        if words.only != "instructions":
            pair = [proxies.Proxy(name, folder / name, upstream) for name in proxies.KINDS]
            load(pair, words.seconds, words.rounds)
            for proxy in pair:
                proxy.end()
            pair = []
            asked = len((folder / "origin/asked.log").read_text().splitlines())
            print(f"  the app was asked {asked} times")
            if asked > 200:
                raise SystemExit("that is no cache")
        if words.only != "load":
            print("user-space instructions per request (callgrind)")
            counts = {name: proxies.counted(name, upstream, folder) for name in proxies.KINDS}
            # By its door for apps the edge keeps nothing.
            for case in ("HTTPS/1.1", "h2"):
                ratio = counts["nginx"][case] / counts["roadbed"][case]
                told = "".join(f"{name:>12} {counts[name][case] / 1000:6.1f} k" for name in counts)
                print(f"  {case:12}{told}   nginx / roadbed {ratio:.2f}x")
    finally:
        for proxy in pair:
            proxy.end()
        server.terminate()
        server.wait()
        shutil.rmtree(folder)
        for kept in pathlib.Path("/dev/shm").glob("roadbed-cache-*"):
            shutil.rmtree(kept, ignore_errors=True)


if __name__ == "__main__":
    main()
