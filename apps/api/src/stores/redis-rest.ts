/** Carts in the same Redis, and how often they change, by Upstash's clients: over HTTP, for where a process has no connection to keep. */
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";
import { within } from "../deadline.ts";
import { SESSION_SECONDS } from "../http/session.ts";
import { CHANGES_SECONDS, MOST_CHANGES, StoreUnavailable } from "../shop.ts";
import { type RedisStore, secondsUntil } from "./redis.ts";
import { ANSWER_TIMEOUT_MS } from "./redis-connection.ts";

export interface RedisRestAddress {
  url: string;
  token: string;
  keyPrefix: string;
}

export function createRedisRestStore({ url, token, keyPrefix }: RedisRestAddress): RedisStore {
  // Fail now, let the customer try again: as over a connection. What is said to Redis goes to nobody else.
  const client = new Redis({ url, token, retry: false, enableTelemetry: false });

  const changes = new Ratelimit({
    redis: client,
    limiter: Ratelimit.fixedWindow(MOST_CHANGES, `${CHANGES_SECONDS} s`),
    prefix: `${keyPrefix}cart-changes`,
    analytics: false,
    // Instances count together or not at all; and who gets no answer in time shall say so, not be let through.
    ephemeralCache: false,
    timeout: 0,
  });

  const key = (session: string) => `${keyPrefix}cart:${session}`;

  return {
    carts: {
      read: (session) =>
        reach(async () => {
          const quantities = await client.hgetall<Record<string, number>>(key(session));
          return Object.entries(quantities ?? {})
            .map(([slug, quantity]) => ({ slug, quantity: Number(quantity) }))
            .sort((left, right) => (left.slug < right.slug ? -1 : 1));
        }),

      put: (session, { slug, quantity }) =>
        reach(async () => {
          // In one transaction: a cart without an expiry would stay for ever.
          const change = client.multi();
          if (quantity === 0) change.hdel(key(session), slug);
          else change.hset(key(session), { [slug]: quantity });
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
          const { success, reset } = await changes.limit(session);
          return success ? undefined : secondsUntil(reset);
        }),
    },

    probe: async () => {
      await client.ping();
    },

    // There is no connection: each request is one of its own.
    connect: () => {},
    close: async () => {},
  };
}

async function reach<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await within(ANSWER_TIMEOUT_MS, operation);
  } catch (error) {
    throw new StoreUnavailable("redis", error);
  }
}
