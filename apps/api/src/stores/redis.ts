/** Carts, remembered by Redis for a day. */
import { within } from "../deadline.ts";
import { SESSION_SECONDS } from "../http/session.ts";
import type { Log } from "../log.ts";
import { type Carts, StoreUnavailable } from "../shop.ts";
import { ANSWER_TIMEOUT_MS, createRedisConnection, type RedisAddress } from "./redis-connection.ts";

export interface RedisStore {
  carts: Carts;
  probe(): Promise<void>;
  /** Begins to connect, and keeps at it for ever. */
  connect(): void;
  close(): Promise<void>;
}

export function createRedisStore(address: RedisAddress, log: Log): RedisStore {
  const { client, connect, close } = createRedisConnection(address, "redis", log);

  const key = (session: string) => `cart:${session}`;

  return {
    carts: {
      read: (session) =>
        reach(async () => {
          const quantities = await client.hGetAll(key(session));
          return Object.entries(quantities)
            .map(([slug, quantity]) => ({ slug, quantity: Number(quantity) }))
            .sort((left, right) => (left.slug < right.slug ? -1 : 1));
        }),

      put: (session, { slug, quantity }) =>
        reach(async () => {
          // In one transaction: a cart without an expiry would stay for ever.
          const change = client.multi();
          if (quantity === 0) change.hDel(key(session), slug);
          else change.hSet(key(session), slug, quantity);
          await change.expire(key(session), SESSION_SECONDS).exec();
        }),

      clear: (session) =>
        reach(async () => {
          await client.del(key(session));
        }),
    },

    probe: async () => {
      await client.ping();
    },

    connect,
    close,
  };
}

/** Redis refuses nothing that we ask but for a wrong ACL, so every fault counts as a store that cannot be reached. */
async function reach<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await within(ANSWER_TIMEOUT_MS, operation);
  } catch (error) {
    throw new StoreUnavailable("redis", error);
  }
}
