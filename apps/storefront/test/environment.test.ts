import assert from "node:assert/strict";
import { test } from "node:test";
import { EnvironmentError, readEnvironment } from "../src/environment.ts";

const COMPLETE = {
  ROADBED_ENVIRONMENT: "staging",
  ROADBED_RELEASE: "r1",
  ROADBED_INSTANCE: "storefront-1",
  ROADBED_KEEP_ALIVE_MS: "75000",
  ROADBED_DRAIN_MS: "10000",
  HOST: "127.0.0.1",
  PORT: "4000",
  PUBLIC_URL: "https://www.shop.example",
  API_INTERNAL_URL: "http://127.0.0.1:7001",
  PUBLIC_SITE_URL: "https://www.shop.example",
  PUBLIC_API_URL: "https://api.shop.example",
  SENTRY_DSN: "http://0123456789abcdef@127.0.0.1:4318/1",
};

function faultsOf(source: Record<string, string | undefined>): string[] {
  try {
    readEnvironment(source);
    return [];
  } catch (error) {
    assert(error instanceof EnvironmentError);
    return error.faults;
  }
}

test("a complete environment is read, each value as its type", () => {
  const environment = readEnvironment(COMPLETE);
  assert.equal(environment.API_INTERNAL_URL, "http://127.0.0.1:7001");
  assert.equal(environment.ROADBED_DRAIN_MS, 10_000);
  assert.equal(environment.LOG_LEVEL, undefined);
});

test("all faults are reported together", () => {
  assert.equal(faultsOf({}).length, Object.keys(COMPLETE).length);
  assert.deepEqual(faultsOf({ ...COMPLETE, LOG_LEVEL: "chatty", PUBLIC_API_URL: "api.shop.example" }), [
    "LOG_LEVEL must be one of debug, info, warn, error",
    "PUBLIC_API_URL must be an absolute URL",
  ]);
});
