/** Writes down and reports an error that escaped a page. The visitor saw error.tsx and a digest. */
import { reportError } from "./errors.ts";
import { describe, log } from "./log.ts";
import { REQUEST_ID } from "./request-id.ts";
import { TRACEPARENT, traceIdFrom } from "./trace.ts";

interface FailedRequest {
  path: string;
  method: string;
  headers: Record<string, string | string[] | undefined>;
}

export function report(error: unknown, request: FailedRequest): void {
  const requestId = String(request.headers[REQUEST_ID]);
  const traceId = traceIdFrom(String(request.headers[TRACEPARENT] ?? ""));
  const path = request.path.split("?")[0] ?? "/";
  reportError(error, { requestId, traceId, method: request.method, path });
  log("error", "request failed", {
    request_id: requestId,
    trace_id: traceId,
    method: request.method,
    path,
    error: describe(error),
    digest: (error as { digest?: string }).digest,
    stack: error instanceof Error ? error.stack : undefined,
  });
}
