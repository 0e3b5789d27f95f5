/** The life of the server process: refuse to start half configured, and never take for ever to stop. */
import { beginDraining } from "./draining.ts";
import { type Environment, EnvironmentError, EXIT_CONFIGURATION, readEnvironment } from "./environment.ts";
import { lastErrors, watchErrors } from "./errors.ts";
import { log } from "./log.ts";
import { closeConnectionsAsTheyIdle, logRequests } from "./next-server.ts";

export function watchOver(): void {
  const environment = environmentOrExit();
  watchErrors(environment);
  logRequests();
  log("info", "started", { environment: environment.ROADBED_ENVIRONMENT });

  const end = (signal: string) => {
    beginDraining();
    log("info", "draining", { signal, deadline_ms: environment.ROADBED_DRAIN_MS });
    closeConnectionsAsTheyIdle();
    void lastErrors();
    // Next finishes what is under way and exits with 143. This is for the request that never ends.
    setTimeout(() => {
      log("error", "drain deadline passed with requests still open");
      process.exit(1);
    }, environment.ROADBED_DRAIN_MS).unref();
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
}

function environmentOrExit(): Environment {
  try {
    return readEnvironment();
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    log("error", error.message, { faults: error.faults });
    process.exit(EXIT_CONFIGURATION);
  }
}
