/** What breaks in a browser goes where /config.json says, with the release and the last request that the page made. */
import {
  browserSessionIntegration,
  dedupeIntegration,
  getClient,
  globalHandlersIntegration,
  init,
  linkedErrorsIntegration,
  setTag,
} from "@sentry/react";
import type { Config } from "./config.ts";

/** Only what errors need: no copies of what people type or click. */
export function watchErrors(config: Config): void {
  // The configuration is asked for again where it could not be had at once.
  if (getClient() !== undefined) return;
  init({
    dsn: config.PUBLIC_SENTRY_DSN,
    environment: config.ROADBED_ENVIRONMENT,
    release: config.ROADBED_RELEASE,
    defaultIntegrations: false,
    integrations: [
      globalHandlersIntegration(),
      linkedErrorsIntegration(),
      dedupeIntegration(),
      browserSessionIntegration(),
    ],
    tracePropagationTargets: [],
  });
}

/** Errors from now on are of this request: by its id they are found in the API's log too. */
export function errorsAreOf(requestId: string | null): void {
  if (requestId !== null) setTag("request_id", requestId);
}
