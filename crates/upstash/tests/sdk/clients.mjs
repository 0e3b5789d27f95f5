// What apps do with Upstash's clients, done against a gateway.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";

const url = process.env.UPSTASH_REDIS_REST_URL;
const token = process.env.UPSTASH_REDIS_REST_TOKEN;
const once = (more) => new Redis({ url, token, retry: false, enableTelemetry: false, ...more });
const redis = once({ enableAutoPipelining: false });

test("values come back as they were", async () => {
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.set("shop:text", "ü\n\"\0"), "OK");
  assert.equal(await redis.get("shop:text"), "ü\n\"\0");
  await redis.set("shop:object", { a: [1, "zwei", null] }, { ex: 60 });
  assert.deepEqual(await redis.get("shop:object"), { a: [1, "zwei", null] });
  assert.equal(await redis.get("shop:none"), null);
  assert.equal(await redis.hset("shop:hash", { one: 1, two: "2" }), 2);
  assert.deepEqual(await redis.hgetall("shop:hash"), { one: 1, two: 2 });
  await redis.zadd("shop:zset", { score: 1.5, member: "a" }, { score: 2, member: "b" });
  assert.deepEqual(await redis.zrange("shop:zset", 0, -1, { withScores: true }), ["a", 1.5, "b", 2]);
  assert.equal(await redis.eval("return redis.call('get', KEYS[1])", ["shop:text"], []), "ü\n\"\0");
});

test("a number beyond 2^53 keeps its digits", async () => {
  const plain = once({ automaticDeserialization: false });
  await redis.set("shop:large", "9007199254740993");
  assert.equal(await plain.get("shop:large"), "9007199254740993");
});

test("ten megabytes", async () => {
  const large = "x".repeat(10 * 1024 * 1024);
  await redis.set("shop:ten", large);
  assert.equal(await redis.get("shop:ten"), large);
  await redis.del("shop:ten");
});

test("a pipeline and a transaction", async () => {
  const answers = await redis.pipeline().set("shop:p", 1).incr("shop:p").get("shop:p").exec();
  assert.deepEqual(answers, ["OK", 2, 2]);
  const kept = await redis.pipeline().incr("shop:p").lpush("shop:p", "x").exec({ keepErrors: true });
  assert.equal(kept[0].result, 3);
  assert.match(kept[1].error, /WRONGTYPE/);
  const all = await Promise.all(
    Array.from({ length: 20 }, () => redis.multi().incr("shop:m").incr("shop:m").exec()),
  );
  for (const [first, second] of all) assert.equal(second, first + 1);
});

test("automatic pipelining", async () => {
  const client = once({ enableAutoPipelining: true });
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => client.set(`shop:auto:${n}`, n)));
  assert.ok(answers.every((answer) => answer === "OK"));
  assert.equal(await client.get("shop:auto:99"), 99);
});

test("errors have Redis's words", async () => {
  await assert.rejects(redis.lpush("shop:text", "x"), /WRONGTYPE/);
  await assert.rejects(once({ token: "rbrd_wrong" }).get("shop:text"), /WRONGPASS/);
  const reader = once({ token: process.env.READ_ONLY_TOKEN });
  assert.equal(await reader.get("shop:p"), 3);
  await assert.rejects(reader.set("shop:p", 9), /NOPERM/);
});

test("messages arrive, by channel and by pattern", { timeout: 60_000 }, async () => {
  const got = [];
  const subscriber = redis.subscribe("shop:news");
  const patterns = redis.psubscribe("shop:*");
  // A user may listen to a pattern that is its own and no narrower one: Redis compares them as texts.
  const ready = [subscriber, patterns].map(
    (one, index) =>
      new Promise((resolve, reject) => {
        one.on(["subscribe", "psubscribe"][index], resolve);
        one.on("error", reject);
      }),
  );
  const done = new Promise((resolve) => {
    const take = (kind) => (event) => {
      got.push(`${kind} ${event.channel} ${JSON.stringify(event.message)}`);
      if (got.length === 3) resolve();
    };
    subscriber.on("message", take("message"));
    patterns.on("pmessage", take("pmessage"));
  });
  await Promise.all(ready);
  await redis.publish("shop:news", { n: 1 });
  await redis.publish("shop:news", "a,b");
  // The client reads the messages of a pattern as JSON alone, so of the second one it says that it is none.
  await done;
  const expected = ['message shop:news "a,b"', 'message shop:news {"n":1}', 'pmessage shop:news {"n":1}'];
  assert.deepEqual(got.toSorted(), expected);
  await subscriber.unsubscribe();
  await patterns.unsubscribe();
});

test("a rate limiter limits", async () => {
  const limiter = new Ratelimit({
    redis,
    limiter: Ratelimit.slidingWindow(5, "60 s"),
    prefix: "shop:limits",
    ephemeralCache: false,
    analytics: false,
  });
  const passed = [];
  for (let n = 0; n < 7; n++) passed.push((await limiter.limit("visitor")).success);
  assert.deepEqual(passed, [true, true, true, true, true, false, false]);
  const bucket = new Ratelimit({ redis, limiter: Ratelimit.tokenBucket(2, "60 s", 2), prefix: "shop:bucket" });
  assert.deepEqual(
    [(await bucket.limit("v")).success, (await bucket.limit("v")).success, (await bucket.limit("v")).success],
    [true, true, false],
  );
});
