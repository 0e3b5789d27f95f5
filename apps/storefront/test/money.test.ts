import assert from "node:assert/strict";
import { test } from "node:test";
import { money } from "../src/money.ts";
import { requestIdFrom } from "../src/request-id.ts";

test("cents become a price", () => {
  assert.equal(money(3900, "EUR"), "€39.00");
  assert.equal(money(123_456, "EUR"), "€1,234.56");
});

test("only a tame request id is believed", () => {
  assert.equal(requestIdFrom("edge-42"), "edge-42");
  assert.match(requestIdFrom('"}{"'), /^[0-9a-f-]{36}$/);
  assert.match(requestIdFrom(null), /^[0-9a-f-]{36}$/);
});
