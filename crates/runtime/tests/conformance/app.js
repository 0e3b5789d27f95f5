// What instances of the conformance suite run: tells by HTTP what it sees of itself, or misbehaves as its argument says.
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const net = require("node:net");
const behaviour = process.argv[2];

const attempt = (what) => {
    try {
        what();
        return "done";
    } catch (error) {
        return error.code ?? String(error);
    }
};

const first = (...files) => {
    const there = files.map((file) => `/sys/fs/cgroup/${file}`).find((file) => fs.existsSync(file));
    return there ? fs.readFileSync(there, "utf8").trim().split(" ")[0] : null;
};

const told = () => ({
    uid: process.getuid(),
    first: fs.readFileSync("/proc/1/comm", "utf8").trim(),
    status: fs.readFileSync("/proc/self/status", "utf8"),
    given: process.env.GIVEN ?? null,
    shown: process.env.SHOWN ?? null,
    environ: fs.readFileSync("/proc/self/environ", "utf8"),
    root: attempt(() => fs.writeFileSync("/app/written", "x")),
    temporary: attempt(() => fs.writeFileSync("/tmp/written", "x")),
    // Of control groups of the first version, or of the second.
    processes: first("pids/pids.max", "pids.max"),
    memory: first("memory/memory.limit_in_bytes", "memory.max"),
    cpu: first("cpu/cpu.cfs_quota_us", "cpu.max"),
    tooMuch: attempt(() => fs.writeFileSync("/tmp/much", Buffer.alloc(12 << 20))),
});

console.log(`begins as ${behaviour}`);
process.on("SIGTERM", () => {
    console.log("is asked to end");
    if (behaviour !== "stubborn") process.exit(0);
});
if (behaviour === "ends") {
    console.error("has nothing to do");
    process.exit(3);
}
if (behaviour === "greedy") {
    const taken = [];
    setInterval(() => taken.push(Buffer.alloc(16 << 20, 1)), 5);
}
if (behaviour === "chatty") {
    let number = 0;
    setInterval(() => {
        for (let i = 0; i < 5; i++) {
            number += 1;
            (number % 3 === 0 ? process.stderr : process.stdout).write(`line ${number}\n`);
        }
    }, 20);
}
if (behaviour === "long") {
    process.stdout.write(`${"a".repeat(40_000)}b\nshort\n`);
}
if (behaviour !== "mute") {
    http.createServer((request, response) => {
        if (behaviour === "unready" && request.url === "/ready") {
            response.writeHead(503).end();
            return;
        }
        if (request.url.startsWith("/reach/")) {
            const [host, port] = request.url.slice("/reach/".length).split(":");
            const socket = net.connect({ host, port: Number(port), timeout: 2000 });
            const say = (what) => {
                socket.destroy();
                response.end(JSON.stringify(what));
            };
            socket.on("connect", () => say("reached")).on("error", (error) => say(error.code)).on("timeout", () => say("silence"));
            return;
        }
        response.end(JSON.stringify(told()));
    }).listen(8080);
} else {
    setInterval(() => {}, 1000);
}
