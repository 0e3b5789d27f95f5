// Generated from roadbed.toml by `roadbed generate`; edit that.
// biome-ignore-all format: generated
// biome-ignore-all lint: generated

/** What "api" receives from Roadbed, typed and checked. */
import { readFileSync } from "node:fs";

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
  /** Connection to MongoDB as the app's own user, which can read and write this one database */
  readonly MONGODB_URL: string;
  /** Connection to Redis as the app's own user */
  readonly REDIS_URL: string;
  /** How carts come to Redis: over a connection of their own, or over HTTP as with Upstash */
  readonly REDIS_CLIENT: "tcp" | "rest" | undefined;
  /** Where Redis speaks Upstash's REST */
  readonly UPSTASH_REDIS_REST_URL: string | undefined;
  /** The app's own token for that: its user in Redis and the password, as one word */
  readonly UPSTASH_REDIS_REST_TOKEN: string | undefined;
  /** Connection to the Redis that forgets, for what can be made again */
  readonly REDIS_CACHE_URL: string;
  /** Who knows the primary of Redis, as HOST:PORT joined by commas; empty where there is but one */
  readonly REDIS_SENTINELS: string | undefined;
  /** Where object storage speaks S3 with processes of the environment */
  readonly MEDIA_ENDPOINT: string;
  /** Where browsers send pictures, by addresses that the API signed */
  readonly MEDIA_PUBLIC_ENDPOINT: string;
  /** Where pictures are delivered to everybody */
  readonly MEDIA_URL: string;
  /** The same, for processes of the environment */
  readonly MEDIA_INTERNAL_URL: string;
  /** The bucket of product pictures */
  readonly MEDIA_BUCKET: string;
  /** Name of the app's own key for object storage */
  readonly MEDIA_ACCESS_KEY_ID: string;
  /** The app's own key for object storage: it opens the buckets of this environment and no other */
  readonly MEDIA_SECRET_ACCESS_KEY: string;
  /** Certificates, in PEM, by which MongoDB and Redis are recognised: theirs are signed by one of these */
  readonly SERVICES_CA: string;
  /** Every key in Redis starts with this; the user may touch no other */
  readonly REDIS_KEY_PREFIX: string;
  /** Signs session cookies: keys joined by commas, of which the first signs and each verifies */
  readonly SESSION_SECRET: string;
  /** Signs access tokens. Who verifies them gets the public half from the key set */
  readonly JWT_SIGNING_KEY: string;
  /** Where the API itself finds the keys of tokens that another instance signed */
  readonly JWKS_URL: string;
  /** Server key of the payment provider. Without it the API answers that payments are not configured */
  readonly PAYMENT_SECRET_KEY: string | undefined;
  /** Opens POST /debug/error, which fails on demand to prove that errors are seen. Without it the route does not exist */
  readonly FAULT_TOKEN: string | undefined;
  /** Who has it changes pictures of products: what the admin asks for as the key for pictures */
  readonly UPLOAD_TOKEN: string | undefined;
  /** Where the app's own processes report errors, with the app's key */
  readonly SENTRY_DSN: string;
  /** Web pages that may call the API from a browser, joined by commas */
  readonly CORS_ORIGINS: string;
  /** Least important log lines to write */
  readonly LOG_LEVEL: "debug" | "info" | "warn" | "error" | undefined;
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

  /** The file is in memory and this process's alone. */
  const file = (name: string): string | undefined => {
    const path = source[`${name}_FILE`];
    try {
      return path ? readFileSync(path, "utf8") : source[name];
    } catch {
      faults.push(`${name}_FILE cannot be read`);
      return undefined;
    }
  };

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
  const requiredIn = <T>(environments: string[], name: string, text: string | undefined, wants: string, parse: Parse<T>) => {
    if (!text && environments.includes(source.ROADBED_ENVIRONMENT ?? "")) faults.push(`${name} is not set`);
    return optional(name, text, wants, parse);
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
    MONGODB_URL: required("MONGODB_URL", source.MONGODB_URL, "be a mongodb:// URL that names a database", mongoUrl),
    REDIS_URL: required("REDIS_URL", source.REDIS_URL, "be a redis:// or rediss:// URL", redisUrl),
    REDIS_CLIENT: optional("REDIS_CLIENT", source.REDIS_CLIENT, "be one of tcp, rest", oneOf(["tcp", "rest"])),
    UPSTASH_REDIS_REST_URL: optional("UPSTASH_REDIS_REST_URL", source.UPSTASH_REDIS_REST_URL, "be an absolute URL", url),
    UPSTASH_REDIS_REST_TOKEN: optional("UPSTASH_REDIS_REST_TOKEN", source.UPSTASH_REDIS_REST_TOKEN, "be a text", anyText),
    REDIS_CACHE_URL: required("REDIS_CACHE_URL", source.REDIS_CACHE_URL, "be a redis:// or rediss:// URL", redisUrl),
    REDIS_SENTINELS: optional("REDIS_SENTINELS", source.REDIS_SENTINELS, "match [^:,]+:[0-9]+(,[^:,]+:[0-9]+)*", matching(/^(?:[^:,]+:[0-9]+(,[^:,]+:[0-9]+)*)$/u, anyText)),
    MEDIA_ENDPOINT: required("MEDIA_ENDPOINT", source.MEDIA_ENDPOINT, "be an absolute URL", url),
    MEDIA_PUBLIC_ENDPOINT: required("MEDIA_PUBLIC_ENDPOINT", source.MEDIA_PUBLIC_ENDPOINT, "be an absolute URL", url),
    MEDIA_URL: required("MEDIA_URL", source.MEDIA_URL, "be an absolute URL", url),
    MEDIA_INTERNAL_URL: required("MEDIA_INTERNAL_URL", source.MEDIA_INTERNAL_URL, "be an absolute URL", url),
    MEDIA_BUCKET: required("MEDIA_BUCKET", source.MEDIA_BUCKET, "be a text", anyText),
    MEDIA_ACCESS_KEY_ID: required("MEDIA_ACCESS_KEY_ID", source.MEDIA_ACCESS_KEY_ID, "be a text", anyText),
    MEDIA_SECRET_ACCESS_KEY: required("MEDIA_SECRET_ACCESS_KEY", source.MEDIA_SECRET_ACCESS_KEY, "be a text", anyText),
    SERVICES_CA: required("SERVICES_CA", file("SERVICES_CA"), "be a text", anyText),
    REDIS_KEY_PREFIX: required("REDIS_KEY_PREFIX", source.REDIS_KEY_PREFIX, "match [A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)*:", matching(/^(?:[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)*:)$/u, anyText)),
    SESSION_SECRET: required("SESSION_SECRET", source.SESSION_SECRET, "match .{32,}", matching(/^(?:.{32,})$/u, anyText)),
    JWT_SIGNING_KEY: required("JWT_SIGNING_KEY", source.JWT_SIGNING_KEY, "be a private Ed25519 key as a JSON Web Key with a kid", jwk),
    JWKS_URL: required("JWKS_URL", source.JWKS_URL, "be an absolute URL", url),
    PAYMENT_SECRET_KEY: requiredIn(["staging", "production"], "PAYMENT_SECRET_KEY", file("PAYMENT_SECRET_KEY"), "be a text of the form that this environment wants", matchingIn({ production: /^(?:sk_live_[A-Za-z0-9_]+)$/u }, /^(?:sk_test_[A-Za-z0-9_]+)$/u, source.ROADBED_ENVIRONMENT, anyText)),
    FAULT_TOKEN: optional("FAULT_TOKEN", source.FAULT_TOKEN, "be a text", anyText),
    UPLOAD_TOKEN: optional("UPLOAD_TOKEN", source.UPLOAD_TOKEN, "be a text", anyText),
    SENTRY_DSN: required("SENTRY_DSN", source.SENTRY_DSN, "match http://[0-9a-f]+@[^/]+/[0-9]+", matching(/^(?:http:\/\/[0-9a-f]+@[^\/]+\/[0-9]+)$/u, anyText)),
    CORS_ORIGINS: required("CORS_ORIGINS", source.CORS_ORIGINS, "match https://[^/,]+(,https://[^/,]+)*", matching(/^(?:https:\/\/[^\/,]+(,https:\/\/[^\/,]+)*)$/u, anyText)),
    LOG_LEVEL: optional("LOG_LEVEL", source.LOG_LEVEL, "be one of debug, info, warn, error", oneOf(["debug", "info", "warn", "error"])),
  };
  if (faults.length > 0) throw new EnvironmentError(faults);
  return environment;
}

