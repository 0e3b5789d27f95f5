import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog } from "../src/log.ts";
import { cacheCatalogue } from "../src/stores/catalogue-cache.ts";
import { catalogueOf, MUG } from "./stand-in-stores.ts";

test("a cache that is away costs nobody the list of products", async () => {
  const nowhere = { url: "rediss://app:pw@127.0.0.1:1", trusted: "", keyPrefix: "shop:" };
  const lines: string[] = [];
  const log = createLog("info", (line) => lines.push(line));
  const cache = cacheCatalogue(catalogueOf(MUG), nowhere, log);
  assert.deepEqual(await cache.catalogue.list(), [MUG], "before it was ever connected");
  cache.connect();
  assert.deepEqual(await cache.catalogue.list(), [MUG], "while it connects in vain");
  assert.deepEqual(await cache.catalogue.find(MUG.slug), MUG);
  await cache.close();
});
