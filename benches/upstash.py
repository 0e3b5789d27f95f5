#!/usr/bin/env python3
"""The gateway before Redis beside Redis itself, both pipelined, in one run on loopback.

    cargo build --profile dist -p roadbed
    python3 benches/upstash.py [--program FILE] [--redis FILE] [--rounds N] [--seconds N] [--commands N] [--connections N]

One redis-server with TLS alone, as Roadbed runs it, with one user. The same commands (SET and GET of 32 bytes, by turns) go to it as
packets of RESP by TLS, and to the gateway as `/pipeline` by plain HTTP, on connections that stay open; whoever asks waits for the whole
answer before it asks again. Rounds are shuffled. The bar is 60 % of Redis's own commands a second.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import random
import shutil
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
USER, PASSWORD = "app-bench", "bench-password"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def redis_server(named):
    if named:
        return named, {}
    found = shutil.which("redis-server")
    if found:
        return found, {}
    engines = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "roadbed/engines"
    for program in engines.glob("*/usr/bin/redis-server"):
        libraries = next((program.parents[1] / "lib").glob("*linux-gnu*"))
        return str(program), {"LD_LIBRARY_PATH": str(libraries)}
    raise SystemExit("there is no redis-server: name one with --redis")


def token():
    said = bytes([1, len(USER)]) + USER.encode() + PASSWORD.encode()
    whole = said + hashlib.sha256(said).digest()[:4]
    return "rbrd_" + base64.urlsafe_b64encode(whole).decode().rstrip("=")


def commands(count):
    value = "x" * 32
    return [["SET", f"bench:{n}", value] if n % 2 == 0 else ["GET", f"bench:{n - 1}"] for n in range(count)]


def resp(words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


class Redis:
    """Packets of RESP by TLS."""

    def __init__(self, port, authority, batch):
        context = ssl.create_default_context(cafile=authority)
        self.stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1")
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream.sendall(resp(["AUTH", USER, PASSWORD]))
        assert self.stream.recv(64).startswith(b"+OK")
        self.packet = b"".join(map(resp, batch))
        self.expected = sum(5 if command[0] == "SET" else 39 for command in batch)

    def ask(self):
        self.stream.sendall(self.packet)
        missing = self.expected
        while missing:
            missing -= len(self.stream.recv(65536))


class Gateway:
    """`/pipeline` by HTTP."""

    def __init__(self, port, _, batch):
        self.stream = socket.create_connection(("127.0.0.1", port))
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = json.dumps(batch, separators=(",", ":")).encode()
        head = f"POST /pipeline HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token()}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.packet = head.encode() + body

    def ask(self):
        self.stream.sendall(self.packet)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.stream.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        missing = length - len(body)
        while missing > 0:
            missing -= len(self.stream.recv(65536))


def rate(kind, port, authority, batch, connections, seconds):
    clients = [kind(port, authority, batch) for _ in range(connections)]
    counts = [0] * connections
    end = time.monotonic() + seconds

    def work(index):
        while time.monotonic() < end:
            clients[index].ask()
            counts[index] += len(batch)

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(index,)) for index in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def wait_for(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nobody listens on {port}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=str(REPOSITORY / "target/dist/roadbed"))
    parser.add_argument("--redis")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--commands", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key.pem",
             "-out", f"{folder}/cert.pem"],
            check=True, stderr=subprocess.DEVNULL,
        )
        redis_port, rest_port = free_port(), free_port()
        program, variables = redis_server(asked.redis)
        files = ["--tls-cert-file", f"{folder}/cert.pem", "--tls-key-file", f"{folder}/key.pem", "--tls-ca-cert-file", f"{folder}/cert.pem"]
        redis = subprocess.Popen(
            [program, "--port", "0", "--tls-port", str(redis_port), "--bind", "127.0.0.1", "--tls-auth-clients", "no", "--save", "",
             "--dir", folder, *files, "--user", USER, "on", f">{PASSWORD}", "~*", "+@all"],
            stdout=subprocess.DEVNULL, env={**os.environ, **variables},
        )
        gateway = subprocess.Popen(
            [asked.program, "redis-rest", "--listen", str(rest_port), "--redis", str(redis_port), "--authorities", f"{folder}/cert.pem"]
        )
        try:
            wait_for(redis_port)
            wait_for(rest_port)
            print("| commands in a request | connections | Redis, by TLS | the gateway | of it |\n| ---: | ---: | ---: | ---: | ---: |")
            for count in asked.commands:
                for connections in asked.connections:
                    found = {"redis": [], "gateway": []}
                    for _ in range(asked.rounds):
                        parts = [("redis", Redis, redis_port), ("gateway", Gateway, rest_port)]
                        random.shuffle(parts)
                        for name, kind, port in parts:
                            found[name].append(rate(kind, port, f"{folder}/cert.pem", commands(count), connections, asked.seconds))
                    plain, rest = (statistics.median(found[name]) for name in ("redis", "gateway"))
                    print(f"| {count} | {connections} | {plain:,.0f}/s | {rest:,.0f}/s | {100 * rest / plain:.0f} % |", flush=True)
        finally:
            gateway.terminate()
            redis.terminate()
            gateway.wait()
            redis.wait()


if __name__ == "__main__":
    main()
