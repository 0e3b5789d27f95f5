/** One JSON object per line on stdout. The keys `time`, `level` and `msg` come first; a reader's eye finds them there. */
import type { Environment } from "./environment.ts";

export type LogLevel = NonNullable<Environment["LOG_LEVEL"]>;

export type Fields = Record<string, unknown>;

export interface Log {
  debug(msg: string, fields?: Fields): void;
  info(msg: string, fields?: Fields): void;
  warn(msg: string, fields?: Fields): void;
  error(msg: string, fields?: Fields): void;
  /** The same log with fields that every line carries, such as the request id. */
  with(fields: Fields): Log;
}

const LEVELS: LogLevel[] = ["debug", "info", "warn", "error"];

export function createLog(least: LogLevel, write: (line: string) => void, fields: Fields = {}): Log {
  const at =
    (level: LogLevel) =>
    (msg: string, more: Fields = {}): void => {
      if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
      write(`${JSON.stringify({ time: new Date().toISOString(), level, msg, ...fields, ...more })}\n`);
    };

  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (more) => createLog(least, write, { ...fields, ...more }),
  };
}

/** An error with its chain of causes, outermost first. Drivers hide the useful sentence two causes deep. */
export function describe(error: unknown): Fields {
  const chain: string[] = [];
  let cause = error;
  while (cause instanceof Error && chain.length < 5) {
    chain.push(`${cause.name}: ${cause.message}`);
    cause = cause.cause;
  }
  return { error: chain.join(" <- ") || String(error) };
}
