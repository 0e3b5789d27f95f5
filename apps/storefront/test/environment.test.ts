import assert from "node:assert/strict";
import { test } from "node:test";
import { EnvironmentError, readEnvironment } from "../src/environment.ts";

const COMPLETE = {
  ROADBED_ENVIRONMENT: "staging",
  ROADBED_RELEASE: "r1",
  ROADBED_INSTANCE: "storefront-1",
  API_INTERNAL_URL: "http://127.0.0.1:7001",
  PUBLIC_SITE_URL: "https://www.shop.example",
  PUBLIC_API_URL: "https://api.shop.example",
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

test("a complete environment is read, with defaults for what may be absent", () => {
  const environment = readEnvironment(COMPLETE);
  assert.equal(environment.apiInternalUrl, "http://127.0.0.1:7001");
  assert.equal(environment.drainMs, 10_000);
  assert.equal(environment.logLevel, "info");
});

test("all faults are reported together", () => {
  assert.equal(faultsOf({}).length, Object.keys(COMPLETE).length);
  assert.deepEqual(faultsOf({ ...COMPLETE, LOG_LEVEL: "chatty", PUBLIC_API_URL: "api.shop.example" }), [
    "LOG_LEVEL must be one of debug, info, warn, error",
    "PUBLIC_API_URL must be an origin, such as https://www.shop.example (no path, no slash)",
  ]);
});
