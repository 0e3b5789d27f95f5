#!/usr/bin/env python3
"""Pages of the console with many errors: bytes and milliseconds of each, by the edge, over TLS.

    python3 benches/console.py PROGRAM ROOT [ISSUES]

The environment at ROOT is up and has had one error (`roadbed ready --only T11` makes one). Its database of errors is filled to ISSUES
issues (100,000) with copies of that one; each page is then asked for twenty times on one connection, by a session of `roadbed console`.
"""

import http.client
import json
import os
import re
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import time
import urllib.parse

PROGRAM, ROOT = sys.argv[1:3]
ISSUES = int(sys.argv[3]) if len(sys.argv) > 3 else 100_000
ROUNDS = 20


def fill():
    book = sqlite3.connect(f"{ROOT}/telemetry/errors/errors.db", timeout=60)
    there = book.execute("SELECT count(*) FROM issues").fetchone()[0]
    (now,) = book.execute("SELECT max(last_seen) FROM issues").fetchone()
    sample = book.execute("SELECT app, issue, release, body FROM events ORDER BY length(body) DESC LIMIT 1").fetchone()
    app, issue, release, body = sample
    culprit = book.execute("SELECT culprit FROM issues WHERE id = ?", (issue,)).fetchone()[0]
    for start in range(there, ISSUES, 5_000):
        with book:
            for at in range(start, min(start + 5_000, ISSUES)):
                seen = now - at * 700
                made = book.execute(
                    "INSERT INTO issues (app, key, way, title, culprit, level, platform, unhandled, status, first_seen, last_seen, events, kept)"
                    " VALUES (?, ?, 1, ?, ?, 'error', 'node', ?, 'open', ?, ?, ?, 1)",
                    (app, os.urandom(16), f"Error {at}: the basket of customer {at * 7919} could not be charged", culprit,
                     at % 3 == 0, seen - 9_000, seen, 1 + at % 900),
                ).lastrowid
                book.execute("INSERT INTO issue_releases VALUES (?, ?, ?, ?, 1)", (made, release or "r1", seen, seen))
                book.execute(
                    "INSERT INTO events (event_id, app, issue, at, received, release, request_id, trace_id, body)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (os.urandom(16), app, made, seen, seen, release, f"bench-{at:08x}", os.urandom(16).hex(), body),
                )
    return book.execute("SELECT count(*), (SELECT count(*) FROM events) FROM issues").fetchone()


class Person:
    def __init__(self):
        made = subprocess.run([PROGRAM, "--root", ROOT, "console", "--json"], capture_output=True, check=True, text=True)
        link = urllib.parse.urlsplit(json.loads(made.stdout)["url"])
        trust = ssl.create_default_context(cafile=f"{ROOT}/tls/ca.pem")
        self.cookies = {}
        self.connection = http.client.HTTPSConnection(link.hostname, link.port, context=trust)
        self.connection._create_connection = lambda address, *rest: socket.create_connection(("127.0.0.1", address[1]))
        self.ask("GET", f"{link.path}?{link.query}")
        token = urllib.parse.parse_qs(link.query)["token"][0]
        form = urllib.parse.urlencode({"token": token, "form": self.cookies["__Host-roadbed-form"]})
        assert self.ask("POST", "/.roadbed/enter", form)[0] == 303

    def ask(self, method, path, form=None):
        headers = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        began = time.perf_counter()
        self.connection.request(method, path, form, headers)
        answer = self.connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, told = value.split(";")[0].split("=", 1)
                self.cookies[key] = told
        return answer.status, body, took


def main():
    issues, events = fill()
    anna = Person()
    first = re.search(rb"/errors/(\d+)", anna.ask("GET", "/errors")[1]).group(1).decode()
    print(f"{issues} issues, {events} events; load {os.getloadavg()[0]:.1f}")
    print("| page | bytes | median | slowest |\n| --- | ---: | ---: | ---: |")
    pages = ["/", "/errors", "/errors?status=all&q=customer+7919", f"/errors/{first}", "/requests/bench-000000ff", "/logs",
             "/gate", "/deployments", "/secrets", "/audit"]
    for path in pages:
        rounds = [anna.ask("GET", path) for _ in range(ROUNDS)]
        assert all(status == 200 for status, _, _ in rounds), (path, rounds[0])
        times = [took for _, _, took in rounds]
        print(f"| `{path}` | {len(rounds[0][1]):,} | {statistics.median(times):.0f} ms | {max(times):.0f} ms |")


main()
