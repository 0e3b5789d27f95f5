/** One JSON object per line on stdout. The keys `time`, `level` and `msg` come first; a reader's eye finds them there. */
import type { Environment } from "./environment.ts";

type LogLevel = NonNullable<Environment["LOG_LEVEL"]>;

const LEVELS: LogLevel[] = ["debug", "info", "warn", "error"];

export type Fields = Record<string, unknown>;

export function log(level: LogLevel, msg: string, fields: Fields = {}): void {
  // Already validated at start; read here because Next bundles this module several times and they share only the process.
  const least = LEVELS.indexOf((process.env.LOG_LEVEL || "info") as LogLevel);
  if (LEVELS.indexOf(level) < least) return;
  const { ROADBED_INSTANCE: instance, ROADBED_RELEASE: release } = process.env;
  process.stdout.write(
    `${JSON.stringify({ time: new Date().toISOString(), level, msg, app: "storefront", instance, release, ...fields })}\n`,
  );
}

/** An error with its chain of causes, outermost first: fetch hides "connection refused" one cause deep. */
export function describe(error: unknown): string {
  const chain: string[] = [];
  let cause = error;
  while (cause instanceof Error && chain.length < 5) {
    chain.push(`${cause.name}: ${cause.message}`);
    cause = cause.cause;
  }
  return chain.join(" <- ") || String(error);
}
