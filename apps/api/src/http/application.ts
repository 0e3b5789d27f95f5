/** The listener behind the server: identifies the request, finds its route, turns what is thrown into a problem, logs one line. */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { FailedRequest, Report } from "../errors.ts";
import { describe, type Log } from "../log.ts";
import { StoreUnavailable } from "../shop.ts";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { Exchange, send } from "./exchange.ts";
import { Problem } from "./problem.ts";
import { requestIdFrom } from "./request-id.ts";
import { match, type Route } from "./router.ts";
import { traceIdFrom } from "./trace.ts";

export interface ApplicationOptions {
  routes: Route[];
  corsOrigins: string[];
  isDraining: () => boolean;
  report: Report;
  log: Log;
}

// Asked by the edge each second: one line per probe would bury the customers.
const QUIET_PATHS = ["/health", "/ready"];

export function createApplication(options: ApplicationOptions): RequestListener {
  const { routes, corsOrigins, isDraining, report } = options;

  return async (request, response) => {
    const start = performance.now();
    const requestId = requestIdFrom(request.headers["x-request-id"]?.toString());
    const log = options.log.with({
      request_id: requestId,
      trace_id: traceIdFrom(request.headers.traceparent?.toString()),
    });
    const path = (request.url ?? "/").split("?")[0] ?? "/";

    response.on("close", () => {
      const level = QUIET_PATHS.includes(path) ? "debug" : "info";
      log[level]("request", {
        method: request.method,
        path,
        status: response.statusCode,
        ms: Math.round(performance.now() - start),
        // The client went away before the answer was complete. Normal for /events, worth knowing elsewhere.
        ...(response.writableFinished ? {} : { aborted: true }),
      });
    });

    response.setHeader("x-request-id", requestId);
    for (const [name, value] of Object.entries(corsHeaders(corsOrigins, request.headers.origin))) {
      response.setHeader(name, value);
    }
    // Tells the edge not to pool this connection: the process behind it is about to end.
    if (isDraining()) response.setHeader("connection", "close");

    try {
      await dispatch(routes, request, response, requestId, path, log);
    } catch (error) {
      answerError(error, response, { requestId, method: request.method, path }, report, log);
    } finally {
      // An unread body would sit in the socket and be parsed as the next request's beginning.
      request.resume();
    }
  };
}

async function dispatch(
  routes: Route[],
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  path: string,
  log: Log,
): Promise<void> {
  const found = match(routes, request.method ?? "GET", path);
  if (found.outcome === "unknown_path") throw new Problem(404, `there is nothing at ${path}`);
  if (request.method === "OPTIONS") {
    response.writeHead(204, preflightHeaders(found.methods)).end();
    return;
  }
  if (found.outcome === "wrong_method") {
    const allow = [...found.methods, "OPTIONS"].join(", ");
    throw new Problem(405, `${path} answers to ${allow}`, { allow });
  }
  await found.handler(new Exchange(request, response, requestId, found.params, log));
}

function answerError(error: unknown, response: ServerResponse, request: FailedRequest, report: Report, log: Log): void {
  const problem = problemFor(error);
  if (error instanceof StoreUnavailable) log.warn("store unavailable", describe(error));
  else if (problem.status === 500) {
    log.error("request failed", { ...describe(error), stack: error instanceof Error ? error.stack : undefined });
    report(error, request);
  }

  if (response.headersSent) {
    // Half an answer is out. Cutting the connection is the only honest way left to say that it failed.
    response.destroy();
    return;
  }
  send(response, problem.status, problem.body(request.requestId), {
    "content-type": "application/problem+json",
    ...problem.headers,
  });
}

function problemFor(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof StoreUnavailable) return new Problem(503, `${error.message}, try again`, { "retry-after": "1" });
  return new Problem(500, "the request failed and the fault has been logged");
}
