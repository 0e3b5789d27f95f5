import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadiness } from "../src/readiness.ts";

const answers = async () => {};
const refuses = async () => {
  throw new Error("down");
};
const neverAnswers = () => new Promise<void>(() => {});

test("ready only when both stores answer", async () => {
  const both = await createReadiness({ mongodb: answers, redis: answers, isDraining: () => false })();
  assert.equal(both.status, "ready");

  const one = await createReadiness({ mongodb: answers, redis: refuses, isDraining: () => false })();
  assert.equal(one.status, "unready");
  assert.equal(one.mongodb.ok, true);
  assert.equal(one.redis.ok, false);
});

test("a probe that never answers is cut off", async () => {
  const readiness = createReadiness({ mongodb: neverAnswers, redis: answers, isDraining: () => false, timeoutMs: 5 });
  assert.equal((await readiness()).mongodb.ok, false);
});

test("a probe that throws at once counts as a refusal", async () => {
  const throws = () => {
    throw new Error("closed");
  };
  const readiness = createReadiness({ mongodb: throws, redis: answers, isDraining: () => false });
  assert.equal((await readiness()).mongodb.ok, false);
});

test("callers share one probe, its answer is remembered for a second, and recovery is seen after it", async () => {
  let now = 0;
  let probes = 0;
  let up = false;
  const mongodb = async () => {
    probes += 1;
    if (!up) throw new Error("down");
  };
  const readiness = createReadiness({ mongodb, redis: answers, isDraining: () => false, now: () => now });

  const together = await Promise.all([readiness(), readiness(), readiness()]);
  assert.deepEqual(
    together.map((answer) => answer.status),
    ["unready", "unready", "unready"],
  );
  up = true;
  now = 99;
  assert.equal((await readiness()).status, "unready");
  assert.equal(probes, 1);
  now = 100;
  assert.equal((await readiness()).status, "ready");
  assert.equal(probes, 2);
});

test("draining is told at once, whatever is remembered", async () => {
  let draining = false;
  const readiness = createReadiness({ mongodb: answers, redis: answers, isDraining: () => draining, now: () => 0 });
  assert.equal((await readiness()).status, "ready");
  draining = true;
  assert.equal((await readiness()).status, "draining");
});

test("readiness is remembered for half a second", async () => {
  let now = 0;
  let probes = 0;
  const mongodb = async () => {
    probes += 1;
  };
  const readiness = createReadiness({ mongodb, redis: answers, isDraining: () => false, now: () => now });
  await readiness();
  now = 499;
  await readiness();
  assert.equal(probes, 1);
  now = 500;
  await readiness();
  assert.equal(probes, 2);
});
