import assert from "node:assert/strict";
import { test } from "node:test";
import { createPictures } from "../src/stores/pictures.ts";
import { jsonBody, start, UPLOAD_TOKEN } from "./running-application.ts";
import { catalogueOf, MUG, picturesThatWereSent } from "./stand-in-stores.ts";

const KEY = { authorization: `Bearer ${UPLOAD_TOKEN}` };

test("a picture is offered, sent, looked at, shown, and takes the place of the one before", async (context) => {
  const pictures = picturesThatWereSent();
  const { url } = await start(context, { catalogue: catalogueOf({ ...MUG }), pictures });
  const place = `${url}/products/${MUG.slug}/picture`;
  const offer = async () => {
    const answer = await fetch(place, jsonBody("POST", { type: "image/png", bytes: 1000 }, KEY));
    assert.equal(answer.status, 200);
    return (await answer.json()) as { key: string; url: string };
  };
  const first = await offer();
  assert.match(first.url, /bytes=1000/u);
  const shown = await fetch(place, jsonBody("PUT", { key: first.key }, KEY));
  assert.deepEqual(
    [shown.status, await shown.json()],
    [200, { url: `https://media.shop.example/bucket/${first.key}` }],
  );
  const product = await (await fetch(`${url}/products/${MUG.slug}`)).json();
  assert.deepEqual(product, { ...MUG, picture: { url: `https://media.shop.example/bucket/${first.key}` } });

  const second = await offer();
  await fetch(place, jsonBody("PUT", { key: second.key }, KEY));
  assert.deepEqual(pictures.removed, [first.key]);
});

test("what is no picture is taken away again and shown to nobody", async (context) => {
  const pictures = picturesThatWereSent();
  const { url } = await start(context, { catalogue: catalogueOf({ ...MUG }), pictures });
  const place = `${url}/products/${MUG.slug}/picture`;
  const offer = await (await fetch(place, jsonBody("POST", { type: "image/jpeg", bytes: 10 }, KEY))).json();
  const refused = await fetch(place, jsonBody("PUT", { key: (offer as { key: string }).key }, KEY));
  assert.equal(refused.status, 422);
  assert.equal(pictures.removed.length, 1);
  assert.deepEqual(await (await fetch(`${url}/products/${MUG.slug}`)).json(), MUG);
});

test("nobody changes a picture without the key, of another product, or by a key of his own", async (context) => {
  const { url } = await start(context, { catalogue: catalogueOf({ ...MUG }) });
  const place = `${url}/products/${MUG.slug}/picture`;
  const wanted = { type: "image/png", bytes: 1000 };
  for (const headers of [{}, { authorization: "Bearer " }, { authorization: "Bearer wrong" }]) {
    assert.equal((await fetch(place, jsonBody("POST", wanted, headers))).status, 401);
    assert.equal((await fetch(place, jsonBody("PUT", { key: "x" }, headers))).status, 401);
  }
  for (const key of ["x", "products/other/0123456789abcdef0123456789abcdef", `products/${MUG.slug}/../../x`, 7]) {
    assert.equal((await fetch(place, jsonBody("PUT", { key }, KEY))).status, 422, String(key));
  }
  for (const bad of [
    { ...wanted, type: "text/html" },
    { ...wanted, bytes: 0 },
    { ...wanted, bytes: 1e9 },
    { type: 1 },
  ]) {
    assert.equal((await fetch(place, jsonBody("POST", bad, KEY))).status, 422, JSON.stringify(bad));
  }
  assert.equal((await fetch(`${url}/products/none/picture`, jsonBody("POST", wanted, KEY))).status, 404);
});

test("type and length of what is sent are signed", async () => {
  const storage = {
    endpoint: "http://127.0.0.1:9",
    publicEndpoint: "https://objects.shop.example:8443",
    url: "https://media.shop.example",
    internalUrl: "http://127.0.0.1:9",
    bucket: "shop-local-products",
    accessKeyId: "RBEXAMPLE",
    secretAccessKey: "example",
  };
  const offer = await createPictures(storage).offer("mug", "image/png", 1234);
  const url = new URL(offer.url);
  assert.equal(url.origin, storage.publicEndpoint);
  assert.equal(url.pathname, `/${storage.bucket}/${offer.key}`);
  assert.equal(url.searchParams.get("X-Amz-SignedHeaders"), "content-length;content-type;host");
  assert.equal(url.searchParams.get("X-Amz-Expires"), "600");
  await assert.rejects(createPictures(storage).isPicture(offer.key), /object storage is not available/u);
});