/** A host name, or an address of IPv4 or IPv6. */
function host(text: string): string | undefined {
  const name = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/iu;
  return name.test(text) || (text.includes(":") && URL.canParse(`http://[${text}]/`)) ? text : undefined;
}

/** A private key as RFC 8037 writes it, and the name of its public half. */
function jwk(text: string): string | undefined {
  try {
    const { kty, crv, kid, x, d } = JSON.parse(text) as Record<string, unknown>;
    const points = [x, d].every((point) => typeof point === "string" && /^[A-Za-z0-9_-]{43}$/u.test(point));
    return kty === "OKP" && crv === "Ed25519" && typeof kid === "string" && kid !== "" && points ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Environments may want more of a value than others. */
function matchingIn<T>(
  own: Partial<Record<string, RegExp>>,
  everywhere: RegExp | undefined,
  environment: string | undefined,
  parse: (text: string) => T | undefined,
): (text: string) => T | undefined {
  return matching(own[environment ?? ""] ?? everywhere ?? /^/u, parse);
}

/** Without a database in the path drivers silently pick "test". */
function mongoUrl(text: string): string | undefined {
  return /^mongodb(\+srv)?:\/\/[^/\s]+\/[^/?\s]+(\?\S*)?$/u.test(text) ? text : undefined;
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

function redisUrl(text: string): string | undefined {
  return /^rediss?:\/\/[^/\s]+/u.test(text) && URL.canParse(text) ? text : undefined;
}

function url(text: string): string | undefined {
  return URL.canParse(text) && new URL(text).host !== "" ? text : undefined;
}
