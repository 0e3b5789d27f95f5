import assert from "node:assert/strict";
import { test } from "node:test";
import { match, type Route } from "../src/http/router.ts";

const routes: Route[] = [
  { method: "GET", path: "/cart", handler: () => {} },
  { method: "DELETE", path: "/cart", handler: () => {} },
  { method: "PUT", path: "/cart/items/:slug", handler: () => {} },
];

const cases: [method: string, path: string, expected: object][] = [
  ["GET", "/cart", { outcome: "found", params: {} }],
  ["HEAD", "/cart", { outcome: "found", params: {} }],
  ["PUT", "/cart/items/enamel-mug", { outcome: "found", params: { slug: "enamel-mug" } }],
  ["PUT", "/cart/items/a%20b", { outcome: "found", params: { slug: "a b" } }],
  ["PUT", "/cart/items/%zz", { outcome: "unknown_path" }],
  ["PUT", "/cart/items/", { outcome: "unknown_path" }],
  ["POST", "/cart", { outcome: "wrong_method", methods: ["GET", "HEAD", "DELETE"] }],
  ["GET", "/cart/", { outcome: "unknown_path" }],
  ["GET", "/", { outcome: "unknown_path" }],
];

for (const [method, path, expected] of cases) {
  test(`${method} ${path} is ${JSON.stringify(expected)}`, () => {
    const found = match(routes, method, path);
    assert.deepEqual({ ...found, ...expected }, found);
  });
}
