/** Everything the api reads from outside. Nothing else in the program touches `process.env`. */
import { MongoClient } from "mongodb";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Environment {
  host: string;
  port: number;
  name: string;
  release: string;
  instance: string;
  keepAliveMs: number;
  drainMs: number;
  logLevel: LogLevel;
  mongodbUrl: string;
  redisUrl: string;
  redisKeyPrefix: string;
  sessionSecret: string;
  /** Signs nothing until the shop has accounts. Demanded today, so that its absence stops a deploy and not the first login. */
  jwtSecret: string;
  corsOrigins: string[];
  paymentSecretKey: string | undefined;
  faultToken: string | undefined;
}

/** What sysexits.h calls EX_CONFIG: a restart will not help, so a supervisor must not try. */
export const EXIT_CONFIGURATION = 78;

export class EnvironmentError extends Error {
  readonly faults: string[];

  constructor(faults: string[]) {
    super(`the environment has ${faults.length} fault${faults.length === 1 ? "" : "s"}`);
    this.name = "EnvironmentError";
    this.faults = faults;
  }
}

/** Reports every fault at once: an operator who mends one variable per restart loses an evening. Values are never quoted, they may be secrets. */
export function readEnvironment(source: Record<string, string | undefined>): Environment {
  const faults: string[] = [];

  const optional = (name: string): string | undefined => source[name] || undefined;

  const text = (name: string): string => {
    const value = optional(name);
    if (value === undefined) faults.push(`${name} is not set`);
    return value ?? "";
  };

  const integer = (name: string, least: number, most: number, fallback?: number): number => {
    const value = fallback === undefined ? text(name) : optional(name);
    if (!value) return fallback ?? 0;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= least && number <= most)) faults.push(`${name} must be a whole number from ${least} to ${most}`);
    return number;
  };

  const oneOf = <Choice extends string>(name: string, choices: readonly Choice[], fallback?: Choice): Choice => {
    const value = fallback === undefined ? text(name) : (optional(name) ?? fallback);
    const choice = choices.find((candidate) => candidate === value);
    if (choice === undefined && value) faults.push(`${name} must be one of ${choices.join(", ")}`);
    return choice ?? (choices[0] as Choice);
  };

  const matching = (name: string, holds: (value: string) => boolean, demand: string): string => {
    const value = text(name);
    if (value && !holds(value)) faults.push(`${name} must be ${demand}`);
    return value;
  };

  // 32 characters of base64 or hex are at least 128 bits, below which an HMAC key can be searched for.
  const secret = (name: string): string =>
    matching(name, (value) => value.length >= 32, "a secret of at least 32 characters");

  const environment: Environment = {
    host: text("HOST"),
    port: integer("PORT", 1, 65_535),
    name: oneOf("ROADBED_ENVIRONMENT", ["local", "staging", "production", "preview"]),
    release: text("ROADBED_RELEASE"),
    instance: text("ROADBED_INSTANCE"),
    keepAliveMs: integer("ROADBED_KEEP_ALIVE_MS", 1_000, 3_600_000, 75_000),
    drainMs: integer("ROADBED_DRAIN_MS", 1, 600_000, 10_000),
    logLevel: oneOf("LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
    mongodbUrl: matching("MONGODB_URL", isMongodbUrl, "a mongodb:// URL that names a database"),
    redisUrl: matching("REDIS_URL", isRedisUrl, "a redis:// or rediss:// URL"),
    redisKeyPrefix: matching(
      "REDIS_KEY_PREFIX",
      (value) => /^[\w-]+(:[\w-]+)*:$/.test(value),
      'words joined and ended by colons, such as "urbancart:local:"',
    ),
    sessionSecret: secret("SESSION_SECRET"),
    jwtSecret: secret("JWT_SECRET"),
    corsOrigins: [],
    paymentSecretKey: optional("PAYMENT_SECRET_KEY"),
    faultToken: optional("FAULT_TOKEN"),
  };

  environment.corsOrigins = text("CORS_ORIGINS")
    .split(",")
    .map((origin) => origin.trim())
    .filter((origin) => origin !== "");
  if (!environment.corsOrigins.every(isOrigin)) {
    faults.push("CORS_ORIGINS must be a comma list of origins, such as https://www.shop.example (no path, no slash)");
  }

  if (faults.length > 0) throw new EnvironmentError(faults);
  return environment;
}

function isMongodbUrl(value: string): boolean {
  // Without a database in the path the driver silently picks "test".
  if (!/^mongodb(\+srv)?:\/\/[^/]+\/[^/?]+/.test(value)) return false;
  try {
    new MongoClient(value); // Parses and checks every option; connects to nothing.
    return true;
  } catch {
    return false;
  }
}

function isRedisUrl(value: string): boolean {
  return URL.canParse(value) && ["redis:", "rediss:"].includes(new URL(value).protocol);
}

function isOrigin(value: string): boolean {
  return URL.canParse(value) && new URL(value).origin === value;
}
