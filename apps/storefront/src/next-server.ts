/** A view of Next's HTTP server, which Next itself does not hand out: Node's diagnostics channel announces every request with its server. */
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { log } from "./log.ts";
import { REQUEST_ID } from "./request-id.ts";

interface RequestStart {
  request: IncomingMessage;
  response: ServerResponse;
  server: Server;
}

// Asked by the edge each second, or files that never change: one line each would bury the customers.
const QUIET_PATHS = /^\/(health$|ready$|icon\.svg$|_next\/)/;
const SWEEP_MS = 50;

let server: Server | undefined;
let draining = false;

export function logRequests(): void {
  subscribe("http.server.request.start", (message) => {
    const { request, response, server: announced } = message as RequestStart;
    server = announced;
    // Tells the edge not to pool this connection: the process behind it is about to end.
    if (draining) response.setHeader("connection", "close");

    const start = performance.now();
    response.on("close", () => {
      const path = (request.url ?? "/").split("?")[0] ?? "/";
      log(QUIET_PATHS.test(path) ? "debug" : "info", "request", {
        request_id: response.getHeader(REQUEST_ID) ?? request.headers[REQUEST_ID],
        method: request.method,
        path,
        status: response.statusCode,
        ms: Math.round(performance.now() - start),
        ...(response.writableFinished ? {} : { aborted: true }),
      });
    });
  });
}

/** Next stops accepting by itself, but waits for connections that merely idle in the edge's pool; we close those. */
export function closeConnectionsAsTheyIdle(): void {
  draining = true;
  setInterval(() => server?.closeIdleConnections(), SWEEP_MS).unref();
}
