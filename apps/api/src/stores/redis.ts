/** Carts, remembered by Redis for a day, and how often they change. */
import { within } from "../deadline.ts";
import { SESSION_SECONDS } from "../http/session.ts";
import type { Log } from "../log.ts";
import { type CartChanges, type Carts, CHANGES_SECONDS, MOST_CHANGES, StoreUnavailable } from "../shop.ts";
import { ANSWER_TIMEOUT_MS, createRedisConnection, type RedisAddress } from "./redis-connection.ts";

export interface RedisStore {
  carts: Carts;
  changes: CartChanges;
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

    changes: {
      take: (session) =>
        reach(async () => {
          const window = Math.floor(Date.now() / 1_000 / CHANGES_SECONDS);
          const counter = `cart-changes:${session}:${window}`;
          // In one transaction: a counter without an expiry would stay for ever.
          const [taken] = await client.multi().incr(counter).expire(counter, CHANGES_SECONDS).exec();
          return Number(taken) > MOST_CHANGES ? secondsUntil((window + 1) * CHANGES_SECONDS * 1_000) : undefined;
        }),
    },

    probe: async () => {
      await client.ping();
    },

    connect,
    close,
  };
}

/** From now to a moment in Unix milliseconds, at least one: less would be "now". */
export function secondsUntil(moment: number): number {
  return Math.max(1, Math.ceil((moment - Date.now()) / 1_000));
}

/** Redis refuses nothing that we ask but for a wrong ACL, so every fault counts as a store that cannot be reached. */
async function reach<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await within(ANSWER_TIMEOUT_MS, operation);
  } catch (error) {
    throw new StoreUnavailable("redis", error);
  }
}
