/** Writes down an error that escaped a page. The visitor saw error.tsx and a digest. */
import { describe, log } from "./log.ts";
import { REQUEST_ID } from "./request-id.ts";
import { TRACEPARENT, traceIdFrom } from "./trace.ts";

interface FailedRequest {
  path: string;
  method: string;
  headers: Record<string, string | string[] | undefined>;
}

export function report(error: unknown, request: FailedRequest): void {
  log("error", "request failed", {
    request_id: String(request.headers[REQUEST_ID]),
    trace_id: traceIdFrom(String(request.headers[TRACEPARENT] ?? "")),
    method: request.method,
    path: request.path.split("?")[0],
    error: describe(error),
    digest: (error as { digest?: string }).digest,
    stack: error instanceof Error ? error.stack : undefined,
  });
}
