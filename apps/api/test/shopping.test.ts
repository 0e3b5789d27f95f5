import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_CHANGES } from "../src/shop.ts";
import { jsonBody, start } from "./running-application.ts";
import { MUG } from "./stand-in-stores.ts";

test("products are listed and found by slug", async (context) => {
  const { url } = await start(context);
  assert.deepEqual(await (await fetch(`${url}/products`)).json(), { products: [MUG] });
  assert.deepEqual(await (await fetch(`${url}/products/enamel-mug`)).json(), MUG);
  assert.equal((await fetch(`${url}/products/gold-mug`)).status, 404);
});

test("a cart belongs to its cookie", async (context) => {
  const { url } = await start(context);
  const put = await fetch(`${url}/cart/items/enamel-mug`, jsonBody("PUT", { quantity: 2 }));
  const cookie = (put.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
  const cart = { items: [{ slug: "enamel-mug", quantity: 2 }], count: 2 };
  assert.deepEqual(await put.json(), cart);

  assert.deepEqual(await (await fetch(`${url}/cart`, { headers: { cookie } })).json(), cart);
  assert.deepEqual(await (await fetch(`${url}/cart`)).json(), { items: [], count: 0 });

  await fetch(`${url}/cart`, { method: "DELETE", headers: { cookie } });
  assert.deepEqual(await (await fetch(`${url}/cart`, { headers: { cookie } })).json(), { items: [], count: 0 });
});

test("a cart that changes all the time is told when it may again, and others are not", async (context) => {
  const { url } = await start(context);
  const first = await fetch(`${url}/cart/items/enamel-mug`, jsonBody("PUT", { quantity: 1 }));
  const cookie = first.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const again = () => fetch(`${url}/cart/items/enamel-mug`, jsonBody("PUT", { quantity: 1 }, { cookie }));
  for (let change = 1; change < MOST_CHANGES; change += 1) assert.equal((await again()).status, 200);
  const refused = await again();
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "7"]);
  assert.equal((await fetch(`${url}/cart/items/enamel-mug`, jsonBody("PUT", { quantity: 1 }))).status, 200);
});

test("a cart takes only products that exist, in quantities that make sense", async (context) => {
  const { url } = await start(context);
  const put = async (slug: string, quantity: unknown) =>
    (await fetch(`${url}/cart/items/${slug}`, jsonBody("PUT", { quantity }))).status;
  assert.equal(await put("gold-mug", 1), 404);
  for (const quantity of [-1, 1.5, 100, "2", null]) assert.equal(await put("enamel-mug", quantity), 400);
});

const order = (items: unknown, key?: string) => jsonBody("POST", { items }, key ? { "idempotency-key": key } : {});

test("an order is priced by the catalogue and can be read back", async (context) => {
  const { url } = await start(context);
  const response = await fetch(`${url}/orders`, order([{ slug: "enamel-mug", quantity: 3, price_cents: 1 }]));
  assert.equal(response.status, 201);
  const placed = (await response.json()) as { id: string; total_cents: number };
  assert.equal(placed.total_cents, 4350);
  assert.equal(response.headers.get("location"), `/orders/${placed.id}`);
  assert.deepEqual(await (await fetch(`${url}/orders/${placed.id}`)).json(), placed);
  assert.equal((await fetch(`${url}/orders/unknown`)).status, 404);
});

test("a retry with the same key is the same order, another order under that key is refused", async (context) => {
  const { url } = await start(context);
  const place = async (quantity: number, key?: string) => {
    const response = await fetch(`${url}/orders`, order([{ slug: "enamel-mug", quantity }], key));
    return {
      status: response.status,
      replayed: response.headers.get("idempotency-replayed"),
      ...((await response.json()) as { id?: string }),
    };
  };
  const first = await place(1, "key-1");
  const again = await place(1, "key-1");
  assert.equal(again.status, 201);
  assert.equal(again.id, first.id);
  assert.deepEqual([first.replayed, again.replayed], [null, "true"]);
  assert.equal((await place(2, "key-1")).status, 422);
  assert.notEqual((await place(1)).id, (await place(1)).id);
});

test("orders that make no sense are refused", async (context) => {
  const { url } = await start(context);
  const statusOf = async (items: unknown) => (await fetch(`${url}/orders`, order(items))).status;
  assert.equal(await statusOf([]), 400);
  assert.equal(await statusOf("enamel-mug"), 400);
  assert.equal(await statusOf([null]), 400);
  assert.equal(await statusOf([{ slug: "enamel-mug", quantity: 0 }]), 400);
  assert.equal(await statusOf([MUG, MUG].map(({ slug }) => ({ slug, quantity: 1 }))), 400);
  assert.equal(await statusOf([{ slug: "gold-mug", quantity: 1 }]), 422);
});
