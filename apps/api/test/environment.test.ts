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
  REDIS_URL: "redis://app:pw@127.0.0.1:6379",
  REDIS_KEY_PREFIX: "urbancart:local:",
  SESSION_SECRET: "s".repeat(32),
  JWT_SECRET: "j".repeat(32),
  CORS_ORIGINS: "https://www.shop.example, https://admin.shop.example:8443",
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
  assert.equal(environment.port, 4000);
  assert.equal(environment.keepAliveMs, 75_000);
  assert.equal(environment.drainMs, 10_000);
  assert.equal(environment.logLevel, "info");
  assert.equal(environment.paymentSecretKey, undefined);
  assert.deepEqual(environment.corsOrigins, ["https://www.shop.example", "https://admin.shop.example:8443"]);
});

test("all faults are reported together", () => {
  assert.deepEqual(
    faultsOf({}),
    [
      "HOST",
      "PORT",
      "ROADBED_ENVIRONMENT",
      "ROADBED_RELEASE",
      "ROADBED_INSTANCE",
      "MONGODB_URL",
      "REDIS_URL",
      "REDIS_KEY_PREFIX",
      "SESSION_SECRET",
      "JWT_SECRET",
      "CORS_ORIGINS",
    ].map((name) => `${name} is not set`),
  );
});

const faulty: [name: string, value: string][] = [
  ["PORT", "70000"],
  ["PORT", "80a"],
  ["ROADBED_ENVIRONMENT", "prod"],
  ["ROADBED_DRAIN_MS", "soon"],
  ["LOG_LEVEL", "chatty"],
  ["MONGODB_URL", "mongodb://127.0.0.1:27017/?replicaSet=rs0"],
  ["MONGODB_URL", "mongodb://127.0.0.1:27017/shop?noSuchOption=1"],
  ["REDIS_URL", "http://127.0.0.1"],
  ["REDIS_KEY_PREFIX", "urbancart"],
  ["SESSION_SECRET", "short"],
  ["CORS_ORIGINS", "https://shop.example/"],
];

for (const [name, value] of faulty) {
  test(`${name}=${value} is one fault, and the value is not repeated`, () => {
    const [fault = "", ...others] = faultsOf({ ...COMPLETE, [name]: value });
    assert.deepEqual(others, []);
    assert(fault.startsWith(`${name} must be `));
    assert(!fault.includes(`"${value}"`));
  });
}
