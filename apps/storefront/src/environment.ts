// Generated from roadbed.toml by `roadbed generate`; edit that.
// biome-ignore-all format: generated
// biome-ignore-all lint: generated

/** What "storefront" receives from Roadbed, typed and checked. */
export interface Environment {
  /** Address to listen on */
  readonly HOST: string;
  /** Port to listen on */
  readonly PORT: number;
  /** Name of the environment */
  readonly ROADBED_ENVIRONMENT: "local" | "staging" | "production" | "preview";
  /** Id of the release */
  readonly ROADBED_RELEASE: string;
  /** Name of this instance, for example api-1 */
  readonly ROADBED_INSTANCE: string;
  /** How long to keep an idle connection open, in milliseconds */
  readonly ROADBED_KEEP_ALIVE_MS: number;
  /** Longest graceful stop after SIGTERM, in milliseconds */
  readonly ROADBED_DRAIN_MS: number;
  /** This app's public address */
  readonly PUBLIC_URL: string;
  /** Where the app's own processes report errors, with the app's key */
  readonly SENTRY_DSN: string;
  /** Least important log lines to write */
  readonly LOG_LEVEL: "debug" | "info" | "warn" | "error" | undefined;
  /** How the storefront's server reaches the API inside the environment */
  readonly API_INTERNAL_URL: string;
  /** Public address of the storefront */
  readonly PUBLIC_SITE_URL: string;
  /** Public address of the API */
  readonly PUBLIC_API_URL: string;
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

/** Reports every fault at once: an operator who mends one variable per restart loses an evening. No value is ever quoted. */
export function readEnvironment(source: Record<string, string | undefined> = process.env): Environment {
  const faults: string[] = [];

  type Parse<T> = (text: string) => T | undefined;
  const optional = <T>(name: string, text: string | undefined, wants: string, parse: Parse<T>): T | undefined => {
    // An empty text is not set.
    const value = text ? parse(text) : undefined;
    if (text && value === undefined) faults.push(`${name} must ${wants}`);
    return value;
  };
  const required = <T>(name: string, text: string | undefined, wants: string, parse: Parse<T>): T => {
    if (!text) faults.push(`${name} is not set`);
    return optional(name, text, wants, parse) as T;
  };

  const environment: Environment = {
    HOST: required("HOST", source.HOST, "be a host name or an IP address", host),
    PORT: required("PORT", source.PORT, "be a port from 1 to 65535", port),
    ROADBED_ENVIRONMENT: required("ROADBED_ENVIRONMENT", source.ROADBED_ENVIRONMENT, "be one of local, staging, production, preview", oneOf(["local", "staging", "production", "preview"])),
    ROADBED_RELEASE: required("ROADBED_RELEASE", source.ROADBED_RELEASE, "be a text", anyText),
    ROADBED_INSTANCE: required("ROADBED_INSTANCE", source.ROADBED_INSTANCE, "be a text", anyText),
    ROADBED_KEEP_ALIVE_MS: required("ROADBED_KEEP_ALIVE_MS", source.ROADBED_KEEP_ALIVE_MS, "be a whole number of at most 9007199254740991", integer),
    ROADBED_DRAIN_MS: required("ROADBED_DRAIN_MS", source.ROADBED_DRAIN_MS, "be a whole number of at most 9007199254740991", integer),
    PUBLIC_URL: required("PUBLIC_URL", source.PUBLIC_URL, "be an absolute URL", url),
    SENTRY_DSN: required("SENTRY_DSN", source.SENTRY_DSN, "match http://[0-9a-f]+@[^/]+/[0-9]+", matching(/^(?:http:\/\/[0-9a-f]+@[^\/]+\/[0-9]+)$/u, anyText)),
    LOG_LEVEL: optional("LOG_LEVEL", source.LOG_LEVEL, "be one of debug, info, warn, error", oneOf(["debug", "info", "warn", "error"])),
    API_INTERNAL_URL: required("API_INTERNAL_URL", source.API_INTERNAL_URL, "be an absolute URL", url),
    PUBLIC_SITE_URL: required("PUBLIC_SITE_URL", source.PUBLIC_SITE_URL, "be an absolute URL", url),
    PUBLIC_API_URL: required("PUBLIC_API_URL", source.PUBLIC_API_URL, "be an absolute URL", url),
  };
  if (faults.length > 0) throw new EnvironmentError(faults);
  return environment;
}

/** A host name, or an address of IPv4 or IPv6. */
function host(text: string): string | undefined {
  const name = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/iu;
  return name.test(text) || (text.includes(":") && URL.canParse(`http://[${text}]/`)) ? text : undefined;
}

const anyText = (text: string): string => text;

function integer(text: string): number | undefined {
  const number = Number(text);
  return Number.isSafeInteger(number) && String(number) === text ? number : undefined;
}

function matching<T>(pattern: RegExp, parse: (text: string) => T | undefined): (text: string) => T | undefined {
  return (text) => (pattern.test(text) ? parse(text) : undefined);
}

function oneOf<const Choice extends string>(choices: readonly Choice[]): (text: string) => Choice | undefined {
  return (text) => choices.find((choice) => choice === text);
}

function port(text: string): number | undefined {
  const number = integer(text);
  return number !== undefined && number >= 1 && number <= 65_535 ? number : undefined;
}

function url(text: string): string | undefined {
  return URL.canParse(text) && new URL(text).host !== "" ? text : undefined;
}
