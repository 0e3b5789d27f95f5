/** Carts, remembered by Redis for a day. */
import { createClient, type RedisClientOptions } from "redis";
import { within } from "../deadline.ts";
import { SESSION_SECONDS } from "../http/session.ts";
import { describe, type Log } from "../log.ts";
import { type Carts, StoreUnavailable } from "../shop.ts";

// Redis answers in microseconds. Two seconds without an answer is a dead machine or a frozen process.
const ANSWER_TIMEOUT_MS = 2_000;
const RECONNECT_MOST_MS = 250;

export interface RedisStore {
  carts: Carts;
  probe(): Promise<void>;
  /** Begins to connect, and keeps at it for ever. */
  connect(): void;
  close(): Promise<void>;
}

export function createRedisStore(url: string, keyPrefix: string, log: Log): RedisStore {
  const client = createClient({
    url,
    keyPrefix,
    // A queue of commands would replay minutes-old carts at once when Redis returns. Fail now, let the customer try again.
    disableOfflineQueue: true,
    // Features of Redis Enterprise, and CLIENT SETINFO: both are commands that our ACL user has no business with.
    maintNotifications: "disabled",
    disableClientInfo: true,
    // The ping keeps a healthy idle connection from tripping over the socket timeout, which is there to notice a frozen server.
    pingInterval: ANSWER_TIMEOUT_MS / 2,
    socket: {
      connectTimeout: ANSWER_TIMEOUT_MS,
      socketTimeout: ANSWER_TIMEOUT_MS * 2,
      // Jitter, or all instances knock in the same millisecond when Redis returns.
      reconnectStrategy: (attempt) => Math.min(50 * 2 ** attempt, RECONNECT_MOST_MS) * (0.5 + Math.random() / 2),
    },
  } satisfies RedisClientOptions);

  // One line per outage, not one per attempt to end it.
  let reported = false;
  client.on("error", (error: unknown) => {
    if (!reported) log.warn("redis connection lost, reconnecting", describe(error));
    reported = true;
  });
  client.on("ready", () => {
    log.info("redis connected");
    reported = false;
  });

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

    connect: () => {
      // Rejects only when closed before it ever connected; outages are the reconnect strategy's business.
      client.connect().catch((error: unknown) => log.debug("redis never connected", describe(error)));
    },

    close: async () => {
      if (client.isReady) await client.close();
      else client.destroy();
    },
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
