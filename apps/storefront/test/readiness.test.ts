import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadiness } from "../src/readiness.ts";

test("callers share one question, its answer is remembered for a second, and recovery is seen after it", async () => {
  let now = 0;
  let asked = 0;
  let up = false;
  const askApi = async () => {
    asked += 1;
    if (!up) throw new Error("refused");
    return true;
  };
  const isReady = createReadiness({ askApi, now: () => now });

  assert.deepEqual(await Promise.all([isReady(), isReady()]), [false, false]);
  up = true;
  now = 999;
  assert.equal(await isReady(), false);
  assert.equal(asked, 1);
  now = 1_000;
  assert.equal(await isReady(), true);
});
