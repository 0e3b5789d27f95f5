// Generated from roadbed.toml by `roadbed generate`; edit that.
// biome-ignore-all format: generated
// biome-ignore-all lint: generated

/** What "admin" receives from Roadbed, in /config.json, typed and checked. */
export interface Environment {
  /** Name of the environment */
  readonly ROADBED_ENVIRONMENT: "local" | "staging" | "production" | "preview";
  /** Id of the release */
  readonly ROADBED_RELEASE: string;
  /** Where pages report errors: by the host that they come from, with a key that every visitor knows */
  readonly PUBLIC_SENTRY_DSN: string;
  /** Public address of the storefront */
  readonly PUBLIC_SITE_URL: string;
  /** Public address of the API */
  readonly PUBLIC_API_URL: string;
}

export class EnvironmentError extends Error {
  readonly faults: string[];

  constructor(faults: string[]) {
    super(`the environment has ${faults.length} fault${faults.length === 1 ? "" : "s"}`);
    this.name = "EnvironmentError";
    this.faults = faults;
  }
}

/** Reports every fault at once: an operator who mends one variable per restart loses an evening. No value is ever quoted. */
export function readEnvironment(json: unknown): Environment {
  const faults: string[] = [];
  const source = (typeof json === "object" && json !== null ? json : {}) as Record<string, string | undefined>;

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
    ROADBED_ENVIRONMENT: required("ROADBED_ENVIRONMENT", source.ROADBED_ENVIRONMENT, "be one of local, staging, production, preview", oneOf(["local", "staging", "production", "preview"])),
    ROADBED_RELEASE: required("ROADBED_RELEASE", source.ROADBED_RELEASE, "be a text", anyText),
    PUBLIC_SENTRY_DSN: required("PUBLIC_SENTRY_DSN", source.PUBLIC_SENTRY_DSN, "match https://[0-9a-f]+@[^/]+/[.a-z/]+/[0-9]+", matching(/^(?:https:\/\/[0-9a-f]+@[^\/]+\/[.a-z\/]+\/[0-9]+)$/u, anyText)),
    PUBLIC_SITE_URL: required("PUBLIC_SITE_URL", source.PUBLIC_SITE_URL, "be an absolute URL", url),
    PUBLIC_API_URL: required("PUBLIC_API_URL", source.PUBLIC_API_URL, "be an absolute URL", url),
  };
  if (faults.length > 0) throw new EnvironmentError(faults);
  return environment;
}

const anyText = (text: string): string => text;

function matching<T>(pattern: RegExp, parse: (text: string) => T | undefined): (text: string) => T | undefined {
  return (text) => (pattern.test(text) ? parse(text) : undefined);
}

function oneOf<const Choice extends string>(choices: readonly Choice[]): (text: string) => Choice | undefined {
  return (text) => choices.find((choice) => choice === text);
}

function url(text: string): string | undefined {
  return URL.canParse(text) && new URL(text).host !== "" ? text : undefined;
}
