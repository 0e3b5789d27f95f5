import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createTokens, TOKEN_SECONDS } from "../src/tokens.ts";

function key(kid: string): { signing: string; shown: object } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    signing: JSON.stringify({ ...privateKey.export({ format: "jwk" }), kid }),
    shown: { ...publicKey.export({ format: "jwk" }), kid },
  };
}

/** An edge that serves a key set. */
async function edge(context: TestContext): Promise<{ url: string; keys: object[]; asked: number }> {
  const state = { url: "", keys: [] as object[], asked: 0 };
  const server = createServer((_, response) => {
    state.asked += 1;
    response.writeHead(200, { "cache-control": "public, max-age=60" }).end(JSON.stringify({ keys: state.keys }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => server.close());
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return state;
}

test("a token of one instance holds at another, which has another key", async (context) => {
  const state = await edge(context);
  const [old, fresh] = [key("old"), key("fresh")];
  state.keys = [old.shown, fresh.shown];
  const before = createTokens({ signingKey: old.signing, keySetUrl: state.url });
  const after = createTokens({ signingKey: fresh.signing, keySetUrl: state.url });
  assert.equal(await after.subjectOf(before.issue("ann")), "ann");
  assert.equal(await before.subjectOf(after.issue("bob")), "bob");
});

test("a key that was taken away verifies nothing once the key set has grown old", async (context) => {
  const state = await edge(context);
  const [old, fresh] = [key("old"), key("fresh")];
  state.keys = [old.shown];
  let now = Date.now();
  const tokens = createTokens({ signingKey: fresh.signing, keySetUrl: state.url, now: () => now });
  const token = createTokens({ signingKey: old.signing, keySetUrl: state.url }).issue("ann");
  assert.equal(await tokens.subjectOf(token), "ann");
  state.keys = [];
  assert.equal(await tokens.subjectOf(token), "ann");
  now += 61_000;
  assert.equal(await tokens.subjectOf(token), undefined);
});

test("a key that nobody knew is asked for, and made-up ones not again and again", async (context) => {
  const state = await edge(context);
  const [own, fresh] = [key("own"), key("fresh")];
  let now = Date.now();
  const tokens = createTokens({ signingKey: own.signing, keySetUrl: state.url, now: () => now });
  const token = createTokens({ signingKey: fresh.signing, keySetUrl: state.url }).issue("ann");
  assert.equal(await tokens.subjectOf(token), undefined);
  for (let index = 0; index < 20; index += 1) await tokens.subjectOf(token);
  assert.equal(state.asked, 1);
  state.keys = [fresh.shown];
  now += 6_000;
  assert.equal(await tokens.subjectOf(token), "ann");
});

test("what is forged, changed, old or of another kind is nobody's", async (context) => {
  const state = await edge(context);
  let now = Date.now();
  const own = key("own");
  const tokens = createTokens({ signingKey: own.signing, keySetUrl: state.url, now: () => now });
  const token = tokens.issue("ann");
  const [head = "", claims = "", signature = ""] = token.split(".");
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const thief = createTokens({ signingKey: key("own").signing, keySetUrl: state.url });
  for (const bad of [
    "",
    "a.b.c",
    `${head}.${claims}.`,
    `${head}.${part({ sub: "bob", exp: 9e9 })}.${signature}`,
    `${part({ alg: "none", kid: "own" })}.${claims}.${signature}`,
    `${token}.more`,
    thief.issue("ann"),
  ]) {
    assert.equal(await tokens.subjectOf(bad), undefined, bad);
  }
  now += (TOKEN_SECONDS + 1) * 1_000;
  assert.equal(await tokens.subjectOf(token), undefined);
});
