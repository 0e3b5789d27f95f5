/**
 * Everything the storefront reads from outside, at run time, so that one build serves every environment.
 * HOSTNAME, PORT and KEEP_ALIVE_TIMEOUT are read by Next's own server.
 */

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Environment {
  name: string;
  release: string;
  instance: string;
  drainMs: number;
  logLevel: LogLevel;
  apiInternalUrl: string;
  publicSiteUrl: string;
  publicApiUrl: string;
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

/** Reports every fault at once: an operator who mends one variable per restart loses an evening. */
export function readEnvironment(source: Record<string, string | undefined>): Environment {
  const faults: string[] = [];

  const text = (name: string): string => {
    const value = source[name];
    if (!value) faults.push(`${name} is not set`);
    return value ?? "";
  };

  const origin = (name: string): string => {
    const value = text(name);
    if (value && !isOrigin(value)) {
      faults.push(`${name} must be an origin, such as https://www.shop.example (no path, no slash)`);
    }
    return value;
  };

  const oneOf = <Choice extends string>(name: string, choices: readonly Choice[], fallback?: Choice): Choice => {
    const value = fallback === undefined ? text(name) : source[name] || fallback;
    const choice = choices.find((candidate) => candidate === value);
    if (choice === undefined && value) faults.push(`${name} must be one of ${choices.join(", ")}`);
    return choice ?? (choices[0] as Choice);
  };

  const milliseconds = (name: string, fallback: number): number => {
    const value = source[name];
    if (value && !/^[1-9]\d{0,6}$/.test(value)) faults.push(`${name} must be a whole number of milliseconds`);
    return value ? Number(value) : fallback;
  };

  const environment: Environment = {
    name: oneOf("ROADBED_ENVIRONMENT", ["local", "staging", "production", "preview"]),
    release: text("ROADBED_RELEASE"),
    instance: text("ROADBED_INSTANCE"),
    drainMs: milliseconds("ROADBED_DRAIN_MS", 10_000),
    logLevel: oneOf("LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
    apiInternalUrl: origin("API_INTERNAL_URL"),
    publicSiteUrl: origin("PUBLIC_SITE_URL"),
    publicApiUrl: origin("PUBLIC_API_URL"),
  };
  if (faults.length > 0) throw new EnvironmentError(faults);
  return environment;
}

function isOrigin(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && new URL(value).origin === value;
}
