import assert from "node:assert/strict";
import { test } from "node:test";
import { EnvironmentError, readEnvironment } from "../src/environment.ts";

const COMPLETE = {
  HOST: "127.0.0.1",
  PORT: "4000",
  ROADBED_ENVIRONMENT: "local",
  ROADBED_RELEASE: "r1",
  ROADBED_INSTANCE: "api-1",
  MONGODB_URL: "mongodb://app:pw@127.0.0.1:27017/urbancart?replicaSet=rs0",
  REDIS_URL: "rediss://app:pw@127.0.0.1:6379",
  REDIS_CACHE_URL: "rediss://app:pw@127.0.0.1:6380",
  REDIS_KEY_PREFIX: "urbancart:local:",
  SERVICES_CA: "-----BEGIN CERTIFICATE-----",
  MEDIA_ENDPOINT: "http://127.0.0.1:9000",
  MEDIA_PUBLIC_ENDPOINT: "https://objects.shop.example",
  MEDIA_URL: "https://media.shop.example",
  MEDIA_INTERNAL_URL: "http://127.0.0.1:9001",
  MEDIA_BUCKET: "urbancart-local-products",
  MEDIA_ACCESS_KEY_ID: "RBEXAMPLE",
  MEDIA_SECRET_ACCESS_KEY: "example",
  ROADBED_KEEP_ALIVE_MS: "75000",
  ROADBED_DRAIN_MS: "10000",
  PUBLIC_URL: "https://api.shop.example",
  SESSION_SECRET: "s".repeat(32),
  JWT_SIGNING_KEY: JSON.stringify({ kty: "OKP", crv: "Ed25519", kid: "k", x: "x".repeat(43), d: "d".repeat(43) }),
  JWKS_URL: "http://127.0.0.1:4001/.well-known/jwks.json",
  SENTRY_DSN: "http://0123456789abcdef@127.0.0.1:4318/1",
  CORS_ORIGINS: "https://www.shop.example,https://admin.shop.example:8443",
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
  assert.equal(environment.PORT, 4000);
  assert.equal(environment.ROADBED_DRAIN_MS, 10_000);
  assert.equal(environment.LOG_LEVEL, undefined);
  assert.equal(environment.PAYMENT_SECRET_KEY, undefined);
});

test("what one environment requires, others do without", () => {
  assert.deepEqual(faultsOf({ ...COMPLETE, ROADBED_ENVIRONMENT: "production" }), ["PAYMENT_SECRET_KEY is not set"]);
});

test("all faults are reported together", () => {
  assert.deepEqual(
    faultsOf({}).toSorted(),
    Object.keys(COMPLETE)
      .map((name) => `${name} is not set`)
      .toSorted(),
  );
});

const faulty: [name: string, value: string][] = [
  ["PORT", "70000"],
  ["PORT", "80a"],
  ["ROADBED_ENVIRONMENT", "prod"],
  ["ROADBED_DRAIN_MS", "soon"],
  ["LOG_LEVEL", "chatty"],
  ["MONGODB_URL", "mongodb://127.0.0.1:27017/?replicaSet=rs0"],
  ["REDIS_URL", "http://127.0.0.1"],
  ["REDIS_KEY_PREFIX", "urbancart"],
  ["SESSION_SECRET", "short"],
  ["CORS_ORIGINS", "https://shop.example/"],
];

for (const [name, value] of faulty) {
  test(`${name}=${value} is one fault, and the value is not repeated`, () => {
    const [fault = "", ...others] = faultsOf({ ...COMPLETE, [name]: value });
    assert.deepEqual(others, []);
    assert(fault.startsWith(`${name} must `));
    assert(!fault.includes(`"${value}"`));
  });
}
