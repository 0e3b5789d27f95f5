import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreUnavailable } from "../src/shop.ts";
import { FAULT_TOKEN, jsonBody, SHOP_ORIGIN, start } from "./running-application.ts";
import { catalogueOf } from "./stand-in-stores.ts";

async function assertProblem(response: Response, status: number): Promise<Record<string, unknown>> {
  assert.equal(response.status, status);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  const problem = (await response.json()) as Record<string, unknown>;
  assert.equal(problem.status, status);
  assert.equal(problem.request_id, response.headers.get("x-request-id"));
  for (const field of ["type", "title", "detail"]) assert.equal(typeof problem[field], "string");
  return problem;
}

test("the request id is echoed, logged, and made up when it is absent or wild", async (context) => {
  const { url, lines } = await start(context);
  const named = await fetch(`${url}/products`, { headers: { "x-request-id": "edge-42" } });
  assert.equal(named.headers.get("x-request-id"), "edge-42");
  await named.arrayBuffer();
  assert(lines.some((line) => line.request_id === "edge-42" && line.status === 200 && line.path === "/products"));

  const wild = await fetch(`${url}/products`, { headers: { "x-request-id": '"}{"' } });
  assert.match(wild.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
});

test("unknown paths are 404, wrong methods 405 with Allow", async (context) => {
  const { url } = await start(context);
  await assertProblem(await fetch(`${url}/nowhere`), 404);
  const wrong = await fetch(`${url}/cart`, { method: "POST" });
  assert.equal(wrong.headers.get("allow"), "GET, HEAD, DELETE, OPTIONS");
  await assertProblem(wrong, 405);
});

test("bodies must be small JSON objects", async (context) => {
  const { url } = await start(context);
  const put = (init: RequestInit) => fetch(`${url}/cart/items/enamel-mug`, { method: "PUT", ...init });
  const json = { "content-type": "application/json" };
  await assertProblem(await put({ body: "quantity=1", headers: { "content-type": "text/plain" } }), 415);
  await assertProblem(await put({ body: "{", headers: json }), 400);
  await assertProblem(await put({ body: "[]", headers: json }), 400);
  await assertProblem(await put({ body: "", headers: json }), 400);
  await assertProblem(await put({ body: `{"x":"${"y".repeat(65 * 1024)}"}`, headers: json }), 413);

  const unannounced = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 70; i += 1) controller.enqueue(Buffer.alloc(1024, 32));
      controller.close();
    },
  });
  await assertProblem(await put({ body: unannounced, headers: json, duplex: "half" } as RequestInit), 413);
});

test("only listed origins may call with cookies", async (context) => {
  const { url } = await start(context);
  const preflight = (origin: string) =>
    fetch(`${url}/cart/items/enamel-mug`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "PUT" },
    });

  const ours = await preflight(SHOP_ORIGIN);
  assert.equal(ours.status, 204);
  assert.equal(ours.headers.get("access-control-allow-origin"), SHOP_ORIGIN);
  assert.equal(ours.headers.get("access-control-allow-credentials"), "true");
  assert.equal(ours.headers.get("access-control-allow-methods"), "PUT");

  const theirs = await preflight("https://evil.example");
  assert.equal(theirs.headers.get("access-control-allow-origin"), null);
  assert.equal(theirs.headers.get("vary"), "Origin");
});

test("a store that is away is a 503 that may be retried", async (context) => {
  const catalogue = {
    ...catalogueOf(),
    list: () => Promise.reject(new StoreUnavailable("mongodb", new Error("gone"))),
  };
  const { url } = await start(context, { catalogue });
  const response = await fetch(`${url}/products`);
  assert.equal(response.headers.get("retry-after"), "1");
  await assertProblem(response, 503);
});

test("an unexpected error is a 500 that tells the stranger nothing and the log everything", async (context) => {
  const { url, lines, reports } = await start(context);
  const fail = (token: string) => fetch(`${url}/debug/error`, { method: "POST", headers: { "x-fault-token": token } });
  await assertProblem(await fail("guess"), 404);

  const problem = await assertProblem(await fail(FAULT_TOKEN), 500);
  assert(!JSON.stringify(problem).includes("injected"));
  const line = lines.find((candidate) => candidate.level === "error");
  assert.equal(line?.request_id, problem.request_id);
  assert.match(String(line?.stack), /faults\.ts/);
  // What was refused to a stranger is no error of ours.
  assert.deepEqual(reports, [{ requestId: problem.request_id, method: "POST", path: "/debug/error" }]);
});

test("a login is always refused, and the password stays out of the log", async (context) => {
  const { url, lines } = await start(context);
  await assertProblem(await fetch(`${url}/auth/login`, jsonBody("POST", { email: "nobody" })), 400);
  const attempt = jsonBody("POST", { email: "a@b.example", password: "open sesame" });
  const refused = await fetch(`${url}/auth/login`, attempt);
  assert.equal(refused.headers.get("roadbed-login"), "failed a%40b.example");
  await assertProblem(refused, 401);
  assert(!JSON.stringify(lines).includes("sesame"));
});

test("payments answer 503 without a key, and never show the key", async (context) => {
  const intent = jsonBody("POST", { amount_cents: 1450, currency: "EUR" });
  const without = await start(context);
  await assertProblem(await fetch(`${without.url}/payments/intents`, intent), 503);

  const configured = await start(context, { paymentSecretKey: "sk_very_secret" });
  const response = await fetch(`${configured.url}/payments/intents`, intent);
  assert.equal(response.status, 202);
  const body = await response.text();
  assert.equal(JSON.parse(body).status, "requires_confirmation");
  assert(!(body + JSON.stringify(configured.lines)).includes("sk_very_secret"));
});
