/** What went wrong goes where SENTRY_DSN says, with the release and the request that it is of. */
import * as Sentry from "@sentry/node";
import type { Environment } from "./environment.ts";

export interface FailedRequest {
  requestId: string;
  method: string | undefined;
  path: string;
}

export type Report = (error: unknown, request: FailedRequest) => void;

/** Only what errors need: no spans, no copies of requests and their bodies. The same error twice is two errors. */
export function watchErrors(environment: Environment): Report {
  Sentry.init({
    dsn: environment.SENTRY_DSN,
    environment: environment.ROADBED_ENVIRONMENT,
    release: environment.ROADBED_RELEASE,
    serverName: environment.ROADBED_INSTANCE,
    defaultIntegrations: false,
    integrations: [
      Sentry.linkedErrorsIntegration(),
      Sentry.contextLinesIntegration(),
      Sentry.onUncaughtExceptionIntegration(),
      Sentry.onUnhandledRejectionIntegration({ mode: "strict" }),
    ],
    // The edge hands out trace ids. Nobody who is called is told our key.
    tracePropagationTargets: [],
  });
  return (error, { requestId, method, path }) => {
    Sentry.withScope((scope) => {
      scope.setTag("request_id", requestId);
      scope.setTransactionName(`${method} ${path}`);
      Sentry.captureException(error, { mechanism: { type: "http", handled: false } });
    });
  };
}

/** Sends what waits. */
export async function lastErrors(): Promise<void> {
  await Sentry.close(1_000);
}
