import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadiness } from "../src/readiness.ts";

test("callers share one question, a yes is remembered for a second, and a no for a tenth of one", async () => {
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
  assert.equal(asked, 1);
  up = true;
  now = 99;
  assert.equal(await isReady(), false);
  now = 100;
  assert.equal(await isReady(), true);
  up = false;
  now = 1_099;
  assert.equal(await isReady(), true);
  assert.equal(asked, 2);
  now = 1_100;
  assert.equal(await isReady(), false);
});
