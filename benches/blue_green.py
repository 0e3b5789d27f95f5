"""What one would write without Roadbed: two processes side by side, a proxy that is told which of them visitors get, and a careful
script. As careful as ours: the next one is asked until it was ready three times in a row, its page is looked at, the one before
is kept for the way back, and configurations are replaced whole.

nginx is told by a reload, HAProxy by its runtime API, which is the fastest that it has.
"""

import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request

HOST = "www.tiny.localhost"
SLOTS = ("blue", "green")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until(what, holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds} s until {what}")
        time.sleep(0.01)


class BlueGreen:
    """A server in two slots behind a proxy. Subclasses say how the proxy is started and told."""

    def __init__(self, server):
        self.server = server
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="roadbed-bench-peer-"))
        self.port = free_port()
        self.ports = {slot: free_port() for slot in SLOTS}
        self.apps = {}
        self.live = None
        self.ca = self.folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-keyout", self.folder / "key.pem", "-out", self.ca, "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"],
            check=True, stderr=subprocess.DEVNULL,
        )
        (self.folder / "both.pem").write_text(self.ca.read_text() + (self.folder / "key.pem").read_text())

    def url(self):
        return f"https://{HOST}:{self.port}"

    def write(self, version):
        self.version = version

    def other(self):
        return "green" if self.live == "blue" else "blue"

    def deploy(self):
        slot = self.other()
        if slot in self.apps:
            self.apps[slot].terminate()
            self.apps[slot].wait()
        script = self.folder / f"{slot}.js"
        script.write_text(self.server.replace("VERSION", self.version))
        env = {"PATH": os.environ["PATH"], "PORT": str(self.ports[slot]), "ROADBED_KEEP_ALIVE_MS": "75000"}
        self.apps[slot] = subprocess.Popen(["node", script], env=env)
        times = 0
        wanted = f"tiny {self.version}"

        def is_ready():
            nonlocal times
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[slot]}/", timeout=2) as answer:
                    times = times + 1 if answer.read().decode().strip() == wanted else 0
            except OSError:
                times = 0
            if 0 < times < 3:
                time.sleep(0.1)
            return times == 3

        wait_until(f"{slot} is ready", is_ready)
        self.switch(slot)
        self.live = slot

    def rollback(self):
        self.switch(self.other())
        self.live = self.other()

    def begin(self):
        self.proxy = subprocess.Popen(self.command())

        def listens():
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(f"{self.name} listens", listens)

    def end(self):
        for process in [getattr(self, "proxy", None), *self.apps.values()]:
            if process is not None:
                process.terminate()
                process.wait()
        shutil.rmtree(self.folder)


class Nginx(BlueGreen):
    name = "nginx, reloaded"

    def configure(self, slot):
        fresh = self.folder / "nginx.conf.new"
        fresh.write_text(f"""
daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log; worker_processes auto; worker_shutdown_timeout 5s;
events {{ worker_connections 2048; }}
http {{
  access_log {self.folder}/access.log; client_body_temp_path {self.folder}; proxy_temp_path {self.folder};
  fastcgi_temp_path {self.folder}; uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
  map $http_upgrade $wanted {{ default upgrade; '' ''; }}
  upstream app {{ server 127.0.0.1:{self.ports[slot]}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{self.port} ssl; keepalive_requests 1000000;
    ssl_certificate {self.ca}; ssl_certificate_key {self.folder}/key.pem;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_buffering off; proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $wanted;
    }}
  }}
}}""")
        fresh.rename(self.folder / "nginx.conf")

    def command(self):
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def switch(self, slot):
        self.configure(slot)
        if self.live is None:
            self.begin()
        else:
            subprocess.run([*self.command(), "-s", "reload"], check=True, stderr=subprocess.DEVNULL)


class HaProxy(BlueGreen):
    name = "HAProxy, by its runtime API"

    def command(self):
        config = self.folder / "haproxy.cfg"
        config.write_text(f"""
global
  stats socket {self.folder}/api level admin
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  timeout tunnel 1h
  option redispatch
frontend visitors
  bind 127.0.0.1:{self.port} ssl crt {self.folder}/both.pem
  default_backend app
backend app
  server blue 127.0.0.1:{self.ports['blue']} disabled
  server green 127.0.0.1:{self.ports['green']} disabled
""")
        return ["haproxy", "-db", "-q", "-f", str(config)]

    def ask(self, line):
        with socket.socket(socket.AF_UNIX) as api:
            api.connect(str(self.folder / "api"))
            api.sendall(f"{line}\n".encode())
            said = api.recv(4096).decode().strip()
        if said:
            raise SystemExit(f"{line}: {said}")

    def switch(self, slot):
        if self.live is None:
            self.begin()
        # First the one that comes: at no time is there nobody.
        self.ask(f"set server app/{slot} state ready")
        for other in SLOTS:
            if other != slot:
                self.ask(f"set server app/{other} state drain")


def trusting(ca):
    context = ssl.create_default_context(cafile=ca)
    # A certificate that signs itself has no extension that newer versions of Python want of an authority.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context
