/** What went wrong in the server goes where SENTRY_DSN says, with the release and the request that it is of. */
import * as Sentry from "@sentry/node";
import type { Environment } from "./environment.ts";

export interface FailedRequest {
  requestId: string;
  traceId: string | undefined;
  method: string;
  path: string;
}

/** Only what errors need: no spans, no copies of requests and their bodies. The same error twice is two errors. */
export function watchErrors(environment: Environment): void {
  Sentry.init({
    dsn: environment.SENTRY_DSN,
    environment: environment.ROADBED_ENVIRONMENT,
    release: environment.ROADBED_RELEASE,
    serverName: environment.ROADBED_INSTANCE,
    defaultIntegrations: false,
    integrations: [
      Sentry.linkedErrorsIntegration(),
      Sentry.onUncaughtExceptionIntegration(),
      Sentry.onUnhandledRejectionIntegration({ mode: "warn" }),
    ],
    // The edge hands out trace ids. Nobody who is called is told our key.
    tracePropagationTargets: [],
  });
}

/** An error that escaped a page. */
export function reportError(error: unknown, { requestId, traceId, method, path }: FailedRequest): void {
  Sentry.withScope((scope) => {
    scope.setTag("request_id", requestId);
    if (traceId !== undefined) scope.setTag("trace_id", traceId);
    scope.setTransactionName(`${method} ${path}`);
    Sentry.captureException(error, { mechanism: { type: "http", handled: false } });
  });
}

/** Sends what waits. */
export async function lastErrors(): Promise<void> {
  await Sentry.close(1_000);
}
