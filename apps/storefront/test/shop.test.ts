import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { findProduct, listProducts } from "../src/shop.ts";

process.env.LOG_LEVEL = "error"; // The warnings of these outages are expected.

async function apiThat(context: TestContext, answers: RequestListener): Promise<string> {
  const server = createServer(answers).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("the request id travels on to the api", async (context) => {
  let seen: string | undefined;
  const apiUrl = await apiThat(context, (request, response) => {
    seen = String(request.headers["x-request-id"]);
    response.end('{"products":[]}');
  });
  assert.deepEqual(await listProducts({ apiUrl, requestId: "edge-42" }), { outcome: "found", value: [] });
  assert.equal(seen, "edge-42");
});

test("a slug cannot leave its path", async (context) => {
  let seen: string | undefined;
  const apiUrl = await apiThat(context, (request, response) => {
    seen = request.url;
    response.writeHead(404).end();
  });
  assert.deepEqual(await findProduct({ apiUrl, requestId: "x" }, "../orders?a"), { outcome: "missing" });
  assert.equal(seen, "/products/..%2Forders%3Fa");
});

test("an api that fails, or is away, or talks nonsense is unavailable", async (context) => {
  const unavailable = { outcome: "unavailable" };
  const failing = await apiThat(context, (_, response) => response.writeHead(503).end());
  assert.deepEqual(await listProducts({ apiUrl: failing, requestId: "x" }), unavailable);
  const nonsense = await apiThat(context, (_, response) => response.end("<html>"));
  assert.deepEqual(await listProducts({ apiUrl: nonsense, requestId: "x" }), unavailable);
  // Port 9 is "discard"; nothing listens there.
  assert.deepEqual(await listProducts({ apiUrl: "http://127.0.0.1:9", requestId: "x" }), unavailable);
});
