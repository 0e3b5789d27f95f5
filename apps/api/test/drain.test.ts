import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { test } from "node:test";
import { drain } from "../src/drain.ts";
import { start } from "./running-application.ts";
import { catalogueOf, MUG } from "./stand-in-stores.ts";

test("a drain waits for the request under way, ends streams and idle connections, and then is done", async (context) => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let reached: () => void = () => {};
  const underWay = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const catalogue = {
    ...catalogueOf(MUG),
    list: async () => {
      reached();
      await held;
      return [MUG];
    },
  };
  const { url, server, streams, state } = await start(context, { catalogue });

  // An idle connection in somebody's pool, a stream, and a slow request.
  const agent = new Agent({ keepAlive: true });
  context.after(() => agent.destroy());
  const [idle] = (await once(get(`${url}/health`, { agent }), "response")) as [IncomingMessage];
  idle.resume();
  await once(idle, "end");
  const stream = await fetch(`${url}/events`);
  const slow = fetch(`${url}/products`);
  await underWay;

  state.draining = true;
  let isDone = false;
  const done = drain(server, streams.endAll).then(() => {
    isDone = true;
  });

  assert.match(await stream.text(), /event: hello[\s\S]*event: bye/);
  assert.equal(isDone, false);
  release();
  const answer = await slow;
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { products: [MUG] });
  await done;
});

test("answers given while draining close their connection, and /ready says so", async (context) => {
  const { url, state } = await start(context);
  state.draining = true;
  const response = await fetch(`${url}/ready`);
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("connection"), "close");
  assert.equal(((await response.json()) as { status: string }).status, "draining");
});
