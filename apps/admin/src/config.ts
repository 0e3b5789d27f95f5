/** Where am I running? The edge writes /config.json at run time, so that one build serves every environment. */

import { type Environment, EnvironmentError, readEnvironment } from "./environment.ts";
import { watchErrors } from "./errors.ts";

export type Config = Environment;

export async function loadConfig(signal?: AbortSignal): Promise<Config> {
  const response = await fetch("/config.json", { cache: "no-store", signal: signal ?? null });
  if (!response.ok) throw new Error(`/config.json answered ${response.status}`);
  // A server that falls back to index.html for unknown paths answers 200 with a page.
  const json: unknown = await response.json().catch(() => undefined);
  const config = parseConfig(json);
  watchErrors(config);
  return config;
}

export function parseConfig(json: unknown): Config {
  try {
    return readEnvironment(json);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    throw new Error(`/config.json has faults: ${error.faults.join(", ")}`);
  }
}
